"""DotProd: the server whose free CPU and GPUs, times what the pod asks of each, come to the least.

After Tetris (Grandl et al., SIGCOMM'14) in the form the FGD paper compares with: GPUs of a server as one sum, all
normalised with the largest server, in whole percent.
"""

from __future__ import annotations

from tests.benchmarks.fgd.inputs import Server
from tests.benchmarks.fgd.mix import Ints
from tests.benchmarks.fgd.policies.common import LARGEST_CPU, LARGEST_GPU, OnFullest

__all__ = ["DotProduct"]


class DotProduct(OnFullest):
    """Two resources, so that the product is at most 2."""

    def scores(self, server: Server) -> Ints:
        """In whole percent, 100 for a product of 0."""
        cpu = server.cpu_milli / LARGEST_CPU * (self.mix.cpu / LARGEST_CPU)
        gpu = server.free / LARGEST_GPU * (self.mix.asked / LARGEST_GPU)
        result: Ints = (100 * (1 - (cpu + gpu) / 2)).astype("int64")
        return result
