"""`metadata.managedFields`: which manager wrote or applied which fields, kept up to date by every write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rackplane.localcluster.objects import Frozen, Obj, meta

from .sets import FieldSet
from .types import Type
from .values import Comparison, compare

APPLY, UPDATE = "Apply", "Update"
#: As many entries of updates are kept; the oldest are then taken together.
_MOST_UPDATERS = 10
_OLD_UPDATES = "ancient-changes"
#: What nobody manages: identity, and what the server itself writes.
_STRIPPED = FieldSet.of(
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(
        ("f:metadata", f"f:{name}")
        for name in (
            *("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation"),
            *("managedFields", "resourceVersion"),
        )
    ),
)
#: Who is said to have written all that is there when the first apply comes to an object nobody tracked.
BEFORE_FIRST_APPLY = "before-first-apply"


@dataclass(frozen=True, slots=True)
class Manager:
    """Who an entry is about. An applier is the same in all versions, an updater is another in each."""

    name: str
    operation: str
    subresource: str
    version: str


@dataclass(frozen=True, slots=True)
class Entry:
    """The fields of one manager, in the version (`group/version`) it wrote last. `time` may be empty."""

    manager: Manager
    version: str
    time: str
    fields: FieldSet

    def wire(self) -> Obj:
        """The entry as `metadata.managedFields` has it."""
        found: Obj = {
            "manager": self.manager.name,
            "operation": self.manager.operation,
            "apiVersion": self.version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.wire(),
        }
        if not self.time:
            del found["time"]
        if not self.manager.name:
            del found["manager"]
        if self.manager.subresource:
            found["subresource"] = self.manager.subresource
        return found


class Managed(Frozen):
    """`metadata.managedFields` as objects hold it: a list like any other, that copies of the object share."""

    __slots__ = ("entries",)

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(sorted(entries, key=_order))
        super().__init__(entry.wire() for entry in self.entries)

    def same_but_times(self, other: Managed) -> bool:
        """Whether the same managers have the same fields."""
        return len(self.entries) == len(other.entries) and all(
            (one.manager, one.version, one.fields) == (two.manager, two.version, two.fields)
            for one, two in zip(self.entries, other.entries, strict=True)
        )


@lru_cache(1024)
def sole(who: Manager, version: str, time: str, fields: FieldSet) -> Managed:
    """The managers of an object only one has written so far; shared by all the like made in the same second."""
    return Managed((Entry(who, version, time, fields),))


def _order(entry: Entry) -> tuple[str, ...]:
    manager = entry.manager
    return (manager.operation, entry.time, manager.name, entry.version, manager.subresource)


@lru_cache(1024)
def manager(name: str, operation: str, subresource: str, version: str) -> Manager:
    """A manager by name; an empty one is `unknown`."""
    return Manager(name or "unknown", operation, subresource, "" if operation == APPLY else version)


def read(wire: Any) -> Managed:
    """What `metadata.managedFields` of an object says.

    Raises:
        ValueError: it is malformed; the message is the API server's.
    """
    if isinstance(wire, Managed):
        return wire
    found: dict[Manager, Entry] = {}
    for index, entry in enumerate(wire or ()):
        operation, version = entry.get("operation", ""), entry.get("apiVersion", "")
        if operation not in (APPLY, UPDATE):
            raise ValueError("operation must be `Apply` or `Update`")
        if not version:
            raise ValueError("apiVersion must not be empty")
        kind = entry.get("fieldsType", "")
        if kind != "FieldsV1":
            problem = f'invalid fieldsType "{kind}"' if kind else "missing fieldsType"
            raise ValueError(f"{problem} in managed fields entry {index}")
        who = Manager(
            entry.get("manager", ""),
            operation,
            entry.get("subresource", ""),
            "" if operation == APPLY else version,
        )
        found[who] = Entry(who, version, entry.get("time") or "", FieldSet.read(entry.get("fieldsV1") or {}))
    return Managed(found.values())


def is_reset(wire: Any) -> bool:
    """Whether a client asks to forget all managers: an empty list, or one of an empty entry."""
    return isinstance(wire, list) and (not wire or wire == [{}])


def in_force(new: Obj, live: Obj, *, subresource: str) -> Managed:
    """The managers a write starts from: those it states, or the stored ones where it states none or nonsense."""
    stated = meta(new).get("managedFields")
    if not subresource and stated is not None:
        if is_reset(stated):
            return Managed(())
        try:
            found = read(stated)
        except (ValueError, AttributeError):
            found = Managed(())
        if found.entries:
            return found
    try:
        return read(meta(live).get("managedFields"))
    except (ValueError, AttributeError):
        return Managed(())


def updated(
    type_: Type,
    live: Obj,
    new: Obj,
    managed: Managed,
    *,
    name: str,
    version: str,
    subresource: str,
    ignored: FieldSet,
    now: str,
) -> Managed:
    """The managers after a write other than an apply.

    Args:
        live: the stored object, or for a creation the object as it is before anybody sets anything.
        new: the object as the client wants it, with defaults.
        ignored: fields this write does not change, whatever it says.
        now: the time as `metadata.managedFields` has it.
    """
    if not managed.entries and meta(live).get("uid"):
        # Who wrote what is not known any more, and is not found out until the first apply.
        return managed
    difference = compare(type_, live, new).less(ignored)
    if difference.same:
        return managed
    entries = dispossessed(managed.entries, difference)
    fields = (difference.modified | difference.added) - _STRIPPED
    if fields:
        who = manager(name, UPDATE, subresource, version)
        if not entries:
            return sole(who, version, now, fields)
        own = entries.get(who)
        entries[who] = Entry(who, version, now, fields | own.fields if own else fields)
    return Managed(_capped(entries).values())


def dispossessed(entries: Iterable[Entry], difference: Comparison) -> dict[Manager, Entry]:
    """The entries less the fields that somebody else now changed, added or removed."""
    taken = difference.modified | difference.added | difference.removed
    kept: dict[Manager, Entry] = {}
    for entry in entries:
        rest = entry.fields - taken
        if rest:
            kept[entry.manager] = (
                entry if rest is entry.fields else Entry(entry.manager, entry.version, entry.time, rest)
            )
    return kept


def stripped(fields: FieldSet) -> FieldSet:
    """The set without what nobody manages."""
    return fields - _STRIPPED


def _capped(entries: dict[Manager, Entry]) -> dict[Manager, Entry]:
    updaters = [entry for entry in entries.values() if entry.manager.operation == UPDATE]
    if len(updaters) <= _MOST_UPDATERS:
        return entries
    updaters.sort(
        key=lambda entry: (entry.time, entry.manager.name, entry.version, entry.manager.subresource)
    )
    count = len(updaters)
    first: dict[str, Manager] = {}
    for entry in updaters:
        if count <= _MOST_UPDATERS:
            break
        bucket = Manager(_OLD_UPDATES, UPDATE, "", entry.version)
        if entry.version not in first:
            first[entry.version] = entry.manager
            continue
        if bucket not in entries:
            entries[bucket] = entries.pop(first[entry.version])
        fields = entry.fields | entries[bucket].fields
        del entries[entry.manager]
        entries[bucket] = Entry(bucket, entry.version, entry.time, fields)
        count -= 1
    return entries
