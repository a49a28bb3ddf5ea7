"""GPUs whose power can be limited, and a mock of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Gpus", "MockGpus"]


class Gpus(Protocol):
    """The GPUs of a node, all alike.  Every call may raise OSError: the driver does not answer."""

    count: int
    least_watts: int
    """The lowest limit that one of them takes."""
    most_watts: int
    """The highest, which is also the one it has without a limit."""

    def limit(self, watts: int) -> None:
        """Hold each GPU to so many watts, within its range."""

    def limited_to(self) -> int:
        """What each is held to now, in watts, read back."""

    def draw_watts(self) -> int:
        """What all of them draw now."""


@dataclass(slots=True)
class MockGpus:
    """GPUs that do not exist.

    Each draws ``idle_watts``, or while work runs ``busy_percent`` of the way from there to its limit; a change takes
    effect bit by bit, as with a first-order lag of ``lag_seconds``.
    """

    count: int = 4
    idle_watts: int = 200
    least_watts: int = 200
    most_watts: int = 1200
    busy_percent: int = 90
    lag_seconds: float = 0.5
    clock: Callable[[], float] = field(default=lambda: 0.0)
    """Monotonic seconds."""
    busy: bool = False
    _limit: int = 0
    _drawn: float = 0.0
    _at: float = 0.0

    def __post_init__(self) -> None:
        self._limit = self.most_watts
        self._drawn, self._at = float(self.idle_watts), self.clock()

    def run(self, busy: bool) -> None:
        """Whether work runs on them from now on."""
        self._settle()
        self.busy = busy

    def limit(self, watts: int) -> None:
        self._settle()
        self._limit = min(max(watts, self.least_watts), self.most_watts)

    def limited_to(self) -> int:
        return self._limit

    def draw_watts(self) -> int:
        self._settle()
        return round(self.count * self._drawn)

    def _settle(self) -> None:
        now = self.clock()
        above = max(0, self._limit - self.idle_watts)
        target = self.idle_watts + (self.busy_percent * above / 100 if self.busy else 0)
        left = math.exp(-max(0.0, now - self._at) / self.lag_seconds)
        self._drawn = target + (self._drawn - target) * left
        self._at = now
