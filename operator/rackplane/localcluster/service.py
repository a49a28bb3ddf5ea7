"""Creating, updating and deleting objects by the rules of their kind. The API and the controllers both write here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import crds, deletion, errors, smallkinds
from .admission import CREATE, DELETE, UPDATE, Attributes, Policies
from .crdcontroller import CrdController
from .fields.managers import Managed
from .fields.tracking import Tracker, settled
from .kinds import SYSTEM_NAMESPACES, Custom, Kind, kind_of
from .metadata import drop_empty, drop_given, keep_known, metadata_causes
from .objects import Clock, Obj, clone, meta, name_of, namespace_of, timestamp
from .parts import desired, with_status, without_status
from .resources import CRDS, NAMESPACES, PRIORITY_CLASSES, Registry, Resource
from .store import ANY, Preconditions, Store
from .users import CONTROLLERS, Caller


class Service:
    """The rules between the wire and the store."""

    def __init__(self, *, clock: Clock, seed: int = 0, history_limit: int = 50_000) -> None:
        self.clock = clock
        self.store = Store(clock=clock, seed=seed, history_limit=history_limit)
        self.registry = Registry()
        self.definitions = crds.Definitions(self.registry)
        self.crds = CrdController(self.store, clock)
        self.tracker = Tracker(clock, self._schema)
        self.policies = Policies(self.store, self.registry, self.tracker.type_of)
        for name in SYSTEM_NAMESPACES:
            self.create(self.need("", "v1", "namespaces"), {"metadata": {"name": name}})
        for system_class in smallkinds.system_classes():
            self.create(self.need(*PRIORITY_CLASSES[:1], "v1", PRIORITY_CLASSES[1]), system_class)

    def take_over(self, other: Service) -> None:
        """See `LocalCluster.take_over`."""
        self.store.take_over(other.store)
        self.definitions.take_over(other.definitions)
        self.tracker.take_over(other.tracker)

    def need(self, group: str, version: str, plural: str) -> Resource:
        """A served resource.

        Raises:
            ApiError: 404, nothing is served there.
        """
        found = self.registry.find(group, version, plural)
        if found is None:
            raise errors.no_such_path()
        return found

    def _schema(self, resource: Resource) -> Any:
        definition = self.definitions.find(resource)
        return definition.schema if definition is not None else None

    def _rules(self, resource: Resource) -> Kind:
        definition = self.definitions.find(resource)
        return kind_of(resource) if definition is None else Custom(definition)

    # -- create

    def create(
        self,
        resource: Resource,
        obj: Obj,
        *,
        dry_run: bool = False,
        unknown: crds.Reports | None = None,
        caller: Caller | None = None,
    ) -> Obj:
        """Create an object; `unknown` is told which fields a custom resource's schema dropped.

        The cluster's own controllers need not name themselves as `caller`.

        Raises:
            ApiError: 400, 403, 404 (namespace), 409, 422, 501.
        """
        obj = clone(obj)
        metadata = obj.setdefault("metadata", {})
        drop_empty(metadata)
        version = str(metadata.get("resourceVersion") or "")
        drop_given(metadata)
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        self._check_namespace(resource, obj)
        caller, rules = caller or Caller(CONTROLLERS), self._rules(resource)
        rules.decode(obj, unknown)
        managed = metadata.get("managedFields")
        if not isinstance(managed, Managed):
            managed = self.tracker.written(resource, None, obj, caller.manager)
        about = Attributes(
            CREATE,
            resource,
            _request_namespace(resource, obj),
            name_of(obj),
            obj,
            None,
            caller,
            dry_run=dry_run,
        )
        obj = self.policies.mutate(about, lambda new: rules.admit(new, self.store))
        metadata = obj["metadata"]
        metadata.pop("managedFields", None)
        if managed:
            metadata["managedFields"] = managed
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName'][:58]}{self.store.suffix()}"
        metadata["uid"] = self.store.new_uid()
        metadata["creationTimestamp"] = timestamp(self.clock())
        if resource.generation:
            metadata["generation"] = 1
        causes = metadata_causes(resource, obj)
        causes += rules.create(resource, obj, self.store, unknown)
        if causes:
            raise errors.invalid(resource.group, resource.kind, name_of(obj), causes)
        about.obj = obj
        rules.compare(obj, self.store, new=True)
        self.policies.validate(about)
        there = self.store.get(resource.key, namespace_of(obj), name_of(obj))
        if there is not None:
            leaving = "deletionTimestamp" in meta(there)
            raise errors.already_exists(resource.group, resource.plural, name_of(obj), leaving=leaving)
        caller.warnings += rules.warnings(obj)
        if dry_run:
            return obj
        if definition := self.definitions.find(resource):
            definition.to_storage(obj)
        if version.isdecimal() and int(version):
            raise errors.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        stored = self.store.create(resource.key, obj, owned=True)
        if resource.key == CRDS:
            self._settle(stored)
        return stored

    def _settle(self, crd: Obj) -> None:
        """Let the controllers of CRDs act on one that was written or is gone; serve what came of it."""
        before = {name_of(entry): entry for entry in self.store.items(CRDS)}
        self.crds.settle(name_of(crd))
        self.crds.settle_group(crd["spec"]["group"])
        for entry in self.store.items(CRDS):
            if entry is not before.get(name_of(entry)) or name_of(entry) == name_of(crd):
                self.definitions.load(entry)

    def _check_namespace(self, resource: Resource, obj: Obj) -> None:
        metadata = obj["metadata"]
        if not resource.namespaced:
            metadata.pop("namespace", None)
            return
        namespace = namespace_of(obj)
        if not namespace:
            raise errors.bad_request("an empty namespace may not be set during creation")
        found = self.store.need(NAMESPACES, "", namespace)
        if meta(found).get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            problem = errors.forbidden(resource.group, resource.plural, name_of(obj), why)
            problem.details["causes"] = [
                {
                    "reason": "NamespaceTerminating",
                    "message": f"namespace {namespace} is being terminated",
                    "field": "metadata.namespace",
                }
            ]
            raise problem

    # -- update

    def update(
        self,
        resource: Resource,
        obj: Obj,
        *,
        subresource: str = "",
        dry_run: bool = False,
        unknown: crds.Reports | None = None,
        caller: Caller | None = None,
    ) -> Obj:
        """Replace an object or, with `subresource="status"`, its status.

        A resourceVersion or uid in the object is a precondition. Immutable and managed fields keep their values.

        Raises:
            ApiError: 400, 403, 404, 409, 422, 501.
        """
        name = name_of(obj)
        stored = self.store.need(resource.key, namespace_of(obj), name)
        version = str(meta(obj).get("resourceVersion") or "0")
        if not version.isdecimal():
            raise errors.ApiError(500, "", f'strconv.ParseUint: parsing "{version}": invalid syntax')
        preconditions = Preconditions(meta(obj).get("uid"), version if int(version) else None)
        self.store.check(resource.key, stored, preconditions)
        obj = clone(obj)
        drop_empty(obj["metadata"])
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        before: Obj = {**stored, "apiVersion": resource.api_version}
        keep_known(obj["metadata"], meta(stored))
        caller, rules = caller or Caller(CONTROLLERS), self._rules(resource)
        if not subresource or resource.crd or resource.key == NAMESPACES:
            rules.decode(obj, unknown)
        managed = meta(obj).get("managedFields")
        if not isinstance(managed, Managed) or managed is meta(stored).get("managedFields"):
            # One worked out already, by an apply, is taken as it is.
            managed = self.tracker.written(resource, before, obj, caller.manager, subresource)
        about = Attributes(
            UPDATE,
            resource,
            _request_namespace(resource, obj),
            name,
            obj,
            before,
            caller,
            subresource,
            dry_run=dry_run,
        )
        obj = self.policies.mutate(about, rules.readmit)
        causes: list[errors.Cause] = []
        if subresource == "status":
            obj = with_status(resource, obj, before)
            causes += rules.status(obj, before)
        elif "status" in resource.subresources:
            without_status(obj, before)
        causes += metadata_causes(resource, obj, before, subresource)
        if not subresource:
            causes += rules.update(resource, obj, before, unknown)
        causes += rules.judge(obj, before, subresource, unknown)
        if causes:
            raise errors.invalid(resource.group, resource.kind, name, causes)
        about.obj = obj
        rules.compare(obj, self.store, new=False)
        self.policies.validate(about)
        bump = (
            resource.generation
            and subresource != "status"
            and resource.key != PRIORITY_CLASSES
            and desired(resource, obj) != desired(resource, before)
        )
        if not dry_run and (definition := self.definitions.find(resource)):
            definition.to_storage(obj)
        obj["metadata"]["managedFields"] = settled(managed, obj, before)
        if dry_run:
            metadata = {**obj["metadata"], "resourceVersion": meta(stored)["resourceVersion"]}
            if bump:
                metadata["generation"] = int(metadata.get("generation") or 0) + 1
            return {**obj, "metadata": metadata}
        result = self.store.update(resource.key, obj, bump=bump, owned=True)
        if bump:
            caller.warnings += rules.warnings(result, before)
        if resource.key == CRDS and not subresource and self.store.get(CRDS, "", name) is not None:
            self._settle(result)
        return result

    # -- delete

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        propagation: str | None = None,
        grace_seconds: int | None = None,
        preconditions: Preconditions = ANY,
        dry_run: bool = False,
        caller: Caller | None = None,
        admitted: bool = False,
    ) -> tuple[Obj, bool]:
        """Delete an object; returns it and whether it is gone.

        `propagation` is Background, Foreground or Orphan; None is the kind's default, which for batch/v1 Jobs is
        Orphan. `grace_seconds` matters to pods only. `admitted`: no admission policy is asked, as for an eviction.

        Raises:
            ApiError: 403 (what every cluster needs), 404, 409.
        """
        rules = self._rules(resource)
        rules.protect(name)
        stored = self.store.need(resource.key, namespace, name)
        deletion.check(resource, stored, preconditions)
        about = Attributes(
            DELETE,
            resource,
            _request_namespace(resource, stored),
            name,
            None,
            stored,
            caller or Caller(CONTROLLERS),
            dry_run=dry_run,
        )
        if not admitted:
            self.policies.validate(about)
        if resource.key == NAMESPACES:
            return deletion.delete_namespace(self.store, stored, propagation, dry_run=dry_run)
        if resource.key == CRDS and not dry_run and not meta(stored).get("deletionTimestamp"):
            return self.crds.terminate(stored), False
        return self.store.delete(
            resource.key,
            namespace,
            name,
            preconditions=preconditions,
            grace_seconds=rules.grace_seconds(stored, grace_seconds),
            finalizers=deletion.collector_finalizers(resource, stored, propagation),
            dry_run=dry_run,
        )

    def crd_is_empty(self, crd: Obj) -> None:
        """The collector deleted all objects of a CRD on its way out: let it go, and others have its names."""
        self.crds.clean(crd)
        if self.store.get(CRDS, "", name_of(crd)) is None:
            self.definitions.unload(name_of(crd))
            self._settle(crd)

    # -- for controllers

    def change(
        self,
        resource: Resource,
        obj: Obj,
        change: Callable[[Obj], None],
        *,
        subresource: str = "",
        manager: str = "",
    ) -> Obj | None:
        """Change the stored state of an object by a function on a copy; None when it is gone (or another by uid).

        `manager` is the controller's name as a manager of fields, where it is not the controller manager.
        """
        stored = self.store.get(resource.key, namespace_of(obj), name_of(obj))
        if stored is None or meta(stored).get("uid") != meta(obj).get("uid"):
            return None
        fresh = clone(stored)
        change(fresh)
        if fresh == stored:
            return stored
        caller = Caller(CONTROLLERS, manager=manager) if manager else None
        return self.update(resource, fresh, subresource=subresource, caller=caller)


def _request_namespace(resource: Resource, obj: Obj) -> str:
    """The namespace as requests have it: that of a Namespace is its own name."""
    return name_of(obj) if resource.key == NAMESPACES else namespace_of(obj)
