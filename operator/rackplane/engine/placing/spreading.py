"""A gang spread as evenly as can be, for queues that ask for it instead of packing.

The objective is as few slots as possible in any one bin, then in the next fullest, and so on; the same by racks within
each bin; then, of bins that are alike, those with most left free, then by name.  A segment stays whole in its bin.

One segment after the other goes where fewest are: where no limit that racks share binds, no way is more even.  Where
one does, every way is looked at if there are few enough (:mod:`engine.placing.exhaustive`), and the answer is the most
even there is.  Else what was given out, or the packed gang where the last segments found no room, is evened out:
segments go from full bins to emptier ones, if need be after another segment has made way, for ``STEPS`` tries.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence

from rackplane.engine.placing.attempts import Bin, Cell
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.exhaustive import Exhaustive, TooMany
from rackplane.engine.placing.objective import Parts, Solution
from rackplane.engine.placing.pouring import Slack
from rackplane.engine.placing.search import Search

Evenness = tuple[tuple[int, ...], tuple[int, ...]]

STEPS = 2_000
"""Segments that are moved on trial, while a gang is evened out."""


def spread_out(search: Search) -> Solution | None:
    """The gang over the bins of the search's subtree; None if it does not fit, or only in a way that was not found."""
    spread = _Spread(search)
    given = spread.give_out()
    if given and not spread.bound:
        return search.objective.solution_of(spread.poured)
    ways = Exhaustive(search.candidates, search.bins, run=search.run, single=False)
    if ways.small:
        try:
            found = ways.most_even()
            return None if found is None else search.objective.solution_of(found)
        except TooMany:
            pass
    if not given:
        packed = search.solve().solution
        if packed is None:
            return None
        spread = _Spread(search)
        spread.start_from({search.bins.index(b): dict(racks) for b, racks in packed.parts})
    spread.even_out()
    return search.objective.solution_of(spread.poured)


def evenness(solution: Solution) -> Evenness:
    """Smaller is more even: slots by bin, the fullest first, then by rack."""
    return _evenness([racks for _, racks in solution.parts])


def _evenness(parts: Sequence[Mapping[int, int]]) -> Evenness:
    bins = [sum(racks.values()) for racks in parts]
    by_rack: dict[int, int] = {}
    for racks in parts:
        for rack, n in racks.items():
            by_rack[rack] = by_rack.get(rack, 0) + n
    return tuple(sorted(bins, reverse=True)), tuple(sorted(by_rack.values(), reverse=True))


class _Spread:
    def __init__(self, search: Search) -> None:
        self.search = search
        self.candidates: Candidates = search.candidates
        self.slack: Slack = search.candidates.slack.copy()
        self.poured: Parts = {}
        self.in_rack: dict[int, int] = {}
        self.bound = False
        """Whether a limit that racks share has stood in the way."""

    # -- one after the other -----------------------------------------------------------------------

    def give_out(self) -> bool:
        """Every segment where fewest are; whether all found room."""
        sets = self.search.sets
        waiting = [self._turn(i) for i, cap in enumerate(sets.caps) if cap]
        heapq.heapify(waiting)
        full: list[tuple[int, int, int, int]] = []
        for piece in [sets.run] * sets.units + [sets.short] * bool(sets.short):
            if piece < sets.run:  # the short last one may fit where no whole one does
                waiting = sorted([*waiting, *full])
            while waiting:
                turn = heapq.heappop(waiting)
                if self._give(turn[3], piece):
                    heapq.heappush(waiting, self._turn(turn[3]))
                    break
                full.append(turn)
            else:
                return False
        return True

    def _turn(self, i: int) -> tuple[int, int, int, int]:
        taken, b = self._taken(i), self.search.bins[i]
        return taken, taken - b.size, b.order, i

    def _taken(self, i: int) -> int:
        return sum(self.poured.get(i, {}).values())

    def _give(self, i: int, piece: int) -> bool:
        """One segment into the bin, each slot into the rack with fewest; all of it or nothing."""
        b = self.search.bins[i]
        if b.cap < self._taken(i) + piece:
            return False
        given: dict[int, int] = {}
        for _ in range(piece):
            cell = self._rack(b, self.poured.get(i, {}))
            if cell is None:
                self._change(i, {rack: -n for rack, n in given.items()})
                return False
            self._change(i, {cell.rack: 1})
            given[cell.rack] = given.get(cell.rack, 0) + 1
        return True

    def _rack(self, b: Bin, held: Mapping[int, int]) -> Cell | None:
        room = [c for c in b.cells if held.get(c.rack, 0) < c.free]
        open_cells = [c for c in room if self.candidates.rack_limit(c.rack, self.slack) > 0]
        self.bound = self.bound or any(held.get(c.rack, 0) < c.cap for c in room if c not in open_cells)
        return min(
            open_cells,
            key=lambda c: (self.in_rack.get(c.rack, 0), held.get(c.rack, 0) - c.free, c.rack),
            default=None,
        )

    def _change(self, i: int, slots: Mapping[int, int]) -> None:
        """So many more slots in racks of the bin, or fewer."""
        held = dict(self.poured.get(i, {}))
        for rack, n in slots.items():
            self.candidates.take(rack, n, self.slack)
            self.in_rack[rack] = self.in_rack.get(rack, 0) + n
            held[rack] = held.get(rack, 0) + n
        held = {rack: n for rack, n in sorted(held.items()) if n}
        if held:
            self.poured[i] = held
        else:
            self.poured.pop(i, None)

    # -- evened out --------------------------------------------------------------------------------

    def start_from(self, parts: Parts) -> None:
        for i, racks in parts.items():
            self._change(i, racks)

    def even_out(self) -> None:
        """Move segments from full bins to emptier ones, while that makes the gang more even."""
        steps = STEPS
        while steps > 0:
            for moved in self._moves():
                steps -= 1
                if moved or steps <= 0:
                    break
            else:
                return

    def _moves(self) -> Iterator[bool]:
        """Changes by one segment, or by two; each says whether it was made, and what is not is as before."""
        run = self.search.run
        taken = {i: self._taken(i) for i, cap in enumerate(self.search.sets.caps) if cap}
        order = sorted(taken, key=lambda i: (taken[i], i))
        for source in reversed(order):
            targets = [i for i in order if taken[i] + run < taken[source]]
            for target in targets:
                yield self._better([(source, target)])
            for target in targets:
                for other in (i for i in order if taken[i] >= run and i not in (source, target)):
                    for beside in (i for i in targets if i not in (other, target)):
                        yield self._better([(other, beside), (source, target)])

    def _better(self, moves: Sequence[tuple[int, int]]) -> bool:
        before, parts = _evenness(list(self.poured.values())), {i: dict(r) for i, r in self.poured.items()}
        made = all(self._move(source, target) for source, target in moves)
        if made and _evenness(list(self.poured.values())) < before:
            return True
        for i in {*self.poured, *parts}:
            old, new = parts.get(i, {}), self.poured.get(i, {})
            self._change(i, {r: old.get(r, 0) - new.get(r, 0) for r in {**old, **new}})
        return False

    def _move(self, source: int, target: int) -> bool:
        held = dict(self.poured.get(source, {}))
        if sum(held.values()) < self.search.run:
            return False
        for _ in range(self.search.run):
            fullest = max(held, key=lambda rack: (self.in_rack.get(rack, 0), held[rack], -rack))
            self._change(source, {fullest: -1})
            held = dict(self.poured.get(source, {}))
        return self._give(target, self.search.run)
