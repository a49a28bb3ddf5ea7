"""When a gang that has to wait could start, by what is expected now.

Only two things can let it start without anybody doing something: a booking that ends and a budget that ends. Those
times are probed, each by a placement in a simulation in which what is over by then is released; so the answer is a
time at which the gang would have been placed, under every limit and with every budget that it would run into.

It is an estimate: ends of gangs are their owners' expectations, gangs that wait as well are not counted, and what
comes back into service or fails in between is not known.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

from rackplane.engine.model import Placement, Request
from rackplane.engine.placement import find
from rackplane.engine.rows import RowKind
from rackplane.engine.state import State

PLACEMENTS_TRIED = 24
"""One question costs at most so many placements."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What is expected to end: a budget, or the booking of this key."""

    name: str
    of_budget: bool


@dataclass(frozen=True, slots=True)
class Opening:
    """The earliest start that was found: when, how, and what ends then."""

    at: float
    placement: Placement
    endings: tuple[Ending, ...]


@dataclass(frozen=True, slots=True)
class Outlook:
    """``opening`` is None if there is none within the horizon; ``certain`` is False if the search was cut short."""

    opening: Opening | None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """A budget that the engine does not know is in force while starts_at <= t < ends_at (infinite: no bound)."""

    name: str
    starts_at: float
    ends_at: float


def earliest_start(
    state: State,
    *,
    now: float,
    horizon: float,
    duration: float,
    request: Callable[[float, frozenset[str]], Request],
    admits: Callable[[Placement, float], bool] = lambda _, __: True,
    spans: Iterable[Span] = (),
) -> Outlook:
    """The earliest time after ``now`` at which the gang could start.

    Between two times at which a budget begins or ceases to bind the gang, waiting only helps: bookings end. So each
    such part is probed at its last ending first, and only if the gang fits there, its first fitting ending is sought
    by halving. At most ``PLACEMENTS_TRIED`` placements are made.

    Args:
        horizon: nothing is looked for after ``now + horizon``, in seconds.
        duration: how long the gang is expected to run, in seconds.
        request: the gang's request for a start at that time (``at`` and ``until`` set), with these bookings over.
        admits: whether what the engine does not know would take the placement at that time.
        spans: budgets that ``admits`` judges by.
    """
    search = _Search(state, now=now, latest=now + horizon, request=request, admits=admits)
    spans = [*_budgets(state), *spans]
    ends = sorted(search.endings(spans))
    lapses = sorted({s.ends_at for s in spans})
    # A gang that starts later than this runs into the budget; at this very time it does not.
    begins = sorted({s.starts_at - duration for s in spans})

    def part(at: float) -> tuple[int, int]:
        return bisect_right(lapses, at), bisect_left(begins, at)

    for _, times in groupby(ends, key=part):
        opening = search.first(list(times))
        if opening is not None:
            return Outlook(opening)
        if search.exhausted:
            return Outlook(None, certain=False)
    return Outlook(None)


def _budgets(state: State) -> list[Span]:
    f = state.facility
    return [
        Span(
            row.element,
            float("-inf") if row.starts_at is None else row.starts_at,
            float(f.cell_ends[cell]),
        )
        for row, cell in f.row_index.items()
        if row.kind is RowKind.BUDGET
    ]


class _Search:
    """The probes of one question."""

    def __init__(
        self,
        state: State,
        *,
        now: float,
        latest: float,
        request: Callable[[float, frozenset[str]], Request],
        admits: Callable[[Placement, float], bool],
    ) -> None:
        self.state = state
        self.now = now
        self.latest = latest
        self.request = request
        self.admits = admits
        self.left = PLACEMENTS_TRIED
        self.found: dict[float, list[Ending]] = {}

    @property
    def exhausted(self) -> bool:
        """Whether no probe is left."""
        return self.left <= 0

    def endings(self, spans: Iterable[Span]) -> Iterable[float]:
        """The times at which something ends within the horizon."""
        ends = [(s.ends_at, Ending(s.name, of_budget=True)) for s in spans]
        for key in list(self.state.keys()):
            until = self.state.until(key)
            if until is not None:
                ends.append((until, Ending(key, of_budget=False)))
        for at, ending in ends:
            if self.now < at <= self.latest:
                endings = self.found.setdefault(at, [])
                if ending not in endings:
                    endings.append(ending)
        return list(self.found)

    def first(self, times: list[float]) -> Opening | None:
        """The first of these times at which the gang fits, if it fits at the last; None if not, or too many probes."""
        best: Opening | None = None
        low, high = 0, len(times)
        probe = high - 1
        while low < high and not self.exhausted:
            opening = self._probe(times[probe])
            if opening is not None:
                best, high = opening, probe
            elif best is None:
                return None
            else:
                low = probe + 1
            probe = (low + high) // 2
        return best

    def _probe(self, at: float) -> Opening | None:
        self.left -= 1
        over = frozenset(
            key
            for key in list(self.state.keys())
            if (until := self.state.until(key)) is not None and until <= at
        )
        request = self.request(at, over)
        with self.state.simulation() as later:
            for key in over:
                later.release(key)
            placement = find(later, request, lambda offer: self.admits(offer, at))
        return None if placement is None else Opening(at, placement, tuple(self.found[at]))
