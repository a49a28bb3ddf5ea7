"""The worked example of docs/preemption.md, computed: what each place takes, and which one is chosen."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from rackplane.engine.model import (
    FacilitySpec,
    Feed,
    Group,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerSpec,
    RackSpec,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.preempting.costs import Victim
from rackplane.engine.preempting.preemption import Plan, cheapest
from rackplane.engine.state import State

PAGE = Path(__file__).parents[2] / "docs" / "preemption.md"
KIND = NodeType("node", "gpu", 4, 1_000, 5_000, nvlink_scope=NvlinkScope.LABEL)
RACKS = ("r1", "r2", "r3", "r4")


def table(heading: str) -> list[list[str]]:
    """The rows of the table of the page that starts with this heading."""
    lines = PAGE.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |")) + 2
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def row_of_racks(nodes_carried: int) -> tuple[State, list[Victim]]:
    """The page's row, whose power carries so many nodes in use, with the page's gangs in it."""
    racks = tuple(RackSpec(r, KIND.name, 0, 100_000, (Feed("row"),)) for r in RACKS)
    power = PowerSpec("row", len(RACKS) * 4 * 1_000 + nodes_carried * 4_000)
    nodes = [NodeSpec(f"{r}n{i}", r, r) for r in RACKS for i in range(4)]
    state = State(compile_facility(FacilitySpec((KIND,), racks, (power,))), nodes)
    taken = dict.fromkeys(RACKS, 0)
    victims = []
    for name, rack, count, priority, disruption, hours in table("gang"):
        on = tuple(f"{rack}n{taken[rack] + i}" for i in range(int(count)))
        taken[rack] += int(count)
        watts = 4_000 * int(count)
        state.book(
            name,
            Placement(
                slots=on,
                groups=(Group(rack, rack, on),),
                gpus_per_slot=4,
                power_profile="MaxP",
                nominal_watts=watts,
                peak_watts=watts,
                liquid_watts=0,
                air_watts=watts,
            ),
        )
        victims.append(Victim(name, int(priority), disruption == "Sheddable", int(hours) * 3600))
    return state, victims


def plan(state: State, victims: list[Victim], *racks: str) -> Plan:
    capacity = {f"{r}n{i}": 1 for r in racks for i in range(4)}
    asked = Request(slots=4, gpus_per_slot=4, resource="gpu", required="nvlink", capacity=capacity)

    def same(_: Collection[str]) -> Request:
        return asked

    found = cheapest(state, same, victims)
    assert found is not None
    assert found.proved
    return found


def test_each_place_costs_what_the_page_says() -> None:
    state, victims = row_of_racks(12)
    assert state.violations() == []
    for rack, stopped, high, hard, soft in table("place"):
        found = plan(state, victims, rack)
        tiers = {priority: (a // 3600, b // 3600) for priority, a, b in found.cost.tiers}
        assert sorted(v.key for v in found.victims) == stopped.split(", "), rack
        assert tiers.get(5, (0, 0)) == (int(high), 0)
        assert tiers.get(0, (0, 0)) == (int(hard), int(soft))


def test_the_cheapest_place_is_chosen() -> None:
    state, victims = row_of_racks(12)
    found = plan(state, victims, *RACKS)
    assert ([v.key for v in found.victims], found.placement.groups[0].rack) == (["b", "d"], "r3")
    state, victims = row_of_racks(13)
    found = plan(state, victims, *RACKS)
    assert ([v.key for v in found.victims], found.placement.groups[0].rack) == (["b", "e"], "r3")
