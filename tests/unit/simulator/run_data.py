"""A run of a hall as its folder has it: the smallest of which everything can be said."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from rackplane.simulator.report.runs import Run

__all__ = ["DATA", "PLOTS", "made", "written"]

LIMITS = {
    "megawatt_hours": 1.5,
    "seconds_over_a_limit": 32,
    "seconds_over_a_limit_after_a_loss": 0,
    "worst_watts": 2_500,
    "worst": "budget order",
    "seconds_by_limit": {"budget order": 32},
}
DATA: dict[str, Any] = {
    "format": "rackplane.dev/run/v1",
    "facility": {"name": "hall", "gpus": 48, "full_watts": 126_000},
    "trace": {
        "file": "jobs.csv",
        "jobs": 3,
        "gpu_hours": 46.0,
        "last_arrival": 20,
        "scaling": {"load": None, "largest": None},
    },
    "policy": {"reservations": 1, "watts": True},
    "rules": {"checkpoint": 3600, "restart": 300, "stop": 30},
    "draws": None,
    "seed": 0,
    "begin": 0,
    "every": 3600,
    "sha256": {"facility": "f" * 64, "trace": "a" * 64},
    "versions": {"rackplane": "0.1.0"},
    "interrupted": False,
    "stuck": "",
    "summary": {
        "seconds": 86_400,
        "jobs": {"over": 3, "starts": 3, "stops": 0},
        "wait_seconds": {"jobs": 3, "mean": 1_800.0, "median": 0.0, "p95": 3_600.0, "longest": 3_700},
        "wait_seconds_by_gpus": {
            "8-63": {"jobs": 3, "mean": 1_800.0, "median": 0.0, "p95": 3_600.0, "racks": 1.5}
        },
        "racks_per_gang": 1.5,
        "racks_over_minimum": 0.5,
        "gpu_hours": {"there": 1_152.0, "held": 576.0, "done_again": 5.76, "occupancy": 0.5},
        "reserved": LIMITS,
        "drawn": None,
        "means": {"fragmentation": 0.25, "stranded_power_watts": 9_000.0, "stranded_air_watts": 1_000.0},
    },
}
PEAK = {
    "kind": "PowerDomain",
    "name": "ups-a",
    "type": "UPS",
    "load": 0.9,
    "reserved_watts": 90_000,
    "limit_watts": 100_000,
    "seconds": 0,
    "drawn_watts": None,
    "worst_headroom_watts": -1_000,
    "worst_loss": "ups-b",
}
PLOTS: dict[str, Any] = {
    "format": "rackplane.dev/plots/v1",
    "peaks": [PEAK],
    "tightest": {
        "seconds": 43_200,
        "headroom_watts": -1_000,
        "limit": "power domain ups-a",
        "loss": "ups-b",
    },
}


def made(name: str = "run", plots: dict[str, Any] | None = PLOTS, **changes: Any) -> Run:
    """A run; changes are fields of run.json by path: policy__watts=False."""
    data = copy.deepcopy(DATA)
    for path, value in changes.items():
        *parts, last = path.split("__")
        inner = data
        for part in parts:
            inner = inner[part]
        inner[last] = value
    return Run(name, data, plots)


def written(folder: Path, plots: dict[str, Any] | None = PLOTS, **changes: Any) -> str:
    """The same in a new folder, whose path is returned."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(dict(made(**changes).data)), encoding="utf-8")
    if plots is not None:
        (folder / "plots.json").write_text(json.dumps(plots), encoding="utf-8")
    return str(folder)
