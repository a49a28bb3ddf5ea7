"""Run a scenario on a server: each step that asks something becomes a row of request and answer."""

from __future__ import annotations

import re
import secrets
from dataclasses import fields, replace
from typing import Any, TypeVar

from .masks import Masks
from .servers import POLL_SECONDS, Answer, Embedded, Server
from .steps import Ask, Pass, Scenario, Step, Watch
from .views import VIEWS

PATIENCE_SECONDS = 60.0
"""How long `until` is waited for, in the time of the server."""

Row = dict[str, Any]
Asking = TypeVar("Asking", bound=Ask | Watch)
_PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")


def described(step: Step) -> Row:
    """A step as data: what differs from the defaults."""
    row: Row = {}
    for part in fields(step):
        value = getattr(step, part.name)
        required = part.name in ("method", "path", "events", "seconds")
        if required or value not in (part.default, {}, ()):
            row[part.name] = list(value) if isinstance(value, tuple) else value
    return row


def restored(row: Row) -> Step:
    """The step a row was made of."""
    kind: Any = Pass if "seconds" in row else Watch if "events" in row else Ask
    step: Step = kind(**{name: tuple(value) if name == "groups" else value for name, value in row.items()})
    return step


def run(scenario: Scenario, server: Server) -> list[Row]:
    """The rows of a scenario, masked; the server is left as it was found."""
    namespace = f"conformance-{secrets.token_hex(4)}" if not isinstance(server, Embedded) else "conformance-0"
    masks = Masks(namespace)
    saved: dict[str, Any] = {"ns": namespace}
    rows: list[Row] = []
    server.prepare(namespace, crds=scenario.crds)
    try:
        for step in scenario.steps:
            if isinstance(step, Pass):
                server.pass_time(step.seconds)
                rows.append({"request": described(step)})
                continue
            answer = _answered(filled(step, saved), server)
            if isinstance(step, Ask) and step.save:
                saved[step.save] = answer.object
            rows.append({"request": described(step), "answer": _shown(step, answer, masks)})
    finally:
        server.clean_up(namespace, tuple(fill(path, saved) for path in scenario.leftovers))
    return rows


def _answered(step: Ask | Watch, server: Server) -> Answer:
    if isinstance(step, Watch):
        return server.watch(step)
    answer, waited = server.ask(step), 0.0
    while waited < PATIENCE_SECONDS and not all(
        _at({"code": answer.code, "object": answer.object}, path) == wanted
        for path, wanted in step.until.items()
    ):
        server.pass_time(POLL_SECONDS)
        waited += POLL_SECONDS
        answer = server.ask(step)
    return answer


def _shown(step: Ask | Watch, answer: Answer, masks: Masks) -> Row:
    shown: Row = {"code": answer.code}
    if answer.type != "application/json":
        shown["type"] = answer.type
    if answer.warnings:
        shown["warnings"] = [masks.text(text) for text in answer.warnings]
    if answer.retry_after:
        shown["retryAfter"] = answer.retry_after
    view = VIEWS[step.view] if step.view else None
    if answer.events is not None:
        events = masks.apply(answer.events, managed=step.managed)
        shown["events"] = [view(event) if view else event for event in events]
        return shown
    body = masks.apply(answer.object, managed=step.managed)
    if isinstance(step, Ask) and step.unordered:
        body = {**body, "items": sorted(body["items"], key=repr)}
    body = view(body) if view else body
    if body is not None:
        shown["object"] = body
    return shown


def filled(step: Asking, saved: dict[str, Any]) -> Asking:
    """A copy of a step with its placeholders filled in.

    Raises:
        LookupError: a placeholder names nothing that was saved.
    """
    if isinstance(step, Watch):
        return replace(step, path=fill(step.path, saved), query=fill(dict(step.query), saved))
    return replace(
        step,
        path=fill(step.path, saved),
        query=fill(dict(step.query), saved),
        body=fill(step.body, saved),
        raw=fill(step.raw, saved),
        until=fill(dict(step.until), saved),
        user=fill(step.user, saved),
        groups=tuple(fill(list(step.groups), saved)),
    )


def fill(value: Any, saved: dict[str, Any]) -> Any:
    """A copy of a value with its placeholders filled in.

    Raises:
        LookupError: a placeholder names nothing that was saved.
    """
    if isinstance(value, dict):
        return {fill(key, saved): fill(part, saved) for key, part in value.items()}
    if isinstance(value, list):
        return [fill(part, saved) for part in value]
    if not isinstance(value, str):
        return value
    whole = _PLACEHOLDER.fullmatch(value)
    if whole:
        return _need(saved, whole[1])
    return _PLACEHOLDER.sub(lambda found: str(_need(saved, found[1])), value)


def _need(saved: dict[str, Any], path: str) -> Any:
    found = _at(saved, path)
    if found is None:
        raise LookupError(f"nothing is saved at {path}")
    return found


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if part.isdecimal() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value
