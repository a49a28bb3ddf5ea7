"""The same racks as one site and as many: halls that are alike, and who sends jobs to which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import yaml

from rackplane.simulator.facilities.design import EFFICIENCY_BASIS_POINTS, Design, parse_scheme
from rackplane.simulator.facilities.manifests import files_of
from rackplane.simulator.facilities.writing import profile_of
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.scaling import shape_of
from rackplane.simulator.site import Site, site_of

__all__ = ["contract_of", "dispatched", "idle_of", "node_of", "site_with"]

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


def dispatched(jobs: Sequence[TraceJob], sites: int, gpus: int, gpus_per_node: int) -> list[list[TraceJob]]:
    """Each job at the site with the least work left when it comes, of a GPU; those that no site can hold nowhere.

    Args:
        gpus: of one site.
    """
    found: list[list[TraceJob]] = [[] for _ in range(sites)]
    left, since = [0.0] * sites, 0
    for job in jobs:
        left = [max(0.0, work - gpus * (job.submit - since)) for work in left]
        since = job.submit
        asked = shape_of(job.gpus, gpus_per_node).gpus
        if asked > gpus:
            continue
        best = min(range(sites), key=lambda site: (left[site], site))
        left[best] += asked * job.duration
        found[best].append(replace(job))
    return found
