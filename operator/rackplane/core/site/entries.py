"""One facility object as last seen: what it says, what is wrong with it, and whether it is on its way out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rackplane.api.base import Resource
from rackplane.api.decode import decode
from rackplane.api.kinds import BY_KIND
from rackplane.api.problems import FieldProblem
from rackplane.api.report import REPORTED_AS
from rackplane.core.site.reports import NO_EFFECTS, Effects, Heard, cleared_at, effects, heard

__all__ = ["ELEMENTS", "Entry", "ObjectKey", "entry_of", "same"]

#: (kind, name) of a cluster-scoped object.
ObjectKey = tuple[str, str]
#: Kinds that carry load, or say how much: what runs under one still draws when the object is deleted or spoiled.
ELEMENTS: Final = frozenset({"HardwareProfile", "Rack", "PowerDomain", "CoolingZone"})


@dataclass(frozen=True, slots=True)
class Entry:
    generation: int
    #: of an ELEMENT that was valid and no longer decodes, the last valid one
    model: Resource | None
    problems: tuple[FieldProblem, ...] = ()
    #: the spec as written, of an object that does not decode
    raw: object = None
    uid: str = ""
    conditions: tuple[Mapping[str, Any], ...] = ()
    status: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    finalizers: tuple[str, ...] = ()
    deleting: bool = False
    #: elements that it names, by key, as far as they can be read
    references: frozenset[ObjectKey] = frozenset()
    #: what machines say of it, up to when a person took that back, and what it comes to
    reports: tuple[Heard, ...] = ()
    reports_cleared: float = -math.inf
    effects: Effects = NO_EFFECTS
    #: what the sources of reports call it (annotation `REPORTED_AS`)
    reported_as: str = ""

    @property
    def retired(self) -> bool:
        """It is being deleted, or is known only as it once was: it carries what it carries and takes nothing new."""
        return self.deleting or (self.model is not None and bool(self.problems))


def entry_of(kind: str, name: str, body: Mapping[str, Any], old: Entry | None) -> Entry:
    """An object as the API server has it; never raises on its content.

    Args:
        old: the entry before.
    """
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    generation = metadata.get("generation")
    finalizers = metadata.get("finalizers")
    status = body.get("status")
    # Reports apart, status and the rest of the metadata say nothing about the facility, and can spoil nothing either.
    kept = {key: body[key] for key in ("apiVersion", "kind", "spec") if key in body}
    decoded = decode(BY_KIND[kind], {**kept, "metadata": {"name": name}})
    problems = tuple(decoded) if isinstance(decoded, list) else ()
    model = None if isinstance(decoded, list) else decoded
    references = frozenset(_references(kind, body.get("spec")))
    uid = str(metadata.get("uid") or "")
    if model is None and old is not None and old.uid == uid and kind in ELEMENTS:
        model = old.model
        references |= old.references
    reports, notes = heard(status), metadata.get("annotations")
    cleared = cleared_at(notes)
    called = notes.get(REPORTED_AS) if isinstance(notes, Mapping) else None
    return Entry(
        generation=generation if isinstance(generation, int) and not isinstance(generation, bool) else 0,
        model=model,
        problems=problems,
        raw=body.get("spec") if problems else None,
        uid=uid,
        conditions=_conditions(status),
        status=status if isinstance(status, Mapping) else {},
        version=str(metadata.get("resourceVersion") or ""),
        finalizers=tuple(map(str, finalizers)) if isinstance(finalizers, list | tuple) else (),
        deleting=bool(metadata.get("deletionTimestamp")),
        references=references,
        reports=reports,
        reports_cleared=cleared,
        effects=effects(reports, cleared),
        reported_as=called if isinstance(called, str) else "",
    )


def same(old: Entry, new: Entry) -> bool:
    """Whether nothing changed but status and metadata; of reports nothing that they come to."""
    return (old.model, old.problems, old.raw, old.deleting, old.effects) == (
        new.model,
        new.problems,
        new.raw,
        new.deleting,
        new.effects,
    )


def _conditions(status: object) -> tuple[Mapping[str, Any], ...]:
    found = _field(status, "conditions")
    if not isinstance(found, list):
        return ()
    named = ("type", "status", "lastTransitionTime")
    return tuple(c for c in found if isinstance(c, Mapping) and all(isinstance(c.get(k), str) for k in named))


def _references(kind: str, spec: object) -> Iterator[ObjectKey]:
    """What a spec names, read as written: one that does not decode still names what it stands under."""
    names: list[tuple[str, object]] = []
    match kind:
        case "Rack":
            names.append(("HardwareProfile", _field(spec, "profile")))
            names.extend(
                ("CoolingZone", _field(_field(spec, "cooling"), medium)) for medium in ("liquid", "air")
            )
            names.extend(_feeds(_field(spec, "feeds")))
        case "PowerDomain":
            names.extend(_feeds(_field(spec, "parents")))
        case "CoolingZone":
            names.extend(("CoolingZone", parent) for parent in _items(_field(spec, "parents")))
            for unit in _items(_field(spec, "units")):
                names.extend(_feeds(_field(unit, "feeds")))
    for named, name in names:
        if isinstance(name, str):
            yield named, name


def _feeds(feeds: object) -> Iterator[tuple[str, object]]:
    for feed in _items(feeds):
        yield "PowerDomain", _field(feed, "powerDomain")


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else None


def _items(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
