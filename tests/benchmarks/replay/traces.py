"""Jobs of a trace, on a clock of whole seconds that offers a cluster so much work.

Columns: submit_seconds or submission_time, duration_seconds or duration, gpus or num_gpu.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GPUS_A_NODE", "Job", "read"]

GPUS_A_NODE = 4


@dataclass(frozen=True, slots=True)
class Job:
    """Seconds since the first; up to 4 GPUs are one slot, more take whole nodes."""

    name: str
    at: int
    duration: int
    slots: int
    gpus_per_slot: int

    @property
    def gpus(self) -> int:
        return self.slots * self.gpus_per_slot


def read(path: Path, *, gpus: int, load: float, most: int | None) -> list[Job]:
    """The first ``most`` jobs that ask for at most half of ``gpus``, closer together in the same proportions.

    Args:
        load: GPU-seconds asked for until the last arrival, of those that there are.
        most: None: all.
    """
    with path.open() as file:
        rows = [
            (
                float(row.get("submit_seconds") or row["submission_time"]),
                max(1, round(float(row.get("duration_seconds") or row["duration"]))),
                int(row.get("gpus") or row["num_gpu"]),
            )
            for row in csv.DictReader(file)
        ]
    rows = sorted(row for row in rows if 0 < row[2] <= gpus // 2)[:most]
    shapes = [(1, g) if g <= GPUS_A_NODE else (-(-g // GPUS_A_NODE), GPUS_A_NODE) for _, _, g in rows]
    work = sum(d * s * g for (_, d, _), (s, g) in zip(rows, shapes, strict=True))
    first, span = rows[0][0], (rows[-1][0] - rows[0][0]) or 1.0
    scale = work / (load * gpus) / span
    return [
        Job(f"j{n:05}", round((at - first) * scale), duration, *shape)
        for n, ((at, duration, _), shape) in enumerate(zip(rows, shapes, strict=True))
    ]
