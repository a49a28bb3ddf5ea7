"""Pods without GPUs go to every node that their mask allows, whatever accelerator it has, and draw nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rackplane.engine.model import (
    FacilitySpec,
    Feed,
    NodeSpec,
    NodeType,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Refusal,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State

NVIDIA = NodeType("n", "nvidia.com/gpu", 8, 1_000, 9_000, caps=(PowerCap("MaxQ", 6_000, 80),))
TRAINIUM = NodeType("t", "aws.amazon.com/neuron", 16, 1_000, 5_000)
FULL = FacilitySpec(
    node_types=(NVIDIA, TRAINIUM),
    racks=(
        RackSpec("left", "n", 0, 2_000, (Feed("top"),)),
        RackSpec("right", "t", 0, 2_000, (Feed("top"),)),
    ),
    powers=(PowerSpec("top", 4_000),),
)
"""Idle nodes take all the watts that there are."""
NODES = [NodeSpec(f"{rack}-{i}", rack) for rack in ("left", "right") for i in range(2)]
TWO_EACH = {node.name: 2 for node in NODES}


def ask(slots: int, mask: dict[str, int], **more: Any) -> tuple[State, Placement | Refusal]:
    state = State(compile_facility(FULL), NODES)
    request = Request(slots=slots, gpus_per_slot=0, resource="nvidia.com/gpu", capacity=mask, **more)
    return state, place(state, request)


@pytest.mark.parametrize("profile", ["MaxP", "MaxQ"])
def test_every_node_is_used_and_no_watt_is_drawn(profile: str) -> None:
    state, answer = ask(8, TWO_EACH, power_profile=profile)
    assert isinstance(answer, Placement), answer
    assert sorted(answer.slots) == sorted([*TWO_EACH] * 2)
    assert (answer.nominal_watts, answer.peak_watts, answer.power_profile) == (0, 0, profile)
    before = state.loads.copy()
    state.book("gang", answer)
    assert (state.loads == before).all()
    state.validate()


def test_the_mask_alone_says_which_nodes() -> None:
    _, answer = ask(2, {"right-1": 2})
    assert isinstance(answer, Placement)
    assert answer.slots == ("right-1", "right-1")


def test_nodes_of_other_accelerators_are_still_not_for_pods_with_gpus() -> None:
    state = State(compile_facility(replace(FULL, racks=(FULL.racks[1],), powers=(PowerSpec("top", 99_000),))))
    state.set_node(NODES[2])
    assert isinstance(place(state, Request(slots=1, gpus_per_slot=8, resource="nvidia.com/gpu")), Refusal)


def test_one_pod_too_many_is_refused_with_what_there_is() -> None:
    _, answer = ask(9, TWO_EACH)
    assert isinstance(answer, Refusal)
    assert answer.message == "needs 9 pods; the facility has 8 free"
