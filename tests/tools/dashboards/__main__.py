"""Writes the dashboards: `python -m tests.tools.dashboards DIRECTORY`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.tools.dashboards.gang import gang
from tests.tools.dashboards.health import health
from tests.tools.dashboards.overview import overview
from tests.tools.dashboards.panels import Dashboard
from tests.tools.dashboards.power import power
from tests.tools.dashboards.queues import queues

__all__ = ["made", "text"]


def made() -> list[Dashboard]:
    """All dashboards of the chart."""
    return [overview(), power(), queues(), gang(), health()]


def text(dashboard: Dashboard) -> str:
    """As it is in its file."""
    return json.dumps(dashboard.body, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for each in made():
        (Path(sys.argv[1]) / f"{each.name}.json").write_text(text(each), encoding="utf-8")
