"""What changes now and then is written at once, what changes all the time is not."""

from __future__ import annotations

from rackplane.core.pacing import Pace


def written(pace: Pace[str], until: float, *, most: int = 2, seconds: float = 10) -> list[float]:
    """When a node is written of which there is something to tell each second."""
    times = []
    for now in map(float, range(int(until))):
        if pace.due("node", most=most, seconds=seconds) <= now:
            pace.spend("node", now, most=most, seconds=seconds)
            times.append(now)
    return times


def test_so_many_at_once_and_then_one_as_each_of_them_comes_back() -> None:
    assert written(Pace(), 45) == [0, 1, 10, 20, 30, 40]


def test_writes_that_could_not_wait_put_the_next_off_by_the_seconds_at_most() -> None:
    pace: Pace[str] = Pace()
    for now in range(100):
        pace.spend("node", now, most=2, seconds=10)
    assert pace.due("node", most=2, seconds=10) == 109


def test_each_object_has_a_pace_of_its_own_and_a_new_one_none() -> None:
    pace: Pace[str] = Pace()
    pace.spend("node", 5, most=1, seconds=10)
    assert pace.due("other", most=1, seconds=10) < 0
    pace.forget("node")
    assert pace.due("node", most=1, seconds=10) < 0
    pace.spend("node", 5, most=1, seconds=10)
    pace.clear()
    assert pace.due("node", most=1, seconds=10) < 0
