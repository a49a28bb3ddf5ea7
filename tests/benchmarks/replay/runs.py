"""Runs of the package's simulator on the benchmarks' racks: when each job started, and in how many racks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rackplane.core import events as e
from rackplane.simulator.gangs import Request
from rackplane.simulator.policies import Policy
from rackplane.simulator.requests import requests_of
from rackplane.simulator.scaling import Scaling
from rackplane.simulator.simulation import Simulation
from rackplane.simulator.site import Site
from rackplane.simulator.traces.reading import read_trace
from tests.benchmarks.bench_core import GPU, RACK_NODES, facility, node

__all__ = ["GPUS_A_NODE", "Replay", "racks_of", "read", "replay"]

GPUS_A_NODE = 4


@dataclass(slots=True)
class Replay:
    """When each gang started, in seconds, and in how many racks."""

    starts: dict[str, int] = field(default_factory=dict)
    racks: dict[str, int] = field(default_factory=dict)

    def write(self, table: str, row: Sequence[object]) -> None:
        """As an `Output`: of jobs.csv, gang, start and racks."""
        if table == "jobs.csv":
            name, start, racks = row[1], row[6], row[12]
            assert isinstance(name, str) and isinstance(start, int) and isinstance(racks, int)
            self.starts[name], self.racks[name] = start, racks


def racks_of(racks: int) -> Site:
    """So many racks of 18 nodes of 4 GPUs, each an NVLink domain."""
    bodies = {
        (event.kind, event.name): event.body
        for event in facility(racks)
        if isinstance(event, e.FacilityChanged)
    }
    nodes = {
        made.node.metadata.name: made.node
        for r in range(racks)
        for n in range(RACK_NODES)
        for made in [node(r, n)]
    }
    gpus = racks * RACK_NODES * GPUS_A_NODE
    return Site(f"{racks} racks", bodies, nodes, gpus, GPUS_A_NODE, GPU, RACK_NODES, ("research",))


def read(path: Path, site: Site, *, load: float, most: int | None) -> list[Request]:
    """The first ``most`` jobs that ask for at most half of the GPUs, closer together in the same proportions."""
    jobs = sorted(read_trace(path).jobs, key=lambda job: (job.submit, job.duration, job.gpus))
    scaling = Scaling(largest=site.gpus // 2, first=most, load=load)
    scaled, _ = scaling.scaled(jobs, gpus=site.gpus, gpus_per_node=GPUS_A_NODE)
    return requests_of(scaled, site, Policy(), seed=0)


def replay(
    jobs: Sequence[Request], site: Site, policy: Policy, *, expected: Mapping[str, int] | None = None
) -> Replay:
    """Run them.

    Args:
        expected: seconds that jobs say they run, by name; None: what they do run.
    """
    found = Replay()
    said = jobs if expected is None else [replace(job, told=expected[job.name]) for job in jobs]
    # No sample is taken after the one of second 0: the benchmarks are about starts.
    Simulation(site, said, policy, output=found, every=2**40).run()
    return found
