"""Field management of the objects a cluster serves: the types of their kinds, and what a write there cannot change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from rackplane.localcluster import builtin_schemas
from rackplane.localcluster.gotypes import zero
from rackplane.localcluster.objects import Clock, Obj, meta, timestamp
from rackplane.localcluster.resources import PODS, Resource

from . import managers
from .apply import Application, applied
from .checks import mismatches
from .managers import Managed
from .sets import EMPTY, FieldSet
from .types import Type, builtin_type, custom_type

Schema = Mapping[str, Any]
_STATUS = FieldSet.of(("f:status",))
_SPEC = FieldSet.of(("f:spec",))
_ALL_BUT_STATUS = FieldSet.of(("f:metadata",), ("f:spec",))
_POD_STATUS = FieldSet.of(
    ("f:spec",), ("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:ownerReferences")
)
#: Built-in kinds whose status is all that a write to it changes; elsewhere labels and the like change too.
_STATUS_ONLY = frozenset({"resourceclaims", "validatingadmissionpolicies", "customresourcedefinitions"})


@cache
def empty(resource: Resource) -> Obj:
    """The object of a kind before anybody sets anything of it."""
    found: Obj = {"apiVersion": resource.api_version, "kind": resource.kind}
    name = builtin_schemas.struct_name(resource.group, resource.version, resource.kind)
    return found if resource.crd or name is None else {**zero(name), **found}


@cache
def ignored(resource: Resource, subresource: str) -> FieldSet:
    """The fields a write to an object or its subresource does not change, whatever it says."""
    if not subresource:
        return _STATUS if "status" in resource.subresources else EMPTY
    if subresource == "finalize":
        return _STATUS
    if resource.crd or resource.plural in _STATUS_ONLY:
        return _ALL_BUT_STATUS
    return _POD_STATUS if resource.key == PODS else _SPEC


class Tracker:
    """Keeps `metadata.managedFields`. `schema` gives the schema of a custom resource, None for a built-in one."""

    def __init__(self, clock: Clock, schema: Callable[[Resource], Schema | None]) -> None:
        self._clock = clock
        self._schema = schema
        self._custom: dict[Resource, tuple[Schema | None, Type]] = {}

    def take_over(self, other: Tracker) -> None:
        """Share what is worked out of schemas, each of which is known by itself."""
        self._custom = other._custom

    def type_of(self, resource: Resource) -> Type:
        """How objects of a resource merge."""
        if not resource.crd:
            return builtin_type(resource.group, resource.version, resource.kind)
        schema = self._schema(resource)
        known = self._custom.get(resource)
        if known is None or known[0] is not schema:
            known = self._custom[resource] = (schema, custom_type(schema))
        return known[1]

    def written(
        self, resource: Resource, live: Obj | None, new: Obj, name: str, subresource: str = ""
    ) -> Managed:
        """The managers after a write other than an apply; `live` is None for a creation.

        `new` is the object as its writer wants it, with its defaults: what admission and the kind's own rules
        then change is nobody's.
        """
        before = live if live is not None else empty(resource)
        return managers.updated(
            self.type_of(resource),
            before,
            new,
            managers.in_force(new, before, subresource=subresource),
            name=name,
            version=resource.api_version,
            subresource=subresource,
            ignored=ignored(resource, subresource),
            now=timestamp(self._clock()),
        )

    def applied(
        self,
        resource: Resource,
        live: Obj | None,
        config: Obj,
        name: str,
        subresource: str = "",
        *,
        force: bool,
    ) -> tuple[Obj, Managed]:
        """The object after an apply, and its managers; `live` is None for a creation.

        Raises:
            ApiError: 409, others manage fields that would change and `force` is off.
            ValueError: `config` is not of its kind's type; the message says where.
        """
        type_ = self.type_of(resource)
        problems = mismatches(type_, config)
        if problems:
            listed = problems[0] if len(problems) == 1 else "errors:\n  " + "\n  ".join(problems)
            raise ValueError(listed)
        before = live if live is not None else empty(resource)
        application = Application(
            config,
            empty(resource),
            name,
            force,
            resource.api_version,
            subresource,
            ignored(resource, subresource),
            timestamp(self._clock()),
        )
        managed = managers.in_force({}, before, subresource="") if live is not None else Managed(())
        return applied(type_, before, managed, application)


def settled(managed: Managed, new: Obj, stored: Obj) -> Managed:
    """The managers to store: the stored ones where nothing but their times is new, in them and in the object."""
    known = meta(stored).get("managedFields")
    if managed is known or not isinstance(known, Managed) or not managed.same_but_times(known):
        return managed
    if any(new.get(key) != stored.get(key) for key in (new.keys() | stored.keys()) - {"metadata"}):
        return managed
    old, fresh = dict(meta(stored)), dict(meta(new))
    for metadata in (old, fresh):
        for name in (
            "managedFields",
            "resourceVersion",
            "uid",
            "creationTimestamp",
            "generation",
            "selfLink",
        ):
            metadata.pop(name, None)
    return known if old == fresh else managed
