"""What a scenario says: requests, watches and waits, as plain data with placeholders.

A scenario runs in a namespace of its own. In any string, `${ns}` stands for its name, and `${saved.metadata.uid}` for a
field of an earlier answer that a step kept under `saved`; a number in such a path is a place in a list. A string that
is one placeholder and nothing else takes the field as it is, number or object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request and its answer.

    Args:
        raw: the body as text, sent as it is; otherwise `body` is sent as JSON.
        accept: the Accept header.
        user: whom the request is made as; the admin impersonates others.
        groups: the groups of `user`.
        agent: the User-Agent, whose part before the slash is the default field manager.
        save: a name under which later steps find the answer's object.
        until: repeat the request until these fields of the answer have these values (`code`, `object.status.phase`;
            None: absent), as time goes on: what controllers do is not there at once.
        view: name of a function of `views.py` that leaves of the answer what is compared.
        managed: keep `metadata.managedFields` in the comparison.
        unordered: compare the items of a list regardless of their order (names may have a random end).
    """

    method: str
    path: str
    body: Any = None
    raw: str | None = None
    type: str = JSON
    accept: str = JSON
    query: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    groups: tuple[str, ...] = ()
    agent: str = "conformance"
    save: str = ""
    until: Mapping[str, Any] = field(default_factory=dict)
    view: str = ""
    managed: bool = False
    unordered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A watch, read until `events` have come; with `quiet` no more may follow at once."""

    path: str
    events: int
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = JSON
    quiet: bool = True
    view: str = ""
    managed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Let this many seconds go by: real ones on a real server, virtual ones on the embedded cluster."""

    seconds: float


Step = Ask | Watch | Pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Steps in one namespace.

    Args:
        crds: the project's own CRDs are installed.
        leftovers: paths of cluster-scoped objects the scenario makes, removed after it.
    """

    name: str
    steps: tuple[Step, ...]
    crds: bool = False
    leftovers: tuple[str, ...] = ()


def get(path: str, **more: Any) -> Ask:
    """GET an object or a collection."""
    return Ask(method="GET", path=path, **more)


def post(path: str, body: Any = None, **more: Any) -> Ask:
    """POST an object to a collection or a subresource."""
    return Ask(method="POST", path=path, body=body, **more)


def put(path: str, body: Any = None, **more: Any) -> Ask:
    """PUT an object."""
    return Ask(method="PUT", path=path, body=body, **more)


def patch(path: str, body: Any, type: str = MERGE, **more: Any) -> Ask:
    """PATCH an object."""
    return Ask(method="PATCH", path=path, body=body, type=type, **more)


def delete(path: str, body: Any = None, **more: Any) -> Ask:
    """DELETE an object or a collection."""
    return Ask(method="DELETE", path=path, body=body, **more)


def watch(path: str, events: int, **more: Any) -> Watch:
    """Watch a collection."""
    return Watch(path=path, events=events, **more)


def wait(seconds: float) -> Pass:
    """Let time go by."""
    return Pass(seconds=seconds)
