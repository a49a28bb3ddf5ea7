"""A set of so many bins that takes a gang under shared limits, where there are too many sets to look at them all.

Depth first over the bins, the roomiest first; each takes the most whole runs that the limits leave after those before
it.  A branch ends where the roomiest of the bins that are left could not make up what is missing, and the search after
``TRIED`` bins: what it does not find may be there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.placing.attempts import Bin
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.objective import Parts

TRIED = 300

Ints = NDArray[np.int64]


class Cover:
    """Bins of one rack each, for a gang in whole runs of ``run`` slots."""

    def __init__(
        self, candidates: Candidates, bins: Sequence[Bin], usable: Sequence[int], *, run: int
    ) -> None:
        f = candidates.state.facility
        self._run = run
        self._bins = sorted(usable, key=lambda i: (-bins[i].cap, bins[i].order))
        self._racks = [bins[i].cells[0].rack for i in self._bins]
        self._free = np.array([bins[i].cells[0].free for i in self._bins], dtype=np.int64)
        self._cells = [f.cells[f.entries(rack)] for rack in self._racks]
        self._uses = [candidates.use_of(rack) for rack in self._racks]
        used = [use > 0 for use in self._uses]
        self._all_cells = np.concatenate([c[u] for c, u in zip(self._cells, used, strict=True)])
        self._all_uses = np.concatenate([w[u] for w, u in zip(self._uses, used, strict=True)])
        sizes = np.array([int(u.sum()) for u in used], dtype=np.int64)
        self._bound = np.flatnonzero(sizes)
        self._starts = (np.cumsum(sizes) - sizes)[self._bound]
        self._slack = candidates.slack.copy()
        self._left = TRIED

    def of(self, count: int, units: int) -> Parts | None:
        """At most ``count`` bins for so many runs; None if none are found."""
        taken = self._descend(0, count, units)
        if taken is None:
            return None
        return {self._bins[k]: {self._racks[k]: n * self._run} for k, n in taken}

    def _descend(self, first: int, count: int, missing: int) -> list[tuple[int, int]] | None:
        room = self._room()[first:]
        if not count or np.sort(room)[::-1][:count].sum() < missing:
            return None
        for k in (first + np.flatnonzero(room)).tolist():
            if np.sort(room[k - first :])[::-1][:count].sum() < missing or not self._left:
                return None
            self._left -= 1
            taken = min(int(room[k - first]), missing)
            if taken == missing:
                return [(k, taken)]
            self._slack[self._cells[k]] -= self._uses[k] * (taken * self._run)
            rest = self._descend(k + 1, count - 1, missing - taken)
            self._slack[self._cells[k]] += self._uses[k] * (taken * self._run)
            if rest is not None:
                return [(k, taken), *rest]
        return None

    def _room(self) -> Ints:
        """Whole runs that each bin still takes by itself."""
        slots = self._free.copy()
        if len(self._bound):
            ratio = np.maximum(self._slack[self._all_cells], 0.0) / self._all_uses
            least = np.minimum.reduceat(ratio, self._starts)
            slots[self._bound] = np.minimum(slots[self._bound], least).astype(np.int64)
        found: Ints = slots // self._run
        return found
