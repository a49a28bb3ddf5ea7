"""A gang that says how long it runs goes where something runs as long, so that domains become wholly free."""

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

HOUR = 3_600.0


def racks(used: dict[str, tuple[int, float | None]]) -> State:
    """Racks of eight nodes, each one NVLink domain with a gang of so many, expected to end then."""
    node_type = NodeType("t", "gpu", 1, 0, 1_000, nvlink_scope=NvlinkScope.OBJECT)
    spec = FacilitySpec(
        (node_type,),
        tuple(RackSpec(name, "t", 0, 10**6, (Feed("p"),)) for name in used),
        (PowerSpec("p", 10**9),),
    )
    nodes = [NodeSpec(f"{name}-{n}", name, name) for name in used for n in range(8)]
    state = State(compile_facility(spec), nodes)
    for name, (count, until) in used.items():
        state.book(
            name, here(state, Request(slots=count, gpus_per_slot=1, resource="gpu"), name), until=until
        )
    return state


def here(state: State, request: Request, rack: str) -> Placement:
    """The request's place in that rack."""
    with state.simulation():
        for node in list(state.nodes()):
            if node.rack != rack:
                state.remove_node(node.name)
        answer = place(state, request)
    assert isinstance(answer, Placement)
    return answer


def chosen(state: State, lasts: float | None, *, until: float | None = None) -> str:
    """The rack of a gang of two that starts at 0."""
    request = Request(
        slots=2, gpus_per_slot=1, resource="gpu", lasts=lasts, until=lasts if until is None else until
    )
    answer = place(state, request)
    assert isinstance(answer, Placement)
    (group,) = answer.groups
    return group.rack


@pytest.mark.parametrize(
    ("hours", "rack"),
    [
        pytest.param(None, "short", id="unknown: the tightest"),
        pytest.param(1, "short", id="as long as what is there: the tightest of all"),
        pytest.param(3, "day", id="the tightest that something outlives it in"),
        pytest.param(30, "week", id="a day later than the others"),
        pytest.param(200, "week", id="somewhat longer than anything: where it outlasts least"),
        pytest.param(9_000, "short", id="far longer than anything: the tightest again"),
    ],
)
def test_a_gang_goes_where_something_runs_as_long(hours: int | None, rack: str) -> None:
    state = racks({"short": (6, HOUR), "day": (5, 24 * HOUR), "week": (4, 168 * HOUR)})
    assert chosen(state, None if hours is None else hours * HOUR) == rack


def test_an_end_that_is_only_assumed_moves_no_gang() -> None:
    state = racks({"short": (6, HOUR), "week": (4, 168 * HOUR)})
    assert chosen(state, None, until=24 * HOUR) == "short"


def test_what_has_no_end_or_runs_beyond_it_tells_nothing() -> None:
    state = racks({"endless": (6, None), "day": (4, 24 * HOUR)})
    assert chosen(state, 12 * HOUR) == "day"
    state.expect("endless", 13 * HOUR)
    assert chosen(state, 12 * HOUR) == "endless"
    state.expect("endless", None)
    assert chosen(state, 12 * HOUR) == "day"
    state.release("day", slots=[0, 1, 2])
    assert chosen(state, 12 * HOUR) == "day"
    state.validate()


def test_no_wholly_free_domain_is_opened_for_it() -> None:
    state = racks({"short": (6, HOUR), "free": (1, HOUR)})
    state.release("free")
    assert chosen(state, 500 * HOUR) == "short"
