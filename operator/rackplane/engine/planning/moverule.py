"""What moves may cost, and whether they gain enough: the rule for moves that nobody is asked about."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rackplane.engine.planning.moves import Bounds

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class MoveRule:
    """Bounds of one plan and of one hour, and what a plan must gain.  None: any."""

    most_moves: int
    """Gangs that one plan moves at most."""
    most_lost_gpu_hours: float | None
    """Work that one plan loses at most."""
    moves_per_hour: int
    lost_gpu_hours_per_hour: float | None
    least_gain: float
    """GPU-hours of waiting saved for each one that is lost."""

    def left(self, recent: Collection[int]) -> Bounds | None:
        """What one plan may come to now; None: nothing.

        Args:
            recent: GPU-seconds that each move of the last hour lost.
        """
        moves = min(self.most_moves, self.moves_per_hour - len(recent))
        budgets = [] if self.most_lost_gpu_hours is None else [self.most_lost_gpu_hours * HOUR]
        if self.lost_gpu_hours_per_hour is not None:
            budgets.append(self.lost_gpu_hours_per_hour * HOUR - sum(recent))
        lost = int(min(budgets)) if budgets else None
        return None if moves <= 0 or (lost is not None and lost <= 0) else Bounds(moves, lost)

    def gains(self, saved_gpu_seconds: float, lost_gpu_seconds: float) -> bool:
        """Whether a start so much earlier is worth what the moves for it lose."""
        return saved_gpu_seconds > 0 and saved_gpu_seconds >= self.least_gain * lost_gpu_seconds
