"""A run as the floor plan shows it: frames over its whole length, as many as fit in one page."""

from __future__ import annotations

from rackplane.core.machine import Machine
from rackplane.engine.physics.facility import Facility
from rackplane.floorplan.history import Entry, compressed, decompressed
from rackplane.floorplan.model import Frame, Layout
from rackplane.floorplan.page import standalone
from rackplane.floorplan.taking import frame, layout

__all__ = ["MOST_FRAMES", "FloorRecording"]

MOST_FRAMES = 120
"""A frame of a campus of 1,056 racks is some 200 kB of the page."""


class FloorRecording:
    """Frames at even distances, which grow with the run: what memory it takes does not.

    Args:
        begin: the epoch second that second 0 of the run is.
        most: frames, 2 or more.
    """

    def __init__(self, begin: int, *, most: int = MOST_FRAMES) -> None:
        self._begin, self._most = begin, most
        self._entries: list[Entry] = []
        self._layouts: dict[str, Layout] = {}
        self._seen: tuple[Facility, Layout] | None = None
        self._spacing = 1
        self._samples = 0

    def sample(self, now: int, machine: Machine) -> None:
        """Take a frame, if the distance to the last one is large enough; times must rise."""
        number, self._samples = self._samples, self._samples + 1
        if number % self._spacing:
            return
        assert machine.state is not None
        facility = machine.state.facility
        if self._seen is None or self._seen[0] is not facility:
            self._seen = facility, layout(machine)
        here = self._seen[1]
        self._layouts[here.id] = here
        self._entries.append(compressed(frame(machine, float(self._begin + now), here.id)))
        if len(self._entries) > self._most:
            # Every second one goes, so that those that stay are still even.
            self._entries = self._entries[::2]
            self._spacing *= 2

    def frames(self) -> list[Frame]:
        """Those that are kept, the oldest first."""
        return [decompressed(entry) for entry in self._entries]

    def page(self, title: str) -> str | None:
        """One HTML file that opens offline; None if nothing was sampled."""
        frames = self.frames()
        used = {found.layout for found in frames}
        layouts = [kept for name, kept in self._layouts.items() if name in used]
        return standalone(layouts, frames, title=title) if frames else None
