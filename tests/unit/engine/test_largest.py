"""Room by level: a trial fill finds no more than placement would grant, and all of it where power is no matter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.engine.planning.capacity import capacities
from rackplane.engine.reporting.largest import FACILITY, Room, levels_in_use, room_at
from rackplane.engine.reporting.spread import Spread, spread
from tests.support.halls import BALANCED, UNBALANCED, gang, hall, idle


@pytest.mark.parametrize("shape", [BALANCED, UNBALANCED])
def test_the_fill_finds_no_more_than_there_is(shape: tuple[str, ...]) -> None:
    state = idle(hall(shape))
    exact = {c.level or FACILITY: c.gpus for c in capacities(state, profiles=["MaxP"])}
    found = {
        level: room.placeable for level in levels_in_use(state) for room in room_at(state, level).values()
    }
    assert set(found) == set(exact) and all(0 < found[level] <= exact[level] for level in exact)
    if shape is BALANCED:
        assert found == exact


def test_what_is_free_and_out_of_reach_is_fragmentation() -> None:
    assert Room(placeable=36, free=72, possible=72).fragmentation == 0.5
    assert Room(0, 0, 0).fragmentation == 0.0


def test_racks_beyond_the_fewest() -> None:
    """Rows of 15 nodes of 4 GPUs, of no NVLink domain that is known."""
    state = idle(hall(BALANCED))
    whole = gang("row-ab")
    assert spread(state, whole) == Spread(1, 1, 1, 1)
    apart = replace(whole, slots=(*gang("row-ab", 2).slots, *gang("row-ac", 2).slots))
    assert spread(state, apart) == Spread(2, 1, 1, 1)
    assert spread(state, replace(whole, slots=(*whole.slots, "row-ac-01"))) == Spread(2, 2, 1, 1)
    # Without GPUs there is no fewest.
    assert spread(state, replace(whole, gpus_per_slot=0)) is None
