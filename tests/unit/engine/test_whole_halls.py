"""Gangs that fit elsewhere stay out of the hall that has most of its domains whole."""

from __future__ import annotations

import pytest

from rackplane.engine.model import (
    FacilitySpec,
    Feed,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerSpec,
    RackSpec,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State

TYPE = NodeType("t", "gpu", 4, 0, 1_000, nvlink_scope=NvlinkScope.OBJECT)


def halls(used: dict[str, tuple[int, ...]]) -> State:
    """Racks of eight nodes, each one NVLink domain; by hall how many nodes of each of its racks are in use."""
    names = {f"{hall}{i}": hall for hall, racks in used.items() for i in range(len(racks))}
    spec = FacilitySpec(
        (TYPE,),
        tuple(RackSpec(name, "t", 0, 10**6, (Feed("p"),)) for name in names),
        (PowerSpec("p", 10**9),),
        levels=("hall",),
    )
    known = [
        NodeSpec(f"{name}-{n}", name, name, (("hall", hall),))
        for name, hall in names.items()
        for n in range(8)
    ]
    state = State(compile_facility(spec), known)
    for hall, racks in used.items():
        for i, nodes in enumerate(racks):
            for n in range(nodes):
                state.set_unmanaged(f"{hall}{i}-{n}", 4)
    return state


def racks_of(state: State, slots: int, gpus: int = 4, segment: int | None = None) -> list[str]:
    answer = place(state, Request(slots=slots, gpus_per_slot=gpus, resource="gpu", segment_slots=segment))
    assert isinstance(answer, Placement)
    return [group.rack for group in answer.groups]


@pytest.mark.parametrize(
    ("slots", "gpus", "rack"),
    [
        pytest.param(2, 4, "a0", id="a small gang passes over the tightest rack of the emptier hall"),
        pytest.param(1, 1, "a0", id="so does a pod of one GPU"),
        pytest.param(4, 4, "a1", id="one that needs a whole rack opens it where fewer are whole"),
        pytest.param(8, 4, "a1", id="as does one of a full rack"),
    ],
)
def test_a_gang_goes_to_the_hall_that_has_fewest_of_its_racks_whole(slots: int, gpus: int, rack: str) -> None:
    state = halls({"a": (5, 0), "b": (6, 0, 0, 0)})
    assert racks_of(state, slots, gpus) == [rack]


def test_it_is_the_share_of_whole_racks_that_counts_not_their_number() -> None:
    """The smaller hall has fewer whole racks, but is less broken into."""
    state = halls({"a": (6, 5, 5, 0, 0, 0), "b": (5, 0, 0)})
    assert racks_of(state, 2) == ["a0"]


def test_a_whole_rack_is_not_opened_for_the_sake_of_a_hall() -> None:
    state = halls({"a": (7, 0), "b": (4, 0, 0, 0)})
    assert racks_of(state, 3) == ["b0"]


def test_a_gang_over_several_racks_goes_where_fewer_are_whole_too() -> None:
    state = halls({"a": (1, 0, 0), "b": (0, 0, 0)})
    assert racks_of(state, 16, segment=8) == ["a1", "a2"]


def test_in_a_hall_or_where_all_are_alike_the_tightest_rack_is_taken() -> None:
    assert racks_of(halls({"a": (3, 5, 0)}), 2) == ["a1"]
    assert racks_of(halls({"a": (3, 0), "b": (5, 0)}), 2) == ["b0"]
