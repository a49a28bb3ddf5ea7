"""What was stopped for others, counted since the process began to lead: for metrics, and for nothing else.

A stop counts when the API server has it, once, whoever wrote it how often. A plan is a place that is held for a gang
while others are stopped for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from rackplane.core.gangs.decisions import Key

__all__ = ["ABANDONED", "GIVEN_UP", "STARTED", "Tally"]

STARTED: Final = "started"
GIVEN_UP: Final = "given_up"
"""Somebody was stopped, and the gang did not start on what that freed."""
ABANDONED: Final = "abandoned"
"""The plan was dropped before anybody was stopped."""


@dataclass(slots=True)
class _Plan:
    queue: str
    stopped: bool = False


@dataclass(slots=True)
class Tally:
    """Queues are those of the gangs: the one that others are stopped for comes first."""

    #: (queue, how it ended) -> plans
    plans: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: (queue it is done for, queue of the gang, reason) -> gangs
    preempted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: the same -> elastic gangs that gave some of their slots up and went on
    smaller: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: the same -> GPU-seconds of work that are done again
    lost_gpu_seconds: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: (queue of the gang, reason) -> gangs that gave their place up before they were over
    evicted: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: (queue of the gang, result) -> gangs that have got over the loss of nodes: "swapped", "shrunk" or "moved"
    repaired: Counter[tuple[str, str]] = field(default_factory=Counter)
    _open: dict[Key, _Plan] = field(default_factory=dict)

    def began(self, gang: Key, queue: str) -> None:
        """A place is held for the gang from now on."""
        self._open[gang] = _Plan(queue)

    def ended(self, gang: Key, *, started: bool) -> None:
        """No place is held for it any more; nothing is counted if none was."""
        plan = self._open.pop(gang, None)
        if plan is not None:
            self.plans[plan.queue, STARTED if started else GIVEN_UP if plan.stopped else ABANDONED] += 1

    def stopped(self, queue: str, reason: str, *, lost: int, stopped_for: Iterable[Key] | None) -> None:
        """A gang of the queue gives its place up.

        Args:
            reason: as its conditions have it.
            lost: GPU-seconds of its work.
            stopped_for: gangs with a plan that names it; None: it is not stopped for others.
        """
        self.evicted[queue, reason] += 1
        if stopped_for is None:
            return
        which = (self._plan_of(stopped_for), queue, reason)
        self.preempted[which] += 1
        self.lost_gpu_seconds[which] += lost

    def shrunk(self, queue: str, reason: str, *, lost: int, shrunk_for: Iterable[Key]) -> None:
        """A gang of the queue gives some of its slots up, and goes on."""
        which = (self._plan_of(shrunk_for), queue, reason)
        self.smaller[which] += 1
        self.lost_gpu_seconds[which] += lost

    def _plan_of(self, gangs: Iterable[Key]) -> str:
        """The queue that it is done for, "" if the plan is gone; from here on somebody was stopped for it."""
        plans = [self._open[key] for key in gangs if key in self._open]
        for plan in plans:
            plan.stopped = True
        return plans[0].queue if plans else ""
