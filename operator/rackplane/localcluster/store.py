"""Objects in memory with revisions, watch history and the life cycle every Kubernetes object has.

The store knows metadata (uid, resourceVersion, generation, finalizers, deletionTimestamp) and nothing of kinds;
what a kind demands is in `rules`. One integer counts every write of the whole store, as etcd's revision does.
"""

from __future__ import annotations

import random
import uuid
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import errors
from .history import ADDED, DELETED, MODIFIED, Change, GroupResource, History
from .objects import Clock, Obj, clone, meta, name_of, namespace_of, parse_timestamp, timestamp

__all__ = [
    "ADDED",
    "ANY",
    "DELETED",
    "GC_FINALIZERS",
    "MODIFIED",
    "Change",
    "GroupResource",
    "Preconditions",
    "Store",
]

Key = tuple[str, str]
#: A key as it is sorted.
Place = tuple[str, str, Key]

#: Finalizers the garbage collector itself acts on.
GC_FINALIZERS = frozenset({"orphan", "foregroundDeletion"})


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must hold of the stored object for a write to happen; None asks nothing."""

    uid: str | None = None
    resource_version: str | None = None


#: No preconditions at all.
ANY = Preconditions()

Listener = Callable[[Change], None]


class Store:
    """Synchronous object store.

    `history_limit` is how many changes (of all resources together) a watch may look back; older ones are
    compacted and a watch from before them gets 410. Objects handed out are shared: clone before changing.
    """

    def __init__(self, *, clock: Clock, seed: int = 0, history_limit: int = 50_000) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.revision = 1
        self._objects: dict[GroupResource, dict[Key, Obj]] = {}
        # Sorted, so that a page of a long list costs what the page holds.
        self._keys: dict[GroupResource, list[Place]] = {}
        self._history = History(history_limit)
        self._by_uid: dict[str, tuple[GroupResource, Key]] = {}
        self._listeners: list[Listener] = []

    # -- reading

    def get(self, resource: GroupResource, namespace: str, name: str) -> Obj | None:
        """The stored object or None."""
        return self._objects.get(resource, {}).get((namespace, name))

    def need(self, resource: GroupResource, namespace: str, name: str) -> Obj:
        """The stored object.

        Raises:
            ApiError: 404.
        """
        found = self.get(resource, namespace, name)
        if found is None:
            raise errors.not_found(*resource, name)
        return found

    def by_uid(self, uid: str) -> tuple[GroupResource, Obj] | None:
        """The object with this uid and its resource, or None when there is none (any more)."""
        found = self._by_uid.get(uid)
        if found is None:
            return None
        resource, key = found
        return resource, self._objects[resource][key]

    def items(
        self, resource: GroupResource, namespace: str = "", after: Key | None = None, limit: int | None = None
    ) -> list[Obj]:
        """Objects in the order of their keys, `limit` of those after a key; an empty namespace means all."""
        objects = self._objects.get(resource, {})
        keys = self._keys.get(resource, [])
        start, end = _range(keys, namespace, after)
        return [objects[key] for *_, key in keys[start : end if limit is None else min(end, start + limit)]]

    def count(self, resource: GroupResource, namespace: str = "", after: Key | None = None) -> int:
        """How many objects `items` would list without a limit."""
        start, end = _range(self._keys.get(resource, []), namespace, after)
        return end - start

    def items_at(
        self, resource: GroupResource, revision: int, namespace: str = "", after: Key | None = None
    ) -> list[Obj]:
        """Objects as they were at an older revision, rebuilt by undoing the history.

        Raises:
            ApiError: 410, the revision is compacted.
        """
        objects = dict(self._objects.get(resource, {}))
        same = True
        for change in reversed(self.since(resource, revision)):
            key = (change.namespace, change.name)
            if change.previous is None:
                objects.pop(key, None)
            else:
                objects[key] = change.previous
            same = same and change.type == MODIFIED
        listed = self._keys.get(resource, []) if same else sorted(map(_place, objects))
        start, end = _range(listed, namespace, after)
        return [objects[key] for *_, key in listed[start:end]]

    def since(self, resource: GroupResource, revision: int) -> list[Change]:
        """Changes of a resource after a revision, oldest first.

        Raises:
            ApiError: 410, the revision is compacted.
        """
        return self._history.since(resource, revision)

    def resources(self) -> Iterator[GroupResource]:
        """Resources that have at least one object."""
        return (resource for resource, items in list(self._objects.items()) if items)

    @property
    def compacted(self) -> int:
        """Up to which revision the history is forgotten."""
        return self._history.compacted

    # -- listening

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after every committed change; the answer unsubscribes."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def compact(self, revision: int | None = None) -> None:
        """Forget the history up to and including a revision (default: all of it)."""
        self._history.compact(self.revision if revision is None else revision)

    # -- writing

    def suffix(self, length: int = 5) -> str:
        """A name suffix from the alphabet Kubernetes uses, from the seeded source."""
        return "".join(self.random.choices("bcdfghjklmnpqrstvwxz2456789", k=length))

    def new_uid(self) -> str:
        """A uid from the seeded source, so that a run can be repeated exactly."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def create(self, resource: GroupResource, obj: Obj, *, owned: bool = False) -> Obj:
        """Store a new object; fills in uid, creationTimestamp and resourceVersion where missing.

        With `owned` the object itself is stored, and its maker gives it away; otherwise a copy.

        Raises:
            ApiError: 409 AlreadyExists.
        """
        key = (namespace_of(obj), name_of(obj))
        if key in self._objects.get(resource, {}):
            raise errors.already_exists(*resource, key[1])
        obj = obj if owned else clone(obj)
        metadata = obj["metadata"]
        metadata.setdefault("uid", self.new_uid())
        metadata.setdefault("creationTimestamp", timestamp(self.clock()))
        return self._commit(ADDED, resource, key, obj, None)

    def update(
        self,
        resource: GroupResource,
        obj: Obj,
        *,
        preconditions: Preconditions = ANY,
        bump: bool = False,
        owned: bool = False,
    ) -> Obj:
        """Replace an object. An identical one is no write: no revision, no event. `owned` is as in `create`.

        `bump` raises `metadata.generation`. Removing the last finalizer of an object under deletion deletes it.

        Raises:
            ApiError: 404; 409 when a precondition does not hold.
        """
        key = (namespace_of(obj), name_of(obj))
        stored = self.need(resource, *key)
        self.check(resource, stored, preconditions)
        obj = obj if owned else clone(obj)
        metadata, old = obj["metadata"], meta(stored)
        for field in ("uid", "creationTimestamp", "resourceVersion", "generation", "deletionTimestamp"):
            if field in old:
                metadata[field] = old[field]
            else:
                metadata.pop(field, None)
        if "deletionTimestamp" not in old:
            metadata.pop("deletionGracePeriodSeconds", None)
        elif "deletionGracePeriodSeconds" in old:
            metadata["deletionGracePeriodSeconds"] = old["deletionGracePeriodSeconds"]
        for field in ("finalizers", "labels", "annotations", "ownerReferences", "managedFields"):
            if field in metadata and not metadata[field]:
                del metadata[field]
        if obj == stored:
            return stored
        if bump and "generation" in metadata:
            metadata["generation"] += 1
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            held = (obj.get("spec") or {}).get("finalizers") if resource == ("", "namespaces") else None
            if not metadata.get("deletionGracePeriodSeconds") and not held:
                # The writer is shown what it wrote, at the version before; those who watch, what was stored before.
                self._commit(DELETED, resource, key, clone(stored), stored)
                return obj
        return self._commit(MODIFIED, resource, key, obj, stored)

    def delete(
        self,
        resource: GroupResource,
        namespace: str,
        name: str,
        *,
        preconditions: Preconditions = ANY,
        grace_seconds: int | None = None,
        finalizers: tuple[str, ...] | None = None,
        dry_run: bool = False,
    ) -> tuple[Obj, bool]:
        """Delete at once, or mark for deletion when finalizers or a grace period stand in the way.

        `grace_seconds` is None for what goes without grace, and for a second deletion that asks for no period of its
        own; a running period can be shortened, never lengthened, and until it is over finalizers stay as they are.
        `finalizers` replaces the garbage collector's own (`orphan`, `foregroundDeletion`); None keeps them. Returns the
        object and whether it is gone.

        Raises:
            ApiError: 404; 409 when a precondition does not hold.
        """
        stored = self.need(resource, namespace, name)
        self.check(resource, stored, preconditions)
        now = self.clock()
        old = meta(stored)
        running = old.get("deletionGracePeriodSeconds") or 0
        if running and (grace_seconds is None or grace_seconds >= running):
            return stored, False
        obj = clone(stored)
        metadata = obj["metadata"]
        kept = list(metadata.pop("finalizers", None) or [])
        if finalizers is not None:
            kept = [entry for entry in kept if entry not in GC_FINALIZERS] + list(finalizers)
        if kept:
            metadata["finalizers"] = kept
        if not kept and not grace_seconds:
            if grace_seconds is not None and (running or "deletionTimestamp" not in old):
                return self._delete_without_grace(resource, obj, stored, dry_run=dry_run), True
            if dry_run:
                return stored, True
            return self._commit(DELETED, resource, (namespace, name), obj, stored), True
        if running:
            period = grace_seconds or 0
            end = parse_timestamp(old["deletionTimestamp"]) - running + period
            # What is over already leaves a graceful deletion one second.
            metadata["deletionTimestamp"] = timestamp(max(end, now))
            metadata["deletionGracePeriodSeconds"] = 1 if end < now and period else period
        elif "deletionTimestamp" not in old:
            metadata["deletionTimestamp"] = timestamp(now + (grace_seconds or 0))
            metadata["deletionGracePeriodSeconds"] = grace_seconds or 0
            if "generation" in metadata:
                metadata["generation"] += 1
        if obj == stored or dry_run:
            return obj, False
        return self._commit(MODIFIED, resource, (namespace, name), obj, stored), False

    def _delete_without_grace(self, resource: GroupResource, obj: Obj, stored: Obj, *, dry_run: bool) -> Obj:
        """What may be deleted with grace is marked first even if it is left none; returns it as marked."""
        metadata = obj["metadata"]
        if "deletionTimestamp" not in metadata and "generation" in metadata:
            metadata["generation"] += 1
        metadata["deletionTimestamp"] = timestamp(self.clock())
        metadata["deletionGracePeriodSeconds"] = 0
        if dry_run:
            return obj
        key = (namespace_of(obj), name_of(obj))
        marked = self._commit(MODIFIED, resource, key, obj, stored)
        self._commit(DELETED, resource, key, clone(marked), marked)
        return marked

    def mark_deleted(self, resource: GroupResource, obj: Obj, *, dry_run: bool = False) -> Obj:
        """Mark an object (given as it shall be) for deletion without deleting it, as namespaces are."""
        key = (namespace_of(obj), name_of(obj))
        stored = self.need(resource, *key)
        marked: Obj = clone(obj)
        marked["metadata"]["deletionTimestamp"] = timestamp(self.clock())
        return marked if dry_run else self._commit(MODIFIED, resource, key, marked, stored)

    def remove(self, resource: GroupResource, namespace: str, name: str) -> Obj:
        """Delete at once, whatever finalizers say.

        Raises:
            ApiError: 404.
        """
        stored = self.need(resource, namespace, name)
        return self._commit(DELETED, resource, (namespace, name), clone(stored), stored)

    def check(self, resource: GroupResource, stored: Obj, preconditions: Preconditions) -> None:
        """Raise 409 unless the preconditions hold of the stored object."""
        metadata = meta(stored)
        name = name_of(stored)
        uid, version = preconditions.uid, preconditions.resource_version
        if uid and uid != metadata.get("uid"):
            raise errors.other_uid(resource, namespace_of(stored), name, uid, str(metadata.get("uid")))
        if version and version != metadata.get("resourceVersion"):
            raise errors.conflict(*resource, name)

    def take_over(self, other: Store) -> None:
        """Make every write that another store of the same seed has made since both were the same.

        Objects are shared with it, for no store changes one that is stored.
        """
        for change in other._history.all_since(self.revision):
            self._make(change)
        self.random.setstate(other.random.getstate())

    def _commit(self, kind: str, resource: GroupResource, key: Key, obj: Obj, previous: Obj | None) -> Obj:
        revision = self.revision + 1
        obj["metadata"]["resourceVersion"] = str(revision)
        self._make(Change(revision, kind, resource, *key, obj, previous))
        return obj

    def _make(self, change: Change) -> None:
        resource, key, obj = change.resource, (change.namespace, change.name), change.object
        self.revision = change.revision
        items = self._objects.setdefault(resource, {})
        uid = obj["metadata"]["uid"]
        if change.type == DELETED:
            del items[key]
            keys = self._keys[resource]
            del keys[bisect_left(keys, _place(key))]
            self._by_uid.pop(uid, None)
        else:
            if key not in items:
                insort(self._keys.setdefault(resource, []), _place(key))
            items[key] = obj
            self._by_uid[uid] = (resource, key)
        self._history.add(change)
        for listener in tuple(self._listeners):
            listener(change)


def _place(key: Key) -> Place:
    """Where a key stands in a list: upstream sorts `namespace/name` as one text, in which `a-b/` is before `a/`."""
    return key[0] + "/", key[1], key


def _range(keys: list[Place], namespace: str, after: Key | None) -> tuple[int, int]:
    """Where, among sorted keys, those of a namespace (empty: all) that come after a key begin and end."""
    # No name is empty, and every name sorts before "\x7f": both are outside what names may hold.
    start = bisect_left(keys, _place((namespace, ""))) if namespace else 0
    end = bisect_right(keys, _place((namespace, "\x7f"))) if namespace else len(keys)
    if after is not None:
        start = max(start, bisect_right(keys, _place(after)))
    return start, max(start, end)
