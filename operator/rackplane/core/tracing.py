"""Who is told how decisions come about; nothing is decided by it, and time is measured by whoever listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rackplane.core.gangs.record import GangRecord
    from rackplane.core.queues.waiting import Wait
    from rackplane.core.world import World
    from rackplane.engine.queueing.order import Line

__all__ = ["Trace"]


class Trace(Protocol):
    """Called in the course of a pass over the queue; must not change anything, and must not raise."""

    def begin(self) -> None:
        """A gang is asked next."""
        ...

    def placed(self, world: World, record: GangRecord) -> None:
        """It got the place that is its decision now."""
        ...

    def refused(self, world: World, record: GangRecord, line: Line, wait: Wait) -> None:
        """It waits, and so does everybody in its line."""
        ...

    def passed(self, world: World) -> None:
        """The pass is over: what is free now is what its decisions leave."""
        ...
