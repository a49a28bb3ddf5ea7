"""A file of jobs in, jobs out, and what was wrong with which line."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TextIO

from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.traces.formats import ACME, HELIOS, ITP, KALOS, OPENB, OWN
from rackplane.simulator.traces.philly import PHILLY
from rackplane.simulator.traces.rows import Format, LeftOut, Row, RowProblem
from rackplane.simulator.traces.slurm import SACCT

__all__ = ["FORMATS", "BadLine", "Trace", "TraceError", "read_trace"]

FORMATS: Final[Mapping[str, Format]] = {
    f.name: f for f in (OWN, ITP, KALOS, ACME, PHILLY, HELIOS, OPENB, SACCT)
}
_KEPT: Final = 20
"""Bad lines that are told one by one; the others are counted."""


class TraceError(Exception):
    """A trace that cannot be used: file, line, field, and what to do."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line, or the entry of that number where the file is JSON, that is no job."""

    line: int
    field: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.line}: {self.field} {self.what}; {self.remedy}"


@dataclass(slots=True)
class Trace:
    """What a file has.

    Args:
        jobs: in order of their lines.
        rows: lines that were looked at, without the header.
        left_out: lines that are right and no job to run, by reason.
        bad: the first lines that are wrong; ``bad_lines`` counts all.
    """

    file: str
    format: str
    jobs: list[TraceJob] = field(default_factory=list)
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    bad: list[BadLine] = field(default_factory=list)
    bad_lines: int = 0


def read_trace(path: str | Path, *, format: str = "auto", most_bad_percent: float = 1.0) -> Trace:
    """Read the jobs of a file.

    Args:
        format: one of FORMATS, or "auto": by its columns.
        most_bad_percent: of its lines that may be wrong; more, and it is not used.

    Raises:
        TraceError: it cannot be read, is of no known format, has too many bad lines, or no job.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            trace = _read(path.name, file, format)
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: is no text in UTF-8: unpack it, or convert it") from error
    except csv.Error as error:
        raise TraceError(f"{path}: is no table: {error}") from error
    if trace.bad_lines * 100 > most_bad_percent * trace.rows:
        shown = "\n".join(f"  {path}:{bad}" for bad in trace.bad)
        raise TraceError(
            f"{path}: {trace.bad_lines:,} of {trace.rows:,} lines are bad, more than {most_bad_percent:g} %: correct "
            f"them, name another --format than {trace.format}, or allow more with --bad-lines\n{shown}"
        )
    if not trace.jobs:
        reasons = "; ".join(f"{count:,}: {why}" for why, count in sorted(trace.left_out.items()))
        raise TraceError(f"{path}: has no job to run ({reasons or 'it has no lines'})")
    return trace


def _read(name: str, file: TextIO, wanted: str) -> Trace:
    first = file.read(1)
    file.seek(0)
    if first in ("[", "{"):
        kind, rows = _choose(name, wanted, {"jobid", "attempts", "submitted_time"}), _entries(name, file)
    else:
        header = file.readline()
        file.seek(0)
        delimiter = "|" if header.count("|") > header.count(",") else ","
        table = csv.DictReader(file, delimiter=delimiter, restval="")
        columns = [column.strip() for column in table.fieldnames or ()]
        table.fieldnames = columns
        kind, rows = _choose(name, wanted, set(columns)), _lines(table)
    trace = Trace(name, kind.name)
    for line, row in rows:
        trace.rows += 1
        try:
            job = kind.job(row)
        except LeftOut as why:
            trace.left_out[str(why)] += 1
        except RowProblem as problem:
            trace.bad_lines += 1
            if len(trace.bad) < _KEPT:
                trace.bad.append(BadLine(line, problem.field, problem.what, problem.remedy))
        else:
            trace.jobs.append(job if job.name else replace(job, name=f"line-{line}"))
    return trace


def _choose(name: str, wanted: str, columns: set[str]) -> Format:
    if wanted != "auto":
        kind = FORMATS.get(wanted)
        if kind is None:
            raise TraceError(f"--format {wanted}: there is none; it is one of auto, {', '.join(FORMATS)}")
        missing = sorted(kind.columns - columns)
        if missing:
            raise TraceError(f"{name}:1: has no column {', '.join(missing)}, which --format {wanted} needs")
        return kind
    for kind in FORMATS.values():
        if kind.columns <= columns:
            return kind
    known = "\n".join(f"  {f.name}: {', '.join(sorted(f.columns))}" for f in FORMATS.values())
    raise TraceError(
        f"{name}:1: its columns are those of no known format; one of these needs to be there:\n{known}"
    )


def _lines(table: csv.DictReader[str]) -> Iterator[tuple[int, Row]]:
    for row in table:
        yield table.line_num, row


def _entries(name: str, file: TextIO) -> Iterator[tuple[int, Row]]:
    try:
        found: Any = json.load(file)
    except json.JSONDecodeError as error:
        raise TraceError(f"{name}:{error.lineno}: is no JSON: {error.msg}") from error
    if not isinstance(found, list):
        raise TraceError(f"{name}: is no list of jobs: take the file as it was published")
    for number, entry in enumerate(found, 1):
        yield number, entry if isinstance(entry, Mapping) else {}
