"""Gangs in power-of-two segments, of the sizes of a real cluster, and what such sizes leave of racks of 18 nodes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from rackplane.engine.model import Request
from tests.benchmarks.campus import NODE_TYPE, RACK_NODES
from tests.benchmarks.packing.jobs import sizes
from tests.benchmarks.packing.view import SEGMENT, Job

__all__ = ["Gang", "draw", "structural_limit"]

HOUR = 3_600.0
MEAN_HOURS = 6.0
"""How long a gang runs in the mean: an assumption. Sizes differ in it as the curves say."""


@dataclass(frozen=True, slots=True)
class Gang:
    """So many pods of so many GPUs, and seconds of work."""

    nodes: int
    gpus_per_node: int
    seconds: float

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node

    @property
    def segment(self) -> int | None:
        """Nodes of each part that shares an NVLink domain; None: all do."""
        return SEGMENT if self.nodes > SEGMENT else None

    def request(self) -> Request:
        """As the engine is asked."""
        return Request(
            slots=self.nodes,
            gpus_per_slot=self.gpus_per_node,
            resource=NODE_TYPE.resource,
            required="nvlink" if self.segment is None else "spine",
            segment_slots=self.segment,
            strict=True,
        )


def rounded(job: Job) -> int:
    """Nodes: the next power of two up to a segment, then whole segments."""
    if job.pods > SEGMENT:
        return -(-job.pods // SEGMENT) * SEGMENT
    return 1 << (job.pods - 1).bit_length()


@lru_cache(maxsize=4)
def _known(mix: str, most: int) -> tuple[tuple[tuple[int, int], ...], tuple[float, ...], tuple[float, ...]]:
    """Nodes and GPUs of a pod, share of gangs, and mean seconds of each size up to so many GPUs."""
    fitting = [
        (rounded(job), job.gpus_per_pod, share, duration * job.gpus)
        for job, share, duration in sizes(mix)
        if rounded(job) * job.gpus_per_pod <= most
    ]
    # GPU time as in the curves: what rounding adds to a gang's nodes it takes from its time.
    lasting = [work / (nodes * gpus) for nodes, gpus, _, work in fitting]
    shares = [share for _, _, share, _ in fitting]
    unit = sum(shares) / sum(s * t for s, t in zip(shares, lasting, strict=True)) * MEAN_HOURS * HOUR
    return (
        tuple((nodes, gpus) for nodes, gpus, _, _ in fitting),
        tuple(shares),
        tuple(unit * t for t in lasting),
    )


def draw(mix: str, most: int, random_: random.Random) -> Gang:
    """The next gang that comes: by share of gangs, exponential with the size's mean."""
    kinds, shares, lasting = _known(mix, most)
    k = random_.choices(range(len(kinds)), shares)[0]
    return Gang(*kinds[k], random_.expovariate(1 / lasting[k]))


def structural_limit(mix: str, most: int) -> float:
    """The largest share of GPUs that work in the mix's own proportions, without failures, whatever the placement.

    Of a rack of 18 nodes parts of 4, 8 and 16 nodes take 16 at most; the other two only serve parts of one and two
    nodes. With s the share of GPU time in gangs of up to two nodes, U <= 16/18 + s U, so U <= (16/18) / (1 - s).
    """
    kinds, shares, lasting = _known(mix, most)
    work = [n * g * s * t for (n, g), s, t in zip(kinds, shares, lasting, strict=True)]
    small = sum(w for (n, _), w in zip(kinds, work, strict=True) if n <= RACK_NODES - SEGMENT)
    return min(1.0, SEGMENT / RACK_NODES / (1 - small / sum(work)))
