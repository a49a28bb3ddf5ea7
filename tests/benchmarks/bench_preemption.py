"""Whom to stop, on 2,000 nodes that 700 gangs fill, with power, cooling and losses: value, limit and ratio.

The facility is that of `bench_engine`. Every gang may be stopped; they lie one after the other over nodes and racks,
so that many hold parts of several NVLink domains. The limit is that of the issue "Queues"; Kueue is reported at 40 s
for a cycle of this size, and at 254 ms for half of it.
"""

from __future__ import annotations

import time
from functools import lru_cache, partial
from random import Random

import pytest

from rackplane.engine.model import Group, Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.preempting.costs import Victim
from rackplane.engine.preempting.preemption import Plan, cheapest
from rackplane.engine.state import State
from tests.benchmarks.bench_engine import HALL_NODES, report
from tests.benchmarks.campus import NODE_TYPE, campus, campus_nodes

NODES, GANGS = 2_000, 700
LIMIT_MS = 100.0
TIMES = 20


@lru_cache(maxsize=1)
def full() -> tuple[State, NodeMask, list[Victim]]:
    """A state without a free node, and all its gangs."""
    random, spec = Random(1), campus(-(-NODES // HALL_NODES))
    members = campus_nodes(spec)[:NODES]
    state = State(compile_facility(spec), members)
    cuts = sorted(random.sample(range(1, NODES), GANGS - 1))
    victims = []
    for i, (first, last) in enumerate(zip([0, *cuts], [*cuts, NODES], strict=True)):
        nodes = members[first:last]
        racks = dict.fromkeys(n.rack or "" for n in nodes)
        groups = tuple(Group(r, r, tuple(n.name for n in nodes if n.rack == r)) for r in racks)
        watts = len(nodes) * (NODE_TYPE.max_watts - NODE_TYPE.idle_watts)
        placed = Placement(
            slots=tuple(n.name for n in nodes),
            groups=groups,
            gpus_per_slot=NODE_TYPE.gpus_per_node,
            power_profile="MaxP",
            nominal_watts=watts,
            peak_watts=watts,
            liquid_watts=0,
            air_watts=0,
        )
        state.book(f"g{i}", placed)
        lost = len(nodes) * NODE_TYPE.gpus_per_node * random.randint(300, 20_000)
        victims.append(Victim(f"g{i}", random.choice([0, 0, 0, 1, 2]), random.random() < 0.2, lost))
    return state, NodeMask({n.name: NODE_TYPE.gpus_per_node for n in members}), victims


@pytest.mark.parametrize(
    ("what", "slots", "required", "segment"),
    [
        ("one whole NVLink domain", 18, "nvlink", None),
        ("half a domain, a lower profile taken", 9, "nvlink", None),
        ("64 slots under one leaf", 64, "leaf", None),
        ("64 slots anywhere", 64, None, None),
        ("128 slots in segments of 16", 128, "spine", 16),
    ],
)
def test_cheapest_victims(what: str, slots: int, required: str | None, segment: int | None) -> None:
    state, mask, victims = full()
    request = Request(
        slots=slots,
        gpus_per_slot=NODE_TYPE.gpus_per_node,
        resource=NODE_TYPE.resource,
        required=required,
        segment_slots=segment,
        strict=slots != 9,
        capacity=mask,
    )
    took: list[float] = []
    plan: Plan | None = None
    for _ in range(TIMES):
        before = time.perf_counter()
        plan = cheapest(state, partial(_same, request), victims)
        took.append((time.perf_counter() - before) * 1000)
    assert plan is not None
    assert plan.victims
    report(what, NODES, took, LIMIT_MS)
    print(f"{'':<34} {len(plan.victims)} victims of {GANGS}, proved the cheapest: {plan.proved}")


def _same(request: Request, _: object) -> Request:
    return request
