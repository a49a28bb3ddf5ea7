"""The garbage collector while the operator runs."""

from __future__ import annotations

import asyncio
import gc
import weakref

from rackplane.controller.collecting import SETTLE_SECONDS, collected, settle


class _Cycle:
    def __init__(self) -> None:
        self.itself = self


async def test_what_is_there_is_set_aside_once_a_minute_and_the_collector_is_given_back_as_it_was() -> None:
    before, slept, turns = gc.get_threshold(), list[float](), asyncio.Event()
    gone = weakref.ref(_Cycle())

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > 1:
            turns.set()
            await asyncio.Event().wait()

    async with collected(sleep):
        await turns.wait()
        assert gone() is None
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() != before
    assert slept == [SETTLE_SECONDS, SETTLE_SECONDS]
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, before)


def test_what_becomes_a_cycle_after_it_was_set_aside_is_found_when_all_is_looked_through() -> None:
    kept = _Cycle()
    gone = weakref.ref(kept)
    try:
        settle()
        del kept
        settle()
        assert gone() is not None
        settle(whole=True)
        assert gone() is None
    finally:
        gc.unfreeze()
