"""The chart's dashboards as files, and the query of every panel with its variables filled in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = ["DASHBOARDS", "PanelQuery", "dashboards", "filled", "panel_queries", "panels"]

DASHBOARDS: Final = Path(__file__).resolve().parents[2] / "charts" / "rackplane" / "files" / "dashboards"

#: Grafana's own variables.
_GLOBAL: Final = {"__rate_interval": "1m", "__interval": "15s", "__range": "1h"}


class PanelQuery(NamedTuple):
    """One query of one panel: titles, and PromQL that a Prometheus takes."""

    dashboard: str
    panel: str
    expression: str


def dashboards() -> dict[str, dict[str, Any]]:
    """By the name of their file, without its ending."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))
    }


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All that show something: without the rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def filled(
    expression: str, dashboard: Mapping[str, Any], values: Mapping[str, str], interval: str = "1m"
) -> str:
    """The expression with every variable replaced, the longest names first.

    Args:
        values: of the dashboard's variables; one that is not there stands for all its values.
        interval: `$__rate_interval`: four times that of scrapes at least.
    """
    names = {v["name"]: ".*" for v in dashboard["templating"]["list"] if v["type"] == "query"}
    known = {**_GLOBAL, "__rate_interval": interval, **names, **values}
    for name in sorted(known, key=len, reverse=True):
        expression = expression.replace(f"${name}", known[name])
    return expression


def panel_queries(values: Mapping[str, str] | None = None, interval: str = "1m") -> Iterator[PanelQuery]:
    """Every query of every panel; arguments as `filled` takes them.

    The dashboard of one gang needs ``values`` of ``namespace`` and ``gang``. Not every query has data at every time:
    what is of telemetry needs `telemetry.url`, what is of budgets one in force, counters of what was stopped a stop.
    """
    for dashboard in dashboards().values():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                text = filled(target["expr"], dashboard, values or {}, interval)
                yield PanelQuery(dashboard["title"], panel["title"], text)
