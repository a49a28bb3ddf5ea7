"""Facility events over HTTP, to the real operator: what is taken, what follows from it, and what is refused and why."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.test_any_cluster import GROUP, Site, endless, operated
from tests.integration.test_any_cluster import pytestmark as pytestmark

TOKEN = "0123456789abcdef-bms"
GRID = "0123456789abcdef-grid"


class Endpoint:
    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session, self.port = session, port

    async def post(self, path: str, body: object, token: str = TOKEN) -> tuple[int, dict[str, Any]]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.post(url, data=data, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tokens / "bms").write_text(f"{TOKEN}\n")
    (tokens / "grid").write_text(GRID)
    (tokens / "weak").write_text("short")
    async with operated(
        tmp_path, reports_tokens=str(tokens), reports_port=0, restore_seconds=1.0, actuation_seconds=60.0
    ) as site:
        yield site


@pytest.fixture
async def endpoint(site: Site) -> AsyncIterator[Endpoint]:
    assert site.operator is not None
    await site.operator.ready.wait()
    async with aiohttp.ClientSession() as session:
        yield Endpoint(session, site.operator.reports_port)


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


async def feeds(site: Site) -> tuple[str, str]:
    """Both racks on two feeds of 50 kW, half each: one alone carries one full rack at most, the other one capped."""
    names = (f"{site.word}-feed-a", f"{site.word}-feed-b")
    for name in names:
        await site.facility(
            "powerdomains", name, type="UPS", ratedWatts=50_000, feedTag=name,
            parents=[{"powerDomain": site.word, "weight": 1}],
        )  # fmt: skip
    both = [{"powerDomain": name, "weight": 1} for name in names]
    profiles = [
        {"name": "MaxP", "nodeWatts": 6_600, "relativePerformancePercent": 100},
        {"name": "MaxQ", "nodeWatts": 5_000, "relativePerformancePercent": 80},
    ]
    await site.patch(f"{GROUP}/hardwareprofiles/{site.word}", {"spec": {"powerProfiles": profiles}})
    for rack in "ab":
        await site.patch(f"{GROUP}/racks/{site.word}-{rack}", {"spec": {"feeds": both}})
    return names


def conditions(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in found.get("status", {}).get("conditions", ())}


async def test_a_feed_that_the_bms_reports_lost_caps_gangs_until_it_reports_it_back(
    site: Site, endpoint: Endpoint
) -> None:
    lost, _ = await feeds(site)
    for name in ("one", "two"):
        body = endless(site.job(name, slots=4))
        body["metadata"]["annotations"]["rackplane.dev/disruption"] = "Sheddable"
        await site.create(site.jobs, body)
    for name in ("one", "two"):
        await site.until(site.gang(f"job-{name}"), lambda g: g.get("status", {}).get("phase") == "Running")
    report = {
        "id": "1",
        "at": ago(5),
        "kind": "PowerDomain",
        "name": lost,
        "state": "Offline",
        "message": "Q1 open",
    }
    status, answer = await endpoint.post("/v1/reports", report)
    assert (status, answer) == (
        200,
        {
            "results": [
                {"where": "reports[0]", "object": f"PowerDomain/{lost}", "what": "State", "result": "taken"}
            ]
        },
    )

    async def capped() -> list[str]:
        gangs = [(await site.get(site.gang(f"job-{name}")))["status"] for name in ("one", "two")]
        return [g["powerProfile"] for g in gangs if g.get("shed", {}).get("action") == "Cap"]

    end = time.monotonic() + 30
    while not (found := await capped()):
        assert time.monotonic() < end, "nobody gives way"
        await asyncio.sleep(0.05)
    assert set(found) == {"MaxQ"}
    element = await site.until(
        f"{GROUP}/powerdomains/{lost}", lambda d: conditions(d).get("Reported") == ("True", "OutOfService")
    )
    assert element["spec"].get("state", "Online") == "Online", "what people say is theirs"
    message = next(c["message"] for c in element["status"]["conditions"] if c["type"] == "Reported")
    assert message.startswith("bms says since ")
    assert message.endswith(": Offline (Q1 open)")
    assert element["status"]["usableWatts"] == 0
    # The same once more, and an older word that was long under way.
    assert (await endpoint.post("/v1/reports", report))[1]["results"][0]["result"] == "repeated"
    late = {**report, "id": "0", "at": ago(60), "state": "Online"}
    assert (await endpoint.post("/v1/reports", late))[1]["results"][0]["result"] == "outdated"
    assert (await site.get(f"{GROUP}/powerdomains/{lost}"))["status"]["reports"] == element["status"][
        "reports"
    ]
    status, _ = await endpoint.post("/v1/reports", {**report, "id": "2", "at": ago(1), "state": "Online"})
    assert status == 200
    end = time.monotonic() + 30
    while await capped():
        assert time.monotonic() < end, "the cap is not lifted"
        await asyncio.sleep(0.05)


async def test_an_order_of_the_grid_becomes_a_budget_and_a_late_repeat_does_not_bring_it_back(
    site: Site, endpoint: Endpoint
) -> None:
    tag, _ = await feeds(site)
    start, end = (datetime.now(UTC) + timedelta(hours=1)), (datetime.now(UTC) + timedelta(hours=3))

    def event(identity: str, seconds: float, constraint: dict[str, Any] | None) -> dict[str, Any]:
        interval = {"start_time": start.isoformat(), "end_time": end.isoformat()}
        target = {"interval": interval, "feed_tags": [tag], "load_constraint": constraint}
        return {
            "specversion": "1.0.2",
            "id": identity,
            "source": "//grid/v1/isv/acme",
            "type": "grid.loadtarget.set.v1",
            "time": ago(seconds),
            "correlationid": "peak-1",
            "data": {"targets": [{**target, "strategy": {"best_effort": True}}]},
        }

    order = event("1", 30, {"value": 0.02, "unit": "megawatt"})
    end_wait = time.monotonic() + 30
    while (answered := await endpoint.post("/v1/dsx/flex", order, GRID))[0] != 200:
        assert time.monotonic() < end_wait, answered  # the operator has not seen the feed tag yet
        await asyncio.sleep(0.05)
    [result] = answered[1]["results"]
    name = result["object"].removeprefix("PowerBudget/")
    site.made.append(f"{GROUP}/powerbudgets/{name}")
    budget = await site.get(f"{GROUP}/powerbudgets/{name}")
    interval = {
        key: at.isoformat(timespec="seconds").replace("+00:00", "Z")
        for key, at in (("start", start), ("end", end))
    }
    assert budget["spec"] == {
        "targets": {"feedTags": [tag]},
        "limitWatts": 20_000,
        "interval": interval,
        "appliesTo": "Normal",
        "bestEffort": True,
        "correlationId": "peak-1",
    }
    assert (await endpoint.post("/v1/dsx/flex", order, GRID))[1]["results"][0]["result"] == "repeated"
    status, answer = await endpoint.post("/v1/dsx/flex", event("2", 10, None), GRID)
    assert (status, answer["results"][0]["result"]) == (200, "taken")
    assert (await endpoint.post("/v1/dsx/flex", order, GRID))[1]["results"][0]["result"] == "outdated"
    over = (await site.get(f"{GROUP}/powerbudgets/{name}"))["spec"]["interval"]
    assert datetime.fromisoformat(over["end"]) < datetime.now(UTC)


async def test_what_is_wrong_is_answered_with_where_and_what_to_do_and_the_rest_is_taken(
    site: Site, endpoint: Endpoint
) -> None:
    good = {"id": "1", "at": ago(1), "name": site.word, "kind": "PowerDomain", "state": "Online"}
    status, answer = await endpoint.post("/v1/reports", good, token="")
    assert (status, answer) == (401, {"error": "send the token of a source: Authorization: Bearer TOKEN"})
    assert (await endpoint.post("/v1/reports", good, token="short"))[0] == 401
    assert (await endpoint.post("/v1/reports", b"{"))[0] == 400
    status, answer = await endpoint.post(
        "/v1/reports", [good, {**good, "name": "nowhere", "state": "Offline"}]
    )
    assert status == 422
    assert [r["result"] for r in answer["results"]] == ["taken"]
    [problem] = answer["problems"]
    assert (problem["where"], problem["problem"]) == ("reports[1]", "no PowerDomain alone is called nowhere")
    assert problem["remedy"].startswith("Use its name (")
    assert site.operator is not None
    counted = site.operator.metrics.registry.get_sample_value
    name = "rackplane_facility_reports_total"
    assert counted(name, {"source": "", "result": "unauthorized"}) == 2
    assert counted(name, {"source": "bms", "result": "taken"}) == 1
    assert counted(name, {"source": "bms", "result": "refused"}) == 2
