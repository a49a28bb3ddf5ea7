"""What happens to a facility while a trace runs: a file of moments, in YAML or JSON.

    - {at: 2d, lose: PowerDomain/ups-a, until: 2d 4h}
    - {at: 3d, set: CoolingZone/loop-1, spec: {supplyCelsius: 38}}
    - {at: 4d, lose: Node/r1-03}
    - {at: 5d, create: {kind: PowerBudget, metadata: {name: order}, spec: {...}}, until: 5d 3h}

Each becomes an ordinary event of the machine: an object that has changed, a node that is not ready.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rackplane.api.base import API_VERSION
from rackplane.api.decode import decode_any
from rackplane.api.problems import FieldProblem, show
from rackplane.core.offline.yamltext import NotYaml, parse_yaml
from rackplane.core.site.facility import FACILITY_KINDS
from rackplane.simulator.gangs import merged
from rackplane.simulator.site import Site

__all__ = ["Change", "EventsError", "read_events", "seconds_of"]

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)", re.IGNORECASE)
_UNITS: Final[Mapping[str, float]] = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DOES: Final = ("lose", "restore", "set", "create", "delete")
_FIELDS: Final = frozenset({"at", "until", "spec", *_DOES})
#: What of an element means that it is out of service, and back.
_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "PowerDomain": ("Offline", "Online"),
    "Rack": ("Maintenance", "Active"),
}


class EventsError(Exception):
    """A file of events that cannot be used: which event, which field, what to do."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happens.

    Args:
        at: second of the simulation.
        body: the object as it is from then on; None: it is deleted.
        ready: of a node, whether it is.
        words: for people.
    """

    at: int
    kind: str
    name: str
    words: str
    body: Mapping[str, Any] | None = None
    ready: bool | None = None


def seconds_of(said: object, begin: int) -> int:
    """A second of the simulation: of a number of seconds, of "2d 4h 30m", or of a date and time.

    Args:
        begin: the epoch second that second 0 is.

    Raises:
        ValueError: it is none, or before second 0.
    """
    found: float | None = None
    if isinstance(said, bool):
        pass
    elif isinstance(said, int | float):
        found = said
    elif isinstance(said, datetime):
        found = (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp() - begin
    elif isinstance(said, str):
        parts = _PART.findall(said)
        if parts and not _PART.sub("", said).strip():
            found = sum(float(number) * _UNITS[unit.lower()] for number, unit in parts)
        else:
            try:
                return seconds_of(datetime.fromisoformat(said.strip()), begin)
            except ValueError:
                found = None
    if found is None or not 0 <= found < 2**40:
        raise ValueError(
            f"is {show(said)}, no time of the run: write seconds, 2d 4h 30m, or 2026-01-03T04:00:00Z"
        )
    return round(found)


def read_events(path: str | Path, site: Site, *, begin: int) -> list[Change]:
    """The changes in a file, in order of time; each object is as all earlier changes left it.

    Raises:
        EventsError: it cannot be read, or an event in it cannot be used.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise EventsError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EventsError(f"{path}: is no text in UTF-8") from error
    listed: list[Any] = []
    for _, parsed in parse_yaml(text):
        if isinstance(parsed, NotYaml):
            raise EventsError(f"{path}: {parsed}")
        listed += parsed if isinstance(parsed, list) else [parsed]
    steps = sorted(
        (
            step
            for number, item in enumerate(listed, 1)
            for step in _steps(f"{path}, event {number}", item, begin)
        ),
        key=lambda step: step.at,
    )
    bodies = dict(site.bodies)
    return [_change(step, bodies, site) for step in steps]


@dataclass(frozen=True, slots=True)
class _Step:
    where: str
    at: int
    does: str
    kind: str
    name: str
    spec: Mapping[str, Any]
    back: bool = False
    """Whether it takes back what the event did."""


def _steps(where: str, item: Any, begin: int) -> Iterator[_Step]:
    if not isinstance(item, Mapping):
        raise EventsError(f"{where}: is {show(item)}, no event: write at, and one of {', '.join(_DOES)}")
    unknown = sorted(set(map(str, item)) - _FIELDS)
    if unknown:
        raise EventsError(
            f"{where}: {unknown[0]} is no field of an event; those are {', '.join(sorted(_FIELDS))}"
        )
    does = [name for name in _DOES if name in item]
    if len(does) != 1:
        raise EventsError(
            f"{where}: has {' and '.join(does) or 'nothing to do'}: write one of {', '.join(_DOES)}"
        )
    try:
        at = seconds_of(item.get("at"), begin)
    except ValueError as error:
        raise EventsError(f"{where}: at {error}") from None
    spec: Mapping[str, Any] = item.get("spec") or {}
    target = item[does[0]]
    if does[0] == "create":
        metadata = target.get("metadata") if isinstance(target, Mapping) else None
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if (
            not isinstance(target, Mapping)
            or target.get("kind") not in FACILITY_KINDS
            or not isinstance(name, str)
        ):
            kinds = ", ".join(sorted(FACILITY_KINDS))
            raise EventsError(f"{where}: create needs an object with kind ({kinds}), metadata.name and spec")
        kind, spec = str(target["kind"]), target.get("spec") or {}
    else:
        kind, _, name = str(target).partition("/")
        if not name or kind not in (*FACILITY_KINDS, "Node"):
            raise EventsError(
                f"{where}: {does[0]} is {show(target)}: write Kind/name, such as PowerDomain/ups-a"
            )
    if not isinstance(spec, Mapping) or (does[0] == "set" and not spec):
        raise EventsError(f"{where}: spec is {show(spec)}: write the fields that change")
    yield _Step(where, at, does[0], kind, name, spec)
    if "until" not in item:
        return
    try:
        until = seconds_of(item["until"], begin)
    except ValueError as error:
        raise EventsError(f"{where}: until {error}") from None
    if until <= at:
        raise EventsError(f"{where}: until is not after at")
    if does[0] not in ("lose", "create"):
        raise EventsError(f"{where}: until goes with lose and create only: write a second event")
    back = "restore" if does[0] == "lose" else "delete"
    yield _Step(where, until, back, kind, name, {}, back=True)


def _change(step: _Step, bodies: dict[tuple[str, str], Mapping[str, Any]], site: Site) -> Change:
    key, named = (step.kind, step.name), f"{step.kind} {step.name}"
    if step.kind == "Node":
        if step.name not in site.nodes:
            raise EventsError(f"{step.where}: there is no {named}")
        if step.does not in ("lose", "restore"):
            raise EventsError(f"{step.where}: a Node can be lost and restored only")
        lost = step.does == "lose"
        return Change(step.at, *key, f"{named} is {'lost' if lost else 'back'}", ready=not lost)
    have = bodies.get(key)
    if step.does == "create":
        if have is not None:
            raise EventsError(f"{step.where}: there is a {named} already: write set")
        metadata = {"name": step.name, "uid": f"{step.kind}/{step.name}", "generation": 1}
        body = {"apiVersion": API_VERSION, "kind": step.kind, "metadata": metadata, "spec": step.spec}
        words = f"{named} is created"
    elif have is None:
        raise EventsError(f"{step.where}: there is no {named}")
    elif step.does == "delete":
        del bodies[key]
        return Change(step.at, *key, f"{named} is deleted")
    else:
        patch = step.spec if step.does == "set" else _state(step, have)
        body = {**have, "spec": merged(have.get("spec", {}), patch)}
        body["metadata"] = {**have["metadata"], "generation": have["metadata"]["generation"] + 1}
        told = ", ".join(f"{field}={show(value)}" for field, value in step.spec.items())
        words = f"{named} " + {"lose": "is lost", "restore": "is back", "set": f"is set: {told}"}[step.does]
    decoded = decode_any(body)
    if isinstance(decoded, list):
        raise EventsError(f"{step.where}: {named}: {_problem(decoded[0])}")
    bodies[key] = body
    return Change(step.at, *key, words, body=body)


def _state(step: _Step, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The patch that takes an element out of service, or brings it back."""
    lost = step.does == "lose"
    if step.kind == "CoolingZone":
        state = "Offline" if lost else "Online"
        return {"units": [{**unit, "state": state} for unit in body["spec"].get("units", ())]}
    if step.kind not in _STATES:
        kinds = ", ".join([*_STATES, "CoolingZone", "Node"])
        raise EventsError(f"{step.where}: {step.does} takes one of {kinds}, not a {step.kind}")
    return {"state": _STATES[step.kind][0 if lost else 1]}


def _problem(problem: FieldProblem) -> str:
    return f"{problem.where} {problem.what}. {problem.remedy}"
