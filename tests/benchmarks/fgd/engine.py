"""The engine itself on openb: a server is a rack and an NVLink domain of its own, each of its GPUs a node.

A node has 1,000 thousandths of a GPU, so that shares are what ``gpus_per_slot`` counts. A pod of several GPUs is a gang
of as many slots that must share the domain. CPU and memory reach the engine as they do in the operator: as the mask of
nodes that could take the pod. There is power for everything.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import find
from rackplane.engine.state import State
from tests.benchmarks.fgd.inputs import MILLI, Pod, Server, gpu_milli, servers
from tests.benchmarks.fgd.mix import Mix

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

    def __init__(
        self, mix: Mix, order: Sequence[Server], gpus: Sequence[Sequence[str]], *, feeding: bool
    ) -> None:
        """``feeding``: only servers where the pod leaves no more GPUs without CPU than there are already."""
        self._mix, self._gpus, self._feeding = mix, gpus, feeding
        self._open = np.array([self._servers_open(server) for server in order]).T
        self.masks = [
            NodeMask({gpu: 1 for i in np.flatnonzero(row).tolist() for gpu in gpus[i]}) for row in self._open
        ]

    def _servers_open(self, server: Server) -> Bools:
        mix = self._mix
        result: Bools = (mix.cpu <= server.cpu_milli) & (mix.memory <= server.memory_mib)
        if self._feeding:
            unfed = max(0.0, server.free - server.cpu_milli / mix.cpu_a_gpu)
            after = server.free - mix.asked - (server.cpu_milli - mix.cpu) / mix.cpu_a_gpu
            result &= after <= unfed
        return result

    def update(self, i: int, server: Server) -> None:
        now = self._servers_open(server)
        for k in np.flatnonzero(now != self._open[:, i]).tolist():
            for gpu in self._gpus[i]:
                self.masks[k].set(gpu, int(now[k]))
        self._open[:, i] = now


class _Cluster:
    """The engine's state beside the CPU and memory that it is not told of."""

    def __init__(self, mix: Mix, order: Sequence[Server], *, feeding: bool) -> None:
        self._mix = mix
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
        self._asked_in_turn = [
            _Masks(mix, order, gpus, feeding=narrow) for narrow in ((True, False) if feeding else (False,))
        ]
        self._placed = 0

    def place(self, pod: Pod) -> bool:
        """Whether the engine finds a place; it is booked then."""
        for masks in self._asked_in_turn:
            request = Request(
                slots=max(1, pod.gpus),
                gpus_per_slot=pod.gpu_milli,
                resource=GPU.resource,
                required="nvlink",
                strict=True,
                capacity=masks.masks[self._mix.index[pod]],
            )
            placement = find(self._state, request)
            if placement is not None:
                self._book(pod, placement)
                return True
        return False

    def _book(self, pod: Pod, placement: Placement) -> None:
        self._state.book(f"{self._placed}", placement)
        self._placed += 1
        i = self._server_of[placement.slots[0]]
        old = self._servers[i]
        # Of GPUs only the sum is used here: which of them have how much is the engine's to know.
        self._servers[i] = Server(
            old.cpu_milli - pod.cpu_milli, old.memory_mib - pod.memory_mib, (old.free - pod.asked,)
        )
        for masks in self._asked_in_turn:
            masks.update(i, self._servers[i])


def allocated_by_engine(mix: Mix, arriving: Sequence[Pod], seed: int, *, feeding: bool) -> float:
    """Percent of all GPUs that are allocated in the end; names of servers as for the other policies.

    Args:
        feeding: each pod is asked for twice, first where it leaves no more GPUs without CPU.  GPUs without CPU are
            those beyond what a server's free CPU feeds at what the list's pods ask for a GPU in the mean.
    """
    draw = random.Random(f"servers {seed}")
    cluster = _Cluster(mix, draw.sample(servers(), len(servers())), feeding=feeding)
    return 100 * sum(pod.asked for pod in arriving if cluster.place(pod)) / gpu_milli()
