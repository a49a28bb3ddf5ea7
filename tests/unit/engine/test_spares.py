"""Nodes that an NVLink domain of four keeps free for those that are lost: two of them, unless a test says otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.engine.model import (
    DomainSpec,
    FacilitySpec,
    Feed,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerSpec,
    RackSpec,
    Refusal,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.planning.spares import Spares, spares
from rackplane.engine.state import State

TYPE = NodeType("tray", "gpu", 4, 1000, 5000, nvlink_scope=NvlinkScope.OBJECT)
NAMES = ("r-0", "r-1", "r-2", "r-3")


def domain(away: int = 0, wanted: int = 2) -> State:
    """The first so many of the four nodes are not healthy."""
    spec = FacilitySpec(
        node_types=(TYPE,),
        racks=(RackSpec("r", "tray", 0, 100_000, (Feed("ups"),)),),
        powers=(PowerSpec("ups", 100_000),),
        domains=(DomainSpec("d", spare_nodes=wanted),),
    )
    nodes = [NodeSpec(name, "r", "d", healthy=i >= away) for i, name in enumerate(NAMES)]
    return State(compile_facility(spec), nodes)


def most(state: State) -> int:
    """The nodes that the largest gang gets."""
    found = 0
    for slots in range(1, len(NAMES) + 1):
        answer = place(state, Request(slots=slots, gpus_per_slot=4, resource="gpu"))
        found = slots if isinstance(answer, Placement) else found
    return found


@pytest.mark.parametrize(("away", "slots"), [(0, 2), (1, 2), (2, 2), (3, 1)])
def test_a_spare_stands_for_each_node_that_is_away(away: int, slots: int) -> None:
    state = domain(away)
    assert most(state) == slots
    assert spares(state) == [Spares("d", 2, NAMES[4 - max(0, 2 - away) :])]


def test_a_node_that_comes_back_is_a_spare_again() -> None:
    state = domain(away=1)
    state.set_node(replace(state.node("r-0") or pytest.fail("it is known"), healthy=True))
    assert [len(each.nodes) for each in spares(state)] == [2]


def test_until_a_lost_node_is_given_up_its_spare_is_kept_for_what_is_on_it() -> None:
    state = domain()
    placement = place(state, Request(slots=2, gpus_per_slot=4, resource="gpu"))
    assert isinstance(placement, Placement) and placement.slots == ("r-0", "r-1")
    state.book("a", placement)
    state.set_node(replace(state.node("r-1") or pytest.fail("it is known"), healthy=False))
    assert isinstance(place(state, Request(slots=1, gpus_per_slot=4, resource="gpu")), Refusal)
    state.release("a", [1])
    state.set_left("r-1", "MaxP", 4)
    # Its slot went to a spare: of the two one is left, and nothing that is neither.
    state.set_unmanaged("r-2", 4)
    assert spares(state) == [Spares("d", 2, ("r-3",))]
    assert most(state) == 0
