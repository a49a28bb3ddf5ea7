"""What is reserved is kept: against the state itself at that time, and over whole days of a queue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from rackplane.engine.placing.placement import find
from rackplane.engine.planning.outlook import earliest_start
from rackplane.engine.queueing.reservations import Reservations, bounds
from rackplane.engine.queueing.shadow import Reservation
from rackplane.engine.state import State
from tests.property.engine.facilities import Tape
from tests.property.engine.halls import crowd, hall, request
from tests.property.engine.yards import Job, Yard
from tests.support.thorough import some

TAPES = st.binary(min_size=600, max_size=600)
LATE = 1_000_000.0


def jobs(tape: Tape, *, kept: bool) -> list[Job]:
    made = []
    for i in range(3 + tape.below(10)):
        says = float(tape.of(20, 50, 100, 300))
        runs = says if kept else says * tape.of(1.0, 0.3, 1.7, 4.0)
        wanted = request(tape, 1 + tape.below(6), strict=tape.of(False, True))
        made.append(Job(f"job-{i:02}", float(tape.below(12) * 15), wanted, says, runs))
    return made


def fits_alone(state: State, job: Job) -> bool:
    """Whether it could start in the empty hall once all budgets have come, and those that end are over."""
    return find(state, replace(job.wanted, at=LATE, until=LATE + job.says)) is not None


@settings(max_examples=some(240), deadline=None)
@given(TAPES, st.integers(1, 4))
def test_nobody_who_goes_ahead_delays_a_reservation_while_durations_are_kept(
    data: bytes, reservations: int
) -> None:
    tape = Tape(data)
    yard = Yard(hall(tape), reservations)
    todo = jobs(tape, kept=True)
    able = [job.name for job in todo if fits_alone(yard.state, job)]
    yard.run(todo)
    assert yard.moved == 0
    late = {name: (at, yard.started.get(name)) for name, at in yard.promised.items()}
    assert all(began is not None and began <= at for at, began in late.values()), late
    event("reserved" if yard.promised else "nothing reserved")
    assert set(able) <= set(yard.started)


@settings(max_examples=some(240), deadline=None)
@given(TAPES, st.integers(1, 3))
def test_whatever_gangs_really_take_all_that_fit_start_in_the_end(data: bytes, reservations: int) -> None:
    tape = Tape(data)
    yard = Yard(hall(tape), reservations, kept=False)
    todo = jobs(tape, kept=False)
    able = [job.name for job in todo if fits_alone(yard.state, job)]
    yard.run(todo)
    assert set(able) <= set(yard.started)
    event("moved" if yard.moved else "kept")


@settings(max_examples=some(240), deadline=None)
@given(TAPES)
def test_a_shadow_is_the_state_at_that_time(data: bytes) -> None:
    tape = Tape(data)
    state = hall(tape)
    crowd(tape, state)
    wanted, says = request(tape, 1 + tape.below(6), strict=False), 100.0
    opening = earliest_start(
        state,
        now=0.0,
        horizon=1_000.0,
        duration=says,
        request=lambda at, _: replace(wanted, at=at, until=at + says),
    ).opening
    assume(opening is not None)
    assert opening is not None
    held = Reservation("held", opening.at, opening.at + says, opening.placement)
    ledger = Reservations()
    ledger.follow(state, 1)
    assert ledger.at(held.at).could_start(held.placement, held.until)
    ledger.put(held)
    other = request(tape, 1 + tape.below(4), strict=True)
    other = replace(other, until=opening.at + 50.0, at=None)
    shadow = ledger.at(opening.at)
    with state.simulation():
        for key in [k for k in tuple(state.keys()) if (end := state.until(k)) is not None and end <= held.at]:
            state.release(key)
        state.book("held", held.placement, until=held.until)
        later = state.slack(other.until, at=held.at)
        theirs = {
            name: 0
            if state.cap_watts(name) not in (None, cap)
            else state.free_gpus(name) // other.gpus_per_slot
            for name, cap in _caps(state, other.power_profile).items()
        }
        spared = {state.inventory.names[i] for i in state.held_back()}
    finite = np.isfinite(later)
    assert np.array_equal(finite, np.isfinite(shadow.slack(other.until)))
    assert np.abs(later[finite] - shadow.slack(other.until)[finite]).max(initial=0.0) < 0.01
    for name, slots in theirs.items():
        mine = shadow.slots(name, other.gpus_per_slot, other.power_profile)
        assert mine == slots or (mine == 0 and name in spared)
    assert set(held.placement.slots) <= set(bounds([shadow], 1, "MaxP"))
    offer = find(state, other)
    if offer is not None and shadow.takes(offer, other.until):
        event("fits beside")
        with state.simulation():
            state.book("other", offer, until=other.until)
            after = Reservations()
            after.follow(state, 2)
            assert after.at(held.at).could_start(held.placement, held.until)


def _caps(state: State, profile: str) -> dict[str, int]:
    watts = {"MaxP": 5_000, "MaxQ": 3_000, "Low": 1_800}
    return {node.name: watts[profile] for node in state.nodes() if state.node_type(node.name) is not None}
