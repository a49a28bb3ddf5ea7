"""What it costs to stop gangs, and which of two sets is the cheaper one.

From the highest priority down, two sets are compared by what is lost of it: first the GPU-seconds of its Checkpointable
gangs, then those of its Sheddable ones. The first difference decides; if there is none, the smaller number of gangs. So
nothing of a higher priority is lost for the sake of any amount of a lower one, and a gang that may always be stopped
goes before one of its priority that has to be brought to a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Victim:
    """A gang that may be stopped, or may give some of its slots up. One that is Protected is none.

    ``lost_gpu_seconds`` is the work that is done again: its GPUs times the seconds since its last checkpoint, or since
    it started, and those that starting it again takes. Less than 1 counts as 1: to stop a gang is never free.
    ``slots`` are what it gives up, () all of them. Of one gang there may be several victims, under keys of their own,
    with its key as their ``gang``; at most one of them is chosen.
    """

    key: str
    priority: int = 0
    sheddable: bool = False
    lost_gpu_seconds: int = 1
    slots: tuple[int, ...] = ()
    gang: str = ""

    @property
    def booking(self) -> str:
        """The key that its gang is booked under."""
        return self.gang or self.key

    @property
    def lost(self) -> int:
        """GPU-seconds, at least 1."""
        return max(1, self.lost_gpu_seconds)


@dataclass(frozen=True, slots=True, order=True)
class Cost:
    """What a set of victims costs; the smaller is the cheaper.

    ``tiers`` are (priority, GPU-seconds of Checkpointable gangs, GPU-seconds of Sheddable ones), highest priority
    first.
    """

    tiers: tuple[tuple[int, int, int], ...]
    gangs: int

    @staticmethod
    def of(victims: Iterable[Victim]) -> Cost:
        """The cost of stopping all of these."""
        tiers: dict[int, tuple[int, int]] = {}
        count = 0
        for v in victims:
            hard, soft = tiers.get(v.priority, (0, 0))
            tiers[v.priority] = (hard, soft + v.lost) if v.sheddable else (hard + v.lost, soft)
            count += 1
        return Cost(tuple((p, *tiers[p]) for p in sorted(tiers, reverse=True)), count)


def weights(victims: Sequence[Victim]) -> list[int]:
    """One number each: of any two sets of these victims, the cheaper has the smaller sum.

    They are the digits of :class:`Cost`, each with as much room as all victims together can take.
    """
    unit = len(victims) + 1  # below all others: the number of gangs
    worth: dict[tuple[int, bool], int] = {}
    for priority in sorted({v.priority for v in victims}):
        for sheddable in (True, False):
            worth[priority, sheddable] = unit
            unit *= 1 + sum(v.lost for v in victims if (v.priority, v.sheddable) == (priority, sheddable))
    return [1 + v.lost * worth[v.priority, v.sheddable] for v in victims]
