"""Second losses in the classic schemes: which they are, and what a rack may still add with and without heed of them.

All racks draw 10 kW and all UPSes carry 120 kW.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from rackplane.engine.model import FacilitySpec, Feed, NodeType, PowerSpec, RackSpec, Role
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.state import State
from tests.property.engine.against_oracle import check_state
from tests.property.engine.oracle import Oracle
from tests.property.engine.oracle_draws import draws
from tests.property.engine.oracle_world import Loss

TYPE = NodeType("t", "gpu", 4, 1_000, 6_000)


def rack(name: str, *feeds: Feed) -> RackSpec:
    return RackSpec(name, "t", 10_000, 1_000_000, feeds)


def hall(upses: str, *racks: RackSpec) -> FacilitySpec:
    """UPSes below one utility, each designed to be lost."""
    powers = [PowerSpec("utility", 10_000_000)]
    powers += [PowerSpec(name, 120_000, parents=(Feed("utility"),), survivable=True) for name in upses]
    return FacilitySpec((TYPE,), racks, tuple(powers))


def distributed(upses: str) -> FacilitySpec:
    """One rack on every pair."""
    return hall(upses, *(rack(a + b, Feed(a), Feed(b)) for a, b in combinations(upses, 2)))


TWO_N = hall("ab", *(rack(f"{i}", Feed("a"), Feed("b")) for i in range(4)))
TWO_PAIRS = hall("abcd", rack("ab", Feed("a"), Feed("b")), rack("cd", Feed("c"), Feed("d")))
CATCHER = hall(
    "abcr", *(rack(f"{ups}{i}", Feed(ups), Feed("r", role=Role.STANDBY)) for ups in "abc" for i in (1, 2))
)

#: facility, element out of service, second losses, and by rack: watts it may add with heed of them, and without
CASES: dict[str, tuple[FacilitySpec, str, str, dict[str, tuple[int, int]]]] = {
    # b carries all 40 kW; without it there is nothing left to be too much
    "2N": (TWO_N, "a", "b", {"0": (80_000, 80_000)}),
    # b: all of ab, half of bc; without c all of bc too
    "3N/2": (distributed("abc"), "a", "bc", {"ab": (100_000, 105_000), "bc": (100_000, 210_000)}),
    # b: all of ab, half of bc and bd; without c or d all of one of them
    "4N/3": (distributed("abcd"), "a", "bcd", {"ab": (95_000, 100_000), "bc": (95_000, 200_000)}),
    "5N/4": (distributed("abcde"), "a", "bcde", {"ab": (90_000, 95_000), "bc": (90_000, 190_000)}),
    # r carries a's racks, and without b also b's
    "catcher": (CATCHER, "a", "bcr", {"a1": (80_000, 100_000), "b1": (80_000, 100_000)}),
    # nothing would catch a, b or c; without them their racks are dark
    "catcher without its reserve": (CATCHER, "r", "abc", {"a1": (100_000, 100_000)}),
    # what happens to c and d is no matter of a's: their loss is still the first of its kind
    "two pairs": (TWO_PAIRS, "a", "b", {"ab": (110_000, 110_000), "cd": (110_000, 110_000)}),
    "nothing out": (distributed("abcd"), "", "", {"ab": (100_000, 100_000)}),
}


@pytest.mark.parametrize("heed", [True, False], ids=["heed", "admit-after-loss"])
@pytest.mark.parametrize("name", CASES)
def test_second_losses_and_what_they_hold_back(name: str, heed: bool) -> None:
    spec, out, second, expected = CASES[name]
    powers = tuple(replace(p, online=p.name != out) for p in spec.powers)
    spec = replace(spec, powers=powers, admit_after_loss=not heed)
    facility = compile_facility(spec)
    state, oracle = State(facility), Oracle(spec)
    found = {facility.contingencies[c].lost: partners for c, partners in facility.second_loss.items()}
    assert found == dict.fromkeys(second, (out,))
    assert "".join(sorted(loss.lost for loss in oracle.worlds if oracle.second(loss))) == second
    for rack_name, watts in expected.items():
        assert state.headroom(facility.rack_index[rack_name]) == pytest.approx(
            watts[0 if heed else 1], abs=0.01
        )
    check_state(state, oracle, draws(spec, ()))
    # by another way: without the policy, in a facility that is not designed to survive those losses
    blind = replace(
        spec, powers=tuple(replace(p, survivable=p.survivable and p.name not in second) for p in powers)
    )
    other = Oracle(replace(blind if not heed else spec, admit_after_loss=False))
    for i, (nominal, peak) in enumerate(other.headrooms(other.loads(draws(spec, ()))).values()):
        assert min(nominal, peak) == pytest.approx(state.headroom(i), abs=0.01)


def test_a_loss_that_is_permitted_is_still_reported() -> None:
    """4N/3 without a, and 110 kW more on ab: without c the b carries 135 kW, which is told and holds nothing back."""
    spec = distributed("abcd")
    powers = tuple(replace(p, online=p.name != "a") for p in spec.powers)
    racks = tuple(replace(r, overhead_watts=108_000 if r.name == "ab" else 10_000) for r in spec.racks)
    spec = replace(spec, powers=powers, racks=racks, admit_after_loss=True)
    state = State(compile_facility(spec))
    assert [
        (v.contingency.lost, v.row.kind.value, v.row.element, v.load_watts, v.limit_watts)
        for v in state.violations()
    ] == [
        (lost, kind, "b", 123_000.0, 120_000.0)
        for lost in "cd"
        for kind in ("continuous rating", "peak limit")
    ]
    assert state.headroom(0) == 2_000.0
    assert Loss("c") in Oracle(spec).worlds
