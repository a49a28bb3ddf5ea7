"""How far a job has come: work done at the speed that it runs at, and what of it is safe.

The rule for stops: a job that is stopped, for whatever reason, goes on later from its last checkpoint and does the
rest again. Work is counted in seconds at full speed with all slots, of which a job has as many as its trace says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

__all__ = ["NEVER", "ON_STOP", "Progress", "Rules"]

ON_STOP: Final = 0
"""A checkpoint is written when a job is told to stop, in the time that it is given for that: nothing is lost."""
NEVER: Final = -1
"""No checkpoints: a job that is stopped starts over."""
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Rules:
    """What stops cost. All in seconds.

    Args:
        checkpoint: of running between two checkpoints; ON_STOP; or NEVER.
        restart: from when a job that was stopped gets a place again until it works.
        stop: from when it is told to stop until its pods are gone.
    """

    checkpoint: int = 3_600
    restart: int = 300
    stop: int = 30

    def last(self, began: int, now: int) -> int | None:
        """When the last checkpoint was written of what works since `began`; None if there is none."""
        if self.checkpoint <= 0 or now < began + self.checkpoint:
            return None
        return began + (now - began) // self.checkpoint * self.checkpoint


@dataclass(slots=True)
class Progress:
    """One job, from its arrival to its end. Times are seconds of the simulation.

    Args:
        work: seconds that it needs.
        done: of them, as of ``since``; ``saved`` of them are safe.
        began: when it began to work where it is now.
        speed: seconds of work in a second: 0 while it does not run.
        stops: how often it gave its place up, or failed and started again where it was.
        lost: seconds of work that it did more than once.
        token: changes whenever its end does.
    """

    work: int
    rules: Rules = field(default_factory=Rules)
    done: float = 0.0
    saved: float = 0.0
    began: int = 0
    since: int = 0
    speed: float = 0.0
    stops: int = 0
    lost: float = 0.0
    token: int = 0

    def start(self, now: int, speed: float) -> None:
        """It has a place from now on."""
        self.done = self.saved
        self.began = self.since = now + (self.rules.restart if self.stops else 0)
        self._go_at(speed)

    def change(self, now: int, speed: float) -> None:
        """It goes on at another speed: another power cap, or other slots."""
        if speed != self.speed:
            self._count(now)
            self._go_at(speed)

    def stop(self, now: int, *, asked: bool) -> None:
        """It does not run any more where it was.

        Args:
            asked: it was told to stop, and did not fail.
        """
        if not self.speed:
            return
        self._count(now)
        if asked and self.rules.checkpoint == ON_STOP:
            self.saved = self.done
        self.lost += self.done - self.saved
        self.done = self.saved
        self.stops += 1
        self._go_at(0.0)

    def ends(self) -> int | None:
        """When it is over if nothing changes; None while it does not run."""
        if not self.speed:
            return None
        return self.since + math.ceil((self.work - self.done) / self.speed - _ROUNDING)

    def left(self) -> int:
        """Seconds that it needs from its last checkpoint on, in a new place: with the restart."""
        return max(1, math.ceil(self.work - self.saved)) + (self.rules.restart if self.stops else 0)

    def _go_at(self, speed: float) -> None:
        self.speed = speed
        self.token += 1

    def _count(self, now: int) -> None:
        if now <= self.since:
            return
        last = self.rules.last(self.began, now)
        if last is not None and last >= self.since:
            self.saved = self.done + self.speed * (last - self.since)
        self.done += self.speed * (now - self.since)
        self.since = now
