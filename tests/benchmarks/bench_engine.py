"""One decision of the engine on facilities of several sizes: value, limit and ratio, and no pass or fail.

The facility is rows of eight racks of 18 nodes of 4 GPUs, half of each rack in use; one gang of 16 nodes asks for one
NVLink domain. The limit is Kueue's time for the same count of pods and nodes without power (reference figures of
0.6, 3.7 and 13 ms on 2 shared cores).
"""

from __future__ import annotations

import statistics
import time

import pytest

from rackplane.engine.compiler import compile_facility
from rackplane.engine.model import (
    CoolingSpec,
    CoolingUnit,
    DomainSpec,
    FacilitySpec,
    Feed,
    Medium,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerSpec,
    RackSpec,
    Request,
)
from rackplane.engine.placement import place
from rackplane.engine.state import State

RACK_NODES = 18


def half_full(nodes: int) -> State:
    """A facility of about `nodes` nodes in which every second domain has nine nodes in use."""
    racks = nodes // RACK_NODES
    node_type = NodeType(
        name="gb300",
        resource="nvidia.com/gpu",
        gpus_per_node=4,
        idle_watts=1_000,
        max_watts=6_600,
        liquid_heat_percent=87,
        nvlink_scope=NvlinkScope.OBJECT,
    )
    rows = range((racks + 7) // 8)
    spec = FacilitySpec(
        node_types=(node_type,),
        racks=tuple(
            RackSpec(
                f"r{i}",
                "gb300",
                13_200,
                142_000,
                (Feed(f"row-{i // 8}"),),
                liquid=f"l-{i // 8}",
                air=f"a-{i // 8}",
            )
            for i in range(racks)
        ),
        powers=(
            PowerSpec("utility", 10**9),
            *(PowerSpec(f"row-{i}", 1_200_000, parents=(Feed("utility"),)) for i in rows),
        ),
        coolings=(
            *(CoolingSpec(f"l-{i}", Medium.LIQUID, (CoolingUnit("cdu", 1_300_000),)) for i in rows),
            *(CoolingSpec(f"a-{i}", Medium.AIR, (CoolingUnit("crah", 220_000),)) for i in rows),
        ),
        domains=tuple(DomainSpec(f"r{i}") for i in range(racks)),
        levels=("leaf", "spine"),
    )
    members = [
        NodeSpec(f"r{r}-n{n}", f"r{r}", f"r{r}", (("leaf", f"row-{r // 8}"), ("spine", "s")))
        for r in range(racks)
        for n in range(RACK_NODES)
    ]
    state = State(compile_facility(spec), members)
    for r in range(0, racks, 2):
        only = {f"r{r}-n{n}": 1 for n in range(9)}
        answer = place(
            state,
            Request(slots=9, gpus_per_slot=4, resource=node_type.resource, required="nvlink", capacity=only),
        )
        assert isinstance(answer, Placement)
        state.book(f"filler-{r}", answer)
    return state


@pytest.mark.parametrize(("nodes", "limit_ms"), [(640, 0.6), (2_500, 3.7), (10_000, 13.0)])
def test_one_gang_of_16_nodes(nodes: int, limit_ms: float) -> None:
    state = half_full(nodes)
    request = Request(slots=16, gpus_per_slot=4, resource="nvidia.com/gpu", required="nvlink")
    times = []
    for _ in range(30):
        before = time.perf_counter()
        answer = place(state, request)
        times.append((time.perf_counter() - before) * 1000)
        assert isinstance(answer, Placement)
    value = statistics.median(times)
    print(f"{nodes:>6} nodes: {value:8.2f} ms   limit {limit_ms:5.1f} ms   ratio {value / limit_ms:6.2f}")


def test_the_benchmark_places_what_it_times() -> None:
    answer = place(
        half_full(360), Request(slots=16, gpus_per_slot=4, resource="nvidia.com/gpu", required="nvlink")
    )
    assert isinstance(answer, Placement)
    assert len(answer.slots) == 16
