"""The last hour in a bounded ring."""

from __future__ import annotations

from rackplane.floorplan import model as m
from rackplane.floorplan.history import History, Moment, compressed
from tests.support.floors import campus

LAYOUT = m.identified(m.Layout())
START = 1_700_000_000.0


def frame(at: float, used: int = 0, layout: str = LAYOUT.id) -> m.Frame:
    return m.Frame(at=at, layout=layout, totals=m.Totals(gpus=8, used=used))


def filled(history: History, *seconds: float) -> list[float]:
    for at in seconds:
        history.add(compressed(frame(START + at)), LAYOUT)
    return [moment.at - START for moment in history.moments()]


def test_frames_lie_close_together_of_late_and_further_apart_before() -> None:
    history = History(seconds=100, dense_seconds=10, spacing_seconds=20)
    kept = filled(history, *range(0, 201, 2))
    assert kept == [100, 120, 140, 160, 180, 190, 192, 194, 196, 198, 200]


def test_what_was_kept_of_the_past_stays_until_it_is_too_old() -> None:
    history = History(seconds=100, dense_seconds=10, spacing_seconds=20)
    before = filled(history, *range(0, 201, 2))
    after = filled(history, 202, 204)
    assert [at for at in before if 104 <= at < 190] == [at for at in after if at < 190]


def test_the_oldest_go_when_all_of_them_are_too_large() -> None:
    size = sum(len(compressed(frame(START + at)).body) for at in (2, 3, 4))
    history = History(most_bytes=size)
    assert filled(history, 0, 1, 2, 3, 4) == [2, 3, 4]
    assert history.size == size


def test_the_frame_that_was_in_force_at_a_time() -> None:
    history = History()
    assert history.at(START) is None
    filled(history, 10, 20)
    found = [history.at(START + at) for at in (0, 10, 15, 20, 99)]
    assert [None if entry is None else entry.moment.at - START for entry in found] == [10, 10, 10, 20, 20]


def test_moments_are_sums_for_a_time_line() -> None:
    history = History()
    history.add(compressed(frame(START, used=3)), LAYOUT)
    assert history.moments() == [Moment(at=START, layout=LAYOUT.id, gpus=8, used=3)]


def test_layouts_go_with_their_last_frame() -> None:
    old, _ = campus(1)
    history = History(seconds=50)
    history.add(compressed(frame(START, layout=old.id)), old)
    filled(history, 40)
    assert history.layout(old.id) == old
    filled(history, 60)
    assert history.layout(old.id) is None and history.layouts() == [LAYOUT]


def test_a_clock_that_was_set_back_begins_anew() -> None:
    assert filled(History(), 100, 110, 50, 60) == [50, 60]


def test_an_hour_of_a_campus_is_below_its_bound() -> None:
    _, last = campus(busy=7)
    # 30 frames of the last minute and 360 of the hour, none of which compresses into another.
    assert 390 * len(compressed(last).body) < 24_000_000


def test_a_second_frame_of_one_moment_replaces_the_first() -> None:
    history = History()
    filled(history, 10, 20)
    history.add(compressed(frame(START + 20, used=3)), LAYOUT)
    assert list(history.frames()) == [frame(START + 10), frame(START + 20, used=3)]
