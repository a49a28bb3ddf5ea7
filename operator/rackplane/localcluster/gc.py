"""The garbage collector: owner references, namespaces and the objects of a deleted CRD."""

from __future__ import annotations

from . import namespaces
from .objects import Obj, clone, meta, name_of, namespace_of
from .resources import CRDS, NAMESPACES
from .service import Service
from .store import DELETED, Change, GroupResource

Address = tuple[GroupResource, str, str]


class GarbageCollector:
    """Deletes what nobody owns any more. Synchronous: `observe` notes, `run` acts."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.store
        self._dependents: dict[str, dict[Address, None]] = {}
        self._owners: dict[str, None] = {}
        self._check: dict[Address, None] = {}
        self._spaces: dict[str, None] = {}
        self._crds: dict[str, None] = {}

    def observe(self, change: Change) -> None:
        """Note owners that go, objects that name owners, namespaces and CRDs under deletion."""
        address = (change.resource, change.namespace, change.name)
        new = _owner_uids(change.object) if change.type != DELETED else frozenset()
        old = _owner_uids(change.previous) if change.previous is not None else frozenset()
        for uid in old - new:
            self._dependents.get(uid, {}).pop(address, None)
            if not self._dependents.get(uid):
                self._dependents.pop(uid, None)
            self._owners[uid] = None
        for uid in new:
            self._dependents.setdefault(uid, {})[address] = None
        if new - old:
            self._check[address] = None
        if change.type == DELETED or meta(change.object).get("deletionTimestamp"):
            self._owners[meta(change.object)["uid"]] = None
        if change.namespace:
            self._spaces[change.namespace] = None
        if change.resource == NAMESPACES and meta(change.object).get("deletionTimestamp"):
            self._spaces[change.name] = None
        if change.resource == CRDS and meta(change.object).get("deletionTimestamp"):
            self._crds[change.name] = None
        elif change.type == DELETED and "." in change.resource[0]:
            self._crds[f"{change.resource[1]}.{change.resource[0]}"] = None

    def run(self) -> bool:
        """Act on what was noted; returns whether there was anything."""
        work = bool(self._owners or self._check or self._spaces or self._crds)
        owners, self._owners = list(self._owners), {}
        checks, self._check = list(self._check), {}
        spaces, self._spaces = list(self._spaces), {}
        names, self._crds = list(self._crds), {}
        for uid in owners:
            self._owner(uid)
        for address in checks:
            self._collect(address)
        for space in spaces:
            namespaces.terminate(self._service, space)
        for name in names:
            self._crd(name)
        return work

    def _owner(self, uid: str) -> None:
        found = self._store.by_uid(uid)
        dependents = list(self._dependents.get(uid, {}))
        if found is None:
            for address in dependents:
                self._collect(address)
            return
        owner = found[1]
        if not meta(owner).get("deletionTimestamp"):
            return
        finalizers = meta(owner).get("finalizers") or []
        if "orphan" in finalizers:
            for address in dependents:
                self._orphan(address, uid)
            self._finish(*found, "orphan")
        elif "foregroundDeletion" in finalizers:
            blocking = False
            for address in dependents:
                obj = self._store.get(*address)
                if obj is None:
                    continue
                references = meta(obj)["ownerReferences"]
                if any(self._keeps(ref, address) for ref in references if ref.get("uid") != uid):
                    self._orphan(address, uid)
                    continue
                reference = next(ref for ref in references if ref.get("uid") == uid)
                if not meta(obj).get("deletionTimestamp"):
                    self._delete(address, "Foreground" if self._dependents.get(meta(obj)["uid"]) else None)
                left = self._store.get(*address) is not None
                blocking = blocking or (left and bool(reference.get("blockOwnerDeletion")))
            if not blocking or not self._dependents.get(uid):
                self._finish(*found, "foregroundDeletion")

    def _collect(self, address: Address) -> None:
        """Delete an object all of whose owners are gone; drop references to gone ones from others."""
        obj = self._store.get(*address)
        if obj is None or meta(obj).get("deletionTimestamp"):
            return
        references = meta(obj).get("ownerReferences") or []
        alive = [ref for ref in references if self._present(ref, address)]
        if not references or len(alive) == len(references):
            return
        if not alive:
            self._delete(address, "Background")
            return
        kept = clone(obj)
        kept["metadata"]["ownerReferences"] = alive
        self._store.update(address[0], kept)

    def _present(self, reference: Obj, dependent: Address) -> bool:
        """Whether an owner exists: under its kind and name, in the namespace of what names it.

        One that cannot be looked up counts as present: of a kind nobody serves, or with a namespace where the
        dependent has none.
        """
        resource = self._service.registry.of_kind(
            str(reference.get("apiVersion")), str(reference.get("kind"))
        )
        if resource is None or (resource.namespaced and not dependent[1]):
            return True
        namespace = dependent[1] if resource.namespaced else ""
        owner = self._store.get(resource.key, namespace, str(reference.get("name")))
        return owner is not None and meta(owner)["uid"] == reference.get("uid")

    def _keeps(self, reference: Obj, dependent: Address) -> bool:
        """Whether this owner is there and does not wait for its dependents to go."""
        owner = self._store.by_uid(str(reference.get("uid")))
        leaving = owner is not None and "foregroundDeletion" in (meta(owner[1]).get("finalizers") or [])
        return not leaving and self._present(reference, dependent)

    def _orphan(self, address: Address, uid: str) -> None:
        obj = self._store.get(*address)
        if obj is not None:
            freed = clone(obj)
            freed["metadata"]["ownerReferences"] = [
                r for r in meta(obj)["ownerReferences"] if r.get("uid") != uid
            ]
            self._store.update(address[0], freed)

    def _finish(self, resource: GroupResource, owner: Obj, finalizer: str) -> None:
        current = self._store.get(resource, namespace_of(owner), name_of(owner))
        if current is not None:
            freed = clone(current)
            freed["metadata"]["finalizers"] = [
                f for f in meta(current).get("finalizers") or () if f != finalizer
            ]
            self._store.update(resource, freed)

    def _delete(self, address: Address, propagation: str | None) -> None:
        resource = self._service.registry.stored_as(address[0])
        if resource is not None and self._store.get(*address) is not None:
            self._service.delete(resource, address[1], address[2], propagation=propagation or "Background")

    def _crd(self, name: str) -> None:
        crd = self._store.get(CRDS, "", name)
        if crd is None or not meta(crd).get("deletionTimestamp"):
            return
        plural, _, group = name.partition(".")
        resource = self._service.registry.stored_as((group, plural))
        left = False
        for obj in self._store.items((group, plural)):
            if resource is not None and not meta(obj).get("deletionTimestamp"):
                self._service.delete(resource, namespace_of(obj), name_of(obj), propagation="Background")
            elif resource is None:
                self._store.remove((group, plural), namespace_of(obj), name_of(obj))
            left = left or self._store.get((group, plural), namespace_of(obj), name_of(obj)) is not None
        if left:
            return
        self._service.crd_is_empty(crd)


def _owner_uids(obj: Obj) -> frozenset[str]:
    return frozenset(str(reference.get("uid")) for reference in meta(obj).get("ownerReferences") or ())
