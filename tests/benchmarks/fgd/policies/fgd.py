"""FGD, fragmentation gradient descent: the server, and GPU, where the pod adds the least fragments.

What a fragment is follows from the most frequent pods of the list (:meth:`~tests.benchmarks.fgd.mix.Mix.fragments`).
What is compared is the logistic function of the change in whole GPUs, in whole percent: changes by less than about 0.04
GPUs are equal, and decided by the name.
"""

from __future__ import annotations

import random

import numpy as np

from tests.benchmarks.fgd.inputs import Pod, Server
from tests.benchmarks.fgd.mix import Ints, Mix
from tests.benchmarks.fgd.policies.ways import Floats, Ways

__all__ = ["Fgd"]


class Fgd:
    """Fragments added, in classes."""

    at_random = False

    def __init__(self, mix: Mix) -> None:
        self._ways = Ways(mix, self.worth)

    def worth(self, before: float, after: Floats, server: Server, kinds: Ints) -> Ints:
        """In whole percent: 50 where fragments stay as many."""
        result: Ints = (100 / (1 + np.exp((after - before) / 1000))).astype("int64")
        return result

    def scores(self, server: Server) -> Ints:
        """0 to 100."""
        return self._ways.best(server)

    def gpu(self, server: Server, pod: Pod, draw: random.Random) -> int | None:
        """That with the best score."""
        return self._ways.gpu(server, pod)
