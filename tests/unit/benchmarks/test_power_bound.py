"""The bound of the power benchmark: values that can be worked out by hand."""

from __future__ import annotations

import pytest

from rackplane.core.site.facility import Catalog
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.facility import Facility
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.policies import Policy
from rackplane.simulator.requests import requests_of
from rackplane.simulator.site import Site
from tests.benchmarks.power.bound import most_work
from tests.benchmarks.power.hall import BALANCED, NAMEPLATE, site

HOUR = 3_600


def facility(of: Site) -> Facility:
    catalog = Catalog()
    for (kind, name), body in of.bodies.items():
        catalog.put(kind, name, body)
    return compile_facility(catalog.spec(0.0))


@pytest.mark.parametrize(
    ("percent", "hours"),
    [
        # All 864 GPUs; and, of the 792 kW, what 12 idle racks of 31.2 kW leave to nodes of 3.76 kW at 77 % of speed.
        (100, 864 * 10),
        (50, (792_000 - 12 * 31_200) / 3_760 * 4 * 0.77 * 10),
    ],
)
def test_a_budget_bounds_what_can_be_done(percent: int, hours: float) -> None:
    here = site(BALANCED, NAMEPLATE * percent // 100)
    [request] = requests_of([TraceJob("all", 0, 20 * HOUR, 864)], here, Policy(), seed=0)
    assert most_work([request], [(0, facility(here))], 10 * HOUR) == pytest.approx(hours, rel=1e-6)


def test_no_job_is_done_before_it_comes_or_faster_than_at_full_speed() -> None:
    here = site(BALANCED, NAMEPLATE)
    jobs = [TraceJob("first", 0, 1 * HOUR, 72), TraceJob("second", 2 * HOUR, 9 * HOUR, 144)]
    requests = requests_of(jobs, here, Policy(), seed=0)
    assert most_work(requests, [(0, facility(here))], 4 * HOUR) == pytest.approx(72 + 2 * 144, rel=1e-6)
