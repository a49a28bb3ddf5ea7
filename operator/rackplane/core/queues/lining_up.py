"""Where each gang stands in the queue, or that it does not wait for a place."""

from __future__ import annotations

from functools import partial

from rackplane.core.gangs.asking import desired, shape_of, size_of
from rackplane.core.gangs.decisions import Key
from rackplane.core.gangs.jobs import job_outcome
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.holds import is_cleared
from rackplane.core.queues.priorities import standing
from rackplane.core.queues.waiting import Kind
from rackplane.core.world import World
from rackplane.engine.queueing.order import Line, Place

__all__ = ["look", "pending", "waiting_in_order"]


def pending(world: World) -> list[GangRecord]:
    """Gangs that wait for a place, in the order in which they are asked. A look at all gangs."""
    count_usages(world)
    found = [(key, place) for key in world.gangs if (place := place_of(world, key)) is not None]
    found.sort(key=lambda f: (-f[1].priority, world.rank(f[1].line.queue), f[1].since, f[0]))
    return [world.gangs[key] for key, _ in found]


def place_of(world: World, key: Key) -> Place | None:
    """Where in the queue the gang stands; None if it does not wait for a place."""
    record = world.gangs.get(key)
    if (
        record is None
        or record.gang is None
        or record.decision is not None
        or record.phase != "Pending"
        or record.gang.metadata.deletion_timestamp is not None
        or not (_may_be_asked(record) if world.settings.observe else _can_start(record))
    ):
        return None
    if not record.judged and desired(world, record) is not None and not _as_wanted(record):
        world.dirty[key] = None
    if not _as_wanted(record):
        return None
    spec = record.gang.spec
    created = record.gang.status.submitted_at or record.gang.metadata.creation_timestamp or ""
    alone = key if key in world.held_places else None
    kind = Kind(key[0], alone, shape_of(world, record), is_cleared(world, key), size_of(world, record))
    return Place(Line(spec.queue, kind), standing(spec, world.catalog.queue), created)


def waiting_in_order(world: World) -> list[GangRecord]:
    """As `pending`, by a look at the gangs that have changed since."""
    look(world)
    count_usages(world)
    return [world.gangs[key] for key in world.waiting.order.first(world.rank)]


def look(world: World) -> None:
    """Bring who waits, and where, up to what has changed."""
    if world.waiting.refusing_terms != world.neighbours.revision:
        # Who asks for the same may be told another thing now, by pods that refuse some of them as neighbours.
        world.waiting.refusing_terms = world.neighbours.revision
        world.waiting.look(world.gangs)
    world.waiting.look(world.dirty)
    world.waiting.refresh(partial(place_of, world))


def _can_start(record: GangRecord) -> bool:
    if record.external():
        return not record.finished_by_maker()
    if record.job is not None:
        ready = record.suspended_by_us() and record.ungated() is None and not record.live_pods()
        if not record.several:
            return ready
        # Groups are there once all Jobs are.
        return ready and bool(record.groups) and (not record.judged or _as_wanted(record))
    assert record.gang is not None
    return len(record.live_pods()) >= record.gang.spec.slots and (not record.judged or _as_wanted(record))


def _may_be_asked(record: GangRecord) -> bool:
    """With mode Observe: whether it has not been decided about yet, and nothing of it runs."""
    if record.would or record.external() or record.suspended_by_user() is not None:
        return False
    assert record.gang is not None
    if record.jobs:
        ended = all(job_outcome(job) is not None for job in record.jobs.values())
        # What its pods take, once they are there, is not to be had twice.
        runs = any(job.status.active for job in record.jobs.values())
        there = not ended and not runs and (bool(record.groups) or not record.several)
    else:
        there = len(record.live_pods()) >= record.gang.spec.slots
    return there and (not record.judged or _as_wanted(record))


def _as_wanted(record: GangRecord) -> bool:
    """Whether its Gang says of its pods what they are; if not, it is written anew first."""
    assert record.gang is not None
    spec = record.gang.spec
    return (
        not record.problems
        and record.groups == record.groups_wanted
        and record.priority_wanted in (None, spec.priority)
        and record.slots_wanted in (None, spec.slots)
        and record.accelerators_wanted in (None, (spec.resource_name, spec.gpus_per_slot))
    )
