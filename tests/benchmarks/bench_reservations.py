"""What a reservation costs, on 2,500 full nodes of `bench_outlook`: value, limit and ratio, and no pass or fail.

The head of the queue asks for 64 nodes in one go. Measured are: finding its place; the state at the reserved time, made
anew after an event; the check of one gang that would go ahead, where its best place holds and where another one has to
be looked for. The limits are parts of the 20 ms that a whole cycle may take.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rackplane.engine.model import Request
from rackplane.engine.placing.placement import find
from rackplane.engine.planning.outlook import earliest_start
from rackplane.engine.queueing.reservations import Reservations, backfill
from rackplane.engine.queueing.shadow import Reservation
from rackplane.engine.state import State
from tests.benchmarks.bench_outlook import HOUR, full

TIMES = 20


def wanted(slots: int, at: float, hours: float) -> Request:
    return Request(slots=slots, gpus_per_slot=4, resource="nvidia.com/gpu", until=at + hours * HOUR, at=at)


def best(do: Callable[[], object]) -> float:
    """Milliseconds, the least of some runs."""
    times = []
    for _ in range(TIMES):
        before = time.perf_counter()
        do()
        times.append((time.perf_counter() - before) * 1000)
    return min(times)


def show(what: str, value: float, limit: float) -> None:
    print(f"{what:<58}{value:8.2f} ms   limit {limit:6.1f} ms   ratio {value / limit:5.2f}")


def reserved(state: State) -> Reservations:
    """What the head of the queue holds."""
    opening = earliest_start(
        state, now=0.0, horizon=7 * 24 * HOUR, duration=4 * HOUR, request=lambda at, _: wanted(64, at, 4)
    ).opening
    assert opening is not None
    ledger = Reservations()
    ledger.follow(state, 0)
    ledger.put(Reservation("head", opening.at, opening.at + 4 * HOUR, opening.placement))
    return ledger


def test_one_reservation() -> None:
    state = full(2_500)
    show("a place for the head, 64 nodes", best(lambda: reserved(state)), 100.0)
    ledger = reserved(state)
    for key in ("gang-0", "gang-40", "gang-200"):  # some have ended before their time
        state.release(key)
    [held] = list(ledger)
    stamps = iter(range(1, 10_000))

    def anew() -> object:
        ledger.follow(state, next(stamps))
        return ledger.at(held.at)

    show("the state at the reserved time, after an event", best(anew), 5.0)
    request = wanted(8, 0.0, 24)
    offer = find(state, request)
    assert offer is not None
    made = ledger.made
    shadows = ledger.beside(0.0, request.until)
    show(
        "to ask whether one goes ahead",
        best(lambda: all(s.takes(offer, request.until) for s in shadows)),
        1.0,
    )
    found = backfill(state, request, offer, shadows)
    what = "the same" if found is offer else "another place" if found is not None else "none"
    show(
        f"its place beside the reservation ({what})",
        best(lambda: backfill(state, request, offer, shadows)),
        10.0,
    )
    assert ledger.made == made, "asking makes nothing anew"
