"""How often something is written that changes again and again, where nobody waits for it."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Pace"]

K = TypeVar("K", bound=Hashable)


class Pace(Generic[K]):
    """A leaky bucket for each object: what changes now and then is written at once, what changes all the time is not.

    Each object may be written at once `most` times, and each time comes back within `seconds`.
    """

    def __init__(self) -> None:
        #: by object: writes that still count, and as of when
        self._spent: dict[K, tuple[float, float]] = {}

    def due(self, key: K, *, most: int, seconds: float) -> float:
        """When it may be written next, in seconds since the epoch; what has passed means now."""
        spent, at = self._spent.get(key, (0.0, -math.inf))
        return at + (spent - most + 1) * seconds

    def spend(self, key: K, now: float, *, most: int, seconds: float) -> None:
        """It is written; one that could not wait until it was due makes none wait for longer than `seconds`."""
        spent, at = self._spent.get(key, (0.0, now))
        self._spent[key] = (min(max(0.0, spent - (now - at) / seconds) + 1, most), now)

    def forget(self, key: K) -> None:
        """The object is gone."""
        self._spent.pop(key, None)

    def clear(self) -> None:
        """Nothing has been written."""
        self._spent.clear()
