"""The namespace controller: empties a namespace under deletion, says what is left, and lets it go."""

from __future__ import annotations

from collections import Counter

from .objects import Obj, clone, condition, meta, name_of, timestamp
from .resources import NAMESPACES
from .service import Service

_KUBERNETES = "kubernetes"


def terminate(service: Service, name: str) -> None:
    """Delete what is in a namespace under deletion; once nothing is left, give up the hold on it."""
    store = service.store
    space = store.get(NAMESPACES, "", name)
    if space is None or not meta(space).get("deletionTimestamp"):
        return
    if _KUBERNETES not in ((space.get("spec") or {}).get("finalizers") or ()):
        return
    left, held = _empty(service, name)
    told = clone(space)
    told["status"] = {
        **(told.get("status") or {}),
        "conditions": _conditions(space, left, held, service.clock()),
    }
    told = store.update(NAMESPACES, told)
    if not left:
        freed = clone(told)
        freed["spec"]["finalizers"] = [entry for entry in told["spec"]["finalizers"] if entry != _KUBERNETES]
        if not freed["spec"]["finalizers"]:
            freed["spec"] = {}
        store.update(NAMESPACES, freed)


def _empty(service: Service, name: str) -> tuple[Counter[str], Counter[str]]:
    """Delete all there is; what remains by resource, and the finalizers that hold it."""
    store = service.store
    left: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for key in list(store.resources()):
        resource = service.registry.stored_as(key)
        if resource is None or not resource.namespaced:
            continue
        for obj in store.items(key, name):
            if not meta(obj).get("deletionTimestamp"):
                service.delete(resource, name, name_of(obj), propagation="Background")
            remaining = store.get(key, name, name_of(obj))
            if remaining is not None:
                left[f"{key[1]}.{key[0]}"] += 1
                held.update(meta(remaining).get("finalizers") or ())
    return left, held


def _conditions(space: Obj, left: Counter[str], held: Counter[str], now: float) -> list[Obj]:
    remaining = ", ".join(
        f"{resource} has {count} resource instances" for resource, count in sorted(left.items())
    )
    holding = ", ".join(
        f"{finalizer} in {count} resource instances" for finalizer, count in sorted(held.items())
    )
    rows = (
        ("DeletionDiscoveryFailure", False, "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "DeletionGroupVersionParsingFailure",
            False,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "DeletionContentFailure",
            False,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "ContentRemaining",
            bool(left),
            "SomeResourcesRemain" if left else "ContentRemoved",
            f"Some resources are remaining: {remaining}" if left else "All content successfully removed",
        ),
        (
            "FinalizersRemaining",
            bool(held),
            "SomeFinalizersRemain" if held else "ContentHasNoFinalizers",
            f"Some content in the namespace has finalizers remaining: {holding}"
            if held
            else "All content-preserving finalizers finished",
        ),
    )
    found = []
    for kind, holds, reason, message in rows:
        entry = {"type": f"Namespace{kind}", "status": str(holds), "reason": reason, "message": message}
        known = condition(space, entry["type"])
        since = (
            known["lastTransitionTime"] if known and known["status"] == entry["status"] else timestamp(now)
        )
        found.append({**entry, "lastTransitionTime": since})
    return found
