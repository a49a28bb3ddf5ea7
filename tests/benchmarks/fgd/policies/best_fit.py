"""BestFit: the server with the least CPU and GPUs left over, half each, normalised with the largest server."""

from __future__ import annotations

from tests.benchmarks.fgd.inputs import Server
from tests.benchmarks.fgd.mix import Ints
from tests.benchmarks.fgd.policies.common import LARGEST_CPU, LARGEST_GPU, OnFullest

__all__ = ["BestFit"]


class BestFit(OnFullest):
    """In whole percent."""

    def scores(self, server: Server) -> Ints:
        """100 where nothing is left."""
        cpu = (server.cpu_milli - self.mix.cpu) / LARGEST_CPU
        gpu = (server.free - self.mix.asked) / LARGEST_GPU
        result: Ints = (100 * (1 - (cpu + gpu) / 2)).astype("int64")
        return result
