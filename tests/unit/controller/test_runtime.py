"""Batches, ticks, and what leadership means for the machine."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from rackplane.controller.leadership import Leadership
from rackplane.controller.metrics import Metrics
from rackplane.controller.runtime import ClockSetBack, Runtime
from rackplane.core.events import Event, LeadershipGained, LeadershipLost, Synced, TimePassed, WriteSucceeded
from rackplane.core.instructions import Instruction, SuspendJob

STOP = SuspendJob("ml", "train", "u1", "5")


class Decider:
    def __init__(self) -> None:
        self.batches: list[tuple[Event, ...]] = []
        self.turned = asyncio.Event()
        self.problem: Exception | None = None

    def handle(self, now: float, *events: Event) -> list[Instruction]:
        assert now == 7.0
        self.batches.append(events)
        self.turned.set()
        if self.problem:
            raise self.problem
        return [STOP] if Synced() in events else []


def make(decider: Decider, tick: float = 3600.0) -> tuple[Runtime, list[Instruction]]:
    submitted: list[Instruction] = []
    runtime = Runtime(
        machine=decider, submit=submitted.append, metrics=Metrics(), tick=tick, clock=lambda: 7.0
    )
    return runtime, submitted


def test_everything_queued_is_one_batch() -> None:
    decider = Decider()
    runtime, submitted = make(decider)
    runtime.feed(LeadershipLost(), Synced())
    runtime.feed(LeadershipGained(1))
    runtime.turn()
    runtime.turn()
    assert decider.batches == [(LeadershipLost(), Synced(), LeadershipGained(1))]
    assert submitted == [STOP]


@pytest.mark.parametrize(
    ("took", "pauses"),
    [
        (0.0, [0.0, 0.002, 0.004, 0.008]),
        (0.02, [0.02, 0.04, 0.05, 0.05]),
        (0.06, [0.06, 0.12, 0.12, 0.12]),  # what takes long is done less often
        (3.0, [0.2, 0.2, 0.2, 0.2]),
    ],
)
async def test_while_news_keeps_coming_pauses_grow_so_that_events_share_a_turn(
    took: float, pauses: list[float]
) -> None:
    slept, batches = await _paced(took, busy=4)
    assert slept == pytest.approx(pauses)
    assert batches == [(Synced(),)] + [(LeadershipGained(1), LeadershipLost())] * 3


async def test_after_a_quiet_moment_nothing_waits_longer_than_the_turn_before_took() -> None:
    slept, _ = await _paced(0.001, busy=4, quiet=1)
    assert slept == pytest.approx([0.001, 0.002, 0.004, 0.008, 0.001])


async def _paced(took: float, *, busy: int, quiet: int = 0) -> tuple[list[float], list[tuple[Event, ...]]]:
    """The pauses and the batches of so many turns with news in every pause, and then some with news after it."""
    now, slept = 0.0, list[float]()

    class Slow(Decider):
        def handle(self, at: float, *events: Event) -> list[Instruction]:
            nonlocal now
            now += took
            return super().handle(at, *events)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == busy + quiet:
            raise EOFError
        if len(slept) < busy:
            runtime.feed(LeadershipGained(1), LeadershipLost())
        else:
            asyncio.get_running_loop().call_soon(runtime.feed, Synced())

    decider = Slow()
    runtime = Runtime(
        machine=decider, submit=lambda _: None, metrics=Metrics(), tick=3600.0, clock=lambda: 7.0,
        monotonic=lambda: now, sleep=sleep,
    )  # fmt: skip
    runtime.feed(Synced())
    with pytest.raises(EOFError):
        await runtime.run()
    return slept, decider.batches


async def test_time_passes_when_nothing_happens() -> None:
    decider = Decider()
    runtime, _ = make(decider, tick=0.0)
    running = asyncio.create_task(runtime.run())
    await asyncio.wait_for(decider.turned.wait(), 5)
    running.cancel()
    assert decider.batches[0] == (TimePassed(),)


async def test_a_clock_that_stands_a_hair_before_the_tick_does_not_keep_it_turning_for_nothing() -> None:
    decider = Decider()
    asked, loop = [0.0], asyncio.get_running_loop()

    def monotonic() -> float:
        # A virtual machine was suspended: its clock stands still, the loop's timers do not.
        asked[0] += 1
        return 0.0 if asked[0] < 4 else 0.01 - 1e-12

    runtime = Runtime(
        machine=decider,
        submit=lambda instruction: None,
        metrics=Metrics(),
        tick=0.01,
        clock=lambda: 7.0,
        monotonic=monotonic,
    )
    task = loop.create_task(runtime.run())
    async with asyncio.timeout(5):
        await decider.turned.wait()
    task.cancel()
    assert (decider.batches, asked[0] < 20) == ([(TimePassed(),)], True)


async def test_what_the_machine_raises_ends_the_run() -> None:
    decider = Decider()
    decider.problem = ValueError("a defect")
    runtime, _ = make(decider)
    runtime.feed(Synced())
    with pytest.raises(ValueError, match="a defect"):
        await runtime.run()


@pytest.mark.parametrize(("seconds", "ends"), [(-3600.0, True), (-4.0, False), (3600.0, False)])
def test_a_clock_that_is_set_back_far_ends_the_process(seconds: float, ends: bool) -> None:
    wall, turns = [10_000.0], list[float]()

    class Counting:
        def handle(self, now: float, *events: Event) -> list[Instruction]:
            turns.append(now)
            return []

    runtime = Runtime(
        machine=Counting(),
        submit=lambda _: None,
        metrics=Metrics(),
        clock=lambda: wall[0],
        monotonic=lambda: 5.0,
    )
    runtime.feed(Synced())
    runtime.turn()
    wall[0] += seconds
    runtime.feed(Synced())
    with pytest.raises(ClockSetBack) if ends else contextlib.nullcontext():
        runtime.turn()
    assert turns == ([10_000.0] if ends else [10_000.0, wall[0]])


async def test_leadership_begins_with_a_list_and_is_taken_up_again_after_a_doubt() -> None:
    steps: list[object] = []
    ready, done, answers = asyncio.Event(), asyncio.Event(), [False, True]

    class Lease:
        term = 4

        async def verify(self) -> bool:
            return answers.pop(0)

    async def relist() -> None:
        steps.append("list")

    async def sleep(seconds: float) -> None:
        steps.append("pause")

    def feed(event: Event) -> None:
        steps.append(event)
        if steps.count(LeadershipGained(4)) == 2:
            done.set()

    leadership = Leadership(
        relist=relist, feed=feed, abandon=lambda: steps.append("abandon"), ready=ready, sleep=sleep
    )
    leadership.elector = Lease()
    leading = asyncio.create_task(leadership.gained(4))
    ready.set()
    while not leadership.leading:  # noqa: ASYNC110
        await asyncio.sleep(0)
    leadership.outcome(WriteSucceeded(STOP))
    leadership.outcome(LeadershipLost())
    await asyncio.wait_for(done.wait(), 5)
    leading.cancel()
    await leadership.lost()
    first = ["list", LeadershipGained(4), WriteSucceeded(STOP), "abandon", LeadershipLost()]
    assert steps == [*first, "pause", "list", LeadershipGained(4), "abandon", LeadershipLost()]
