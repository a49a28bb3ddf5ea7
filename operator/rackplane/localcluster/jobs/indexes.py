"""Sets of completion indexes as ordered intervals, so that 100,000 indexes cost what their gaps cost."""

from __future__ import annotations

from collections.abc import Iterable

#: Disjoint (first, last) pairs in increasing order, with at least one number between two of them.
Intervals = tuple[tuple[int, int], ...]
NONE: Intervals = ()


def parse(text: str, completions: int) -> Intervals:
    """The indexes in `1,3-5,7` below `completions`; what cannot be read is left out."""
    found: list[tuple[int, int]] = []
    for part in text.split(",") if text else ():
        first_text, dash, last_text = part.partition("-")
        try:
            first = int(first_text)
            last = int(last_text.partition("-")[0]) if dash else first
        except ValueError:
            continue
        if first >= completions:
            break
        last = min(last, completions - 1)
        if found and found[-1][1] == first - 1:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return tuple(found)


def write(intervals: Intervals) -> str:
    """The text of `status.completedIndexes`: a run of three or more as `3-5`, two as `3,4`."""
    parts: list[str] = []
    for first, last in intervals:
        if first == last:
            parts.append(str(first))
        else:
            parts.append(f"{first}{',' if last == first + 1 else '-'}{last}")
    return ",".join(parts)


def of(numbers: Iterable[int]) -> Intervals:
    """The intervals that hold exactly these numbers."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def union(one: Intervals, other: Intervals) -> Intervals:
    """What is in either."""
    if not one or not other:
        return one or other
    found: list[tuple[int, int]] = []
    for first, last in sorted((*one, *other)):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def count(intervals: Intervals) -> int:
    """How many indexes there are."""
    return sum(last - first + 1 for first, last in intervals)


def common(one: Intervals, other: Intervals) -> int:
    """How many indexes are in both."""
    total = here = there = 0
    while here < len(one) and there < len(other):
        total += max(0, min(one[here][1], other[there][1]) - max(one[here][0], other[there][0]) + 1)
        if one[here][1] <= other[there][1]:
            here += 1
        else:
            there += 1
    return total


def has(intervals: Intervals, number: int) -> bool:
    """Whether an index is among them."""
    low, high = 0, len(intervals)
    while low < high:
        middle = (low + high) // 2
        if intervals[middle][1] < number:
            low = middle + 1
        else:
            high = middle
    return low < len(intervals) and intervals[low][0] <= number


def first_free(taken: Intervals, wanted: int, completions: int) -> list[int]:
    """The lowest indexes below `completions` that are not taken, at most `wanted` of them."""
    found: list[int] = []
    candidate = 0
    for first, last in (*taken, (completions, completions)):
        while candidate < min(first, completions) and len(found) < wanted:
            found.append(candidate)
            candidate += 1
        candidate = max(candidate, last + 1)
    return found
