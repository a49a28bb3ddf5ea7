"""Pools as they are found in real clusters, with decisions that can be checked by hand."""

from __future__ import annotations

import pytest

from rackplane.engine.model import Placement, Refusal, RefusalKind, Request
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State
from tests.unit.engine.test_kueue_cases import GPU, facility_of, parts

LEAVES = [1, 1, 2, 2, 2, 3, 3, 3, 5, 5, 6, 6, 6, 8, 11]


def sizes(state: State, request: Request) -> list[int]:
    """Nodes per rack, the most first."""
    answer = place(state, request)
    assert isinstance(answer, Placement), answer
    return sorted((len(group.nodes) for group in answer.groups), reverse=True)


def gang(slots: int, segment: int | None = None, *, spread: bool = False) -> Request:
    return Request(slots=slots, gpus_per_slot=4, resource=GPU, segment_slots=segment, spread=spread)


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        (1, [1]),
        (4, [5]),  # a five, though its fifth node stays: no group has just four
        (8, [8]),
        (11, [11]),
        (12, [6, 6]),
        (14, [8, 6]),
        (16, [11, 5]),  # the eleven and a five filled up, so that the eight stays whole
        (19, [11, 8]),
        (20, [8, 6, 6]),
        (64, sorted(LEAVES, reverse=True)),
    ],
)
def test_a_pool_in_fragments(slots: int, expected: list[int]) -> None:
    got = parts(facility_of({"A": LEAVES}), slots)
    if slots == 4:
        assert got in ({"A8": 4}, {"A9": 4})
    else:
        assert sorted(got.values(), reverse=True) == expected


def test_a_pool_in_fragments_refuses_what_it_cannot_hold() -> None:
    answer = place(facility_of({"A": LEAVES}), gang(65))
    assert isinstance(answer, Refusal)
    assert answer.kind is RefusalKind.UNPLACEABLE


def test_segments_keep_whole_in_fragments() -> None:
    assert sizes(facility_of({"A": LEAVES}), gang(12, 6)) == [6, 6]
    assert sizes(facility_of({"A": LEAVES}), gang(24, 6)) == [6, 6, 6, 6]


@pytest.mark.parametrize("racks", [10, 33])
@pytest.mark.parametrize(
    ("slots", "expected"),
    [(18, [18]), (36, [18, 18]), (40, [18, 15, 7]), (54, [18, 18, 18]), (180, [18] * 10)],
)
def test_gangs_larger_than_a_domain_take_whole_ones(racks: int, slots: int, expected: list[int]) -> None:
    assert sizes(facility_of({"A": [18] * racks}), gang(slots)) == expected


@pytest.mark.parametrize("racks", [10, 33])
def test_sixteen_of_eighteen_to_a_rack(racks: int) -> None:
    assert sizes(facility_of({"A": [18] * racks}), gang(128, 16)) == [16] * 8
    answer = place(facility_of({"A": [18] * racks}), gang(16 * racks + 16, 16))
    assert isinstance(answer, Refusal)
    assert answer.kind is RefusalKind.UNPLACEABLE


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (gang(11, spread=True), [2, 2, 2, 2, 2, 1]),
        (gang(30, spread=True), [6, 6, 5, 5, 4, 4]),
        (gang(11, 3, spread=True), [3, 3, 3, 2]),
        (gang(44, spread=True), [12, 12, 5, 5, 5, 5]),
    ],
)
def test_a_queue_that_spreads_puts_few_in_any_rack(request_: Request, expected: list[int]) -> None:
    state = facility_of({"A": [5, 5, 4, 4], "B": [12, 14]})
    if request_.slots == 44:
        state = facility_of({"A": [5, 5, 5, 5], "B": [12, 12]})
    assert sizes(state, request_) == expected


def test_spreading_keeps_to_the_required_level_and_takes_the_more_even_domain() -> None:
    state = facility_of({"A": [5, 5, 5, 5], "B": [12, 12]})
    request = Request(slots=10, gpus_per_slot=4, resource=GPU, required="block", spread=True)
    assert sizes(state, request) == [3, 3, 2, 2]
    within = Request(slots=10, gpus_per_slot=4, resource=GPU, required="nvlink", spread=True)
    assert sizes(state, within) == [10]
