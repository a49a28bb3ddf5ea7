"""The pages of the simulator in a real browser: who points at a moment sees it on every plot. Needs Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from rackplane.simulator.report.comparing import compare
from rackplane.simulator.report.comparisonpage import comparison_page
from rackplane.simulator.report.page import report
from tests.support.browser import CHROMIUM, Page, browser
from tests.unit.simulator.run_data import made

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="there is no chromium on the PATH (Debian: apt-get install chromium)"
    ),
    pytest.mark.asyncio(loop_scope="module"),
]

LONG = "a-run-with-a-name-that-is-longer-than-any-window-of-a-telephone-is-wide"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Page]:
    async with browser() as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Page, tmp_path: Path) -> AsyncIterator[Page]:
    """The report from a disk, whose console stays silent: nothing is asked for, and the policy lets all of it in."""
    file = tmp_path / "report.html"
    file.write_text(report(made()), encoding="utf-8")
    chromium.errors.clear()
    await chromium.open(file.as_uri(), still=True)
    yield chromium
    assert chromium.errors == []


def _plot(chart: str) -> str:
    return f"document.querySelector('[data-chart={chart}]')"


def _said(chart: str) -> str:
    return f"[...document.querySelectorAll('#{chart} output')].map(o => o.textContent)"


async def test_pointing_at_a_moment_says_it_on_every_plot(page: Page) -> None:
    assert await page.evaluate(_said("occupancy")) == ["mean 24 GPUs", "48 GPUs"]
    height = await page.evaluate("document.documentElement.scrollHeight")
    await page.evaluate(f"{_plot('occupancy')}.scrollIntoView({{block: 'center'}})")
    await page.hover("[data-chart=occupancy] svg svg")
    assert await page.evaluate(_said("occupancy")) == ["32 GPUs", "48 GPUs"]
    assert await page.evaluate(_said("headroom")) == ["-1 kW"]
    assert (
        await page.evaluate("document.querySelector('#headroom .moment').textContent")
        == "day 0.33, 1970-01-01 08:00 UTC"
    )
    # Nothing moves meanwhile.
    assert await page.evaluate("document.documentElement.scrollHeight") == height


async def test_plots_are_gone_through_with_the_keyboard_and_read_aloud(page: Page) -> None:
    await page.evaluate(f"{_plot('watts')}.focus()")
    for key in ("ArrowRight", "ArrowRight"):
        await page.key(key)
    assert await page.evaluate(f"{_plot('watts')}.ariaValueText") == (
        "day 0.33, 1970-01-01 08:00 UTC: reserved 90 kW, all nodes at full power 126 kW"
    )
    tree = await page.command("Accessibility.getFullAXTree")
    sliders = [n for n in tree["nodes"] if n.get("role", {}).get("value") == "slider" and not n["ignored"]]
    assert len(sliders) == 8 and all(n["name"]["value"] for n in sliders)
    await page.key("Escape")
    assert await page.evaluate(_said("watts")) == ["mean 72 kW", "126 kW"]


async def test_the_figures_of_a_plot_as_a_table(page: Page) -> None:
    await page.evaluate("document.querySelector('#occupancy details').open = true")
    await page.until("document.querySelector('#occupancy table') !== null")
    rows = "[...document.querySelectorAll('#occupancy tr')].map(r => [...r.cells].map(c => c.textContent))"
    assert await page.evaluate(rows) == [
        ["from", "held, mean, GPUs", "held, least, GPUs", "held, most, GPUs", "all GPUs, GPUs"],
        ["day 0, 1970-01-01 00:00 UTC", "24", "0", "48", "48"],
        ["day 0.33, 1970-01-01 08:00 UTC", "32", "16", "48", "48"],
        ["day 0.67, 1970-01-01 16:00 UTC", "16", "0", "16", "48"],
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_both_themes_and_a_narrow_window_hold_everything(
    page: Page, tmp_path: Path, dark: bool
) -> None:
    compared = tmp_path / "compared.html"
    compared.write_text(comparison_page(compare([made("a"), made(LONG)])), encoding="utf-8")
    for file in (tmp_path / "report.html", compared):
        await page.open(file.as_uri(), width=360, height=740, dark=dark, still=True)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), file.name
        ground = "getComputedStyle(document.body).backgroundColor"
        assert await page.evaluate(ground) == ("rgb(12, 17, 22)" if dark else "rgb(243, 245, 247)")
    other = "light" if dark else "dark"
    await page.evaluate(f"theme.value = '{other}', theme.dispatchEvent(new Event('change'))")
    assert await page.evaluate(ground) == ("rgb(243, 245, 247)" if dark else "rgb(12, 17, 22)")
