"""Which bins a gang could take, and how many slots of it each, by what every bin could take alone."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, product
from math import prod

import numpy as np

from rackplane.engine.placing.attempts import Bin

SETS_EXAMINED = 300


class Sets:
    """Sets of these bins for ``slots`` slots in runs of ``run``, which must stay together, and a short last one."""

    def __init__(self, bins: Sequence[Bin], slots: int, run: int) -> None:
        self.bins = bins
        self.slots = slots
        self.run = run
        """The bins take multiples of it, and one also the short last run."""
        self.units, self.short = divmod(slots, run)
        self.caps = [b.cap for b in bins]

    def fewest(self) -> int | None:
        """A lower bound on the bins needed; None if the sum of what they could take is too small: proved."""
        left, short = self.units, self.short
        if short and not any(cap >= short for cap in self.caps):
            return None
        count = 0
        for units in sorted((cap // self.run for cap in self.caps), reverse=True):
            if left <= 0 or not units:
                break
            left -= units
            count += 1
        return None if left > 0 else max(1, count)

    def usable(self) -> list[int]:
        """The bins that could take a part at all."""
        least = min(self.run, self.short or self.run)
        return [i for i, cap in enumerate(self.caps) if cap >= least]

    def by_kind(self, usable: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
        """The sets of ``count`` that have, of bins of the same worth, the first by name: some best set is among them.

        That holds where every bin lies in a rack of its own and there is no short last run: what a set is worth then
        follows from how many bins of each worth it has, but for the names.
        """
        kinds: dict[Hashable, list[int]] = {}
        for i in usable:
            kinds.setdefault(self.bins[i].worth, []).append(i)
        for taken in _shares([len(kind) for kind in kinds.values()], count):
            firsts = (kind[:n] for kind, n in zip(kinds.values(), taken, strict=True))
            yield tuple(sorted(chain.from_iterable(firsts)))

    def few_large(self, usable: Sequence[int], count: int, caps: Sequence[int]) -> tuple[int, ...] | None:
        """Of the sets of ``count`` that suffice, the one with as few as possible of the largest bins, and so on.

        Stragglers are avoided first, pristine bins next, if sets of this count allow.
        """
        half = -(-self.slots // (2 * count))
        even = [i for i in usable if caps[i] >= half and caps[i] >= self.run]
        for pool in ([i for i in even if not self.bins[i].pristine], even, usable):
            chosen = self._fewest_of_largest(pool, count, caps)
            if chosen is not None:
                return chosen
        return None

    def _fewest_of_largest(
        self, pool: Sequence[int], count: int, caps: Sequence[int]
    ) -> tuple[int, ...] | None:
        def unwanted(i: int) -> tuple[int, bool, tuple[int, ...], int]:
            b = self.bins[i]
            return -b.size, not b.pristine, tuple(-e for e in b.emptiness), -b.order

        ordered = sorted(pool, key=unwanted)
        units = np.array([caps[i] // self.run for i in ordered], dtype=np.int64)
        need, chosen = self.units + bool(self.short), list[int]()
        if len(ordered) < count or np.sort(units)[::-1][:count].sum() < need:
            need = self.units  # the short last run may fit beside whole ones
            if len(ordered) < count or np.sort(units)[::-1][:count].sum() < need:
                return None
        for position, i in enumerate(ordered):
            left = count - len(chosen)
            if not left:
                break
            rest = units[position + 1 :]
            enough = (
                len(rest) >= left and np.partition(rest, len(rest) - left)[len(rest) - left :].sum() >= need
            )
            if not enough:
                chosen.append(i)
                need -= int(units[position])
        return tuple(sorted(chosen)) if len(chosen) == count else None

    def distribute(self, chosen: Sequence[int], caps: Sequence[int]) -> tuple[int, ...] | None:
        """Slots per bin: no part below half an even share if possible, and as much as can be left in one bin."""
        count, run = len(chosen), self.run
        half = -(-self.slots // (2 * count))
        floor_units = -(-half // run)
        units = [caps[i] // run for i in chosen]
        even = min(units) >= floor_units and floor_units * count <= self.units
        least = [floor_units if even else min(1, u) for u in units]
        if self.short and sum(least) > self.units:  # one bin takes nothing but the short last run
            last = [p for p in range(count) if caps[chosen[p]] >= self.short]
            if not last:
                return None
            alone = min(last, key=lambda p: (units[p], -self.bins[chosen[p]].order))
            units[alone] = least[alone] = 0
        left_over = sum(units) - self.units
        if left_over < 0 or sum(least) > self.units:
            return None
        parts = list(units)
        sizes = [self.bins[i].size - u * run for i, u in zip(chosen, units, strict=True)]
        spare = [u - low for u, low in zip(units, least, strict=True)]

        def left_with(p: int) -> tuple[int, int, int]:
            leaves = min(left_over, spare[p])
            return sizes[p] + run * leaves, -leaves, self.bins[chosen[p]].order

        # One bin after the other is left with the most that any could be.  Their order changes only when one could be
        # left with more than there is.
        ordered = sorted(range(count), key=left_with)
        while left_over:
            if spare[ordered[-1]] > left_over:
                ordered.sort(key=left_with)
            p = ordered.pop()
            leaves = min(left_over, spare[p])
            parts[p] -= leaves
            left_over -= leaves
        slots = [p * run for p in parts]
        if self.short:
            room = [(caps[i] - s, p) for p, (i, s) in enumerate(zip(chosen, slots, strict=True))]
            fitting = [p for space, p in sorted(room) if space >= self.short]
            empty = [p for p in fitting if not slots[p]]
            if not fitting:
                return None
            slots[(empty or fitting)[0]] += self.short
        return tuple(slots) if all(slots) else None

    def by_racks(self, chosen: Sequence[int]) -> Iterable[tuple[int, ...]]:
        """Other parts, for bins of several racks: whole racks in all bins but one, which takes the rest.

        Some choice of fewest racks has this form.  Left out for segments and where there are too many.
        """
        if self.run > 1 or all(len(self.bins[i].cells) == 1 for i in chosen):
            return
        steps = [
            list(accumulate(sorted((c.cap for c in self.bins[i].cells if c.cap), reverse=True)))
            for i in chosen
        ]
        for rest in range(len(chosen)):
            others = [s for p, s in enumerate(steps) if p != rest]
            if prod(len(s) for s in others) > SETS_EXAMINED:
                continue
            for sizes in product(*others):
                left = self.slots - sum(sizes)
                if 0 < left <= self.caps[chosen[rest]]:
                    yield (*sizes[:rest], left, *sizes[rest:])


def _shares(sizes: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    """All ways to take ``count`` from piles of these sizes."""
    if not sizes:
        yield ()
        return
    first, rest = sizes[0], sizes[1:]
    for taken in range(max(0, count - sum(rest)), min(first, count) + 1):
        for others in _shares(rest, count - taken):
            yield taken, *others
