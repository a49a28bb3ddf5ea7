"""The kinds of pods of a list as arrays, and what is a fragment to them."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.fgd.inputs import Pod, Server, pods

__all__ = ["Ints", "Mix", "mix_of"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

POPULAR = 0.95
"""Fragments are counted by the most frequent kinds of pods that make up this share of the list."""


class Mix:
    """The kinds of pods of one list, in a fixed order."""

    def __init__(self, counts: Counter[Pod]) -> None:
        self.kinds = sorted(counts)
        self.index = {pod: k for k, pod in enumerate(self.kinds)}
        self.cpu = np.array([pod.cpu_milli for pod in self.kinds])
        self.memory = np.array([pod.memory_mib for pod in self.kinds])
        self.asked = np.array([pod.asked for pod in self.kinds])
        self._gpus = np.array([pod.gpus for pod in self.kinds])
        self._each = np.array([pod.gpu_milli for pod in self.kinds])
        alike = Counter[tuple[int, int, int]]()
        for pod, count in counts.items():
            alike[pod.cpu_milli, pod.gpu_milli, pod.gpus] += count
        typical, covered = [], 0
        for kind, count in sorted(alike.items(), key=lambda item: (item[1], item[0]), reverse=True):
            typical.append((kind, count))
            covered += count
            if covered >= POPULAR * counts.total():
                break
        with_gpus = [(kind, count / covered) for kind, count in typical if kind[2]]
        self._t_cpu, t_each, self._t_gpus = np.array([kind for kind, _ in with_gpus]).T
        self._t_share = np.array([share for _, share in with_gpus])
        self._sizes, self._t_size = np.unique(t_each, return_inverse=True)

    def fitting(self, server: Server) -> NDArray[np.bool_]:
        """By kind: whether the server takes one."""
        left = np.array(server.left)
        enough = (left >= np.maximum(self._each, 1)[:, None]).sum(axis=1) >= self._gpus
        result: NDArray[np.bool_] = (
            (self.cpu <= server.cpu_milli) & (self.memory <= server.memory_mib) & enough
        )
        return result

    def fragments(self, cpu: Ints, left: Ints) -> Floats:
        """Thousandths of GPUs that a typical pod, in the mean over their shares of the list, could not use.

        All that is left where it does not fit (a pod without GPUs uses none of it), else what is left of those GPUs
        that have too little for it (Weng et al., ATC'23, section 4).

        Args:
            cpu: what servers have left, shape (n,).
            left: what each of their GPUs has left, shape (n, GPUs of one).
        """
        enough = left[:, None, :] >= self._sizes[None, :, None]
        many, usable = enough.sum(axis=2), (left[:, None, :] * enough).sum(axis=2)
        fits = (cpu[:, None] >= self._t_cpu) & (many[:, self._t_size] >= self._t_gpus)
        used: Floats = (fits * usable[:, self._t_size]) @ self._t_share
        result: Floats = left.sum(axis=1) - used
        return result


@lru_cache(maxsize=2)
def mix_of(name: str) -> Mix:
    """The kinds of pods of that list."""
    return Mix(pods(name))
