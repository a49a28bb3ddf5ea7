"""Pods come one after the other, and stay; one that does not fit is gone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tests.benchmarks.fgd.inputs import Pod, Server, gpu_milli, servers
from tests.benchmarks.fgd.mix import Ints, Mix

__all__ = ["Policy", "allocated"]

NOT = np.iinfo(np.int64).min
"""The score of a server that does not take the pod."""


class Policy(Protocol):
    """How a server is chosen: the highest score; of equal ones the first by name, or any."""

    at_random: bool
    """Whether equal scores are drawn from."""

    def scores(self, server: Server) -> Ints:
        """By kind of pod; where it does not fit they do not matter."""
        ...

    def gpu(self, server: Server, pod: Pod, draw: random.Random) -> int | None:
        """What the GPU has left that a sharing pod gets; None: the least that suffices."""
        ...


class _Cluster:
    """Every server's score for every kind of pod, and what it has left."""

    def __init__(self, mix: Mix, policy: Policy, known: dict[Server, Ints], order: Sequence[Server]) -> None:
        self._mix, self._policy, self._known = mix, policy, known
        self.servers = list(order)
        self.scores = np.empty((len(mix.kinds), len(order)), dtype=np.int64)
        for i in range(len(order)):
            self._score(i)

    def _score(self, i: int) -> None:
        server = self.servers[i]
        column = self._known.get(server)
        if column is None:
            column = np.where(self._mix.fitting(server), self._policy.scores(server), NOT)
            self._known[server] = column
        self.scores[:, i] = column

    def put(self, i: int, pod: Pod, at: int | None) -> None:
        self.servers[i] = self.servers[i].with_pod(pod, at)
        self._score(i)


def allocated(
    mix: Mix, policy: Policy, arriving: Sequence[Pod], seed: int, known: dict[Server, Ints]
) -> float:
    """Percent of all GPUs that are allocated in the end.

    Names of servers, which decide between equal scores, are dealt out at random for each seed.

    Args:
        known: scores that were worked out before, for the same mix and policy; added to.
    """
    draw = random.Random(f"servers {seed}")
    cluster = _Cluster(mix, policy, known, draw.sample(servers(), len(servers())))
    used = 0
    for pod in arriving:
        row = cluster.scores[mix.index[pod]]
        i = int(row.argmax())
        if row[i] == NOT:
            continue
        if policy.at_random:
            i = int(draw.choice(np.flatnonzero(row == row[i])))
        cluster.put(i, pod, policy.gpu(cluster.servers[i], pod, draw) if pod.shares else None)
        used += pod.asked
    return 100 * used / gpu_milli()
