"""Random events on a small hall, recorded: a fresh machine that is told the same asks for the same, write for write."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rackplane.core.recording.replaying import replay
from rackplane.core.settings import Defragmentation, MachineSettings
from tests.support.harness import Harness, facility, thing
from tests.support.recorded import Kept

MODES = (
    MachineSettings(),
    MachineSettings(reservations=3, defragmentation=Defragmentation.MOVE, restore_seconds=5.0),
    MachineSettings(observe=True),
)

happening = st.one_of(
    st.tuples(st.just("job"), st.integers(1, 10), st.sampled_from(["0", "50"]), st.booleans()),
    st.tuples(st.just("watts"), st.integers(1, 8)),
    st.tuples(st.just("node"), st.integers(0, 7), st.booleans()),
    st.tuples(st.just("suspend"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("quota"), st.integers(0, 32)),
    st.tuples(st.just("restart")),
    st.tuples(st.just("wait"), st.integers(1, 12)),
)


def happens(h: Harness, what: tuple[Any, ...], number: int) -> None:
    match what:
        case ("job", slots, priority, elastic):
            notes = {"rackplane.dev/min-slots": "1"} if elastic else {}
            notes |= {"example.com/owner": f"team-{number}", "rackplane.dev/expected-duration": f"{slots}m"}
            template = {"priorityClassName": f"p{priority}"}
            h.job(f"j{number}", slots=slots, run=5.0 + slots, annotations=notes, template=template)
        case ("watts", nodes):
            h.apply(thing("PowerDomain", "row", type="Busway", ratedWatts=12_000 + nodes * 4_000))
        case ("node", index, ready):
            h.node_ready(f"r{1 + index // 4}-n{index % 4}", ready)
        case ("suspend", job, value):
            if h.cluster.store.get(("batch", "jobs"), "default", f"j{job}") is not None:
                h.suspend(f"j{job}", value)
        case ("quota", gpus):
            h.apply(thing("Queue", "research", quota={"gpus": gpus} if gpus else {}))
        case ("restart",):
            h.restart_machine()
        case ("wait", seconds):
            h.advance(float(seconds))


@given(st.sampled_from(MODES), st.booleans(), st.lists(happening, min_size=6, max_size=14))
@settings(max_examples=4, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_recorded_history_replays_to_the_same_instructions(
    mode: MachineSettings, answers_first: bool, history: list[tuple[Any, ...]]
) -> None:
    kept: list[Kept] = []

    def record(of: MachineSettings) -> Kept:
        kept.append(Kept(of))
        return kept[-1]

    h = Harness(settings=mode, answers_first=answers_first, record=record)
    for value in (0, 50):
        h.apply(priority_class(value))
    h.apply(*facility(racks=2, row_watts=40_000))
    h.start_machine()
    for number, what in enumerate(history):
        happens(h, what, number)
        h.settle()
    h.advance(5.0)
    asked = 0
    for each in kept:
        found = replay(each.end())
        assert found.difference is None
        assert found.end is not None and found.end.batches == found.batches
        asked += found.instructions
    assert asked >= h.writes


def priority_class(value: int) -> dict[str, Any]:
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    return {**kind, "metadata": {"name": f"p{value}"}, "value": value}


def test_another_decision_is_found_with_the_field_in_which_it_differs() -> None:
    kept: list[Kept] = []

    def record(of: MachineSettings) -> Kept:
        kept.append(Kept(of))
        return kept[-1]

    h = Harness(record=record)
    h.apply(*facility())
    h.start_machine()
    h.job("train", slots=2)
    h.settle()
    (commit,) = h.commits
    lines = kept[0].end()
    place = next(i for i, line in enumerate(lines) if b'"CommitGang"' in line)
    asked = msgspec.json.decode(lines[place])
    nodes = next(data for name, data in asked["instructions"] if name == "CommitGang")["status"]["assignment"]
    nodes[0]["nodes"][1] = "r9-n9"
    lines[place] = msgspec.json.encode(asked)
    found = replay(lines).difference
    assert found is not None and found.recorded is not None and found.now is not None
    assert (found.recorded[0], found.now[0]) == ("CommitGang", "CommitGang")
    assert found.now[1]["decision_id"] == commit.decision_id
    assert found.fields == (("status.assignment[0].nodes[1]", '"r9-n9"', '"r1-n1"'),)
    assert "GangChanged default/job-train" in found.told


def test_pods_that_are_left_behind_are_evicted_in_an_order_that_every_process_has() -> None:
    kept: list[Kept] = []

    def record(of: MachineSettings) -> Kept:
        kept.append(Kept(of))
        return kept[-1]

    h = Harness(record=record)
    h.apply(*facility(racks=1, nodes=10, rack_watts=80_000))
    h.start_machine()
    h.job("train", slots=5, run=3600)
    h.settle()
    for number in range(4):
        h.node_ready(f"r1-n{number}", False)
    h.advance(40.0)
    asked = [msgspec.json.decode(line) for line in kept[0].lines if b'"EvictPod"' in line]
    evicted = [data["uid"] for name, data in asked[0]["instructions"] if name == "EvictPod"]
    assert len(evicted) == 4 and evicted == sorted(evicted)
