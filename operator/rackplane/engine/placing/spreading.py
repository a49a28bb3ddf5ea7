"""A gang spread as evenly as can be, for queues that ask for it instead of packing.

The objective is as few slots as possible in any one bin, then in the next fullest, and so on; the same by racks within
each bin; then, of bins that are alike, those with most left free, then by name.  A segment stays whole in its bin.
One segment after the other goes where fewest are: where no limit that racks share binds, no way is more even.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from rackplane.engine.placing.candidates import Bin, Candidates, Cell
from rackplane.engine.placing.objective import Parts, Solution
from rackplane.engine.placing.pouring import Slack
from rackplane.engine.placing.search import Search

Evenness = tuple[tuple[int, ...], tuple[int, ...]]


def spread_out(search: Search) -> Solution | None:
    """The gang over the bins of the search's subtree; None if it does not fit in this way."""
    return _Spread(search).solution()


def evenness(solution: Solution) -> Evenness:
    """Smaller is more even: slots by bin, the fullest first, then by rack."""
    bins = [sum(racks.values()) for _, racks in solution.parts]
    by_rack: dict[int, int] = {}
    for _, racks in solution.parts:
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

    def solution(self) -> Solution | None:
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
                return None
        return self.search.objective.solution_of(self.poured)

    def _turn(self, i: int) -> tuple[int, int, int, int]:
        taken, b = sum(self.poured.get(i, {}).values()), self.search.bins[i]
        return taken, taken - b.size, b.order, i

    def _give(self, i: int, piece: int) -> bool:
        """One segment into the bin, each slot into the rack with fewest; all of it or nothing."""
        b, racks = self.search.bins[i], self.poured.get(i, {})
        if b.cap < sum(racks.values()) + piece:
            return False
        given: dict[int, int] = {}
        for _ in range(piece):
            cell = self._rack(b, {r: racks.get(r, 0) + given.get(r, 0) for r in racks.keys() | given.keys()})
            if cell is None:
                for rack, n in given.items():
                    self.candidates.take(rack, -n, self.slack)
                    self.in_rack[rack] -= n
                return False
            self.candidates.take(cell.rack, 1, self.slack)
            given[cell.rack] = given.get(cell.rack, 0) + 1
            self.in_rack[cell.rack] = self.in_rack.get(cell.rack, 0) + 1
        self.poured[i] = {r: racks.get(r, 0) + given.get(r, 0) for r in sorted(racks.keys() | given.keys())}
        return True

    def _rack(self, b: Bin, held: Mapping[int, int]) -> Cell | None:
        open_cells = [
            c
            for c in b.cells
            if held.get(c.rack, 0) < c.free and self.candidates.rack_limit(c.rack, self.slack) > 0
        ]
        return min(
            open_cells,
            key=lambda c: (self.in_rack.get(c.rack, 0), held.get(c.rack, 0) - c.free, c.rack),
            default=None,
        )
