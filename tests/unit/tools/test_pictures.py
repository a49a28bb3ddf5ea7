"""Pictures of dashboards: numbers as a panel shows them, and what is drawn of recorded answers."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support.dashboards import dashboards
from tests.tools.pictures.__main__ import picture
from tests.tools.pictures.figures import named, read, text, ticks


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "watt", "0 W"),
        (-625_600, "watt", "-626 kW"),
        (1_200_000, "watt", "1.2 MW"),
        (0.4444, "percentunit", "44.4 %"),
        (0.0123, "s", "12.3 ms"),
        (5_400, "s", "1.5 h"),
        (2.0, "cpm", "2 /min"),
        (12_345, "none", "12,345"),
    ],
)
def test_numbers_have_their_unit(value: float, unit: str, shown: str) -> None:
    assert text(value, unit) == shown


def test_ticks_are_round_and_enclose_the_values() -> None:
    assert ticks(0, 47) == [0, 20, 40, 60]
    assert ticks(-130, 90) == [-200, -100, 0, 100]
    assert ticks(0, 200, seconds=True) == [0, 60, 120, 180, 240]
    assert ticks(0, 172_800, seconds=True) == [0, 43_200, 86_400, 129_600, 172_800]
    assert ticks(3, 3)[0] <= 3 <= ticks(3, 3)[-1]


def test_names_of_series_are_those_of_the_legend() -> None:
    assert named("{{rack}}, {{ basis }}", {"rack": "r1", "basis": "peak"}) == "r1, peak"
    assert named("all", {}) == "all"
    answer: list[dict[str, Any]] = [
        {"metric": {"rack": "b"}, "values": [[1, "NaN"], [2, "5"]]},
        {"metric": {"rack": "a"}, "values": [[1, "+Inf"]]},
    ]
    (only,) = read(answer, "{{rack}}")
    assert (only.name, only.points) == ("b", [(2.0, 5.0)])


@pytest.mark.parametrize("name", sorted(dashboards()))
def test_every_panel_is_drawn_and_the_picture_says_by_whom(name: str) -> None:
    """Of answers that are made up: three series for each query, one with a gap."""
    dashboard = dashboards()[name]
    recorded = []
    for panel in dashboard["panels"]:
        for _ in panel.get("targets", ()):
            series = [
                {
                    "metric": {"le": str(10**k), "power_domain": f"<{k}>", "queue": f"q{k}"},
                    "values": [[at, str(k + at)] for at in range(60) if k or not 20 < at < 40],
                }
                for k in range(3)
            ]
            recorded.append({"dashboard": dashboard["title"], "panel": panel["title"], "series": series})
    root = ElementTree.fromstring(picture(dashboard, recorded, "Made up."))
    words = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert all(panel["title"] in words for panel in dashboard["panels"])
    assert "No data" not in words and words[-1].endswith("not by Grafana. Made up.")
    empty = ElementTree.fromstring(picture(dashboard, [], ""))
    without = [each.text for each in empty.iter("{http://www.w3.org/2000/svg}text")].count("No data")
    assert without == sum(panel["type"] != "row" for panel in dashboard["panels"])
