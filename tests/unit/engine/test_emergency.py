"""Emergency ratings in the engine: two limits of an element after a loss, and what each change of a gang is on both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from rackplane.engine.model import (
    BudgetSpec,
    FacilitySpec,
    Feed,
    NodeSpec,
    NodeType,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.preempting.costs import Victim
from rackplane.engine.preempting.releases import Releases
from rackplane.engine.queueing.shadow import Shadow
from rackplane.engine.shedding.ways import lowest_profile
from rackplane.engine.state import State

NODE = NodeType("n", "gpu", 4, 1_000, 5_000, 100, 100, 0, caps=(PowerCap("MaxQ", 3_000, 70),))
LATER = 100.0


def made(percent: int | None = 125) -> State:
    """Two racks of three nodes, 6 kW to 30 kW in all, half each on a and b of 20 kW; a budget comes later."""
    spec = FacilitySpec(
        (NODE,),
        tuple(RackSpec(r, "n", 0, 100_000, (Feed("a"), Feed("b"))) for r in ("r1", "r2")),
        tuple(
            PowerSpec(p, 20_000, 100, 40_000, survivable=True, emergency_percent=percent) for p in ("a", "b")
        ),
        budgets=(BudgetSpec("later", ("a",), (), 12_000, starts_at=LATER),),
    )
    return State(compile_facility(spec), [NodeSpec(f"{r}-{i}", r) for r in ("r1", "r2") for i in range(3)])


def on(*nodes: str, profile: str = "MaxP", gpus: int = 4) -> Placement:
    return Placement(
        slots=nodes,
        groups=(),
        gpus_per_slot=gpus,
        power_profile=profile,
        nominal_watts=0,
        peak_watts=0,
        liquid_watts=0,
        air_watts=0,
    )


def after_loss(state: State) -> dict[bool, tuple[float, float]]:
    """Of b without a: load and limit, at once, and (True) once capped."""
    f = state.facility
    cells = [
        cell
        for cell in range(len(f.limits))
        if f.describe(cell)[0].lost == "a" and f.describe(cell)[1].label == "power domain b"
    ]
    return {bool(f.capped[c]): (float(state.loads[c]), float(f.limits[c])) for c in cells}


def test_a_gang_that_can_be_capped_counts_less_against_the_continuous_rating_and_whole_against_the_other() -> (
    None
):
    state = made()
    state.book("g", on("r1-0", "r1-1"))
    assert after_loss(state) == {False: (14_000, 25_000), True: (14_000, 20_000)}
    state.can_be_capped("g", "MaxQ")
    assert after_loss(state) == {False: (14_000, 25_000), True: (10_000, 20_000)}
    assert state.headroom(0) == 10_000
    state.can_be_capped("g", None)
    assert after_loss(state) == {False: (14_000, 25_000), True: (14_000, 20_000)}
    state.validate()


def test_the_normal_state_and_a_facility_without_emergency_ratings_have_no_such_limits() -> None:
    state = made()
    f = state.facility
    assert not f.capped[f.cell_contingencies == 0].any()
    assert not made(None).facility.counts_caps
    assert made(None).facility.parts == 1


def test_no_more_is_carried_for_a_while_than_for_good_where_the_rating_is_below_it() -> None:
    assert after_loss(made(90)) == {False: (6_000, 20_000)}


def test_a_part_of_a_node_gives_nothing_for_another_gang_may_come() -> None:
    state = made()
    state.book("g", on("r1-0", gpus=2))
    assert lowest_profile(state, "g") is None
    state.can_be_capped("g", "MaxQ")
    assert after_loss(state)[True] == (8_000, 20_000)


def test_what_holds_other_nodes_than_before_is_not_known_to_give_anything() -> None:
    state = made()
    state.book("g", on("r1-0", "r1-1"))
    assert lowest_profile(state, "g") == "MaxQ"
    state.can_be_capped("g", "MaxQ")
    with state.simulation():
        state.release("g", [0])
        assert after_loss(state)[True] == (10_000, 20_000)
        state.validate()
    assert after_loss(state)[True] == (10_000, 20_000)
    with state.simulation():
        state.rebook("g", on("r1-0", "r1-1", profile="MaxQ"), [0, 1])
        assert after_loss(state) == {False: (10_000, 25_000), True: (10_000, 20_000)}
        state.validate()
    state.rebook("g", on("r1-0", "r1-2"), [0, 1])
    assert state.lowest("g") is None
    assert after_loss(state)[True] == (14_000, 20_000)
    state.validate()


def _gone(state: State, key: str) -> np.ndarray:
    before = state.loads.copy()
    with state.simulation():
        state.release(key)
        return np.asarray(before - state.loads)


@pytest.fixture
def full() -> Iterator[State]:
    """One gang that can be capped and ends before the budget, one that cannot be and does not end."""
    state = made()
    state.book("low", on("r1-0", "r2-0"), until=LATER - 1)
    state.can_be_capped("low", "MaxQ")
    state.book("high", on("r1-1"))
    yield state
    state.validate()


def test_a_victim_takes_off_each_limit_what_its_release_does(full: State) -> None:
    victims = [Victim("low"), Victim("high")]
    found = Releases(full, victims).watts(np.ones(len(full.facility.limits), dtype=np.bool_))
    for v, key in enumerate(("low", "high")):
        gone = _gone(full, key)
        assert {cell: by[v] for cell, by in found.items() if v in by} == {
            cell: round(watts) for cell, watts in enumerate(gone.tolist()) if watts > 0
        }


def test_at_a_later_time_what_is_over_counts_on_no_limit(full: State) -> None:
    shadow = Shadow(full, LATER, ())
    with full.simulation():
        full.release("low")
        assert np.allclose(shadow._loads.loads, full.loads)
