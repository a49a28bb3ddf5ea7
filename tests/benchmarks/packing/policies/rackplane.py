"""Ours: the engine, asked as the operator asks it."""

from __future__ import annotations

from rackplane.engine.model import Placement
from rackplane.engine.placing.placement import find
from tests.benchmarks.packing.room import Room, request
from tests.benchmarks.packing.view import Job


def choose(room: Room, job: Job) -> Placement | None:
    """The engine's own placement, down to the nodes."""
    return find(room.state, request(job, room.times))
