"""Who sends jobs to which site, and what a site is made of: cases worked out by hand."""

from __future__ import annotations

from rackplane.simulator.jobs import TraceJob
from tests.benchmarks.sites.split import contract_of, dispatched, idle_of, node_of, site_with


def names(jobs: list[TraceJob], *, sites: int, fed: int = 8) -> list[list[str]]:
    return [[job.name for job in of] for of in dispatched(jobs, sites, 8, 4, fed)]


def test_a_job_goes_where_it_starts_first() -> None:
    jobs = [
        TraceJob("a", 0, 100, 8),  # both are empty: the first, from 0 to 100
        TraceJob("b", 0, 50, 8),  # the second, from 0 to 50
        TraceJob("c", 10, 10, 4),  # the second, from 50
        TraceJob("d", 10, 100, 8),  # the second from 60, when c ends, and so before the first
        TraceJob("e", 10, 10, 4),  # ahead of d there is room beside c, from 50 to 60
        TraceJob("f", 10, 11, 4),  # not for a second more: the first, from 100
        TraceJob("g", 500, 1, 4),  # all is over: the first
        TraceJob("h", 500, 1, 8),  # now only the second
    ]
    assert names(jobs, sites=2) == [["a", "f", "g"], ["b", "c", "d", "e", "h"]]
    assert names(jobs, sites=1) == [["a", "b", "c", "d", "e", "f", "g", "h"]]


def test_of_sites_that_are_as_early_the_fullest_is_taken() -> None:
    jobs = [TraceJob("a", 0, 100, 4), TraceJob("b", 0, 100, 8), TraceJob("c", 1, 9, 4)]
    assert names(jobs, sites=3) == [["a", "c"], ["b"], []]


def test_a_job_that_no_site_holds_goes_nowhere_and_counts_for_nothing() -> None:
    jobs = [
        TraceJob("too-large", 0, 1_000, 12),
        TraceJob("whole-nodes", 0, 1_000, 7),  # two nodes of 4 GPUs: it fits, and counts for 8
        TraceJob("next", 0, 10, 1),
    ]
    assert names(jobs, sites=2) == [["whole-nodes"], ["next"]]


def test_a_job_of_more_than_the_contract_feeds_takes_all_of_that() -> None:
    jobs = [TraceJob("a", 0, 100, 8), TraceJob("b", 0, 100, 4), TraceJob("c", 1, 1, 1)]
    assert names(jobs, sites=2, fed=4) == [["a", "c"], ["b"]]


def test_each_site_has_a_copy() -> None:
    jobs = [TraceJob("a", 0, 10, 4)]
    [[found]] = dispatched(jobs, 1, 8, 4, 8)
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
