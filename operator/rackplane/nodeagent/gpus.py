"""GPUs whose power can be limited, and a mock of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Gpus", "MockGpus", "Reading"]


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


@dataclass(frozen=True, slots=True)
class Reading:
    """What one GPU says of itself."""

    watts: int
    celsius: int
    joules: float
    """Since it was made."""
    busy: bool
    failed: bool


@dataclass(slots=True)
class _Gpu:
    watts: float
    celsius: float
    joules: float = 0.0


@dataclass(slots=True)
class MockGpus:
    """GPUs that do not exist.

    Each draws ``idle_watts``, or while work runs on it ``busy_percent`` of the way from there to its limit; a change
    takes effect bit by bit, as with a first-order lag of ``lag_seconds``. It is warmer than the coolant by
    ``kelvin_per_watt`` of its draw, with a lag of ``heat_lag_seconds``. One that has failed draws nothing.

    The thermal figures are guesses at a cold plate with warm water: 1,400 W end at 72 degrees.
    """

    count: int = 4
    idle_watts: int = 200
    least_watts: int = 200
    most_watts: int = 1200
    busy_percent: int = 90
    lag_seconds: float = 0.5
    coolant_celsius: float = 30.0
    kelvin_per_watt: float = 0.03
    heat_lag_seconds: float = 20.0
    clock: Callable[[], float] = field(default=lambda: 0.0)
    """Monotonic seconds."""
    busy: frozenset[int] = frozenset()
    failed: frozenset[int] = frozenset()
    _limit: int = 0
    _at: float = 0.0
    _gpus: list[_Gpu] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._limit = self.most_watts
        self._at = self.clock()
        warm = self.coolant_celsius + self.kelvin_per_watt * self.idle_watts
        self._gpus = [_Gpu(float(self.idle_watts), warm) for _ in range(self.count)]

    def run(self, busy: Iterable[int]) -> None:
        """On which of them work runs from now on, by index; others than there are count nothing."""
        self._settle()
        self.busy = frozenset(busy)

    def fail(self, failed: Iterable[int]) -> None:
        """Which of them are broken from now on; those that were and are not named are well again."""
        self._settle()
        self.failed = frozenset(failed)

    def limit(self, watts: int) -> None:
        self._settle()
        self._limit = min(max(watts, self.least_watts), self.most_watts)

    def limited_to(self) -> int:
        return self._limit

    def draw_watts(self) -> int:
        self._settle()
        return round(sum(gpu.watts for gpu in self._gpus))

    def readings(self) -> list[Reading]:
        """Of each, by index."""
        self._settle()
        return [
            Reading(round(gpu.watts), round(gpu.celsius), gpu.joules, i in self.busy, i in self.failed)
            for i, gpu in enumerate(self._gpus)
        ]

    def _settle(self) -> None:
        now = self.clock()
        passed = max(0.0, now - self._at)
        self._at = now
        if not passed:
            return
        left = math.exp(-passed / self.lag_seconds)
        cold = math.exp(-passed / self.heat_lag_seconds)
        for index, gpu in enumerate(self._gpus):
            target = self._target(index)
            above = gpu.watts - target
            joules = target * passed + above * self.lag_seconds * (1 - left)
            # The draw settles much sooner than the heat: its mean will do.
            warm = self.coolant_celsius + self.kelvin_per_watt * joules / passed
            gpu.watts = target + above * left
            gpu.celsius = warm + (gpu.celsius - warm) * cold
            gpu.joules += joules

    def _target(self, index: int) -> float:
        if index in self.failed:
            return 0.0
        if index not in self.busy:
            return float(self.idle_watts)
        return self.idle_watts + self.busy_percent * max(0, self._limit - self.idle_watts) / 100
