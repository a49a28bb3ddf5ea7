"""Loads of power elements by other draws than the booked ones."""

from __future__ import annotations

from dataclasses import replace

from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.reporting.carried import Carried, carried
from tests.support.halls import gang, hall, idle


def test_by_the_booked_draws_it_is_what_is_reserved() -> None:
    spec = hall(["ab", "ac", "bcd"])
    spec = replace(
        spec,
        powers=tuple(
            replace(p, base_load_watts=1_500, efficiency_basis_points=9_600) if p.name == "ups-a" else p
            for p in spec.powers
        ),
    )
    state = idle(spec)
    state.book("default/a", gang("row-ab"), force=True)
    report = state.report()
    found = carried(state.facility, {name: r.nominal_watts for name, r in report.racks.items()})
    assert {name: load.watts for name, load in found.items()} == {
        name: power.nominal_watts for name, power in report.powers.items()
    }
    assert {name: load.racks for name, load in found.items()} == {
        "ups-a": ("row-ab", "row-ac"),
        "ups-b": ("row-ab", "row-bcd"),
        "ups-c": ("row-ac", "row-bcd"),
        "ups-d": ("row-bcd",),
    }


def test_what_is_above_a_rack_of_unknown_draw_or_above_none_is_left_out() -> None:
    facility = compile_facility(hall(["ab", "bc"]))
    assert carried(facility, {"row-ab": 10_000}) == {"ups-a": Carried(5_000, ("row-ab",))}
    assert carried(facility, {}) == {}
    assert carried(compile_facility(hall([])), {}) == {}
