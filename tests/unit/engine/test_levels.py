"""Any number of levels: sub-domains below the NVLink domain, any above it, required and preferred together."""

from __future__ import annotations

from typing import Any

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
from rackplane.engine.planning.capacity import capacities
from rackplane.engine.state import State

TYPE = NodeType("t", "gpu", 4, 0, 1000, nvlink_scope=NvlinkScope.LABEL)
SUB = "sub-domain"
LEVELS = ("leaf", "spine", "core", "hall", "campus", "site")


def hall(domains: int = 2, parts: int = 4, nodes: int = 9) -> State:
    """Domains of ``parts`` sub-domains, each of ``nodes`` nodes in a rack of its own; two domains a leaf.

    Sub-domains of two domains have the same names: only with the domain's do they name one thing.
    """
    racks, known = [], []
    for d in range(domains):
        fabric = (("leaf", f"leaf-{d // 2}"), ("spine", "s"), ("core", "c"), ("hall", "h"), ("site", "x"))
        for p in range(parts):
            rack = f"d{d}p{p}"
            racks.append(RackSpec(rack, "t", 0, 100_000, (Feed("top"),)))
            known += [
                NodeSpec(f"{rack}n{i}", rack, f"d{d}", fabric, inner=((SUB, f"p{p}"),)) for i in range(nodes)
            ]
    spec = FacilitySpec(
        (TYPE,), tuple(racks), (PowerSpec("top", 10_000_000),), levels=LEVELS, inner_levels=(SUB,)
    )
    facility = compile_facility(spec)
    assert not facility.problems
    return State(facility, known)


def ask(state: State, slots: int, **more: Any) -> Placement | Refusal:
    return place(state, Request(slots=slots, gpus_per_slot=4, resource="gpu", **more))


def take(state: State, slots: int, **more: Any) -> set[str]:
    """The racks it lies in, each one sub-domain; it is booked."""
    answer = ask(state, slots, **more)
    assert isinstance(answer, Placement), answer
    state.book(str(len(list(state.keys()))), answer)
    return {group.rack for group in answer.groups}


def drained(state: State, *racks: str) -> None:
    """Three nodes of each of these racks are left."""
    for rack in racks:
        for i in range(3, 9):
            state.set_unmanaged(f"{rack}n{i}", 4)


def test_a_gang_that_must_share_a_sub_domain_is_never_split_over_two() -> None:
    state = hall(domains=1, parts=3)
    drained(state, "d0p0")
    assert take(state, 9, required=SUB) == {"d0p1"}
    assert take(state, 3, required=SUB) == {"d0p0"}
    assert take(state, 4, required=SUB) == {"d0p2"}
    answer = ask(state, 6, required=SUB)
    assert isinstance(answer, Refusal)
    assert answer.message == "needs 6 nodes of 4 GPUs in one sub-domain; p2 has 5 free"
    assert [(count.level, count.domains) for count in answer.counts] == [(SUB, 3)]


def test_a_gang_larger_than_any_sub_domain_is_told_the_level_that_would_take_it() -> None:
    answer = ask(hall(), 10, required=SUB)
    assert isinstance(answer, Refusal)
    assert answer.misfit
    assert answer.message == "needs 10 nodes of 4 GPUs in one sub-domain; the largest, p0, has 9 in all"
    assert answer.reliefs[0].message == "require only nvlink"


def test_sub_domains_of_two_domains_are_two_whatever_they_are_called() -> None:
    state = hall(domains=2, parts=1)
    drained(state, "d0p0", "d1p0")
    assert isinstance(ask(state, 6, required=SUB), Refusal)
    assert take(state, 6, required="leaf") == {"d0p0", "d1p0"}


def test_a_preferred_sub_domain_gives_way_to_the_domain_and_that_to_what_is_required() -> None:
    state = hall(domains=2, parts=2)
    assert len(take(state, 9, preferred=SUB, required="leaf")) == 1
    drained(state, "d0p1", "d1p0")
    # No sub-domain has ten nodes; d1 has twelve, in two of them.
    assert take(state, 10, preferred=SUB, required="leaf") == {"d1p0", "d1p1"}
    # Now d0 has three and d1 two: no domain has five.
    assert take(state, 5, preferred=SUB, required="leaf") == {"d0p1", "d1p0"}


@pytest.mark.parametrize("level", ["leaf", "spine", "core", "hall", "site"])
def test_any_level_above_may_be_required(level: str) -> None:
    state = hall(domains=4, parts=1)
    answer = ask(state, 18, required=level)
    assert isinstance(answer, Placement)
    assert {group.domain for group in answer.groups} == {"d0", "d1"}
    large = ask(state, 19, required=level)
    assert isinstance(large, Refusal if level == "leaf" else Placement)


def test_a_level_that_no_node_has_is_known_but_takes_nothing() -> None:
    answer = ask(hall(), 1, required="campus")
    assert isinstance(answer, Refusal)
    assert answer.message == "needs 1 node of 4 GPUs in one campus; no campus with gpu is known"


def test_an_unknown_level_is_refused_with_the_levels_there_are() -> None:
    answer = ask(hall(), 1, required="rail")
    assert isinstance(answer, Refusal)
    levels = f"{SUB}, nvlink, leaf, spine, core, hall, campus, site"
    assert answer.message == f"the required topology level rail does not exist; the levels are {levels}"


def test_the_largest_gang_of_each_level_has_the_sub_domain_first() -> None:
    found = capacities(hall(domains=2, parts=4))
    assert [(c.level, c.slots) for c in found] == [
        (SUB, 9),
        ("nvlink", 36),
        ("leaf", 72),
        ("spine", 72),
        ("core", 72),
        ("hall", 72),
        ("site", 72),
        ("", 72),
    ]


def test_levels_listed_twice_or_reserved_are_an_error_above_and_below() -> None:
    for inner in (("leaf",), ("nvlink",), (SUB, SUB)):
        facility = compile_facility(FacilitySpec(levels=("leaf",), inner_levels=inner))
        assert [(p.kind, p.name, p.field) for p in facility.problems] == [("Facility", inner[0], "levels")]


def test_a_node_that_moves_to_another_sub_domain_counts_there() -> None:
    state = hall(domains=1, parts=2)
    assert isinstance(ask(state, 10, required=SUB), Refusal)
    old = state.node("d0p1n0")
    assert old is not None
    state.set_node(NodeSpec(old.name, old.rack, old.domain, old.fabric, inner=((SUB, "p0"),)))
    assert take(state, 10, required=SUB) == {"d0p0", "d0p1"}
