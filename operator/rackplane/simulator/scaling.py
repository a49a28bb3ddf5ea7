"""A trace made to fit a facility: how many of its jobs, how close together, and how large."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from rackplane.simulator.jobs import TraceJob

__all__ = ["Scaling", "Shape", "Sizes", "shape_of"]


class Sizes(StrEnum):
    """What becomes of a job's size on nodes with another number of GPUs.

    GPUS: it asks for as many GPUs as it had. WHOLE_NODES: these rounded up to whole nodes. SAME_NODES: as many nodes as
    it had, whatever is in them; of a job on part of a node the same part.
    """

    GPUS = "gpus"
    WHOLE_NODES = "whole-nodes"
    SAME_NODES = "same-nodes"


@dataclass(frozen=True, slots=True)
class Shape:
    """Pods that are alike."""

    slots: int
    gpus_per_slot: int

    @property
    def gpus(self) -> int:
        return self.slots * self.gpus_per_slot


def shape_of(gpus: int, gpus_per_node: int) -> Shape:
    """Up to a node's GPUs are one pod; more take whole nodes, rounded up."""
    if gpus <= gpus_per_node:
        return Shape(1, gpus)
    return Shape(-(-gpus // gpus_per_node), gpus_per_node)


@dataclass(frozen=True, slots=True)
class Scaling:
    """What is done to a trace, in this order.

    Args:
        days: only jobs submitted within so many days of the first; None: all.
        sizes: see `Sizes`.
        source_gpus: GPUs of a node where the trace is from, for SAME_NODES of jobs that do not say how many nodes.
        largest: jobs that ask for more GPUs are left out; None: only those above what the facility has.
        cap: jobs that ask for more GPUs ask for so many; None: as they are.
        first: only so many of what is left; None: all.
        load: arrivals are moved closer together, or apart, in the same proportions, until the jobs ask for so many
            times the GPU-seconds that the facility has until the last one comes; None: as they are.
        faster: arrivals so many times closer together.
    """

    days: float | None = None
    sizes: Sizes = Sizes.GPUS
    source_gpus: int | None = None
    largest: int | None = None
    cap: int | None = None
    first: int | None = None
    load: float | None = None
    faster: float = 1.0

    def scaled(
        self, jobs: Sequence[TraceJob], *, gpus: int, gpus_per_node: int
    ) -> tuple[list[TraceJob], Counter[str]]:
        """The jobs in order of their arrival, from second 0 on, and how many were left out, by reason.

        Args:
            gpus: that the facility has.
            gpus_per_node: of its nodes.
        """
        left_out: Counter[str] = Counter()
        arrivals = sorted(enumerate(jobs), key=lambda pair: (pair[1].submit, pair[0]))
        began = arrivals[0][1].submit if arrivals else 0
        kept: list[TraceJob] = []
        for _, job in arrivals:
            if self.days is not None and job.submit - began > self.days * 86_400:
                left_out[f"come later than {self.days:g} days after the first"] += 1
                continue
            sized = replace(job, gpus=self._gpus(job, gpus_per_node))
            if self.cap is not None and sized.gpus > self.cap:
                sized = replace(sized, gpus=self.cap)
            if self.largest is not None and sized.gpus > self.largest:
                left_out[f"ask for more than {self.largest:,} GPUs"] += 1
            elif shape_of(sized.gpus, gpus_per_node).gpus > gpus:
                left_out[f"ask for more than the {gpus:,} GPUs of the facility"] += 1
            elif self.first is not None and len(kept) >= self.first:
                left_out[f"come after the first {self.first:,}"] += 1
            else:
                kept.append(sized)
        return self._moved(kept, gpus, gpus_per_node), left_out

    def _gpus(self, job: TraceJob, gpus_per_node: int) -> int:
        if self.sizes is Sizes.WHOLE_NODES:
            return -(-job.gpus // gpus_per_node) * gpus_per_node
        if self.sizes is Sizes.SAME_NODES:
            nodes = job.nodes or (-(-job.gpus // self.source_gpus) if self.source_gpus else 1)
            of_a_node = job.gpus / nodes / (self.source_gpus or math.inf)
            if nodes == 1 and self.source_gpus and of_a_node < 1:
                return max(1, round(of_a_node * gpus_per_node))
            return nodes * gpus_per_node
        return job.gpus

    def _moved(self, jobs: Sequence[TraceJob], gpus: int, gpus_per_node: int) -> list[TraceJob]:
        if not jobs:
            return []
        first, span = jobs[0].submit, (jobs[-1].submit - jobs[0].submit) or 1
        scale = 1 / self.faster
        if self.load is not None:
            work = sum(job.duration * shape_of(job.gpus, gpus_per_node).gpus for job in jobs)
            scale = work / (self.load * gpus) / span
        return [replace(job, submit=round((job.submit - first) * scale)) for job in jobs]
