"""Creating, updating and deleting objects by the rules of their kind. The API and the controllers both write here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import crds, deletion, errors, podrules, smallkinds
from .admission import CREATE, DELETE, UPDATE, Attributes, Policies, definitions
from .budgets import rules as budgetrules
from .crdcontroller import CrdController
from .fields.managers import Managed
from .fields.tracking import Tracker, settled
from .jobs import rules as jobrules
from .metadata import drop_empty, metadata_causes
from .objects import Clock, Obj, clone, meta, name_of, namespace_of, timestamp
from .pods.cautions import pod_cautions
from .resources import BUDGETS, CRDS, JOBS, NAMESPACES, NODES, PODS, PRIORITY_CLASSES, Registry, Resource
from .store import ANY, Preconditions, Store
from .users import CONTROLLERS, Caller

#: The namespaces every cluster has.
SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


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

    def decoded(self, resource: Resource, obj: Obj, unknown: crds.Reports | None = None) -> None:
        """Fill in the defaults an object has as soon as it is read, before anybody else sees it, in place."""
        definition = self.definitions.find(resource)
        if resource.key == PODS:
            podrules.default_spec(obj.setdefault("spec", {}))
        elif resource.key == JOBS:
            jobrules.default(obj)
        elif resource.key == NAMESPACES:
            labels = meta(obj).get("labels") or {}
            if name_of(obj):
                obj["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": name_of(obj)}
        elif resource.plural == "secrets":
            obj.setdefault("type", "Opaque")
            _merge_string_data(obj)
        elif resource.plural == "priorityclasses":
            obj.setdefault("preemptionPolicy", "PreemptLowerPriority")
        elif resource.key == CRDS:
            crds.decode(obj)
        elif definition is not None:
            definition.decode(obj, unknown)

    def _default(self, resource: Resource, *, creating: bool = True) -> Callable[[Obj], None]:
        """What fills in an object before admission policies see it, in place."""
        definition = self.definitions.find(resource)

        def fill_in(obj: Obj) -> None:
            if resource.key == PODS and creating:
                podrules.default_pod(obj, self.store)
            elif resource.key == PODS:
                podrules.default_spec(obj.setdefault("spec", {}))
            elif resource.key == JOBS:
                jobrules.default(obj)
            elif definition is not None:
                definition.decode(obj)

        return fill_in

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
        for field in (
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "resourceVersion",
        ):
            metadata.pop(field, None)
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        self._check_namespace(resource, obj)
        caller = caller or Caller(CONTROLLERS)
        self.decoded(resource, obj, unknown)
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
        obj = self.policies.mutate(about, self._default(resource))
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
        causes += self._prepare_create(resource, obj, unknown)
        if causes:
            raise errors.invalid(resource.group, resource.kind, name_of(obj), causes)
        about.obj = obj
        self.policies.validate(about)
        there = self.store.get(resource.key, namespace_of(obj), name_of(obj))
        if there is not None:
            leaving = "deletionTimestamp" in meta(there)
            raise errors.already_exists(resource.group, resource.plural, name_of(obj), leaving=leaving)
        if resource.key == JOBS and caller is not None:
            caller.warnings += jobrules.warnings(obj)
        elif resource.key == PODS and caller is not None:
            caller.warnings += pod_cautions(obj)
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

    def _prepare_create(
        self, resource: Resource, obj: Obj, unknown: crds.Reports | None
    ) -> list[errors.Cause]:
        key = resource.key
        if key == PODS:
            podrules.prepare_create(obj, self.store)
            return podrules.new_pod_causes(obj["spec"])
        if key == JOBS:
            jobrules.prepare_create(obj)
            return jobrules.validate(obj)
        if key == NAMESPACES:
            given = (obj.get("spec") or {}).get("finalizers") or []
            obj["spec"] = {"finalizers": given if "kubernetes" in given else [*given, "kubernetes"]}
            obj["status"] = {"phase": "Active"}
            labels = {**(meta(obj).get("labels") or {}), "kubernetes.io/metadata.name": name_of(obj)}
            obj["metadata"]["labels"] = labels
        elif key == CRDS:
            return crds.prepare(obj, None, unknown)
        elif key in definitions.KINDS:
            definitions.default(key, obj)
            return definitions.check(key, obj)
        elif key == BUDGETS:
            budgetrules.prepare_create(obj)
            return budgetrules.spec_causes(obj)
        elif resource.plural == "secrets":
            obj.setdefault("type", "Opaque")
            _merge_string_data(obj)
        elif definition := self.definitions.find(resource):
            if definition.status_subresource:
                obj.pop("status", None)
            return definition.problems(obj, None, reports=unknown)
        elif "status" in resource.subresources and key != NODES:
            obj.pop("status", None)
        smallkinds.prepare(resource, obj)
        return smallkinds.causes(resource, obj)

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
        for field in ("uid", "creationTimestamp", "generation"):
            if field in meta(stored):
                obj["metadata"][field] = meta(stored)[field]
            else:
                obj["metadata"].pop(field, None)
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            # Set once, these stay: only a value that differs is an error, and it is metadata_causes that says so.
            if field in meta(stored) and (field == "deletionTimestamp" or obj["metadata"].get(field) is None):
                obj["metadata"][field] = meta(stored)[field]
            elif obj["metadata"].get(field) is None:
                obj["metadata"].pop(field, None)
        caller = caller or Caller(CONTROLLERS)
        if not subresource or resource.crd or resource.key == NAMESPACES:
            self.decoded(resource, obj, unknown)
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
        obj = self.policies.mutate(about, self._default(resource, creating=False))
        causes: list[errors.Cause] = []
        definition = self.definitions.find(resource)
        if subresource == "status":
            obj = _with_status(resource, obj, before)
            if resource.key == PODS:
                podrules.prepare_status(obj, before)
                causes += podrules.status_causes(obj, before)
            elif resource.key == BUDGETS:
                causes += budgetrules.status_causes(obj)
            elif resource.key == JOBS:
                causes += jobrules.prepare_status(obj, before)
        elif "status" in resource.subresources:
            if "status" in before:
                obj["status"] = before["status"]
            else:
                obj.pop("status", None)
        causes += metadata_causes(resource, obj, before, subresource)
        if resource.key == NAMESPACES:
            causes += smallkinds.namespace_causes(obj, subresource)
        if not subresource:
            causes += self._prepare_update(resource, obj, before, unknown)
        if definition is not None:
            causes += definition.problems(obj, before, subresource=subresource, reports=unknown)
        if causes:
            raise errors.invalid(resource.group, resource.kind, name, causes)
        about.obj = obj
        self.policies.validate(about)
        bump = (
            resource.generation
            and subresource != "status"
            and resource.key != PRIORITY_CLASSES
            and _desired(resource, obj) != _desired(resource, before)
        )
        if definition is not None and not dry_run:
            definition.to_storage(obj)
        obj["metadata"]["managedFields"] = settled(managed, obj, before)
        if dry_run:
            metadata = {**obj["metadata"], "resourceVersion": meta(stored)["resourceVersion"]}
            if bump:
                metadata["generation"] = int(metadata.get("generation") or 0) + 1
            return {**obj, "metadata": metadata}
        result = self.store.update(resource.key, obj, bump=bump, owned=True)
        if resource.key == JOBS and caller is not None and bump:
            caller.warnings += jobrules.warnings(result, before)
        if resource.key == CRDS and not subresource and self.store.get(CRDS, "", name) is not None:
            self._settle(result)
        return result

    def _prepare_update(
        self, resource: Resource, obj: Obj, before: Obj, unknown: crds.Reports | None
    ) -> list[errors.Cause]:
        key = resource.key
        if key == PODS:
            podrules.prepare_update(obj, before)
            return podrules.update_causes(obj, before)
        if key == JOBS:
            jobrules.default(obj)
            return jobrules.validate_update(obj, before)
        if key == CRDS:
            return crds.prepare(obj, before, unknown)
        elif key in definitions.KINDS:
            definitions.default(key, obj)
            return definitions.check(key, obj)
        elif key == NAMESPACES:
            obj["spec"] = before["spec"]
        elif key == BUDGETS:
            return budgetrules.spec_causes(obj)
        elif resource.plural == "secrets":
            _merge_string_data(obj)
        smallkinds.prepare(resource, obj, before)
        return smallkinds.causes(resource, obj, before)

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
            ApiError: 404, 409, 403 (system namespaces).
        """
        if resource.key == NAMESPACES and name in SYSTEM_NAMESPACES[:1] + SYSTEM_NAMESPACES[2:]:
            raise errors.forbidden("", "namespaces", name, "this namespace may not be deleted")
        if resource.key == PRIORITY_CLASSES and name in smallkinds.SYSTEM_CLASSES:
            why = "this is a system priority class and cannot be deleted"
            raise errors.forbidden(*resource.key, name, why)
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
        grace = None
        if resource.key == PODS:
            deleted = "deletionTimestamp" in meta(stored)
            grace = grace_seconds if deleted else podrules.grace_seconds(stored, grace_seconds)
        return self.store.delete(
            resource.key,
            namespace,
            name,
            preconditions=preconditions,
            grace_seconds=grace,
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


def _with_status(resource: Resource, obj: Obj, before: Obj) -> Obj:
    """What a write to /status changes: the status and, for some built-in kinds, labels and annotations too."""
    result: Obj = clone(before)
    if "status" in obj:
        result["status"] = obj["status"]
    else:
        result.pop("status", None)
    if not resource.crd:
        metadata = result["metadata"]
        for field in ("labels", "annotations", "finalizers"):
            if field in meta(obj):
                metadata[field] = meta(obj)[field]
            else:
                metadata.pop(field, None)
    return result


def _desired(resource: Resource, obj: Obj) -> Obj:
    ignored = {"metadata", "apiVersion", "kind"}
    if "status" in resource.subresources:
        ignored.add("status")
    return {key: value for key, value in obj.items() if key not in ignored}


def _merge_string_data(obj: Obj) -> None:
    import base64

    plain = obj.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}
