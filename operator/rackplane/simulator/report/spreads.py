"""How waits, and racks beyond the fewest, are spread over the jobs of one size."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from rackplane.simulator.summary import Summary, classes

__all__ = ["QUANTILES", "sizes"]

QUANTILES: Final = (5, 25, 50, 75, 95)
"""Percent of the jobs of a class that waited no longer."""
_MANY: Final = 4
"""From so many racks beyond the fewest they count as one: "4+"."""


def sizes(summary: Summary) -> dict[str, Any]:
    """By class of GPUs, of jobs that are over: waits in seconds, and jobs by racks beyond the fewest."""
    gpus, waits, more = (
        np.array(values, dtype=np.int64) for values in (summary.gpus, summary.waits, summary.more_racks)
    )
    found = {}
    for name, chosen in classes(gpus):
        mine, beyond = waits[chosen], more[chosen]
        beyond = np.minimum(beyond[beyond >= 0], _MANY)
        found[name] = {
            "jobs": len(mine),
            "at_once": round(float((mine <= 0).mean()), 4),
            "wait_seconds": {
                **{f"p{q}": round(float(np.percentile(mine, q)), 1) for q in QUANTILES},
                "mean": round(float(mine.mean()), 1),
                "longest": int(mine.max()),
            },
            "racks_over_minimum": np.bincount(beyond, minlength=_MANY + 1).tolist(),
        }
    return found
