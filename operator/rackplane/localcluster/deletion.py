"""What a deletion does before anything is gone: preconditions, the collector's finalizers, namespaces."""

from __future__ import annotations

from . import errors
from .objects import Obj, clone, meta, name_of
from .resources import EVENTS, JOBS, NAMESPACES, Resource
from .store import GC_FINALIZERS, Preconditions, Store

_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"


def check(resource: Resource, stored: Obj, preconditions: Preconditions) -> None:
    """Refuse the deletion of another object than the one the caller has seen.

    Raises:
        ApiError: 409.
    """
    metadata = meta(stored)
    for label, wanted, found, fate in (
        ("UID", preconditions.uid, metadata.get("uid"), "deleted and then recreated"),
        ("ResourceVersion", preconditions.resource_version, metadata.get("resourceVersion"), "modified"),
    ):
        if wanted is not None and wanted != found:
            why = (
                f"the {label} in the precondition ({wanted}) does not match the {label} in record ({found}). "
                f"The object might have been {fate}"
            )
            raise errors.conflict(resource.group, resource.kind, name_of(stored), why)


def collector_finalizers(resource: Resource, stored: Obj, propagation: str | None) -> tuple[str, ...]:
    """The garbage collector's finalizers of an object under deletion.

    The caller's policy goes first, then what the object says by its finalizers, then the kind's default.
    """
    if resource.key == EVENTS:
        return ()
    if propagation is None:
        said = [entry for entry in meta(stored).get("finalizers") or () if entry in GC_FINALIZERS]
        if said:
            return (said[0],)
        return (_ORPHAN,) if resource.key == JOBS else ()
    return {"Background": (), "Foreground": (_FOREGROUND,), "Orphan": (_ORPHAN,)}[propagation]


def delete_namespace(
    store: Store, stored: Obj, propagation: str | None, *, dry_run: bool = False
) -> tuple[Obj, bool]:
    """Mark a namespace: it goes when the collector has emptied it, `spec.finalizers` hold it until then."""
    name = name_of(stored)
    if "deletionTimestamp" not in meta(stored):
        obj = clone(stored)
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        kept = [entry for entry in meta(obj).get("finalizers") or () if entry not in GC_FINALIZERS]
        wanted = {"Orphan": [_ORPHAN], "Foreground": [_FOREGROUND]}.get(propagation or "", [])
        obj["metadata"]["finalizers"] = kept + wanted
        if not obj["metadata"]["finalizers"]:
            del obj["metadata"]["finalizers"]
        return store.mark_deleted(NAMESPACES, obj, dry_run=dry_run), False
    if (stored.get("spec") or {}).get("finalizers"):
        return stored, False
    return store.delete(NAMESPACES, "", name, dry_run=dry_run)
