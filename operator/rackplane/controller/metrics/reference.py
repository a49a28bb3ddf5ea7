"""Every metric in one list, and docs/metrics.md made of it: `python -m rackplane.controller.metrics.reference`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rackplane.controller.metrics.deciding import DECIDING
from rackplane.controller.metrics.elements import FACILITY
from rackplane.controller.metrics.families import Family, Kind, Section
from rackplane.controller.metrics.gangs import GANGS
from rackplane.controller.metrics.levels import FABRIC
from rackplane.controller.metrics.orders import ORDERS
from rackplane.controller.metrics.process import PROCESS
from rackplane.controller.metrics.queues import QUEUES
from rackplane.controller.metrics.stops import STOPS
from rackplane.controller.metrics.telemetry import TELEMETRY
from rackplane.controller.metrics.trouble import TROUBLE

__all__ = ["SECTIONS", "render", "scraped"]

SECTIONS: Final[Sequence[Section]] = (
    *(DECIDING, QUEUES, FACILITY, FABRIC, ORDERS, STOPS),
    *(TELEMETRY, TROUBLE, GANGS, PROCESS),
)

_INTRODUCTION: Final = """\
# Metrics

What the operator serves at `/metrics`, port 8080. This page is made from the code by `make metrics-docs`.

- **The leader alone** tells of gangs, queues and the facility; a standby tells only of its own process. So sums over
  replicas are right. `rackplane_leader` says who it is; while nobody leads there are no such series.
- Names mirror Kueue's where the meaning is the same: `kueue_admission_wait_time_seconds` of a `cluster_queue` is
  `rackplane_admission_wait_time_seconds` of a `queue`.
- Series are bounded by the facility, the queues and fixed words. Only [single gangs](#single-gangs) have names that
  users choose, and these are off by default.
- A figure that does not apply has no series. Watts are watts, times are seconds, ratios lie between 0 and 1.
- Counters begin at 0 with each process: use `increase` and `rate`.

A scrape is worked out in pieces, between which gangs are decided about, and what has not changed since the last one is
not worked out again. [monitoring.md](monitoring.md) says how the chart has it scraped, and what the dashboards show.
"""


def scraped() -> dict[str, Family]:
    """By every name under which Prometheus stores a sample: ``x_bucket``, ``x_sum`` and ``x_count`` of a histogram."""
    return {name: family for section in SECTIONS for family in section for name in family.scraped}


def render() -> str:
    """The page."""
    parts = [_INTRODUCTION]
    for section in SECTIONS:
        parts.append(f"## {section.title}\n")
        if section.note:
            parts.append(f"{section.note}\n")
        rows = "\n".join(map(_row, section))
        parts.append(f"| metric | type | labels | |\n|---|---|---|---|\n{rows}\n")
    return "\n".join(parts)


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    text = family.text.replace("|", "\\|")
    if family.only:
        text = f"{text} Only {family.only}."
    if family.kind is Kind.HISTOGRAM:
        first, *_, last = family.buckets
        text = f"{text} Buckets: {len(family.buckets)} from {first:g} to {last:g}."
    return f"| `{family.name}` | {family.kind.value} | {labels} | {text} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(), encoding="utf-8")
