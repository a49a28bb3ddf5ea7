"""What mock GPUs draw, under work and limits."""

from __future__ import annotations

from rackplane.nodeagent.gpus import MockGpus, Reading


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def gpus(clock: Clock) -> MockGpus:
    return MockGpus(
        count=4,
        idle_watts=200,
        least_watts=300,
        most_watts=1200,
        busy_percent=90,
        lag_seconds=0.5,
        clock=clock,
    )


def test_without_work_they_idle() -> None:
    assert gpus(Clock()).draw_watts() == 800


def test_under_work_they_draw_by_their_limit() -> None:
    clock = Clock()
    found = gpus(clock)
    found.run(range(4))
    clock.now = 60.0
    assert found.draw_watts() == 4 * (200 + 900)
    found.limit(700)
    clock.now = 120.0
    assert found.draw_watts() == 4 * (200 + 450)


def test_a_limit_takes_effect_bit_by_bit() -> None:
    clock = Clock()
    found = gpus(clock)
    found.run(range(4))
    clock.now = 60.0
    found.limit(700)
    assert found.draw_watts() == 4400
    clock.now = 60.5  # one time constant: 1/e of the way is left
    assert found.draw_watts() == round(4 * (650 + 450 * 0.36787944))


def test_a_limit_stays_within_what_they_take() -> None:
    found = gpus(Clock())
    found.limit(100)
    assert found.limited_to() == 300
    found.limit(9000)
    assert found.limited_to() == 1200


def test_only_those_with_work_draw_more_and_get_warmer() -> None:
    clock = Clock()
    found = gpus(clock)
    found.run({1})
    clock.now = 600.0
    # 200 W at idle: 120,000 J in ten minutes. At work 1,100 W, short of what the first half second lacked.
    idle = Reading(watts=200, celsius=36, joules=120_000.0, busy=False, failed=False)
    assert found.readings() == [
        idle,
        Reading(watts=1100, celsius=63, joules=600 * 1100 - 900 * 0.5, busy=True, failed=False),
        idle,
        idle,
    ]


def test_heat_follows_more_slowly_than_the_draw() -> None:
    clock = Clock()
    found = gpus(clock)
    clock.now = 600.0
    found.run({0})
    found.readings()
    clock.now = 605.0
    hot, *_ = found.readings()
    assert (hot.watts, hot.celsius) == (1100, 41)  # of 27 K to come, a fifth


def test_one_that_failed_draws_nothing_and_its_neighbours_go_on() -> None:
    clock = Clock()
    found = gpus(clock)
    found.run(range(4))
    found.fail({2})
    clock.now = 60.0
    assert [r.watts for r in found.readings()] == [1100, 1100, 0, 1100]
    assert [r.failed for r in found.readings()] == [False, False, True, False]
    found.fail(())
    clock.now = 120.0
    assert found.draw_watts() == 4400
