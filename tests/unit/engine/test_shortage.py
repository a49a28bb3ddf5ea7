"""A limit that is exceeded already, beside room that does not touch it."""

from __future__ import annotations

from rackplane.engine.model import (
    FacilitySpec,
    Feed,
    NodeSpec,
    NodeType,
    NvlinkScope,
    PowerSpec,
    RackSpec,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.shortage import Room, shortages
from rackplane.engine.state import State

TYPE = NodeType("t", "gpu", 4, 1000, 6000, nvlink_scope=NvlinkScope.LABEL)
SPEC = FacilitySpec(
    (TYPE,),
    tuple(RackSpec(r, "t", 0, 100_000, (Feed(p),)) for r, p in (("r1", "full"), ("r2", "free"))),
    (PowerSpec("full", 1_500), PowerSpec("free", 9_000)),
)


def asked(slots: int) -> Candidates:
    state = State(
        compile_facility(SPEC), [NodeSpec(f"{r}-{i}", r, r) for r in ("r1", "r2") for i in range(2)]
    )
    return Candidates(state, Request(slots=slots, gpus_per_slot=4, resource="gpu"), "MaxP")


def test_it_stops_no_gang_that_can_keep_off_it() -> None:
    """The two nodes of r1 draw 2,000 W of 1,500 W; two slots fit r2 by nodes, and nothing forces one on to r1."""
    assert shortages(asked(2), Room.of([[(0, 2), (1, 2)]])) == [None]


def test_it_stops_a_gang_that_cannot() -> None:
    """Three slots put one on r1 at least: 2,000 + 5,000 W of 1,500 W."""
    candidates = asked(3)
    (found,) = shortages(candidates, Room.of([[(0, 2), (1, 2)]]))
    assert found is not None
    assert candidates.state.facility.describe(found.cell)[1].element == "full"
    assert (found.needed_watts, round(found.short_watts)) == (5_000.0, 5_500)
