"""Objects of built-in kinds as the API server reads and writes them: into typed structs and out of them again.

What no struct has is dropped and told; null is no value; what is empty is left out, or there although nobody gave it,
as the kind's fields say.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

from . import builtin_schemas
from .gotext import type_name
from .objects import Frozen, Obj, meta
from .resources import Resource

_INTEGERS = frozenset({"int", "int32", "int64", "uint32"})
#: Types whose empty value `omitempty` leaves out; structs, and what encodes itself, never count as empty.
_EMPTIED = ("*", "[]", "{}", "bytes", "string", "bool", "int", "uint", "float")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_LAYOUT = "2006-01-02T15:04:05Z07:00"
_MICRO_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"


class Mismatch(Exception):
    """A value that its field cannot hold; the message is that of Go's JSON decoder.

    `converted` is what is said where a map, not a text, is read: of the result of a strategic merge patch.
    """

    def __init__(self, message: str, converted: str = "") -> None:
        super().__init__(message)
        self.converted = converted


class _Reader:
    """Reads one object. `unknown` collects the paths of fields that no struct has."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def struct(self, name: str, value: Any, path: str, plain: str) -> Obj:
        """A struct of `name`. `path` tells list places, `plain` does not: messages want the one or the other."""
        found: Obj = {}
        fields, always = _fields(name)
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
            except _Wrong as wrong:
                raise Mismatch(
                    f"json: cannot unmarshal {wrong.given} into Go struct field {owner}.{plain}{key} of type "
                    f"{_go_type(wrong.kind)}",
                    wrong.converted,
                ) from None
            if part is None or part is False or part in (0, "", [], {}):
                if omit_empty and _is_empty(kind, part):
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
            _Wrong: it is of another form.
            Mismatch: something within is.
        """
        if kind.startswith("*"):
            return None if value is None else self.value(kind[1:], value, path, plain)
        if value is None:
            return zero(kind)
        if kind.startswith("{}"):
            if not isinstance(value, dict):
                raise _Wrong(value, kind)
            inner = kind[2:]
            return {key: self.value(inner, part, f"{path}.{key}", plain) for key, part in value.items()}
        if kind.startswith("[]"):
            if not isinstance(value, list):
                raise _Wrong(value, kind)
            inner = kind[2:]
            return [self.value(inner, part, f"{path}[{place}]", plain) for place, part in enumerate(value)]
        if "." in kind:
            if not isinstance(value, dict):
                raise _Wrong(value, kind)
            return self.struct(kind, value, f"{path}.", f"{plain}.")
        return _scalar(kind, value)


class _Wrong(Exception):
    def __init__(self, value: Any, kind: str) -> None:
        super().__init__()
        self.kind = kind
        names: dict[type, str] = {dict: "object", list: "array", str: "string", bool: "bool"}
        self.given = names.get(type(value), "number")
        if self.given == "number" and kind in _INTEGERS:
            self.given = f"number {value}"
        forms: dict[type, str] = {dict: "map", list: "slice"}
        form = forms.get(type(value), type_name(value))
        if kind.startswith("[]"):
            self.converted = f"cannot restore slice from {form}"
        elif kind.startswith("{}"):
            self.converted = f"cannot restore map from {form}"
        elif "." in kind:
            self.converted = f"cannot restore struct from: {form}"
        else:
            self.converted = f"cannot convert {type_name(value)} to {_go_type(kind)}"


def _scalar(kind: str, value: Any) -> Any:
    form = type(value)
    if kind == "string" and form is not str:
        raise _Wrong(value, kind)
    if kind == "bool" and form is not bool:
        raise _Wrong(value, kind)
    if kind in _INTEGERS:
        if form is not int:
            raise _Wrong(value, kind)
        bits = 64 if kind in ("int", "int64") else 32
        low, high = (0, 1 << bits) if kind == "uint32" else (-(1 << (bits - 1)), 1 << (bits - 1))
        if not low <= value < high:
            raise _Wrong(value, kind)
    if kind == "float64" and (form is bool or not isinstance(value, (int, float))):
        raise _Wrong(value, kind)
    if kind == "bytes":
        return _bytes(value)
    if kind in ("time", "microtime"):
        return _time(value, kind)
    if kind == "quantity" and form in (int, float):
        return str(value)
    return value


def _bytes(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong(value, "[]uint8")
    plain = value.replace("\n", "").replace("\r", "")
    try:
        return base64.b64encode(base64.b64decode(plain, validate=True)).decode()
    except (binascii.Error, ValueError):
        found = re.match(r"[A-Za-z0-9+/]*", plain)
        place = found.end() if found else 0
        raise Mismatch(f"illegal base64 data at input byte {place}") from None


def _time(value: Any, kind: str) -> str:
    layout = _LAYOUT if kind == "time" else _MICRO_LAYOUT
    if not isinstance(value, str):
        raise _Wrong(value, "string")
    found = _TIME.fullmatch(value)
    fraction = found[1] if found else None
    if found is None:
        raise Mismatch(_unparsed(value, layout))
    if kind == "microtime" and (fraction is None or len(fraction) != 7):
        rest = value[19:]
        raise Mismatch(f'parsing time "{value}" as "{layout}": cannot parse "{rest}" as ".000000"')
    try:
        moment = datetime.fromisoformat(value[:19] + (fraction or "")[:7] + found[2].replace("Z", "+00:00"))
    except ValueError:
        raise Mismatch(f'parsing time "{value}": day out of range') from None
    moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if kind == "time" else "%Y-%m-%dT%H:%M:%S.%fZ")


def _unparsed(value: str, layout: str) -> str:
    """What Go says of a text that is no time: the rest that does not fit, and the element it does not fit."""
    rest = value
    for element, pattern in (
        ("2006", r"\d{4}"),
        ("-", "-"),
        ("01", r"\d\d"),
        ("-", "-"),
        ("02", r"\d\d"),
        ("T", "T"),
        ("15", r"\d\d"),
        (":", ":"),
        ("04", r"\d\d"),
        (":", ":"),
        ("05", r"\d\d"),
        ("Z07:00", r"Z|[+-]\d\d:\d\d"),
    ):
        found = re.match(pattern, rest)
        if found is None:
            return f'parsing time "{value}" as "{layout}": cannot parse "{rest}" as "{element}"'
        rest = rest[found.end() :]
    return f'parsing time "{value}": extra text: "{rest}"'


def _is_empty(kind: str, value: Any) -> bool:
    if kind.startswith("*"):
        return value is None
    return kind.startswith(_EMPTIED)


@cache
def _fields(
    name: str,
) -> tuple[dict[str, tuple[str, bool, bool, str]], tuple[tuple[str, str], ...]]:
    """The fields of a struct, inlined ones too, each with its owner; and those that are always written."""
    found: dict[str, tuple[str, bool, bool, str]] = {}
    for field in builtin_schemas.struct(name):
        if field.name:
            owner = name.rpartition(".")[2]
            found[field.name] = (field.type, field.omit_empty, field.omit_zero, owner)
        else:
            found |= _fields(field.type)[0]
    always = tuple(
        (key, kind)
        for key, (kind, omit_empty, omit_zero, _) in found.items()
        if not omit_zero and not (omit_empty and kind.startswith(_EMPTIED))
    )
    return found, always


def zero(kind: str) -> Any:
    """The value of a type that nobody gave, as it is written."""
    if "." in kind and not kind.startswith(("*", "[]", "{}")):
        return {key: zero(part) for key, part in _fields(kind)[1]}
    if kind in _INTEGERS or kind == "intorstring":
        return 0
    values: dict[str, Any] = {"string": "", "bool": False, "float64": 0, "quantity": "0", "duration": "0s"}
    return values.get(kind)


def _go_type(kind: str) -> str:
    if kind.startswith("{}"):
        return f"map[string]{_go_type(kind[2:])}"
    for prefix in ("*", "[]"):
        if kind.startswith(prefix):
            return prefix + _go_type(kind[len(prefix) :])
    names = {"quantity": "resource.Quantity", "bytes": "[]uint8"}
    return names.get(kind, kind.rpartition("/")[2])


def decoded(resource: Resource, obj: Obj) -> tuple[Obj, list[str]]:
    """An object of a built-in kind as the server keeps it, and the paths of its fields that nobody knows.

    Raises:
        Mismatch: a field has a value it cannot hold.
    """
    name = builtin_schemas.struct_name(resource.group, resource.version, resource.kind)
    if resource.crd or name is None:
        return obj, []
    reader = _Reader()
    found = reader.struct(name, obj, "", "")
    stated = meta(obj).get("managedFields")
    if isinstance(stated, list):
        # An empty list is no value elsewhere; here it asks to forget all managers.
        found["metadata"]["managedFields"] = stated
    for part, one, many in _TWINS.get(name, ()):
        _match(found.get(part) or {}, one, many)
    return found, reader.unknown


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
