"""Panels, rows and variables as Grafana 11 stores them: only what the dashboards here use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = [
    "Dashboard",
    "Panel",
    "Query",
    "dashboard",
    "heatmap",
    "row",
    "stat",
    "table",
    "timeseries",
    "variable",
]

#: That of Grafana 11.0; later ones migrate it.
SCHEMA_VERSION: Final = 39
DATASOURCE: Final = {"type": "prometheus", "uid": "$datasource"}
GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"

Panel = dict[str, Any]
Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; the first from None."""

NEUTRAL: Final[Steps] = ((None, BLUE),)
BAD_ABOVE_0: Final[Steps] = ((None, GREEN), (1, RED))
BAD_BELOW_0: Final[Steps] = ((None, RED), (0, GREEN))
LOAD: Final[Steps] = ((None, GREEN), (0.9, ORANGE), (1, RED))
"""Of a limit: the last tenth, and above it."""


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str = "__auto"


@dataclass(frozen=True)
class Dashboard:
    name: str
    body: Mapping[str, Any]


@dataclass
class _Grid:
    """Panels in rows of 24 units."""

    x: int = 0
    y: int = 0
    height: int = 0
    panels: list[Panel] = field(default_factory=list)

    def put(self, panel: Panel) -> None:
        size = panel["gridPos"]
        if panel["type"] == "row" or self.x + size["w"] > 24:
            self.x, self.y, self.height = 0, self.y + self.height, 0
        self.panels.append({**panel, "gridPos": {**size, "x": self.x, "y": self.y}})
        self.x, self.height = self.x + size["w"], max(self.height, size["h"])


def dashboard(
    name: str,
    title: str,
    text: str,
    panels: Sequence[Panel],
    variables: Sequence[Panel] = (),
    span: str = "6h",
) -> Dashboard:
    """A dashboard with the variable ``$datasource`` and these.

    Args:
        name: of its file; its uid is this after "rackplane-".
        span: how far back it shows.
    """
    grid = _Grid()
    for panel in panels:
        grid.put(panel)
    source = {
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0,
    }  # fmt: skip
    links = {
        "title": "Rackplane", "type": "dashboards", "tags": ["rackplane"], "asDropdown": True,
        "includeVars": False, "keepTime": True,
    }  # fmt: skip
    return Dashboard(
        name,
        {
            "uid": f"rackplane-{name}",
            "title": f"Rackplane / {title}",
            "description": text,
            "tags": ["rackplane"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": f"now-{span}", "to": "now"},
            "timezone": "browser",
            "links": [links],
            "templating": {"list": [source, *variables]},
            "panels": grid.panels,
        },
    )


def variable(name: str, label: str, query: str, *, several: bool = True) -> Panel:
    """One whose values are those of a label."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": several,
        "includeAll": several,
        **({"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if several else {}),
    }


def row(title: str) -> Panel:
    return {"type": "row", "title": title, "collapsed": False, "gridPos": {"h": 1, "w": 24}, "panels": []}


def stat(
    title: str, text: str, expr: str, *, unit: str = "none", steps: Steps = NEUTRAL, width: int = 4,
    legend: str = "", decimals: int | None = None, words: Mapping[str, str] | None = None,
) -> Panel:  # fmt: skip
    """One number, or one for each series.

    Args:
        words: what is shown in place of values.
    """
    panel = _panel(
        "stat", title, text, [Query(expr, legend or "__auto")], unit, steps, width, 4, decimals, words
    )
    panel["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none" if words or legend else "area",
        # Of several series only those that there are now.
        "textMode": "value_and_name" if legend else "value",
        "justifyMode": "auto",
        "orientation": "auto",
    }
    if legend:
        panel["targets"][0].update(instant=True, range=False)
    return panel


def timeseries(
    title: str, text: str, queries: Sequence[Query], *, unit: str = "none", steps: Steps = NEUTRAL,
    width: int = 12, height: int = 8, stacked: bool = False, low: float | None = 0, line_at: bool = False,
) -> Panel:  # fmt: skip
    """Lines over time.

    Args:
        low: where the axis begins; None: where the values do.
        line_at: draw the steps as lines, where a limit has a fixed value.
    """
    panel = _panel("timeseries", title, text, queries, unit, steps, width, height, None, None)
    panel["fieldConfig"]["defaults"]["color"] = {"mode": "palette-classic"}
    if low is not None:
        panel["fieldConfig"]["defaults"]["min"] = low
    panel["fieldConfig"]["defaults"]["custom"] = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 20 if stacked else 0,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if line_at else "off"},
    }
    panel["options"] = {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel


def heatmap(title: str, text: str, expr: str, *, unit: str = "s", width: int = 12) -> Panel:
    """How often which value was observed, over time; of the rates of a histogram's buckets, by ``le``."""
    panel = _panel("heatmap", title, text, [Query(expr, "{{le}}")], unit, NEUTRAL, width, 8, None, None)
    panel["targets"][0]["format"] = "heatmap"
    panel["options"] = {
        "calculate": False,
        "yAxis": {"unit": unit},
        "color": {"mode": "scheme", "scheme": "Blues", "steps": 32},
        "cellGap": 1,
        "tooltip": {"mode": "single", "yHistogram": False},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
    }
    return panel


def table(
    title: str, text: str, by: Sequence[str], columns: Mapping[str, tuple[str, str, Steps]], *, width: int = 24,
    height: int = 7, sort: str = "",
) -> Panel:  # fmt: skip
    """A line for each value of the labels ``by``.

    Args:
        columns: by title: query, unit and steps of its colour.
        sort: the column by which lines are sorted, least first.
    """
    queries = [Query(expr) for expr, _, _ in columns.values()]
    panel = _panel("table", title, text, queries, "none", NEUTRAL, width, height, None, None)
    for target in panel["targets"]:
        target.update(format="table", instant=True, range=False)
    panel["transformations"] = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True},
                "indexByName": {
                    **{name: i for i, name in enumerate(by)},
                    **{f"Value #{t['refId']}": len(by) + i for i, t in enumerate(panel["targets"])},
                },
                "renameByName": {
                    **{name: name.replace("_", " ") for name in by},
                    **{f"Value #{t['refId']}": c for t, c in zip(panel["targets"], columns, strict=True)},
                },
            },
        },
    ]
    panel["fieldConfig"]["overrides"] = [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [
                {"id": "unit", "value": unit},
                {"id": "thresholds", "value": _thresholds(steps)},
                {"id": "custom.cellOptions", "value": {"type": "color-text"}},
            ],
        }
        for name, (_, unit, steps) in columns.items()
    ]
    panel["options"] = {
        "showHeader": True,
        "cellHeight": "sm",
        "sortBy": [{"displayName": sort, "desc": False}] if sort else [],
    }
    return panel


def _panel(
    kind: str, title: str, text: str, queries: Sequence[Query], unit: str, steps: Steps, width: int, height: int,
    decimals: int | None, words: Mapping[str, str] | None,
) -> Panel:  # fmt: skip
    defaults: dict[str, Any] = {
        "unit": unit,
        "color": {"mode": "thresholds"},
        "thresholds": _thresholds(steps),
        "mappings": [],
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    if words:
        defaults["mappings"] = [
            {"type": "value", "options": {value: {"text": word} for value, word in words.items()}}
        ]
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": DATASOURCE,
        "gridPos": {"h": height, "w": width},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "datasource": DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                "range": True,
                "instant": False,
            }
            for i, query in enumerate(queries)
        ],
    }


def _thresholds(steps: Steps) -> Panel:
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in steps]}
