"""Facility objects that are deleted while they are in use: a finalizer holds them until nothing is under them.

The machine decides, the executor writes. kopf only watches here: it runs in every replica, and its own finalizers
would be put on and taken off by replicas that do not lead and know no gangs.

A Rack is in use while it is not being deleted, or gangs hold nodes in it. A HardwareProfile, PowerDomain or
CoolingZone is in use while something refers to it that is not being deleted, or is itself in use. So a whole facility
can be deleted in any order, objects that refer to each other in a circle included, and what runs keeps all above it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from rackplane.api.base import GROUP
from rackplane.core.events import FailureReason
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.instructions import SetFinalizers
from rackplane.core.site.entries import Entry, ObjectKey
from rackplane.engine.model import Problem

if TYPE_CHECKING:
    from rackplane.core.world import World

__all__ = ["DELETION", "FINALIZER", "Removals", "deletion_problems"]

FINALIZER: Final = f"{GROUP}/in-use"
#: A write that the API server will not take is tried again after so many times the longest pause.
_REJECTED: Final = 10
_NAMED: Final = 3
#: The field of a problem that says what a deletion waits for.
DELETION: Final = "metadata.deletionTimestamp"


class Removals:
    """Which objects to look at, and the writes that are under way."""

    def __init__(self) -> None:
        self._stale: dict[ObjectKey, None] = {}
        self._used: frozenset[ObjectKey] = frozenset()
        self._seen: tuple[int, int] | None = None
        self._deleting = False
        #: resourceVersion of the object that a write is based on: no second one on the same
        self._asked: dict[ObjectKey, str] = {}
        self._failures: dict[ObjectKey, int] = {}
        self._not_before: dict[ObjectKey, float] = {}

    def look(self, kind: str, name: str) -> None:
        """An object was seen."""
        self._stale[kind, name] = None

    def resign(self) -> None:
        """This process no longer leads; whoever does looks at everything."""
        self._seen = None
        for kept in (self._stale, self._asked, self._failures, self._not_before):
            kept.clear()

    def run(self, world: World) -> Iterator[SetFinalizers]:
        """The finalizers to put on and to take off."""
        entries = world.catalog.elements()
        revision = world.catalog.revision
        if self._seen is None or self._seen[0] != revision:
            self._deleting = any(e.deleting for e in entries.values())
        # Gangs that come and go matter to what is being deleted only.
        seen = (revision, world.placements if self._deleting else 0)
        if seen != self._seen:
            self._seen = seen
            self._used = _used(entries, _gangs_by_rack(world))
            self._stale.update(dict.fromkeys(entries))
        for key in list(self._stale):
            if world.now < self._not_before.get(key, 0.0):
                continue
            del self._stale[key]
            entry = entries.get(key)
            if entry is None:
                self._asked.pop(key, None)
                continue
            has, wants = FINALIZER in entry.finalizers, key in self._used
            # The API server takes no new finalizer on an object that is being deleted.
            if has == wants or (wants and entry.deleting) or self._asked.get(key) == entry.version:
                continue
            others = tuple(f for f in entry.finalizers if f != FINALIZER)
            self._asked[key] = entry.version
            yield SetFinalizers(*key, entry.version, (*others, FINALIZER) if wants else others)

    def succeeded(self, instruction: SetFinalizers) -> None:
        """The API server has taken a write."""
        key = (instruction.kind, instruction.name)
        self._failures.pop(key, None)
        self._not_before.pop(key, None)

    def failed(self, world: World, instruction: SetFinalizers, reason: FailureReason) -> None:
        """A write was refused or not answered."""
        key = (instruction.kind, instruction.name)
        if reason in (FailureReason.CONFLICT, FailureReason.GONE):
            return  # a later version is there, or on its way
        if self._asked.get(key) == instruction.resource_version:
            del self._asked[key]
        self._stale[key] = None
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        longest = world.settings.longest_retry_seconds
        pause = min(world.settings.retry_seconds * 2 ** min(failures - 1, 10), longest)
        self._not_before[key] = world.now + (
            longest * _REJECTED if reason is FailureReason.REJECTED else pause
        )


def deletion_problems(world: World) -> Iterator[Problem]:
    """What each object that is being deleted still waits for, by name."""
    entries = world.catalog.elements()
    deleting = [key for key, entry in entries.items() if entry.deleting]
    if not deleting:
        return
    gangs = _gangs_by_rack(world)
    used = _used(entries, gangs)
    under: dict[ObjectKey, dict[str, None]] = {}
    for rack in sorted(gangs):
        for key in _above(entries, ("Rack", rack)):
            under.setdefault(key, {}).update(dict.fromkeys(gangs[rack]))
    for key in deleting:
        if key not in used:
            continue
        kind, name = key
        referring = [
            other
            for other, entry in entries.items()
            if key in entry.references and (other in used or not entry.deleting)
        ]
        running = sorted(under.get(key, ()))
        waits = []
        if running:
            waits.append(
                f"{_listed('gang', running)} {'hold' if len(running) > 1 else 'holds'} nodes under it"
            )
        for of_kind in sorted({other[0] for other in referring}):
            names = sorted(n for k, n in referring if k == of_kind)
            waits.append(f"{_listed(of_kind, names)} {'refer' if len(names) > 1 else 'refers'} to it")
        remedy = "let the gangs end or delete their jobs" if running else ""
        if referring:
            remedy += f"{', and ' if remedy else ''}delete what refers to it or change its spec"
        message = (
            f"is being deleted: it takes no new gangs, and its load counts, as long as {' and '.join(waits)};"
        )
        yield Problem(kind, name, DELETION, message, remedy)


def _used(entries: Mapping[ObjectKey, Entry], busy: Collection[str]) -> frozenset[ObjectKey]:
    used = {key for key, e in entries.items() if key[0] == "Rack" and (not e.deleting or key[1] in busy)}
    todo = [key for key, e in entries.items() if not e.deleting or key in used]
    while todo:
        for key in entries[todo.pop()].references:
            if key in entries and key not in used:
                used.add(key)
                if entries[key].deleting:
                    todo.append(key)
    return frozenset(used)


def _above(entries: Mapping[ObjectKey, Entry], start: ObjectKey) -> set[ObjectKey]:
    """The object and everything that it stands under."""
    found, todo = {start}, [start]
    while todo:
        entry = entries.get(todo.pop())
        for key in entry.references - found if entry is not None else ():
            found.add(key)
            todo.append(key)
    return found


def _gangs_by_rack(world: World) -> dict[str, list[str]]:
    """Gangs by the racks in which they hold nodes: where the nodes are, and where they were at the decision."""
    assert world.state is not None
    found: dict[str, list[str]] = {}
    for record in world.gangs.values():
        if record.decision is None:
            continue
        name = booking_key(record.key)
        held = world.state.held(name)
        placed = [group.rack for group in record.decision.placement.groups for _ in group.nodes]
        racks = {placed[slot] for slot in held}
        racks.update(spec.rack for node in held.values() if (spec := world.state.node(node)) and spec.rack)
        for rack in racks:
            found.setdefault(rack, []).append(name)
    return found


def _listed(noun: str, names: Iterable[str]) -> str:
    """ "Rack a", "Racks a, b", "Racks a, b, c and 15 more"."""
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(names[:_NAMED])}{more}"
