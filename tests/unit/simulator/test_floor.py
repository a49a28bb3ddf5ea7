"""The floor plan of a run: frames over its whole length, however long it is."""

from __future__ import annotations

from rackplane.simulator.floor import FloorRecording
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.policies import Policy
from rackplane.simulator.requests import requests_of
from rackplane.simulator.simulation import BEGIN, Simulation
from rackplane.simulator.site import site_of
from tests.unit.cli.hall import HALL

HOUR = 3_600


def test_frames_stay_even_and_few() -> None:
    machine = Simulation(site_of("hall", HALL), ()).cluster.machine
    floor = FloorRecording(BEGIN, most=4)
    for hour in range(11):
        floor.sample(hour * HOUR, machine)
    assert [frame.at - BEGIN for frame in floor.frames()] == [0, 4 * HOUR, 8 * HOUR]


def test_a_page_has_what_ran_when() -> None:
    site, floor = site_of("hall", HALL), FloorRecording(BEGIN)
    jobs = [TraceJob("a", 0, 3 * HOUR, 16), TraceJob("b", HOUR, HOUR, 16)]
    simulation = Simulation(site, requests_of(jobs, site, Policy(), seed=0), output=Nowhere(), floor=floor)
    simulation.run()
    used = [(frame.at - BEGIN, frame.totals.used, sorted(frame.gangs)) for frame in floor.frames()]
    assert used == [
        (0, 16, ["trace/j00000"]),
        (HOUR, 32, ["trace/j00000", "trace/j00001"]),
        (2 * HOUR, 16, ["trace/j00000"]),
        (3 * HOUR, 0, []),
    ]
    page = floor.page("two jobs") or ""
    assert "<title>" in page and "trace/j00001" in page and "two jobs" in page


def test_without_samples_there_is_no_page() -> None:
    assert FloorRecording(BEGIN).page("nothing") is None


class Nowhere:
    """Takes rows and keeps none."""

    def write(self, table: str, row: object) -> None:
        pass
