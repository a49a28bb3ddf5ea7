"""The floor plan in a real browser: what it shows, what changes, who can use it. Needs Chromium."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from rackplane.controller.floorplan.server import FloorPlanServer
from rackplane.controller.floorplan.watch import FloorPlanWatch
from rackplane.core import events as e
from rackplane.core.machine import Machine
from rackplane.core.offline.snapshot import snapshot
from rackplane.floorplan.page import standalone
from tests.support.browser import CHROMIUM, Page, browser
from tests.support.floors import campus
from tests.unit.cli.hall import HALL, gang

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="there is no chromium on the PATH (Debian: apt-get install chromium)"
    ),
    pytest.mark.asyncio(loop_scope="module"),
]

NOW = 1_790_000_000.0
#: What a user may call things, and what must not happen then.
NASTY = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


class Live:
    """A served floor plan that takes a frame when it is told to."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.now = machine, NOW
        self.watch = FloorPlanWatch(machine, wall=lambda: self.now)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ui/"

    async def take(self, *events: e.Event) -> None:
        self.now += 60
        self.machine.handle(self.now, *events)
        await self.watch.take()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        async with FloorPlanServer(self.watch, host="127.0.0.1", port=self.port) as server:
            self.port = server.port
            yield


def waiting(name: str, message: str) -> dict[str, Any]:
    return {**gang(name), "status": {"phase": "Pending", "position": 1, "message": message}}


def element(name: str, **spec: Any) -> e.Event:
    [body] = [b for b in HALL if b["metadata"]["name"] == name]
    return e.FacilityChanged("PowerDomain", name, {**body, "spec": {**body["spec"], **spec}})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Page]:
    async with browser() as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Page) -> AsyncIterator[Page]:
    """The one tab, whose console stays silent."""
    chromium.errors.clear()
    yield chromium
    assert chromium.errors == []


@pytest_asyncio.fixture(loop_scope="module")
async def live(page: Page) -> AsyncIterator[Live]:
    machine = snapshot(
        [*HALL, gang("a", "r1-01", "r1-02", "r1-03"), waiting("big", f"needs {NASTY} nodes")], NOW
    )
    found = Live(machine)
    await found.watch.take()
    async with found.served():
        await page.open(found.url, still=True)
        await page.until(_label("r1"))
        yield found
        await page.open("about:blank")


def _label(rack: str) -> str:
    return f"document.querySelector('[data-rack={rack}]').ariaLabel"


def _text(selector: str) -> str:
    return f"document.querySelector({selector!r}).textContent"


def _has(selector: str, words: str) -> str:
    return f"{_text(selector)}.includes({words!r})"


async def test_racks_their_figures_and_who_waits_for_what(page: Page, live: Live) -> None:
    assert await page.evaluate(_label("r1")) == "r1: GPUs 75 %, 12 of 16 GPUs, 33 of 50 kW"
    assert await page.evaluate(_text("[data-rack=r1] .value")) == "75 %"
    assert await page.evaluate(_has("#totals", "12 / 48"))
    assert await page.evaluate("document.querySelectorAll('.node').length") == 9
    assert (
        await page.evaluate("document.querySelector('[data-node=ups-a]').ariaLabel")
        == "ups-a, UPS: 19.5 of 100 kW, losing ups-b: power domain ups-a 39 of 100 kW"
    )
    await page.until(_has("#state", "live, from a standby"))


async def test_the_fullest_element_is_one_that_feeds_racks_unless_another_is_over_its_limit(
    page: Page, live: Live
) -> None:
    def plant(watts: int) -> e.Event:
        spec = {"type": "Switchgear", "ratedWatts": 10_000, "baseLoadWatts": watts}
        meta = {"name": "plant", "generation": 1, "uid": "plant"}
        body = {"apiVersion": "rackplane.dev/v1alpha1", "kind": "PowerDomain", "metadata": meta, "spec": spec}
        return e.FacilityChanged("PowerDomain", "plant", body)

    await live.take(plant(10_000))
    await page.until("document.querySelector('[data-node=plant]')")
    assert await page.evaluate(_text("#totals div:nth-child(3) dd")) == "42 %"
    assert not await page.evaluate(_has("#totals", "plant"))
    # More than it is rated for: bad input, and so it can carry nothing.
    await live.take(plant(11_000))
    await page.until(_has("#totals", "plant, fullest now"))
    assert await page.evaluate(_text("#totals div:nth-child(3) dd")) == "▲ no capacity"


async def test_what_users_write_stays_text(page: Page, live: Live) -> None:
    assert await page.evaluate(_text("#queue-list .why")) == f"needs {NASTY} nodes"
    assert await page.evaluate("[document.images.length, document.title]") == [0, "Rackplane floor plan"]


async def test_a_change_appears_by_itself_and_is_said_aloud(page: Page, live: Live) -> None:
    await page.evaluate("document.querySelector('#measures [value=power]').click()")
    await live.take(element("ups-a", state="Offline"), e.GangDeleted("default", "job-big"))
    await page.until("document.querySelector('[data-node=ups-a]').classList.contains('out')")
    assert await page.evaluate(_has("#totals", "out of service"))
    assert await page.evaluate(_text("#announce")) == "ups-a is out of service"
    assert await page.evaluate(_text("#queue-list")) == "Nobody waits."


async def test_back_to_an_earlier_moment_and_on_again(page: Page, live: Live) -> None:
    await live.take(element("ups-a", state="Offline"))
    out = "document.querySelector('[data-node=ups-a]').classList.contains('out')"
    await page.until(out)
    seek = "(i => {const t = byId('time'); t.value = i; t.dispatchEvent(new Event('input'))})"
    await page.evaluate(f"{seek}(0)")
    await page.until(f"!{out}")
    # What happens meanwhile does not take the reader away from there.
    await live.take()
    await page.until("byId('time').max === '2'")
    assert await page.evaluate(f"!{out} && byId('live').getAttribute('aria-pressed') === 'false'")
    await page.evaluate("byId('live').click()")
    await page.until(out)


async def test_a_lost_connection_is_said_and_mended(page: Page, live: Live) -> None:
    # A server of its own, which can go away.
    other = Live(live.machine)
    await other.watch.take()
    async with other.served():
        await page.open(other.url, still=True)
        await page.until(_has("#state", "live"))
    await page.until("byId('state').dataset.kind === 'lost'")
    await other.take(element("ups-b", state="Offline"))
    async with other.served():
        await page.until("byId('state').dataset.kind === 'live'")
        await page.until("document.querySelector('[data-node=ups-b]').classList.contains('out')")
        await page.open("about:blank")
    # That nobody answered is what the console was told.
    assert {"ERR_" in error or "/events" in error for error in page.errors} <= {True}
    page.errors.clear()


async def test_everything_with_the_keyboard(page: Page, live: Live) -> None:
    focus = "document.activeElement.dataset.rack ?? document.activeElement.dataset.node ?? document.activeElement.id"
    await page.evaluate("document.querySelector('#as-table').focus()")
    await page.key("Tab")
    if await page.evaluate("document.activeElement.id") == "halls":
        await page.key("Tab")
    walked = [await page.evaluate(focus)]
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft"):
        await page.key(key)
        walked.append(await page.evaluate(focus))
    assert walked == ["r1", "r2", "r3", "r2"]
    assert await page.evaluate("!byId('tip').hidden && byId('tip').textContent.startsWith('r2')")
    await page.key("ArrowLeft")
    await page.key("Enter")
    assert await page.evaluate(_has("#detail-body", "Rack r1"))
    assert await page.evaluate("document.querySelector('[data-rack=r1]').ariaPressed") == "true"
    # On to the power path, and into it.
    await page.key("Tab")
    await page.key("Tab")
    while await page.evaluate("!document.activeElement.dataset.node"):
        await page.key("Tab")
    await page.key("ArrowDown")
    await page.key("Enter")
    assert await page.evaluate(
        "byId('detail-body').querySelector('h3').textContent.endsWith(document.activeElement.dataset.node)"
    )
    await page.key("Escape")
    await page.key("Escape")
    assert await page.evaluate(_has("#detail-body", "Choose a rack"))


async def test_the_gangs_on_a_rack_and_the_racks_of_a_gang(page: Page, live: Live) -> None:
    await page.evaluate("document.querySelector('[data-rack=r1]').click()")
    await page.evaluate("document.querySelector('#detail-body .gangs button').click()")
    assert await page.evaluate(_has("#detail-body", "Gang default/job-a"))
    assert await page.evaluate("[...document.querySelectorAll('.tile.lit')].map(t => t.dataset.rack)") == [
        "r1"
    ]


async def test_the_same_as_tables(page: Page, live: Live) -> None:
    await page.evaluate("byId('as-table').click()")
    first = "[...document.querySelector('#rack-table tbody tr').cells].slice(0, 6)"
    assert await page.evaluate(f"{first}.map(c => c.textContent)") == [
        "r1",
        "h1",
        "on ups-a, ups-b",
        "12",
        "16",
        "33",
    ]
    assert await page.evaluate("document.querySelectorAll('#power-table table').length") == 2
    assert await page.evaluate("byId('halls').hidden && byId('graph').hidden")


async def test_everything_that_acts_has_a_name(page: Page, live: Live) -> None:
    tree = await page.command("Accessibility.getFullAXTree")
    roles = {"button", "checkbox", "radio", "combobox", "slider", "searchbox", "MenuListPopup"}
    found = [n for n in tree["nodes"] if n.get("role", {}).get("value") in roles and not n["ignored"]]
    names = {n["role"]["value"]: set() for n in found}  # type: dict[str, set[str]]
    for node in found:
        names[node["role"]["value"]].add(node.get("name", {}).get("value", ""))
    assert (
        "" not in names["button"] | names["radio"] | names["checkbox"] | names["slider"] | names["searchbox"]
    )
    assert names["radio"] == {"GPUs", "Power", "Heat", "Worst loss"} and names["slider"] == {"Time"}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_both_themes_and_a_narrow_window_hold_everything(page: Page, live: Live, dark: bool) -> None:
    await page.open(live.url, width=360, height=740, dark=dark, still=True)
    await page.until(_label("r1"))
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(12, 17, 22)" if dark else "rgb(238, 241, 244)")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # The switch wins over the system.
    await page.evaluate(
        f"byId('theme').value = '{'light' if dark else 'dark'}'; byId('theme').dispatchEvent(new Event('change'))"
    )
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    await page.evaluate("localStorage.clear()")


async def test_a_recording_opens_from_a_disk_and_is_gone_through(page: Page, tmp_path: Path) -> None:
    layout, first = campus(1)
    frames = [first, *(msgspec.structs.replace(campus(1, busy=n)[1], at=first.at + 60 * n) for n in (1, 2))]
    file = tmp_path / "floor.html"
    file.write_text(standalone([layout], frames, title=NASTY), encoding="utf-8")
    await page.open(file.as_uri(), still=True)
    await page.until(_label("h1-ab-1"))
    assert await page.evaluate(_text("#state")) == f"recorded: {NASTY}"
    shown = await page.evaluate(_label("h1-ab-1"))
    await page.evaluate("byId('play').click()")
    await page.until(f"{_label('h1-ab-1')} !== {shown!r}")
    await page.until("byId('time').value === '2' && byId('play').textContent === 'Play'")
    await page.until(f"{_label('h1-ab-1')} === {shown!r}")


async def test_a_campus_of_1056_racks(page: Page, tmp_path: Path) -> None:
    layout, frame = campus()
    file = tmp_path / "campus.html"
    file.write_text(standalone([layout], [frame]), encoding="utf-8")
    await page.open(file.as_uri(), still=True)
    await page.until("document.querySelectorAll('.tile[data-step]').length === 1056")
    assert await page.evaluate("document.querySelectorAll('.hall').length") == 22
    # Of the power path one hall is drawn, and any other when it is asked for.
    assert await page.evaluate("document.querySelectorAll('.node').length") == 1 + 4 + 12 + 6
    await page.evaluate(
        "byId('power-of').value = 'hall 7'; byId('power-of').dispatchEvent(new Event('change'))"
    )
    assert await page.evaluate("!!document.querySelector('[data-node=h7-ups-a]')")
    await page.evaluate("byId('find').value = 'h22-cd-8'; byId('find').dispatchEvent(new Event('input'))")
    assert await page.evaluate("document.querySelectorAll('.tile.lit').length") == 1
