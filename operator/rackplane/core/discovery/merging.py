"""What of a discovered object may be written: what a person, or another tool, wrote is theirs.

Objects are written by server-side apply, as a field manager of their own. The API server notes who wrote which field
(``metadata.managedFields``), and that is looked at before: an object that we never wrote is left alone, and so is every
field of ours that somebody else has written since. See
https://kubernetes.io/docs/reference/using-api/server-side-apply/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from rackplane.api.decode import decode
from rackplane.api.hardware import shipped_profiles
from rackplane.api.hardware_profile import HardwareProfile
from rackplane.core.discovery.reading import MANAGED_BY, Desired, Known

__all__ = ["FIELD_MANAGER", "Change", "Verdict", "change_of", "changes_of", "known_of"]

#: Name of the field manager, and value of the label `MANAGED_BY`.
FIELD_MANAGER: Final = "rackplane-discovery"


class Verdict(StrEnum):
    """What is to be done with one object."""

    CREATE = "create"
    UPDATE = "update"
    NOTHING = "nothing"
    #: it is somebody else's
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Change:
    """One object as it is and as it would be.

    live, merged: `metadata` (name and labels) and `spec`; empty where there is none. apply: what is applied. kept:
        fields of the spec that stay as somebody else wrote them though the labels have another value.
    """

    desired: Desired
    verdict: Verdict
    live: Mapping[str, Any]
    merged: Mapping[str, Any]
    apply: Mapping[str, Any]
    kept: tuple[str, ...] = ()


def change_of(desired: Desired, live: Mapping[str, Any] | None) -> Change:
    """What writing this object comes to.

    Args:
        live: the object as the API server has it, with `metadata.managedFields`; None: there is none.
    """
    body = desired.body(FIELD_MANAGER)
    if live is None:
        return Change(desired, Verdict.CREATE, {}, body, body)
    shown = _shown(live)
    spec, metadata = _mapping(live.get("spec")), _mapping(live.get("metadata"))
    entries = [entry for entry in _list(metadata.get("managedFields")) if isinstance(entry, Mapping)]
    ours = [entry for entry in entries if _is_ours(entry)]
    if not ours:
        return Change(desired, Verdict.LEAVE, shown, shown, {})
    others = frozenset(_spec_fields(entry for entry in entries if not _is_ours(entry)))
    # The value that is there is applied, not nothing: fields that we leave out and nobody else holds would be removed,
    # the rest of a list of feeds for one, of which somebody changed one weight.
    wanted = {
        key: spec[key] if key in others and key in spec else value for key, value in desired.spec.items()
    }
    kept = tuple(sorted(key for key in wanted if key in others and spec.get(key) != desired.spec[key]))
    dropped = frozenset(_spec_fields(ours)) - others - set(wanted)
    merged_spec = {**{k: v for k, v in spec.items() if k not in dropped}, **wanted}
    labels = {**_mapping(metadata.get("labels")), MANAGED_BY: FIELD_MANAGER}
    merged = {**shown, "metadata": {**_mapping(shown["metadata"]), "labels": labels}, "spec": merged_spec}
    verdict = Verdict.NOTHING if merged == shown else Verdict.UPDATE
    # Of another object with this name, made since, nothing is changed.
    applied = {**body, "metadata": {**body["metadata"], "uid": metadata.get("uid")}, "spec": wanted}
    return Change(desired, verdict, shown, merged, applied, kept)


def changes_of(objects: Iterable[Desired], bodies: Iterable[Mapping[str, Any]]) -> list[Change]:
    """What writing each of these comes to, where the API server has these bodies."""
    live = {(body.get("kind"), _mapping(body.get("metadata")).get("name")): body for body in bodies}
    return [change_of(desired, live.get((desired.kind, desired.name))) for desired in objects]


def known_of(bodies: Iterable[Mapping[str, Any]]) -> Known:
    """Racks, NVLinkDomains and HardwareProfiles among these objects; shipped profiles that are not among them too."""
    specs: dict[str, dict[str, Mapping[str, Any]]] = {"Rack": {}, "NVLinkDomain": {}}
    profiles = dict(shipped_profiles())
    for body in bodies:
        kind, name = body.get("kind"), _mapping(body.get("metadata")).get("name")
        if isinstance(name, str) and kind in specs:
            specs[kind][name] = _mapping(body.get("spec"))
        elif isinstance(name, str) and kind == "HardwareProfile":
            decoded = decode(HardwareProfile, body)
            if isinstance(decoded, HardwareProfile):
                profiles[name] = decoded
    return Known(racks=specs["Rack"], domains=specs["NVLinkDomain"], profiles=profiles)


def _is_ours(entry: Mapping[str, Any]) -> bool:
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply"


def _spec_fields(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Fields of the spec that these entries hold, or hold a part of."""
    for entry in entries:
        if not entry.get("subresource"):
            fields = _mapping(_mapping(entry.get("fieldsV1")).get("f:spec"))
            yield from (key[2:] for key in fields if key.startswith("f:"))


def _shown(live: Mapping[str, Any]) -> dict[str, Any]:
    """The object as a person would write it."""
    metadata = _mapping(live.get("metadata"))
    kept = {
        "name": metadata.get("name"),
        **{k: metadata[k] for k in ("labels", "annotations") if metadata.get(k)},
    }
    return {
        "apiVersion": live.get("apiVersion"),
        "kind": live.get("kind"),
        "metadata": kept,
        "spec": dict(_mapping(live.get("spec"))),
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
