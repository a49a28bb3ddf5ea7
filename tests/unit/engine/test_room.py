"""From when on there may be nodes enough: what is not worth a look is not looked at."""

from __future__ import annotations

import math

import pytest

from rackplane.engine.model import Request
from rackplane.engine.planning import outlook
from rackplane.engine.planning.outlook import earliest_start
from rackplane.engine.planning.room import room_from
from tests.benchmarks.bench_outlook import full

HOUR = 3600.0


def wanted(slots: int, **more: object) -> Request:
    return Request(slots=slots, gpus_per_slot=4, resource="nvidia.com/gpu", until=HOUR, **more)  # type: ignore[arg-type]


def test_the_first_end_with_which_there_are_nodes_enough_by_level() -> None:
    state = full(48)
    order = sorted((until, key) for key in tuple(state.keys()) if (until := state.until(key)) is not None)
    sizes = {key: len(set(state.held(key).values())) for _, key in order}
    total = 0
    for end, key in order:
        total += sizes[key]
        assert room_from(state, wanted(total), order) == end
    assert room_from(state, wanted(total + 1), order) == math.inf
    assert room_from(state, wanted(1), order) == order[0][0]
    near = room_from(state, wanted(sizes[order[0][1]], required="nvlink"), order)
    assert near >= order[0][0]
    state.release(order[0][1])
    assert room_from(state, wanted(sizes[order[0][1]]), order[1:]) == -math.inf


def test_of_a_gang_in_segments_only_whole_ones_count_and_one_that_may_be_short() -> None:
    state = full(48)
    order = sorted((until, key) for key in tuple(state.keys()) if (until := state.until(key)) is not None)
    inventory = state.inventory
    free = dict.fromkeys(inventory.domain.tolist(), 0)
    enough: dict[int, float] = {}
    for end, key in order:
        for node in set(state.held(key).values()):
            free[int(inventory.domain[inventory.index[node]])] += 1
        whole = sum(count - count % 6 for count in free.values())
        for slots in range(1, whole + max(count % 6 for count in free.values()) + 1):
            enough.setdefault(slots, end)
    assert len(enough) > 30
    found = {slots: room_from(state, wanted(slots, segment_slots=6), order) for slots in enough}
    # What is over as a rest may count a little too long: a bound.
    assert all(found[slots] <= end for slots, end in enough.items())
    assert found[24] == enough[24] > room_from(state, wanted(24), order)
    assert room_from(state, wanted(max(enough) + 6, segment_slots=6), order) == math.inf


def test_an_end_on_a_node_that_is_gone_makes_no_room() -> None:
    state = full(48)
    order = sorted((until, key) for key in tuple(state.keys()) if (until := state.until(key)) is not None)
    first = len(set(state.held(order[0][1]).values()))
    state.remove_node(next(iter(state.held(order[0][1]).values())))
    assert room_from(state, wanted(first), order) == order[1][0]


def test_times_with_too_few_nodes_cost_no_placement(monkeypatch: pytest.MonkeyPatch) -> None:
    state = full(48)
    probed: list[float] = []
    probe = outlook._Search._probe

    def counted(search: outlook._Search, at: float) -> outlook.Opening | None:
        probed.append(at)
        return probe(search, at)

    monkeypatch.setattr(outlook._Search, "_probe", counted)
    order = sorted((until, key) for key in tuple(state.keys()) if (until := state.until(key)) is not None)
    found = earliest_start(
        state, now=0.0, horizon=1e9, duration=HOUR, request=lambda at, _: wanted(20, at=at)
    ).opening
    assert found is not None
    assert min(probed) == room_from(state, wanted(20), order)
    probed.clear()
    none = earliest_start(
        state, now=0.0, horizon=1e9, duration=HOUR, request=lambda at, _: wanted(500, at=at)
    )
    assert (none.opening, none.certain, probed) == (None, True, [])
