"""The two faces of an Event: stored as core/v1, served as core/v1 and as events.k8s.io/v1. And a recorder."""

from __future__ import annotations

from .objects import Clock, Obj, clone, meta, name_of, namespace_of, timestamp
from .resources import EVENTS, Resource
from .store import Store

_PAIRS = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
)


def to_core(resource: Resource, obj: Obj) -> Obj:
    """An object as it is stored; anything but an events.k8s.io Event unchanged."""
    if resource.group != "events.k8s.io":
        return obj
    result = dict(obj)
    for core, new in _PAIRS:
        if new in result:
            result[core] = result.pop(new)
    return {**result, "apiVersion": "v1"}


def from_core(resource: Resource, obj: Obj) -> Obj:
    """A stored object as `resource` serves it: its group's Event, its version's apiVersion.

    Custom objects stay as they are: their definition knows the difference between versions.
    """
    if resource.group == "events.k8s.io":
        result = dict(obj)
        for core, new in _PAIRS:
            if core in result:
                result[new] = result.pop(core)
        for field in ("reportingController", "reportingInstance"):
            # The old API shows these though they are empty, the new one does not.
            if not result.get(field):
                result.pop(field, None)
        return {**result, "apiVersion": resource.api_version}
    if not resource.crd and obj.get("apiVersion") != resource.api_version:
        return {**obj, "apiVersion": resource.api_version}
    return obj


class Recorder:
    """Writes Events for a controller; a repetition of the last one raises its count, as client-go's does."""

    def __init__(self, store: Store, component: str, clock: Clock) -> None:
        self._store = store
        self._component = component
        self._clock = clock
        self._seen: dict[tuple[str, str, str, str], str] = {}

    def record(
        self,
        about: Obj,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        key: str | None = None,
        times: int = 1,
    ) -> None:
        """Write one Event about an object, or raise the count of the same one by `times`.

        It is the same one if it has the same `key`, which is the message if not given.
        """
        namespace = namespace_of(about) or "default"
        now = timestamp(self._clock())
        identity = (str(meta(about).get("uid")), reason, message if key is None else key, namespace)
        name = self._seen.get(identity)
        known = self._store.get(EVENTS, namespace, name) if name else None
        if known is not None:
            repeated = clone(known)
            repeated["count"] = int(known.get("count") or 1) + times
            repeated["lastTimestamp"] = now
            repeated["message"] = message
            self._store.update(EVENTS, repeated)
            return
        name = f"{name_of(about)}.{self._store.random.getrandbits(56):014x}"
        self._seen[identity] = name
        self._store.create(
            EVENTS,
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": namespace},
                "involvedObject": {
                    "apiVersion": about.get("apiVersion"),
                    "kind": about.get("kind"),
                    "name": name_of(about),
                    **({"namespace": namespace_of(about)} if namespace_of(about) else {}),
                    "uid": meta(about).get("uid"),
                    "resourceVersion": meta(about).get("resourceVersion"),
                },
                "reason": reason,
                "message": message,
                "source": {"component": self._component},
                "reportingComponent": self._component,
                "reportingInstance": "",
                "firstTimestamp": now,
                "lastTimestamp": now,
                "eventTime": None,
                "count": times,
                "type": "Warning" if warning else "Normal",
            },
        )
