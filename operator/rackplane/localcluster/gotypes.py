"""Go's types as JSON is read into them: scalars, bytes, times, the fields of structs, and what is empty of each."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

from . import builtin_schemas, quantities
from .gotext import type_name

INTEGERS = frozenset({"int", "int32", "int64", "uint32"})
#: Types whose empty value `omitempty` leaves out; structs, and what encodes itself, never count as empty.
EMPTIED = ("*", "[]", "{}", "bytes", "string", "bool", "int", "uint", "float")
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


class WrongForm(Exception):
    """A value of another form than its type; the one around it knows which field it is."""

    def __init__(self, value: Any, kind: str) -> None:
        super().__init__()
        self.kind = kind
        names: dict[type, str] = {dict: "object", list: "array", str: "string", bool: "bool"}
        self.given = names.get(type(value), "number")
        if self.given == "number" and kind in INTEGERS:
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
            self.converted = f"cannot convert {type_name(value)} to {go_type(kind)}"


def scalar(kind: str, value: Any) -> Any:
    """A value of a type that is no pointer, list, map or struct.

    Raises:
        WrongForm: it is of another form.
        Mismatch: it is a text that says nothing of this type.
    """
    form = type(value)
    if kind == "string" and form is not str:
        raise WrongForm(value, kind)
    if kind == "bool" and form is not bool:
        raise WrongForm(value, kind)
    if kind in INTEGERS:
        if form is not int:
            raise WrongForm(value, kind)
        bits = 64 if kind in ("int", "int64") else 32
        low, high = (0, 1 << bits) if kind == "uint32" else (-(1 << (bits - 1)), 1 << (bits - 1))
        if not low <= value < high:
            raise WrongForm(value, kind)
    if kind == "float64" and (form is bool or not isinstance(value, (int, float))):
        raise WrongForm(value, kind)
    if kind == "bytes":
        return _bytes(value)
    if kind in ("time", "microtime"):
        return _time(value, kind)
    if kind == "quantity" and form in (int, float, str):
        try:
            return quantities.canonical(str(value))
        except ValueError as problem:
            raise Mismatch(str(problem)) from None
    return value


def _bytes(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongForm(value, "[]uint8")
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
        raise WrongForm(value, "string")
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


def is_empty(kind: str, value: Any) -> bool:
    """Whether `omitempty` leaves out a value that is null, false, 0, or has nothing in it."""
    if kind.startswith("*"):
        return value is None
    return kind.startswith(EMPTIED)


@cache
def struct_fields(
    name: str,
) -> tuple[dict[str, tuple[str, bool, bool, str]], tuple[tuple[str, str], ...]]:
    """The fields of a struct, inlined ones too, each with its owner; and those that are always written."""
    found: dict[str, tuple[str, bool, bool, str]] = {}
    for field in builtin_schemas.struct(name):
        if field.name:
            owner = name.rpartition(".")[2]
            found[field.name] = (field.type, field.omit_empty, field.omit_zero, owner)
        else:
            found |= struct_fields(field.type)[0]
    always = tuple(
        (key, kind)
        for key, (kind, omit_empty, omit_zero, _) in found.items()
        if not omit_zero and not (omit_empty and kind.startswith(EMPTIED))
    )
    return found, always


def zero(kind: str) -> Any:
    """The value of a type that nobody gave, as it is written."""
    if "." in kind and not kind.startswith(("*", "[]", "{}")):
        return {key: zero(part) for key, part in struct_fields(kind)[1]}
    if kind in INTEGERS or kind == "intorstring":
        return 0
    values: dict[str, Any] = {"string": "", "bool": False, "float64": 0, "quantity": "0", "duration": "0s"}
    return values.get(kind)


def go_type(kind: str) -> str:
    """A type as messages name it."""
    if kind.startswith("{}"):
        return f"map[string]{go_type(kind[2:])}"
    for prefix in ("*", "[]"):
        if kind.startswith(prefix):
            return prefix + go_type(kind[len(prefix) :])
    names = {"quantity": "resource.Quantity", "bytes": "[]uint8"}
    return names.get(kind, kind.rpartition("/")[2])
