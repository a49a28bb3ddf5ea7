"""Whether a gang fits these bins at all: one limit that rules it out, or every number of slots in every rack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.placing.attempts import Bin
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.objective import Parts
from rackplane.engine.placing.shortage import Room, shortages

STEPS = 20_000
CELLS_PROVED = 200


def ruled_out(candidates: Candidates, bins: Sequence[Bin]) -> bool:
    """Whether one limit alone rules the gang out, however it is spread over these bins."""
    cells = [(c.rack, min(c.free, int(candidates.rack_slots[c.rack]))) for b in bins for c in b.cells]
    return shortages(candidates, Room.of([cells]))[0] is not None


def any_way(candidates: Candidates, bins: Sequence[Bin], *, run: int, single: bool) -> Parts | bool | None:
    """Some way to place the gang, found depth first over the slots of every rack.

    Args:
        run: slots that must stay together.
        single: all slots must lie in one bin.

    Returns:
        The way; False if there is none; None if ``STEPS`` steps, or ``CELLS_PROVED`` racks of bins, do not settle it.
    """
    cells = [(i, c) for i, b in enumerate(bins) for c in b.cells if c.cap > 0]
    if len(cells) > CELLS_PROVED:
        return None
    slots = candidates.request.slots
    last_run = slots % run
    # Plain numbers: a step looks at one rack's few limits, and there are thousands of steps.
    uses = {rack: _uses(candidates, rack) for rack in {c.rack for _, c in cells}}
    slack = {cell: float(candidates.slack[cell]) for limits in uses.values() for cell, _ in limits}
    chosen: dict[tuple[int, int], int] = {}
    steps = 0
    rest = [sum(min(c.cap, slots) for _, c in cells[position:]) for position in range(len(cells) + 1)]

    def descend(position: int, left: int, in_bin: int, short_used: bool) -> bool | None:
        nonlocal steps
        steps += 1
        if steps > STEPS:
            return None
        closes = position == len(cells) or (position > 0 and cells[position - 1][0] != cells[position][0])
        if closes and in_bin:
            over = in_bin % run
            if single and in_bin != slots:
                return False
            if over:
                if short_used or over != last_run:
                    return False
                short_used = True
            in_bin = 0
        if left == 0 and not in_bin:
            return True
        if position == len(cells) or rest[position] < left:
            return left == 0 and position == len(cells)
        i, cell = cells[position]
        limits = uses[cell.rack]
        most = min(cell.cap, left, _limit(limits, slack))
        for n in range(most, -1, -1):
            _take(limits, n, slack)
            chosen[i, cell.rack] = n
            answer = descend(position + 1, left - n, in_bin + n, short_used)
            if answer or answer is None:
                return answer
            _take(limits, -n, slack)
            del chosen[i, cell.rack]
        return False

    answer = descend(0, slots, 0, False)
    if not answer:
        return answer
    parts: Parts = {}
    for (i, rack), n in chosen.items():
        if n:
            parts.setdefault(i, {})[rack] = n
    return parts


def _uses(candidates: Candidates, rack: int) -> list[tuple[int, float]]:
    """Limits that a slot in the rack takes watts of, and how many."""
    f = candidates.state.facility
    found = zip(f.cells[f.entries(rack)].tolist(), candidates.use_of(rack).tolist(), strict=True)
    return [(cell, use) for cell, use in found if use > 0]


def _limit(limits: Sequence[tuple[int, float]], slack: Mapping[int, float]) -> int:
    """Slots that these limits leave room for."""
    least = min((slack[cell] / use for cell, use in limits), default=math.inf)
    return UNLIMITED if least >= UNLIMITED else int(max(0.0, least))


def _take(limits: Sequence[tuple[int, float]], slots: int, slack: dict[int, float]) -> None:
    """Lower what is left by so many slots."""
    for cell, use in limits:
        slack[cell] -= use * slots
