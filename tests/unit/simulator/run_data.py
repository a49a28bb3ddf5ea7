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
    "command": "rackplane simulate --facility hall --trace jobs.csv",
    "facility": {
        "name": "hall",
        "gpus": 48,
        "gpus_per_node": 4,
        "nodes": 12,
        "racks": 3,
        "queues": ["research"],
        "full_watts": 126_000,
    },
    "trace": {
        "file": "jobs.csv",
        "format": "rackplane",
        "lines": 3,
        "jobs": 3,
        "left_out": {"ask for more than 48 GPUs": 2},
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
WAITS = {"p5": 0.0, "p25": 0.0, "p50": 0.0, "p75": 1_800.0, "p95": 3_600.0, "mean": 1_800.0, "longest": 3_700}
PLOTS: dict[str, Any] = {
    "format": "rackplane.dev/plots/v1",
    "seconds": 86_400,
    "samples": 24,
    "stretch_seconds": 28_800,
    "series": {
        "gpus_busy": {"low": [0, 16, 0], "mean": [24, 32, 16], "high": [48, 48, 16]},
        "reserved_watts": {"low": [18_000] * 3, "mean": [72_000, 90_000, 54_000], "high": [126_000] * 3},
        "drawn_watts": {"low": [None] * 3, "mean": [None] * 3, "high": [None] * 3},
        "reserved_peak_watts": [126_000, 126_000, 126_000],
        "worst_headroom_watts": [5_000, -1_000, 20_000],
        "drawn_worst_headroom_watts": [None] * 3,
        "gpus_waiting": [0, 16, 0],
        "gangs_waiting": [0, 1, 0],
        "fragmentation": [0.25, 0.5, 0.0],
        "stranded_rack_watts": [0, 0, 0],
        "stranded_power_watts": [9_000, 18_000, 0],
        "stranded_budget_watts": [0, 0, 0],
        "stranded_liquid_watts": [0, 0, 0],
        "stranded_air_watts": [0, 3_000, 0],
        "seconds_over": [0, 32, 0],
        "seconds_over_after_a_loss": [0, 0, 0],
        "seconds_over_drawn": [None] * 3,
    },
    "tightest": {
        "seconds": 43_200,
        "headroom_watts": -1_000,
        "limit": "power domain ups-a",
        "loss": "ups-b",
    },
    "element_stretch_seconds": 28_800,
    "elements": [
        {
            "kind": "PowerDomain",
            "name": "ups-a",
            "type": "UPS",
            "reserved_watts": [60_000, 90_000, 30_000],
            "drawn_watts": [None] * 3,
            "limit_watts": [100_000] * 3,
            "worst_headroom_watts": [5_000, -1_000, 20_000],
        }
    ],
    "peaks": [PEAK],
    "sizes": {
        "8-63": {"jobs": 3, "at_once": 0.6667, "wait_seconds": WAITS, "racks_over_minimum": [2, 1, 0, 0, 0]}
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
