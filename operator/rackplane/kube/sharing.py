"""Parts of objects that are alike are kept once.

A hundred thousand pods are of a few kinds: their containers, tolerations, owners and conditions are the same lists over
and over, and make up most of their size.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import msgspec

__all__ = ["PARTS_KEPT", "Sharer"]

PARTS_KEPT: Final = 8_192
"""Different parts that one sharer remembers. Beyond it the oldest is forgotten: it is then only kept more than once."""
#: A part whose JSON is longer than this is kept as it is: it is nobody else's, or not worth the look.
_LONGEST: Final = 8_192
#: A longer value is nobody else's.
_SHORT: Final = 64
#: Annotations that are read. The others can be long, such as what `kubectl apply` remembers.
_ANNOTATIONS: Final = ("rackplane.dev/", "batch.kubernetes.io/", "kueue.x-k8s.io/")

_encode = msgspec.msgpack.Encoder().encode
_fields: dict[type, tuple[str, ...]] = {}


class Sharer:
    """Replaces lists, dicts and structs inside objects by equal ones that were seen before.

    The objects are frozen, and nobody may write to a list or a dict in one of them.

    Args:
        annotations: prefixes of the annotations to keep; the others are dropped.
    """

    def __init__(self, annotations: tuple[str, ...] = _ANNOTATIONS) -> None:
        self._annotations = annotations
        self._known: dict[tuple[type, bytes], Any] = {}

    def __call__(self, item: Any) -> Any:
        """The same object, with what it has in common with others in common with them."""
        metadata = item.metadata
        set_ = msgspec.structs.force_setattr
        if metadata.annotations:
            set_(metadata, "annotations", self._trimmed(metadata.annotations))
        for owner in (metadata, item.spec, item.status):
            for name in _parts(type(owner)):
                value = getattr(owner, name)
                if isinstance(value, str):
                    # Names of nodes and namespaces; the names of other things are nobody else's.
                    if name in ("namespace", "node_name", "phase"):
                        set_(owner, name, sys.intern(value))
                elif isinstance(value, (list, dict, msgspec.Struct)) and not (
                    value and name == "annotations"
                ):
                    set_(owner, name, self._shared(value))
        return item

    def _trimmed(self, annotations: Mapping[str, str]) -> dict[str, str]:
        return {
            sys.intern(key): sys.intern(value) if len(value) <= _SHORT else value
            for key, value in annotations.items()
            if key.startswith(self._annotations)
        }

    def _shared(self, part: Any) -> Any:
        text = _encode(part)
        if len(text) > _LONGEST:
            return part
        # An empty list is not an empty dict, and two kinds of struct can read the same.
        key = (type(part), text)
        found = self._known.get(key)
        if found is not None:
            return found
        if len(self._known) >= PARTS_KEPT:
            del self._known[next(iter(self._known))]
        self._known[key] = part
        return part


def _parts(kind: type) -> tuple[str, ...]:
    found = _fields.get(kind)
    if found is None:
        found = _fields[kind] = tuple(kind.__struct_fields__)  # type: ignore[attr-defined]
    return found
