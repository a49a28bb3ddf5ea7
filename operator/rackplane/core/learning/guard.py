"""Whether gangs that count at what earlier runs drew still may: somebody has to see what their nodes draw.

One whose nodes draw more, in the mean of 15 minutes, counts by its power profile for good. One with a node that nobody
has read for as long counts so too, until all of them have been read for 15 minutes and drew no more. Every replica
watches, so that a successor knows what its predecessor did; a process that has never read a gang's nodes itself does
not wait for so long, for it cannot know since when nobody has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.learning.window import FRESH_SECONDS, WINDOW_SECONDS, Window

if TYPE_CHECKING:
    from rackplane.core.world import World

__all__ = ["Guard", "Verdict"]

_LOOK_SECONDS: Final = 15.0
"""The passing of time alone is looked at so often."""


class Verdict(Enum):
    """What a gang is to count at from now on."""

    LEARNED = "what earlier runs drew"
    UNREAD = "its power profile, while its nodes are not read"
    EXCEEDED = "its power profile, for it has drawn more"


@dataclass(slots=True)
class _Watch:
    """A gang that runs, under one decision.

    `read` is when all of its nodes were last read, or when this process began to look; both in seconds since the epoch.
    """

    decision: str
    window: Window
    read: float
    ever: bool = False


class Guard:
    """What is known of the nodes of gangs that count at what earlier runs drew."""

    def __init__(self) -> None:
        #: gangs that are to count at something else than they do
        self.verdicts: dict[Key, Verdict] = {}
        self._watched: dict[Key, _Watch] = {}
        self._looked_at = -math.inf

    def time_passed(self, world: World) -> None:
        """Judge anew who is not read, if that is some time ago."""
        if world.now - self._looked_at >= _LOOK_SECONDS:
            self.look(world, read=False)

    def look(self, world: World, *, read: bool) -> None:
        """Judge every gang; ``read``: there are new readings of nodes."""
        if world.state is None:
            return
        self._looked_at, before, self._watched = world.now, self._watched, {}
        for key, record in world.gangs.items():
            gang, decision = record.gang, record.decision
            if gang is None or decision is None or record.phase != "Running" or not gang.status.learned:
                continue
            watch = before.get(key)
            if watch is None or watch.decision != decision.id:
                watch = _Watch(decision.id, Window(world.now, world.now), world.now)
            self._watched[key] = watch
            verdict = self._judge(world, record, watch, read=read)
            if verdict is not None and self.verdicts.get(key) is not Verdict.EXCEEDED:
                self.verdicts[key] = verdict
        for key in self.verdicts.keys() - self._watched.keys():
            del self.verdicts[key]

    def _judge(self, world: World, record: GangRecord, watch: _Watch, *, read: bool) -> Verdict | None:
        assert record.gang is not None and world.state is not None
        status = record.gang.status
        most = {each.hardware_profile: each.node_watts for each in status.learned}
        bounds = {
            node: most[kind.name]
            for node, gpus in world.state.held_gpus(booking_key(record.key)).items()
            if (kind := world.state.node_type(node)) is not None
            and kind.name in most
            and gpus == kind.gpus_per_node
        }
        if read and world.observed is not None:
            drawn = {node: watts for node, watts in world.observed.nodes.items() if node in bounds}
            if len(drawn) == len(bounds):
                watch.read, watch.ever = world.now, True
            means = watch.window.take(world.now, drawn) or {}
            if any(mean > bounds.get(node, mean) for node, mean in means.items()):
                return Verdict.EXCEEDED
            if status.counts_in_full and bounds and means.keys() >= bounds.keys():
                return Verdict.LEARNED
        unread = world.now - watch.read > (WINDOW_SECONDS if watch.ever else FRESH_SECONDS)
        return Verdict.UNREAD if unread and not status.counts_in_full else None
