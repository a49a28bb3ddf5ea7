"""The cheapest victims that clear bins for a gang in whole runs: branch and bound over those who lie in several bins.

If no victim lay in two bins, each bin would be a knapsack of its own, and the cheapest ones would do. So the price of
one that does is split among its bins. Whatever the split, that is a lower bound: a set that clears several of its bins
pays in full. The split is bettered where it is seen to be wrong, which is Lagrangian relaxation (Geoffrion 1974,
"Lagrangean relaxation for integer programming"); what it leaves open is branched on: the victim is stopped, and free
for every bin, or it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heappop, heappush

from rackplane.engine.preempting.covers import Work
from rackplane.engine.preempting.regions import Segments

ROUNDS = 6
"""How often a split is bettered before somebody is branched on."""
CELLS_A_STEP = 64
"""So many cells of a table count as one step of the work allowed."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """Victims that make room for the whole gang, if a set was found. ``proved``: none is cheaper, for certain."""

    victims: frozenset[int] | None
    proved: bool


@dataclass(frozen=True, slots=True)
class _Split:
    """Who is stopped, who is kept, and what each bin is charged for the others that lie in several."""

    stopped: frozenset[int]
    kept: frozenset[int]
    shares: Mapping[int, Mapping[int, int]]
    """Victim -> bin -> its part of the price; the parts add up to all of it."""


@dataclass(frozen=True, slots=True)
class _Found:
    """The cheapest choice of bins under one split."""

    bound: int
    needs: Mapping[int, int]
    """Bin -> slots that it is to give."""
    used: Mapping[int, frozenset[int]]
    """Bin -> victims that are charged to it."""


@dataclass
class CheapestRuns:
    """One search.

    ``slots`` in runs of ``run`` and a short last one; each of them needs one bin. ``below``: only what is cheaper is of
    interest. When ``work`` is used up the best set so far is returned, not proved.
    """

    segments: Segments
    slots: int
    run: int
    weights: Sequence[int]
    work: Work
    below: int | None = None
    _best: frozenset[int] | None = None
    _tables: dict[tuple[int, tuple[tuple[bool, bool, int], ...]], list[tuple[int, int] | None]] = field(
        default_factory=dict
    )

    def find(self) -> Cleared:
        """No victims are returned if there are none that are cheap enough."""
        cells = sum(len(self._gains[b]) * self._most[b] for b in self._bins)
        if not self.work.take(cells // CELLS_A_STEP):
            return Cleared(None, False)
        waiting: list[tuple[int, int, _Split, int]] = []
        number = 0
        todo = [_Split(frozenset(), frozenset(), self._first_shares())]
        while True:
            for split in todo:
                branch = self._bound(split)
                if branch is not None:
                    number += 1
                    heappush(waiting, (branch[0], number, *branch[1:]))
            if self.work.spent:
                return Cleared(self._best, False)
            if not waiting or self._too_dear(waiting[0][0]):
                return Cleared(self._best, True)
            self.work.take(1)
            _, _, split, victim = heappop(waiting)
            todo = [
                _Split(split.stopped | {victim}, split.kept, split.shares),
                _Split(split.stopped, split.kept | {victim}, split.shares),
            ]

    # -- what there is -----------------------------------------------------------------------------

    @cached_property
    def _pieces(self) -> tuple[int, int]:
        """Whole runs, and the slots of the short one."""
        return self.slots // self.run, self.slots % self.run

    @cached_property
    def _most(self) -> list[int]:
        return [min(room, self.slots) for room in self.segments.room]

    @cached_property
    def _bins(self) -> list[int]:
        smallest = self._pieces[1] or min(self.run, self.slots)
        return [b for b, most in enumerate(self._most) if most >= smallest]

    @cached_property
    def _gains(self) -> dict[int, Mapping[int, int]]:
        return {b: self.segments.gains[b].amounts for b in self._bins}

    def _first_shares(self) -> dict[int, dict[int, int]]:
        """Each bin is charged by what the victim gives there."""
        where: dict[int, list[int]] = {}
        for b in self._bins:
            for v in self._gains[b]:
                where.setdefault(v, []).append(b)
        return {
            v: _parts(self.weights[v], {b: self._gains[b][v] for b in bins})
            for v, bins in where.items()
            if len(bins) > 1
        }

    # -- one split ---------------------------------------------------------------------------------

    def _bound(self, split: _Split) -> tuple[int, _Split, int] | None:
        """The best bound for these decisions, its split, and whom to branch on; None if nothing is left to find."""
        best: tuple[int, _Split, int] | None = None
        for turn in range(ROUNDS):
            found = self._solve(split)
            if found is None or self._too_dear(found.bound):
                return None
            self._take(found, split)
            if self._too_dear(found.bound):
                return None
            unpaid = self._unpaid(split, found)
            if not unpaid:
                return None  # the bound is the price of what was found
            if best is None or found.bound > best[0]:
                best = (found.bound, split, max(unpaid, key=lambda v: (unpaid[v], -v)))
            shares = dict(split.shares)
            for v in unpaid:
                shares[v] = self._bettered(v, split.shares[v], found, turn)
            split = _Split(split.stopped, split.kept, shares)
        return best

    def _too_dear(self, price: int) -> bool:
        return self.below is not None and price >= self.below

    def _take(self, found: _Found, split: _Split) -> None:
        """Keep what was found if it is cheaper than all before, without whoever its bins can do without."""
        chosen = split.stopped.union(*found.used.values())
        for v in sorted(chosen, key=lambda v: -self.weights[v]):
            fewer = chosen - {v}
            if all(
                self.segments.free[b] + sum(n for w, n in self._gains[b].items() if w in fewer) >= need
                for b, need in found.needs.items()
            ):
                chosen = fewer
        price = sum(self.weights[v] for v in chosen)
        if not self._too_dear(price):
            self._best, self.below = chosen, price

    def _unpaid(self, split: _Split, found: _Found) -> dict[int, int]:
        """Victims that are used and not paid for in full, and what is missing."""
        paid: dict[int, int] = {}
        for b, used in found.used.items():
            for v in used:
                if v in split.shares:
                    paid[v] = paid.get(v, 0) + split.shares[v][b]
        return {v: self.weights[v] - n for v, n in paid.items() if n < self.weights[v]}

    def _bettered(self, v: int, shares: Mapping[int, int], found: _Found, turn: int) -> dict[int, int]:
        """Part of what bins are charged that do not use it goes to those that do; less with every turn."""
        using = [b for b in shares if v in found.used.get(b, ())]
        moved = {b: 0 if b in using else n // (turn + 1) for b, n in shares.items()}
        extra = _parts(sum(moved.values()), dict.fromkeys(using, 1))
        return {b: n - moved[b] + extra.get(b, 0) for b, n in shares.items()}

    def _solve(self, split: _Split) -> _Found | None:
        """The cheapest bins for all pieces at these prices; None if they do not suffice, or the work is used up."""
        runs, short = self._pieces
        start = (0, not short)
        prices = {start: sum(self.weights[v] for v in split.stopped)}
        chains: dict[tuple[int, bool], _Chain] = {start: None}
        cells = 0
        for b in self._bins:
            free, cheapest = self._free(b, split), self._knapsack(b, split)
            options = []
            for count, with_short, need in self._options[b]:
                at = cheapest[max(0, need - free)] if need - free < len(cheapest) else None
                if at is not None:
                    options.append((count, with_short, need, at[0]))
            cells += len(prices) * len(options)
            before = [(key, price, chains[key]) for key, price in prices.items()]
            for (placed, has_short), price, chain in before:
                for count, with_short, need, more in options:
                    key = (placed + count, has_short or with_short)
                    if key[0] > runs or (with_short and has_short):
                        continue
                    if key not in prices or price + more < prices[key]:
                        prices[key], chains[key] = price + more, (b, need, chain)
        end = (runs, True)
        if not self.work.take(1 + cells // CELLS_A_STEP) or end not in prices:
            return None
        needs, chain = {}, chains[end]
        while chain is not None:
            b, need, chain = chain
            needs[b] = need
        used = {b: self._victims(b, need, split) for b, need in needs.items()}
        return _Found(prices[end], needs, used)

    @cached_property
    def _options(self) -> dict[int, list[tuple[int, bool, int]]]:
        """Bin -> what of the gang it could hold: whole runs, the short one too or not, and the slots of that."""
        runs, short = self._pieces
        return {
            b: [
                (count, with_short, need)
                for count in range(min(runs, self._most[b] // self.run) + 1)
                for with_short in ((False, True) if short else (False,))
                if 0 < (need := count * self.run + (short if with_short else 0)) <= self._most[b]
            ]
            for b in self._bins
        }

    def _free(self, b: int, split: _Split) -> int:
        given = sum(n for v, n in self._gains[b].items() if v in split.stopped) if split.stopped else 0
        return self.segments.free[b] + given

    def _knapsack(self, b: int, split: _Split) -> list[tuple[int, int] | None]:
        """By slots that are missing in the bin: the price of the cheapest victims that give them, and who, as bits."""
        state = tuple(
            (v in split.stopped, v in split.kept, split.shares[v][b])
            for v in self._gains[b]
            if v in split.shares
        )
        known = self._tables.get((b, state))
        if known is not None:
            return known
        missing = max(0, max(need for _, _, need in self._options[b]) - self._free(b, split))
        cheapest: list[tuple[int, int] | None] = [(0, 0), *([None] * missing)]
        for bit, (v, gain) in enumerate(self._gains[b].items()):
            if v in split.stopped or v in split.kept:
                continue
            price = split.shares[v][b] if v in split.shares else self.weights[v]
            for wanted in range(missing, 0, -1):
                rest, now = cheapest[max(0, wanted - gain)], cheapest[wanted]
                if rest is not None and (now is None or rest[0] + price < now[0]):
                    cheapest[wanted] = (rest[0] + price, rest[1] | 1 << bit)
        self._tables[b, state] = cheapest
        return cheapest

    def _victims(self, b: int, need: int, split: _Split) -> frozenset[int]:
        at = self._knapsack(b, split)[max(0, need - self._free(b, split))]
        assert at is not None
        return frozenset(v for bit, v in enumerate(self._gains[b]) if at[1] >> bit & 1)


_Chain = tuple[int, int, "_Chain"] | None
"""Bins that were chosen and the slots of each, the last first."""


def _parts(whole: int, sizes: Mapping[int, int]) -> dict[int, int]:
    """The whole number in parts as these sizes are to each other; they add up to it."""
    total, left = sum(sizes.values()), whole
    found: dict[int, int] = {}
    for key, size in sizes.items():
        found[key] = whole * size // total
        left -= found[key]
    if found:
        found[next(iter(found))] += left
    return found
