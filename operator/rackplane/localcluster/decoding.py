"""Objects of built-in kinds as the API server reads and writes them: into typed structs and out of them again.

What no struct has is dropped and told; null is no value; what is empty is left out, or there although nobody gave it,
as the kind's fields say.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from . import builtin_schemas
from .gotypes import EMPTIED, Mismatch, WrongForm, go_type, is_empty, scalar, struct_fields, zero
from .objects import Frozen, Obj, clone, meta
from .resources import Resource


class _Reader:
    """Reads one object. `unknown` collects the paths of fields that no struct has."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def struct(self, name: str, value: Any, path: str, plain: str) -> Obj:
        """A struct of `name`. `path` tells list places, `plain` does not: messages want the one or the other."""
        found: Obj = {}
        fields, always = struct_fields(name)
        for key, part in value.items():
            entry = fields.get(key)
            if entry is None:
                self.unknown.append(f"{path}{key}")
                continue
            kind, omit_empty, omit_zero, owner = entry
            if kind == "string" and part.__class__ is str:
                # By far the most frequent case.
                if part or not omit_empty:
                    found[key] = part
                continue
            if isinstance(part, Frozen):
                found[key] = part
                continue
            try:
                part = self.value(kind, part, f"{path}{key}", f"{plain}{key}")
            except WrongForm as wrong:
                raise Mismatch(
                    f"json: cannot unmarshal {wrong.given} into Go struct field {owner}.{plain}{key} of type "
                    f"{go_type(wrong.kind)}",
                    wrong.converted,
                ) from None
            if part is None or part is False or part in (0, "", [], {}):
                if omit_empty and is_empty(kind, part):
                    continue
                if omit_zero and (part is None or (part == {} and not kind.startswith("*"))):
                    continue
            found[key] = part
        for key, kind in always:
            if key not in found:
                found[key] = zero(kind)
        return found

    def value(self, kind: str, value: Any, path: str, plain: str) -> Any:
        """A value of a type.

        Raises:
            WrongForm: it is of another form.
            Mismatch: something within is.
        """
        if kind.startswith("*"):
            return None if value is None else self.value(kind[1:], value, path, plain)
        if value is None:
            return zero(kind)
        if kind.startswith("{}"):
            if not isinstance(value, dict):
                raise WrongForm(value, kind)
            inner = kind[2:]
            return {
                key: self.value(inner, part, f"{path}.{key}", plain) for key, part in value.items()
            } or None
        if kind.startswith("[]"):
            if not isinstance(value, list):
                raise WrongForm(value, kind)
            inner = kind[2:]
            return [
                self.value(inner, part, f"{path}[{place}]", plain) for place, part in enumerate(value)
            ] or None
        if "." in kind:
            if not isinstance(value, dict):
                raise WrongForm(value, kind)
            return self.struct(kind, value, f"{path}.", f"{plain}.")
        return scalar(kind, value)


class _Odd(Exception):
    """Something a fast reader leaves to the careful one, which can tell what it is."""


_Read = Callable[[Any, Any], Any]
#: When a value is left out: never, when it is empty, when there is none, when it is none or an empty struct.
_KEPT, _EMPTY, _NONE, _ZERO = range(4)


@cache
def _fast(kind: str) -> _Read:
    """A function that reads a value of a type. Its second argument is a value read before, whose parts are as they
    shall be: what is shared with it is not read again.

    The function raises `_Odd` for anything that must be told.
    """
    if kind.startswith("*"):
        inner = _fast(kind[1:])
        return lambda value, known: None if value is None else inner(value, known)
    if kind.startswith("{}"):
        return _fast_map(_fast(kind[2:]))
    if kind.startswith("[]"):
        return _fast_list(_fast(kind[2:]))
    if "." in kind:
        return _fast_struct(kind)

    def read(value: Any, _: Any) -> Any:
        try:
            return zero(kind) if value is None else scalar(kind, value)
        except (WrongForm, Mismatch):
            raise _Odd from None

    return read


def _fast_map(inner: _Read) -> _Read:
    def read(value: Any, known: Any) -> Any:
        if value is known:
            return value
        if value is None:
            return None
        if value.__class__ is not dict:
            raise _Odd
        known = known if known.__class__ is dict else {}
        # Empty lists and maps are stored as none.
        return {key: inner(part, known.get(key)) for key, part in value.items()} or None

    return read


def _fast_list(inner: _Read) -> _Read:
    def read(value: Any, known: Any) -> Any:
        if value is known or value is None:
            return value
        if value.__class__ is not list:
            raise _Odd
        if known.__class__ is not list:
            return [inner(part, None) for part in value] or None
        same = {id(part) for part in known}
        return [part if id(part) in same else inner(part, None) for part in value] or None

    return read


def _fast_struct(name: str) -> _Read:
    given, always = struct_fields(name)
    fields: dict[str, tuple[_Read | None, int]] = {}

    def compiled(key: str) -> tuple[_Read | None, int]:
        # When it is first met: structs may hold themselves.
        kind, omit_empty, omit_zero, _ = given[key]
        left_out = _KEPT
        if omit_empty and kind.startswith("*"):
            left_out = _NONE
        elif omit_empty and kind.startswith(EMPTIED):
            left_out = _EMPTY
        elif omit_zero:
            left_out = _ZERO
        found = fields[key] = (None if kind == "string" else _fast(kind), left_out)
        return found

    zeroes = {key: zero(kind) for key, kind in always}

    def read(value: Any, known: Any) -> Any:
        if value is known:
            return value
        if value is None:
            return dict(zeroes)
        if value.__class__ is not dict:
            raise _Odd
        if known.__class__ is not dict:
            known = _NOTHING
        found: Obj = {}
        for key, part in value.items():
            if known.get(key) is part and part is not None:
                found[key] = part
                continue
            entry = fields.get(key)
            if entry is None:
                if key not in given:
                    raise _Odd
                entry = compiled(key)
            reader, left_out = entry
            if reader is not None:
                if not isinstance(part, Frozen):
                    part = reader(part, known.get(key))
            elif part.__class__ is not str:
                if part is not None:
                    raise _Odd
                part = ""
            if part or left_out == _KEPT:
                found[key] = part
            elif left_out == _NONE:
                if part is not None:
                    found[key] = part
            elif left_out == _ZERO and part is not None and part != {}:
                found[key] = part
        for key, none in zeroes.items():
            if key not in found:
                found[key] = none if none.__class__ is not dict else clone(none)
        return found

    return read


_NOTHING: Obj = {}


def decoded(resource: Resource, obj: Obj, known: Obj | None = None) -> tuple[Obj, list[str]]:
    """An object of a built-in kind as the server keeps it, and the paths of its fields that nobody knows.

    Parts that it shares with `known`, an object read before, are shared by the result. Nothing is changed.

    Raises:
        Mismatch: a field has a value it cannot hold.
    """
    name = builtin_schemas.struct_name(resource.group, resource.version, resource.kind)
    if resource.crd or name is None:
        return obj, []
    unknown: list[str] = []
    try:
        found: Obj = _fast(name)(obj, known)
    except _Odd:
        reader = _Reader()
        found, unknown = reader.struct(name, obj, "", ""), reader.unknown
    stated = meta(obj).get("managedFields")
    if isinstance(stated, list):
        # An empty list is no value elsewhere; here it asks to forget all managers.
        found["metadata"] = {**found["metadata"], "managedFields": stated}
    for part, one, many in _TWINS.get(name, ()):
        if found.get(part) is not (known or _NOTHING).get(part) and found.get(part):
            _match(found[part], one, many)
    return found, unknown


#: Fields of which the second is a list that begins with the first; who gives one gives both.
_TWINS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "core/v1.Pod": (("status", "podIP", "podIPs"), ("spec", "serviceAccountName", "serviceAccount")),
    "core/v1.Node": (("spec", "podCIDR", "podCIDRs"),),
}


def _match(part: Obj, one: str, many: str) -> None:
    first = part.get(one)
    if many == "serviceAccount":
        if first or part.get(many):
            part[one] = part[many] = first or part[many]
        return
    listed = [entry["ip"] if isinstance(entry, dict) else entry for entry in part.get(many) or ()]
    if first and listed[:1] != [first]:
        part[many] = [{"ip": first}] if many == "podIPs" else [first]
    elif listed and not first:
        part[one] = listed[0]
