"""The same racks as one site and as many: halls that are alike, and who sends jobs to which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import yaml

from rackplane.simulator.facilities.design import EFFICIENCY_BASIS_POINTS, Design, parse_scheme
from rackplane.simulator.facilities.manifests import files_of
from rackplane.simulator.facilities.writing import profile_of
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.scaling import shape_of
from rackplane.simulator.site import Site, site_of

__all__ = ["Pool", "contract_of", "dispatched", "idle_of", "node_of", "site_with"]

PROFILE: Final = "gb300-nvl72"
SCHEME: Final = "4N/3"


def site_with(racks_of_a_row: int, budget_percent: int) -> Site:
    """A hall of six rows in 4N/3 with all the UPS it needs, under a contract of so many percent of its nameplate."""
    design = _design(racks_of_a_row)
    files = files_of(design, profile_text=profile_of(PROFILE)[1], command="")
    bodies: list[dict[str, Any]] = [
        body
        for name, content in files.items()
        if name.endswith(".yaml")
        for body in yaml.safe_load_all(content)
        if body
    ]
    contract = {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "PowerBudget",
        "metadata": {"name": "contract"},
        "spec": {
            "targets": {"powerDomains": ["utility"]},
            "limitWatts": contract_of(racks_of_a_row, budget_percent),
        },
    }
    return site_of(f"{design.gpus}", [*bodies, contract])


def contract_of(racks_of_a_row: int, budget_percent: int) -> int:
    """Watts at the utility: so many percent of every node at its maximum, without short peaks."""
    design = _design(racks_of_a_row)
    rack = design.overhead_of_a_rack + design.nodes_of_a_rack * design.profile.spec.max_watts
    return _at_the_utility(design.rows_of_a_hall * design.racks * rack) * budget_percent // 100


def idle_of(racks_of_a_row: int) -> int:
    """Watts at the utility with every node idle."""
    design = _design(racks_of_a_row)
    return _at_the_utility(design.rows_of_a_hall * design.racks * design.idle_of_a_rack)


def node_of() -> int:
    """Watts at the utility that an idle node adds when it works at its maximum, without short peaks."""
    spec = _design(1).profile.spec
    return _at_the_utility(spec.max_watts - spec.idle_watts)


def _design(racks_of_a_row: int) -> Design:
    profile, _ = profile_of(PROFILE)
    design = Design(profile=profile, scheme=parse_scheme(SCHEME), racks=racks_of_a_row, cooling=False)
    design.check()
    return design


def _at_the_utility(watts: int) -> int:
    """With the losses of conversion."""
    return round(watts * 10_000 / EFFICIENCY_BASIS_POINTS)


def dispatched(
    jobs: Sequence[TraceJob], sites: int, gpus: int, gpus_per_node: int, fed: int
) -> list[list[TraceJob]]:
    """Each job at the site where it starts first, as far as who sends it can tell; those that no site can hold nowhere.

    The sender knows durations and books each job on the site's GPUs as one pool, without racks: from the first moment
    on at which enough of them stay free for as long as it runs (conservative backfill). Of sites that are as early, it
    takes the one with the fewest GPUs left then, so that others stay free for large gangs.

    Args:
        jobs: in order of arrival.
        gpus: of one site.
        fed: of these so many that the contract feeds at a time; a job of more takes them all.
    """
    found: list[list[TraceJob]] = [[] for _ in range(sites)]
    pools = [Pool(fed) for _ in range(sites)]
    for job in jobs:
        asked = shape_of(job.gpus, gpus_per_node).gpus
        if asked > gpus:
            continue
        wanted = min(asked, fed)
        offers = [(*pool.earliest(job.submit, job.duration, wanted), site) for site, pool in enumerate(pools)]
        start, _, best = min(offers)
        pools[best].booked.append((start, start + job.duration, wanted))
        found[best].append(replace(job))
    return found


@dataclass(slots=True)
class Pool:
    """GPUs of a site without nodes: what is booked on them from when to when."""

    gpus: int
    booked: list[tuple[int, int, int]] = field(default_factory=list)

    def earliest(self, now: int, duration: int, wanted: int) -> tuple[int, int]:
        """From when on so many GPUs are free for so long, and how many others are free at its start."""
        self.booked = [of for of in self.booked if of[1] > now]
        for start in sorted({now, *(end for _, end, _ in self.booked)}):
            moments = [start, *(begin for begin, _, _ in self.booked if start < begin < start + duration)]
            if max(map(self._used, moments)) + wanted <= self.gpus:
                return start, self.gpus - self._used(start) - wanted
        raise ValueError(f"{wanted} GPUs are more than the {self.gpus} of the pool")

    def _used(self, moment: int) -> int:
        return sum(gpus for begin, end, gpus in self.booked if begin <= moment < end)
