"""What runs takes more, or other nodes, within the quotas and budgets of its queue and namespace.

Of these also what is held, from some time on, for a gang that waits. A node in use draws 4 kW above idle.
"""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.core.gangs.statuses import timestamp
from rackplane.core.settings import MachineSettings
from tests.stepped.test_elastic import RANKS, slots
from tests.stepped.test_node_loss import AGAIN, DOMAIN, GRACE, nodes_of, on
from tests.support.harness import START, Harness, facility, started, thing

LASTS = "rackplane.dev/expected-duration"
QUEUES = "/apis/rackplane.dev/v1alpha1/queues"


def hall(objects: list[dict[str, Any]] | None = None, *, racks: int = 2) -> Harness:
    """Racks of four nodes of four GPUs, each an NVLink domain."""
    quick = MachineSettings(validate=True, estimate_seconds=1.0)
    return started(facility(racks=racks) if objects is None else objects, settings=quick)


def budget(h: Harness, nodes: int, *, namespaces: bool = False, start: float | None = None) -> None:
    """On what so many nodes in use draw; for ten minutes from `start` on, or always."""
    targets = {"namespaces": ["default"]} if namespaces else {"queues": ["research"]}
    times = (
        {} if start is None else {"start": timestamp(START + start), "end": timestamp(START + start + 600)}
    )
    more = {"interval": times} if times else {}
    h.apply(thing("PowerBudget", "team", targets=targets, limitWatts=nodes * 4_000, **more))


def quota(h: Harness, nodes: int) -> None:
    h.patch(f"{QUEUES}/research", {"spec": {"quota": {"gpus": nodes * 4}}})


def elastic(h: Harness, most: int, *, says: int | None = None, runs: float | None = None) -> None:
    lasts = {} if says is None else {LASTS: f"{says}s"}
    h.job("elastic", slots=most, run=runs, annotations={**RANKS, **lasts})


def plain(h: Harness, name: str, count: int, lasts: int) -> None:
    h.job(name, slots=count, run=lasts, annotations={LASTS: f"{lasts}s"})


@pytest.mark.parametrize("namespaces", [False, True])
def test_a_gang_grows_no_further_than_the_budget_of_its_queue_or_namespace(namespaces: bool) -> None:
    h = hall()
    budget(h, 5, namespaces=namespaces)
    plain(h, "first", 2, 50)
    elastic(h, 8)
    h.settle()
    assert slots(h, "job-elastic") == 3
    h.advance(60)
    assert slots(h, "job-elastic") == 5
    budget(h, 6, namespaces=namespaces)
    h.advance(40)
    assert slots(h, "job-elastic") == 6


def test_a_gang_that_runs_into_a_coming_budget_grows_no_further_than_that() -> None:
    h = hall()
    budget(h, 4, start=200)
    plain(h, "first", 5, 50)
    elastic(h, 8, says=300)
    h.settle()
    h.advance(60)
    assert slots(h, "job-elastic") == 4


@pytest.mark.parametrize(
    ("bound", "says", "large", "grown"),
    [(budget, 400, 6, 3), (budget, 60, 6, 2), (budget, 700, 4, 2), (quota, 60, 6, 2)],
)
def test_a_gang_grows_into_what_is_held_only_if_it_is_over_by_then_as_it_said_at_its_start(
    bound: Any, says: int, large: int, grown: int
) -> None:
    """So many of six nodes are held from 450 s on, and one is free from 90 s on. Who said 60 s has run over then."""
    h = hall(racks=3)
    bound(h, 6)
    plain(h, "first", 3, 450)
    plain(h, "small", 1, 90)
    elastic(h, 4, says=says, runs=900)
    h.settle()
    assert slots(h, "job-elastic") == 2
    plain(h, "large", large, 100)
    h.advance(30)
    assert "held for it from 2023-11-14 22:2" in h.gang("job-large")["status"]["message"]
    h.advance(100, step=5)
    assert h.phase("job-small") == "Finished"
    assert slots(h, "job-elastic") == grown


def test_in_a_queue_on_hold_nobody_grows() -> None:
    h = hall()
    plain(h, "first", 5, 50)
    elastic(h, 8)
    h.settle()
    h.patch(f"{QUEUES}/research", {"spec": {"hold": True}})
    h.advance(60)
    assert slots(h, "job-elastic") == 3
    h.patch(f"{QUEUES}/research", {"spec": {"hold": False}})
    h.advance(10)
    assert slots(h, "job-elastic") == 8


def lose(h: Harness, node: str) -> None:
    h.node_ready(node, False)
    h.advance(GRACE + AGAIN)


@pytest.mark.parametrize("bound", [budget, quota])
def test_a_swap_that_takes_no_more_goes_on_whatever_the_budget_is_by_now(bound: Any) -> None:
    """It was lowered while they ran, which stops nobody: nor does a lost node."""
    h = hall()
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    bound(h, 2)
    h.advance(2)
    lose(h, "r1-n1")
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n3", 2: "r1-n2"}


def test_a_swap_to_a_node_that_draws_more_stays_within_the_budget() -> None:
    """Nodes of the other rack of the domain draw 6 kW above idle."""
    objects = [o for o in facility(racks=2, nodes=3) if o["kind"] != "NVLinkDomain"]
    small = next(o for o in objects if o["kind"] == "HardwareProfile")
    objects.append(thing("HardwareProfile", "large", **{**small["spec"], "maxWatts": 7_000}))
    objects.append(thing("NVLinkDomain", "both", racks=["r1", "r2"]))
    for o in objects:
        if o["kind"] == "Rack" and o["metadata"]["name"] == "r2":
            o["spec"]["profile"] = "large"
    h = hall(objects)
    budget(h, 3)
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    assert nodes_of(h, "job-a") == ["r1-n0", "r1-n1", "r1-n2"]
    lose(h, "r1-n1")
    assert h.phase("job-a") == "Pending"
    assert h.machine.tally.repaired == {("research", "moved"): 1}
    h.node_ready("r1-n1", True)
    h.advance(30)
    assert set(on(h, "a").values()) == {"r1-n0", "r1-n1", "r1-n2"}
