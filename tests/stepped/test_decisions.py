"""One id for one decision: in the Gang's status, in what is logged of each step, in Events, and in the ring buffer."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs

from rackplane.controller.decisions.journal import alike
from tests.support.decided import listening, shown
from tests.support.harness import Harness, facility, thing

HIGH = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": "high"},
    "value": 100,
}


def steps(entry: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(s["what"], s.get("reason", ""), s.get("count", 1)) for s in entry.get("steps", ())]


def named(harness: Harness) -> list[tuple[str, str, str]]:
    """Events that name a decision, as the API server has them: of which kind of object, reason, and which decision."""
    found = []
    for event in harness.cluster.store.items(("", "events")):
        decision = event["metadata"].get("annotations", {}).get("rackplane.dev/decision")
        if decision is not None:
            assert event["message"].endswith(f" (decision {decision})")
            found.append((event["involvedObject"]["kind"], event["reason"], decision))
    return found


def test_a_gang_that_starts_and_is_stopped_for_another() -> None:
    with capture_logs() as logs:
        h, ring = listening()
        h.apply(HIGH, thing("Queue", "research", preemption={"withinQueue": "LowerPriority"}))
        h.job("low", slots=8, run=500)
        h.advance(2)
        first = h.gang("job-low")["status"]["decision"]["id"]
        h.job("urgent", slots=8, run=500, template={"priorityClassName": "high"})
        h.advance(10)
    second = h.gang("job-urgent")["status"]["decision"]["id"]
    entries = shown(ring)
    placed = {e["id"]: e for e in entries if e["result"] == "Placed"}
    assert list(placed) == [first, second]
    assert steps(placed[first]) == [
        ("placed", "", 1),
        ("job resumed", "", 1),
        ("pods let go", "", 8),
        ("running", "", 1),
        ("stopping", "Preempted", 1),
        ("job suspended", "", 1),
        ("place given up", "Preempted", 1),
    ]
    assert steps(placed[second]) == [
        ("placed", "", 1),
        ("job resumed", "", 1),
        ("pods let go", "", 8),
        ("running", "", 1),
    ]
    (plan,) = [e for e in entries if e["result"] == "MakesRoom"]
    assert (plan["gang"], plan["victims"]) == ("default/job-urgent", ["default/job-low"])
    assert sorted(named(h)) == sorted(
        [
            ("Gang", "Preempted", first),
            ("Job", "Placed", first),
            ("Job", "Placed", second),
            ("Job", "Preempted", first),
        ]
    )
    lines = [(e["event"], e["gang"], e["decision"]) for e in logs if e["event"].startswith("gang: ")]
    low, urgent = "default/job-low", "default/job-urgent"
    assert list(dict.fromkeys(lines)) == [
        ("gang: placed", low, first),
        ("gang: job resumed", low, first),
        ("gang: pods let go", low, first),
        ("gang: running", low, first),
        ("gang: others make room", urgent, plan["id"]),
        ("gang: stopping", low, first),
        ("gang: job suspended", low, first),
        ("gang: place given up", low, first),
        ("gang: placed", urgent, second),
        ("gang: job resumed", urgent, second),
        ("gang: pods let go", urgent, second),
        ("gang: running", urgent, second),
    ]


def test_why_a_place_was_chosen_and_what_it_leaves() -> None:
    h, ring = listening(facility(racks=2, row_watts=40_000))
    h.job("train", slots=3, run=100)
    h.settle()
    (entry,) = shown(ring)
    assert entry == {
        "id": h.gang("job-train")["status"]["decision"]["id"],
        "time": "2023-11-14T22:13:20.000Z",
        "gang": "default/job-train",
        "queue": "research",
        "result": "Placed",
        "milliseconds": 0.0,
        "asked": {
            "slots": 3,
            "gpusPerSlot": 4,
            "resource": "nvidia.com/gpu",
            "powerProfile": "MaxP",
            "priority": 0,
        },
        "placement": {
            "groups": [
                {
                    "rack": "r1",
                    "nvlinkDomain": "nvl-r1",
                    "slots": 3,
                    "nodes": ["r1-n0", "r1-n1", "r1-n2"],
                }
            ],
            "powerProfile": "MaxP",
            "nominalWatts": 12_000,
            "peakWatts": 12_000,
            "liquidWatts": 9_600,
            "airWatts": 2_400,
        },
        "considered": [{"level": "nvlink", "domains": 2, "fitting": 2}],
        # 30,000 W of the rack, less 2,000 W of its own, 4 nodes idle at 1,000 W and the 12,000 W.
        "headroomWatts": {"r1": 12_000},
        "steps": entry["steps"],
    }


def test_a_refusal_is_kept_once_with_its_figures_as_they_were_last() -> None:
    h, ring = listening()
    h.job("first", slots=6, run=20)
    h.settle()
    h.job("second", slots=4, run=5)
    h.job("third", slots=4, run=5)
    h.advance(3)
    h.node_ready("r2-n3", False)
    h.advance(3)
    refused = [e for e in shown(ring) if "waitingHelps" in e]
    (entry,) = [e for e in refused if e["result"] == "InsufficientNodes"]
    assert entry["gang"] == "default/job-second" and entry["count"] > 1
    assert entry["levels"] == [
        {"level": "NVLink domain", "domains": 2, "failing": {"nodes": 2}},
        {"level": "facility", "domains": 1, "failing": {"nodes": 1}},
    ]
    assert entry["message"].startswith(
        "needs 4 nodes of 4 GPUs; the facility has 1 free (besides, 1 not healthy)"
    )
    # Who waits for the same waits in the same line, and is not asked.
    lines = {e.gang: e.line for e in ring.newest() if e.wait is not None}
    place = h.machine.world.waiting.order.get(("default", "job-third"))
    assert place is not None and lines == {"default/job-second": alike(place.line)}


def test_slots_that_go_to_another_node_are_a_decision_of_their_own() -> None:
    h, ring = listening(facility(racks=1))
    h.job("train", slots=3, run=500)
    h.settle()
    first = h.gang("job-train")["status"]["decision"]["id"]
    h.node_ready("r1-n0", False)
    h.advance(60)
    second = h.gang("job-train")["status"]["decision"]["id"]
    assert first != second
    entries = {e["id"]: e for e in shown(ring)}
    assert entries[second]["result"] == "SlotsMoved"
    assert entries[second]["placement"]["groups"][0]["nodes"] == ["r1-n3", "r1-n1", "r1-n2"]
    assert steps(entries[second])[0] == ("slots moved", "", 1)
    assert ("pods let go", "", 1) in steps(entries[second])


def test_an_element_over_its_limit_is_a_step_of_the_decision_of_who_gives_way() -> None:
    h, ring = listening(facility(racks=1))
    h.job("train", slots=4, run=500, annotations={"rackplane.dev/disruption": "Sheddable"})
    h.settle()
    h.apply(thing("PowerDomain", "row", type="Busway", ratedWatts=10_000))
    h.advance(10)
    entry = next(e for e in shown(ring) if e["result"] == "Placed")
    assert ("stopping", "Shed", 1) in steps(entry) and ("place given up", "Shed", 1) in steps(entry)


def test_a_new_process_tells_of_decisions_of_the_one_before() -> None:
    h, ring = listening()
    h.job("train", slots=2, run=20)
    h.settle()
    decision = h.gang("job-train")["status"]["decision"]["id"]
    ring_before = shown(ring)
    for kept in list(ring.newest()):
        ring._take((kept.gang, kept.id))
    h.restart_machine()
    h.advance(30)
    (entry,) = shown(ring)
    assert (entry["id"], entry["result"]) == (decision, "Earlier")
    assert steps(entry) == [("finished", "", 1)]
    assert ring_before[0]["id"] == decision
