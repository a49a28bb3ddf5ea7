"""Rows that share two UPS each are filled evenly, so that none takes what the others then lack."""

from __future__ import annotations

import numpy as np
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
    Refusal,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State

TYPE = NodeType("t", "gpu", 4, 1_000, 5_000, nvlink_scope=NvlinkScope.OBJECT)
IDLE, BUSY = 4 * 1_000, 4 * 4_000
"""Watts of a rack of four nodes: idle, and what all in use add."""


def rows(ups_nodes: int, *, rack_nodes: int = 4, row_nodes: int = 8, shared: bool = True) -> State:
    """Three rows of two racks of four nodes, on the UPS a and b, a and c, b and c (or on one each), half on either.

    ``ups_nodes``, ``row_nodes``, ``rack_nodes``: how many nodes each could feed at full power, beside the idle ones.
    """
    specs, nodes, powers = [], [], []
    for row, pair in {"x": "ab", "y": "ac", "z": "bc"}.items():
        feeds = pair if shared else {"x": "a", "y": "b", "z": "c"}[row]
        powers.append(
            PowerSpec(row, 2 * IDLE + row_nodes * 4_000, parents=tuple(Feed(f"ups-{u}") for u in feeds))
        )
        for r in range(2):
            rack = f"{row}{r}"
            specs.append(RackSpec(rack, "t", 0, IDLE + rack_nodes * 4_000, (Feed(row),)))
            nodes += [NodeSpec(f"{rack}n{n}", rack, rack, (("row", row),)) for n in range(4)]
    powers += [PowerSpec(f"ups-{u}", 2 * IDLE + ups_nodes * 4_000) for u in "abc"]
    facility = compile_facility(FacilitySpec((TYPE,), tuple(specs), tuple(powers), levels=("row",)))
    assert not facility.problems
    return State(facility, nodes)


def request(slots: int, gpus: int = 4) -> Request:
    return Request(slots=slots, gpus_per_slot=gpus, resource="gpu", required="nvlink")


def shares(state: State) -> dict[str, int]:
    """Rack -> whole nodes at full power that its group may run."""
    even, racks = state.even, state.facility.racks
    idle = np.zeros(len(racks), dtype=np.int64)
    idle[[rack for rack in range(len(racks)) if state.inventory.rack.tolist().count(rack)]] = IDLE
    left = even.left(idle)
    return {rack.name: int(left[r] // 4_000) for r, rack in enumerate(racks) if even.group[r]}


def filled(state: State, sizes: list[int]) -> int:
    """Nodes running after these gangs came, one after the other."""
    running = 0
    for i, slots in enumerate(sizes):
        answer = place(state, request(slots))
        if isinstance(answer, Placement):
            state.book(str(i), answer)
            running += slots
        else:
            assert isinstance(answer, Refusal)
    return running


def test_rows_on_shared_ups_have_even_shares_of_them() -> None:
    """Each UPS feeds 6 nodes, half of those of two rows: 6 a row."""
    assert shares(rows(6)) == dict.fromkeys(("x0", "x1", "y0", "y1", "z0", "z1"), 6)


def test_a_rack_under_a_lower_limit_of_its_own_belongs_to_its_row_all_the_same() -> None:
    assert shares(rows(5, rack_nodes=3)) == dict.fromkeys(("x0", "x1", "y0", "y1", "z0", "z1"), 5)


def test_where_everything_can_be_fed_there_are_no_shares() -> None:
    assert shares(rows(9, row_nodes=9)) == {}


def test_the_shares_of_all_hold_under_every_limit_together() -> None:
    state = rows(7, row_nodes=6)
    assert shares(state) == dict.fromkeys(("x0", "x1", "y0", "y1", "z0", "z1"), 6)


def test_a_row_that_has_had_its_share_gives_way_to_one_that_has_not() -> None:
    """Filled to its own limit of 8, x would leave 4 to y and 4 to z: 16 in all."""
    state = rows(6)
    assert filled(state, [4, 2, 4, 2, 4, 2]) == 18
    assert [_row(state, key) for key in "012345"] == ["x", "x", "y", "y", "z", "z"]


def _row(state: State, key: str) -> str:
    booking = state.booking(key)
    assert booking is not None
    return booking.groups[0].rack[0]


@pytest.mark.parametrize(("slots", "rack"), [(1, "y0"), (2, "y0"), (4, "y0")])
def test_it_opens_a_pristine_rack_rather_than_strand_power(slots: int, rack: str) -> None:
    state = rows(6)
    assert filled(state, [4, 2]) == 6
    answer = place(state, request(slots))
    assert isinstance(answer, Placement)
    assert answer.groups[0].rack == rack


def test_below_its_share_a_row_is_filled_before_another_is_opened() -> None:
    state = rows(6)
    assert filled(state, [4, 1]) == 5
    answer = place(state, request(1))
    assert isinstance(answer, Placement)
    assert answer.groups[0].rack == "x1"


def test_rows_that_share_no_ups_are_filled_one_after_the_other() -> None:
    state = rows(6, shared=False)
    assert filled(state, [4, 2, 4, 2, 4, 2, 1]) == 18


def test_a_gang_that_no_share_suffices_for_is_placed_all_the_same() -> None:
    state = rows(7)
    assert filled(state, [4, 4, 4, 4]) == 16
    assert [_row(state, key) for key in "0123"] == ["x", "y", "z", "x"]


def test_the_shares_follow_nodes_that_come_and_go() -> None:
    state = rows(6)
    for rack in ("x0", "x1"):
        for n in range(4):
            state.remove_node(f"{rack}n{n}")
    # Only c stops y and z now, and it is the same to c which of them draws: 12 in all.
    assert shares(state) == dict.fromkeys(("y0", "y1", "z0", "z1"), 12)
    state.validate()
