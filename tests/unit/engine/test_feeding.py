"""Places where free GPUs keep CPU and memory are preferred, with the arithmetic by hand.

A node has 8 GPUs. What it has left is 64 CPUs unless a test says otherwise; a GPU needs 8 of them in the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

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
from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.feeding import slots_fed, takes_more
from rackplane.engine.placing.placement import find, place
from rackplane.engine.state import State

Ints = NDArray[np.int64]

TYPE = NodeType("hgx", "gpu", 8, 1000, 9000, nvlink_scope=NvlinkScope.NODE)


@dataclass(frozen=True)
class Fed:
    """So many slots stay fed by node; any number where nothing is said."""

    at_most: Mapping[str, int]

    def slots(self, names: Sequence[str], free: Ints) -> Ints:
        return np.array([self.at_most.get(name, UNLIMITED) for name in names])


def hall(racks: int = 1, nodes: int = 3) -> State:
    """Racks r0, r1, ... of nodes r0-0, r0-1, ..., with power for all."""
    spec = FacilitySpec(
        node_types=(TYPE,),
        racks=tuple(RackSpec(f"r{r}", "hgx", 0, 1_000_000, (Feed("ups"),)) for r in range(racks)),
        powers=(PowerSpec("ups", 10_000_000),),
    )
    return State(
        compile_facility(spec),
        [NodeSpec(f"r{r}-{n}", f"r{r}") for r in range(racks) for n in range(nodes)],
    )


def asked(slots: int, gpus: int, **more: object) -> Request:
    return Request(slots=slots, gpus_per_slot=gpus, resource="gpu", **more)  # type: ignore[arg-type]


def nodes_of(state: State, request: Request) -> tuple[str, ...]:
    placement = place(state, request)
    assert isinstance(placement, Placement)
    return placement.slots


def use(state: State, request: Request) -> None:
    placement = place(state, request)
    assert isinstance(placement, Placement)
    state.book("a", placement)


@pytest.mark.parametrize(
    ("free", "left", "each", "gpus", "slots"),
    [
        # 12 CPUs for one GPU are 3.2 beyond 8 and a tenth: 64 feed the 8 GPUs and leave nothing over.
        (8, 64, 12, 1, 0),
        # 96 feed them and leave 32: ten times 3.2.
        (8, 96, 12, 1, 10),
        (8, 95, 12, 1, 9),
        # Two GPUs are without already: no slot may add to that.
        (8, 48, 12, 1, 0),
        # Within a tenth of the mean nothing counts.
        (8, 48, 8, 1, UNLIMITED),
        (4, 0, 35, 4, UNLIMITED),
        # Without GPUs everything is beyond.
        (8, 80, 4, 0, 4),
        (0, 40, 10, 0, 4),
    ],
)
def test_so_many_slots_leave_no_more_gpus_without(
    free: int, left: int, each: int, gpus: int, slots: int
) -> None:
    found = slots_fed(np.array([free]), np.array([left]), 8.0, each=each, gpus=gpus)
    assert found.tolist() == [slots]


def test_a_slot_that_takes_all_gpus_of_a_node_leaves_none_without() -> None:
    for left in (64, 80, 81, 200):
        assert slots_fed(np.array([8]), np.array([left]), 8.0, each=left, gpus=8).tolist() >= [1]


def test_where_nothing_is_known_of_what_gpus_need_any_number_does() -> None:
    assert slots_fed(np.array([8, 8]), np.array([0, 0]), np.array([0.0, 8.0]), each=4, gpus=0).tolist() == [
        UNLIMITED,
        0,
    ]


def test_only_who_takes_more_than_its_own_gpus_need_can_leave_others_without() -> None:
    assert [takes_more(each, 8.0, 1) for each in (8, 8.8, 9)] == [False, False, True]
    assert takes_more(1, 8.0, 0)


def test_a_place_that_stays_fed_is_preferred_to_the_tighter_one_and_to_one_in_use() -> None:
    state = hall()
    use(state, asked(1, 4))
    assert nodes_of(state, asked(1, 1)) == ("r0-0",)
    assert nodes_of(state, asked(1, 1, feeding=Fed({"r0-0": 0}))) == ("r0-1",)
    assert nodes_of(state, asked(1, 1, feeding=Fed({"r0-0": 0, "r0-1": 0, "r0-2": 0}))) == ("r0-0",)


def test_a_node_takes_as_many_slots_as_stay_fed() -> None:
    state = hall()
    assert nodes_of(state, asked(4, 2)) == ("r0-0",) * 4
    assert nodes_of(state, asked(4, 2, feeding=Fed({"r0-0": 3}))) == ("r0-1",) * 4


def test_a_gang_is_not_torn_apart_for_it() -> None:
    state = hall(racks=2)
    unfed = {f"r{r}-{n}": 1 for r in range(2) for n in range(3)}
    # In one node, one NVLink domain, though only three nodes together would stay fed.
    assert len(set(nodes_of(state, asked(3, 2, feeding=Fed(unfed))))) == 1
    # In one rack, though only two would.
    assert {n[:2] for n in nodes_of(state, asked(10, 2, feeding=Fed(unfed)))} == {"r0"}


def test_it_counts_as_having_free_what_it_has() -> None:
    state = hall(nodes=2)
    use(state, asked(1, 4))
    state.set_unmanaged("r0-1", 2)
    # r0-0 has 4 GPUs left and r0-1 has 6: the tighter is the first, however few of them stay fed.
    assert nodes_of(state, asked(1, 1, feeding=Fed({"r0-0": 4, "r0-1": 1}))) == ("r0-0",)


def test_what_is_preferred_keeps_nobody_from_a_place_that_others_allow() -> None:
    state = hall()
    request = asked(1, 1, feeding=Fed({"r0-0": 0}))
    tighter = find(state, request, lambda offer: offer.slots == ("r0-0",))
    assert tighter is not None and tighter.slots == ("r0-0",)
    assert find(state, request, lambda offer: offer.slots == ("r0-2",)) is None


def test_pods_that_are_spread_are_spread_all_the_same() -> None:
    state = hall()
    plain = asked(3, 1, spread=True)
    assert nodes_of(state, replace(plain, feeding=Fed({"r0-0": 0}))) == nodes_of(state, plain)
