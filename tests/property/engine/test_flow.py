"""Loads of random power graphs, against an evaluator written the slow way: push watts up, element by element."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.compiler import compile_facility
from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    CoolingUnit,
    FacilitySpec,
    Feed,
    Medium,
    NodeSpec,
    NodeType,
    PowerSpec,
    RackSpec,
    Role,
)
from rackplane.engine.rows import LimitRow, RowKind
from rackplane.engine.state import State

TYPE = NodeType("t", "gpu", 4, 1000, 6000, liquid_heat_percent=80)


@st.composite
def feeds(draw: st.DrawFn, names: list[str]) -> tuple[Feed, ...]:
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    return tuple(
        Feed(
            name,
            draw(st.integers(1, 4)),
            draw(st.sampled_from([Role.ACTIVE, Role.ACTIVE, Role.STANDBY])),
            draw(st.none() | st.integers(0, 10**6)),
        )
        for name in chosen
    )


@st.composite
def facilities(draw: st.DrawFn) -> FacilitySpec:
    names = [f"p{i}" for i in range(draw(st.integers(1, 7)))]
    powers = []
    for i, name in enumerate(names):
        powers.append(
            PowerSpec(
                name,
                10**6,
                base_load_watts=draw(st.integers(0, 5000)),
                efficiency_basis_points=draw(st.sampled_from([10_000, 9_600, 5_000])),
                parents=draw(feeds(names[:i])) if i and draw(st.booleans()) else (),
                feed_tag=draw(st.sampled_from([None, "main-a", "main-b"])),
                online=draw(st.integers(0, 4)) > 0,
            )
        )
    zones = (
        CoolingSpec("site", Medium.LIQUID, (CoolingUnit("u", 10**6),)),
        CoolingSpec(
            "row",
            Medium.LIQUID,
            (
                CoolingUnit("a", 300_000, 900, draw(feeds(names))),
                CoolingUnit("b", 200_000, 700, draw(feeds(names)), online=draw(st.booleans())),
            ),
            parents=("site",),
        ),
        CoolingSpec("air", Medium.AIR, (CoolingUnit("u", 10**6),)),
    )
    racks = tuple(
        RackSpec(f"r{i}", "t", draw(st.integers(0, 4000)), 10**6, draw(feeds(names)), "row", "air")
        for i in range(draw(st.integers(1, 4)))
    )
    budgets = (
        BudgetSpec("b", tuple(draw(st.lists(st.sampled_from(names), max_size=2))), ("main-a",), 10**6),
    )
    order = draw(st.permutations(powers))
    return FacilitySpec((TYPE,), racks, tuple(order), zones, budgets)


def split(spec: FacilitySpec, inputs: tuple[Feed, ...]) -> list[tuple[str, float]]:
    active = [f for f in inputs if f.role == Role.ACTIVE and alive(spec, f.power)]
    if active:
        total = sum(f.weight for f in active)
        return [(f.power, f.weight / total) for f in active]
    for f in inputs:
        if f.role == Role.STANDBY and alive(spec, f.power):
            return [(f.power, 1.0)]
    return []


def alive(spec: FacilitySpec, name: str) -> bool:
    element = next(p for p in spec.powers if p.name == name)
    return element.online and (not element.parents or any(alive(spec, f.power) for f in element.parents))


def push(spec: FacilitySpec, name: str, watts: float, out: dict[str, float]) -> None:
    out[name] = out.get(name, 0.0) + watts
    element = next(p for p in spec.powers if p.name == name)
    for parent, part in split(spec, element.parents):
        push(spec, parent, watts * 10_000 / element.efficiency_basis_points * part, out)


def under(spec: FacilitySpec, name: str, targets: set[str]) -> bool:
    """Whether a target stands above the element."""
    element = next(p for p in spec.powers if p.name == name)
    return any(f.power in targets or under(spec, f.power, targets) for f in element.parents)


@given(facilities(), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=6))
@settings(max_examples=120, deadline=None)
def test_loads_equal_the_slow_evaluation(spec: FacilitySpec, used: list[tuple[int, int]]) -> None:
    facility = compile_facility(spec)
    state = State(facility, [NodeSpec(f"r{r}-n{i}", f"r{r}") for i, (r, _) in enumerate(used)])
    drawn = {r.name: float(r.overhead_watts) for r in spec.racks}
    for i, (r, gpus) in enumerate(used):
        state.set_unmanaged(f"r{r}-n{i}", gpus)
        if f"r{r}" in drawn:
            drawn[f"r{r}"] += 1000 + 5000 * gpus / 4
    out: dict[str, float] = {}
    for p in spec.powers:
        if alive(spec, p.name):
            push(spec, p.name, p.base_load_watts, out)
    for zone in spec.coolings:
        for unit in zone.units:
            if unit.online:
                for name, part in split(spec, unit.feeds):
                    push(spec, name, unit.draw_watts * part, out)
    for rack in spec.racks:
        for name, part in split(spec, rack.feeds):
            push(spec, name, drawn[rack.name] * part, out)

    def load(kind: RowKind, name: str) -> float:
        return float(state.loads[facility.row_index[LimitRow(kind, name)]])

    for p in spec.powers:
        assert load(RowKind.POWER_NOMINAL, p.name) == pytest.approx(out.get(p.name, 0.0), abs=0.01)
        assert load(RowKind.POWER_PEAK, p.name) == pytest.approx(out.get(p.name, 0.0), abs=0.01)
    targets = {p.name for p in spec.powers if p.feed_tag == "main-a"} | set(spec.budgets[0].powers)
    tops = {name for name in targets if not under(spec, name, targets)}
    assert load(RowKind.BUDGET, "b") == pytest.approx(sum(out.get(n, 0.0) for n in tops), abs=0.01)
    heat = sum(drawn[r.name] for r in spec.racks if split(spec, r.feeds))
    assert load(RowKind.LIQUID, "row") == pytest.approx(0.8 * heat, abs=0.01)
    assert load(RowKind.LIQUID, "site") == pytest.approx(0.8 * heat, abs=0.01)
    assert load(RowKind.AIR, "air") == pytest.approx(0.2 * heat, abs=0.01)
    for rack in spec.racks:
        assert load(RowKind.RACK_PEAK, rack.name) == drawn[rack.name]
        shares = dict(split(spec, rack.feeds))
        for feed in rack.feeds:
            if feed.limit_watts is not None:
                row = LimitRow(RowKind.FEED, rack.name, feed.power)
                expected = drawn[rack.name] * shares.get(feed.power, 0.0)
                assert float(state.loads[facility.row_index[row]]) == pytest.approx(expected, abs=0.01)
        assert (rack.name in facility.unusable) == (not shares)
    state.validate()
