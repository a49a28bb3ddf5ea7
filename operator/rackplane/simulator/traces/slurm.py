"""`sacct --parsable2 --allusers --format=JobID,Submit,Start,End,Elapsed,AllocTRES,ReqTRES,NNodes,Partition,QOS,...`.

One line for each allocation; lines of steps (`123.batch`, `123.0`) are passed over: their job has a line of its own.
A job array has one line for each task that has started (`123_4`); `123_[5-9%2]` stands for those that have not.
"""

from __future__ import annotations

import re
from typing import Final

from rackplane.api.problems import show
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.traces.rows import Format, LeftOut, Row, RowProblem, moment, optional, spent, text

__all__ = ["SACCT"]

_UNKNOWN: Final = frozenset({"", "None", "Unknown", "N/A"})
_ELAPSED: Final = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?")
_GPUS: Final = re.compile(r"gres/gpu(?::([^=,]+))?=(\d+)")
_MOST_NODES: Final = 100_000


def _job(row: Row) -> TraceJob:
    name = text(row, "JobID")
    if not name:
        raise RowProblem("JobID", "is empty", "ask sacct for it: --format=JobID,...")
    if "." in name:
        raise LeftOut("is a step of a job")
    if "[" in name:
        raise LeftOut("stands for tasks of an array that have not started")
    state = text(row, "State").split(" ")[0]
    if text(row, "Start") in _UNKNOWN:
        raise LeftOut("was cancelled before it started" if state == "CANCELLED" else "never started")
    gpus = _gpus(text(row, "AllocTRES")) or _gpus(text(row, "ReqTRES"))
    if not gpus:
        raise LeftOut("asks for no GPU")
    duration = _duration(row)
    if not duration:
        raise LeftOut("ended as it started")
    return TraceJob(
        name=name,
        submit=moment(row, "Submit"),
        duration=duration,
        gpus=gpus,
        nodes=optional(row, "NNodes", most=_MOST_NODES) or None,
        queue=text(row, "Partition").split(",")[0],
        # Slurm's own number is worked out from age and shares too: to take it would count these twice.
        user=text(row, "User"),
    )


def _gpus(tres: str) -> int:
    """GPUs of a list of trackable resources: the sum over types where no total is told."""
    total, typed = 0, 0
    for kind, count in _GPUS.findall(tres):
        if kind:
            typed += int(count)
        else:
            total = int(count)
    return total or typed


def _duration(row: Row) -> int:
    """Seconds: ElapsedRaw, or Elapsed, or from Start to End."""
    raw = optional(row, "ElapsedRaw", most=10**9)
    if raw is not None:
        return raw
    said = text(row, "Elapsed")
    if said not in _UNKNOWN:
        found = _ELAPSED.fullmatch(said)
        if found is None:
            remedy = "write days-hours:minutes:seconds, as sacct does"
            raise RowProblem("Elapsed", f"is {show(said)}, no duration", remedy)
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if text(row, "End") in _UNKNOWN:
        raise RowProblem("Elapsed", "is empty", "ask sacct for Elapsed, or for End")
    return spent(moment(row, "Start"), moment(row, "End"), "End")


SACCT: Final = Format(
    "sacct",
    "Slurm's sacct --parsable2, with its header line",
    frozenset({"JobID", "Submit", "Start"}),
    _job,
    delimiter="|",
)
