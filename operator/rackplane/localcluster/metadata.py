"""The rules every object's metadata obeys: names, labels, annotations, owners, finalizers, what stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from . import errors
from .errors import Cause, invalid_value
from .names import dns_label, dns_subdomain, label_value, qualified_name
from .objects import Obj, meta, name_of, namespace_of
from .resources import CRDS, LEASES, NAMESPACES, NODES, Resource
from .store import GC_FINALIZERS

#: Bytes of all annotations of an object together.
ANNOTATIONS_LIMIT = 256 * 1024
#: Those without a domain that mean something.
STANDARD_FINALIZERS = GC_FINALIZERS | {"kubernetes"}
_OWNER_FIELDS = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
_GIVEN = (
    *("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"),
    "resourceVersion",
)
_IMMUTABLE = "field is immutable"
_LABEL_NAMED = frozenset({"namespaces", "services"})
#: Groups whose objects may have any name that can be a part of a path.
_PATH_NAMED = frozenset({"rbac.authorization.k8s.io"})
#: What an update of a kind checks beyond what every update checks: "all" as a creation, "change" against the old state.
_AGAIN: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "configmaps"): ("change", "all"),
    ("", "secrets"): ("change", "all"),
    ("", "serviceaccounts"): ("change", "all"),
    NAMESPACES: ("all", "change"),
    NODES: ("all", "change"),
}


def _path_segment(name: str) -> Iterable[str]:
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in name]


def _name_rule(resource: Resource) -> Callable[[str], Iterable[str]]:
    if resource.group in _PATH_NAMED:
        return _path_segment
    return dns_label if resource.plural in _LABEL_NAMED else dns_subdomain


def _is_core(resource: Resource) -> bool:
    """Whether finalizers must also be standard or have a domain, which not every API group asks for."""
    return not resource.crd and resource.key not in (LEASES, CRDS)


def drop_empty(metadata: Obj) -> None:
    """Leave out what says nothing, as the server's decoder does, in place."""
    for field in ("labels", "annotations", "ownerReferences", "finalizers", "generateName"):
        if field in metadata and not metadata[field]:
            del metadata[field]


def drop_given(metadata: Obj) -> None:
    """Leave out what only the server says of a new object, in place."""
    for field in _GIVEN:
        metadata.pop(field, None)


def keep_known(metadata: Obj, old: Obj) -> None:
    """Keep what only the server says of a stored object, in place; `old` is the metadata of that one."""
    for field in ("uid", "creationTimestamp", "generation"):
        if field in old:
            metadata[field] = old[field]
        else:
            metadata.pop(field, None)
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        # Set once, these stay: only a value that differs is an error, and it is `metadata_causes` that says so.
        if field in old and (field == "deletionTimestamp" or metadata.get(field) is None):
            metadata[field] = old[field]
        elif metadata.get(field) is None:
            metadata.pop(field, None)


def metadata_causes(
    resource: Resource, obj: Obj, before: Obj | None = None, subresource: str = ""
) -> list[Cause]:
    """What is wrong with the metadata of an object that is to be created, or to replace `before`."""
    return _create(resource, obj) if before is None else _update(resource, obj, before, subresource)


def _create(resource: Resource, obj: Obj) -> list[Cause]:
    metadata, name, rule = meta(obj), name_of(obj), _name_rule(resource)
    causes: list[Cause] = []
    prefix = metadata.get("generateName")
    if prefix:
        # The last two bytes go, not the last two letters.
        data = prefix.encode()
        shown = (data[:-2] + b"a").decode(errors="replace") if data[1:].endswith(b"-") else prefix
        causes += [invalid_value("metadata.generateName", prefix, text) for text in rule(shown)]
    if not name:
        causes.append(errors.required("metadata.name", "name or generateName is required"))
    else:
        causes += [invalid_value("metadata.name", name, text) for text in rule(name)]
    return causes + _content(resource, obj)


def _content(resource: Resource, obj: Obj) -> list[Cause]:
    """What is wrong with an object's namespace, labels, annotations, owners and finalizers."""
    metadata = meta(obj)
    causes: list[Cause] = []
    if resource.namespaced:
        causes += [
            invalid_value("metadata.namespace", namespace_of(obj), t) for t in dns_label(namespace_of(obj))
        ]
    if (metadata.get("generation") or 0) < 0:
        causes.append(
            invalid_value("metadata.generation", metadata["generation"], "must be greater than or equal to 0")
        )
    causes += _labels(metadata) + _annotations(metadata) + _owners(metadata)
    finalizers: list[Any] = metadata.get("finalizers") or []
    for finalizer in finalizers:
        causes += [
            invalid_value("metadata.finalizers", finalizer, text) for text in qualified_name(finalizer)
        ]
    if set(finalizers) >= GC_FINALIZERS:
        text = "finalizer orphan and foregroundDeletion cannot be both set"
        causes.append(invalid_value("metadata.finalizers", finalizers, text))
    return causes + _standard_finalizers(resource, finalizers)


def _standard_finalizers(resource: Resource, finalizers: list[str]) -> list[Cause]:
    if not _is_core(resource):
        return []
    text = "name is neither a standard finalizer name nor is it fully qualified"
    return [
        invalid_value(f"metadata.finalizers[{index}]", finalizer, text)
        for index, finalizer in enumerate(finalizers)
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS
    ]


def _labels(metadata: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for key, value in (metadata.get("labels") or {}).items():
        if not isinstance(value, str):
            raise errors.bad_request(
                f"cannot convert metadata.labels[{key}] to string: got {type(value).__name__}"
            )
        causes += [invalid_value("metadata.labels", key, text) for text in qualified_name(key)]
        causes += [invalid_value("metadata.labels", value, text) for text in label_value(value)]
    return causes


def _annotations(metadata: Obj) -> list[Cause]:
    causes: list[Cause] = []
    size = 0
    for key, value in (metadata.get("annotations") or {}).items():
        if not isinstance(value, str):
            kind = type(value).__name__
            raise errors.bad_request(f"cannot convert metadata.annotations[{key}] to string: got {kind}")
        causes += [invalid_value("metadata.annotations", key, text) for text in qualified_name(key.lower())]
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_LIMIT:
        causes.append(errors.too_long("metadata.annotations", ANNOTATIONS_LIMIT))
    return causes


def _owners(metadata: Obj) -> list[Cause]:
    path = "metadata.ownerReferences"
    causes: list[Cause] = []
    controller = ""
    references = [
        {field: reference[field] for field in _OWNER_FIELDS if field in reference}
        for reference in metadata.get("ownerReferences") or ()
    ]
    for reference in references:
        version = str(reference.get("apiVersion") or "")
        if not version or version.count("/") > 1 or version.endswith("/"):
            causes.append(invalid_value(f"{path}.apiVersion", version, "version must not be empty"))
        for field in ("kind", "name", "uid"):
            if not reference.get(field):
                causes.append(invalid_value(f"{path}.{field}", "", "must not be empty"))
        if version == "v1" and reference.get("kind") == "Event":
            causes.append(invalid_value(path, reference, "/v1, Kind=Event is disallowed from being an owner"))
        if reference.get("controller"):
            current = f"{reference.get('kind')}/{reference.get('name')}"
            if controller:
                text = 'Only one reference can have Controller set to true. Found "true" in references for '
                causes.append(invalid_value(path, references, f"{text}{controller} and {current}"))
            else:
                controller = current
    return causes


def _change(resource: Resource, obj: Obj, before: Obj) -> list[Cause]:
    """What is wrong with an object's metadata as a change of the stored object's."""
    metadata, old = meta(obj), meta(before)
    causes: list[Cause] = []
    if "deletionTimestamp" in old:
        added = sorted(set(metadata.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if added:
            listed = ", ".join(errors.show(entry) for entry in added)
            text = "no new finalizers can be added if the object is being deleted, found new finalizers"
            causes.append(errors.forbidden_value("metadata.finalizers", f"{text} []string{{{listed}}}"))
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        if metadata.get(field) != old.get(field):
            causes.append(invalid_value(f"metadata.{field}", metadata.get(field), _IMMUTABLE))
    causes += _labels(metadata) + _annotations(metadata) + _owners(metadata)
    return causes + _standard_finalizers(resource, metadata.get("finalizers") or [])


def _update(resource: Resource, obj: Obj, before: Obj, subresource: str) -> list[Cause]:
    # The server checks some of it several times and lists every finding.
    if meta(obj) == meta(before):
        return []
    everything, change = _content(resource, obj), _change(resource, obj, before)
    if not everything and not change:
        return []
    again = ("change",) if subresource else _AGAIN.get(resource.key, ("change",))
    # What is common to all kinds does not know standard finalizers.
    plain = [cause for cause in everything if not cause.field.startswith("metadata.finalizers[")]
    plain += [cause for cause in change if not cause.field.startswith("metadata.finalizers[")]
    return plain + [cause for part in again for cause in (change if part == "change" else everything)]
