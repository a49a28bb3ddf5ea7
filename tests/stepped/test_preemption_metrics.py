"""What the metrics count of gangs that are stopped for others: gangs, work, and plans by how they end."""

from __future__ import annotations

from typing import Any

from prometheus_client import generate_latest

from rackplane.controller.metrics import MachineCollector, Metrics
from tests.support.harness import Harness, thing
from tests.support.preempting import NVLINK, full, high, preempting, stopping, stuck


def counted(h: Harness) -> dict[str, float]:
    """Every series about stops that has counted anything, as Prometheus reads them."""
    metrics = Metrics()
    metrics.registry.register(MachineCollector(h.machine, {}))
    names = ("rackplane_preempt", "rackplane_evicted")
    lines = generate_latest(metrics.registry).decode().splitlines()
    found = {n: float(v) for n, _, v in (line.rpartition(" ") for line in lines) if n.startswith(names)}
    return {name: value for name, value in found.items() if value}


def urgent(h: Harness, **more: Any) -> None:
    h.job("urgent", slots=4, run=60, annotations=NVLINK, template=high(), **more)


def test_a_preemption_that_leads_to_a_start() -> None:
    h = preempting()
    full(h)
    h.advance(3_600, step=600)
    urgent(h)
    h.until(lambda: h.phase("job-urgent") == "Running")
    whose = '{preempting_queue="research",queue="research",reason="Preempted"}'
    found = counted(h)
    lost = found.pop(f"rackplane_preempted_gpu_seconds_total{whose}")
    # Two gangs of eight GPUs, an hour each, and five minutes to start again.
    assert 2 * 8 * 3_900 <= lost <= 2 * 8 * 3_910
    assert found == {
        f"rackplane_preempted_gangs_total{whose}": 2,
        'rackplane_preemption_plans_total{queue="research",result="started"}': 1,
        'rackplane_evicted_gangs_total{queue="research",reason="Preempted"}': 2,
    }
    # A new leader counts from its own beginning.
    h.restart_machine()
    h.settle()
    assert counted(h) == {}


def test_a_plan_is_abandoned_before_and_given_up_after_the_first_stop() -> None:
    h = preempting()
    full(h)
    stuck(h)
    urgent(h)
    path = "/apis/batch/v1/namespaces/default/jobs/urgent"
    h.until(lambda: len(stopping(h)) == 2)
    h.request("DELETE", path, {"propagationPolicy": "Background"})
    h.advance(3)
    plans = "rackplane_preemption_plans_total"
    assert counted(h)[f'{plans}{{queue="research",result="given_up"}}'] == 1
    h = preempting()
    full(h)
    urgent(h)
    while "reservation" not in (h.gang("job-urgent").get("status", {}) if h.phase("job-urgent") else {}):
        h.cluster.settle()
        assert h.deliver() or h.write() or h.agents()
    h.request("DELETE", path, {"propagationPolicy": "Background"})
    h.advance(3)
    assert counted(h) == {f'{plans}{{queue="research",result="abandoned"}}': 1}


def test_quota_taken_back_and_a_broken_promise_have_their_own_reasons() -> None:
    h = preempting()
    h.apply(
        thing("Queue", "all", quota={"gpus": 32}),
        thing("Queue", "ours", parent="all", quota={"gpus": 16}, preemption={"reclaim": "Any"}),
        thing("Queue", "theirs", parent="all", quota={"gpus": 16}),
        thing("Queue", "other"),
    )
    for name in ("a", "b"):
        h.job(name, slots=4, run=None, queue="theirs", annotations=NVLINK)
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.job("mine", slots=3, run=None, queue="ours", annotations=NVLINK)
    h.until(lambda: h.phase("job-mine") == "Running")
    # A gang whose pods nobody starts has its place taken away again.
    h.down.update(n["metadata"]["name"] for n in h.cluster.store.items(("", "nodes")))
    h.job("late", slots=1, run=None, queue="other", annotations=NVLINK)
    h.advance(310, step=10)
    found = counted(h)
    assert (
        found['rackplane_preempted_gangs_total{preempting_queue="ours",queue="theirs",reason="Reclaimed"}']
        == 1
    )
    assert {n: v for n, v in found.items() if n.startswith("rackplane_evicted")} == {
        'rackplane_evicted_gangs_total{queue="theirs",reason="Reclaimed"}': 1,
        'rackplane_evicted_gangs_total{queue="other",reason="PromiseBroken"}': 1,
    }
