"""Server-side apply: a configuration merged into an object, conflicts, and what is no longer applied taken out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rackplane.localcluster.errors import ApiError
from rackplane.localcluster.objects import Obj, meta

from .managers import (
    APPLY,
    BEFORE_FIRST_APPLY,
    UPDATE,
    Entry,
    Managed,
    Manager,
    dispossessed,
    manager,
    stripped,
)
from .sets import EMPTY, FieldSet, Path, shown
from .types import Type, with_named_fields
from .values import compare, fields_of, merge, without

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: kubectl's own field manager, which takes over what it once applied on the client's side.
_KUBECTL = "kubectl"


@dataclass(frozen=True, slots=True)
class Application:
    """One apply.

    Args:
        config: the object applied.
        nothing: the object before anybody sets anything of it.
        ignored: fields this write does not change, whatever it says.
        now: the time as `metadata.managedFields` has it.
    """

    config: Obj
    nothing: Obj
    name: str
    force: bool
    version: str
    subresource: str
    ignored: FieldSet
    now: str

    @property
    def manager(self) -> Manager:
        """Who applies."""
        return manager(self.name, APPLY, self.subresource, self.version)


class Conflicts(Exception):
    """Others manage fields that the apply would change."""

    def __init__(self, found: list[tuple[Manager, Path]]) -> None:
        super().__init__()
        self.found = found


def applied(type_: Type, live: Obj, managed: Managed, application: Application) -> tuple[Obj, Managed]:
    """The object after an apply, and its managers; the live one is not changed but shared.

    Raises:
        ApiError: 409, others manage fields that would change and `force` is off.
    """
    if not managed.entries:
        managed = _untracked(type_, live, application)
    try:
        result, entries = _apply(type_, live, managed, application, force=application.force)
    except Conflicts as conflicts:
        found = conflicts.found
        allowed = _formerly_applied(type_, live, application) if application.name == _KUBECTL else EMPTY
        found = [(who, path) for who, path in found if not allowed.has(path)]
        if found:
            raise _conflict(found) from None
        result, entries = _apply(type_, live, managed, application, force=True)
    if application.name == _KUBECTL:
        result = _with_last_applied(result, application.config)
    return result, Managed(entries.values())


def _untracked(type_: Type, live: Obj, application: Application) -> Managed:
    """Nobody tracked the object so far: all that is there was written by somebody."""
    fields = stripped(compare(type_, application.nothing, live).less(application.ignored).added)
    if not fields or not meta(live).get("uid"):
        return Managed(())
    who = manager(BEFORE_FIRST_APPLY, UPDATE, application.subresource, application.version)
    return Managed((Entry(who, application.version, application.now, fields),))


def _apply(
    type_: Type, live: Obj, managed: Managed, application: Application, *, force: bool
) -> tuple[Obj, dict[Manager, Entry]]:
    who = application.manager
    last = next((entry for entry in managed.entries if entry.manager == who), None)
    others = [entry for entry in managed.entries if entry.manager != who]
    fields = fields_of(type_, application.config).without(application.ignored)
    merged = merge(type_, live, application.config)
    if last is not None and last.fields:
        merged = _pruned(type_, merged, last.fields, [fields, *(entry.fields for entry in others)])
    difference = compare(type_, live, merged).less(application.ignored)
    if not force:
        touched = difference.modified | difference.added
        found = [(entry.manager, path) for entry in others for path in (entry.fields & touched).paths()]
        if found:
            raise Conflicts(found)
    entries = dispossessed(others, difference)
    changed = not compare(type_, live, merged).same
    time = application.now if changed else last.time if last is not None else ""
    own = stripped(fields)
    if own:
        entries[who] = Entry(who, application.version, time, own)
    return merged, entries


def _pruned(type_: Type, merged: Any, last: FieldSet, owned: Iterable[FieldSet]) -> Any:
    """The object without what was applied last time and is managed by nobody any more."""
    named_last = with_named_fields(last, type_)
    pruned = without(type_, merged, named_last)
    managed = EMPTY
    for fields in owned:
        managed = managed | fields
    all_fields = with_named_fields(fields_of(type_, merged), type_)
    left = with_named_fields(fields_of(type_, pruned), type_)
    # Put back what others manage, and then what was not applied last time but went with a parent.
    pruned = without(type_, merged, all_fields - (left | with_named_fields(managed, type_)))
    left = with_named_fields(fields_of(type_, pruned), type_)
    return without(type_, merged, (all_fields - left) & named_last)


def _formerly_applied(type_: Type, live: Obj, application: Application) -> FieldSet:
    """Fields that still are as kubectl applied them on the client's side: those it may take over."""
    text = (meta(live).get("annotations") or {}).get(LAST_APPLIED)
    try:
        config = json.loads(text or "")
    except ValueError:
        return EMPTY
    if not isinstance(config, dict) or config.get("apiVersion") != application.version:
        return EMPTY
    difference = compare(type_, config, live)
    return fields_of(type_, config) - difference.modified - difference.added - difference.removed


def _with_last_applied(result: Obj, config: Obj) -> Obj:
    """The annotation of kubectl's client-side apply, where there is one, follows what it applies here."""
    annotations = meta(result).get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return result
    metadata = dict(meta(config))
    own = {
        key: text for key, text in (metadata.pop("annotations", None) or {}).items() if key != LAST_APPLIED
    }
    if own:
        metadata["annotations"] = own
    text = json.dumps(
        {**config, "metadata": metadata}, separators=(",", ":"), sort_keys=True, ensure_ascii=False
    )
    annotations = {**annotations, LAST_APPLIED: text + "\n"}
    return {**result, "metadata": {**meta(result), "annotations": annotations}}


def _conflict(found: list[tuple[Manager, Path]]) -> ApiError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {_named(who)}", "field": shown(path)}
        for who, path in found
    ]
    if len(found) == 1:
        who, path = found[0]
        message = f"Apply failed with 1 conflict: conflict with {_named(who)}: {shown(path)}"
    else:
        lines: list[str] = []
        for manager in sorted({who for who, _ in found}, key=_identifier):
            lines.append(f"conflicts with {_named(manager)}:")
            lines += [f"- {shown(path)}" for who, path in found if who == manager]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, {"causes": causes})


def _named(who: Manager) -> str:
    text = json.dumps(who.name, ensure_ascii=False)
    if who.subresource:
        text += f' with subresource "{who.subresource}"'
    return f"{text} using {who.version}" if who.operation == UPDATE else text


def _identifier(who: Manager) -> str:
    """The text by which the API server tells managers apart and sorts them."""
    parts = {
        "manager": who.name,
        "operation": who.operation,
        "apiVersion": who.version,
        "subresource": who.subresource,
    }
    return json.dumps({key: text for key, text in parts.items() if text}, separators=(",", ":"))
