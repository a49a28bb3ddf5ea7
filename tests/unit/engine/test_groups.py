"""Gangs whose slots differ: placed whole, near each other, under every limit; refused in words where they cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from rackplane.engine.bookings import Reserved
from rackplane.engine.model import (
    BookingError,
    Cause,
    FacilitySpec,
    Feed,
    Group,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Refusal,
    RefusalKind,
    Request,
    SlotGroup,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import find, place
from rackplane.engine.state import State

TYPE = NodeType(
    "t", "gpu", 4, 1_000, 5_000, nvlink_scope=NvlinkScope.LABEL, caps=(PowerCap("MaxQ", 3_000, 80),)
)


def hall(*, leaves: int = 2, nodes: int = 4, row_watts: int = 10**6) -> State:
    """Leaves of two racks, each one NVLink domain; 4 kW over idle a node, all on one row."""
    racks, known = [], []
    for leaf in range(leaves):
        for r in range(2):
            rack = f"l{leaf}r{r}"
            racks.append(RackSpec(rack, "t", 0, 10**6, (Feed("row"),)))
            known += [
                NodeSpec(f"{rack}n{i}", rack, f"d-{rack}", (("leaf", f"leaf-{leaf}"),)) for i in range(nodes)
            ]
    facility = compile_facility(
        FacilitySpec((TYPE,), tuple(racks), (PowerSpec("row", row_watts),), levels=("leaf",))
    )
    assert not facility.problems
    return State(facility, known)


@dataclass(frozen=True)
class Cpus:
    """Each node has ``of_node`` CPUs, or its own number; each slot of a group takes some."""

    of_slot: tuple[int, ...]
    of_node: int = 8
    own: tuple[tuple[str, int], ...] = ()

    def slots(self, group: int, node: str, taken: tuple[int, ...]) -> int:
        left = dict(self.own).get(node, self.of_node)
        left -= sum(n * each for n, each in zip(taken, self.of_slot, strict=True))
        return left // self.of_slot[group]


def gang(state: State, *groups: tuple[str, int, int], cpus: Cpus | None = None, **more: Any) -> Request:
    """Of groups (name, slots, GPUs)."""
    masks: list[Mapping[str, int] | None] = [None] * len(groups)
    if cpus is not None:
        nothing = (0,) * len(groups)
        masks = [{n.name: cpus.slots(g, n.name, nothing) for n in state.nodes()} for g in range(len(groups))]
    return Request(
        slots=sum(slots for _, slots, _ in groups),
        gpus_per_slot=max(gpus for _, _, gpus in groups),
        resource="gpu",
        groups=tuple(
            SlotGroup(slots=slots, gpus_per_slot=gpus, resource="gpu", name=name, capacity=mask)
            for (name, slots, gpus), mask in zip(groups, masks, strict=True)
        ),
        beside=cpus,
        **more,
    )


def refused(state: State, request: Request, **more: Any) -> Refusal:
    answer = place(state, request, **more)
    assert isinstance(answer, Refusal), answer
    assert find(state, request) is None
    return answer


def test_a_leader_without_gpus_goes_on_a_workers_node_and_keeps_the_order_of_slots() -> None:
    state = hall()
    answer = place(state, gang(state, ("leader", 1, 0), ("workers", 4, 4), cpus=Cpus((2, 4))))
    workers = tuple(f"l0r0n{i}" for i in range(4))
    assert answer == Placement(
        slots=("l0r0n0", *workers),
        groups=(Group("d-l0r0", "l0r0", ("l0r0n0",)), Group("d-l0r0", "l0r0", workers)),
        gpus_per_slot=4,
        power_profile="MaxP",
        nominal_watts=16_000,
        peak_watts=16_000,
        liquid_watts=0,
        air_watts=16_000,
        slot_gpus=(0, 4, 4, 4, 4),
    )


def test_a_leader_that_finds_no_cpus_beside_a_worker_goes_next_to_it() -> None:
    state = hall()
    answer = place(state, gang(state, ("leader", 1, 0), ("workers", 3, 4), cpus=Cpus((6, 6))))
    assert isinstance(answer, Placement)
    assert answer.slots == ("l0r0n3", "l0r0n0", "l0r0n1", "l0r0n2")


def test_a_domain_without_room_for_the_leader_is_passed_over() -> None:
    state = hall()
    for node in ("l0r0n0", "l0r0n1"):
        state.set_unmanaged(node, 4)
    # The workers fit leaf 0 best, but the leader's CPUs are in leaf 1 alone.
    cpus = Cpus((8, 4), of_node=4, own=(("l1r1n3", 8),))
    request = gang(state, ("leader", 1, 0), ("workers", 2, 4), cpus=cpus, required="leaf")
    answer = place(state, request)
    assert isinstance(answer, Placement)
    assert answer.slots == ("l1r1n3", "l1r1n0", "l1r1n1")


def test_workers_leave_the_only_node_for_the_leader_to_it() -> None:
    state = hall(leaves=1, nodes=2)
    cpus = Cpus((8, 4), of_node=4, own=(("l0r0n0", 8),))
    answer = place(state, gang(state, ("leader", 1, 0), ("workers", 3, 4), cpus=cpus, required="leaf"))
    assert isinstance(answer, Placement)
    assert (answer.slots[0], set(answer.slots[1:])) == ("l0r0n0", {"l0r0n1", "l0r1n0", "l0r1n1"})


def test_unlike_gpus_share_a_node_and_its_watts() -> None:
    state = hall(leaves=1, nodes=1)
    answer = place(state, gang(state, ("half", 2, 2), ("one", 4, 1), required="leaf"))
    assert isinstance(answer, Placement)
    assert answer.slots == ("l0r0n0", "l0r0n0", "l0r1n0", "l0r1n0", "l0r1n0", "l0r1n0")
    assert answer.nominal_watts == 8_000


def test_the_preferred_level_is_left_for_the_required_one() -> None:
    state = hall(leaves=1)
    cpus = Cpus((8, 8))
    full = gang(state, ("a", 3, 4), ("b", 1, 0), cpus=cpus, preferred="nvlink", required="leaf")
    near = place(state, full)
    assert isinstance(near, Placement)
    assert {g.domain for g in near.groups} == {"d-l0r0"}
    wider = place(state, replace(full, slots=5, groups=(full.groups[0], replace(full.groups[1], slots=2))))
    assert isinstance(wider, Placement)
    assert {g.domain for g in wider.groups} == {"d-l0r0", "d-l0r1"}


def test_uneven_slots_are_held_released_and_held_again() -> None:
    state = hall(leaves=1)
    answer = place(state, gang(state, ("big", 1, 4), ("small", 2, 1), ("leader", 1, 0)))
    assert isinstance(answer, Placement)
    assert answer.slots == ("l0r0n0", "l0r0n1", "l0r0n1", "l0r0n0")
    state.book("g", answer)
    state.validate()
    assert state.held_gpus("g") == {"l0r0n0": 4, "l0r0n1": 2}
    assert state.reserved("g") == Reserved(6_000, 6_000, 0, 6_000)
    state.release("g", [0, 2])
    state.validate()
    assert state.held_gpus("g") == {"l0r0n0": 0, "l0r0n1": 1}
    assert (state.free_gpus("l0r0n0"), state.free_gpus("l0r0n1")) == (4, 3)
    assert state.cap_watts("l0r0n0") is None  # a leader alone needs no power cap
    state.release("g")
    state.book("g", answer)
    assert state.reserved("g") == Reserved(6_000, 6_000, 0, 6_000)
    state.release("g", [0, 1])
    state.set_unmanaged("l0r0n1", 2)
    with pytest.raises(BookingError, match="needs 2 GPUs on node l0r0n1, where 1 are free"):
        state.book("h", replace(answer, slots=("l0r1n0", "l0r0n1", "l0r0n1", "l0r0n0")))


def test_power_is_checked_on_the_whole_gang() -> None:
    # 16 kW idle, 4 kW a node: six nodes fit, and each group alone does.
    state = hall(row_watts=40_000)
    request = gang(state, ("a", 4, 4), ("b", 3, 4), strict=True)
    answer = refused(state, request)
    assert (answer.kind, answer.cause) == (RefusalKind.UNPLACEABLE, Cause.POWER)
    assert answer.message == (
        "with a placed, group b needs 12 kW more; that would put power domain row at 44 kW of 40 kW (4 kW over)"
    )
    assert answer.relief == "free 4 kW on power domain row"
    lower = place(state, replace(request, strict=False))
    assert isinstance(lower, Placement)
    assert (lower.power_profile, lower.relative_performance_percent, lower.nominal_watts) == (
        "MaxQ",
        80,
        14_000,
    )


def test_a_group_that_does_not_fit_alone_is_explained_alone() -> None:
    state = hall()
    answer = refused(state, gang(state, ("workers", 9, 4), ("leader", 1, 0), required="leaf"))
    assert (answer.kind, answer.misfit) == (RefusalKind.UNPLACEABLE, True)
    assert (
        answer.message
        == "group workers needs 9 nodes of 4 GPUs in one leaf; the largest, leaf-0, has 8 in all"
    )


def test_groups_that_have_too_few_nodes_together_hear_of_the_nearest_domain() -> None:
    state = hall()
    answer = refused(state, gang(state, ("a", 5, 4), ("b", 4, 4), required="leaf"), questions=4)
    assert (answer.kind, answer.cause) == (RefusalKind.UNPLACEABLE, Cause.NODES)
    assert answer.message == (
        "needs 5 pods of 4 GPUs and 4 pods of 4 GPUs in one leaf; leaf-1 has 32 GPUs free for them, and they need 36"
    )
    assert answer.relief == "require no level"


def test_a_leader_without_room_is_named_with_the_end_that_would_help() -> None:
    state = hall(leaves=1, nodes=1)
    state.book(
        "other",
        Placement(
            slots=("l0r1n0",),
            groups=(Group("d-l0r1", "l0r1", ("l0r1n0",)),),
            gpus_per_slot=4,
            power_profile="MaxP",
            nominal_watts=4_000,
            peak_watts=4_000,
            liquid_watts=0,
            air_watts=4_000,
        ),
    )
    answer = refused(state, gang(state, ("big", 1, 4), ("small", 1, 1)), questions=4)
    assert (answer.kind, answer.cause) == (RefusalKind.UNPLACEABLE, Cause.NODES)
    assert answer.message == (
        "needs 1 pod of 4 GPUs and 1 pod of 1 GPU; the facility has 4 GPUs free for them, and they need 5"
    )
    assert answer.relief == "wait for gang other to end"
    tight = refused(state, gang(state, ("big", 1, 4), ("leader", 1, 0), cpus=Cpus((4, 8)), required="nvlink"))
    assert (
        tight.message
        == "with big placed, group leader needs 1 pod without GPUs; d-l0r0 then has no node for it"
    )


def test_beyond_the_size_that_is_searched_nothing_is_called_proved() -> None:
    state = hall(leaves=1, nodes=24)
    # Two of three slots fill a node; no 48 nodes take 48 of each, but that is one of very many ways.
    cpus = Cpus((5, 4), of_node=8)
    answer = refused(state, gang(state, ("a", 40, 1), ("b", 17, 1), cpus=cpus))
    assert answer.kind is RefusalKind.NOT_FOUND


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ((("a", 2, 4),), "asks for 2 slots in 1 groups, which have 2"),
        ((("a", 2, 4), ("b", 0, 4)), "group b: asks for 0 slots of 4 GPUs in segments of None"),
        ((("a", 2, 4), ("b", 1, 5)), "group b: needs 5 GPUs on one node; the largest node has 4"),
    ],
)
def test_what_no_facility_could_take_is_refused(
    groups: tuple[tuple[str, int, int], ...], message: str
) -> None:
    state = hall()
    answer = refused(state, gang(state, *groups))
    assert (answer.kind, answer.misfit, answer.message) == (RefusalKind.UNPLACEABLE, True, message)


def test_a_large_hall_that_power_rules_out_for_all_groups_together_is_unplaceable() -> None:
    # 80 nodes: more than every way is looked at. 20 slots at 4 kW over idle fit by themselves, 30 do not.
    state = hall(leaves=10, row_watts=80_000 + 100_000)
    fits = gang(state, ("a", 10, 4), ("b", 15, 4))
    assert isinstance(place(state, fits), Placement)
    answer = refused(state, gang(state, ("a", 10, 4), ("b", 20, 4), strict=True))
    assert answer.kind is RefusalKind.UNPLACEABLE


def test_domains_that_cannot_carry_all_groups_do_not_use_up_those_that_are_tried() -> None:
    """Thirty leaves take the workers and not the evaluators beside them; the last takes both, and is the roomiest."""
    state = leaves_of([16_000] * 30 + [40_000])
    answer = place(state, gang(state, ("workers", 3, 4), ("evaluators", 2, 4), required="leaf"))
    assert isinstance(answer, Placement)
    assert {group.rack for group in answer.groups} == {"l30r0"}


def leaves_of(watts: list[int]) -> State:
    """Leaves of one rack of eight nodes, each on a busway of its own with so many watts over idle."""
    racks = tuple(RackSpec(f"l{i}r0", "t", 0, 10**6, (Feed(f"bus-{i}"),)) for i in range(len(watts)))
    buses = tuple(PowerSpec(f"bus-{i}", 8_000 + w) for i, w in enumerate(watts))
    facility = compile_facility(FacilitySpec((TYPE,), racks, buses, levels=("leaf",)))
    known = [
        NodeSpec(f"l{i}r0n{n}", f"l{i}r0", f"d-{i}", (("leaf", f"leaf-{i}"),))
        for i in range(len(watts))
        for n in range(8)
    ]
    return State(facility, known)
