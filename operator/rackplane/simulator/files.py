"""The tables and the summary of a run, written as it goes: what memory it takes does not grow with its length."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

__all__ = [
    "ELEMENTS",
    "EVENTS",
    "FLOOR_PLAN",
    "JOBS",
    "PLOTS",
    "PLOTS_FORMAT",
    "REPORT",
    "RUN",
    "RUN_FORMAT",
    "SERIES",
    "Files",
    "Output",
    "OutputError",
    "Tables",
]

JOBS: Final = (
    *(
        "name",
        "gang",
        "queue",
        "user",
        "priority",
        "submit",
        "start",
        "end",
        "wait",
        "gpus",
        "slots",
        "nodes",
        "racks",
    ),
    *("fewest_racks", "domains", "profile", "watts", "stops", "lost_gpu_seconds", "state"),
)
"""jobs.csv. Times are seconds of the run; the others are of its last place; fewest_racks have
as many GPUs; watts are reserved, nominal, over idle."""
SERIES: Final = (
    *("seconds", "time", "gpus", "gpus_busy", "gangs_running", "gangs_waiting", "gpus_waiting"),
    *("reserved_watts", "reserved_peak_watts", "drawn_watts"),
    *("worst_headroom_watts", "worst_limit", "worst_loss", "drawn_worst_headroom_watts"),
    *(
        "gpus_free",
        "nodes_free",
        "domains_free",
        "largest_gang_gpus",
        "largest_in_domain_gpus",
        "fragmentation",
    ),
    *("unfed_nodes", "stranded_rack_watts", "stranded_power_watts", "stranded_budget_watts"),
    *("stranded_liquid_watts", "stranded_air_watts", "limits_exceeded", "limits_exceeded_drawn"),
)
"""series.csv, one line for each sample."""
ELEMENTS: Final = (
    *(
        "seconds",
        "kind",
        "name",
        "reserved_watts",
        "drawn_watts",
        "limit_watts",
        "worst_headroom_watts",
        "worst_loss",
    ),
    "stranded_watts",
)
"""elements.csv, a line for each power domain, cooling zone and budget at each sample."""
EVENTS: Final = ("seconds", "time", "kind", "name", "reason", "message")
"""events.csv: what happened to the facility, and what the operator said of gangs."""
RUN: Final = "run.json"
"""What went in, and the summary."""
RUN_FORMAT: Final = "rackplane.dev/run/v1"
"""What run.json says of its form: another one when fields of it come to mean something else."""
FLOOR_PLAN: Final = "floor-plan.html"
"""The run on the floor plan, with a time line."""
PLOTS: Final = "plots.json"
"""What the plots of the report are drawn from: a bounded number of points, however long the run."""
PLOTS_FORMAT: Final = "rackplane.dev/plots/v1"
"""The same of plots.json."""
REPORT: Final = "report.html"
"""The run on one page."""
_TABLES: Final[Mapping[str, Sequence[str]]] = {
    "jobs.csv": JOBS,
    "series.csv": SERIES,
    "elements.csv": ELEMENTS,
    "events.csv": EVENTS,
}


class OutputError(Exception):
    """A folder that cannot be written to, in words."""


class Output(Protocol):
    """Where rows go."""

    def write(self, table: str, row: Sequence[Any]) -> None:
        """A row of one of the tables."""


class Tables:
    """Rows kept in memory: for benchmarks and tests."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _TABLES}

    def write(self, table: str, row: Sequence[Any]) -> None:
        self.rows[table].append(dict(zip(_TABLES[table], row, strict=True)))


class Files:
    """A folder of CSV files, run.json and the floor plan."""

    def __init__(self, folder: str | Path, *, force: bool = False) -> None:
        """
        Raises:
            OutputError: it cannot be made, or has a run in it and may not be written over.
        """
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            taken = sorted(
                name for name in (*_TABLES, RUN, PLOTS, REPORT, FLOOR_PLAN) if (self.folder / name).exists()
            )
            if taken and not force:
                raise OutputError(
                    f"--out {folder}: has {', '.join(taken)} of another run: name another folder, or write over it "
                    "with --force"
                )
            self._files: dict[str, TextIO] = {
                name: (self.folder / name).open("w", encoding="utf-8", newline="") for name in _TABLES
            }
        except OSError as error:
            raise OutputError(f"--out {folder}: cannot be written: {error.strerror}") from error
        self._writers = {name: csv.writer(file, lineterminator="\n") for name, file in self._files.items()}
        for name, columns in _TABLES.items():
            self._writers[name].writerow(columns)

    def write(self, table: str, row: Sequence[Any]) -> None:
        self._writers[table].writerow(row)

    def finish(self, run: Mapping[str, Any], pages: Mapping[str, str]) -> None:
        """Write run.json and the other files that are whole texts, by name, and let go of all."""
        for file in self._files.values():
            file.close()
        texts = {RUN: json.dumps(run, indent=2, sort_keys=False) + "\n", **pages}
        for name, text in texts.items():
            (self.folder / name).write_text(text, encoding="utf-8")
