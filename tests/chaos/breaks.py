"""Deliberate mistakes in the operator, of the kind that the chaos test is there for.

Each is one small change of one function, as a careless edit would make it, undone at the end of the block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from rackplane.core.gangs import lifecycle, stopping, ungating
from rackplane.core.gangs.booking import unbook
from rackplane.core.gangs.jobs import suspended_by_us
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.slotting import assign_slots
from rackplane.core.instructions import CapNode, Instruction, ResumeJob, UngatePod
from rackplane.core.machine import Machine
from rackplane.core.objects import Pod
from rackplane.core.pods import outside
from rackplane.core.shedding import relief, restoring
from rackplane.core.site.caps import Caps
from rackplane.core.site.facility import Catalog
from rackplane.core.world import World
from rackplane.engine.model import FacilitySpec
from rackplane.kube.leader import Elector

__all__ = ["BREAKS"]

Instructions = Iterator[Instruction]
Step = Callable[[World, GangRecord], Instructions]


@contextmanager
def shedding_is_off() -> Iterator[None]:
    """Nobody gives way when a limit is exceeded."""
    with patch.object(relief, "exceeded", lambda state: []):
        yield


@contextmanager
def gangs_start_in_halves() -> Iterator[None]:
    """Pods are let go as they come, whether or not every slot has one."""
    with patch.object(GangRecord, "started", lambda self: True):
        yield


@contextmanager
def one_pod_is_forgotten() -> Iterator[None]:
    """Of the pods that wait the last is not let go."""

    def all_but_one(world: World, record: GangRecord) -> Instructions:
        found = list(ungating.ungate(world, record))
        pods = [each for each in found if isinstance(each, UngatePod)]
        if len(pods) > 1:
            record.ungating.add(pods[-1].uid)
            found.remove(pods[-1])
        yield from found

    with patch.object(lifecycle, "ungate", all_but_one):
        yield


@contextmanager
def the_lease_never_expires() -> Iterator[None]:
    """A leader that cannot renew its Lease, or was paused, goes on believing that it leads."""
    with patch.object(Elector, "term", property(lambda self: self._term)):
        yield


@contextmanager
def commits_are_not_fenced() -> Iterator[None]:
    """After a commit the Lease is not read again."""

    async def holds(self: Elector) -> bool:
        return self.term is not None

    with patch.object(Elector, "verify", holds):
        yield


@contextmanager
def old_commits_stay() -> Iterator[None]:
    """What an old leader committed after its time is not taken back."""
    with patch.object(Machine, "_to_take_back", lambda self, record: False):
        yield


@contextmanager
def bookings_end_too_early() -> Iterator[None]:
    """What is booked for a gang that is being stopped ends before its pods are gone.

    That alone does no harm, for pods that nothing is booked for count on their nodes.
    """

    def early(world: World, record: GangRecord) -> Instructions:
        yield from stopping.stopping(world, record)
        unbook(world, record)

    with patch.object(lifecycle, "stopping", early):
        yield


@contextmanager
def places_are_free_too_early() -> Iterator[None]:
    """The place of a gang that is being stopped is free before its pods are gone."""

    def but_stopped(found: Callable[..., Iterator[Pod]]) -> Any:
        def counted(world: World, *of: str) -> Iterator[Pod]:
            for pod in found(world, *of):
                key = world.belonging.of_pod.get((pod.metadata.namespace, pod.metadata.name))
                if key is None or key not in world.gangs or world.gangs[key].phase != "Stopping":
                    yield pod

        return counted

    with (
        bookings_end_too_early(),
        patch.object(outside, "_outside", but_stopped(outside._outside)),
        patch.object(outside, "_left_behind", but_stopped(outside._left_behind)),
    ):
        yield


@contextmanager
def pods_go_before_the_commit() -> Iterator[None]:
    """A gang is started when its place is decided, not when the API server has the decision."""
    waiting: Step = lifecycle._waiting

    def hasty(world: World, record: GangRecord) -> Instructions:
        yield from waiting(world, record)
        if record.decision is None:
            return
        for job in record.jobs.values():
            if suspended_by_us(job):
                meta = job.metadata
                yield ResumeJob(meta.namespace, meta.name, meta.uid, meta.resource_version)
        assign_slots(world, record)
        yield from ungating.ungate(world, record)

    with patch.object(lifecycle, "_waiting", hasty):
        yield


@contextmanager
def caps_are_lifted_without_a_look() -> Iterator[None]:
    """A gang gets its power profile back after a while, whether or not there is room for it."""
    with patch.object(restoring, "keeps_limits", lambda state, key: True):
        yield


@contextmanager
def caps_are_never_written() -> Iterator[None]:
    """No node is told of its cap, and everybody believes that it was."""
    run = Caps.run

    def silent(self: Caps, world: World) -> Iterator[Any]:
        return (each for each in run(self, world) if not isinstance(each, CapNode))

    def believed(self: Caps, world: World, names: Iterable[str]) -> dict[str, bool]:
        return dict.fromkeys(names, True)

    with patch.object(Caps, "run", silent), patch.object(Caps, "in_force", believed):
        yield


@contextmanager
def caps_follow_the_load() -> Iterator[None]:
    """Pods are let go before their nodes carry the cap."""
    with patch.object(ungating, "_capped", lambda world, record: {}):
        yield


def _seen_as(change: Callable[[FacilitySpec], FacilitySpec]) -> Any:
    spec = Catalog.spec
    return patch.object(Catalog, "spec", lambda self, now: change(spec(self, now)))


@contextmanager
def losses_are_forgotten() -> Iterator[None]:
    """Gangs are placed as if no UPS could fail."""
    with _seen_as(lambda s: replace(s, powers=tuple(replace(p, survivable=False) for p in s.powers))):
        yield


@contextmanager
def pumps_always_run() -> Iterator[None]:
    """A cooling unit that is lost goes on counting."""

    def running(spec: FacilitySpec) -> FacilitySpec:
        zones = (
            replace(zone, units=tuple(replace(unit, online=True) for unit in zone.units))
            for zone in spec.coolings
        )
        return replace(spec, coolings=tuple(zones))

    with _seen_as(running):
        yield


#: And the turn of a storm (:data:`tests.chaos.storm.TURNS`) that it shows in soonest.
BREAKS = {
    shedding_is_off: "outage",
    gangs_start_in_halves: "succession",
    one_pod_is_forgotten: "succession",
    the_lease_never_expires: "succession",
    commits_are_not_fenced: "succession",
    old_commits_stay: "succession",
    places_are_free_too_early: "calm",
    pods_go_before_the_commit: "succession",
    caps_are_lifted_without_a_look: "calm",
    caps_are_never_written: "outage",
    caps_follow_the_load: "trouble",
    losses_are_forgotten: "calm",
    pumps_always_run: "outage",
}
