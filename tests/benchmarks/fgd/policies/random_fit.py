"""Random: any server, and of it any GPU, that takes the pod."""

from __future__ import annotations

import random

import numpy as np

from tests.benchmarks.fgd.inputs import Pod, Server
from tests.benchmarks.fgd.mix import Ints, Mix

__all__ = ["RandomFit"]


class RandomFit:
    """All that fit are equal."""

    at_random = True

    def __init__(self, mix: Mix) -> None:
        self._all_alike = np.zeros(len(mix.kinds), dtype=np.int64)

    def scores(self, server: Server) -> Ints:
        """None better than another."""
        return self._all_alike

    def gpu(self, server: Server, pod: Pod, draw: random.Random) -> int | None:
        """Any that takes it."""
        return draw.choice([each for each in server.left if each >= pod.gpu_milli])
