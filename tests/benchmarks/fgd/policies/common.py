"""What most of the policies share."""

from __future__ import annotations

import random

from tests.benchmarks.fgd.inputs import Pod, Server
from tests.benchmarks.fgd.mix import Mix

__all__ = ["LARGEST_CPU", "LARGEST_GPU", "OnFullest"]

LARGEST_CPU, LARGEST_GPU = 128_000, 8_000
"""Of the largest server, in thousandths: what resources are normalised with."""


class OnFullest:
    """A sharing pod gets the GPU with the least left that suffices."""

    at_random = False

    def __init__(self, mix: Mix) -> None:
        self.mix = mix

    def gpu(self, server: Server, pod: Pod, draw: random.Random) -> int | None:
        """The default."""
        return None
