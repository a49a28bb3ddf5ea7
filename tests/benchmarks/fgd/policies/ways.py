"""Every way to put a pod of each kind on a server, and what would be fragments then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.fgd.inputs import Pod, Server
from tests.benchmarks.fgd.mix import Ints, Mix

__all__ = ["Floats", "Ways"]

Floats = NDArray[np.float64]
Worth = Callable[[float, Floats, Server, Ints], Ints]
"""Fragments before; by way, fragments after; the server; by way, the kind of pod -> what each way is worth."""


class Ways:
    """The best way for each kind of pod."""

    def __init__(self, mix: Mix, worth: Worth) -> None:
        self._mix, self._worth = mix, worth

    def best(self, server: Server) -> Ints:
        """By kind, what its best way is worth; 0 where it does not fit."""
        kinds = np.flatnonzero(self._mix.fitting(server))
        ways = [(k, at) for k in kinds.tolist() for at in self._gpus(server, self._mix.kinds[k])]
        result = np.zeros(len(self._mix.kinds), dtype=np.int64)
        if ways:
            np.maximum.at(result, [k for k, _ in ways], self._values(server, ways))
        return result

    def gpu(self, server: Server, pod: Pod) -> int:
        """What the GPU has left that is best for a sharing pod; of equal ones the fullest."""
        gpus = self._gpus(server, pod)
        found = self._values(server, [(self._mix.index[pod], at) for at in gpus])
        at = gpus[int(found.argmax())]
        assert at is not None
        return at

    def _gpus(self, server: Server, pod: Pod) -> Sequence[int | None]:
        """What GPUs have left that differ to the pod."""
        return sorted({each for each in server.left if each >= pod.gpu_milli}) if pod.shares else [None]

    def _values(self, server: Server, ways: Sequence[tuple[int, int | None]]) -> Ints:
        after = [server.with_pod(self._mix.kinds[k], at) for k, at in ways]
        cpu = np.array([server.cpu_milli, *(s.cpu_milli for s in after)])
        left = np.array([server.left, *(s.left for s in after)])
        fragments = self._mix.fragments(cpu, left)
        return self._worth(float(fragments[0]), fragments[1:], server, np.array([k for k, _ in ways]))
