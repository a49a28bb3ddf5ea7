"""What meters make of draws does not depend on when they are asked."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rackplane.engine.physics.facility import Facility
from rackplane.simulator.limits import Meter
from rackplane.simulator.policies import Policy
from rackplane.simulator.simulation import Simulation
from rackplane.simulator.site import site_of
from tests.unit.cli.hall import HALL


@pytest.fixture(scope="module")
def hall() -> Facility:
    return Simulation(site_of("hall", HALL), [], Policy(), model=None).reserved.facility


def too_large_for_a_matrix(facility: Facility) -> Facility:
    other = replace(facility)
    other.__dict__["coefficients_by_rack"] = None
    return other


def figures(meter: Meter) -> tuple[Any, ...]:
    elements = [(e, meter.watts_of(e)) for e in meter.elements()]
    seen = meter.watts, meter.worst(), elements, meter.exceeded_now, meter.take_highest()
    return meter.exceeded, meter.joules, meter.power.take(meter._counted), *seen, meter.of_rows().tolist()


def changes() -> list[tuple[int, dict[int, int]]]:
    """Draws of three racks that often exceed what their UPSs carry; several at one second, and some for no time."""
    random.seed(7)
    draws, now, found = [0, 0, 0], 0, []
    for _ in range(1_500):
        now += random.choice((0, 0, 1, 7, 300))
        racks = random.sample(range(3), random.choice((1, 1, 2)))
        to = {rack: random.randrange(0, 60_000) for rack in racks}
        found.append((now, {rack: watts - draws[rack] for rack, watts in to.items()}))
        for rack, watts in to.items():
            draws[rack] = watts
    return found


def test_figures_are_those_of_a_meter_that_is_asked_after_each_change(hall: Facility) -> None:
    at_once, later, one_by_one = Meter(hall), Meter(hall), Meter(too_large_for_a_matrix(hall))
    for number, (now, watts) in enumerate(changes()):
        for meter in (at_once, later, one_by_one):
            meter.add(now, watts)
        at_once.count(now)
        if number % 400 == 399:
            later.count(now)
            one_by_one.count(now)
            expected = figures(at_once)
            assert expected[0].seconds and expected[0].after_a_loss_seconds and expected[0].by_element
            assert figures(later) == expected
            assert figures(one_by_one) == expected


def test_loads_after_each_change_are_those_of_single_changes(hall: Facility) -> None:
    one_by_one, each = Meter(hall)._loads, Meter(hall)._loads
    racks = [rack for _, watts in changes() for rack in watts]
    deltas = [delta for _, watts in changes() for delta in watts.values()]
    found = each.add_each(racks, deltas)
    assert found is not None
    for loads, rack, delta in zip(found, racks, deltas, strict=True):
        one_by_one.add(rack, (delta, delta))
        assert np.array_equal(loads, one_by_one.loads), "to the last bit"
    assert np.array_equal(each.peak, one_by_one.peak)
    assert each.add_each([0], [5]) is not None
    each.compare(each)
