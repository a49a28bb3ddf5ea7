"""The operator's core on a campus at work: what one event and one decision cost, and what all of it keeps in memory.

Half the campus runs gangs of 16 one-pod nodes; on every node there are system pods, 100,000 pods in all on the larger
one; and 1,000 gangs of 16 templates wait that want more than what is free. CPU time, so that a busy machine tells
the same. Memory is measured in a process of its own.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from rackplane.core import events as e
from rackplane.core.instructions import CommitGang
from rackplane.core.machine import Machine
from rackplane.core.objects import Gang, Job, Node, Pod

GPU = "nvidia.com/gpu"
RACK_NODES, RACKS_A_ROW, SLOTS = 18, 8, 16
TEMPLATES = 16
NODE_WATTS = 7_500
NOW = 1_700_000_000.0
TIMES = 200
EVENT_US, NODE_US = 50.0, 1.0
TICK_US = 2_000.0
"""Once a second: 0.2 % of a core."""
PASS_US = 500_000.0
MEMORY_GB = 1.0


def text(kind: str, **body: Any) -> bytes:
    return msgspec.json.encode({"kind": kind, **body})


def facility(racks: int) -> Iterator[e.Event]:
    def thing(kind: str, name: str, **spec: Any) -> e.FacilityChanged:
        meta = {"name": name, "generation": 1, "uid": f"{kind}/{name}"}
        return e.FacilityChanged(
            kind, name, {"apiVersion": "rackplane.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}
        )

    profile = {"gpuModel": "GB300", "gpusPerNode": 4, "nvlinkScope": "Object", "idleWatts": 1000}
    yield thing("HardwareProfile", "nvl72", **profile, maxWatts=NODE_WATTS, liquidHeatPercent=87)
    yield thing("Queue", "research")
    for side in "ab":
        yield thing("PowerDomain", side, type="UPS", ratedWatts=200_000 * racks, survivable=True)
    for number in range(-(-racks // RACKS_A_ROW)):
        for side in "ab":
            parents = [{"powerDomain": side, "weight": 1}]
            yield thing(
                "PowerDomain", f"row{number}-{side}", type="Busway", ratedWatts=1_300_000, parents=parents
            )
    for r in range(racks):
        row = f"row{r // RACKS_A_ROW}"
        yield thing(
            "Rack",
            f"r{r}",
            profile="nvl72",
            nodeSelector={"rackplane.dev/rack": f"r{r}"},
            overheadWatts=15_000,
            limitWatts=160_000,
            feeds=[{"powerDomain": f"{row}-{side}", "weight": 1} for side in "ab"],
            location={"site": "s", "hall": f"h{r // 48}", "row": row, "position": str(r)},
        )
        path = [{"level": "leaf", "name": row}, {"level": "spine", "name": f"h{r // 48}"}]
        yield thing("NVLinkDomain", f"nvl-r{r}", racks=[f"r{r}"], fabricPath=path)


def node(r: int, n: int, *, ready: bool = True, version: int = 1) -> e.NodeChanged:
    name = f"r{r}-n{n}"
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/arch": "arm64",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "gb300",
        "rackplane.dev/rack": f"r{r}",
        "nvidia.com/gpu.product": "NVIDIA-GB300",
        "nvidia.com/gpu.count": "4",
    }
    conditions = [
        {"type": kind, "status": "False", "reason": "Fine", "lastTransitionTime": "2026-11-01T00:00:00Z"}
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")
    ]
    body = {
        "metadata": {"name": name, "uid": f"node/{name}", "resourceVersion": str(version), "labels": labels},
        "spec": {"taints": [{"key": "rackplane.dev/managed", "effect": "NoSchedule"}]},
        "status": {
            "allocatable": {
                "cpu": "144",
                "memory": "900Gi",
                "ephemeral-storage": "3Ti",
                "pods": "110",
                GPU: "4",
            },
            "conditions": [*conditions, {"type": "Ready", "status": "True" if ready else "False"}],
        },
    }
    return e.NodeChanged(msgspec.json.decode(text("Node", **body), type=Node))


def pod(name: str, where: str, asked: dict[str, str], *, phase: str = "Running", **more: Any) -> e.PodChanged:
    container = {"name": "main", "image": "train:1", "resources": {"requests": asked}}
    meta = {"name": name, "namespace": "ns", "uid": f"pod/{name}", "resourceVersion": "1"}
    body = {
        "metadata": {**meta, **more.pop("metadata", {})},
        "spec": {
            "nodeName": where,
            "containers": [container],
            "tolerations": [
                {"key": f"node.kubernetes.io/{kind}", "operator": "Exists", "effect": "NoExecute"}
                for kind in ("not-ready", "unreachable")
            ],
            **more,
        },
        "status": {
            "phase": phase,
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": "2026-11-01T00:00:00Z"}
                for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
            ],
        },
    }
    return e.PodChanged(msgspec.json.decode(text("Pod", **body), type=Pod))


def gang(name: str, slots: int, template: int, nodes: list[str] | None = None) -> list[e.Event]:
    """A Job of ours with its Gang: waiting, or running with its pods on these nodes."""
    asked = {GPU: "4", "cpu": f"{64 + template}", "memory": "256Gi"}
    spec = {
        "containers": [{"resources": {"requests": asked}}],
        "schedulingGates": [{"name": "rackplane.dev/placement"}],
    }
    labels = {"rackplane.dev/queue": "research"}
    mine = {"rackplane.dev/suspended-by": "rackplane"} if nodes is None else {}
    job = {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"job/{name}",
            "labels": labels,
            "annotations": mine,
        },
        "spec": {
            "parallelism": slots,
            "completions": slots,
            "completionMode": "Indexed",
            "suspend": nodes is None,
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    body: dict[str, Any] = {
        "metadata": {
            "name": f"job-{name}",
            "namespace": "ns",
            "uid": f"gang/{name}",
            "resourceVersion": "1",
            "creationTimestamp": "2026-11-01T00:00:00Z",
        },
        "spec": {
            "queue": "research",
            "workload": {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": f"job/{name}"},
            "slots": slots,
            "gpusPerSlot": 4,
            "power": {"profile": "MaxP"},
        },
    }
    pods: list[e.Event] = []
    if nodes is not None:
        rack = nodes[0].partition("-")[0]
        body["status"] = {
            "phase": "Running",
            "decision": {"id": f"1-{name}", "term": 1, "time": "2026-11-01T00:00:00Z"},
            "assignment": [{"nvlinkDomain": f"nvl-{rack}", "rack": rack, "nodes": nodes}],
            "powerProfile": "MaxP",
        }
        owner = {"kind": "Job", "name": name, "uid": f"job/{name}", "controller": True}
        for slot, where in enumerate(nodes):
            notes = {"rackplane.dev/slot": str(slot), "batch.kubernetes.io/job-completion-index": str(slot)}
            meta = {"labels": labels, "annotations": notes, "ownerReferences": [owner]}
            pods.append(pod(f"{name}-{slot}", where, asked, metadata=meta))
    return [
        e.JobChanged(msgspec.json.decode(text("Job", **job), type=Job)),
        e.GangChanged(msgspec.json.decode(text("Gang", **body), type=Gang)),
        *pods,
    ]


def at_work(nodes: int, pods: int, waiting: int = 1_000) -> Machine:
    """A leader that has seen everything, and answered it."""
    racks = nodes // RACK_NODES
    machine = Machine()
    machine.handle(NOW, *facility(racks))
    machine.handle(NOW, *(node(r, n) for r in range(racks) for n in range(RACK_NODES)))
    running = 0
    for r in range(0, racks, 2):
        names = [f"r{r}-n{n}" for n in range(SLOTS)]
        machine.handle(NOW, *gang(f"run{r}", SLOTS, r % TEMPLATES, names))
        running += SLOTS
    for i in range(pods - running):
        where = f"r{i // RACK_NODES % racks}-n{i % RACK_NODES}"
        machine.handle(NOW, pod(f"sys-{i}", where, {"cpu": "250m", "memory": "200Mi"}))
    for i in range(waiting):
        machine.handle(NOW, *gang(f"wait{i:04}", nodes * 6 // 10 + i % 4, i % TEMPLATES))
    machine.handle(NOW, e.Synced(), e.LeadershipGained(1))
    for _ in range(3):
        machine.handle(NOW + 1, e.TimePassed())
    return machine


@pytest.fixture(scope="module", params=[(2_502, 20_000), (25_002, 100_000)], ids=["2,500", "25,000"])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    made = at_work(*request.param)
    assert made.state is not None and len(list(made.state.keys())) == -(-request.param[0] // RACK_NODES // 2)
    gc.collect()
    gc.freeze()
    yield made
    gc.unfreeze()


def tell(what: str, times: list[float], limit: float) -> None:
    value = statistics.median(times) * 1e6
    worst = sorted(times)[len(times) * 99 // 100] * 1e6
    print(
        f"{what:<62} {value:9.1f} us   limit {limit:9.1f} us   ratio {value / limit:6.2f}   p99 {worst:9.1f} us"
    )


def timed(machine: Machine, *events: e.Event) -> float:
    before = time.process_time()
    machine.handle(NOW + 1, *events)
    return time.process_time() - before


def test_events(machine: Machine) -> None:
    print(f"\n{len(machine.world.nodes):,} nodes, {len(machine.world.pods):,} pods, 1,000 gangs wait")
    asked = {"cpu": "250m", "memory": "200Mi"}
    changed = [
        e.PodChanged(
            msgspec.structs.replace(
                p.pod, metadata=msgspec.structs.replace(p.pod.metadata, resource_version="2")
            )
        )
        for i in range(TIMES)
        for p in [pod(f"sys-{i}", f"r{i // RACK_NODES}-n{i % RACK_NODES}", asked)]
    ]
    tell("a pod's status", [timed(machine, event) for event in changed], EVENT_US + NODE_US)
    beats = [node(i % 100, i % RACK_NODES, version=2) for i in range(TIMES)]
    tell("a node's heartbeat", [timed(machine, event) for event in beats], EVENT_US + NODE_US)
    tell("the tick of each second", [timed(machine, e.TimePassed()) for _ in range(20)], TICK_US)


def test_events_that_make_room(machine: Machine) -> None:
    """Each has all that wait asked anew: 64 different requests."""
    print()
    ended = [
        pod(f"sys-{i}", f"r1-n{i}", {"cpu": "250m", "memory": "200Mi"}, phase="Succeeded") for i in range(10)
    ]
    tell("a pod that ends, and 1,000 refusals anew", [timed(machine, event) for event in ended], PASS_US)
    lost = [node(1, n, ready=False, version=3) for n in range(10)]
    tell("a node that is lost, and 1,000 refusals anew", [timed(machine, event) for event in lost], PASS_US)


def test_a_decision(machine: Machine) -> None:
    print()
    times = []
    for i in range(10):
        job, wanted = gang(f"new{i}", SLOTS, i % TEMPLATES)
        assert isinstance(job, e.JobChanged) and isinstance(wanted, e.GangChanged)
        high = msgspec.structs.replace(wanted.gang.spec, priority=10)
        before = time.process_time()
        made = machine.handle(NOW + 1, job, e.GangChanged(msgspec.structs.replace(wanted.gang, spec=high)))
        times.append(time.process_time() - before)
        assert sum(isinstance(i, CommitGang) for i in made) == 1
    tell("a gang of 16 placed before 1,000 that are refused anew", times, PASS_US)


SNIPPET = """
import gc, json, resource, sys
sys.path[:0] = {path!r}
from tests.benchmarks.bench_core import at_work
machine = at_work(25_002, 100_000)
gc.collect()
print(json.dumps(int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()))
"""


def test_memory() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SNIPPET.format(path=sys.path)], capture_output=True, text=True, check=True
    )
    value = json.loads(ran.stdout) / 1e9
    print(
        f"\n25,000 nodes, 100,000 pods, 1,000 gangs that wait: {value:.2f} GB   limit {MEMORY_GB:.2f} GB   "
        f"ratio {value / MEMORY_GB:.2f}"
    )
