"""The formats that are tables: a function for each, from a row to a job.

Columns are those of the published files: ITP (microsoft/elasticflow-traces), Acme's Kalos and Seren
(InternLM/AcmeTrace, and the cut of it in tests/data), Helios (S-Lab-System-Group/HeliosData) and openb
(the Alibaba traces of 2023 as used by FGD).
"""

from __future__ import annotations

from typing import Final

from rackplane.api.problems import show
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.traces.rows import (
    Format,
    LeftOut,
    Row,
    RowProblem,
    gpus_of,
    lasting,
    moment,
    optional,
    spent,
    text,
    whole,
)

__all__ = ["ACME", "HELIOS", "ITP", "KALOS", "OPENB", "OWN"]

_MOST_WATTS: Final = 1_000_000
_MOST_PRIORITY: Final = 1_000_000_000
_WHOLE_GPU: Final = 1000
#: What names a job in files of our own, the first that there is.
_NAMES: Final = ("name", "job", "job_id", "id")


def _own(row: Row) -> TraceJob:
    gpus = gpus_of(row, "gpus")
    segment = optional(row, "segment", least=1)
    if segment is not None and segment > gpus:
        raise RowProblem("segment", f"is {segment}, above gpus", f"write at most {gpus}, or leave it empty")
    priority = 0
    if text(row, "priority"):
        priority = whole(row, "priority", least=-_MOST_PRIORITY, most=_MOST_PRIORITY)
    profile, watts, peak = _power(row)
    return TraceJob(
        name=next((text(row, field) for field in _NAMES if text(row, field)), ""),
        submit=moment(row, "submit"),
        duration=lasting(row, "duration"),
        gpus=gpus,
        nodes=optional(row, "nodes", least=1),
        segment_gpus=segment,
        queue=text(row, "queue"),
        priority=priority,
        profile=profile,
        node_watts=watts,
        node_peak_watts=peak,
        user=text(row, "user"),
    )


def _power(row: Row) -> tuple[str, int | None, int | None]:
    """`power`: a profile (MaxQ), watts of a whole node on average (5200), or on average and at most (5200/6400)."""
    said = text(row, "power")
    if not said or said[0].isalpha():
        return said, None, None
    parts = said.split("/")
    remedy = "write a power profile, or the watts of a node: 5200, or 5200/6400 with the peak"
    if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
        raise RowProblem("power", f"is {show(said)}", remedy)
    watts = [int(part) for part in parts]
    if not 0 < watts[0] <= watts[-1] <= _MOST_WATTS:
        raise RowProblem("power", f"is {show(said)}", f"{remedy}, up to {_MOST_WATTS}")
    return "", watts[0], watts[1] if len(watts) > 1 else None


def _itp(row: Row) -> TraceJob:
    return TraceJob(
        name=text(row, "job_id"),
        submit=moment(row, "submission_time"),
        duration=lasting(row, "duration"),
        gpus=gpus_of(row, "num_gpu"),
    )


def _kalos(row: Row) -> TraceJob:
    return TraceJob(
        name=text(row, "job_id"),
        submit=moment(row, "submit_seconds"),
        duration=lasting(row, "duration_seconds"),
        gpus=gpus_of(row, "gpus"),
    )


def _of_slurm_dump(row: Row, queue: str) -> TraceJob:
    """What Helios and Acme have in common: both are Slurm's records of a cluster."""
    gpus = gpus_of(row, "gpu_num")
    if not text(row, "start_time"):
        raise LeftOut("never started")
    duration = lasting(row, "duration")
    return TraceJob(
        name=text(row, "job_id"),
        submit=moment(row, "submit_time"),
        duration=duration,
        gpus=gpus,
        nodes=optional(row, "node_num") or None,
        queue=text(row, queue),
        user=text(row, "user"),
    )


def _helios(row: Row) -> TraceJob:
    return _of_slurm_dump(row, "vc")


def _acme(row: Row) -> TraceJob:
    return _of_slurm_dump(row, "type")


def _openb(row: Row) -> TraceJob:
    gpus = gpus_of(row, "num_gpu")
    if "scheduled_time" not in row or "deletion_time" not in row:
        raise RowProblem(
            "scheduled_time", "is missing", "take a pod list with times: openb_pod_list_default.csv"
        )
    if not text(row, "scheduled_time"):
        raise LeftOut("never started")
    share = optional(row, "gpu_milli", most=_WHOLE_GPU)
    if share is not None and 0 < share < _WHOLE_GPU:
        raise LeftOut("shares a GPU with others")
    return TraceJob(
        name=text(row, "name"),
        submit=moment(row, "creation_time"),
        duration=spent(moment(row, "scheduled_time"), moment(row, "deletion_time"), "deletion_time"),
        gpus=gpus,
        nodes=1,
        queue=text(row, "qos"),
    )


OWN: Final = Format(
    "rackplane",
    "our own CSV: submit, duration, gpus, and if wanted name, segment, queue, priority, power, nodes, user",
    frozenset({"submit", "duration", "gpus"}),
    _own,
)
ITP: Final = Format(
    "itp",
    "Microsoft ITP clusters",
    frozenset({"job_id", "submission_time", "duration", "num_gpu"}),
    _itp,
)
KALOS: Final = Format(
    "kalos",
    "the cut of Acme's Kalos: job_id, submit_seconds, duration_seconds, gpus",
    frozenset({"submit_seconds", "duration_seconds", "gpus"}),
    _kalos,
)
ACME: Final = Format(
    "acme",
    "Acme's Kalos and Seren as published",
    frozenset({"job_id", "gpu_num", "node_num", "type", "submit_time", "start_time", "duration"}),
    _acme,
)
HELIOS: Final = Format(
    "helios",
    "SenseTime Helios, cluster_log.csv",
    frozenset({"job_id", "vc", "gpu_num", "node_num", "submit_time", "start_time", "duration"}),
    _helios,
)
OPENB: Final = Format(
    "openb",
    "Alibaba openb, pod lists with times",
    frozenset({"name", "num_gpu", "gpu_milli", "cpu_milli"}),
    _openb,
)
