"""Names that others gave to things, as Kubernetes takes them: names of objects, values of labels."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["LONGEST_LABEL_VALUE", "hashed", "is_label_value", "label_value", "object_name"]

LONGEST_LABEL_VALUE: Final = 63
_LONGEST_NAME: Final = 253
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
# 64-bit FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/
_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3


def hashed(text: str) -> str:
    """``x`` and the 64-bit FNV-1a hash in hexadecimal: what Topograph writes for one too long for a label."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"x{value:x}"


def is_label_value(text: str) -> bool:
    """Whether a node can carry it, and it is not empty."""
    return len(text) <= LONGEST_LABEL_VALUE and _LABEL_VALUE.fullmatch(text) is not None


def label_value(text: str) -> str:
    """The text as the value of a label: as it is if it can be; too long or with nothing that a label takes, hashed.

    Letters that a label does not take become hyphens.
    """
    if len(text) > LONGEST_LABEL_VALUE:
        return hashed(text)
    cleaned = re.sub(r"[^-A-Za-z0-9_.]+", "-", text).strip("-_.")
    return cleaned or hashed(text)


def object_name(text: str) -> str:
    """The text as the name of an object (RFC 1123 subdomain): lower case, all else hyphens; too long or empty, hashed.

    Two texts may give one name: whoever makes several must look.
    """
    parts = (re.sub(r"[^a-z0-9]+", "-", part).strip("-") for part in text.lower().split("."))
    name = ".".join(part for part in parts if part)
    return name if 0 < len(name) <= _LONGEST_NAME else hashed(text)
