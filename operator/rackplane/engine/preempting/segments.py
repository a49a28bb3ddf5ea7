"""Whole segments: bin after bin is cleared for one more run of the gang, wherever that is cheapest next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from rackplane.engine.preempting.covers import Cover, Work
from rackplane.engine.preempting.regions import Segments


def clear_runs(
    segments: Segments,
    slots: int,
    run: int,
    weights: Sequence[int],
    allowed: Callable[[Collection[int]], bool],
    work: Work,
) -> frozenset[int] | None:
    """Victims whose nodes, with what is free, hold the gang in whole runs and a short last one; None if none do."""
    chosen: set[int] = set()
    pieces = [run] * (slots // run) + ([slots % run] if slots % run else [])
    taken = [0] * len(segments.free)
    known: dict[int, tuple[int, frozenset[int]] | None] = {}
    for piece in pieces:
        best: tuple[int, int] | None = None
        for b in range(len(taken)):
            if b not in known or not _still(known[b], chosen, allowed):
                known[b] = _one_more(segments, b, taken[b] + piece, chosen, weights, allowed, work)
            found = known[b]
            if found is not None and (best is None or (found[0], b) < best):
                best = (found[0], b)
        if best is None:
            return None
        b = best[1]
        more = known[b]
        assert more is not None
        chosen |= more[1]
        taken[b] += piece
        # Who is stopped now costs nothing more in the other bins that it is in.
        known = {
            c: price
            for c, price in known.items()
            if c != b and piece == run and not more[1] & segments.gains[c].amounts.keys()
        }
    return frozenset(chosen)


def _still(
    found: tuple[int, frozenset[int]] | None, chosen: set[int], allowed: Callable[[Collection[int]], bool]
) -> bool:
    """Whether what was found may be stopped beside those chosen since."""
    return found is None or allowed([*chosen, *found[1]])


def _one_more(
    segments: Segments,
    b: int,
    wanted: int,
    chosen: set[int],
    weights: Sequence[int],
    allowed: Callable[[Collection[int]], bool],
    work: Work,
) -> tuple[int, frozenset[int]] | None:
    if segments.room[b] < wanted:
        return None
    gains = segments.gains[b]
    missing = wanted - segments.free[b] - sum(gains.amounts.get(v, 0) for v in chosen)
    if missing <= 0:
        return 0, frozenset()
    cover = Cover(weights, [(gains, missing)], lambda more: allowed([*chosen, *more]), lambda _: True, work)
    cover.exclude(chosen)
    found = cover.cheapest()
    return None if found is None else (sum(weights[v] for v in found), found)
