"""The rules of each kind as the service asks for them: one class a kind with rules of its own, one method a turn."""

# ruff: noqa: ARG002 - the methods of one turn are called alike, whatever a kind needs of it

from __future__ import annotations

import base64

from . import crds, errors, podrules, smallkinds
from .admission import definitions
from .budgets import rules as budgetrules
from .crds import Reports
from .errors import Cause
from .jobs import rules as jobrules
from .objects import Obj, meta, name_of
from .pods.cautions import pod_cautions
from .resources import BUDGETS, CRDS, JOBS, NAMESPACES, NODES, PODS, PRIORITY_CLASSES, Resource
from .store import GroupResource, Store

#: The namespaces every cluster has, and those of them that stay.
SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_LASTING_NAMESPACES = frozenset({"default", "kube-public", "kube-system"})
_NAME_LABEL = "kubernetes.io/metadata.name"


class Kind:
    """The rules of a kind that has few; others override what they have otherwise.

    The methods stand in the order of their turns. Those that fill in do so in place.
    """

    def decode(self, obj: Obj, reports: Reports | None) -> None:
        """Fill in the defaults that an object has as soon as it is read, before anybody else sees it."""

    def admit(self, obj: Obj, store: Store) -> None:
        """Fill in what a new object has when admission policies see it."""

    def readmit(self, obj: Obj) -> None:
        """Fill in what an object that is to replace another has when admission policies see it."""

    def create(self, resource: Resource, obj: Obj, store: Store, reports: Reports | None) -> list[Cause]:
        """Make a new object ready to be stored; what is wrong with it."""
        if "status" in resource.subresources and resource.key != NODES:
            obj.pop("status", None)
        return self._small(resource, obj, None)

    def status(self, obj: Obj, before: Obj) -> list[Cause]:
        """Make an object whose status was written ready to be stored; what is wrong with the status."""
        return []

    def update(self, resource: Resource, obj: Obj, before: Obj, reports: Reports | None) -> list[Cause]:
        """Make an object that is to replace `before` ready to be stored; what is wrong with it."""
        return self._small(resource, obj, before)

    def judge(self, obj: Obj, before: Obj, subresource: str, reports: Reports | None) -> list[Cause]:
        """What is wrong with an object that is written to any of its subresources, or to none."""
        return []

    def compare(self, obj: Obj, store: Store, *, new: bool) -> None:
        """Refuse what does not go with the other objects of its kind.

        Raises:
            ApiError: 403.
        """

    def warnings(self, obj: Obj, before: Obj | None = None) -> list[str]:
        """What the client is told of an object that is right but odd."""
        return []

    def protect(self, name: str) -> None:
        """Refuse to delete what every cluster needs.

        Raises:
            ApiError: 403.
        """

    def grace_seconds(self, stored: Obj, asked: int | None) -> int | None:
        """The grace period of a deletion; None for a kind that goes without."""
        return None

    def _small(self, resource: Resource, obj: Obj, before: Obj | None) -> list[Cause]:
        smallkinds.prepare(resource, obj, before)
        return smallkinds.causes(resource, obj, before)


class _Pods(Kind):
    def decode(self, obj: Obj, reports: Reports | None) -> None:
        podrules.default_spec(obj.setdefault("spec", {}))

    def admit(self, obj: Obj, store: Store) -> None:
        podrules.default_pod(obj, store)

    def readmit(self, obj: Obj) -> None:
        podrules.default_spec(obj.setdefault("spec", {}))

    def create(self, resource: Resource, obj: Obj, store: Store, reports: Reports | None) -> list[Cause]:
        podrules.prepare_create(obj, store)
        return podrules.new_pod_causes(obj["spec"])

    def status(self, obj: Obj, before: Obj) -> list[Cause]:
        podrules.prepare_status(obj, before)
        return podrules.status_causes(obj, before)

    def update(self, resource: Resource, obj: Obj, before: Obj, reports: Reports | None) -> list[Cause]:
        podrules.prepare_update(obj, before)
        return podrules.update_causes(obj, before)

    def warnings(self, obj: Obj, before: Obj | None = None) -> list[str]:
        return pod_cautions(obj) if before is None else []

    def grace_seconds(self, stored: Obj, asked: int | None) -> int | None:
        return asked if "deletionTimestamp" in meta(stored) else podrules.grace_seconds(stored, asked)


class _Jobs(Kind):
    def decode(self, obj: Obj, reports: Reports | None) -> None:
        jobrules.default(obj)

    def admit(self, obj: Obj, store: Store) -> None:
        jobrules.default(obj)

    def readmit(self, obj: Obj) -> None:
        jobrules.default(obj)

    def create(self, resource: Resource, obj: Obj, store: Store, reports: Reports | None) -> list[Cause]:
        jobrules.prepare_create(obj)
        return jobrules.validate(obj)

    def status(self, obj: Obj, before: Obj) -> list[Cause]:
        return jobrules.prepare_status(obj, before)

    def update(self, resource: Resource, obj: Obj, before: Obj, reports: Reports | None) -> list[Cause]:
        jobrules.default(obj)
        return jobrules.validate_update(obj, before)

    def warnings(self, obj: Obj, before: Obj | None = None) -> list[str]:
        return jobrules.warnings(obj, before)


class _Namespaces(Kind):
    def decode(self, obj: Obj, reports: Reports | None) -> None:
        if name_of(obj):
            obj["metadata"]["labels"] = {**(meta(obj).get("labels") or {}), _NAME_LABEL: name_of(obj)}

    def create(self, resource: Resource, obj: Obj, store: Store, reports: Reports | None) -> list[Cause]:
        given = (obj.get("spec") or {}).get("finalizers") or []
        obj["spec"] = {"finalizers": given if "kubernetes" in given else [*given, "kubernetes"]}
        obj["status"] = {"phase": "Active"}
        # The name may have been generated since the object was read.
        obj["metadata"]["labels"] = {**(meta(obj).get("labels") or {}), _NAME_LABEL: name_of(obj)}
        return []

    def update(self, resource: Resource, obj: Obj, before: Obj, reports: Reports | None) -> list[Cause]:
        obj["spec"] = before["spec"]
        return []

    def judge(self, obj: Obj, before: Obj, subresource: str, reports: Reports | None) -> list[Cause]:
        return smallkinds.namespace_causes(obj, subresource)

    def protect(self, name: str) -> None:
        if name in _LASTING_NAMESPACES:
            raise errors.forbidden(*NAMESPACES, name, "this namespace may not be deleted")


class _Secrets(Kind):
    def decode(self, obj: Obj, reports: Reports | None) -> None:
        obj.setdefault("type", "Opaque")
        _merge_string_data(obj)

    def create(self, resource: Resource, obj: Obj, store: Store, reports: Reports | None) -> list[Cause]:
        # Again, because policies may have had their say since.
        self.decode(obj, None)
        return self._small(resource, obj, None)

    def update(self, resource: Resource, obj: Obj, before: Obj, reports: Reports | None) -> list[Cause]:
        _merge_string_data(obj)
        return self._small(resource, obj, before)


class _PriorityClasses(Kind):
    def decode(self, obj: Obj, reports: Reports | None) -> None:
        obj.setdefault("preemptionPolicy", "PreemptLowerPriority")

    def compare(self, obj: Obj, store: Store, *, new: bool) -> None:
        smallkinds.only_default(store, obj, new=new)

    def protect(self, name: str) -> None:
        if name in smallkinds.SYSTEM_CLASSES:
            why = "this is a system priority class and cannot be deleted"
            raise errors.forbidden(*PRIORITY_CLASSES, name, why)


class _Budgets(Kind):
    def create(self, resource: Resource, obj: Obj, store: Store, reports: Reports | None) -> list[Cause]:
        budgetrules.prepare_create(obj)
        return budgetrules.spec_causes(obj)

    def status(self, obj: Obj, before: Obj) -> list[Cause]:
        return budgetrules.status_causes(obj)

    def update(self, resource: Resource, obj: Obj, before: Obj, reports: Reports | None) -> list[Cause]:
        return budgetrules.spec_causes(obj)


class _Nodes(Kind):
    def status(self, obj: Obj, before: Obj) -> list[Cause]:
        return smallkinds.node_status_causes(obj)


class _Policies(Kind):
    def create(self, resource: Resource, obj: Obj, store: Store, reports: Reports | None) -> list[Cause]:
        definitions.default(resource.key, obj)
        return definitions.check(resource.key, obj)

    def update(self, resource: Resource, obj: Obj, before: Obj, reports: Reports | None) -> list[Cause]:
        definitions.default(resource.key, obj)
        return definitions.check(resource.key, obj)


class _Crds(Kind):
    def decode(self, obj: Obj, reports: Reports | None) -> None:
        crds.decode(obj)

    def create(self, resource: Resource, obj: Obj, store: Store, reports: Reports | None) -> list[Cause]:
        return crds.prepare(obj, None, reports)

    def update(self, resource: Resource, obj: Obj, before: Obj, reports: Reports | None) -> list[Cause]:
        return crds.prepare(obj, before, reports)


class Custom(Kind):
    """The rules of a custom resource: those of its definition."""

    def __init__(self, definition: crds.Definition) -> None:
        self._definition = definition

    def decode(self, obj: Obj, reports: Reports | None) -> None:
        """Prune and default."""
        self._definition.decode(obj, reports)

    def admit(self, obj: Obj, store: Store) -> None:
        """Prune and default."""
        self._definition.decode(obj)

    def readmit(self, obj: Obj) -> None:
        """Prune and default."""
        self._definition.decode(obj)

    def create(self, resource: Resource, obj: Obj, store: Store, reports: Reports | None) -> list[Cause]:
        """Leave out a status that has a subresource of its own; what the schema and its rules say."""
        if self._definition.status_subresource:
            obj.pop("status", None)
        return self._definition.problems(obj, None, reports=reports)

    def update(self, resource: Resource, obj: Obj, before: Obj, reports: Reports | None) -> list[Cause]:
        """Nothing beyond what `judge` says."""
        return []

    def judge(self, obj: Obj, before: Obj, subresource: str, reports: Reports | None) -> list[Cause]:
        """What the schema and its rules say."""
        return self._definition.problems(obj, before, subresource=subresource, reports=reports)


def _merge_string_data(obj: Obj) -> None:
    plain = obj.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


_FEW_RULES = Kind()
_KINDS: dict[GroupResource, Kind] = {
    PODS: _Pods(),
    JOBS: _Jobs(),
    NAMESPACES: _Namespaces(),
    NODES: _Nodes(),
    ("", "secrets"): _Secrets(),
    PRIORITY_CLASSES: _PriorityClasses(),
    BUDGETS: _Budgets(),
    CRDS: _Crds(),
    **dict.fromkeys(definitions.KINDS, _Policies()),
}


def kind_of(resource: Resource) -> Kind:
    """The rules of a built-in kind."""
    return _KINDS.get(resource.key, _FEW_RULES)
