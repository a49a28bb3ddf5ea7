"""Slots into bins and racks one after the other, under all limits together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.placing.attempts import Bin
from rackplane.engine.placing.bounds import price_of_a_slot
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.objective import Parts

Slack = NDArray[np.float64]


class Pouring:
    """One request into these bins, in runs of ``run`` slots and a short last one."""

    def __init__(self, candidates: Candidates, bins: Sequence[Bin], *, run: int) -> None:
        self.candidates = candidates
        self.bins = bins
        self.slots = candidates.request.slots
        self.run = run

    def fill(
        self, chosen: Sequence[int], parts: Sequence[int], *, got: Parts | None = None, sparing: bool = False
    ) -> Parts | None:
        """Pour the parts into the bins under all limits together; what one bin cannot take, the others may.

        ``sparing`` takes the racks of a bin in the order of what is scarce instead of the fewest.
        """
        at_once = self.at_once(chosen, parts)
        if at_once is not None:
            return at_once
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
            if self.slots % self.run:
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
        return {i: poured[i] for i in chosen}

    def at_once(self, chosen: Sequence[int], parts: Sequence[int]) -> Parts | None:
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

    def roomiest(self, usable: Sequence[int]) -> Parts | None:
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
        return poured if left == 0 else None

    def sparingly(self, usable: Sequence[int]) -> Parts | None:
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
                return poured
        return None

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
