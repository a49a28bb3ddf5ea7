"""Who sends jobs to which site, and what a site is made of: cases worked out by hand."""

from __future__ import annotations

from rackplane.simulator.jobs import TraceJob
from tests.benchmarks.sites.split import contract_of, dispatched, idle_of, node_of, site_with


def names(jobs: list[TraceJob], *, sites: int, gpus: int) -> list[list[str]]:
    return [[job.name for job in of] for of in dispatched(jobs, sites, gpus, 4)]


def test_a_job_goes_where_the_least_work_is_left() -> None:
    jobs = [
        TraceJob("a", 0, 100, 8),  # both are empty: the first, which then has 800 GPU-seconds left
        TraceJob("b", 0, 50, 8),  # the second: 400
        TraceJob("c", 10, 100, 4),  # 10 s on 8 GPUs later 720 and 320 are left: the second, 720 then
        TraceJob("d", 10, 10, 8),  # as much on both: the first, 800
        TraceJob("e", 20, 10, 8),  # 720 and 640
        TraceJob("f", 500, 10, 8),  # nothing is left of anything: the first
    ]
    assert names(jobs, sites=2, gpus=8) == [["a", "d", "f"], ["b", "c", "e"]]
    assert names(jobs, sites=1, gpus=8) == [["a", "b", "c", "d", "e", "f"]]


def test_a_job_that_no_site_holds_goes_nowhere_and_counts_for_nothing() -> None:
    jobs = [
        TraceJob("too-large", 0, 1_000, 12),
        TraceJob("whole-nodes", 0, 1_000, 7),  # two nodes of 4 GPUs: it fits, and counts for 8
        TraceJob("next", 0, 10, 1),
    ]
    assert names(jobs, sites=2, gpus=8) == [["whole-nodes"], ["next"]]


def test_each_site_has_a_copy() -> None:
    jobs = [TraceJob("a", 0, 10, 4)]
    [[found]] = dispatched(jobs, 1, 8, 4)
    assert found == jobs[0]
    assert found is not jobs[0]


def test_a_site_has_a_contract_below_what_its_nodes_can_draw() -> None:
    site = site_with(1, 85)
    # Six racks of 13.2 kW and 18 nodes of 1.0 to 6.6 kW each, behind UPS that pass on 97 %.
    assert (site.gpus, site.gpus_per_node) == (6 * 18 * 4, 4)
    full = round(6 * (13_200 + 18 * 6_600) / 0.97)
    assert site.bodies["PowerBudget", "contract"]["spec"]["limitWatts"] == full * 85 // 100
    assert (contract_of(1, 100), idle_of(1)) == (full, round(6 * (13_200 + 18 * 1_000) / 0.97))
    assert node_of() == round(5_600 / 0.97)
