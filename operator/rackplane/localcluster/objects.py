"""Small helpers on plain JSON objects, shared by every part of the embedded cluster.

Stored objects are shared by reference and never changed in place: whoever wants to change one clones it first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Obj = dict[str, Any]
#: Returns the time in seconds since the epoch. Injected everywhere, so that tests own the time.
Clock = Callable[[], float]
LARGEST_INT32 = 2**31 - 1

_SCALARS = frozenset({str, int, bool, float, type(None)})


class Frozen(list[Any]):
    """A list that nobody changes, with all that is in it: copies share it."""

    __slots__ = ()


def clone(value: Any) -> Any:
    """A deep copy of JSON data, but for `Frozen` lists; several times cheaper than `copy.deepcopy`."""
    # Most values are scalars: those are not worth a call.
    if isinstance(value, dict):
        return {key: clone(item) if item.__class__ not in _SCALARS else item for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if isinstance(value, Frozen):
            return value
        return [clone(item) if item.__class__ not in _SCALARS else item for item in value]
    return value


def thawed(value: Any) -> Any:
    """A deep copy of plain lists and maps that shares nothing."""
    if isinstance(value, dict):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thawed(item) for item in value]
    return value


def timestamp(seconds: float) -> str:
    """RFC 3339 with whole seconds, as `metav1.Time` is written."""
    return _timestamp(int(seconds // 1))


@lru_cache(64)
def _timestamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(seconds: float) -> str:
    """RFC 3339 with microseconds, as `metav1.MicroTime` is written."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time.

    Raises:
        ValueError: the text is no such time.
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def meta(obj: Obj) -> Obj:
    """The metadata of an object, or an empty mapping."""
    value = obj.get("metadata")
    return value if isinstance(value, dict) else {}


def namespace_of(obj: Obj) -> str:
    """The namespace, empty for cluster-scoped objects."""
    return str(meta(obj).get("namespace") or "")


def name_of(obj: Obj) -> str:
    """The name, or an empty string."""
    return str(meta(obj).get("name") or "")


def dig(obj: Any, *path: str) -> Any:
    """The value at a path of mapping keys, or None where the path ends early."""
    for part in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(part)
    return obj


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference that is the controller, if there is one."""
    for reference in meta(obj).get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def condition(obj: Obj, kind: str) -> Obj | None:
    """The condition of a type in `status.conditions`."""
    for entry in dig(obj, "status", "conditions") or ():
        if entry.get("type") == kind:
            return dict(entry)
    return None


def with_condition(conditions: list[Obj], entry: Obj, now: float) -> list[Obj]:
    """The conditions with one set at its place; its time moves only when its status does."""
    before = next((item for item in conditions if item.get("type") == entry["type"]), None)
    moved = before is None or before.get("status") != entry["status"]
    when = timestamp(now) if moved or before is None else before.get("lastTransitionTime")
    full = {"lastTransitionTime": when, **entry}
    if before is None:
        return [*conditions, full]
    return [full if item is before else item for item in conditions]


def is_true(obj: Obj, kind: str) -> bool:
    """Whether a condition is present and `True`."""
    entry = condition(obj, kind)
    return entry is not None and entry.get("status") == "True"


def is_terminal(pod: Obj) -> bool:
    """Whether a pod's phase is final."""
    return dig(pod, "status", "phase") in ("Succeeded", "Failed")
