"""GpuPacking: GPUs that are in use first, then free GPUs of a server in use, then an empty server.

After MLaaS in the Wild (Weng et al., NSDI'22). In the first case the one that has the least left, in tenths of a GPU;
in the others as few free GPUs as can be. A pod without GPUs goes to the first server by name.
"""

from __future__ import annotations

import numpy as np

from tests.benchmarks.fgd.inputs import MILLI, Pod, Server
from tests.benchmarks.fgd.mix import Ints
from tests.benchmarks.fgd.policies.common import OnFullest

__all__ = ["GpuPacking"]

IN_USE, SERVER_IN_USE, EMPTY = 100, 50, 33
"""The most points of each case."""


class GpuPacking(OnFullest):
    """Three cases."""

    def scores(self, server: Server) -> Ints:
        """0 to 100."""
        whole = server.left.count(MILLI)
        empty = max(EMPTY - whole, whole) if whole == len(server.left) else None
        return np.array([self._score(server, pod, empty) for pod in self.mix.kinds])

    def _score(self, server: Server, pod: Pod, empty: int | None) -> int:
        if not pod.gpus:
            return 0
        if empty is not None:
            return empty
        taken = [each for each in server.left if each >= pod.gpu_milli][: pod.gpus]
        opened = taken.count(MILLI)
        if opened:
            return max(SERVER_IN_USE - opened, EMPTY)
        return max(IN_USE - sum(each * 100 // MILLI for each in taken) // 10, SERVER_IN_USE)
