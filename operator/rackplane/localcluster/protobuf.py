"""Bodies in protobuf, which `kubectl create` and other Go clients send for built-in kinds, made JSON objects.

Field numbers come with the types of `builtin_schemas`. Answers stay JSON: every such client accepts that too.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from . import builtin_schemas
from .builtin_schemas import Field

TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NUMBERS = ("int32", "int64", "uint32", "int")
#: Types whose JSON is found inside a message of their own.
_WRAPPED = ("quantity", "raw")


class NotRead(Exception):
    """The body is of a type that is not read from protobuf."""


def decode(raw: bytes) -> dict[str, Any] | None:
    """The object in a protobuf body, or None when it is of a kind not read here.

    Raises:
        ValueError: the bytes are no such message.
    """
    if not raw.startswith(_MAGIC):
        raise ValueError("the body does not start with the protobuf marker of Kubernetes")
    envelope = dict(_fields(raw[len(_MAGIC) :]))
    named = {number: text.decode() for number, text in _fields(envelope[1]) if isinstance(text, bytes)}
    version, kind = named.get(1, ""), named.get(2, "")
    group, _, short = version.rpartition("/")
    name = builtin_schemas.struct_name(group, short, kind)
    if name is None:
        return None
    try:
        body = _struct(name, envelope.get(2, b""))
    except NotRead:
        return None
    return {"apiVersion": version, "kind": kind, **body}


@cache
def _numbered(name: str) -> dict[int, Field]:
    return {field.number: field for field in builtin_schemas.struct(name) if field.number}


def _struct(name: str, raw: bytes) -> dict[str, Any]:
    known, found = _numbered(name), dict[str, Any]()
    for number, value in _fields(raw):
        field = known.get(number)
        if field is None:
            continue
        kind = field.type.removeprefix("*")
        if kind.startswith("[]"):
            found.setdefault(field.name, []).append(_value(kind[2:].removeprefix("*"), value))
        elif kind.startswith("{}"):
            key, entry = _entry(kind[2:], value)
            found.setdefault(field.name, {})[key] = entry
        elif not field.name:
            found |= _value(kind, value)
        else:
            read = _value(kind, value)
            # Go writes what is no pointer even when it was never set.
            if (
                field.type.startswith("*")
                or not (field.omit_empty or read is None)
                or read not in ("", 0, None)
            ):
                found[field.name] = read
    return found


def _entry(kind: str, raw: Any) -> tuple[str, Any]:
    pair = dict(_fields(raw))
    if kind.startswith("[]"):
        # A list as the value of a map is a message with one repeated field.
        return pair.get(1, b"").decode(), [_value(kind[2:], item) for _, item in _fields(pair.get(2, b""))]
    return pair.get(1, b"").decode(), _value(kind, pair.get(2, b""))


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "string":
            return value.decode()
        case "bool":
            return bool(value)
        case "float64":
            return struct.unpack("<d", value)[0]
        case "bytes":
            return base64.b64encode(value).decode()
        case "time" | "microtime":
            return _time(dict(_fields(value)), micro=kind == "microtime")
        case "intorstring":
            parts = dict(_fields(value))
            return parts.get(3, b"").decode() if parts.get(1) else _signed(parts.get(2, 0))
        case _ if kind in _NUMBERS:
            return _signed(value)
        case _ if kind in _WRAPPED:
            text = dict(_fields(value)).get(1, b"").decode()
            return text if kind == "quantity" else json.loads(text or "null")
        case _ if "." in kind:
            return _struct(kind, value)
    raise NotRead(kind)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _time(parts: dict[int, Any], *, micro: bool) -> str | None:
    if not parts:
        return None
    moment = datetime.fromtimestamp(_signed(parts.get(1, 0)), UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{parts.get(2, 0) // 1000:06}Z" if micro else f"{text}Z"


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message in order: numbers, and bytes for everything else."""
    position = 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        wire = tag & 7
        if wire == _VARINT:
            value, position = _varint(raw, position)
            yield tag >> 3, value
            continue
        if wire == _BYTES:
            length, position = _varint(raw, position)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("an unexpected protobuf wire type")
        if position + length > len(raw):
            raise ValueError("a truncated protobuf message")
        yield tag >> 3, raw[position : position + length]
        position += length


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(raw):
        byte = raw[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
    raise ValueError("a truncated protobuf message")
