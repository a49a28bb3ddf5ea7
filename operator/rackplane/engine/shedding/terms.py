"""What may be done to a gang, and what a plan does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rackplane.engine.physics.loads import Violation

__all__ = ["Disruption", "Measure", "Plan", "Terms"]


class Disruption(StrEnum):
    """What may be done to a gang: nothing, stop it after a checkpoint, stop it at once."""

    PROTECTED = "Protected"
    CHECKPOINTABLE = "Checkpointable"
    SHEDDABLE = "Sheddable"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a gang's owner allows, and what stopping it would lose."""

    disruption: Disruption = Disruption.CHECKPOINTABLE
    priority: int = 0
    strict: bool = False
    """It runs at its profile or not at all, so it is never capped."""
    lost_gpu_seconds: int = 0
    """Work that is done again after a stop; a gang for which it is not known counts a second for each of its GPUs."""
    stoppable: bool = True
    """False: to stop it would fail it, or it is not ours to stop."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Cap a gang at ``profile``, or stop it ("").  ``frees_watts`` are nominal, of its whole draw over idle."""

    gang: str
    profile: str
    relative_performance_percent: int
    frees_watts: int
    terms: Terms

    @property
    def stops(self) -> bool:
        """Whether the gang is stopped, not capped."""
        return not self.profile


@dataclass(frozen=True, slots=True)
class Plan:
    """Measures, the mildest first, and what is exceeded even with all of them.

    ``proved``: no other set of measures that is enough costs less, for certain (:mod:`engine.shedding.costs`).
    """

    measures: tuple[Measure, ...]
    remaining: tuple[Violation, ...]
    proved: bool = True
