"""Which changes of a pod call for a look at its gang, and that no other costs one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rackplane.core import events as e
from rackplane.core.gangs.lifecycle import reconcile
from rackplane.core.gangs.podnews import changed_by_start
from rackplane.core.gangs.record import GangRecord
from rackplane.core.instructions import CapNode
from rackplane.core.objects import (
    ClaimStatus,
    Container,
    Gate,
    OwnerReference,
    Pod,
    PodStatus,
    Resources,
    State,
)
from rackplane.core.settings import MachineSettings
from tests.support.harness import Harness, started

NODES = [f"r1-n{n}" for n in range(4)]
change = msgspec.structs.replace


def placed(slots: int = 2) -> Harness:
    """A gang whose pods are let go and bound, on nodes whose agents are dead: they never run."""
    h = started()
    h.down.update(NODES)
    h.job("train", slots=slots, run=None)
    h.settle()
    return h


def record_of(h: Harness) -> GangRecord:
    return h.machine.gangs["default", "job-train"]


def meta(pod: Pod, **changes: Any) -> Pod:
    return change(pod, metadata=change(pod.metadata, **changes))


def spec(pod: Pod, **changes: Any) -> Pod:
    return change(pod, spec=change(pod.spec, **changes))


def gated(pod: Pod) -> Pod:
    """The pod as it was before it was let go."""
    ours = ("rackplane.dev/slot", "rackplane.dev/gang", "rackplane.dev/power-profile")
    notes = {k: v for k, v in pod.metadata.annotations.items() if k not in ours}
    gates = [Gate(name="rackplane.dev/placement")]
    return spec(meta(pod, annotations=notes), scheduling_gates=gates, node_selector={}, node_name="")


def test_a_pod_that_is_let_go_as_asked_and_then_bound_is_no_news() -> None:
    record = record_of(placed())
    pod = next(iter(record.pods.values()))
    free = spec(pod, node_name="")
    assert changed_by_start(record, free, pod)
    assert not changed_by_start(record, gated(pod), free)  # nobody asked
    record.ungating.add(pod.metadata.uid)
    assert changed_by_start(record, gated(pod), free)
    assert changed_by_start(record, gated(pod), pod)  # both at once
    elsewhere = meta(free, annotations={**pod.metadata.annotations, "rackplane.dev/slot": "7"})
    assert not changed_by_start(record, gated(pod), elsewhere)


CHANGES: dict[str, Callable[[Pod], Pod]] = {
    "runs": lambda pod: change(pod, status=PodStatus(phase="Running")),
    "ends": lambda pod: change(pod, status=PodStatus(phase="Failed")),
    "is being deleted": lambda pod: meta(pod, deletion_timestamp="2026-11-01T00:00:00Z"),
    "has another label": lambda pod: meta(pod, labels={**pod.metadata.labels, "app": "x"}),
    "has another annotation": lambda pod: meta(pod, annotations={**pod.metadata.annotations, "a": "x"}),
    "has another owner": lambda pod: meta(pod, owner_references=[OwnerReference(kind="Job", name="x")]),
    "cannot be bound": lambda pod: change(
        spec(pod, node_name=""),
        status=PodStatus(conditions=[State("PodScheduled", "False", "Unschedulable")]),
    ),
    "has got its claim": lambda pod: change(
        pod, status=change(pod.status, resource_claim_statuses=[ClaimStatus("gpus", "train-0-gpus")])
    ),
    "is resized": lambda pod: spec(
        pod, containers=[Container(resources=Resources(requests={"nvidia.com/gpu": "1"}))]
    ),
    "gets a gate": gated,
}


@pytest.mark.parametrize("what", CHANGES)
def test_anything_else_is_news(what: str) -> None:
    record = record_of(placed())
    pod = next(iter(record.pods.values()))
    assert not changed_by_start(record, pod, CHANGES[what](pod))


def test_of_a_gang_without_a_place_and_of_a_new_pod_everything_is_news() -> None:
    record = record_of(placed())
    pod = next(iter(record.pods.values()))
    assert not changed_by_start(record, None, pod)
    record.decision = None
    assert not changed_by_start(record, spec(pod, node_name=""), pod)


def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When gangs are looked at from now on."""
    seen: list[float] = []

    def counted(world: Any, record: GangRecord) -> Any:
        seen.append(world.now)
        return reconcile(world, record)

    monkeypatch.setattr("rackplane.core.machine.reconcile", counted)
    return seen


def test_a_gang_that_starts_is_not_looked_at_for_each_of_its_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    h = started()
    h.down.update(NODES)
    h.job("train", slots=4, run=None)
    while len(record_of(h).ungating if h.machine.gangs else ()) < 4:
        assert any([h.cluster.settle() > 0, h.deliver(), h.write()])
    seen = looks(monkeypatch)
    h.settle()
    assert len([p for p in record_of(h).pods.values() if p.spec.node_name]) == 4
    assert not record_of(h).ungating
    # What is left of its start: the Job counts its pods.
    assert len(seen) <= 2


def test_time_alone_calls_for_a_look_when_the_start_is_too_late_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    h = placed()
    decided = record_of(h).decision
    assert decided is not None
    late = decided.time + MachineSettings().start_seconds
    seen = looks(monkeypatch)
    h.machine.handle(late - 1, e.TimePassed())
    assert seen == []
    [write, *_] = h.machine.handle(late + 1, e.TimePassed())
    assert seen == [late + 1]
    assert getattr(write, "status", {}).get("phase") == "Stopping"


def test_a_gang_that_waits_for_its_power_caps_is_looked_at_as_time_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    h = started()
    h.job("train", slots=2, run=None)
    while not any(isinstance(i, CapNode) for i in h._todo) or len(record_of(h).pods) < 2:
        assert any([h.cluster.settle() > 0, h.deliver(), h.write()])
    seen = looks(monkeypatch)
    for seconds in (1, 2, 3):
        h.machine.handle(h.time.now + seconds, e.TimePassed())
    assert seen == [h.time.now + seconds for seconds in (1, 2, 3)]
