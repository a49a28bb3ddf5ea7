"""A harness whose operator tells its log and a ring buffer of decisions, as a real one does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rackplane.controller.decisions.journal import Journal
from rackplane.controller.decisions.rendering import rendered
from rackplane.controller.decisions.ring import Ring
from rackplane.core.events import Event
from rackplane.core.instructions import Instruction
from rackplane.core.settings import MachineSettings
from tests.support.harness import Harness, facility

__all__ = ["Listening", "listening", "shown"]


class Listening:
    """Stands where a recording does, and hears what it hears."""

    def __init__(self, harness: Harness, ring: Ring) -> None:
        self._journal = Journal(ring, harness.machine.world, clock=lambda: 0.0)
        harness.machine.world.trace = self._journal

    def told(self, now: float, events: Sequence[Event]) -> None:
        self._journal.told(now, events)

    def asked(self, instructions: Sequence[Instruction]) -> None:
        pass

    def raised(self, error: Exception) -> None:
        pass


def listening(
    objects: Sequence[dict[str, Any]] | None = None, *, entries: int = 100, **options: Any
) -> tuple[Harness, Ring]:
    """A harness with a facility, running and settled, and the ring that its operators share."""
    ring = Ring(entries=entries, size=1 << 20)

    def listen(_: MachineSettings) -> Listening:
        return Listening(harness, ring)

    harness = Harness(record=listen, **options)
    harness.apply(*(facility() if objects is None else objects))
    harness.start_machine()
    harness.settle()
    return harness, ring


def shown(ring: Ring) -> list[dict[str, Any]]:
    """As it is served, from the oldest on."""
    return [rendered(entry) for entry in reversed(list(ring.newest()))]
