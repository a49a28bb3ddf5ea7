"""Pictures of the dashboards from what a real Prometheus answered.

`python -m tests.tools.pictures RECORDED OUTPUT [NAME...]`.

There is no Grafana here. What is drawn are the dashboards' own queries, asked while a Prometheus scraped the demo
(tests/tools/demo_metrics.py keeps the answers in panels.json), in the places that the dashboards give them. The picture
says so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.support.dashboards import dashboards
from tests.tools.pictures.drawing import Box, heading, panel
from tests.tools.pictures.figures import Series, read

__all__ = ["picture"]

_UNIT_X, _UNIT_Y, _GAP = 50, 36, 6
#: Seconds before the end that still count as it.
_LATE: Final = 5.0
_FONT: Final = "-apple-system, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif"


def picture(dashboard: Mapping[str, Any], recorded: Sequence[Mapping[str, Any]], said: str) -> str:
    """The dashboard as SVG.

    Args:
        recorded: for each query, in their order: titles of dashboard and panel, and the series of query_range.
        said: what stands below, beside that it was not drawn by Grafana.
    """
    answers: dict[str, list[Sequence[Mapping[str, Any]]]] = {}
    for each in recorded:
        if each["dashboard"] == dashboard["title"]:
            answers.setdefault(each["panel"], []).append(each["series"])
    times = [float(s["values"][-1][0]) for each in recorded for s in each["series"] if s["values"]]
    top, end = 44, max(times, default=0.0)
    parts = [
        f'<text x="10" y="30" font-size="20" font-weight="600" fill="#1f2328">{dashboard["title"]}</text>'
    ]
    bottom = top
    for each in dashboard["panels"]:
        place = each["gridPos"]
        box = Box(
            place["x"] * _UNIT_X + _GAP,
            top + place["y"] * _UNIT_Y + _GAP / 2,
            place["w"] * _UNIT_X - _GAP,
            place["h"] * _UNIT_Y - _GAP,
        )
        bottom = max(bottom, int(box.y + box.height))
        if each["type"] == "row":
            parts.append(heading(box, each["title"]))
        else:
            parts.append(panel(box, each, _series(each, answers.get(each["title"], ()), end)))
    width, height = 24 * _UNIT_X + _GAP, bottom + 34
    words = f"Drawn by tests/tools/pictures from the dashboard's own queries, not by Grafana. {said}"
    parts.append(f'<text x="10" y="{height - 12}" font-size="11.5" fill="#59636e">{words}</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="{_FONT}" role="img" aria-label="{dashboard["title"]}">\n'
        f'<rect width="{width}" height="{height}" fill="#f6f8fa"/>\n{body}\n</svg>\n'
    )


def _series(
    each: Mapping[str, Any], answers: Sequence[Sequence[Mapping[str, Any]]], end: float
) -> list[list[Series]]:
    """By query. An instant query, which Grafana asks for the end of the time shown alone, has what was there then."""
    if not answers:
        return []
    found = [
        read(answer, target["legendFormat"]) for target, answer in zip(each["targets"], answers, strict=True)
    ]
    return [
        [one for one in series if not target["instant"] or one.points[-1][0] >= end - _LATE]
        for target, series in zip(each["targets"], found, strict=True)
    ]


def main(argv: Sequence[str]) -> int:
    recorded, output, names = Path(argv[0]), Path(argv[1]), argv[2:]
    answers = json.loads((recorded / "panels.json").read_text(encoding="utf-8"))
    said = f"Answers of a Prometheus that scraped the demo, facility {recorded.name}."
    output.mkdir(parents=True, exist_ok=True)
    made = dashboards()
    for name in names or made:
        text = picture(made[name], answers, said)
        (output / f"dashboard-{name}.svg").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
