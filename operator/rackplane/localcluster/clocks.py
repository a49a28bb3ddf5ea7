"""A wall clock that can be set, as NTP, an administrator or a resumed virtual machine does."""

from __future__ import annotations

import asyncio


class WallClock:
    """Seconds since the epoch. It runs with the event loop's own clock, which `jump` leaves alone.

    On a loop in virtual time this is virtual time too.
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._since: float | None = None

    def __call__(self) -> float:
        try:
            now = asyncio.get_running_loop().time()
        except RuntimeError:
            return self._start  # Nothing has run yet, or any more.
        if self._since is None:
            self._since = now
        return self._start + now - self._since

    def jump(self, seconds: float) -> None:
        """Set the clock forward or, with a negative number, back."""
        self._start += seconds
