"""Just enough protobuf for `kubectl create namespace|configmap|serviceaccount`, which sends nothing else.

Field numbers are those of the `generated.proto` files of k8s.io/api and k8s.io/apimachinery. Answers stay JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_SUPPORTED = ("Namespace", "ConfigMap", "ServiceAccount")


def decode(raw: bytes) -> dict[str, Any] | None:
    """The object in a protobuf body, or None when it is of a kind not read here.

    Raises:
        ValueError: the bytes are no such message.
    """
    if not raw.startswith(_MAGIC):
        raise ValueError("the body does not start with the protobuf marker of Kubernetes")
    envelope = dict(_fields(raw[len(_MAGIC) :]))
    kind = {number: text.decode() for number, text in _fields(envelope[1])}
    if kind.get(2) not in _SUPPORTED:
        return None
    metadata: dict[str, Any] = {}
    data: dict[str, str] = {}
    for number, value in _fields(envelope.get(2, b"")):
        if number == 1:
            metadata = _metadata(value)
        elif number == 2 and kind[2] == "ConfigMap":
            data |= _entry(value)
    body: dict[str, Any] = {"apiVersion": kind[1], "kind": kind[2], "metadata": metadata}
    return {**body, "data": data} if data else body


def _metadata(raw: bytes) -> dict[str, Any]:
    names = {1: "name", 2: "generateName", 3: "namespace"}
    maps = {11: "labels", 12: "annotations"}
    result: dict[str, Any] = {}
    for number, value in _fields(raw):
        if number in names and value:
            result[names[number]] = value.decode()
        elif number in maps:
            result.setdefault(maps[number], {}).update(_entry(value))
    return result


def _entry(raw: bytes) -> dict[str, str]:
    pair = dict(_fields(raw))
    return {pair.get(1, b"").decode(): pair.get(2, b"").decode()}


def _fields(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Length-delimited fields in order; varints are skipped."""
    position = 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        length, position = _varint(raw, position)
        if tag & 7 == 2:
            yield tag >> 3, raw[position : position + length]
            position += length
        elif tag & 7 != 0:
            raise ValueError("an unexpected protobuf wire type")


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(raw):
        byte = raw[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
    raise ValueError("a truncated protobuf message")
