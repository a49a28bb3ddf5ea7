"""A refusal that is not proved says so: the search ended before it had looked at every way.

Racks stand in rings of five with one node each, and every two neighbours share a power element that carries one of
them, so that at most two of a ring can run.  No limit by itself, nor any set of limits without a rack in common, says
more than three.
"""

from __future__ import annotations

import pytest

from rackplane.engine.model import (
    FacilitySpec,
    Feed,
    NodeSpec,
    NodeType,
    Placement,
    PowerSpec,
    RackSpec,
    Refusal,
    RefusalKind,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State

RING = 5
FULL = 1_000


def rings(count: int) -> State:
    racks = tuple(
        RackSpec(f"r{ring}-{i}", "node", 0, FULL, (Feed(f"p{ring}-{i}"), Feed(f"p{ring}-{(i + 1) % RING}")))
        for ring in range(count)
        for i in range(RING)
    )
    powers = tuple(PowerSpec(f"p{ring}-{i}", FULL // 2) for ring in range(count) for i in range(RING))
    spec = FacilitySpec((NodeType("node", "gpu", 4, 0, FULL),), racks, powers)
    return State(compile_facility(spec), [NodeSpec(f"{r.name}-n0", r.name) for r in racks])


def gang(slots: int) -> Request:
    return Request(slots=slots, gpus_per_slot=4, resource="gpu")


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_two_of_every_ring_are_placed(count: int) -> None:
    state = rings(count)
    answer = place(state, gang(2 * count))
    assert isinstance(answer, Placement)
    state.book("gang", answer)
    assert state.violations() == []


@pytest.mark.parametrize(
    ("count", "slots", "kind"),
    [
        pytest.param(2, 5, RefusalKind.UNPLACEABLE, id="few enough racks to try every way"),
        pytest.param(5, 16, RefusalKind.UNPLACEABLE, id="more than limits without a common rack leave"),
        pytest.param(5, 11, RefusalKind.NOT_FOUND, id="neither"),
    ],
)
def test_a_refusal_says_whether_it_is_proved(count: int, slots: int, kind: RefusalKind) -> None:
    answer = place(rings(count), gang(slots))
    assert isinstance(answer, Refusal)
    assert answer.kind is kind
