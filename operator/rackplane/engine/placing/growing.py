"""How many slots a gang may have that need not have all of them, and the most of them that find a place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from rackplane.engine.bookings import Reserved
from rackplane.engine.model import Group, Placement

__all__ = ["Place", "allowed_counts", "enlarged", "most_that_fit", "relocated"]

T = TypeVar("T")

Place = tuple[str, str, str]
"""NVLink domain ("" for none beyond the node), rack and node of a slot."""


def allowed_counts(fewest: int, most: int, segment: int | None = None) -> Sequence[int]:
    """Numbers of slots from ``fewest`` to ``most``, ascending: with segments whole ones only, and always ``most``."""
    if segment is None:
        return range(fewest, most + 1)
    whole = -(-fewest // segment) * segment
    return [*range(whole, most, segment), most]


def most_that_fit(counts: Sequence[int], placed: Callable[[int], T | None]) -> T | None:
    """What ``placed`` says of the largest of these ascending counts that it finds a place for; None if of none.

    The largest is tried first, then it is halved: exact where fewer fit whenever more do.  That is so of nodes, watts
    and heat, for a placement less one slot, or less one whole segment, draws no more anywhere.  Where the search for
    a placement is cut short the answer may be smaller than it could be; it is always a placement that was found.
    """
    if not counts:
        return None
    best = placed(counts[-1])
    if best is not None:
        return best
    low, high = 0, len(counts) - 1
    while low < high:
        middle = (low + high) // 2
        found = placed(counts[middle])
        if found is None:
            high = middle
        else:
            best, low = found, middle + 1
    return best


def enlarged(
    placement: Placement, more: Placement, free: Iterable[int], watts: Reserved
) -> tuple[Placement, frozenset[int]]:
    """A gang's placement with the slots of another one beside its own, and which of its slots these are.

    Args:
        placement: its own; its slots are all alike.
        more: what it grows by, at the same power profile.
        free: slots of ``placement`` that it has given up: they are taken first, in this order.
        watts: what it reserves then.
    """
    where = _where(placement)
    given = list(free)[: len(more.slots)]
    given += range(len(where), len(where) + len(more.slots) - len(given))
    for slot, place in zip(given, _where(more), strict=True):
        if slot < len(where):
            where[slot] = place
        else:
            where.append(place)
    grown = replace(
        _at(placement, where, watts),
        relative_performance_percent=min(
            placement.relative_performance_percent, more.relative_performance_percent
        ),
    )
    return grown, frozenset(given)


def relocated(placement: Placement, places: Mapping[int, Place], watts: Reserved) -> Placement:
    """A gang's placement with some of its slots elsewhere; ``watts`` is what it reserves then."""
    where = _where(placement)
    for slot, place in places.items():
        where[slot] = place
    return _at(placement, where, watts)


def _at(placement: Placement, where: Sequence[Place], watts: Reserved) -> Placement:
    groups = tuple(
        Group(domain, rack, tuple(node for _, _, node in run))
        for (domain, rack), run in groupby(where, key=lambda place: place[:2])
    )
    return replace(
        placement,
        slots=tuple(node for _, _, node in where),
        groups=groups,
        nominal_watts=watts.nominal_watts,
        peak_watts=watts.peak_watts,
        liquid_watts=watts.liquid_watts,
        air_watts=watts.air_watts,
    )


def _where(placement: Placement) -> list[Place]:
    """Domain, rack and node of each slot."""
    return [(group.domain, group.rack, node) for group in placement.groups for node in group.nodes]
