"""Planned works: what each takes away, and which take both sides of a pair together."""

from __future__ import annotations

from itertools import combinations

import pytest

from rackplane.engine.model import (
    CoolingSpec,
    CoolingUnit,
    FacilitySpec,
    Feed,
    Medium,
    PowerSpec,
    RackSpec,
    Role,
)
from rackplane.engine.planning.works import Conflict, Work, Works


def rack(name: str, *feeds: str, standby: str | None = None) -> RackSpec:
    sides = [Feed(feed, 1) for feed in feeds]
    if standby is not None:
        sides.append(Feed(standby, 1, Role.STANDBY))
    return RackSpec(name, "t", 0, 1, tuple(sides))


def domain(name: str, *parents: str) -> PowerSpec:
    return PowerSpec(name, 1_000, parents=tuple(Feed(parent, 1) for parent in parents))


#: Racks on pairs of three UPSs below one utility, one on a alone, one on a with the reserve behind it; and a loop of
#: three units of which two are needed, one of them on UPS a.
HALL = FacilitySpec(
    racks=(rack("ab", "a", "b"), rack("bc", "b", "c"), rack("lone", "a"), rack("caught", "a", standby="r")),
    powers=(domain("grid"), *(domain(name, "grid") for name in "abcr"), domain("pdu", "a")),
    coolings=(
        CoolingSpec(
            "loop",
            Medium.LIQUID,
            (CoolingUnit("u1", 100, feeds=(Feed("a", 1),)), CoolingUnit("u2", 100), CoolingUnit("u3", 100)),
            needed_units=2,
        ),
    ),
)


def work(name: str, start: float = 0, end: float = 10, *units: str, kind: str = "PowerDomain") -> Work:
    return Work(kind, name, start, end, units=units)


def zone(*units: str, start: float = 0, end: float = 10) -> Work:
    return work("loop", start, end, *units, kind="CoolingZone")


@pytest.mark.parametrize(
    ("one", "dark"),
    [
        (work("a"), ("lone",)),
        (work("b"), ()),
        (work("r"), ()),
        (work("grid"), ("ab", "bc", "caught", "lone")),
        (work("nowhere"), ()),
        (zone(), ()),
    ],
)
def test_racks_that_one_work_leaves_without_power(one: Work, dark: tuple[str, ...]) -> None:
    assert Works(HALL).dark(one) == dark


@pytest.mark.parametrize(
    ("pair", "dark", "zones"),
    [
        ((work("a"), work("b")), ("ab",), ()),
        ((work("b"), work("c")), ("bc",), ()),
        ((work("a"), work("r")), ("caught",), ()),
        ((work("a"), work("c")), None, ()),
        # The utility leaves everything dark by itself: the other work makes nothing worse.
        ((work("grid"), work("a")), None, ()),
        # u1 hangs on a, and the loop can spare one unit.
        ((work("a"), zone("u2")), (), ("loop",)),
        ((zone("u1"), zone("u2")), (), ("loop",)),
        ((work("a"), zone("u1")), None, ()),
        ((work("a"), work("b", 10, 20)), None, ()),
    ],
)
def test_two_works(pair: tuple[Work, Work], dark: tuple[str, ...] | None, zones: tuple[str, ...]) -> None:
    expected = [] if dark is None else [Conflict(pair, dark, zones)]
    assert Works(HALL).conflicts(pair) == expected
    swapped = [] if dark is None else [Conflict(pair[::-1], dark, zones)]
    assert Works(HALL).conflicts(pair[::-1]) == swapped


def test_three_works_of_which_any_two_go_together_are_refused_as_three() -> None:
    hall = FacilitySpec(racks=(rack("abc", "a", "b", "c"),), powers=tuple(domain(name) for name in "abc"))
    works = (work("a", 0, 10), work("b", 2, 10), work("c", 4, 6))
    assert all(Works(hall).conflicts(pair) == [] for pair in combinations(works, 2))
    [found] = Works(hall).conflicts(works)
    assert found == Conflict(works, ("abc",), ())
    assert (found.starts_at, found.ends_at) == (4, 6)
    assert found.words() == (
        "power domain a, power domain b and power domain c are out at the same time from 1970-01-01 00:00 to 00:00 "
        "UTC: rack abc would be without power"
    )
