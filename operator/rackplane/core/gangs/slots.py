"""Slots of a gang as sets and as the short text that `Gang.status` keeps: `0,3,5-7`."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["format_slots", "parse_slots"]


def format_slots(slots: Iterable[int]) -> str:
    """Ascending ranges, as Kubernetes writes a Job's completed indexes."""
    parts: list[str] = []
    first = last = -2
    for slot in [*sorted(set(slots)), None]:
        if slot is not None and slot == last + 1:
            last = slot
            continue
        if first >= 0:
            parts.append(str(first) if first == last else f"{first}-{last}")
        if slot is not None:
            first = last = slot
    return ",".join(parts)


def parse_slots(text: str) -> frozenset[int]:
    """The inverse of `format_slots`.

    Raises:
        ValueError: if the text is not a list of ascending numbers and ranges.
    """
    slots: set[int] = set()
    for part in text.split(","):
        if not part:
            continue
        first, dash, last = part.partition("-")
        low, high = int(first), int(last) if dash else int(first)
        if low < 0 or high < low:
            raise ValueError(f"{part!r} is not an ascending range of slots")
        slots.update(range(low, high + 1))
    return frozenset(slots)
