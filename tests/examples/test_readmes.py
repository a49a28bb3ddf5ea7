"""Every figure in a facility's README is computed here from its YAML: the tables line by line, the rest one by one."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from rackplane.engine.physics.rows import NORMAL, Contingency, LimitRow, RowKind
from tests.examples.halls import (
    GPU,
    ROOT,
    Manifest,
    booked_like,
    documents,
    edited,
    named,
    state_of,
    watts,
)
from tests.examples.pages import Figures, at_work, figures, kw, percent, prose, table

# -- the tables --------------------------------------------------------------------------------------


def loss_table(name: str, elements: list[str]) -> str:
    """Loads after each loss: of the hall in which it has happened, so not by the cells of contingencies."""
    objects = documents(name)
    full = at_work(name)
    lines = []
    for lost in ["", *elements]:
        after = booked_like(full, edited(objects, "PowerDomain", lost, state="Offline")) if lost else full
        cells = [
            f"{kw(load)}, {percent(load, spec.rated_watts)}" if element in after.facility.live else ""
            for element in elements
            for spec in [after.facility.powers[element]]
            for load in [watts(after, element)]
        ]
        lines.append([lost or "nothing", *cells])
    return table(["lost", *elements], lines)


LOSS_TABLES = {
    "2n": ["ups-a", "ups-b", "board-a", "board-b"],
    "3n2": [f"ups-{u}" for u in "abc"],
    "4n3": [f"ups-{u}" for u in "abcd"],
    "4n3-unbalanced": [f"ups-{u}" for u in "abcd"],
    "5n4": [f"ups-{u}" for u in "abcde"],
    "catcher": [f"ups-{u}" for u in "1234r"],
}


@pytest.mark.parametrize("name", LOSS_TABLES)
def test_the_table_of_losses_is_what_the_losses_do(name: str) -> None:
    assert loss_table(name, LOSS_TABLES[name]) in prose(name)


def _rack(objects: list[Manifest]) -> tuple[int, int, int, int, int]:
    """Of the hall's one kind of rack: racks, nodes a rack, overhead, idle watts and watts of a node at work."""
    racks = named(objects, "Rack").values()
    ((profile, nodes, overhead),) = {(r["profile"], r["expectedNodes"], r["overheadWatts"]) for r in racks}
    spec = named(objects, "HardwareProfile")[profile]
    assert (spec["resourceName"], spec.get("typicalUtilizationPercent"), spec.get("peakPercent")) == (
        GPU,
        None,
        None,
    )
    return len(racks), nodes, overhead, spec["idleWatts"], spec["maxWatts"]


@pytest.mark.parametrize(
    ("name", "group", "all_of"),
    [
        ("2n", "the row", "1 row"),
        ("3n2", "a row", "3 rows"),
        ("4n3", "a row", "6 rows"),
        ("5n4", "a pair", "10 pairs"),
        ("catcher", "a block", "4 blocks"),
        ("n-plus-1", "the row", "1 row"),
    ],
)
def test_the_table_of_draws_adds_up(name: str, group: str, all_of: str) -> None:
    objects = documents(name)
    count, nodes, overhead, idle, full = _rack(objects)
    groups = len({rack["location"]["row"] for rack in named(objects, "Rack").values()})
    assert all_of.split()[0] == str(groups)
    head = [
        "",
        "a node",
        f"a rack: {kw(overhead)} + {nodes} nodes",
        f"{group}: {count // groups} racks",
        f"the hall: {all_of}",
    ]

    def line(word: str, node: int) -> list[str]:
        rack = overhead + nodes * node
        return [word, kw(node), kw(rack), kw(rack * count // groups), kw(rack * count)]

    lines = [line("idle", idle), line("at work, nominal and peak", full)]
    assert table(head, lines) in prose(name)


# -- everything else that is said --------------------------------------------------------------------


def _pairs_hall(name: str) -> Figures:
    """What distributed redundancy installs, uses and gives each pair."""
    powers = named(documents(name), "PowerDomain")
    (rated,) = {spec["ratedWatts"] for power, spec in powers.items() if power.startswith("ups-")}
    count = sum(power.startswith("ups-") for power in powers)
    usable = (count - 1) * rated
    return {kw(rated), kw(count * rated), kw(usable), percent(count - 1, count), kw(2 * rated / count)}


def _4n3() -> Figures:
    powers = named(documents("4n3"), "PowerDomain")
    taken = 7_200_000 * 10_000 / powers["ups-a"]["efficiencyBasisPoints"]
    assert taken == pytest.approx(watts(at_work("4n3"), "utility"))
    count, nodes, _, idle, full = _rack(documents("4n3"))
    added = count * nodes * (full - idle)
    return _pairs_hall("4n3") | {percent(0.97), kw(taken), kw(powers["utility"]["ratedWatts"]), kw(added)}


def _unbalanced() -> Figures:
    rated, row = 2_400_000, 1_200_000
    assert figures(prose("4n3")) >= {kw(rated), kw(row)}
    whole_on_b, halves_on_b = 2 * row, 2 * row // 2
    best = 4 * row + (rated - halves_on_b)
    return {
        kw(6 * row),
        kw(whole_on_b),
        kw(halves_on_b),
        kw(whole_on_b + halves_on_b),
        kw(best),
        kw(6 * row - best),
    }


def _3n2() -> Figures:
    objects = documents("3n2")
    powers, zone = named(objects, "PowerDomain"), named(objects, "CoolingZone")["hall-liquid"]
    rated, racks = powers["ups-a"]["ratedWatts"], int(at_work("3n2").nominal.sum())
    ((capacity, draw),) = {(unit["capacityWatts"], unit["drawWatts"]) for unit in zone["units"]}
    liquid = named(objects, "HardwareProfile")["gb300-rounded"]["liquidHeatPercent"] / 100
    pair = (rated - draw) / 1.5
    assert (2 * rated, 3 * pair) == (racks + 2 * draw, racks)
    assert racks * liquid <= zone["neededUnits"] * capacity
    return {
        *(kw(w) for w in (rated, draw, pair, 2 * rated, 3 * rated, racks, 2 * draw)),
        percent(2, 3),
        percent(liquid),
        *(kw(w) for w in (racks * liquid, capacity, 2 * capacity, capacity / liquid)),
    }


def _rounded_cooling(objects: list[Manifest], *, racks: int) -> Figures:
    """Heat of a full row by medium, a unit of each, and what is needed of them."""
    liquid = named(objects, "HardwareProfile")["gb300-rounded"]["liquidHeatPercent"] / 100
    zones = named(objects, "CoolingZone")
    cdu, crah = (zones[zone]["units"][0]["capacityWatts"] for zone in ("hall-liquid", "hall-air"))
    assert racks * liquid <= zones["hall-liquid"]["neededUnits"] * cdu
    assert racks * (1 - liquid) <= zones["hall-air"]["neededUnits"] * crah
    one_left = crah / (1 - liquid)
    return {
        percent(liquid),
        *(kw(w) for w in (racks * liquid, racks * (1 - liquid), cdu, crah, 2 * crah, one_left)),
    }


def _draws(objects: list[Manifest]) -> dict[str, int]:
    """Watts of cooling units by their first feed."""
    found: dict[str, int] = {}
    for zone in named(objects, "CoolingZone").values():
        for unit in zone["units"]:
            power = unit["feeds"][0]["powerDomain"]
            found[power] = found.get(power, 0) + unit["drawWatts"]
    return found


def _2n() -> Figures:
    objects = documents("2n")
    powers, racks = named(objects, "PowerDomain"), named(objects, "Rack")
    rated, board = powers["ups-a"]["ratedWatts"], powers["board-a"]["ratedWatts"]
    (mech,) = set(_draws(objects).values())
    taken = rated * 10_000 / powers["ups-a"]["efficiencyBasisPoints"]
    (feed,) = {feed["limitWatts"] for rack in racks.values() for feed in rack["feeds"]}
    return {
        *(kw(w) for w in (rated, 2 * rated, taken, mech, taken + mech, board)),
        *(percent(1, 2), percent(0.97)),
        *(kw(w) for w in (feed, feed / 2, 33_000, 4 * 33_000)),
    } | _rounded_cooling(objects, racks=8 * feed)


def _catcher() -> Figures:
    powers = named(documents("catcher"), "PowerDomain")
    rated = powers["ups-1"]["ratedWatts"]
    idle = 4 * (24_000 + 18 * 1_000)
    return {
        *(kw(w) for w in (rated, 4 * rated, 5 * rated, 2 * rated, idle, rated - idle)),
        percent(4, 5),
        percent(2 * rated, rated),
    }


def _n_plus_1() -> Figures:
    objects = documents("n-plus-1")
    powers, draws = named(objects, "PowerDomain"), _draws(objects)
    modules = powers["ups"]["redundancy"]
    one, needed = modules["moduleWatts"], modules["needed"]
    taken = needed * one * 10_000 / powers["ups"]["efficiencyBasisPoints"]
    mech = sum(draws.values())
    after = watts(at_work("n-plus-1"), "mech-b", "mech-a")
    return {
        *(kw(w) for w in (one, modules["installed"] * one, needed * one, 4 * one)),
        percent(needed, modules["installed"]),
        *(kw(w) for w in (taken, mech, taken + mech, powers["utility"]["ratedWatts"])),
        *(kw(w) for w in (powers["mech-a"]["ratedWatts"], draws["mech-a"], draws["mech-b"], after, 0)),
        *(percent(0.97), percent(0.13)),
    } | _rounded_cooling(objects, racks=needed * one)


def _dps() -> Figures:
    objects = documents("dps-simulator")
    powers = named(objects, "PowerDomain")
    spec = named(objects, "HardwareProfile")["dps-gb300"]
    (limit,) = {rack["limitWatts"] for rack in named(objects, "Rack").values()}
    nodes = [spec["idleWatts"], *(profile["nodeWatts"] for profile in spec["powerProfiles"])]
    high, utility = 144 * spec["maxWatts"], powers["utility"]["ratedWatts"]
    increment = spec["maxWatts"] - spec["idleWatts"]
    some = (utility - 144 * spec["idleWatts"]) // increment
    assert (some, 144 - some) == (131, 13)
    together = 144 * spec["idleWatts"] + some * increment
    (speed,) = {p["relativePerformancePercent"] for p in spec["powerProfiles"] if p["name"] == "Med"}
    return {
        *(f"{watts:,} W" for watts in nodes),
        *(kw(count * watts) for watts in nodes for count in (18, 36, 144)),
        *(kw(w) for w in (limit, *{p["ratedWatts"] for p in powers.values()})),
        *(kw(w) for w in (high - utility, together, together + increment)),
        percent(speed / 100),
    }


SAID: dict[str, Callable[[], Figures]] = {
    "2n": _2n,
    "3n2": _3n2,
    "4n3": _4n3,
    "4n3-unbalanced": _unbalanced,
    "5n4": lambda: _pairs_hall("5n4"),
    "catcher": _catcher,
    "dps-simulator": _dps,
    "n-plus-1": _n_plus_1,
}


@pytest.mark.parametrize("name", SAID)
def test_every_figure_follows_from_the_yaml(name: str) -> None:
    text = prose(name)
    expected = SAID[name]()
    if "#the-rounded-rack" in text:
        _, nodes, overhead, _, full = _rack(documents(name))
        expected |= {kw(overhead + nodes * full)}
    assert expected <= figures(text)
    # The tables of losses and draws have tests of their own.
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        if block.startswith(("| lost", "| | a node")) and name != "dps-simulator":
            text = text.replace(block, "")
    assert figures(text) == expected


def test_the_rounded_rack_is_near_the_shipped_one() -> None:
    shipped = named(documents("gb300-row"), "HardwareProfile")["gb300-nvl72"]
    base = named(documents("gb300-row"), "PowerDomain")["row"]["baseLoadWatts"]
    (overhead,) = {rack["overheadWatts"] for rack in named(documents("gb300-row"), "Rack").values()}
    _, nodes, rounded_overhead, idle, full = _rack(documents("4n3"))
    peak = shipped["maxWatts"] * shipped["peakPercent"] / 100
    rack = overhead + nodes * peak
    text = (ROOT / "examples" / "README.md").read_text()
    section = text[text.index("## The rounded rack") :]
    assert idle == shipped["idleWatts"]
    assert figures(section) == {
        *(f"{watts:,.0f} W" for watts in (shipped["maxWatts"], peak, full, idle)),
        *(
            kw(w)
            for w in (
                rack,
                base,
                base / 8,
                rack + base / 8,
                rounded_overhead,
                rounded_overhead + nodes * full,
            )
        ),
        percent(shipped["liquidHeatPercent"] / 100),
    }


def test_the_page_on_physics_works_through_the_4n3_hall() -> None:
    facility = state_of(documents("4n3")).facility
    text = (ROOT / "docs" / "physics.md").read_text()

    def coefficients(rack: str, lost: str) -> str:
        entries = facility.entries(facility.rack_index[rack])
        on = {
            facility.describe(cell): coefficient
            for cell, coefficient in zip(facility.cells[entries], facility.coefficients[entries], strict=True)
        }
        loss = Contingency(lost)
        rows = [LimitRow(RowKind.POWER_NOMINAL, ups) for ups in ("ups-a", "ups-b")]
        # Where a loss has no cell the coefficient is that of the normal state; the lost element carries nothing.
        found = [0 if r.element == lost else on.get((loss, r), on.get((NORMAL, r), 0)) for r in rows]
        return ", ".join(f"{value:g}" for value in found)

    for rack in ("ab-1", "bc-1", "cd-1"):
        assert f"| `{rack}` | {coefficients(rack, '')} | {coefficients(rack, 'ups-a')} |\n" in text

    hall = at_work("4n3")
    rated = facility.powers["ups-a"].rated_watts
    losses = [watts(hall, "ups-b"), watts(hall, "ups-b", "ups-a")]
    taken = rated * 10_000 / facility.powers["ups-a"].efficiency_basis_points
    assert {kw(rated), kw(taken), *map(kw, losses)} <= figures(text)
    assert not {
        c.lost for c, row in map(facility.describe, range(len(facility.limits))) if row.element == "utility"
    } - {""}
