"""The best set of bins for a gang inside one subtree, checked against all limits together.

One lexicographic objective: fewest bins, fewest racks, no straggler (no part below half an even share), no pristine
bin opened needlessly, tightest fit (of the free sizes that remain, sorted, the large ones stay large), least stranded
power (:meth:`~rackplane.engine.placing.candidates.Candidates.stranded_watts`), then name.

All sets of a size are examined while they number at most ``SETS_EXAMINED``, in the order of what they would be worth
without the limits that racks share.  If the first one holds under those too, nothing is better; if not, every way is
looked at where they are few enough (:mod:`engine.placing.exhaustive`), so that the answer is the best there is.

Beyond that it is a good one.  Of more sets, one is built that opens as few large bins as possible, and is repaired
where limits that bins share stop it.  If no set is found, bins are poured full one after the other: the roomiest, or
(more than ``FEW``) those that take least of what is scarce.  At last a depth-first search over the slots of every rack,
of at most ``STEPS`` steps, finds a way or proves that there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, combinations, product
from math import comb, prod

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.placing.bounds import most_slots, price_of_a_slot
from rackplane.engine.placing.candidates import Bin, Candidates, Subtree
from rackplane.engine.placing.exhaustive import Exhaustive, TooMany
from rackplane.engine.placing.shortage import Room, shortages

SETS_EXAMINED = 300
STEPS = 20_000
REPAIRS = 40
FEW = 20
POURED = 100
CELLS_PROVED = 200

Slack = NDArray[np.float64]
Key = tuple[int, int, bool, int, tuple[tuple[int, int, int], ...], int, tuple[int, ...]]
Parts = dict[int, dict[int, int]]
"""Position of a bin in the subtree -> rack -> slots."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Bins with their slots per rack, in slot order, and the objective (smaller is better)."""

    key: Key
    parts: tuple[tuple[Bin, dict[int, int]], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A solution; or none, and whether that is proved."""

    solution: Solution | None
    proved: bool


def tightness(before: Iterable[int], after: Iterable[int]) -> tuple[tuple[int, int, int], ...]:
    """Compare what remains free: smaller if, at the largest size where two choices differ, more of it remains."""
    change: dict[int, int] = {}
    for size in before:
        change[size] = change.get(size, 0) - 1
    for size in after:
        change[size] = change.get(size, 0) + 1
    ordered = sorted(((size, n) for size, n in change.items() if n), reverse=True)
    return (*((1, size, -n) if n < 0 else (-1, -size, -n) for size, n in ordered), (0, 0, 0))


class Search:
    """One request in one subtree."""

    def __init__(self, candidates: Candidates, subtree: Subtree, *, single: bool) -> None:
        self.candidates = candidates
        self.single = single
        self.bins = subtree.bins
        request = candidates.request
        self.slots = request.slots
        self.run = 1 if single else (request.segment_slots or 1)
        """Slots that must stay together; the bins take multiples of it, and one also the short last run."""
        self.units, self.short = divmod(self.slots, self.run)
        self.caps = [b.cap for b in self.bins]
        self._sure = True
        """Whether what is found is the best for certain: no set that could be better was passed over."""

    def fewest_bins(self) -> int | None:
        """A lower bound on the bins needed; None if the sum of what they could take is too small: proved."""
        if self.single:
            return 1 if any(cap >= self.slots for cap in self.caps) else None
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

    def solve(self, *, prove: bool = True) -> Outcome:
        """The best solution found; ``proved`` says whether its absence is certain.

        Without ``prove`` the search ends before the long one that would make it certain.
        """
        least = self.fewest_bins()
        if least is None:
            return Outcome(None, True)
        if least == 1:
            found = self._one_bin()
            if found is not None:
                return Outcome(self._settled(found), True)
        if self.single:
            return self._prove() if prove else Outcome(None, False)
        smallest = min(self.run, self.short or self.run)
        usable = [i for i, cap in enumerate(self.caps) if cap >= smallest]
        bounded = False
        for count in range(max(2, least), min(len(usable), self.units + bool(self.short)) + 1):
            if comb(len(usable), count) <= SETS_EXAMINED:
                found = self._all_sets(usable, count)
            else:
                found = self._built_set(usable, count)
                self._sure = False
            if found is not None:
                return Outcome(self._settled(found), True)
            # Once per search, and only where the first sets failed: most searches end with them.
            if not bounded and self.slots > most_slots(self.candidates, self.bins, self.run):
                return Outcome(None, self.candidates.exact)
            bounded = True
            if count - least >= 12:
                break
        self._sure = False
        few = len(usable) <= FEW
        found = None if few else self._pour_sparingly(usable)
        if found is None and len(usable) <= POURED:
            found = self._pour(usable)
        if found is not None:
            return Outcome(self._settled(found), True)
        outcome = self._prove() if prove else Outcome(None, False)
        return Outcome(self._pour_sparingly(usable), False) if few and not outcome.proved else outcome

    def _settled(self, found: Solution) -> Solution:
        """This one, or the best of all ways where a better one is possible and there are few enough to look at."""
        return found if self._sure else self._best_of_all(found)[0] or found

    def _best_of_all(self, found: Solution | None) -> tuple[Solution | None, bool]:
        """The best of all ways and ``found``, and whether all ways were looked at."""
        ways = Exhaustive(self.candidates, self.bins, run=self.run, single=self.single)
        if not ways.small:
            return found, False
        best = found
        try:
            for counts, group in ways.groups((self.slots, self.slots) if found is None else found.key[:2]):
                for poured in group:
                    solution = self.solution_of(poured)
                    if best is None or solution.key < best.key:
                        best = solution
                if best is not None and best.key[:2] <= counts:
                    break
        except TooMany:
            return best, False
        return best, True

    def fill_all(self) -> Solution | None:
        """A solution that uses every bin of the subtree, if there is one of the usual form: its parts even enough."""
        parts = self._distribute(range(len(self.bins)), self.caps)
        return None if parts is None else self._fill(range(len(self.bins)), parts)

    # -- sets --------------------------------------------------------------------------------------

    def _one_bin(self) -> Solution | None:
        fitting = [i for i, cap in enumerate(self.caps) if cap >= self.slots]
        keyed = sorted((self._ideal_key((i,), (self.slots,)), i) for i in fitting)
        return self._first((key, (i,), (self.slots,)) for key, i in keyed[:SETS_EXAMINED])

    def _all_sets(self, usable: Sequence[int], count: int) -> Solution | None:
        ideal = []
        for chosen in combinations(usable, count):
            parts = self._distribute(chosen, self.caps)
            if parts is not None:
                ideal.append((self._ideal_key(chosen, parts), chosen, parts))
                ideal.extend(
                    (self._ideal_key(chosen, other), chosen, other) for other in self._by_racks(chosen)
                )
        ideal.sort(key=lambda item: item[0])
        self._sure = self._sure and not self.short and all(len(self.bins[i].cells) == 1 for i in usable)
        return self._first(ideal)

    def _first(self, ideal: Iterable[tuple[Key, tuple[int, ...], tuple[int, ...]]]) -> Solution | None:
        """The best that holds under shared limits, from sets in the order of what they would be without them."""
        best: Solution | None = None
        bound: Key | None = None
        for key, chosen, parts in ideal:
            bound = bound or key
            if best is not None and key >= best.key:
                break
            found = self._fill(chosen, parts)
            if found is None and any(len(self.bins[i].cells) > 1 for i in chosen):
                found = self._fill(chosen, parts, sparing=True)
            if found is not None and (best is None or found.key < best.key):
                best = found
        self._sure = self._sure and (bound is None or (best is not None and best.key == bound))
        return best

    def _built_set(self, usable: Sequence[int], count: int) -> Solution | None:
        caps = list(self.caps)
        for _ in range(REPAIRS):
            chosen = self._few_large(usable, count, caps)
            if chosen is None:
                return None
            parts = self._distribute(chosen, caps)
            if parts is None:
                return None
            got: Parts = {}
            found = self._fill(chosen, parts, got=got)
            if found is not None:
                return found
            lowered = False
            for i, part in zip(chosen, parts, strict=True):
                poured = sum(got.get(i, {}).values())
                if poured < part:
                    caps[i], lowered = poured, True
            if not lowered:
                return None
        return None

    def _few_large(self, usable: Sequence[int], count: int, caps: Sequence[int]) -> tuple[int, ...] | None:
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
        ordered = sorted(
            pool, key=lambda i: (-self.bins[i].size, not self.bins[i].pristine, -self.bins[i].order)
        )
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

    def _distribute(self, chosen: Sequence[int], caps: Sequence[int]) -> tuple[int, ...] | None:
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

    def _by_racks(self, chosen: Sequence[int]) -> Iterable[tuple[int, ...]]:
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

    # -- shared limits -----------------------------------------------------------------------------

    def _fill(
        self, chosen: Sequence[int], parts: Sequence[int], *, got: Parts | None = None, sparing: bool = False
    ) -> Solution | None:
        """Pour the parts into the bins under all limits together; what one bin cannot take, the others may.

        ``sparing`` takes the racks of a bin in the order of what is scarce instead of the fewest.
        """
        at_once = self._at_once(chosen, parts)
        if at_once is not None:
            return self.solution_of(at_once)
        slack = self.candidates.slack.copy()
        poured: Parts = {} if got is None else got
        missing = 0
        for i, part in sorted(zip(chosen, parts, strict=True), key=lambda item: item[1]):
            racks = self._take(i, part, slack, {}, sparing=sparing)
            whole = self._whole_runs(sum(racks.values()), part)
            self._trim(racks, whole, slack)
            missing += part - whole
            poured[i] = racks
        if missing:
            if self.short:
                return None
            for i in chosen:
                extra = self._take(i, missing, slack, poured[i], sparing=sparing)
                added = self._whole_runs(sum(extra.values()), missing)
                self._trim(extra, added, slack)
                for rack, n in extra.items():
                    poured[i][rack] = poured[i].get(rack, 0) + n
                missing -= added
                if not missing:
                    break
        if missing or not all(any(poured[i].values()) for i in chosen):
            return None
        return self.solution_of({i: poured[i] for i in chosen})

    def _at_once(self, chosen: Sequence[int], parts: Sequence[int]) -> Parts | None:
        """The parts as they are, where each lies in one rack and all hold together: pouring in turn gives the same."""
        racks: dict[int, int] = {}
        poured: Parts = {}
        for i, part in zip(chosen, parts, strict=True):
            cells = self.bins[i].cells
            if len(cells) != 1 or cells[0].cap < part or cells[0].rack in racks:
                return None
            racks[cells[0].rack] = part
            poured[i] = {cells[0].rack: part}
        return poured if self.candidates.fits_together(racks) else None

    def _whole_runs(self, slots: int, wanted: int) -> int:
        return slots if slots == wanted else slots - slots % self.run

    def _trim(self, racks: dict[int, int], keep: int, slack: Slack) -> None:
        """Give back what is above ``keep``, the smallest parts first."""
        surplus = sum(racks.values()) - keep
        for rack in sorted(racks, key=lambda r: racks[r]):
            back = min(surplus, racks[rack])
            racks[rack] -= back
            surplus -= back
            self.candidates.take(rack, -back, slack)
        for rack in [r for r, n in racks.items() if not n]:
            del racks[rack]

    @cached_property
    def _price(self) -> NDArray[np.float64]:
        return price_of_a_slot(self.candidates)

    def _take(
        self, i: int, slots: int, slack: Slack, held: dict[int, int], *, sparing: bool = False
    ) -> dict[int, int]:
        """Slots per rack of one bin, fewest racks: the smallest that takes all that is left, else the largest.

        ``sparing``: first where a slot takes least of what is scarce.
        """
        result: dict[int, int] = {}
        left = slots
        cells = list(self.bins[i].cells)
        while left > 0 and cells:
            room = [
                min(c.free - held.get(c.rack, 0), self.candidates.rack_limit(c.rack, slack)) for c in cells
            ]
            enough = [(c.free, p) for p, c in enumerate(cells) if room[p] >= left]
            p = min(enough)[1] if enough else max(range(len(cells)), key=lambda q: (room[q], -q))
            if sparing and (usable := [q for q in range(len(cells)) if room[q] > 0]):
                p = min(usable, key=lambda q: (self._price[cells[q].rack], -room[q]))
            if room[p] <= 0:
                break
            taken = min(room[p], left)
            self.candidates.take(cells[p].rack, taken, slack)
            result[cells[p].rack] = taken
            left -= taken
            del cells[p]
        return result

    def _pour(self, usable: Sequence[int]) -> Solution | None:
        """Fill the roomiest bin, again and again, whatever their number: finds a way where shared limits bind."""
        slack = self.candidates.slack.copy()
        poured: Parts = {}
        left, open_bins = self.slots, set(usable)
        while left > 0 and open_bins:
            best: tuple[int, int] | None = None
            for i in open_bins:
                trial = self._take(i, left, slack, {})
                size = self._whole_runs(sum(trial.values()), left)
                for rack, n in trial.items():
                    self.candidates.take(rack, -n, slack)
                if size and (
                    best is None
                    or (size, -self.bins[i].size, -i) > (best[0], -self.bins[best[1]].size, -best[1])
                ):
                    best = (size, i)
            if best is None:
                return None
            racks = self._take(best[1], left, slack, {})
            self._trim(racks, best[0], slack)
            poured[best[1]] = racks
            left -= best[0]
            open_bins.discard(best[1])
        return self.solution_of(poured) if left == 0 else None

    def _pour_sparingly(self, usable: Sequence[int]) -> Solution | None:
        """Fill each bin in turn, first those where a slot takes least of what is scarce: makes the most of it."""
        slack = self.candidates.slack.copy()
        order = sorted(usable, key=lambda i: (max(self._price[c.rack] for c in self.bins[i].cells), i))
        poured: Parts = {}
        left = self.slots
        for i in order:
            racks = self._take(i, left, slack, {})
            size = self._whole_runs(sum(racks.values()), left)
            self._trim(racks, size, slack)
            if size:
                poured[i] = racks
                left -= size
            if not left:
                return self.solution_of(poured)
        return None

    def _prove(self) -> Outcome:
        """Try every number of slots in every rack, depth first; out of steps, the answer is only "not found"."""
        cells = [(i, c) for i, b in enumerate(self.bins) for c in b.cells if c.cap > 0]
        slack = self.candidates.slack.copy()
        chosen: dict[tuple[int, int], int] = {}
        steps = 0

        def rest_after(position: int) -> int:
            return sum(min(c.cap, self.slots) for _, c in cells[position:])

        rest = [rest_after(p) for p in range(len(cells) + 1)]

        def descend(position: int, left: int, in_bin: int, short_used: bool) -> bool | None:
            nonlocal steps
            steps += 1
            if steps > STEPS:
                return None
            closes = position == len(cells) or (position > 0 and cells[position - 1][0] != cells[position][0])
            if closes and in_bin:
                over = in_bin % self.run
                if self.single and in_bin != self.slots:
                    return False
                if over:
                    if short_used or over != self.short:
                        return False
                    short_used = True
                in_bin = 0
            if left == 0 and not in_bin:
                return True
            if position == len(cells) or rest[position] < left:
                return left == 0 and position == len(cells)
            i, cell = cells[position]
            most = min(cell.cap, left, self.candidates.rack_limit(cell.rack, slack))
            for n in range(most, -1, -1):
                self.candidates.take(cell.rack, n, slack)
                chosen[i, cell.rack] = n
                answer = descend(position + 1, left - n, in_bin + n, short_used)
                if answer or answer is None:
                    return answer
                self.candidates.take(cell.rack, -n, slack)
                del chosen[i, cell.rack]
            return False

        if self._impossible():
            return Outcome(None, self.candidates.exact)
        best, complete = self._best_of_all(None)
        if best is not None or complete:
            return Outcome(best, best is not None or self.candidates.exact)
        if len(cells) > CELLS_PROVED:
            return Outcome(None, False)
        answer = descend(0, self.slots, 0, False)
        if answer:
            parts: Parts = {}
            for (i, rack), n in chosen.items():
                if n:
                    parts.setdefault(i, {})[rack] = n
            return Outcome(self.solution_of(parts), True)
        return Outcome(None, answer is False and self.candidates.exact)

    def _impossible(self) -> bool:
        """Whether one limit alone rules the gang out, however it is spread over these bins."""
        cells = [
            (c.rack, min(c.free, int(self.candidates.rack_slots[c.rack]))) for b in self.bins for c in b.cells
        ]
        return shortages(self.candidates, Room.of([cells]))[0] is not None

    # -- objective ---------------------------------------------------------------------------------

    def _ideal_key(self, chosen: Sequence[int], parts: Sequence[int]) -> Key:
        cells = [self.bins[i].cells for i in chosen]
        if any(len(c) > 1 for c in cells):
            least = sum(self.bins[i].least_racks(part) for i, part in zip(chosen, parts, strict=True))
            # How a bin's racks share its part is not known yet.
            return self._key(chosen, parts, least, -UNLIMITED if self.candidates.needs.slowed else 0)
        racks: dict[int, int] = {}
        for c, n in zip(cells, parts, strict=True):
            racks[c[0].rack] = racks.get(c[0].rack, 0) + n
        return self._key(chosen, parts, len(racks), self._stranded(racks))

    def _stranded(self, racks: Mapping[int, int]) -> int:
        if not self.candidates.needs.slowed:
            return 0
        return sum(self.candidates.stranded_watts(rack, n) for rack, n in racks.items())

    def _key(self, chosen: Sequence[int], parts: Sequence[int], racks: int, stranded: int) -> Key:
        bins = [self.bins[i] for i in chosen]
        return (
            len(bins),
            racks,
            2 * len(bins) * min(parts) < self.slots,
            sum(b.pristine for b in bins),
            tightness((b.size for b in bins), (b.size - n for b, n in zip(bins, parts, strict=True))),
            stranded,
            tuple(b.order for b in bins),
        )

    def solution_of(self, poured: Parts) -> Solution:
        """These slots as a solution, with what they are worth by the objective."""
        chosen = sorted(poured, key=lambda i: self.bins[i].order)
        sizes = {i: sum(poured[i].values()) for i in chosen}
        racks: dict[int, int] = {}
        for part in poured.values():
            for rack, n in part.items():
                racks[rack] = racks.get(rack, 0) + n
        key = self._key(chosen, [sizes[i] for i in chosen], len(racks), self._stranded(racks))
        if self.run > 1:  # the bin with the short last run comes last, so that every run is whole
            chosen.sort(key=lambda i: sizes[i] % self.run != 0)
        return Solution(key, tuple((self.bins[i], poured[i]) for i in chosen))
