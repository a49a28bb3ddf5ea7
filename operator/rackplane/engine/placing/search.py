"""The best set of bins for a gang inside one subtree, checked against all limits together.

What is best is the matter of :mod:`engine.placing.objective`.

All sets of a size are examined while they number at most ``SETS_EXAMINED``, in the order of what they would be worth
without the limits that racks share.  If the first one holds under those too, nothing is better; if not, every way is
looked at where they are few enough (:mod:`engine.placing.exhaustive`), so that the answer is the best there is.

Beyond that it is a good one.  Of more sets, one is built that opens as few large bins as possible, and is repaired
where limits that bins share stop it; if that fails, a bounded search (:mod:`engine.placing.cover`) looks for another of
so many bins, if each lies in one rack and they are at most ``POURED``.  If no set is found, bins are poured full one
after the other: the roomiest, or (more than ``FEW``) those that take least of what is scarce.  At last a depth-first
search over the slots of every rack (:mod:`engine.placing.proof`) finds a way or proves that there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb

from rackplane.engine.placing.attempts import Subtree
from rackplane.engine.placing.bounds import most_slots
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.cover import Cover
from rackplane.engine.placing.exhaustive import Exhaustive, TooMany
from rackplane.engine.placing.objective import Key, Objective, Parts, Solution
from rackplane.engine.placing.pouring import Pouring
from rackplane.engine.placing.proof import any_way, ruled_out
from rackplane.engine.placing.sets import SETS_EXAMINED, Sets

REPAIRS = 40
FEW = 20
POURED = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """A solution; or none, and whether that is proved.

    ``fitting`` and ``runner_up`` are as :class:`~rackplane.engine.model.Considered` has them.
    """

    solution: Solution | None
    proved: bool
    fitting: int = 0
    runner_up: str = ""


class Search:
    """One request in one subtree."""

    def __init__(self, candidates: Candidates, subtree: Subtree, *, single: bool) -> None:
        self.candidates = candidates
        self.single = single
        self.bins = subtree.bins
        request = candidates.request
        self.slots = request.slots
        self.run = 1 if single else (request.segment_slots or 1)
        """Slots that must stay together."""
        self.sets = Sets(self.bins, self.slots, self.run)
        self.objective = Objective(candidates, self.bins, run=self.run, alone=single and len(self.bins) == 1)
        self.pouring = Pouring(candidates, self.bins, run=self.run)
        self._cover: Cover | None = None
        self._sure = True
        """Whether what is found is the best for certain: no set that could be better was passed over."""

    def solve(self, *, prove: bool = True) -> Outcome:
        """The best solution found; ``proved`` says whether its absence is certain.

        Without ``prove`` the search ends before the long one that would make it certain.
        """
        least = self._fewest_bins()
        if least is None:
            return Outcome(None, True)
        if least == 1:
            found = self._one_bin()
            if found is not None:
                return Outcome(self._settled(found), True)
        if self.single:
            return self._prove() if prove else Outcome(None, False)
        usable = self.sets.usable()
        for count in range(max(2, least), min(len(usable), self.sets.units + bool(self.sets.short)) + 1):
            if comb(len(usable), count) <= SETS_EXAMINED:
                found = self._all_sets(usable, count)
            else:
                found = self._built_set(usable, count) or self._covering_set(usable, count)
                self._sure = False
            if found is not None:
                return Outcome(self._settled(found), True)
            if self._too_many:
                return Outcome(None, self.candidates.exact)
            if count - least >= 12:
                break
        self._sure = False
        few = len(usable) <= FEW
        poured = None if few else self.pouring.sparingly(usable)
        if poured is None and len(usable) <= POURED:
            poured = self.pouring.roomiest(usable)
        if poured is not None:
            return Outcome(self._settled(self._solution(poured)), True)
        outcome = self._prove() if prove else Outcome(None, False)
        if few and not outcome.proved:
            poured = self.pouring.sparingly(usable)
            return Outcome(None if poured is None else self._solution(poured), False)
        return outcome

    def fill_all(self) -> Solution | None:
        """A solution that uses every bin of the subtree, if there is one of the usual form: its parts even enough."""
        parts = self.sets.distribute(range(len(self.bins)), self.sets.caps)
        if parts is None:
            return None
        poured = self.pouring.fill(range(len(self.bins)), parts)
        return None if poured is None else self._solution(poured)

    def _fewest_bins(self) -> int | None:
        """A lower bound on the bins needed; None if the sum of what they could take is too small: proved."""
        if self.single:
            return 1 if any(cap >= self.slots for cap in self.sets.caps) else None
        return self.sets.fewest()

    def _solution(self, poured: Parts) -> Solution:
        return self.objective.solution_of(poured)

    @cached_property
    def _too_many(self) -> bool:
        """Whether no set takes all slots.  Asked only where a set has failed: most searches end with the first."""
        return self.slots > most_slots(self.candidates, self.bins, self.run)

    # -- sets --------------------------------------------------------------------------------------

    def _one_bin(self) -> Solution | None:
        fitting = [i for i, cap in enumerate(self.sets.caps) if cap >= self.slots]
        keyed = sorted((self.objective.ideal_key((i,), (self.slots,)), i) for i in fitting)
        return self._first((key, (i,), (self.slots,)) for key, i in keyed[:SETS_EXAMINED])

    def _all_sets(self, usable: Sequence[int], count: int) -> Solution | None:
        best = self._best_by_kind(usable, count)
        if best is not None:
            return best
        ideal = []
        for chosen in combinations(usable, count):
            parts = self.sets.distribute(chosen, self.sets.caps)
            if parts is not None:
                for each in (parts, *self.sets.by_racks(chosen)):
                    ideal.append((self.objective.ideal_key(chosen, each), chosen, each))
        ideal.sort(key=lambda item: item[0])
        one_rack_each = all(len(self.bins[i].cells) == 1 for i in usable)
        self._sure = self._sure and not self.sets.short and one_rack_each
        return self._first(ideal, bounded=True)

    def _best_by_kind(self, usable: Sequence[int], count: int) -> Solution | None:
        """The best of all sets of ``count``, where it is enough to compare those that differ in more than names.

        None if it is not, or if limits that racks share stand in the way of the best by each bin alone.
        """
        cells = [self.bins[i].cells for i in usable]
        alone = all(len(c) == 1 for c in cells) and len({c[0].rack for c in cells}) == len(cells)
        if self.sets.short or not alone or self.candidates.needs.slowed:
            return None
        ideal = [
            (self.objective.ideal_key(chosen, parts), chosen, parts)
            for chosen in self.sets.by_kind(usable, count)
            if (parts := self.sets.distribute(chosen, self.sets.caps)) is not None
        ]
        if not ideal:
            return None
        _, chosen, parts = min(ideal)
        poured = self.pouring.at_once(chosen, parts)
        return None if poured is None else self._solution(poured)

    def _first(
        self, ideal: Iterable[tuple[Key, tuple[int, ...], tuple[int, ...]]], *, bounded: bool = False
    ) -> Solution | None:
        """The best that holds under shared limits, from sets in the order of what they would be without them.

        ``bounded``: where one does not hold, it is first asked whether any could.
        """
        best: Solution | None = None
        bound: Key | None = None
        for key, chosen, parts in ideal:
            bound = bound or key
            if best is not None and key >= best.key:
                break
            poured = self.pouring.fill(chosen, parts)
            if poured is None and any(len(self.bins[i].cells) > 1 for i in chosen):
                poured = self.pouring.fill(chosen, parts, sparing=True)
            if poured is None:
                if bounded and best is None and self._too_many:
                    break
                continue
            found = self._solution(poured)
            if best is None or found.key < best.key:
                best = found
        self._sure = self._sure and (bound is None or (best is not None and best.key == bound))
        return best

    def _built_set(self, usable: Sequence[int], count: int) -> Solution | None:
        caps = list(self.sets.caps)
        for _ in range(REPAIRS):
            chosen = self.sets.few_large(usable, count, caps)
            if chosen is None:
                return None
            parts = self.sets.distribute(chosen, caps)
            if parts is None:
                return None
            got: Parts = {}
            poured = self.pouring.fill(chosen, parts, got=got)
            if poured is not None:
                return self._solution(poured)
            lowered = False
            for i, part in zip(chosen, parts, strict=True):
                taken = sum(got.get(i, {}).values())
                if taken < part:
                    caps[i], lowered = taken, True
            if not lowered:
                return None
        return None

    def _covering_set(self, usable: Sequence[int], count: int) -> Solution | None:
        if self._cover is None:
            cells = [self.bins[i].cells for i in usable]
            alone = all(len(c) == 1 for c in cells) and len({c[0].rack for c in cells}) == len(cells)
            if self.sets.short or not alone or len(usable) > POURED:
                return None
            self._cover = Cover(self.candidates, self.bins, usable, run=self.run)
        poured = self._cover.of(count, self.sets.units)
        if poured is None:
            return None
        found, chosen = self._solution(poured), sorted(poured)
        # The same bins in more even and tighter parts, where the limits allow that too.
        parts = self.sets.distribute(chosen, self.sets.caps)
        usual = None if parts is None else self.pouring.fill(chosen, parts)
        return found if usual is None else min(found, self._solution(usual), key=lambda s: s.key)

    # -- all ways ----------------------------------------------------------------------------------

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
                    solution = self._solution(poured)
                    if best is None or solution.key < best.key:
                        best = solution
                if best is not None and best.key[:2] <= counts:
                    break
        except TooMany:
            return best, False
        return best, True

    def _prove(self) -> Outcome:
        """The best of all ways, else any way, else whether there is none; out of steps, only "not found"."""
        if ruled_out(self.candidates, self.bins):
            return Outcome(None, self.candidates.exact)
        best, complete = self._best_of_all(None)
        if best is not None or complete:
            return Outcome(best, best is not None or self.candidates.exact)
        way = any_way(self.candidates, self.bins, run=self.run, single=self.single)
        if isinstance(way, dict):
            return Outcome(self._solution(way), True)
        return Outcome(None, way is False and self.candidates.exact)
