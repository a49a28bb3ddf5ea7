"""Every refusal in random crowded halls: its numbers are the oracle's, and every relief that it names is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from rackplane.engine.explaining.explanation import may_be_too_large
from rackplane.engine.model import Cause, FacilitySpec, Placement, Refusal, Request
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.draw import find_cap
from rackplane.engine.placing.placement import place
from rackplane.engine.reasons import Element, ElementKind, Relief, ReliefKind, Tightest
from rackplane.engine.state import State
from tests.property.engine.against_oracle import drawn_by
from tests.property.engine.facilities import Tape
from tests.property.engine.halls import GPUS, TYPE, crowd, hall, request
from tests.property.engine.oracle import PEAK_KINDS, Oracle
from tests.property.engine.oracle_draws import increment
from tests.property.engine.oracle_world import Loss, Row
from tests.support.thorough import some

EXAMPLES = some(2_000)
PARTS = 4
NUMBER = re.compile(r"([\d,]+(?:\.\d+)?) (k?)W")


# -- the numbers ---------------------------------------------------------------------------------------


def row_of(tightest: Tightest, spec: FacilitySpec) -> Row:
    """The oracle's name of the limit that a refusal names."""
    match tightest.kind:
        case ElementKind.POWER_DOMAIN:
            return Row("peak limit" if tightest.peak else "continuous rating", tightest.name)
        case ElementKind.RACK if tightest.feed:
            return Row("feed limit", tightest.name, tightest.feed)
        case ElementKind.RACK:
            return Row("rack peak limit" if tightest.peak else "rack limit", tightest.name)
        case ElementKind.POWER_BUDGET:
            return Row("budget", tightest.name, "", tightest.starts_at)
    (medium,) = (z.medium for z in spec.coolings if z.name == tightest.name)
    return Row(f"{medium} cooling".lower(), tightest.name)


def check_words(message: str, tightest: Tightest) -> None:
    """The sentence names the element and the loss, and its numbers are those of the parts as they are rounded."""
    assert tightest.name in message
    assert tightest.lost in message
    said = [
        (float(n.replace(",", "")) * (1_000 if kilo else 1), 51 if "." in n else 501)
        for n, kilo in NUMBER.findall(message)
    ]
    # A domain that fills up before the gang is placed is told of in nodes, not in watts that it needs.
    needs = [tightest.needed_watts] if " kW more" in message else []
    for watts in (*needs, tightest.limit_watts, tightest.load_watts, tightest.over_watts):
        assert any(abs(watts - number) <= slip for number, slip in said), (watts, message)


def room_in(state: State, wanted: Request, level: str, domain: str) -> dict[str, int]:
    """Slots by rack that the nodes of one domain of a level have free."""
    free: dict[str, int] = {}
    cap = find_cap(TYPE, wanted.power_profile)
    for node in state.nodes():
        assert node.rack is not None and node.domain is not None and cap is not None
        there = {"NVLink domain": node.domain, "leaf": dict(node.fabric)["leaf"]}.get(level, "the facility")
        usable = node.healthy and state.facility.usable(state.facility.rack_index[node.rack])
        if there == domain and usable and state.cap_watts(node.name) in (None, cap.node_watts):
            slots = state.free_gpus(node.name) // wanted.gpus_per_slot
            free[node.rack] = free.get(node.rack, 0) + slots
    return {rack: slots for rack, slots in free.items() if slots}


def least(costs: dict[str, float], room: dict[str, int], slots: int) -> float:
    """What so many slots cost at least, each rack taking no more than it has nodes."""
    each = sorted(cost for rack, cost in costs.items() for _ in range(room.get(rack, 0)))
    assert len(each) >= slots
    return sum(each[:slots])


def check_numbers(state: State, wanted: Request, tightest: Tightest) -> None:
    """Load, limit, loss and element are the oracle's; no limit is exceeded by more however the gang is spread."""
    spec = state.facility.spec
    oracle = Oracle(spec)
    loads = oracle.loads(drawn_by(state))
    loss, named = Loss(tightest.lost), row_of(tightest, spec)
    assert tightest.limit_watts == round(oracle.worlds[loss].limit(named))
    assert tightest.normal_limit_watts == round(oracle.worlds[Loss()].limit(named))
    assert tightest.out_of_service == oracle.second(loss)
    assert tightest.over_watts == tightest.load_watts - tightest.limit_watts > 0
    expected = loads[loss][named] + tightest.added_watts
    rounded = tightest.over_watts == 1 and expected > tightest.limit_watts - 1
    assert rounded or abs(tightest.load_watts - expected) <= 1.5

    nominal, peak = increment(TYPE, wanted.gpus_per_slot, wanted.power_profile)
    room = room_in(state, wanted, tightest.level, tightest.domain)
    overs: dict[tuple[Loss, Row], float] = {}
    adds: dict[tuple[Loss, Row], float] = {}
    for c, world in oracle.worlds.items():
        for row, load in loads[c].items():
            coming = row.starts_at is not None
            if coming and wanted.until is not None and wanted.until <= (row.starts_at or 0):
                continue
            watts = peak if row.kind in PEAK_KINDS else nominal
            costs = {rack: world.marginal(rack)[row] * watts for rack in room}
            adds[c, row] = least(costs, room, wanted.slots)
            if adds[c, row] > 0:
                overs[c, row] = load + adds[c, row] - world.limit(row)
    furthest = max(overs.values())
    if furthest > 1:
        # However it is spread, this is too much: the refusal names the limit that is exceeded furthest.
        assert abs(tightest.added_watts - adds[loss, named]) <= 1
        assert abs(tightest.over_watts - furthest) <= 1.5


# -- the reliefs ---------------------------------------------------------------------------------------


def fits(state: State, wanted: Request) -> bool:
    return isinstance(place(state, wanted), Placement)


def copied(state: State, spec: FacilitySpec | None = None) -> State:
    """The same nodes and work, perhaps in a facility that was changed."""
    other = State(state.facility if spec is None else compile_facility(spec), list(state.nodes()))
    for key in list(state.keys()):
        placement = state.booking(key)
        assert placement is not None
        other.book(key, placement, force=True, until=state.until(key))
        other.release(key, set(range(len(placement.slots))) - set(state.held(key)))
    for node in state.nodes():
        other.set_unmanaged(node.name, state.unmanaged_gpus(node.name))
    return other


def raised(state: State, relief: Relief) -> State:
    """The limits of these elements raised by so many watts, under every loss."""
    other = copied(state)
    f = other.facility
    limits = f.limits.copy()
    for element in relief.elements:
        kinds = {
            ElementKind.POWER_DOMAIN: ("continuous rating", "peak limit"),
            ElementKind.RACK: ("feed limit",) if element.feed else ("rack limit", "rack peak limit"),
            ElementKind.COOLING_ZONE: ("liquid cooling", "air cooling"),
            ElementKind.POWER_BUDGET: ("budget",),
        }[element.kind]
        rows = [
            b
            for b, row in enumerate(f.rows)
            if (row.element, row.detail) == (element.name, element.feed) and row.kind.value in kinds
        ]
        assert rows
        limits[np.isin(f.cell_rows, rows)] += element.watts
    other.facility = replace(f, limits=limits)
    return other


def returned(state: State, elements: tuple[Element, ...]) -> State:
    """Racks and nodes back in service."""
    spec = state.facility.spec
    back = {e.name for e in elements}
    racks = tuple(replace(r, schedulable=r.schedulable or r.name in back) for r in spec.racks)
    other = copied(state, replace(spec, racks=racks))
    for node in list(other.nodes()):
        if node.name in back:
            other.set_node(replace(node, healthy=True))
    return other


@contextmanager
def freed(state: State, nodes: tuple[str, ...]) -> Iterator[State]:
    """Nothing runs on these nodes."""
    with state.simulation():
        for key in list(state.keys()):
            state.release(key, [slot for slot, node in state.held(key).items() if node in nodes])
        for node in nodes:
            state.set_unmanaged(node, 0)
        yield state


def nodes_can_be_freed(state: State, wanted: Request, count: int) -> bool:
    """Whether the gang fits once some so many busy nodes are free."""
    busy = [n.name for n in state.nodes() if n.healthy and state.free_gpus(n.name) < GPUS]
    for chosen in combinations(busy, min(count, len(busy))):
        with freed(state, chosen):
            if fits(state, wanted):
                return True
    return False


def check_relief(state: State, wanted: Request, relief: Relief) -> None:
    """Do it on a copy: the gang starts."""
    match relief.kind:
        case ReliefKind.PROFILE:
            asked, lower = find_cap(TYPE, wanted.power_profile), find_cap(TYPE, relief.profile)
            assert asked is not None and lower is not None and lower.node_watts < asked.node_watts
            speed = 100 * lower.relative_performance_percent / asked.relative_performance_percent
            assert relief.slowdown_percent - 1 < 100 - speed <= relief.slowdown_percent
            assert fits(state, replace(wanted, power_profile=relief.profile, strict=True))
        case ReliefKind.LEVEL:
            assert fits(state, replace(wanted, required=relief.level or None))
        case ReliefKind.EARLIER_END:
            assert relief.at is not None and fits(state, replace(wanted, until=relief.at))
        case ReliefKind.BUDGET_END:
            assert relief.at is not None
            assert fits(state, replace(wanted, at=relief.at, until=None))
        case ReliefKind.GANG_END:
            other = copied(state)
            for key in relief.gangs:
                other.release(key)
            assert fits(other, wanted)
        case ReliefKind.NODES:
            assert nodes_can_be_freed(state, wanted, relief.slots)
        case ReliefKind.RETURN:
            assert fits(returned(state, relief.returns), wanted)
        case ReliefKind.WATTS:
            assert fits(raised(state, relief), wanted)
        case ReliefKind.FEWER_SLOTS:
            assert 0 < relief.slots < wanted.slots and fits(state, replace(wanted, slots=relief.slots))
        case _:
            assert not relief.now


@pytest.mark.parametrize("part", range(PARTS))
def test_the_numbers_of_a_refusal_are_right_and_its_reliefs_help(part: int) -> None:
    @seed(part)
    @settings(max_examples=EXAMPLES // PARTS, deadline=None, database=None)
    @given(st.binary(min_size=160, max_size=160))
    def explained(data: bytes) -> None:
        tape = Tape(data)
        state = hall(tape)
        crowd(tape, state)
        wanted = request(tape, 1 + tape.below(len(state.free) + 2), strict=tape.of(True, True, False))
        answer = place(state, wanted, questions=12)
        if not isinstance(answer, Refusal):
            assert not may_be_too_large(state, wanted)
            return
        if answer.cause is Cause.NODES:
            assert answer.misfit == may_be_too_large(state, wanted)
        if answer.tightest is not None:
            check_numbers(state, wanted, answer.tightest)
            check_words(answer.message, answer.tightest)
        assert len({r.kind for r in answer.reliefs}) == len(answer.reliefs)
        for relief in answer.reliefs:
            if relief.now:
                check_relief(state, wanted, relief)

    explained()
