"""The power cap of every node, written as annotations on the Node for the agent that sets it.

A cap is in force before the load: no pod of a gang is let go before the nodes carry its cap, and a cap is taken off
only when the last gang's pods are gone. Where gangs come and go every second, what nobody waits for is written less
often. What a Node should carry is judged anew from the gangs that hold it, so a
restart repeats nothing, and what a predecessor left behind is removed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rackplane.api.labels import NODE_GANGS, POWER_CAP_WATTS, POWER_PROFILE
from rackplane.api.numbers import whole_number
from rackplane.core.events import FailureReason
from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.instructions import CapNode, SendCap
from rackplane.core.objects import Node
from rackplane.core.pacing import Pace
from rackplane.engine.physics.draw import find_cap

if TYPE_CHECKING:
    from rackplane.core.world import World

__all__ = ["Caps"]

_NOTHING: Final[Mapping[str, str | None]] = {POWER_PROFILE: None, POWER_CAP_WATTS: None, NODE_GANGS: None}


@dataclass(slots=True)
class _Write:
    """The last write to a node. What became of it is known when a later version of the Node is seen."""

    version: str  # resourceVersion that it is based on
    again: bool = (
        False  # it failed, or may have taken effect without an answer: the same version is written to again
    )


class Caps:
    """Which nodes to look at, and the writes that are under way.

    Every node with a gang carries its cap, MaxP's too: an agent that finds none knows that no gang is there, and need
    not know a node's maximum.
    """

    def __init__(self) -> None:
        self._stale: dict[str, None] = {}
        self._writes: dict[str, _Write] = {}
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._problems: dict[str, str] = {}
        self._pace: Pace[str] = Pace()
        #: nodes that are written again when, in seconds since the epoch
        self._later: dict[str, float] = {}
        self._due = math.inf

    def look(self, nodes: Iterable[str]) -> None:
        """Something about these nodes, or about the gangs on them, has changed."""
        self._stale.update(dict.fromkeys(nodes))

    def awaits(self, name: str) -> bool:
        """Whether a write of the node's cap was asked for, so that what is seen next may be its effect."""
        return name in self._writes

    def resign(self) -> None:
        """This process no longer leads: answers to what it wrote say nothing any more."""
        for kept in (
            self._stale, self._writes, self._failures, self._not_before, self._problems, self._pace, self._later
        ):  # fmt: skip
            kept.clear()
        self._due = math.inf

    def run(self, world: World) -> Iterator[CapNode | SendCap]:
        """The writes that bring the nodes in line, at most one under way for each."""
        world.confirmations.late(world)
        self.look(world.confirmations.due(world))
        held: dict[str, Mapping[str, int]] = {}
        if world.now >= self._due:
            self.look(name for name, due in self._later.items() if world.now >= due)
            self._due = min((due for due in self._later.values() if world.now < due), default=math.inf)
        for name in list(self._stale):
            if world.now < self._not_before.get(name, 0.0):
                continue
            del self._stale[name]
            node = world.nodes.get(name)
            if node is None:
                self._pace.forget(name)
                for kept in (self._writes, self._later):
                    kept.pop(name, None)
                continue
            version = node.metadata.resource_version
            last = self._writes.get(name)
            in_doubt = last is not None and last.version == version
            if last is not None and in_doubt and not last.again:
                continue
            wanted = _wanted(world, name, held)
            if wanted is None:
                if world.state is not None and world.state.left_gpus(name):
                    # Also of a gang that is over: what it left behind is held to what the node carries.
                    yield from world.confirmations.send(world, name, _carried(node))
                continue
            yield from world.confirmations.send(world, name, wanted)
            # In doubt, what is seen need not be what is there: everything is written, changed or not.
            changes = dict(wanted) if in_doubt else _differing(wanted, node.metadata.annotations)
            if (
                changes
                and not in_doubt
                and not self._in_turn(world, name, changes, node.metadata.annotations)
            ):
                continue
            self._later.pop(name, None)
            if changes:
                self._writes[name] = _Write(version)
                world.confirmations.asked(world, name, changes)
                yield CapNode(name, version, changes)
            else:
                self._writes.pop(name, None)

    def _in_turn(
        self, world: World, name: str, changes: Mapping[str, str | None], have: Mapping[str, str]
    ) -> bool:
        """Whether the changes are written now; if not, they are looked at again when they may be."""
        most, seconds = world.settings.cap_writes, world.settings.cap_seconds
        due = self._pace.due(name, most=most, seconds=seconds)
        if due > world.now and not _is_waited_for(world, changes, have):
            self._later[name] = due
            self._due = min(self._due, due)
            return False
        # Those that are waited for go ahead: what is left for later comes within `cap_seconds`, however many they were.
        self._pace.spend(name, world.now, most=most, seconds=seconds)
        return True

    def in_force(self, world: World, names: Iterable[str]) -> dict[str, bool]:
        """By node, whether it is sure to carry the cap of the gangs that hold it."""
        held: dict[str, Mapping[str, int]] = {}
        return {name: self._in_force(world, name, held) for name in dict.fromkeys(names)}

    def _in_force(self, world: World, name: str, held: dict[str, Mapping[str, int]]) -> bool:
        node = world.nodes.get(name)
        if node is None:
            return False
        last = self._writes.get(name)
        if last is not None and last.version == node.metadata.resource_version:
            return False
        wanted = _wanted(world, name, held)
        have = node.metadata.annotations
        # That a gang which is gone is still named keeps nobody waiting.
        if wanted is None or _is_waited_for(world, _differing(wanted, have), have):
            return False
        watts = wanted[POWER_CAP_WATTS]
        return watts is None or world.confirmations.confirms(world, name, int(watts))

    def problem(self, name: str) -> str:
        """Why the API server does not take the node's cap, in its words; empty if nothing is known against it."""
        return self._problems.get(name, "")

    def succeeded(self, world: World, instruction: CapNode) -> None:
        """The API server has taken a write."""
        name = instruction.name
        for kept in (self._failures, self._not_before, self._problems):
            kept.pop(name, None)
        last, node = self._writes.get(name), world.nodes.get(name)
        if last is None or node is None or last.version != instruction.resource_version:
            return
        if last.version == node.metadata.resource_version and not _differing(
            instruction.annotations, node.metadata.annotations
        ):
            # It changed nothing, so no later version will be seen.
            del self._writes[name]
        self.look((name,))

    def failed(self, world: World, instruction: CapNode, reason: FailureReason, message: str) -> None:
        """A write was refused or not answered; a pause that grows lies before the next."""
        name = instruction.name
        self.look((name,))
        last = self._writes.get(name)
        if last is None or last.version != instruction.resource_version or reason is FailureReason.CONFLICT:
            return  # a later version of the Node is there, or on its way: it is judged by that
        if reason is FailureReason.GONE:
            del self._writes[name]
            return
        last.again = True
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        pause = world.settings.retry_seconds * 2 ** min(failures - 1, 10)
        self._not_before[name] = world.now + min(pause, world.settings.longest_retry_seconds)
        if reason is FailureReason.REJECTED:
            self._problems[name] = message


def _wanted(world: World, name: str, held: dict[str, Mapping[str, int]]) -> Mapping[str, str | None] | None:
    """What the node should carry; None to leave it alone: what comes, its rack or its profile is not known.

    Args:
        held: GPUs by node of each gang, for those asked for before in the same batch.
    """
    assert world.state is not None
    caps: list[tuple[int, str]] = []
    gangs: list[str] = []
    coming = False
    for key in world.gangs_on(name):
        record = world.gangs[key]
        decision = record.decision
        waits = decision is None or not decision.committed or record.committing
        if decision is None or (waits and record.previous is None):
            coming = True
            continue
        booked = booking_key(key)
        if booked not in held:
            held[booked] = world.state.held_gpus(booked)
        if not held[booked].get(name):
            continue
        node_type = world.state.node_type(name)
        if node_type is None:
            return None
        cap = find_cap(node_type, decision.placement.power_profile)
        # A profile that is gone counts at maxWatts, as in the sums.
        caps.append(
            (node_type.max_watts if cap is None else cap.node_watts, decision.placement.power_profile)
        )
        gangs.append(booked)
    if not gangs:
        # What is there stays until it is known what comes: one write instead of two; and until pods are gone that a
        # gang has left behind.
        return None if coming or world.state.left_gpus(name) else _NOTHING
    watts, profile = min(caps)
    return {POWER_PROFILE: profile, POWER_CAP_WATTS: str(watts), NODE_GANGS: ",".join(sorted(gangs))}


def _is_waited_for(world: World, changes: Mapping[str, str | None], have: Mapping[str, str]) -> bool:
    """Whether somebody waits for one of these changes: for another cap, or a gang of ours for its name."""
    if any(changes.get(key) is not None for key in (POWER_PROFILE, POWER_CAP_WATTS)):
        return True
    known = have.get(NODE_GANGS, "").split(",")
    for booked in (changes.get(NODE_GANGS) or "").split(","):
        record = None if not booked or booked in known else world.gangs.get(_key(booked))
        if record is not None and not record.external():
            return True
    return False


def _key(booked: str) -> Key:
    namespace, _, name = booked.partition("/")
    return namespace, name


def _carried(node: Node) -> Mapping[str, str | None]:
    """What the node carries, if that is a cap."""
    have = node.metadata.annotations
    held = whole_number(have.get(POWER_CAP_WATTS))
    return _NOTHING if held is None else {key: have.get(key) for key in _NOTHING}


def _differing(wanted: Mapping[str, str | None], have: Mapping[str, str]) -> dict[str, str | None]:
    return {key: value for key, value in wanted.items() if have.get(key) != value}
