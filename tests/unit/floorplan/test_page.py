"""The page's files: small, without anything from elsewhere, and legible in both themes."""

from __future__ import annotations

import json
import re

import pytest

from rackplane.floorplan import model as m
from rackplane.floorplan.page import ASSETS, asset, standalone
from tests.support.floors import campus

CSS = asset("floorplan.css")
PAIR = re.compile(r"--([\w-]+): light-dark\((#\w+), (#\w+)\);")
COLOURS = {name: (light, dark) for name, light, dark in PAIR.findall(CSS)}


def test_all_of_it_is_below_150_kilobytes() -> None:
    assert sum(len(asset(name).encode()) for name in ASSETS) < 150_000


def test_nothing_comes_from_elsewhere() -> None:
    for name in ASSETS:
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", asset(name)))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name
    linked = re.findall(r'(?:src|href)="([^"#]+)"', asset("index.html"))
    assert set(linked) == {*ASSETS, "data:,"} - {"index.html"}


def test_text_from_users_is_never_parsed_as_html() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(\"style"
    )
    for name in ASSETS:
        assert not forbidden.search(asset(name)), name
    # A policy without unsafe-inline leaves no other way in.
    assert not re.search(r"<style|<script>|\son\w+=|style=", asset("index.html"))


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """WCAG 2.2's ratio of relative luminances."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


TEXT = [
    *((f"{scale}{step}-t", f"{scale}{step}") for scale in "gl" for step in range(7)),
    *((text, ground) for text in ("ink", "muted", "alarm") for ground in ("panel", "raised", "page")),
    *(("good", "panel"), ("on-accent", "accent"), ("panel", "ink")),
]


@pytest.mark.parametrize(("text", "ground"), TEXT)
def test_text_stands_out_from_its_ground(text: str, ground: str) -> None:
    for theme in (0, 1):
        assert contrast(COLOURS[text][theme], COLOURS[ground][theme]) >= 4.5, ("light", "dark")[theme]


@pytest.mark.parametrize(
    ("shape", "ground"),
    [
        *((f"bar-{step}", "track") for step in ("g", "low", "mid", "high", "over")),
        *(("edge", "panel"), ("accent", "panel")),
    ],
)
def test_shapes_that_mean_something_stand_out_too(shape: str, ground: str) -> None:
    for theme in (0, 1):
        assert contrast(COLOURS[shape][theme], COLOURS[ground][theme]) >= 3, ("light", "dark")[theme]


def test_a_recording_is_one_file_whose_policy_lets_in_its_own_script_alone() -> None:
    layout, frame = campus(1)
    later = m.Frame(at=frame.at + 10, layout=layout.id, racks=frame.racks)
    page = standalone([layout], [frame, later], title="two </script><script>alert(1)</script> moments")
    assert not re.search(r'<(?:script|link)[^>]+(?:src|href)="(?!data:)', page)
    assert "script-src 'sha256-" in page and "unsafe-inline" not in page
    assert page.count("</script>") == 2
    found = re.search(r'<script type="application/json" id="recording">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    recording = json.loads(found[1])
    assert recording["title"] == "two </script><script>alert(1)</script> moments"
    assert [delta["at"] for delta in recording["deltas"]] == [later.at]
    assert recording["deltas"][0]["gangs"] == dict.fromkeys(frame.gangs)


def test_a_recording_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="there are no frames to show"):
        standalone([], [])
