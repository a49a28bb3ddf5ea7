"""Events and instructions as lines of JSON, and back: nothing is lost that decisions need, and no secret is kept."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rackplane.api.fabric import fabric_of
from rackplane.core import claims as c
from rackplane.core import events as e
from rackplane.core import objects as o
from rackplane.core.gangs.podgroups import PodGroup
from rackplane.core.instructions import (
    AnswerCheck,
    CommitGang,
    Instruction,
    JobSize,
    ResumeJob,
    SendCap,
    SuspendJob,
)
from rackplane.core.recording.lines import Header, Lines
from rackplane.core.recording.replaying import Damaged, replay
from rackplane.core.recording.wire import (
    READ_ANNOTATIONS,
    UnknownEvent,
    event_data,
    event_from,
    instruction_data,
    settings_data,
    settings_from,
)
from rackplane.core.settings import MachineSettings, Shedding
from rackplane.core.site.observed import Observed, RackObserved
from rackplane.core.workloads.kinds import KINDS
from rackplane.core.workloads.view import Body
from rackplane.kube import sharing
from tests.support.recorded import Kept

SECRET = "hunter2"
NOTES = {
    "kubectl.kubernetes.io/last-applied-configuration": SECRET,
    "vault.example.com/token": SECRET,
    "rackplane.dev/power-profile": "MaxQ",
}
KEPT_NOTES = {**NOTES, **dict.fromkeys(list(NOTES)[:2], "")}
META: dict[str, Any] = {
    "name": "n",
    "namespace": "ns",
    "uid": "u",
    "resourceVersion": "5",
    "annotations": NOTES,
    "labels": {"a": "b"},
}
ENV = [{"name": "main", "image": "x", "env": [{"name": "TOKEN", "value": SECRET}], "command": [SECRET]}]
TEMPLATE = {"metadata": {"annotations": NOTES}, "spec": {"containers": ENV}}


def seen(kind: Any, body: dict[str, Any]) -> Any:
    """As an informer decodes it."""
    return msgspec.json.decode(msgspec.json.encode({"metadata": META, **body}), type=kind)


def workload() -> e.WorkloadChanged:
    spec = {"replicatedJobs": [{"name": "main", "template": {"spec": {"template": TEMPLATE}}}]}
    body = msgspec.convert({"metadata": META, "spec": spec}, type=Body)
    return e.WorkloadChanged(KINDS["JobSet"].view(body, "v1alpha2"))


FACILITY = {
    "metadata": {**META, "managedFields": [{"manager": SECRET}]},
    "spec": {"ratedWatts": 5},
    "status": {"conditions": []},
}
STOP, GO_ON = (
    SuspendJob("ns", "n", "u", "5", "job-n", "1-4"),
    ResumeJob("ns", "n", "u", "5", JobSize(2, None, 4)),
)
NUMBERS: dict[int, Instruction] = {7: STOP, 8: GO_ON}
EVENTS: list[e.Event] = [
    e.FacilityChanged("PowerDomain", "n", FACILITY),
    e.FacilityDeleted("PowerDomain", "n"),
    e.NodeChanged(
        seen(o.Node, {"spec": {"taints": [{"key": "k"}]}, "status": {"allocatable": {"cpu": "4"}}})
    ),
    e.NodeDeleted("n"),
    e.PodChanged(seen(o.Pod, {"spec": {"containers": ENV, "nodeName": "x"}, "status": {"phase": "Running"}})),
    e.PodDeleted("ns", "n"),
    e.JobChanged(seen(o.Job, {"spec": {"parallelism": 2, "template": TEMPLATE}, "status": {"active": 1}})),
    e.JobDeleted("ns", "n"),
    workload(),
    e.WorkloadDeleted("JobSet", "ns", "n"),
    e.GangChanged(seen(o.Gang, {"spec": {"slots": 2}, "status": {"explanation": {"cause": "nodes"}}})),
    e.GangDeleted("ns", "n"),
    e.ClaimChanged(seen(c.ResourceClaim, {"spec": {"devices": {"requests": [{"name": "gpu"}]}}})),
    e.ClaimDeleted("ns", "n"),
    e.ClaimTemplateChanged(seen(c.ResourceClaimTemplate, {})),
    e.ClaimTemplateDeleted("ns", "n"),
    e.ComputeDomainChanged(seen(c.ComputeDomain, {})),
    e.ComputeDomainDeleted("ns", "n"),
    e.ComputeDomainsServed(True),
    e.PodGroupChanged(seen(PodGroup, {"spec": {"schedulingPolicy": {"gang": {"minCount": 4}}}})),
    e.PodGroupDeleted("ns", "n"),
    e.PriorityClassChanged(seen(o.PriorityClass, {"value": 5})),
    e.PriorityClassDeleted("n"),
    e.DrawsObserved(Observed(1.25, {"r": RackObserved(1, 2, 3, True, None)}, {"n": 4})),
    e.Synced(),
    e.LeadershipGained(3),
    e.LeadershipLost(),
    e.WriteSucceeded(STOP),
    e.WriteFailed(GO_ON, e.FailureReason.CONFLICT, "changed"),
    e.TimePassed(),
]


def through(event: e.Event) -> e.Event:
    numbers = {id(instruction): number for number, instruction in NUMBERS.items()}
    name, data = event_data(event, lambda instruction: numbers[id(instruction)])
    return event_from(name, msgspec.Raw(msgspec.json.encode(data)), NUMBERS.__getitem__)


def without_notes(value: Any) -> Any:
    """The same with what a recording leaves out of it."""
    if isinstance(value, dict):
        kept = {k: without_notes(v) for k, v in value.items() if k != "managedFields"}
        return KEPT_NOTES if kept == NOTES else kept
    return [without_notes(v) for v in value] if isinstance(value, list) else value


def test_every_kind_of_event_is_among_the_examples() -> None:
    assert {type(event) for event in EVENTS} == set(typing.get_args(e.Event))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_but_for_annotations_that_nobody_reads(event: e.Event) -> None:
    def plain(value: Any) -> Any:
        return msgspec.json.decode(msgspec.json.encode(value))

    found = through(event)
    assert type(found) is type(event)
    if isinstance(event, e.WorkloadChanged) and isinstance(found, e.WorkloadChanged):
        assert found.workload.kind is event.workload.kind
        pairs = [
            (getattr(found.workload, f.name), getattr(event.workload, f.name))
            for f in dataclasses.fields(event.workload)
            if f.name != "kind"
        ]
    else:
        names = [f.name for f in dataclasses.fields(event)]
        pairs = [(getattr(found, name), getattr(event, name)) for name in names]
    assert [plain(one) for one, _ in pairs] == [without_notes(plain(other)) for _, other in pairs]
    # Lists, tuples and structs are of the types that decisions expect.
    again = event_data(found, lambda instruction: 7 if instruction is STOP else 8)
    assert through(found) == found and again[0] == type(event).__name__


def test_no_secret_is_in_a_recording() -> None:
    kept = Kept(MachineSettings())
    kept.asked([STOP, GO_ON])
    kept.told(1.0, EVENTS)
    assert SECRET.encode() not in b"".join(kept.end())


def test_annotations_are_kept_by_the_rule_by_which_pods_and_nodes_keep_theirs() -> None:
    assert READ_ANNOTATIONS == sharing._ANNOTATIONS


def test_an_unknown_event_is_said_so() -> None:
    with pytest.raises(UnknownEvent, match="TeaServed"):
        event_from("TeaServed", msgspec.Raw(b"{}"), NUMBERS.__getitem__)


def test_an_instruction_has_no_fields_that_are_as_they_are_by_default() -> None:
    commit = CommitGang("ns", "n", "5", "1-5", {"phase": "Admitted"})
    assert instruction_data(commit) == (
        "CommitGang",
        {
            "namespace": "ns",
            "name": "n",
            "resource_version": "5",
            "decision_id": "1-5",
            "status": {"phase": "Admitted"},
        },
    )
    check = AnswerCheck("v1", "ns", "n", "u", "5", "g", "c", "Ready", None, "")
    assert "since" in instruction_data(check)[1] and "updates" not in instruction_data(check)[1]


def test_settings_come_back_and_those_of_another_version_are_named() -> None:
    settings = MachineSettings(
        assumed_duration_seconds=math.inf,
        lost_node_conditions=(("GpuHealthy", "False"),),
        shedding=Shedding.CAP,
        ramp_watts_per_second=5.0,
        fabric=fabric_of(("block", "nvlink", "leaf"), {"block": ["example.com/block"]}),
    )
    data = msgspec.json.decode(msgspec.json.encode(settings_data(settings)))
    assert settings_from({**data, "tea": 1}) == (settings, ["tea"])


def cap(node: str, watts: int) -> SendCap:
    return SendCap(node, watts, "MaxQ", ())


def test_a_cap_that_another_follows_before_it_is_sent_is_not_waited_for() -> None:
    lines = Lines(MachineSettings())
    sent, passed_over, last, other = cap("a", 1), cap("a", 2), cap("a", 3), cap("b", 4)
    for each in (sent, passed_over, last, other):
        lines.asked([each])

    def numbers(*caps: SendCap) -> list[Any]:
        line = lines.told(1.0, [e.WriteSucceeded(each) for each in caps])
        return [data["of"] for _, data in msgspec.json.decode(line)["events"]]

    assert numbers(sent) == [1]
    assert numbers(last, other) == [3, 4]
    assert not lines._open and not lines._caps


def lines_of(*more: bytes) -> list[bytes]:
    return [Lines(MachineSettings()).header(started=1.0, identity="a"), *more]


def told(batch: int, *events: Any) -> bytes:
    return msgspec.json.encode({"line": "told", "batch": batch, "at": 1.0, "events": events})


def header(**changes: Any) -> bytes:
    found = msgspec.json.decode(lines_of()[0], type=Header)
    return msgspec.json.encode(msgspec.structs.replace(found, **changes))


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (list, "line 1: this is no recording"),
        (lambda: [b"{}"], "line 1: this is no recording of `rackplane operator --record`: Object missing"),
        (lambda: [header(recording=2)], r"line 1: recorded in format 2 by version \S+, and this one reads 1"),
        (
            lambda: [header(settings={"reservations": "x"})],
            "line 1: a setting cannot be read: Expected `int`",
        ),
        (lambda: lines_of(b"{"), "line 2: cannot be read: Input data was truncated"),
        (lambda: lines_of(told(2)), "line 2: batch 2 follows batch 0: lines are missing"),
        (lambda: lines_of(told(1, ["Tea", {}])), "line 2: event 1: version .* knows no Tea, which version"),
        (
            lambda: lines_of(told(1, ["Synced", {}], ["NodeChanged", {"node": {}}])),
            "line 2: event 2, NodeChanged: cannot be read: Object missing required field `metadata`",
        ),
        (
            lambda: lines_of(told(1, ["WriteSucceeded", {"of": 5}])),
            "line 2: event 1, WriteSucceeded: cannot be read: 5",
        ),
        (
            lambda: lines_of(told(1), b'{"line":"asked","batch":1,"first":3,"instructions":[]}'),
            "line 3: instruction 3 of batch 1 follows instruction 0 of batch 1: lines are missing",
        ),
        (
            lambda: lines_of(told(1), b'{"line":"end","why":"stopped","batches":4}'),
            "line 3: the recording says that it has 4 batches, and there are 1",
        ),
        (
            lambda: lines_of(b'{"line":"end","why":"stopped"}', told(1)),
            "line 3: something follows the last line",
        ),
    ],
)
def test_a_damaged_recording_is_refused_with_the_line(lines: Callable[[], list[bytes]], what: str) -> None:
    with pytest.raises(Damaged, match=what):
        replay(lines())
