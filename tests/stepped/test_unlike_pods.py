"""Bare pods of one gang that differ: a leader without GPUs and its workers start whole, or wait in words."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.api.labels import GANG_LABEL, GANG_SIZE, POWER_CAP_WATTS
from rackplane.core import events as e
from rackplane.core.machine import Machine
from rackplane.core.offline.rehearsal import decide, submit_all
from tests.support.branching import Kill, killed_at
from tests.support.harness import _FACILITY, _KINDS, QUEUE, Harness, facility


def gang_pod(h: Harness, name: str, *, gpus: int, size: int, **spec: Any) -> None:
    h.pod(
        name,
        gpus=gpus,
        labels={QUEUE: "research", GANG_LABEL: "g"},
        annotations={GANG_SIZE: str(size)},
        **spec,
    )


def slots(h: Harness) -> dict[str, tuple[str, str | None]]:
    """By pod: its slot and its node."""
    return {
        p["metadata"]["name"]: (
            p["metadata"].get("annotations", {}).get("rackplane.dev/slot"),
            p["spec"].get("nodeName"),
        )
        for p in h.pods()
    }


def submitted(h: Harness, **leader: Any) -> None:
    gang_pod(h, "lead", gpus=0, size=4, **leader)
    for i in range(3):
        gang_pod(h, f"w-{i}", gpus=4, size=4)


def started() -> Harness:
    h = Harness()
    h.apply(*facility())
    h.start_machine()
    return h


@pytest.mark.parametrize("restarts", [False, True])
def test_a_leader_and_its_workers_start_whole_each_in_a_slot_of_its_own_kind(restarts: bool) -> None:
    h = started()
    # The workers come first: slots go by kind, not by who was there.
    for i in (2, 0, 1):
        gang_pod(h, f"w-{i}", gpus=4, size=4)
        h.settle()
    assert h.gang("pod-g")["status"]["message"] == "3 of the gang's 4 pods exist"
    assert {node for _, node in slots(h).values()} == {None}
    if restarts:
        h.restart_machine()
    gang_pod(h, "lead", gpus=0, size=4)
    h.settle()
    gang = h.gang("pod-g")
    assert gang["status"]["phase"] == "Running"
    spec = gang["spec"]
    assert [(g["name"], g["slots"], g["gpusPerSlot"]) for g in spec["groups"]] == [
        ("lead", 1, 0),
        ("w", 3, 4),
    ]
    assert (spec["slots"], spec["gpusPerSlot"]) == (4, 4)
    nodes = [node for group in gang["status"]["assignment"] for node in group["nodes"]]
    assert slots(h) == {"lead": ("0", nodes[0])} | {f"w-{i}": (str(i + 1), nodes[i + 1]) for i in range(3)}
    assert len(set(nodes[1:])) == 3
    assert (
        nodes[0] in nodes[1:]
    )  # there is room beside a worker, and another node would be opened for nothing
    state = h.machine.state
    assert state is not None
    held = state.held_gpus("default/pod-g")
    assert held == dict.fromkeys(nodes[1:], 4)
    assert gang["status"]["reservedNominalWatts"] == state.reserved("default/pod-g").nominal_watts
    h.restart_machine()
    h.settle()
    state = h.machine.state
    assert state is not None
    assert state.held_gpus("default/pod-g") == held
    assert h.gang("pod-g")["status"] == gang["status"]


def test_a_leader_alone_on_its_node_needs_no_power_cap() -> None:
    h = started()
    nodes = sorted(n["metadata"]["name"] for n in h.cluster.store.items(("", "nodes")))
    h.patch(f"/api/v1/nodes/{nodes[-1]}", {"metadata": {"labels": {"pool": "cpu"}}})
    submitted(h, nodeSelector={"pool": "cpu"})
    h.settle()
    assert h.gang("pod-g")["status"]["phase"] == "Running"
    found = slots(h)
    assert found["lead"] == ("0", nodes[-1])
    caps = {
        n["metadata"]["name"]
        for n in h.cluster.store.items(("", "nodes"))
        if POWER_CAP_WATTS in n["metadata"].get("annotations", {})
    }
    assert caps == {node for name, (_, node) in found.items() if name != "lead"}


def test_a_leader_without_room_keeps_the_workers_waiting_and_says_why() -> None:
    h = started()
    submitted(h, nodeSelector={"pool": "cpu"})
    h.settle()
    status = h.gang("pod-g")["status"]
    assert status["phase"] == "Pending"
    assert status["message"].startswith("group lead needs 1 pod; ")
    assert {node for _, node in slots(h).values()} == {None}
    node = min(n["metadata"]["name"] for n in h.cluster.store.items(("", "nodes")))
    h.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {"pool": "cpu"}}})
    h.settle()
    assert h.gang("pod-g")["status"]["phase"] == "Running"
    assert slots(h)["lead"] == ("0", node)


def test_a_pod_made_anew_with_other_wishes_changes_the_groups_before_the_start() -> None:
    h = started()
    submitted(h, nodeSelector={"pool": "none"})
    h.settle()
    h.request("DELETE", "/api/v1/namespaces/default/pods/lead", {"gracePeriodSeconds": 0})
    gang_pod(h, "lead", gpus=4, size=4)
    h.settle()
    gang = h.gang("pod-g")
    assert gang["status"]["phase"] == "Running"
    assert "groups" not in gang["spec"]
    assert len({node for _, node in slots(h).values()}) == 4


def test_killed_at_any_write_the_gang_still_starts_whole() -> None:
    def run(kill: Kill) -> Harness:
        h = Harness(kill=kill)
        h.apply(*facility())
        h.start_machine()
        submitted(h)
        h.until(lambda: h.phase("pod-g") == "Running")
        found = slots(h)
        assert sorted(slot for slot, _ in found.values() if slot) == ["0", "1", "2", "3"]
        assert found["lead"][0] == "0"
        state = h.machine.state
        assert state is not None
        assert sum(state.held_gpus("default/pod-g").values()) == 12
        return h

    assert killed_at(lambda number, moment: True, run) > 5


def test_a_gang_without_its_pods_is_rehearsed_with_stand_ins_of_each_kind() -> None:
    h = started()
    submitted(h, nodeSelector={"pool": "none"})
    h.settle()
    machine = Machine()
    kept = [
        h._event(resource, obj, deleted=False)
        for resource in (*_KINDS, *_FACILITY)
        if resource != ("", "pods")
        for obj in h.cluster.store.items(resource)
    ]
    machine.handle(h.time.now, *kept, e.Synced())
    assert submit_all(machine, h.time.now) == {}
    record = decide(machine, ("default", "pod-g"))
    assert record.decision is not None, record.message
    assert record.decision.placement.slot_gpus == (0, 4, 4, 4)
