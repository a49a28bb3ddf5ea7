"""Python's cyclic garbage collector, set for a process that holds much and for long.

Nodes, pods and gangs are hundreds of thousands of objects that live for hours and are in no cycles; left to itself the
collector walks them all again and again, in the midst of decisions. So what is there is set aside (`gc.freeze`) once a
minute, when what came since has been collected, and all of it is looked through once an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

__all__ = ["SETTLE_SECONDS", "collected", "settle", "tune"]

SETTLE_SECONDS: Final = 60.0
_WHOLE_EVERY: Final = 60
#: New objects before the young are looked through; how often that is done before the next generation's turn, and that
#: before the turn of all that is not set aside.
_THRESHOLDS: Final = (10_000, 20, 50)


def tune() -> None:
    """Let the collector look less often."""
    gc.set_threshold(*_THRESHOLDS)


def settle(*, whole: bool = False) -> None:
    """Collect, and set aside what is left.

    Args:
        whole: look through what was set aside before as well.
    """
    if whole:
        gc.unfreeze()
    gc.collect()
    gc.freeze()


@contextlib.asynccontextmanager
async def collected(sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep) -> AsyncIterator[None]:
    """While this lasts the collector is tended. Afterwards it is as before."""
    before = gc.get_threshold()
    tune()
    task = asyncio.create_task(_tend(sleep), name="garbage")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        gc.unfreeze()
        gc.set_threshold(*before)


async def _tend(sleep: Callable[[float], Awaitable[Any]]) -> None:
    turn = 0
    while True:
        await sleep(SETTLE_SECONDS)
        turn += 1
        settle(whole=turn % _WHOLE_EVERY == 0)
