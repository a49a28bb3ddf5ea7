"""What mock GPUs draw, under work and limits."""

from __future__ import annotations

from rackplane.nodeagent.gpus import MockGpus


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
    found.run(True)
    clock.now = 60.0
    assert found.draw_watts() == 4 * (200 + 900)
    found.limit(700)
    clock.now = 120.0
    assert found.draw_watts() == 4 * (200 + 450)


def test_a_limit_takes_effect_bit_by_bit() -> None:
    clock = Clock()
    found = gpus(clock)
    found.run(True)
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
