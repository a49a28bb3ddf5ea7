"""What a placement rule is asked and what it sees: free pods by rack, and the rows and halls of the racks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.campus import RACK_NODES
from tests.benchmarks.packing.cluster import GPUS

Ints = NDArray[np.int64]

SEGMENT = 16
"""Nodes that a job larger than one NVLink domain keeps together."""
NONE_FREE = GPUS + 1


@dataclass(frozen=True, slots=True, order=True)
class Job:
    """Pods of so many GPUs each.

    The rule for all: up to 72 GPUs lie in one NVLink domain (a rack); more run in segments of 16 nodes, each whole in
    one rack, the last one short, all under one hall.
    """

    pods: int
    gpus_per_pod: int

    @classmethod
    def of(cls, gpus: int) -> Job:
        """Up to 4 GPUs are one pod; more take whole nodes, rounded up."""
        return cls(1, gpus) if gpus <= GPUS else cls(-(-gpus // GPUS), GPUS)

    @property
    def gpus(self) -> int:
        return self.pods * self.gpus_per_pod

    @property
    def segmented(self) -> bool:
        return self.pods > RACK_NODES

    @property
    def parts(self) -> tuple[int, ...]:
        """Pods of each part that must lie in one rack."""
        if not self.segmented:
            return (self.pods,)
        whole, short = divmod(self.pods, SEGMENT)
        return (SEGMENT,) * whole + ((short,) if short else ())


@dataclass(frozen=True, slots=True)
class View:
    """By rack, in order of names; ``row`` and ``hall`` are dense ids."""

    slots: Ints
    """Pods of the job that healthy nodes have room for; fewer or none in a rack that cannot feed a part of the job."""
    used: Ints
    """GPUs in use."""
    size: Ints
    """GPUs of healthy nodes."""
    tightest: Ints
    """The fewest free GPUs of a node that takes one pod; NONE_FREE if no node does."""
    row: Ints
    hall: Ints


Rule = Callable[[View, Job], dict[int, int] | None]
"""Rack -> pods, in the order of the parts; None: it does not fit."""
Order = Callable[[Ints], Ints]
"""Racks, the first choice first."""


def first_of(racks: Ints, *keys: NDArray[np.generic]) -> int | None:
    """The rack with the least keys, the first one most significant; ties go to the first by name."""
    return int(racks[np.lexsort((racks, *(key[racks] for key in reversed(keys))))[0]]) if len(racks) else None


def in_segments(view: View, job: Job, pools: Iterable[Ints], order: Order) -> dict[int, int] | None:
    """Each part in its own rack, in the first pool of racks that holds them all; a rack is chosen by ``order``."""
    for pool in pools:
        found: dict[int, int] = {}
        for part in sorted(set(job.parts), reverse=True):
            racks = pool[(view.slots[pool] >= part) & ~np.isin(pool, list(found))]
            count = job.parts.count(part)
            if len(racks) < count:
                break
            found.update(dict.fromkeys(order(racks)[:count].tolist(), part))
        else:
            return found
    return None
