"""What the machine measures of its own doing, for metrics and for nothing else: nothing is decided by it.

Measurements are kept until somebody takes them, and the oldest are dropped where nobody does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

__all__ = ["INADMISSIBLE", "SUCCESS", "Measured", "Measurement", "Measurements"]

_KEPT: Final = 20_000

#: How an attempt to place a gang ends, as Kueue calls it.
SUCCESS: Final = "success"
INADMISSIBLE: Final = "inadmissible"


class Measured(StrEnum):
    """What is measured; seconds unless it says otherwise."""

    ATTEMPT = "attempt"
    """Deciding about one gang; its label is `SUCCESS` or `INADMISSIBLE`."""
    ADMISSION_WAIT = "admissionWait"
    UNGATED_WAIT = "ungatedWait"
    READY_WAIT = "readyWait"
    ADMITTED_UNTIL_READY = "admittedUntilReady"
    ESTIMATE_ERROR = "estimateError"
    """Its label is "early" or "late"."""
    OVER_MINIMUM = "overMinimum"
    """Racks or NVLink domains, its label, beyond the fewest."""
    ADMITTED = "admitted"
    """Gangs that got a place, 1 for each."""
    SHED = "shed"
    """Gangs told to give way, 1 for each; its label is the action."""


@dataclass(frozen=True, slots=True)
class Measurement:
    what: Measured
    value: float
    #: the queue, if `what` says nothing else
    label: str = ""


@dataclass(slots=True)
class Measurements:
    """Args:
    stopwatch: seconds from any beginning; what takes time is measured by it. The machine has no clock of its own.
    wanted: whether anybody takes them.
    """

    stopwatch: Callable[[], float] = lambda: 0.0
    wanted: bool = True
    _kept: deque[Measurement] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def add(self, what: Measured, value: float, label: str = "") -> None:
        if self.wanted:
            self._kept.append(Measurement(what, value, label))

    def take(self) -> list[Measurement]:
        """All since the last time, oldest first."""
        taken = list(self._kept)
        self._kept.clear()
        return taken
