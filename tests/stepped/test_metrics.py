"""What the metrics say of gangs on their way: attempts, waits, who waits for what, orders, single gangs, levels."""

from __future__ import annotations

from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import Metric

from rackplane.controller.metrics import MachineCollector, Metrics
from rackplane.controller.metrics.reference import scraped
from tests.support.harness import Harness, facility, started, thing
from tests.support.preempting import NVLINK

Samples = dict[str, dict[tuple[str, ...], float]]


class Scraped:
    """The operator's registry around a harness."""

    def __init__(self, h: Harness, **options: Any) -> None:
        self._h, self._now = h, 0.0
        self.metrics = Metrics()
        self.collector = MachineCollector(
            h.machine, {}, lambda: self._now, forget_queues=self.metrics.forget_queues, **options
        )
        self.metrics.registry.register(self.collector)

    def samples(self) -> Samples:
        """Name -> values of labels in their order -> value, of our own metrics; each is one that is documented."""
        self._now += 60
        self.metrics.measure(self._h.machine.measured())
        known, found = scraped(), dict[str, dict[tuple[str, ...], float]]()
        families: list[Metric] = list(self.metrics.registry.collect())
        for family in families:
            for sample in family.samples:
                if not sample.name.startswith("rackplane_") or sample.name.endswith("_created"):
                    continue
                labels = dict(sample.labels)
                assert sample.name in known, f"{sample.name} is not documented"
                bound = labels.pop("le", None)
                assert tuple(labels) == known[sample.name].labels, sample
                if bound is None:
                    found.setdefault(sample.name, {})[tuple(labels.values())] = sample.value
        generate_latest(self.metrics.registry)
        return found


def site(**options: Any) -> Harness:
    """Two racks of four nodes of four GPUs, 22 kW each when full, on PDUs a and b of 40 kW."""
    return started(facility(racks=2), **options)


def test_a_gang_that_starts_and_one_that_waits() -> None:
    h = site()
    page = Scraped(h)
    h.job("first", slots=8, run=None)
    h.until(lambda: h.phase("job-first") == "Running")
    h.job("second", slots=4, run=None)
    h.job("huge", slots=40, run=None)
    h.until(lambda: h.phase("job-huge") == "Pending")
    h.advance(30)
    found = page.samples()
    assert found["rackplane_gangs"] == {
        ("research", phase): count
        for phase, count in (("Pending", 2), ("Held", 0), ("Admitted", 0), ("Running", 1), ("Stopping", 0))
    }
    assert found["rackplane_pending_gangs"] == {("research", "nodes"): 1, ("research", "misfit"): 1}
    assert found["rackplane_pending_gpus"] == {("research",): 4 * 4 + 40 * 4}
    assert 30 <= found["rackplane_oldest_pending_seconds"]["research",] <= 40
    assert found["rackplane_admitted_active_gpus"] == {("research", "small"): 32}
    assert found["rackplane_admitted_active_gangs"] == {("research", "small"): 1}
    assert found["rackplane_queue_used_gpus"] == {("research",): 32}
    attempts = found["rackplane_admission_attempts_total"]
    timed = found["rackplane_admission_attempt_duration_seconds_count"]
    assert timed["success",] == 1 and attempts["inadmissible",] == timed["inadmissible",] >= 2
    assert found["rackplane_admitted_gangs_total"] == {("research",): 1}
    for name in ("admission", "ungated", "ready", "admitted_until_ready"):
        assert found[f"rackplane_{name}_wait_time_seconds_count"] == {("research",): 1}, name
    order = [
        found[f"rackplane_{n}_wait_time_seconds_sum"]["research",] for n in ("admission", "ungated", "ready")
    ]
    assert order == sorted(order) and order[-1] < 60
    # Eight nodes are both racks, and no fewer would do.
    over = found["rackplane_placement_domains_over_minimum_sum"]
    assert over == {("rack",): 0, ("nvlink",): 0}


def test_what_may_well_be_counted_is_told_as_0_before() -> None:
    """To Prometheus what appears with 1 has not increased."""
    h = site()
    found = Scraped(h).samples()
    assert found["rackplane_preempted_gangs_total"] == {("research", "research", "Preempted"): 0}
    assert found["rackplane_evicted_gangs_total"]["research", "NodeLost"] == 0
    assert set(found["rackplane_node_loss_repairs_total"].values()) == {0}
    assert found["rackplane_sheds_total"] == {("Cap",): 0, ("Stop",): 0}
    assert found["rackplane_admission_attempts_total"] == dict.fromkeys(
        [(result,) for result in ("success", "inadmissible", "stale", "fenced", "error")], 0
    )


def test_one_that_is_queued_again_waits_from_then_on() -> None:
    h = site()
    page = Scraped(h)
    h.job("a", slots=4, run=None)
    h.until(lambda: h.phase("job-a") == "Running")
    h.advance(1_000, step=100)
    page.samples()
    h.suspend("a", True)
    h.until(lambda: h.phase("job-a") == "Held")
    h.advance(5)
    h.suspend("a", False)
    h.until(lambda: h.phase("job-a") == "Running")
    found = page.samples()
    assert found["rackplane_admission_wait_time_seconds_count"] == {("research",): 2}
    assert found["rackplane_admission_wait_time_seconds_sum"]["research",] < 60
    assert found["rackplane_ready_wait_time_seconds_count"] == {("research",): 2}


def test_room_by_level_and_how_scattered_what_is_free_is() -> None:
    h = site()
    page = Scraped(h)
    found = page.samples()
    key = ("nvlink", "small")
    # Two racks of 16 GPUs: power for both is there, and a domain has no more.
    assert found["rackplane_largest_placeable_gang_gpus"][key] == 16
    assert found["rackplane_fragmentation_ratio"][key] == 0
    for name in ("a", "b"):
        h.job(name, slots=2, run=None, annotations={**NVLINK, "rackplane.dev/preferred-topology": "nvlink"})
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    found = page.samples()
    free = found["rackplane_nvlink_domain_free_gpus"]
    largest = max(free.values())
    assert sum(free.values()) == 16 and found["rackplane_level_free_gpus"][key] == largest
    assert found["rackplane_largest_placeable_gang_gpus"][key] == largest
    assert found["rackplane_fragmentation_ratio"][key] == 1 - largest / 16
    assert set(found["rackplane_nvlink_domain_nodes"].values()) == {4}


def test_a_budget_that_is_kept_and_one_that_is_not() -> None:
    h = site()
    page = Scraped(h)
    h.job("a", slots=4, run=None)
    h.until(lambda: h.phase("job-a") == "Running")
    h.apply(
        thing("PowerBudget", "roomy", targets={"queues": ["research"]}, limitWatts=50_000, always=True),
        thing("PowerBudget", "tight", targets={"queues": ["research"]}, limitWatts=1_000, always=True),
    )
    h.advance(60)
    found = page.samples()
    assert found["rackplane_budget_limit_watts"] == {("roomy",): 50_000, ("tight",): 1_000}
    assert (
        found["rackplane_budget_reserved_watts"]["roomy",]
        == 50_000 - found["rackplane_budget_headroom_watts"]["roomy",]
    )
    in_force, exceeded = (found[f"rackplane_budget_{n}_seconds_total"] for n in ("in_force", "exceeded"))
    assert 55 <= in_force["roomy",] <= 65 and in_force["roomy",] == in_force["tight",]
    assert exceeded == {("roomy",): 0, ("tight",): in_force["tight",]}
    h.request("DELETE", "/apis/rackplane.dev/v1alpha1/powerbudgets/tight")
    h.advance(3)
    assert set(page.samples()["rackplane_budget_exceeded_seconds_total"]) == {("roomy",)}


def test_single_gangs_have_series_only_if_asked_for_and_go_with_the_gang() -> None:
    h = site()
    silent, page, short = Scraped(h), Scraped(h, gangs=10), Scraped(h, gangs=1)
    h.job("a", slots=4, run=None)
    h.until(lambda: h.phase("job-a") == "Running")
    h.job("late", slots=8, run=None)
    h.until(lambda: h.phase("job-late") == "Pending")
    h.advance(10)
    assert not [name for name in silent.samples() if name.startswith("rackplane_gang_")]
    found = page.samples()
    here, waits = ("default", "job-a"), ("default", "job-late")
    assert found["rackplane_gang_info"] == {
        (*here, "research", "Running", "MaxP"): 1,
        (*waits, "research", "Pending", "MaxP"): 1,
    }
    assert found["rackplane_gang_gpus"] == {here: 16, waits: 0}
    assert found["rackplane_gang_running_pods"] == {here: 4, waits: 0}
    assert sum(found["rackplane_gang_rack_gpus"].values()) == 16
    assert found["rackplane_gang_position"] == {waits: 1}
    assert set(found["rackplane_gang_reserved_watts"]) == {(*here, "nominal"), (*here, "peak")}
    assert found["rackplane_gangs_left_out"] == {(): 0}
    one = short.samples()
    assert set(one["rackplane_gang_gpus"]) == {here} and one["rackplane_gangs_left_out"] == {(): 1}
    h.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/a", {"propagationPolicy": "Background"})
    h.until(lambda: h.phase("job-late") == "Running")
    assert set(page.samples()["rackplane_gang_gpus"]) == {waits}


def test_what_is_in_trouble_is_counted_by_kind() -> None:
    h = site()
    h.apply(thing("Queue", "lost", parent="nowhere"))
    h.advance(3)
    found = Scraped(h).samples()
    invalid = found["rackplane_invalid_objects"]
    assert {kind: count for (kind,), count in invalid.items() if count} == {"Queue": 1}
    assert set(found["rackplane_stale_reports"].values()) == {0}


def test_the_series_of_a_queue_go_with_it() -> None:
    h = site()
    page = Scraped(h)
    h.apply(thing("Queue", "short"))
    h.job("a", slots=1, run=5, queue="short")
    h.until(lambda: h.phase("job-a") == "Finished")
    assert page.samples()["rackplane_admitted_gangs_total"] == {("short",): 1}
    h.request("DELETE", "/apis/rackplane.dev/v1alpha1/queues/short")
    h.advance(3)
    page.samples()
    found = page.samples()
    assert "rackplane_admitted_gangs_total" not in found
    assert "rackplane_ready_wait_time_seconds_count" not in found
