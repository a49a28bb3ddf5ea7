"""Runs beside each other: every figure of each, what they have been given that differs, and what makes it unfair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rackplane.simulator.report.measures import MEASURES, Measure
from rackplane.simulator.report.runs import Run

__all__ = ["Comparison", "Difference", "Row", "compare", "said_of"]

_GIVEN: Final = ("policy", "rules", "draws", "seed", "begin", "every", "versions")
"""Parts of run.json that say how a run was made, beside facility, trace and events."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measure, with a value for each run; None: that one does not have it."""

    measure: Measure
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What runs have been given that is not the same for all: one value for each, as run.json has it."""

    what: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is to be said of runs beside each other; ``warnings`` are sentences that no reader may miss."""

    runs: tuple[Run, ...]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]


def compare(runs: Sequence[Run]) -> Comparison:
    """Measures that no run has are left out. The first run is the one that others are judged against."""
    rows = (Row(m, tuple(m.find(run) for run in runs)) for m in MEASURES)
    kept = tuple(row for row in rows if any(value is not None for value in row.values))
    return Comparison(tuple(runs), kept, tuple(_differences(runs)), tuple(_warnings(runs)))


def said_of(value: Any) -> str:
    """A value of a `Difference` in words."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _differences(runs: Sequence[Run]) -> Iterator[Difference]:
    for part in ("facility", "trace", "events"):
        named = tuple(_named(part, run) for run in runs)
        if len(set(named)) > 1:
            yield Difference(part, named)
    for part in ("trace.scaling", *_GIVEN):
        flat = [_flat(part, _get(run.data, part)) for run in runs]
        for key in dict.fromkeys(key for values in flat for key in values):
            values = tuple(of_run.get(key) for of_run in flat)
            if any(value != values[0] for value in values):
                yield Difference(key, values)


def _warnings(runs: Sequence[Run]) -> Iterator[str]:
    first = runs[0]
    for run in runs[1:]:
        for part, words in (("facility", "on another facility"), ("trace", "other jobs")):
            theirs, ours = _named(part, run), _named(part, first)
            if theirs != ours:
                yield f"{run.name} ran {words} than {first.name}: {theirs}, not {ours}"
            elif len({run.data["sha256"].get(part), first.data["sha256"].get(part)} - {None}) > 1:
                yield f"{run.name} ran {words} than {first.name}, of the same name: {theirs} was changed"
        if _named("trace", run) == _named("trace", first) and _jobs(run) != _jobs(first):
            yield (
                f"{run.name} ran {run.data['trace']['jobs']:,} jobs of the trace and {first.name} "
                f"{first.data['trace']['jobs']:,}, or at other times: see what differs in trace.scaling"
            )
    for run in runs:
        if run.data.get("stuck"):
            yield f"{run.name} did not end: {run.data['stuck']}"
        elif run.data.get("interrupted"):
            yield f"{run.name} was broken off at day {run.summary['seconds'] / 86_400:,.1f}: its figures end there"
        if run.plots is None:
            yield f"{run.name} has no plots.json: it was made by an older version; run it again to see its plots"


def _named(part: str, run: Run) -> Any:
    if part == "facility":
        facility = run.data["facility"]
        return f"{facility['name']} ({facility['gpus']:,} GPUs)"
    if part == "trace":
        return run.data["trace"]["file"]
    digest = run.data["sha256"].get(part)
    return "none" if digest is None else f"of {digest[:12]}"


def _jobs(run: Run) -> tuple[Any, ...]:
    trace = run.data["trace"]
    return trace["jobs"], trace["gpu_hours"], trace["last_arrival"]


def _get(data: Any, path: str) -> Any:
    for part in path.split("."):
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _flat(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {name: value}
    return {f"{name}.{key}": one for key, one in value.items()}
