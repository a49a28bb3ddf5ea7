"""Microsoft Philly, cluster_job_log: JSON, one entry for a job with its attempts (msr-fiddle/philly-traces).

A job runs for as long as its attempts did together, on the GPUs of its last one: what lies between two attempts was
waiting, and the simulation has waits of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.traces.rows import Format, LeftOut, Row, RowProblem, moment, spent, text

__all__ = ["PHILLY"]

_UNKNOWN: Final = ("", "None", "null")


def _job(row: Row) -> TraceJob:
    attempts = row.get("attempts")
    if not isinstance(attempts, list) or not all(isinstance(a, Mapping) for a in attempts):
        raise RowProblem("attempts", "is no list of objects", "take the file as it was published")
    if not attempts:
        raise LeftOut("never started")
    duration = 0
    for number, attempt in enumerate(attempts):
        if text(attempt, "start_time") in _UNKNOWN or text(attempt, "end_time") in _UNKNOWN:
            if number == len(attempts) - 1 and text(attempt, "start_time") not in _UNKNOWN:
                raise LeftOut("ran on after the trace was taken")
            continue  # a logging error, by the trace's own notes
        duration += spent(moment(attempt, "start_time"), moment(attempt, "end_time"), "end_time")
    if not duration:
        raise LeftOut("has no attempt with times")
    hosts = _hosts(attempts[-1])
    gpus = sum(len(found) for found in hosts)
    if not gpus:
        raise LeftOut("asks for no GPU")
    return TraceJob(
        name=text(row, "jobid"),
        submit=moment(row, "submitted_time"),
        duration=duration,
        gpus=gpus,
        nodes=len(hosts),
        queue=text(row, "vc"),
        user=text(row, "user"),
    )


def _hosts(attempt: Mapping[str, Any]) -> list[list[Any]]:
    """The GPUs of each host of an attempt."""
    detail = attempt.get("detail")
    found = [host.get("gpus") if isinstance(host, Mapping) else None for host in detail or ()]
    if not isinstance(detail, list) or not all(isinstance(gpus, list) for gpus in found):
        raise RowProblem(
            "attempts.detail", "is no list of hosts with gpus", "take the file as it was published"
        )
    return [gpus for gpus in found if gpus]


PHILLY: Final = Format(
    "philly",
    "Microsoft Philly, cluster_job_log",
    frozenset({"jobid", "attempts", "submitted_time"}),
    _job,
    delimiter="",
)
