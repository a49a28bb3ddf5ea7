"""For how long budgets have been in force, and for how long of that they were exceeded by the books: for metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rackplane.engine.physics.rows import RowKind
from rackplane.engine.reporting.least import whole_watts

if TYPE_CHECKING:
    from rackplane.core.world import World

__all__ = ["Compliance"]

#: A machine that was not asked for longer than that knows nothing of what was meanwhile, in seconds.
_LONGEST: Final = 10.0


@dataclass(slots=True)
class Compliance:
    """By name of the PowerBudget, in seconds since the process began to lead; forgotten with the object."""

    in_force: dict[str, float] = field(default_factory=dict)
    exceeded: dict[str, float] = field(default_factory=dict)
    _looked: float | None = None

    def time_passed(self, world: World) -> None:
        """Add the time since the last look, at most a few seconds, by how things are now."""
        before, self._looked = self._looked, world.now
        passed = 0.0 if before is None else min(max(0.0, world.now - before), _LONGEST)
        for name, headroom_watts in _in_force(world):
            over = passed if headroom_watts < 0 else 0.0
            self.in_force[name] = self.in_force.get(name, 0.0) + passed
            self.exceeded[name] = self.exceeded.get(name, 0.0) + over
        for counts in (self.in_force, self.exceeded):
            for name in [name for name in counts if not world.catalog.knows("PowerBudget", name)]:
                del counts[name]

    def resign(self) -> None:
        """This process no longer leads: what passes from now on is another's to count."""
        self._looked = None


def _in_force(world: World) -> Iterator[tuple[str, int]]:
    """Budgets in force, and the watts that each has left; once for each."""
    state, budgets, seen = world.state, world.catalog.budgets, set[str]()
    if state is not None and state.facility.spec.budgets:
        f = state.facility
        left = whole_watts(f.limits[: len(f.rows)] - state.loads[: len(f.rows)])
        for b, row in enumerate(f.rows):
            if row.kind is RowKind.BUDGET and row.starts_at is None:
                yield row.element, int(left[b])
    for budget in budgets.groups(world.now):
        if budget.starts_at is None and budget.name not in seen:
            seen.add(budget.name)
            yield budget.name, budget.limit_watts - world.ledger.draws(budget.group).at(float("-inf"))
