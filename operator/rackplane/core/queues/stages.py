"""The times at which something begins that who still runs then must fit beside: whoever outlasts the same is told the
same (:mod:`core.queues.waiting`)."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from rackplane.core.world import World

__all__ = ["coming", "last_before"]


def coming(world: World) -> list[float]:
    """When budgets or maintenance start, in order; in seconds since the epoch."""
    assert world.state is not None
    budgets = world.catalog.budgets.groups(world.now)
    maintenance = world.catalog.maintenance_times(world.now)
    if not budgets and not maintenance:
        return list(world.state.facility.windows)
    return sorted(
        {
            *world.state.facility.windows,
            *maintenance,
            *(b.starts_at for b in budgets if b.starts_at is not None),
        }
    )


def last_before(times: Sequence[float], until: float) -> float:
    """The last of these times that a gang which ends at ``until`` outlasts; -inf if there is none."""
    at = bisect_left(times, until)
    return times[at - 1] if at else -math.inf
