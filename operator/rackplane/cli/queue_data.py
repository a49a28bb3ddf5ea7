"""Queues and who waits in them, as values: for text and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rackplane.cli.errors import CommandError, Exit, nearest
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.gangs.unlike import gpus_of
from rackplane.core.machine import Machine
from rackplane.core.offline.standing import Standing, standings
from rackplane.core.queues.lining_up import look, pending
from rackplane.core.queues.priorities import standing
from rackplane.core.queues.queuefigures import queue_figures
from rackplane.engine.queueing.quotas import GPUS, WATTS

__all__ = ["QueueState", "Waiter", "queues_of", "waiting_in"]

NOWHERE: Final = "no such queue"


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue with all below it; GPUs and watts (nominal, above idle).

    ``asked_gpus`` are those that gangs wait for. A queue that gangs name and that is not there has no ``spec``.
    """

    name: str
    parent: str | None
    weight: int
    priority: int
    hold: bool
    quota_gpus: int | None
    quota_watts: int | None
    asked_gpus: int
    status: Mapping[str, Any]
    problems: tuple[str, ...]
    exists: bool = True

    def as_data(self) -> dict[str, Any]:
        """For programs; ``status`` as in the API, ``quota`` what it comes to (the children's where it has none)."""
        return {
            "name": self.name,
            "parent": self.parent,
            "exists": self.exists,
            "weight": self.weight,
            "priority": self.priority,
            "hold": self.hold,
            "quota": {"gpus": self.quota_gpus, "watts": self.quota_watts},
            "waitingGpus": self.asked_gpus,
            "status": {key: value for key, value in self.status.items() if value is not None},
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Waiter:
    """Who waits, its GPUs, and the priority by which it is compared with all others."""

    standing: Standing
    gpus: int
    priority: int

    @property
    def queue(self) -> str:
        return self.standing.gang.spec.queue

    @property
    def since(self) -> str | None:
        gang = self.standing.gang
        return gang.status.submitted_at or gang.metadata.creation_timestamp

    def as_data(self) -> dict[str, Any]:
        """For programs: names as in the Gang's API."""
        found, metadata, spec = self.standing, self.standing.gang.metadata, self.standing.gang.spec
        return {
            "position": found.position,
            "namespace": metadata.namespace,
            "name": metadata.name,
            "queue": spec.queue,
            "workload": {"kind": spec.workload.kind, "name": spec.workload.name},
            "slots": spec.slots,
            "gpus": self.gpus,
            "priority": self.priority,
            "submittedAt": self.since,
            "couldStart": found.could_start,
            "estimatedStart": None if found.start is None else timestamp(found.start),
            "holdsPlace": found.held or None,
            "reason": found.reason or None,
            "message": found.message,
        }


def queues_of(machine: Machine, name: str | None) -> list[QueueState]:
    """All queues, each after its parent; or that one and those below it.

    Raises:
        CommandError: there is no queue of that name, and no gang names it.
    """
    world = machine.world
    asked, nowhere = _waiting_by_queue(machine)
    look(world)
    tree, figures = world.ledger.tree, queue_figures(world)
    problems = _problems(machine)
    found = []
    for spec in tree:
        queue, above = world.catalog.queue(spec.name), tree.path(spec.name)[1:]
        if queue is None:
            continue
        found.append(
            QueueState(
                name=spec.name,
                parent=above[0] if above else None,
                weight=spec.weight,
                priority=queue.spec.priority,
                hold=queue.spec.hold,
                quota_gpus=tree.nominal(spec.name, GPUS),
                quota_watts=tree.nominal(spec.name, WATTS),
                asked_gpus=asked.get(spec.name, 0),
                status=figures[spec.name],
                problems=tuple(problems.get(spec.name, ())),
            )
        )
    found += [_nowhere(queue, *nowhere[queue]) for queue in sorted(nowhere)]
    if name is None:
        return found
    known = {queue.name for queue in found}
    if name not in known:
        raise CommandError(f"there is no Queue {name}{nearest(name, known)}", code=Exit.NO)
    return [queue for queue in found if name in (queue.name, *tree.path(queue.name))]


def _waiting_by_queue(machine: Machine) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
    """GPUs waited for in each queue with all below it; and gangs and GPUs that wait for a queue that is not there."""
    world = machine.world
    asked: dict[str, int] = {}
    nowhere: dict[str, tuple[int, int]] = {}
    for record in pending(world):
        assert record.gang is not None
        spec = record.gang.spec
        gpus = gpus_of(spec)
        if world.catalog.queue(spec.queue) is None:
            gangs, others = nowhere.get(spec.queue, (0, 0))
            nowhere[spec.queue] = (gangs + 1, others + gpus)
            continue
        for queue in world.ledger.tree.path(spec.queue):
            asked[queue] = asked.get(queue, 0) + gpus
    return asked, nowhere


def _nowhere(name: str, gangs: int, gpus: int) -> QueueState:
    status = {"pending": gangs}
    return QueueState(name, None, 1, 0, False, None, None, gpus, status, (NOWHERE,), exists=False)


def _problems(machine: Machine) -> dict[str, list[str]]:
    assert machine.state is not None  # the source has listed everything
    found: dict[str, list[str]] = {}
    for (kind, name), problems in machine.world.catalog.problems(machine.state.facility).items():
        if kind == "Queue":
            found[name] = [f"{problem.message}; {problem.remedy}" for problem in problems]
    return found


def waiting_in(machine: Machine, queues: Sequence[QueueState], *, every: bool) -> list[Waiter]:
    """Who waits in these queues, in order; the machine is good for no other question after it.

    Args:
        every: whatever the queue.
    """
    world, within = machine.world, {queue.name for queue in queues}
    return [
        Waiter(found, gpus_of(found.gang.spec), standing(found.gang.spec, world.catalog.queue))
        for found in standings(machine)
        if every or found.gang.spec.queue in within
    ]
