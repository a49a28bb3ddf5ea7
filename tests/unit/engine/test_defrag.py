"""Moves on halls whose answer is plain: racks of four nodes, four GPUs each, nothing but nodes in the way."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from rackplane.engine.model import (
    FacilitySpec,
    Feed,
    Group,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerSpec,
    RackSpec,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.planning.defrag import start, whole_domains
from rackplane.engine.planning.moves import Bounds, Gang, Movable, MovePlan, Places
from rackplane.engine.preempting.costs import Victim
from rackplane.engine.state import State

KIND = NodeType("t", "gpu", 4, 100, 1_100, nvlink_scope=NvlinkScope.LABEL)


def hall(racks: int, gangs: Mapping[str, tuple[str, int]]) -> State:
    """Gangs by name: the rack, and how many of its nodes, from the first free one on."""
    spec = FacilitySpec(
        (KIND,),
        tuple(RackSpec(f"r{r}", "t", 0, 100_000, (Feed("pdu"),)) for r in range(racks)),
        (PowerSpec("pdu", 1_000_000),),
    )
    members = [NodeSpec(f"r{r}n{i}", f"r{r}", f"d{r}") for r in range(racks) for i in range(4)]
    state = State(compile_facility(spec), members)
    for key, (rack, count) in gangs.items():
        free = [n.name for n in members if n.rack == rack and state.free_gpus(n.name) == 4][:count]
        state.book(key, placement(rack, *free))
    return state


def placement(rack: str, *nodes: str) -> Placement:
    watts = 1_000 * len(nodes)
    return Placement(
        slots=nodes,
        groups=(Group(f"d{rack[1:]}", rack, nodes),),
        gpus_per_slot=4,
        power_profile="MaxP",
        nominal_watts=watts,
        peak_watts=watts,
        liquid_watts=0,
        air_watts=watts,
    )


def asking(key: str, slots: int) -> Gang:
    wanted = Request(slots=slots, gpus_per_slot=4, resource="gpu", required="nvlink")

    def request(_: Collection[str], __: Places) -> Request:
        return wanted

    return Gang(key, request)


def movable(state: State, **lost: int) -> list[Movable]:
    return [
        Movable(asking(key, len(state.held(key))), Victim(key, lost_gpu_seconds=lost.get(key, 100)))
        for key in tuple(state.keys())
    ]


def held(state: State) -> list[tuple[str, Placement | None]]:
    return [(key, state.booking(key)) for key in tuple(state.keys())]


def racks(plan: MovePlan | None) -> dict[str, str] | None:
    return None if plan is None else {m.key: m.after.groups[0].rack for m in plan.moves}


def test_of_two_gangs_the_one_that_loses_less_is_moved() -> None:
    state = hall(3, {"a": ("r0", 1), "b": ("r1", 1), "c": ("r2", 2)})
    plan = start(state, asking("w", 4), movable(state, a=500, b=300, c=600))
    assert racks(plan) == {"b": "r2"}
    assert plan is not None and plan.proved and plan.waiting == "w"
    assert plan.placement is not None and plan.placement.groups[0].rack == "r1"


def test_a_gang_is_moved_to_make_room_for_one_that_moves() -> None:
    # a has to leave r0 and needs three nodes; r1 has two free, and b there finds a place on r2.
    state = hall(3, {"a": ("r0", 3), "b": ("r1", 1), "x": ("r1", 1), "c": ("r2", 3)})
    found = [m for m in movable(state, a=500) if m.key in ("a", "b")]
    plan = start(state, asking("w", 4), found)
    assert racks(plan) == {"a": "r1", "b": "r2"}


def test_nobody_is_moved_who_finds_no_place() -> None:
    state = hall(2, {"a": ("r0", 2), "b": ("r1", 3)})
    assert start(state, asking("w", 4), movable(state)) is None


def test_nobody_is_moved_for_a_gang_that_fits() -> None:
    state = hall(2, {"a": ("r0", 1)})
    assert start(state, asking("w", 4), movable(state)) is None


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Bounds(), {"a": "r1", "b": "r2"}),
        (Bounds(moves=1), None),
        (Bounds(lost_gpu_seconds=199), None),
        (Bounds(2, 200), {"a": "r1", "b": "r2"}),
    ],
)
def test_bounds(bounds: Bounds, expected: dict[str, str] | None) -> None:
    state = hall(3, {"a": ("r0", 1), "b": ("r0", 1), "c": ("r1", 3), "d": ("r2", 3)})
    found = [m for m in movable(state) if m.key in ("a", "b")]
    assert racks(start(state, asking("w", 4), found, bounds)) == expected


def test_what_the_caller_refuses_is_no_new_place() -> None:
    state = hall(3, {"a": ("r0", 1), "b": ("r1", 3), "c": ("r2", 3)})
    (m,) = [m for m in movable(state) if m.key == "a"]

    def not_there(offer: Placement, gone: Collection[str], places: Places) -> bool:
        assert (set(gone), set(places)) == ({"a"}, {"w"})
        return False

    refused = Movable(Gang("a", m.gang.request, not_there), m.cost)
    assert racks(start(state, asking("w", 4), [m])) == {"a": "r1"}
    assert start(state, asking("w", 4), [refused]) is None


def test_the_state_is_as_it_was() -> None:
    state = hall(3, {"a": ("r0", 1), "b": ("r1", 1), "c": ("r2", 2)})
    before = held(state)
    assert start(state, asking("w", 4), movable(state)) is not None
    assert whole_domains(state, movable(state)) is not None
    assert held(state) == before
    state.validate()


def test_domains_are_emptied_without_opening_a_free_one() -> None:
    state = hall(4, {"a": ("r0", 1), "b": ("r1", 1), "c": ("r2", 2)})
    plan = whole_domains(state, movable(state))
    assert plan is not None
    assert (racks(plan), plan.domains) == ({"a": "r2", "b": "r2"}, ("d0", "d1"))


def test_a_domain_with_a_gang_that_may_not_be_moved_is_left_alone() -> None:
    state = hall(2, {"a": ("r0", 1), "p": ("r0", 1), "b": ("r1", 2)})
    plan = whole_domains(state, [m for m in movable(state) if m.key != "p"])
    assert racks(plan) == {"b": "r0"}
    assert plan is not None and plan.domains == ("d1",)
