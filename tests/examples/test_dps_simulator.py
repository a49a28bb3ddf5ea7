"""The twin of NVIDIA's DPS simulator: the top of the tree binds, and a lower profile fits."""

from __future__ import annotations

from rackplane.engine.model import Cause, Placement, Refusal
from rackplane.engine.placing.placement import place
from rackplane.engine.reasons import ElementKind, ReliefKind
from tests.examples.halls import ask, documents, state_of, watts

WHOLE = {"required": "leaf", "segment_slots": 18}


def test_all_nodes_at_5600_watts_are_refused_at_the_utility() -> None:
    state = state_of(documents("dps-simulator"))
    answer = place(state, ask(144, power_profile="High", **WHOLE))
    assert isinstance(answer, Refusal)
    assert answer.cause is Cause.POWER
    tightest = answer.tightest
    assert tightest is not None
    assert (tightest.kind, tightest.name, tightest.lost) == (ElementKind.POWER_DOMAIN, "utility", "")
    assert (tightest.load_watts, tightest.limit_watts) == (806_400, 750_000)
    assert (tightest.over_watts, tightest.needed_watts) == (56_400, 144 * 4_600)
    lower = [relief for relief in answer.reliefs if relief.kind is ReliefKind.PROFILE]
    assert [(relief.profile, relief.now) for relief in lower] == [("Med", True)]


def test_all_nodes_at_3200_watts_are_admitted() -> None:
    state = state_of(documents("dps-simulator"))
    answer = place(state, ask(144, power_profile="Med", **WHOLE))
    assert isinstance(answer, Placement)
    state.book("all", answer)
    assert [watts(state, name) for name in ("utility", "switchboard", "pdu-1")] == [460_800, 460_800, 115_200]
    assert state.violations() == []


def test_a_job_that_asks_for_high_and_does_not_insist_starts_at_med_and_is_told_the_speed() -> None:
    answer = place(
        state_of(documents("dps-simulator")), ask(144, power_profile="High", **WHOLE | {"strict": False})
    )
    assert isinstance(answer, Placement)
    assert (answer.power_profile, answer.relative_performance_percent) == ("Med", 47)
    assert answer.nominal_watts == 144 * (3_200 - 1_000)


def test_131_nodes_may_run_at_high_and_a_pdu_is_not_what_stops_the_next() -> None:
    state = state_of(documents("dps-simulator"))
    for number in range(131):
        answer = place(state, ask(power_profile="High"))
        assert isinstance(answer, Placement)
        state.book(f"gang-{number}", answer)
    assert watts(state, "utility") == 746_600
    assert max(watts(state, f"pdu-{n}") for n in (1, 2, 3, 4)) == 201_600 < 450_000
    answer = place(state, ask(power_profile="High"))
    assert isinstance(answer, Refusal)
    tightest = answer.tightest
    assert tightest is not None
    assert (tightest.name, tightest.load_watts, tightest.over_watts) == ("utility", 751_200, 1_200)
