"""When a gang that has to wait could start, by what is expected now.

Only three things can let it start without anybody doing something: a booking that ends, a budget that ends, and the
gang that something is reserved for being over. Those times are probed, each by a placement in a simulation in which
what is over by then is released; so the answer is a time at which the gang would have been placed, under every limit,
with every budget that it would run into, and beside what is reserved.

It is an estimate: ends of gangs are their owners' expectations, gangs that wait as well are counted only if something
is reserved for them, and what comes back into service or fails in between is not known.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from rackplane.engine.model import Placement, Request
from rackplane.engine.placing.placement import find
from rackplane.engine.planning.afterwards import Afterwards
from rackplane.engine.planning.room import endings_in_order, room_from
from rackplane.engine.queueing.shadow import Shadow
from rackplane.engine.state import State

PLACEMENTS_TRIED = 24
"""One question costs at most so many placements."""
STRIDE = 4
"""After a time at which the gang does not fit the one that has so many times as many endings before it is probed."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What is expected to end: a budget, maintenance, or the gang of this key, which runs or holds a reservation."""

    name: str
    of_budget: bool
    of_maintenance: bool = False


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
    """A budget is in force while starts_at <= t < ends_at; infinite where it has no start or no end.

    Or maintenance of the element of that name is planned; or the gang of that name is expected to run in its reserved
    place meanwhile.
    """

    name: str
    starts_at: float
    ends_at: float
    of_budget: bool = True
    of_maintenance: bool = False


def earliest_start(
    state: State,
    *,
    now: float,
    horizon: float,
    duration: float,
    request: Callable[[float, frozenset[str]], Request],
    admits: Callable[[Placement, float], bool] = lambda _, __: True,
    spans: Iterable[Span] = (),
    ends: Mapping[str, float] | None = None,
    beside: Callable[[float], Sequence[Shadow]] = lambda _: (),
    afterwards: Afterwards | None = None,
) -> Outlook:
    """The earliest time after ``now`` at which the gang could start.

    Times at which there cannot be nodes enough are passed over (:mod:`engine.planning.room`). Between two times at
    which a budget begins or ceases to bind the gang, waiting only helps: bookings end. So of each such part the first
    ending is probed, then ones ever further on and the last, until the gang fits; and from there its first fitting
    ending is sought by halving. At most ``PLACEMENTS_TRIED`` placements are made.

    Args:
        horizon: nothing is looked for after ``now + horizon``, in seconds.
        duration: how long the gang is expected to run, in seconds.
        request: the gang's request for a start at that time (``at`` and ``until`` set), with these bookings over.
        admits: whether what the engine does not know would take the placement at that time.
        spans: budgets that ``admits`` judges by, and what is reserved.
        ends: when bookings are taken to end that the state expects no end of.
        beside: the reserved times that a gang which starts at that time must hold at as well; ``request`` must bound
            nodes to what they take then.
        afterwards: kept by who asks often, so that little has to be released for the first probe; None: all of it is.
    """
    spans = [*_budgets(state), *_maintenance(state), *spans]
    order = endings_in_order(state, {} if ends is None else ends)
    endings = _Endings(order, spans, now=now, latest=now + horizon)
    lapses = sorted({s.ends_at for s in spans})
    # A gang that starts later than this runs into the budget; at this very time it does not.
    begins = sorted({s.starts_at - duration for s in spans})

    def part(at: float) -> tuple[int, int]:
        return bisect_right(lapses, at), bisect_left(begins, at)

    if not endings.times:
        return Outlook(None)
    room = room_from(state, request(endings.times[0], frozenset()), order)
    after = endings.times[bisect_left(endings.times, room) :]
    if not after:
        return Outlook(None)
    over: frozenset[str] = frozenset()
    if afterwards is not None:  # what is over at the first of these times is so at all
        over = frozenset(key for end, key in order if end <= after[0])
        state = afterwards.of(state, over)
    with ExitStack() as passed:
        search = _Search(state, passed, endings, order, request, admits, beside, over)
        for _, times in groupby(after, key=part):
            opening = search.first(list(times))
            if opening is not None:
                return Outlook(opening)
            if not search.left:
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
        for row, cell in f.budget_rows
    ]


def _maintenance(state: State) -> list[Span]:
    """What is to come."""
    f = state.facility
    planned = [(f"rack {r.name}", w) for r in f.racks for w in r.maintenance]
    planned += [(f"NVLink domain {d.name}", w) for d in f.domains.values() for w in d.maintenance]
    return [Span(name, w.starts_at, w.ends_at, of_budget=False, of_maintenance=True) for name, w in planned]


class _Endings:
    """What ends when, within the horizon."""

    def __init__(
        self, order: Sequence[tuple[float, str]], spans: Iterable[Span], *, now: float, latest: float
    ) -> None:
        self._order = order
        # One budget is many rows, and all of them end at once.
        self._of_spans = dict.fromkeys(
            (s.ends_at, Ending(s.name, s.of_budget, s.of_maintenance))
            for s in spans
            if now < s.ends_at <= latest
        )
        first, last = (bisect_right(order, at, key=itemgetter(0)) for at in (now, latest))
        self.times = sorted({*(at for at, _ in self._of_spans), *map(itemgetter(0), order[first:last])})
        """Each once, in order."""

    def at(self, time: float) -> tuple[Ending, ...]:
        """What ends then."""
        first, last = (side(self._order, time, key=itemgetter(0)) for side in (bisect_left, bisect_right))
        bookings = (Ending(key, of_budget=False) for _, key in self._order[first:last])
        return (*(ending for at, ending in self._of_spans if at == time), *bookings)


class _Search:
    """The probes of one question.

    What is over at a time at which the gang does not fit stays released, on ``passed``, for the times after it: so
    each booking is released a few times, not once for every probe.
    """

    def __init__(
        self,
        state: State,
        passed: ExitStack,
        endings: _Endings,
        order: Sequence[tuple[float, str]],
        request: Callable[[float, frozenset[str]], Request],
        admits: Callable[[Placement, float], bool],
        beside: Callable[[float], Sequence[Shadow]],
        over: frozenset[str],
    ) -> None:
        """``over``: what the state does not hold any more."""
        self.state = state
        self.passed = passed
        self.endings = endings
        self.request = request
        self.admits = admits
        self.beside = beside
        self.left = PLACEMENTS_TRIED
        self.over = over
        self.order = order

    def first(self, times: Sequence[float]) -> Opening | None:
        """The first of these times at which the gang fits; None if it fits at none of them, or no probe is left."""
        last, low, high = len(times) - 1, -1, 0
        # Not the last at once: what has to be released for a probe costs more than the probe.
        while (best := self._probe(times[high])) is None:
            self._pass(times[high])
            if high == last or not self.left:
                return None
            low, high = high, min(last, STRIDE * (high + 1))
        while high - low > 1 and self.left:
            middle = (low + high) // 2
            if (opening := self._probe(times[middle])) is not None:
                best, high = opening, middle
            else:
                self._pass(times[middle])
                low = middle
        return best

    def _probe(self, at: float) -> Opening | None:
        if not self.left:
            return None
        self.left -= 1
        ended = self._ended(at)
        request = self.request(at, self.over.union(ended))
        shadows = self.beside(at)

        def admits(offer: Placement) -> bool:
            return all(s.takes(offer, request.until) for s in shadows) and self.admits(offer, at)

        with self.state.simulation() if ended else nullcontext():
            self.state.release_all(ended)
            placement = find(self.state, request, admits, later=shadows)
        return None if placement is None else Opening(at, placement, self.endings.at(at))

    def _pass(self, at: float) -> None:
        ended = self._ended(at)
        if ended:
            self.passed.enter_context(self.state.simulation())
            self.state.release_all(ended)
            self.over = self.over.union(ended)

    def _ended(self, at: float) -> list[str]:
        """What is over by then and not yet released."""
        first, last = len(self.over), bisect_right(self.order, at, key=lambda item: item[0])
        return [key for _, key in self.order[first:last]]
