"""What the storm found, as the shortest sequence that shows it: a write goes unanswered while the hall changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rackplane.localcluster import Request, Response
from rackplane.localcluster.store import Change
from tests.support.harness import GROUP, Harness, facility, started

ROW = f"/apis/{GROUP}/v1alpha1/powerdomains/row"
#: One rack of four nodes: 2 kW of its own, 1 kW for each idle node, and 4 kW more for each that works.
ONE_GANG_WATTS = 2_000 + 4 * 5_000


@contextmanager
def commits_unanswered(h: Harness, *, land: bool) -> Iterator[list[str]]:
    """The API server answers each commit with 503; yields the gangs that asked.

    Args:
        land: whether it carries them out all the same.
    """
    asked: list[str] = []
    handle = h.cluster.handle

    def refuse(request: Request) -> Response:
        body = request.body if isinstance(request.body, dict) else {}
        if not request.path.endswith("/status") or "assignment" not in body.get("status", {}):
            return handle(request)
        asked.append(request.path.split("/")[-2])
        if land:
            handle(request)
        return Response(503, {"reason": "ServiceUnavailable", "message": "try again"})

    h.cluster.handle = refuse  # type: ignore[method-assign]
    try:
        yield asked
    finally:
        h.cluster.handle = handle  # type: ignore[method-assign]


def follow_phases(h: Harness, gang: str) -> list[str]:
    """The phases that the gang will have, as they change."""
    phases: list[str] = []

    def changed(change: Change) -> None:
        phase = change.object.get("status", {}).get("phase") if change.name == gang else None
        if phase is not None and phases[-1:] != [phase]:
            phases.append(phase)

    h.cluster.store.subscribe(changed)
    return phases


def set_row(h: Harness, watts: int) -> None:
    h.patch(ROW, {"spec": {"ratedWatts": watts}})


def test_a_commit_that_was_not_taken_is_not_repeated_once_the_hall_carries_less() -> None:
    h = started(facility(racks=1, nodes=4))
    phases = follow_phases(h, "job-a")
    with commits_unanswered(h, land=False) as asked:
        h.job("a", slots=4)
        h.settle()
        assert asked == ["job-a"]
        set_row(h, ONE_GANG_WATTS - 1_000)
        h.settle()
    h.advance(5)
    assert phases == ["Pending"]
    assert "power domain row" in h.gang("job-a")["status"]["message"]
    assert h.machine.state is not None and list(h.machine.state.keys()) == []
    set_row(h, ONE_GANG_WATTS)
    h.until(lambda: h.phase("job-a") == "Finished")
    assert phases == ["Pending", "Admitted", "Running", "Finished"]


def test_growth_that_was_not_taken_is_not_repeated_once_the_hall_carries_less() -> None:
    h = started(facility(racks=1, nodes=4))
    h.job("first", slots=2, run=20)
    h.settle()
    h.job("a", slots=4, run=300, indexed=False, annotations={"rackplane.dev/min-slots": "2"})
    h.until(lambda: h.phase("job-a") == "Running")
    phases = follow_phases(h, "job-a")
    with commits_unanswered(h, land=False) as asked:
        h.until(lambda: bool(asked))
        set_row(h, ONE_GANG_WATTS - 1_000)
        h.settle()
    h.advance(5)
    assert set(phases) <= {"Running"}
    assert h.gang("job-a")["status"]["slots"] == 2
    set_row(h, ONE_GANG_WATTS)
    h.until(lambda: h.gang("job-a")["status"]["slots"] == 4)


def test_a_commit_that_was_taken_stays_whatever_became_of_its_answer() -> None:
    h = started(facility(racks=1, nodes=4))
    with commits_unanswered(h, land=True):
        h.job("a", slots=4)
        h.settle()
    decision = h.gang("job-a")["status"]["decision"]
    h.until(lambda: h.phase("job-a") == "Running")
    assert h.gang("job-a")["status"]["decision"] == decision
