"""What measures cost, and so which of two plans is the cheaper one.

Measures are of six kinds, each harsher than the one before: cap Sheddable gangs, cap Checkpointable ones, stop
Sheddable ones, stop Checkpointable ones, cap Protected ones, stop Protected ones. Two plans are compared from the
harshest kind down and, within a kind, from the highest priority down, by what is lost there: by caps GPUs times the
percent of speed that they lose, by stops GPU-seconds of work that is done again. The first difference decides; if there
is none, the smaller number of gangs. So no gang is stopped for the sake of any number of caps, and none of a higher
priority for the sake of any number of a lower one.
"""

from __future__ import annotations

from collections.abc import Sequence

from rackplane.engine.shedding.terms import Disruption, Terms

__all__ = ["Stage", "stage_of", "weights"]

Stage = tuple[int, int]
"""Kind of measure, the mildest 0, and priority: what is compared first is what sorts last."""

_CAP = {Disruption.SHEDDABLE: 0, Disruption.CHECKPOINTABLE: 1, Disruption.PROTECTED: 4}
_STOP = {Disruption.SHEDDABLE: 2, Disruption.CHECKPOINTABLE: 3, Disruption.PROTECTED: 5}


def stage_of(terms: Terms, *, stops: bool) -> Stage:
    """Where a measure against such a gang counts."""
    return (_STOP if stops else _CAP)[terms.disruption], terms.priority


def weights(stages: Sequence[Sequence[Stage]], losses: Sequence[Sequence[int]]) -> list[list[int]]:
    """One number for each measure of each gang: of any two plans, the cheaper has the smaller sum.

    Args:
        stages: by gang, of each measure against it, the mildest first; at most one of them is taken.
        losses: the same, what is lost by it, at least 1.
    """
    most: dict[Stage, int] = {}
    for own, lost in zip(stages, losses, strict=True):
        here: dict[Stage, int] = {}
        for stage, loss in zip(own, lost, strict=True):
            here[stage] = max(loss, here.get(stage, 0))
        for stage, loss in here.items():
            most[stage] = most.get(stage, 0) + loss
    unit, worth = len(stages) + 1, {}  # below all others: the number of gangs
    for stage in sorted(most):
        worth[stage] = unit
        unit *= 1 + most[stage]
    return [
        [1 + loss * worth[stage] for stage, loss in zip(own, lost, strict=True)]
        for own, lost in zip(stages, losses, strict=True)
    ]
