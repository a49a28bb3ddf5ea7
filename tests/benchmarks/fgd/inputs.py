"""The input of the FGD paper (ATC'23): openb's servers, and pods drawn from a list until enough GPUs were asked for."""

from __future__ import annotations

import csv
import random
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["MILLI", "Pod", "Server", "arrivals", "gpu_milli", "pods", "servers"]

DATA = Path(__file__).parents[2] / "data/openb"
MILLI = 1000
"""Thousandths of a GPU that a GPU has."""


@dataclass(frozen=True, slots=True, order=True)
class Pod:
    """What one pod asks for.  ``gpu_milli``: of each of its GPUs; less than 1000 only where it has one."""

    cpu_milli: int
    memory_mib: int
    gpus: int
    gpu_milli: int

    @property
    def shares(self) -> bool:
        """Whether it leaves part of its GPU to others."""
        return self.gpus == 1 and self.gpu_milli < MILLI

    @property
    def asked(self) -> int:
        """Thousandths of GPUs in all."""
        return self.gpus * self.gpu_milli


@dataclass(frozen=True, slots=True)
class Server:
    """What a server has left.

    Which of its GPUs is which does not matter: ``left`` are the thousandths of each, in ascending order.  ``sizes`` are
    those of the pods that it holds: 0 for one that shares a GPU, else its GPUs.
    """

    cpu_milli: int
    memory_mib: int
    left: tuple[int, ...]
    sizes: frozenset[int] = frozenset()

    @property
    def free(self) -> int:
        """Thousandths of GPUs that are left in all."""
        return sum(self.left)

    def takes(self, pod: Pod) -> bool:
        """Whether the pod fits."""
        return (
            pod.cpu_milli <= self.cpu_milli
            and pod.memory_mib <= self.memory_mib
            and (not pod.gpus or sum(each >= pod.gpu_milli for each in self.left) >= pod.gpus)
        )

    def with_pod(self, pod: Pod, at: int | None = None) -> Server:
        """With the pod; one that shares a GPU goes to one that has ``at`` left (None: the fullest that takes it)."""
        left = list(self.left)
        if pod.shares:
            at = min(each for each in left if each >= pod.gpu_milli) if at is None else at
            left[left.index(at)] -= pod.gpu_milli
            left.sort()
        elif pod.gpus:
            left = [0] * pod.gpus + left[: len(left) - pod.gpus]
        sizes = self.sizes | {0 if pod.shares else pod.gpus} if pod.gpus else self.sizes
        return Server(self.cpu_milli - pod.cpu_milli, self.memory_mib - pod.memory_mib, tuple(left), sizes)


def _rows(file: str) -> list[dict[str, str]]:
    with (DATA / file).open() as opened:
        return list(csv.DictReader(opened))


@lru_cache(maxsize=1)
def servers() -> tuple[Server, ...]:
    """All 1,213, idle."""
    return tuple(
        Server(int(row["cpu_milli"]), int(row["memory_mib"]), (MILLI,) * int(row["gpus"]))
        for row in _rows("servers.csv")
        for _ in range(int(row["servers"]))
    )


@lru_cache(maxsize=1)
def gpu_milli() -> int:
    """Thousandths of GPUs of all servers."""
    return sum(server.free for server in servers())


@lru_cache(maxsize=2)
def pods(mix: str) -> Counter[Pod]:
    """How many pods of each kind that list has."""
    return Counter(
        {
            Pod(*(int(row[key]) for key in ("cpu_milli", "memory_mib", "gpus", "gpu_milli"))): int(row[mix])
            for row in _rows("pods.csv")
        }
    )


def arrivals(mix: str, ratio: float, seed: int) -> list[Pod]:
    """The list in random order, until pods have asked for ``ratio`` of all GPUs.

    A list that asks for more loses pods at random; one that asks for less goes on with pods drawn from it at random.
    """
    draw = random.Random(f"arrivals {mix} {seed}")
    known = sorted(pods(mix).elements())
    order = draw.sample(known, len(known))
    most, asked = ratio * gpu_milli(), 0
    for i, pod in enumerate(order):
        if asked + pod.asked > most:
            return order[:i]
        asked += pod.asked
    while asked + (pod := draw.choice(known)).asked <= most:
        order.append(pod)
        asked += pod.asked
    return order
