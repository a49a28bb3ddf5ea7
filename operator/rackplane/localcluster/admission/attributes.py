"""One request as admission policies see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rackplane.localcluster.objects import Obj, meta
from rackplane.localcluster.resources import NAMESPACES, Resource
from rackplane.localcluster.users import Caller

CREATE, UPDATE, DELETE = "CREATE", "UPDATE", "DELETE"
_EXPOSED_OF_A_NAMESPACE = (
    *("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "finalizers"),
)


@dataclass(slots=True)
class Attributes:
    """A write that is about to happen.

    `obj` is None for a deletion, `old` for a creation. `kind` is (group, version, kind) of `obj` where it is not the
    resource's own, as the Binding posted to a pod. `name` is that of the request, empty where the server generates one.
    """

    operation: str
    resource: Resource
    namespace: str
    name: str
    obj: Obj | None
    old: Obj | None
    caller: Caller
    subresource: str = ""
    kind: tuple[str, str, str] | None = None
    dry_run: bool = False

    def request(self, matched: Resource) -> Obj:
        """The `request` of an expression, for a policy that matched the object as `matched`; empty is absent."""
        own = _group_version(self.resource)
        as_matched = _group_version(matched)
        user = self.caller.user
        who: Obj = {"username": user.name, "groups": list(user.groups)}
        request: dict[str, Any] = {
            "kind": self._kind(matched),
            "resource": {**as_matched, "resource": matched.plural},
            "requestKind": self._kind(self.resource),
            "requestResource": {**own, "resource": self.resource.plural},
            "operation": self.operation,
            "userInfo": who,
            "dryRun": self.dry_run,
        }
        for name, value in (
            ("subResource", self.subresource),
            ("requestSubResource", self.subresource),
            ("name", self.name or meta(self.obj or {}).get("name")),
            ("namespace", self.namespace),
        ):
            if value:
                request[name] = value
        return request

    def _kind(self, resource: Resource) -> Obj:
        group, version, kind = self.kind or (resource.group, resource.version, resource.kind)
        return {"group": group, "version": version, "kind": kind}

    @property
    def shown_name(self) -> str:
        """How a refusal names the object."""
        named = meta(self.obj or {})
        return self.name or str(named.get("name") or named.get("generateName") or "Unknown")

    def of_a_namespace(self) -> bool:
        """Whether the object is a Namespace, whose `namespace` is its own name."""
        return self.resource.key == NAMESPACES


def _group_version(resource: Resource) -> Obj:
    return {"group": resource.group, "version": resource.version}


def namespace_object(namespace: Obj | None) -> Obj | None:
    """The `namespaceObject` of an expression: a Namespace without what expressions may not see."""
    if namespace is None:
        return None
    metadata = meta(namespace)
    exposed = {name: metadata[name] for name in _EXPOSED_OF_A_NAMESPACE if name in metadata}
    return {
        "metadata": exposed,
        **{part: namespace[part] for part in ("spec", "status") if part in namespace},
    }


def presented(resource: Resource, obj: Obj | None) -> Obj | None:
    """The object in the version that the policy matched; versions of one custom resource differ in nothing else."""
    if obj is None or not resource.crd or obj.get("apiVersion") == resource.api_version:
        return obj
    return {**obj, "apiVersion": resource.api_version}
