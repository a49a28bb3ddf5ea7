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
