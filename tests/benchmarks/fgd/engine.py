"""The engine itself on openb: a server is a rack and an NVLink domain of its own, each of its GPUs a node.

A node has 1,000 thousandths of a GPU, so that shares are what ``gpus_per_slot`` counts. A pod of several GPUs is a gang
of as many slots that must share the domain. CPU and memory reach the engine as they do in the operator: as the mask of
nodes that could take the pod, and as what it prefers so that free GPUs keep some. There is power for everything.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.core.pods.appetite import Appetite, Takes
from rackplane.engine.model import (
    FacilitySpec,
    Feed,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Request,
)
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.feeding import slots_fed, takes_more
from rackplane.engine.placing.placement import find
from rackplane.engine.state import State
from tests.benchmarks.fgd.inputs import MILLI, Pod, Server, gpu_milli, servers
from tests.benchmarks.fgd.mix import Ints, Mix

__all__ = ["allocated_by_engine"]

Bools = NDArray[np.bool_]

GPU = NodeType(
    name="gpu",
    resource="gpu-milli",
    gpus_per_node=MILLI,
    idle_watts=0,
    max_watts=MILLI,
    nvlink_scope=NvlinkScope.OBJECT,
    caps=(PowerCap("MaxP", MILLI),),
)


class _Masks:
    """By kind of pod, the GPUs that it may go to, as servers fill up."""

    def __init__(self, mix: Mix, order: Sequence[Server], gpus: Sequence[Sequence[str]]) -> None:
        self._mix, self._gpus = mix, gpus
        self._open = np.array([self._servers_open(server) for server in order]).T
        self.masks = [
            NodeMask({gpu: 1 for i in np.flatnonzero(row).tolist() for gpu in gpus[i]}) for row in self._open
        ]

    def _servers_open(self, server: Server) -> Bools:
        return (self._mix.cpu <= server.cpu_milli) & (self._mix.memory <= server.memory_mib)

    def update(self, i: int, server: Server) -> None:
        now = self._servers_open(server)
        for k in np.flatnonzero(now != self._open[:, i]).tolist():
            for gpu in self._gpus[i]:
                self.masks[k].set(gpu, int(now[k]))
        self._open[:, i] = now


@dataclass(frozen=True, eq=False)
class _Feeding:
    """The operator's rule by server, told to the engine by GPU.

    Args:
        left: CPU and memory that servers have left, shape (2, servers).
        server: of each GPU.
        needs: CPU and memory that a thousandth of a GPU needs in the mean.
    """

    pod: Pod
    left: Ints
    server: Ints
    needs: tuple[float, float]

    def slots(self, names: Sequence[str], free: Ints) -> Ints:
        by_server = np.bincount(self.server, free, minlength=self.left.shape[1]).astype(np.int64)
        each = self.pod.cpu_milli, self.pod.memory_mib
        pods = [
            slots_fed(by_server, left, need, each=asked, gpus=self.pod.asked)
            for left, need, asked in zip(self.left, self.needs, each, strict=True)
        ]
        return np.where(np.minimum(*pods)[self.server] > 0, UNLIMITED, 0)


class _Cluster:
    """The engine's state beside the CPU and memory that it is not told of."""

    def __init__(self, mix: Mix, order: Sequence[Server], *, feeding: bool) -> None:
        self._mix, self._feeding = mix, feeding
        self._servers = list(order)
        names = [f"s{i:04}" for i in range(len(order))]
        gpus = [[f"{name}-{n}" for n in range(len(s.left))] for name, s in zip(names, order, strict=True)]
        source = PowerSpec("source", gpu_milli())
        racks = tuple(
            RackSpec(name, GPU.name, 0, MILLI * len(here), (Feed(source.name),))
            for name, here in zip(names, gpus, strict=True)
        )
        spec = FacilitySpec(node_types=(GPU,), racks=racks, powers=(source,))
        nodes = [NodeSpec(gpu, name, name) for name, here in zip(names, gpus, strict=True) for gpu in here]
        self._state = State(compile_facility(spec), nodes)
        self._server_of = {gpu: i for i, here in enumerate(gpus) for gpu in here}
        self._masks = _Masks(mix, order, gpus)
        self._left = np.array([(s.cpu_milli, s.memory_mib) for s in order]).T
        self._server = np.array([self._server_of[gpu] for gpu in self._state.inventory.names])
        self._largest = max(server.free for server in order)
        self._appetite = Appetite()
        self._placed = 0

    def place(self, pod: Pod) -> bool:
        """Whether the engine finds a place; it is booked then."""
        request = Request(
            slots=max(1, pod.gpus),
            gpus_per_slot=pod.gpu_milli,
            resource=GPU.resource,
            required="nvlink",
            strict=True,
            capacity=self._masks.masks[self._mix.index[pod]],
            feeding=self._preferred(pod) if self._feeding else None,
        )
        placement = find(self._state, request)
        if placement is not None:
            self._book(pod, placement)
        return placement is not None

    def _preferred(self, pod: Pod) -> _Feeding | None:
        """As `core/gangs/feeding.py` has it of gangs."""
        if pod.asked >= self._largest:
            return None
        means = self._appetite.needs(_takes(pod))
        needs = means.get(GPU.resource, (0.0, 0.0))
        each = pod.cpu_milli, pod.memory_mib
        if not any(takes_more(asked, need, pod.asked) for asked, need in zip(each, needs, strict=True)):
            return None
        return _Feeding(pod, self._left, self._server, needs)

    def _book(self, pod: Pod, placement: Placement) -> None:
        self._state.book(f"{self._placed}", placement)
        if pod.asked < self._largest:
            self._appetite.put(("", f"{self._placed}"), _takes(pod))
        self._placed += 1
        i = self._server_of[placement.slots[0]]
        old = self._servers[i]
        # Of GPUs only the sum is used here: which of them have how much is the engine's to know.
        self._servers[i] = Server(
            old.cpu_milli - pod.cpu_milli, old.memory_mib - pod.memory_mib, (old.free - pod.asked,)
        )
        self._left[:, i] = self._servers[i].cpu_milli, self._servers[i].memory_mib
        self._masks.update(i, self._servers[i])


def _takes(pod: Pod) -> dict[str, Takes]:
    return {GPU.resource: (pod.asked, pod.cpu_milli, pod.memory_mib)} if pod.gpus else {}


def allocated_by_engine(mix: Mix, arriving: Sequence[Pod], seed: int, *, feeding: bool) -> float:
    """Percent of all GPUs that are allocated in the end; names of servers as for the other policies.

    Args:
        feeding: places are preferred that leave no more GPUs without CPU and memory, as the operator prefers them.
    """
    draw = random.Random(f"servers {seed}")
    cluster = _Cluster(mix, draw.sample(servers(), len(servers())), feeding=feeding)
    return 100 * sum(pod.asked for pod in arriving if cluster.place(pod)) / gpu_milli()
