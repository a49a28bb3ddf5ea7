"""GpuClustering: pods of one size of GPUs together (as in Gandiva, OSDI'18).

Best a server with pods of that size only, then one that has others as well, then an empty one, then one of others;
among those the one with the fewest GPUs left. Pods that share GPUs are one size. A pod without GPUs goes to the first
server by name.
"""

from __future__ import annotations

import numpy as np

from tests.benchmarks.fgd.inputs import Server
from tests.benchmarks.fgd.mix import Ints, Mix
from tests.benchmarks.fgd.policies.common import LARGEST_GPU, OnFullest

__all__ = ["GpuClustering"]

STEP = 25
"""Points between two of the four cases; within one they count what is free, in whole points."""


class GpuClustering(OnFullest):
    """Four cases of 25 points each."""

    def __init__(self, mix: Mix) -> None:
        super().__init__(mix)
        self._size = np.array([0 if pod.shares else pod.gpus or -1 for pod in mix.kinds])

    def scores(self, server: Server) -> Ints:
        """0 to 100."""
        within = STEP * (LARGEST_GPU - server.free) // LARGEST_GPU
        together, apart = (2, 0) if len(server.sizes) > 1 else (3, 0 if server.sizes else 1)
        case = np.where(np.isin(self._size, list(server.sizes)), together, apart)
        return np.where(self._size < 0, 0, within + STEP * case)
