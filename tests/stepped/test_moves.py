"""Gangs that are moved so that another starts, or so that a rack comes free, seen from the objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import generate_latest

from rackplane.controller.metrics import MachineCollector, Metrics
from rackplane.core.queues.moving import movable
from rackplane.core.settings import Defragmentation, MachineSettings
from tests.support.branching import Kill, killed_at
from tests.support.harness import Harness, facility, started

NVLINK = {"rackplane.dev/required-topology": "nvlink"}
JOBS = "/apis/batch/v1/namespaces/default/jobs"


def scattered(*, of_b: dict[str, Any] | None = None, want: int = 4, **options: Any) -> Harness:
    """Two racks of four nodes, with a gang of one node in each, and one that wants a rack."""
    mine = {"kill", "answers_first", "validate", "check"}
    own = {name: options.pop(name) for name in mine & options.keys()}
    check = own.pop("check", None)
    quick = {"status_seconds": 1e9, "defragmentation": Defragmentation.MOVE, "proposing_seconds": 5.0}
    settings = MachineSettings(validate=own.pop("validate", True), **{**quick, **options})
    h = started(facility(racks=2, cooling=False), settings=settings, **own)
    if check is not None:
        h.check = lambda: check(h)
    h.job("first", slots=3, run=20, annotations=NVLINK)
    h.until(lambda: h.phase("job-first") == "Running")
    h.job("a", slots=1, run=None)
    h.until(lambda: h.phase("job-a") == "Running")
    h.advance(5)
    h.job("second", slots=3, run=10, annotations=NVLINK)
    h.until(lambda: h.phase("job-second") == "Running")
    h.job("b", slots=1, run=None, annotations=of_b)
    h.until(lambda: h.phase("job-b") == "Running")
    h.until(lambda: h.phase("job-second") == "Finished" and h.phase("job-first") == "Finished")
    if want:
        h.job("want", slots=want, run=60, annotations=NVLINK)
    return h


def racks(h: Harness, gang: str) -> set[str]:
    return {group["rack"] for group in h.gang(gang)["status"].get("assignment", ())}


def condition(h: Harness, gang: str, kind: str) -> dict[str, Any]:
    return next(c for c in h.gang(gang)["status"]["conditions"] if c["type"] == kind)


def test_the_cheapest_gang_moves_and_the_one_that_waits_starts_in_its_place() -> None:
    h = scattered()
    before = {gang: racks(h, gang) for gang in ("job-a", "job-b")}
    submitted = h.gang("job-b")["status"]["submittedAt"]
    h.until(lambda: h.phase("job-want") == "Running" and h.phase("job-b") == "Running", seconds=60)
    assert racks(h, "job-want") == before["job-b"]
    assert racks(h, "job-b") == racks(h, "job-a") == before["job-a"]
    status = h.gang("job-b")["status"]
    assert status["submittedAt"] == submitted
    assert "reservation" not in status
    (rack,), (there,) = before["job-a"], before["job-b"]
    told = [t for t in h.told if t.name in ("job-b", "b") and t.reason == "Moved"]
    lost = status["lastMove"]["lostGpuSeconds"]
    text = (
        f"moves to {rack} so that gang default/job-want can start on {there}: {lost / 3600:,.1f} GPU-hours of its "
        "work are done again"
    )
    assert [(t.kind, t.message) for t in told] == [("Gang", text), ("Job", text)]
    assert (status["lastMove"]["why"], [g["rack"] for g in status["lastMove"]["before"]]) == (
        f"so that gang default/job-want can start on {there}",
        [there],
    )
    assert not h.get("batch", "jobs", "b")["status"].get("failed")
    assert h.machine.world.held_places == {}
    metrics = Metrics()
    metrics.registry.register(MachineCollector(h.machine, {}))
    found = generate_latest(metrics.registry).decode()
    values = {line for line in found.splitlines() if line.startswith("rackplane_defragmentation_moves_total")}
    assert values == {
        f'rackplane_defragmentation_moves_total{{result="{result}"}} {float(result == "placed")}'
        for result in ("placed", "released", "back", "given up")
    }


@pytest.mark.parametrize("disruption", ["Protected", "Sheddable"])
def test_only_checkpointable_gangs_are_moved(disruption: str) -> None:
    h = scattered(of_b={"rackplane.dev/disruption": disruption})
    before = racks(h, "job-a")
    h.until(lambda: h.phase("job-want") == "Running" and h.phase("job-a") == "Running", seconds=60)
    assert racks(h, "job-want") == before
    assert "lastMove" not in h.gang("job-b")["status"]


@pytest.mark.parametrize(
    ("settings", "of_b", "proposed"),
    [
        ({"moves_per_hour": 0}, {}, True),
        ({"lost_gpu_hours_per_hour": 0.1}, {}, True),
        ({"most_lost_gpu_hours": 0.1}, {}, False),
        ({"least_gain": 1e9}, {}, True),
        ({"defragmentation": Defragmentation.PROPOSE}, {}, True),
        # It is expected to end by itself soon enough: 16 GPUs that wait for some minutes are less than 0.3 GPU-hours.
        ({"least_gain": 20.0}, {"rackplane.dev/expected-duration": "5m"}, True),
        ({"defragmentation": Defragmentation.OFF}, {}, False),
    ],
)
def test_what_the_budget_does_not_allow_or_gains_too_little_is_proposed_at_most(
    settings: dict[str, Any], of_b: dict[str, str], proposed: bool
) -> None:
    h = scattered(of_b=of_b, **settings)
    h.advance(120, step=5)
    assert (h.phase("job-want"), h.phase("job-a"), h.phase("job-b")) == ("Pending", "Running", "Running")
    kinds = {c["type"]: c["status"] for c in h.gang("job-want")["status"]["conditions"]}
    assert (kinds.get("MovesProposed") == "True") is proposed


def test_what_moves_may_lose_counts_for_an_hour_and_outlives_the_process() -> None:
    h = scattered(moves_per_hour=1, rest_seconds=3_600.0)
    h.until(lambda: h.phase("job-want") == "Running" and h.phase("job-b") == "Running", seconds=60)
    h.until(lambda: h.phase("job-want") == "Finished", seconds=100)
    # a and b share a rack now; nobody but them keeps a gang from the whole of both.
    h.job("both", slots=3, run=None, annotations=NVLINK)
    h.job("again", slots=4, run=20, annotations=NVLINK)
    h.until(lambda: h.phase("job-both") == "Running", seconds=30)
    h.restart_machine()
    h.advance(60, step=5)
    assert h.phase("job-again") == "Pending"
    assert h.machine.world.move_results == {}


def test_whoever_was_moved_rests() -> None:
    h = scattered(rest_seconds=3_600.0)
    h.until(lambda: h.phase("job-want") == "Running" and h.phase("job-b") == "Running", seconds=60)
    world = h.machine.world
    assert [record.key[1] for record in movable(world)] == ["job-a", "job-want"]
    h.time.now += 3_600
    h.advance(1)
    assert "job-b" in [record.key[1] for record in movable(world)]


def stopping(h: Harness, gang: str) -> None:
    """Up to the write that stops the gang, and what the operator sees of it."""
    for _ in range(200):
        if h.phase(gang) == "Stopping":
            return
        h.cluster.settle(), h.agents(), h.deliver(), h.write()
    raise AssertionError(h.summary())


def test_the_gang_that_waits_is_deleted_midway() -> None:
    h = scattered()
    stopping(h, "job-b")
    h.request("DELETE", f"{JOBS}/want", {"propagationPolicy": "Background"})
    h.until(lambda: h.phase("job-b") == "Running", seconds=60)
    assert (h.phase("job-want"), h.machine.world.held_places) == ("", {})
    assert not h.get("batch", "jobs", "b")["status"].get("failed")


@pytest.mark.parametrize("all_of_them", [False, True])
def test_the_new_place_is_lost_midway(all_of_them: bool) -> None:
    """One node: another takes the gang. All of them: it goes back, and the one that waits goes on waiting."""
    h = scattered()
    old = racks(h, "job-b")
    stopping(h, "job-b")
    planned = h.gang("job-b")["status"]["reservation"]["assignment"][0]
    free = [f"{planned['rack']}-n{n}" for n in range(4)]
    for node in free if all_of_them else planned["nodes"]:
        if node not in {n for g in h.gang("job-a")["status"]["assignment"] for n in g["nodes"]}:
            h.node_ready(node, False)
    h.until(lambda: h.phase("job-b") == "Running", seconds=60)
    if all_of_them:
        assert racks(h, "job-b") == old
        assert (h.phase("job-want"), h.machine.world.move_results) == ("Pending", {"released": 1, "back": 1})
    else:
        h.until(lambda: h.phase("job-want") == "Running", seconds=60)
        assert (racks(h, "job-b"), racks(h, "job-want")) == ({planned["rack"]}, old)
    assert not h.get("batch", "jobs", "b")["status"].get("failed")


@pytest.mark.parametrize(("price", "moved"), [(0.0, 0), (0.01, 0), (10.0, 1)])
def test_whole_racks_come_free_for_the_stated_price(price: float, moved: int) -> None:
    h = scattered(want=0, domain_gpu_hours=price)
    h.advance(60, step=5)
    h.until(lambda: h.phase("job-a") == h.phase("job-b") == "Running", seconds=60)
    moves = [g for g in ("job-a", "job-b") if "lastMove" in h.gang(g)["status"]]
    assert len(moves) == moved
    assert len(racks(h, "job-a") | racks(h, "job-b")) == 2 - moved
    if moved:
        (freed,) = {g["rack"] for g in h.gang(moves[0])["status"]["lastMove"]["before"]}
        assert h.gang(moves[0])["status"]["lastMove"]["why"] == f"so that nvl-{freed} is whole"


# -- killed at every write ---------------------------------------------------------------------------


def watch(h: Harness) -> None:
    """No limit is broken, no GPU is held twice or lost."""
    state = h.machine.state
    if state is None:
        return
    assert state.violations() == [] and state.overbooked() == []
    used: Counter[str] = Counter()
    for pod in h.pods():
        if pod["spec"].get("nodeName") and pod["status"].get("phase") not in ("Succeeded", "Failed"):
            used[pod["spec"]["nodeName"]] += 4
    assert all(gpus <= 4 for gpus in used.values()), used


def goes_on(h: Harness) -> None:
    h.until(lambda: h.phase("job-want") == "Finished" and h.phase("job-b") == "Running", seconds=200)
    assert racks(h, "job-a") == racks(h, "job-b") and len(racks(h, "job-a")) == 1


def is_whole(h: Harness) -> None:
    h.until(
        lambda: racks(h, "job-a") == racks(h, "job-b") and h.phase("job-a") == h.phase("job-b") == "Running",
        seconds=200,
    )
    h.advance(3)


SCENARIOS: dict[str, tuple[dict[str, Any], Callable[[Harness], None]]] = {
    "for-a-gang": ({}, goes_on),
    "for-a-rack": ({"want": 0, "domain_gpu_hours": 10.0}, is_whole),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_any_write_each_gang_moves_once(name: str) -> None:
    options, goes = SCENARIOS[name]
    planned = Planned()

    def run(kill: Kill) -> Harness:
        h = scattered(validate=False, check=planned, kill=kill, **options)
        goes(h)
        moved = [t for t in h.told if (t.kind, t.reason) == ("Gang", "Moved")]
        assert len({t.name for t in moved}) <= 1 and len(moved) <= 2, moved
        assert [g for g in ("job-a", "job-b") if "lastMove" in h.gang(g)["status"]] == ["job-b"]
        assert not h.get("batch", "jobs", "b")["status"].get("failed")
        assert h.machine.world.held_places == {}
        h.machine.validate()
        return h

    assert killed_at(lambda number, moment: planned.yet, run) > 8


class Planned:
    """Looks after every write for what must never be, and for the first place that is held for a move."""

    def __init__(self) -> None:
        self.yet = False

    def __call__(self, h: Harness) -> None:
        watch(h)
        self.yet = self.yet or bool(h.machine.world.held_places)


def two_to_move(
    check: Callable[[Harness], None],
    *,
    kill: Callable[[int, str], bool] = lambda number, when: False,
    validate: bool = False,
) -> Harness:
    """Three racks of four nodes: `a` and `b` on one, and each of the others has room for one of them.

    `want` needs a whole rack, so that both have to move, and each to another rack.
    """
    settings = MachineSettings(
        status_seconds=1e9, defragmentation=Defragmentation.MOVE, proposing_seconds=5.0, validate=validate
    )
    h = started(facility(racks=3, cooling=False), settings=settings, kill=kill)
    h.check = lambda: check(h)
    stays = {**NVLINK, "rackplane.dev/disruption": "Protected"}
    for name, slots, runs, notes in (
        ("c", 3, None, stays),
        ("d", 3, None, stays),
        ("fill-c", 1, 6, {}),
        ("fill-d", 1, 6, {}),
        ("a", 1, None, {}),
        ("b", 1, None, {}),
    ):
        h.job(name, slots=slots, run=runs, annotations=notes)
        h.until(lambda gang=f"job-{name}": h.phase(gang) == "Running")  # type: ignore[misc]
    h.until(lambda: h.phase("job-fill-c") == h.phase("job-fill-d") == "Finished")
    h.job("want", slots=4, run=3, annotations=NVLINK)
    return h


def both_go_on(h: Harness) -> None:
    h.until(
        lambda: h.phase("job-want") == "Finished" and h.phase("job-a") == h.phase("job-b") == "Running",
        seconds=200,
    )
    assert racks(h, "job-a") | racks(h, "job-b") == racks(h, "job-c") | racks(h, "job-d")


def test_killed_at_any_write_of_a_plan_of_two_moves_both_move_once_and_the_gang_starts() -> None:
    planned = Planned()

    def run(kill: Kill) -> Harness:
        h = two_to_move(planned, kill=kill)
        stay = [racks(h, g) for g in ("job-c", "job-d")]
        both_go_on(h)
        told = Counter(t.name for t in h.told if (t.kind, t.reason) == ("Gang", "Moved"))
        # Events are told once: one that a process dies with is lost, but not what `lastMove` says of it.
        assert set(told) <= {"job-a", "job-b"} and sum(told.values()) <= 3, told
        moved = [g for g in h.gangs() if "lastMove" in h.gang(g)["status"]]
        assert moved == ["job-a", "job-b"]
        assert [racks(h, g) for g in ("job-c", "job-d")] == stay
        assert not [j for j in h.cluster.store.items(("batch", "jobs")) if j["status"].get("failed")]
        assert h.machine.world.held_places == {}
        h.machine.validate()
        return h

    assert killed_at(lambda number, moment: planned.yet, run) > 20
