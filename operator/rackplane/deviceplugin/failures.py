"""Failures on command: what the annotation on the Node says is broken."""

from __future__ import annotations

import re
from typing import Final

from rackplane.api.labels import FAIL_GPUS

__all__ = ["DEFAULT_XID", "parse_failures"]

DEFAULT_XID: Final = 79
"""NVIDIA's number for a GPU that has fallen off the bus."""
_ITEM: Final = re.compile(r"\s*(all|\d{1,4})\s*(?::\s*(\d{1,4})\s*)?", re.ASCII)


def parse_failures(text: str, count: int) -> dict[int, int]:
    """GPU -> the XID of its failure.

    Raises:
        ValueError: it is none of "1", "0,2", "1:48", "all", or names a GPU that is not there; in words for people.
    """
    found: dict[int, int] = {}
    for item in filter(str.strip, text.split(",")):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(
                f"{FAIL_GPUS} says {text!r}; write GPUs by index, as 1 or 0,2 or 1:48 (an XID), or all"
            )
        which, xid = match.groups()
        gpus = range(count) if which == "all" else (int(which),)
        if gpus[-1] >= count:
            raise ValueError(f"{FAIL_GPUS} names GPU {which}; there are 0 to {count - 1}")
        found |= dict.fromkeys(gpus, int(xid or DEFAULT_XID))
    return found
