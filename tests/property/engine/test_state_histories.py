"""A state that has been through anything equals one that is told of the outcome only; a simulation leaves no trace."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.model import FacilitySpec, NodeSpec
from rackplane.engine.nodes.podkinds import PodKind
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.planning.afterwards import Afterwards
from rackplane.engine.state import State
from tests.property.engine.against_oracle import check_state, drawn_by
from tests.property.engine.facilities import ENDS, Tape, facility, job
from tests.property.engine.oracle import Oracle
from tests.support.thorough import some

NODES = tuple(f"n{i}" for i in range(5))


class History:
    """Random calls of a state, and beside it what should have come of them."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.spec: FacilitySpec = facility(tape)
        self.facility = compile_facility(self.spec)
        self.state = State(self.facility)
        self.count = 0

    def step(self, *, nodes_stay: bool = False) -> None:
        tape, state = self.tape, self.state
        name = tape.of(*NODES)
        keys = list(state.keys())
        match 2 + tape.below(9) if nodes_stay else tape.below(11):
            case 0 | 1:
                self.place(name)
            case 2 | 3:
                self.count += 1
                made = job(tape)
                slots = [tape.of(*NODES) for _ in range(1 + tape.below(3))]
                state.book(f"job-{self.count}", made.placement(*slots), force=True, until=made.until)
            case 4 if keys:
                state.release(tape.of(*keys), tape.of(None, [0], [0, 2], [7]))
            case 5:
                state.set_unmanaged(name, tape.below(4))
            case 6 if keys:
                state.expect(tape.of(*keys), tape.of(*ENDS))
            case 7 if not nodes_stay:
                state.remove_node(name)
            case 8 if keys:
                self.grow(tape.of(*keys))
            case 9:
                state.release_all([key for key in keys if tape.below(2)])
            case 10:
                state.set_left(name, tape.of("MaxP", "MaxQ", "none"), tape.below(4))

    def place(self, name: str) -> None:
        tape = self.tape
        rack = f"r{tape.below(len(self.spec.racks) + (1 if tape.rarely() else 0))}"
        self.state.set_node(NodeSpec(name, rack, tape.of(None, "d"), healthy=not tape.rarely()))

    def grow(self, key: str) -> None:
        """Slots are added, some that were given up are taken again, and its power profile changes."""
        placement, held = self.state.booking(key), self.state.held(key)
        assert placement is not None
        slots = [held.get(slot, self.tape.of(*NODES)) for slot in range(len(placement.slots))]
        slots += [self.tape.of(*NODES) for _ in range(self.tape.below(3))]
        more = [slot for slot in range(len(slots)) if slot in held or self.tape.below(2)]
        profile = self.tape.of(placement.power_profile, "MaxP", "MaxQ")
        each = replace(placement, slots=tuple(slots), slot_gpus=(), power_profile=profile)
        self.state.rebook(key, each, more, force=True)

    def simulate(self, depth: int = 0) -> None:
        """Steps that are taken back, with others inside them; all is as it was, to the last bit."""
        before = picture(self.state)
        with self.state.simulation():
            for _ in range(self.tape.below(5)):
                self.step()
            if depth < 2 and self.tape.below(2):
                self.simulate(depth + 1)
            alike(self.state)
            for _ in range(self.tape.below(3)):
                self.step()
            self.state.validate()
        assert picture(self.state) == before

    def look(self) -> None:
        """One of those who follow the nodes looks at what has changed since it looked last."""
        tape, state, fresh = self.tape, self.state, self.fresh()
        assert alike(state) == alike(fresh)
        resource = tape.of("gpu", None)
        layouts = [each.layout("", resource, bins="") for each in (state, fresh)]
        if tape.below(2):
            kind = PodKind("gpu", 1 + tape.below(2), tape.of("MaxP", "MaxQ"))
            views = [each.view(kind) for each in (state, fresh)]
            assert views[0].slots.tolist() == views[1].slots.tolist()
            sums = [view.sums(layout) for view, layout in zip(views, layouts, strict=True)]
            assert sums[0].free.tolist() == sums[1].free.tolist()
            assert sums[0].used_nodes.tolist() == sums[1].used_nodes.tolist()
        else:
            ends = [each.ends.by_bin(layout) for each, layout in zip((state, fresh), layouts, strict=True)]
            assert ends[0].tolist() == ends[1].tolist()

    def work(self, depth: int = 0, *, nodes_stay: bool) -> None:
        """Steps, simulations in one another, and looks in any order."""
        for _ in range(2 + self.tape.below(4)):
            self.step(nodes_stay=nodes_stay)
            if self.tape.below(2):
                self.look()
            if depth < 3 and self.tape.below(3) == 0:
                with self.state.simulation():
                    self.work(depth + 1, nodes_stay=nodes_stay)
                self.look()

    def fresh(self) -> State:
        """The outcome, told at once."""
        state = State(self.facility, list(self.state.nodes()))
        for key in list(self.state.keys()):
            placement = self.state.booking(key)
            assert placement is not None
            state.book(key, placement, force=True, until=self.state.until(key))
            state.release(key, set(range(len(placement.slots))) - set(self.state.held(key)))
        for name in NODES:
            state.set_unmanaged(name, self.state.unmanaged_gpus(name))
        for name, left in self.state.left_nodes().items():
            state.set_left(name, *left)
        return state


def picture(state: State) -> list[object]:
    """All that can be asked of a state."""
    return [
        state.loads.tolist(),
        [part.tolist() for part in state.headrooms()],
        state.violations(),
        *exact(state),
    ]


def exact(state: State) -> list[object]:
    """All of it that has no rounding."""
    return [
        state.nominal.tolist(),
        state.peak.tolist(),
        dict(zip(state.inventory.names, state.free.tolist(), strict=True)),
        {
            key: (state.booking(key), state.held(key), state.until(key), state.reserved(key))
            for key in list(state.keys())
        },
        sorted(state.overbooked()),
        {name: (state.node(name), state.other_gpus(name), state.cap_watts(name)) for name in NODES},
        state.left_nodes(),
        alike(state),
    ]


def alike(state: State) -> dict[str, Counter[tuple[object, ...]]]:
    """By key, its nodes by what they are used for."""
    found: dict[str, Counter[tuple[object, ...]]] = {}
    for key in list(state.keys()):
        counts = found[key] = Counter()
        for use, gpus, count in state.nodes_alike(key):
            counts[use.rack, use.node_type.name, use.booked, use.free, use.cap, use.watts, gpus] += count
    return found


@settings(max_examples=some(400), deadline=None)
@given(st.binary(min_size=500, max_size=500))
def test_what_a_state_went_through_leaves_no_trace(data: bytes) -> None:
    tape = Tape(data)
    history = History(tape)
    for _ in range(4 + tape.below(12)):
        history.step()
        if tape.rarely():
            history.simulate()
    history.simulate()
    state, fresh = history.state, history.fresh()
    state.validate()
    assert exact(state) == exact(fresh)
    np.testing.assert_allclose(state.loads, fresh.loads, rtol=0, atol=TOLERANCE_WATTS)
    check_state(state, Oracle(history.spec), drawn_by(state))


@settings(max_examples=some(200), deadline=None)
@given(st.binary(min_size=600, max_size=600))
def test_what_is_left_afterwards_is_what_a_release_leaves(data: bytes) -> None:
    tape, after = Tape(data), Afterwards()
    history = History(tape)
    state = history.state
    for _ in range(3 + tape.below(4)):
        for _ in range(tape.below(4)):
            history.step()
        before = picture(state)
        over = [key for key in list(state.keys()) if tape.below(2)]
        left = after.of(state, frozenset(over))
        assert picture(state) == before
        left.validate()
        with state.simulation():
            state.release_all(over)
            assert exact(left) == exact(state)
            assert list(left.keys()) == list(state.keys())
            np.testing.assert_allclose(left.loads, state.loads, rtol=0, atol=TOLERANCE_WATTS)
            resource = tape.of("gpu", None)
            layouts = [each.layout("", resource, bins="") for each in (left, state)]
            views = [each.view(PodKind("gpu", 1, "MaxP")) for each in (left, state)]
            assert views[0].slots.tolist() == views[1].slots.tolist()
            ends = [each.ends.by_bin(layout) for each, layout in zip((left, state), layouts, strict=True)]
            assert ends[0].tolist() == ends[1].tolist()
            if tape.below(2):  # what is asked about may be simulated itself
                history.step()
                assert exact(after.of(state, ())) == exact(state)


def test_what_is_left_afterwards_is_the_same_state_told_of_the_difference_alone() -> None:
    tape, after = Tape(bytes(500)), Afterwards()
    history = History(tape)
    for name in NODES:
        history.place(name)
    made = job(tape)
    for key, node in zip("abc", NODES, strict=False):
        history.state.book(key, made.placement(node), force=True)
    first = after.of(history.state, {"a"})
    position = first.table.position
    history.state.release("b")
    second = after.of(history.state, {"a"})
    assert second is first
    assert [first.inventory.names[i] for i in second.table.changes(position) or ()] == [NODES[1]]
    # Of another facility it is another one.
    other = State(compile_facility(history.spec), list(history.state.nodes()))
    assert after.of(other, ()) is not first


@settings(max_examples=some(400), derandomize=True, deadline=None)
@given(st.binary(min_size=700, max_size=700), st.booleans())
def test_who_follows_the_nodes_knows_them_in_and_after_simulations(data: bytes, nodes_stay: bool) -> None:
    history = History(Tape(data))
    for name in NODES:
        history.place(name)
    history.work(nodes_stay=nodes_stay)
    history.state.validate()
