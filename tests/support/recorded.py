"""Recordings in memory."""

from __future__ import annotations

from collections.abc import Sequence

from rackplane.core.events import Event
from rackplane.core.instructions import Instruction
from rackplane.core.recording.lines import Lines
from rackplane.core.settings import MachineSettings

__all__ = ["Kept"]


class Kept:
    """The lines of a recording, as `rackplane.controller.recording` writes them."""

    def __init__(self, settings: MachineSettings) -> None:
        self._lines = Lines(settings)
        self.lines = [self._lines.header(started=0.0, identity="test")]

    def told(self, now: float, events: Sequence[Event]) -> None:
        self.lines.append(self._lines.told(now, events))

    def asked(self, instructions: Sequence[Instruction]) -> None:
        line = self._lines.asked(instructions)
        if line:
            self.lines.append(line)

    def raised(self, error: Exception) -> None:
        self.lines.append(self._lines.end("error", error=f"{type(error).__name__}: {error}"))

    def end(self) -> list[bytes]:
        """All lines, the last one included."""
        return [*self.lines, self._lines.end("stopped")]
