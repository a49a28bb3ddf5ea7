"""A value that holds until it is another one: its mean, least and most over a stretch of time, exactly."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Gauge", "Span"]


class Span(NamedTuple):
    """Of one stretch of time; what lasted for no time at all does not count."""

    low: float
    mean: float
    high: float


class Gauge:
    """Memory and the cost of a change do not grow with the number of changes.

    Args:
        now: in seconds; later times must not be earlier.
    """

    __slots__ = ("_began", "_high", "_low", "_since", "_sum", "value")

    def __init__(self, value: float = 0.0, now: int = 0) -> None:
        self.value = value
        self._began = self._since = now
        self._sum, self._low, self._high = 0.0, value, value

    def set(self, now: int, value: float) -> None:
        """It is another one from now on."""
        self._count(now)
        self.value = value

    def take(self, now: int) -> Span:
        """Of the time since it was last taken, and begin anew; if that is no time at all, the value as it is."""
        self._count(now)
        spent = now - self._began
        span = Span(self._low, self._sum / spent, self._high) if spent else Span(*[self.value] * 3)
        self._began, self._sum = now, 0.0
        return span

    def _count(self, now: int) -> None:
        spent = now - self._since
        if spent <= 0:
            return
        if self._since == self._began:
            self._low = self._high = self.value
        elif self.value < self._low:
            self._low = self.value
        elif self.value > self._high:
            self._high = self.value
        self._sum += self.value * spent
        self._since = now
