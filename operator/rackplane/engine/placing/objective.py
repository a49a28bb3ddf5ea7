"""What makes one way to place a gang better than another.

One lexicographic objective: fewest bins, fewest racks, no straggler (no part below half an even share), least power
beyond the even share of a group of racks, no pristine bin opened needlessly, fewest pristine bins around, least
outlasting what runs there, tightest fit, least stranded power
(:meth:`~rackplane.engine.placing.candidates.Candidates.stranded_watts`), then name.

Before pristine bins comes what free GPUs keep of CPU and memory (:mod:`~rackplane.engine.placing.feeding`): not as a
part of the key, but by a second search over fewer slots.

Limits that overlap (rows on two UPS each) strand power where some racks take more than what all could have together
(:class:`~rackplane.engine.physics.even.EvenShares`): for a gang in one bin, that is avoided even at the cost of a tight
fit, which comes back when jobs end.

A gang that says how long it runs, and lies in one bin, goes where something runs as long, so that bins become wholly
free (:meth:`~rackplane.engine.placing.attempts.Attempt.outlasted`).

Tightest fit looks at the bins: of the free sizes that remain, sorted, the large ones stay large.  Before it comes the
same on the outermost fabric level: a gang larger than one bin needs many bins of one domain there, so that what fits
elsewhere stays out of the domain that has most of them whole
(:meth:`~rackplane.engine.placing.attempts.Attempt.pristine_around`).  Of places that are equal up to the name, the
one in the fullest surroundings is taken, level by level from the innermost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.placing.attempts import Bin
from rackplane.engine.placing.candidates import Candidates

Key = tuple[
    int,
    int,
    bool,
    int,
    int,
    int,
    int,
    tuple[tuple[int, int, int], ...],
    int,
    tuple[int, ...],
    tuple[int, ...],
]
Parts = dict[int, dict[int, int]]
"""Position of a bin in the subtree -> rack -> slots."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Bins with their slots per rack, in slot order, and the objective (smaller is better)."""

    key: Key
    parts: tuple[tuple[Bin, dict[int, int]], ...]


def tightness(before: Iterable[int], after: Iterable[int]) -> tuple[tuple[int, int, int], ...]:
    """Compare what remains free: smaller if, at the largest size where two choices differ, more of it remains."""
    change: dict[int, int] = {}
    for size in before:
        change[size] = change.get(size, 0) - 1
    for size in after:
        change[size] = change.get(size, 0) + 1
    ordered = sorted(((size, n) for size, n in change.items() if n), reverse=True)
    return (*((1, size, -n) if n < 0 else (-1, -size, -n) for size, n in ordered), (0, 0, 0))


class Objective:
    """The objective of one request over these bins."""

    def __init__(self, candidates: Candidates, bins: Sequence[Bin], *, run: int, alone: bool = False) -> None:
        """``run``: slots that must stay together; ``alone``: there is nothing to compare with these bins."""
        self.candidates = candidates
        self.bins = bins
        self.slots = candidates.request.slots
        self.run = run
        self.alone = alone

    def ideal_key(self, chosen: Sequence[int], parts: Sequence[int]) -> Key:
        """What parts of these sizes are worth if no limit that racks share stands in their way."""
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
            0 if self.alone else sum(b.beyond for b in bins),
            sum(b.pristine for b in bins),
            0 if self.alone else sum(b.around for b in bins),
            0 if self.alone else sum(b.outlasted for b in bins),
            tightness((b.size for b in bins), (b.size - n for b, n in zip(bins, parts, strict=True))),
            stranded,
            () if self.alone else tuple(map(sum, zip(*(b.emptiness for b in bins), strict=True))),
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
