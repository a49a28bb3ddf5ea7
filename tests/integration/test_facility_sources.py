"""Every source of facility events, from its own words to gangs that give way and get back what they gave."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.integration.test_any_cluster import GROUP, LIMIT_SECONDS, Body, Site, endless, operated
from tests.integration.test_any_cluster import pytestmark as pytestmark
from tests.integration.test_facility_events import GRID, TOKEN, Endpoint, ago, conditions, feeds

NAMES = ("one", "two")
CAP = "rackplane.dev/power-cap-watts"


class Plant:
    """A site with two full racks on two feeds, what speaks to its endpoint, and the Prometheus that it asks."""

    def __init__(self, site: Site, endpoint: Endpoint, up: dict[str, float]) -> None:
        self.site, self.endpoint, self.up = site, endpoint, up
        self.feed = ""
        now = datetime.now(UTC)
        #: start and end of what is ordered, and taken back
        self.hour = ((now - timedelta(seconds=5)).isoformat(), (now + timedelta(hours=1)).isoformat())
        self._told = 0

    def said(self) -> dict[str, Any]:
        """Identity and time of the next message."""
        self._told += 1
        return {"id": str(self._told), "at": ago(0)}

    async def post(self, path: str, body: object, token: str = TOKEN) -> Body:
        status, answer = await self.endpoint.post(path, body, token)
        assert (status, [r["result"] for r in answer["results"]]) == (200, ["taken"]), answer
        result: Body = answer["results"][0]
        return result

    async def gangs(self) -> list[Body]:
        return [(await self.site.get(self.site.gang(f"job-{name}"))).get("status", {}) for name in NAMES]

    async def cap(self, node: str, watts: str) -> None:
        """Until the node carries that cap."""
        await self.site.until(
            f"/api/v1/nodes/{node}", lambda n: n["metadata"]["annotations"].get(CAP) == watts
        )

    async def until(self, holds: Callable[[list[Body]], bool]) -> list[Body]:
        end = time.monotonic() + LIMIT_SECONDS
        while not holds(found := await self.gangs()):
            assert time.monotonic() < end, [(g.get("phase"), g.get("message"), g.get("shed")) for g in found]
            await asyncio.sleep(0.05)
        return found


def full(gangs: list[Body]) -> bool:
    return all(
        (g.get("phase"), g.get("powerProfile"), g.get("shed")) == ("Running", "MaxP", None) for g in gangs
    )


def capped(gangs: list[Body]) -> int:
    """How many run at a lower profile because they gave way."""
    return sum(g.get("powerProfile") == "MaxQ" and g.get("shed", {}).get("action") == "Cap" for g in gangs)


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tokens / "bms").write_text(TOKEN)
    (tokens / "grid").write_text(GRID)
    up: dict[str, float] = {}

    async def answered(request: web.Request) -> web.Response:
        query = str((await request.post())["query"])
        result = [
            {"metric": {"power_domain": name}, "value": [time.time(), str(value)]}
            for name, value in up.items()
        ]
        data = {"resultType": "vector", "result": result if query == "feeds_up" else []}
        return web.json_response({"status": "success", "data": data})

    app = web.Application()
    app.router.add_post("/api/v1/query", answered)
    async with TestServer(app) as prometheus, aiohttp.ClientSession() as session:
        settings = {
            "reports_tokens": str(tokens),
            "reports_port": 0,
            "restore_seconds": 1.0,
            "actuation_seconds": 60.0,
            "telemetry_url": str(prometheus.make_url("/")),
            "telemetry_state_query": "feeds_up",
            "telemetry_seconds": 0.2,
        }
        async with operated(tmp_path, **settings) as site:
            assert site.operator is not None
            await site.operator.ready.wait()
            plant = Plant(site, Endpoint(session, site.operator.reports_port), up)
            plant.feed, _ = await feeds(site)
            for name in NAMES:
                job = endless(site.job(name, slots=4, backoffLimit=6))
                job["metadata"]["annotations"]["rackplane.dev/disruption"] = "Sheddable"
                await site.create(site.jobs, job)
                await site.until(site.gang(f"job-{name}"), lambda g: "status" in g)
            await plant.until(full)
            yield plant


# -- a feed is lost, and comes back --------------------------------------------------------------------------


async def by_a_person(plant: Plant, *, lost: bool) -> None:
    state = "Offline" if lost else "Online"
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        await plant.site.patch(f"{GROUP}/powerdomains/{plant.feed}", {"spec": {"state": state}})
        return
    patch = [
        "patch",
        "powerdomain",
        plant.feed,
        "--type",
        "merge",
        "-p",
        f'{{"spec": {{"state": "{state}"}}}}',
    ]
    process = await asyncio.create_subprocess_exec(
        kubectl, "--kubeconfig", plant.site.kubeconfig, *patch, stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


async def by_the_bms(plant: Plant, *, lost: bool) -> None:
    state = {"kind": "PowerDomain", "name": plant.feed, "state": "Offline" if lost else "Online"}
    await plant.post("/v1/reports", {**plant.said(), **state})


async def by_redfish(plant: Plant, *, lost: bool) -> None:
    said = plant.said()
    event = {
        "EventId": said["id"],
        "EventTimestamp": said["at"],
        "MessageId": f"Power.1.0.1.Breaker{'Tripped' if lost else 'Reset'}",
        "OriginOfCondition": {"@odata.id": f"/redfish/v1/PowerEquipment/FloorPDUs/{plant.feed}"},
    }
    await plant.post(
        "/v1/redfish", {"@odata.type": "#Event.v1_7_0.Event", "Id": "1", "Name": "E", "Events": [event]}
    )


async def by_dsx(plant: Plant, *, lost: bool) -> None:
    payload = {"value": 0 if lost else 1, "timestamp": round(time.time() * 1000), "quality": 1}
    await plant.post(
        "/v1/dsx/bms", {"topic": f"BMS/v1/PUB/Value/UPS/Available/hall/{plant.feed}", "payload": payload}
    )


async def by_telemetry(plant: Plant, *, lost: bool) -> None:
    plant.up[plant.feed] = 0.0 if lost else 1.0


Says = Callable[..., Awaitable[None]]


@pytest.mark.parametrize(
    ("says", "source"),
    [
        (by_a_person, ""),
        (by_the_bms, "bms"),
        (by_redfish, "bms"),
        (by_dsx, "bms"),
        (by_telemetry, "telemetry"),
    ],
)
async def test_a_lost_feed_caps_a_gang_that_gets_its_power_back_with_the_feed(
    plant: Plant, says: Says, source: str
) -> None:
    site, path = plant.site, f"{GROUP}/powerdomains/{plant.feed}"
    await says(plant, lost=True)
    gangs = await plant.until(lambda g: capped(g) == 1)
    why = next(g["shed"]["why"] for g in gangs if g.get("shed"))
    assert why == f"power domain {site.word}-feed-b carries 52.8 kW of 50.0 kW (2.8 kW over)"
    element = await site.until(path, lambda d: d.get("status", {}).get("usableWatts") == 0)
    assert {r["source"] for r in element["status"].get("reports", ())} == ({source} if source else set())
    assert element["spec"].get("state", "Online") == ("Online" if source else "Offline")
    # What was given is what the nodes carry, and the watts that are booked.
    lower = next(g for g in gangs if g.get("shed"))
    assert lower["reservedNominalWatts"] == 4 * 4_000
    for node in lower["assignment"][0]["nodes"]:
        await plant.cap(node, "5000")
    await says(plant, lost=False)
    gangs = await plant.until(full)
    assert {g["reservedNominalWatts"] for g in gangs} == {4 * 5_600}


# -- the grid orders less, and takes that back ---------------------------------------------------------------


async def ordered_by_bms(plant: Plant, watts: int | None, *, best_effort: bool) -> Body:
    start, end = plant.hour
    order = {
        "limitWatts": watts,
        "feedTags": [plant.feed],
        "start": start,
        "end": end,
        "bestEffort": best_effort,
    }
    return await plant.post(
        "/v1/reports", {"orders": [{**plant.said(), **order, "correlationId": "peak"}]}, GRID
    )


async def ordered_by_dps(plant: Plant, watts: int | None, *, best_effort: bool) -> Body:
    start, end = plant.hour
    limit = {"default": True} if watts is None else {"value": watts / 1000, "unit": "kilowatt"}
    more = {"start_time": start, "end_time": end, "feed_tags": [plant.feed], "correlation_id": "peak"}
    return await plant.post("/v1/dps", {**plant.said(), **limit, **more, "best_effort": best_effort}, GRID)


async def ordered_by_dsx(plant: Plant, watts: int | None, *, best_effort: bool) -> Body:
    start, end = plant.hour
    said = plant.said()
    target = {
        "interval": {"start_time": start, "end_time": end},
        "feed_tags": [plant.feed],
        "load_constraint": None if watts is None else {"value": watts / 1000, "unit": "kilowatt"},
        "strategy": {"best_effort": best_effort},
    }
    event = {
        "specversion": "1.0.2",
        "id": said["id"],
        "source": "//grid/v1/isv/acme",
        "type": "grid.loadtarget.set.v1",
        "time": said["at"],
        "correlationid": "peak",
        "data": {"targets": [target]},
    }
    return await plant.post("/v1/dsx/flex", event, GRID)


Orders = Callable[..., Awaitable[Body]]
ORDERED = pytest.mark.parametrize("order", [ordered_by_bms, ordered_by_dps, ordered_by_dsx])


async def taken(plant: Plant, order: Orders, watts: int | None, *, best_effort: bool = False) -> str:
    """The path of the budget that the order has become."""
    end = time.monotonic() + LIMIT_SECONDS
    while True:  # the operator may not have seen the feed's tag yet
        try:
            result = await order(plant, watts, best_effort=best_effort)
            break
        except AssertionError:
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
    path = f"{GROUP}/powerbudgets/{result['object'].removeprefix('PowerBudget/')}"
    if path not in plant.site.made:
        plant.site.made.append(path)
    return path


@ORDERED
async def test_an_order_caps_a_gang_until_it_is_taken_back(plant: Plant, order: Orders) -> None:
    # A feed carries 26.4 kW with both at MaxP, 23.2 kW with one capped.
    path = await taken(plant, order, 25_000)
    await plant.until(lambda g: capped(g) == 1)
    budget = await plant.site.until(path, lambda b: conditions(b).get("Exceeded") == ("False", "WithinLimit"))
    assert (budget["spec"]["limitWatts"], budget["spec"]["correlationId"]) == (25_000, "peak")
    await taken(plant, order, None)
    await plant.until(full)


async def test_an_order_that_caps_do_not_meet_stops_a_gang_which_runs_again_when_it_is_over(
    plant: Plant,
) -> None:
    path = await taken(plant, ordered_by_dps, 18_000)  # 20 kW with both capped; 15.2 kW with one gang at MaxP
    gangs = await plant.until(lambda g: any(s.get("phase") == "Pending" for s in g))
    assert sum(g["phase"] == "Pending" for g in gangs) == 1
    stopped = NAMES[next(i for i, g in enumerate(gangs) if g["phase"] == "Pending")]
    job = await plant.site.get(f"{plant.site.jobs}/{stopped}")
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["annotations"]["rackplane.dev/suspended-by"] == "rackplane"
    await plant.site.until(path, lambda b: conditions(b).get("Exceeded") == ("False", "WithinLimit"))
    await taken(plant, ordered_by_dps, None)
    await plant.until(full)
    job = await plant.site.get(f"{plant.site.jobs}/{stopped}")
    assert job["status"].get("failed", 0) == 0


async def test_a_best_effort_order_that_caps_do_not_meet_stops_nobody_and_says_so(plant: Plant) -> None:
    path = await taken(plant, ordered_by_dsx, 18_000, best_effort=True)
    await plant.until(lambda g: capped(g) == 2)
    budget = await plant.site.until(
        path,
        lambda b: any(
            c["type"] == "Exceeded" and c["message"].startswith("20 kW of 18 kW")
            for c in b.get("status", {}).get("conditions", ())
        ),
    )
    [exceeded] = [c for c in budget["status"]["conditions"] if c["type"] == "Exceeded"]
    assert (exceeded["status"], exceeded["reason"], exceeded["message"]) == (
        "True",
        "AboveLimit",
        "20 kW of 18 kW (2 kW over) by the books: what would add to it waits (order peak, best effort)",
    )
    assert {g["phase"] for g in await plant.gangs()} == {"Running"}
    await taken(plant, ordered_by_dsx, None, best_effort=True)
    await plant.until(full)
