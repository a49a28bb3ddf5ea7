"""How late the event loop wakes up: whatever keeps it busy keeps decisions, probes and the Lease waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from prometheus_client import Histogram

__all__ = ["watch_loop"]

_EVERY: Final = 0.5


async def watch_loop(
    lag: Histogram,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> None:
    """Sleep and see how long it took, until cancelled."""
    while True:
        before = monotonic()
        await sleep(_EVERY)
        lag.observe(max(0.0, monotonic() - before - _EVERY))
