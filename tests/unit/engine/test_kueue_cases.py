"""The six requests on which Kueue's greedy does worse (DESIGN.md, section 6): one pod a node, racks by free nodes."""

from __future__ import annotations

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
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State

GPU = "nvidia.com/gpu"
TYPE = NodeType("t", GPU, 4, 1000, 6000, nvlink_scope=NvlinkScope.LABEL)


def facility_of(blocks: dict[str, list[int]], *, used: dict[str, int] | None = None) -> State:
    """Racks of so many free nodes each, named block-number; ``used`` adds nodes that are taken."""
    used = used or {}
    racks, nodes, domains = [], [], []
    for block, sizes in blocks.items():
        for number, size in enumerate(sizes):
            rack = f"{block}{number}"
            racks.append(RackSpec(rack, "t", 0, 1_000_000, (Feed("grid"),)))
            domains.append(DomainSpec(rack))
            for i in range(size + used.get(rack, 0)):
                nodes.append(NodeSpec(f"{rack}-n{i}", rack, rack, (("block", block),)))
    spec = FacilitySpec(
        node_types=(TYPE,),
        racks=tuple(racks),
        powers=(PowerSpec("grid", 10_000_000),),
        domains=tuple(domains),
        levels=("block",),
    )
    state = State(compile_facility(spec), nodes)
    for rack, count in used.items():
        for i in range(count):
            state.set_unmanaged(f"{rack}-n{i}", 4)
    return state


def parts(
    state: State, slots: int, *, required: str | None = None, preferred: str | None = None
) -> dict[str, int]:
    request = Request(slots=slots, gpus_per_slot=4, resource=GPU, required=required, preferred=preferred)
    answer = place(state, request)
    assert isinstance(answer, Placement), answer
    result: dict[str, int] = {}
    for group in answer.groups:
        result[group.rack] = result.get(group.rack, 0) + len(group.nodes)
    assert len(set(answer.slots)) == slots
    return result


def test_required_block_12_takes_one_rack_of_the_block_that_has_one() -> None:
    assert parts(facility_of({"A": [5, 5, 5, 5], "B": [12, 12]}), 12, required="block") == {"B0": 12}


def test_required_block_18_takes_the_one_full_rack() -> None:
    assert parts(facility_of({"A": [18, 3], "B": [10, 10]}), 18, required="block") == {"A0": 18}


def test_required_block_10_keeps_the_nine_whole() -> None:
    assert parts(facility_of({"A": [9, 6, 4]}), 10, required="block") == {"A1": 6, "A2": 4}


def test_preferred_rack_20_leaves_no_straggler() -> None:
    state = facility_of({"A": [18, 18, 10, 8]})
    assert parts(state, 20, preferred="nvlink") == {"A0": 12, "A3": 8}


def test_preferred_rack_14_takes_two_racks_across_blocks() -> None:
    state = facility_of({"A": [10, 1], "B": [6, 4], "C": [2, 2]})
    assert parts(state, 14, preferred="nvlink") == {"A0": 10, "B1": 4}


@pytest.mark.parametrize("slots", [1, 4])
def test_unconstrained_small_gangs_use_the_rack_that_is_already_open(slots: int) -> None:
    state = facility_of({"A": [18], "B": [9]}, used={"B0": 9})
    assert parts(state, slots) == {"B0": slots}
