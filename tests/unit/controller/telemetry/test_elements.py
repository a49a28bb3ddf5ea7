"""Supply temperatures and lost feeds from a server of the test to reports on the objects, and what is not said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rackplane.controller.reports.server import Tokens
from rackplane.controller.telemetry.elements import EXPIRES_SECONDS, ElementWatch, celsius
from rackplane.controller.telemetry.prometheus import Prometheus
from rackplane.core.site.reports import Heard, heard
from tests.unit.controller.reports.test_desk import API, Room
from tests.unit.controller.telemetry.test_watch import vector


class Plant:
    """A Prometheus whose answers the test sets, a cluster, and the watch between them."""

    def __init__(self) -> None:
        self.room = Room()
        self.supply: dict[str, float] = {}
        self.up: dict[str, float] = {}
        self.down = False
        self.leads = True

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Plant]:
        app = web.Application()
        app.router.add_post("/api/v1/query", self._answer)
        async with TestServer(app) as server, aiohttp.ClientSession() as self._session:
            self._watch = ElementWatch(
                Prometheus(str(server.make_url("/"))),
                self.room.desk,
                supply_query="supply",
                state_query="up",
                leading=lambda: self.leads,
                wall=lambda: self.room.now,
            )
            yield self

    async def _answer(self, request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=503)
        of = str((await request.post())["query"])
        values = {"supply": ("cooling_zone", self.supply), "up": ("power_domain", self.up)}
        return web.json_response(vector(*values[of]))

    async def after(self, seconds: float) -> None:
        self.room.now += seconds
        await self._watch.look(self._session)

    def heard(self, plural: str, name: str) -> list[tuple[str, object, float]]:
        """What telemetry has reported: of what, what, and how long ago."""
        body = self.room.cluster.request("GET", f"{API}/{plural}/{name}")
        found: tuple[Heard, ...] = heard(body.get("status"))
        assert {(h.source, h.unit) for h in found} <= {("telemetry", "")}
        assert all(h.expires == h.at + EXPIRES_SECONDS for h in found)
        return [(h.what, h.value, self.room.now - h.at) for h in found]

    def writes(self) -> int:
        return sum(n for (source, result), n in self.room.counts.items() if result == "taken")


def test_a_feed_that_telemetry_sees_lost_is_reported_lost_and_back() -> None:
    async def go() -> None:
        async with Plant().watched() as plant:
            plant.up = {"a": 1.0, "b": 0.0}
            await plant.after(0)
            assert plant.heard("powerdomains", "a") == [("State", "Online", 0)]
            assert plant.heard("powerdomains", "b") == [("State", "Offline", 0)]
            plant.up = {"a": 0.0, "b": 1.0}
            await plant.after(15)
            assert plant.heard("powerdomains", "a") == [("State", "Offline", 0)]
            assert plant.heard("powerdomains", "b") == [("State", "Online", 0)]

    asyncio.run(go())


def test_what_stays_the_same_is_said_again_in_time_and_not_with_each_question() -> None:
    async def go() -> None:
        async with Plant().watched() as plant:
            plant.supply, plant.up = {"loop": 31.2}, {"a": 1.0}
            for _ in range(10):
                await plant.after(15)
            assert plant.writes() == 2
            await plant.after(15)
            assert plant.heard("coolingzones", "loop") == [("SupplyCelsius", 32, 0)]
            assert plant.heard("powerdomains", "a") == [("State", "Online", 0)]
            assert plant.writes() == 4

    asyncio.run(go())


def test_a_source_that_is_gone_takes_nothing_back_and_lets_its_word_run_out() -> None:
    async def go() -> None:
        async with Plant().watched() as plant:
            plant.up = {"a": 0.0}
            await plant.after(0)
            plant.up = {}
            await plant.after(200)
            plant.down = True
            await plant.after(200)
            assert plant.heard("powerdomains", "a") == [("State", "Offline", 400)]
            body = plant.room.cluster.request("GET", f"{API}/powerdomains/a")
            [report] = heard(body["status"])
            assert report.is_stale(plant.room.now)

    asyncio.run(go())


def test_only_who_leads_reports_and_a_new_leader_says_all_of_it() -> None:
    async def go() -> None:
        async with Plant().watched() as plant:
            plant.up, plant.leads = {"a": 0.0}, False
            await plant.after(0)
            assert plant.heard("powerdomains", "a") == []
            plant.leads = True
            await plant.after(15)
            plant.leads = False
            await plant.after(15)
            plant.leads = True
            await plant.after(15)
            assert plant.heard("powerdomains", "a") == [("State", "Offline", 0)]

    asyncio.run(go())


def test_what_names_nothing_of_ours_or_is_no_number_is_not_reported_and_spoils_nothing_else() -> None:
    async def go() -> None:
        async with Plant().watched() as plant:
            plant.up = {"nowhere": 0.0, "a": 0.0, "b": float("nan")}
            plant.supply = {"loop": 900.0}
            await plant.after(0)
            assert plant.heard("powerdomains", "a") == [("State", "Offline", 0)]
            assert plant.heard("powerdomains", "b") == []
            assert plant.heard("coolingzones", "loop") == [("SupplyCelsius", 150, 0)]
            assert plant.room.counts["telemetry", "refused"] == 1

    asyncio.run(go())


@pytest.mark.parametrize(
    ("measured", "said", "reported"),
    [
        (31.2, None, 32),
        (32.0, 32, 32),
        (32.1, 32, 33),
        (30.6, 32, 32),
        (30.4, 32, 31),
        (-3.5, None, -3),
        (1e9, None, 150),
    ],
)
def test_temperatures_are_rounded_up_and_stay_while_they_move_about_a_full_degree(
    measured: float, said: int | None, reported: int
) -> None:
    assert celsius(measured, said) == reported


def test_no_token_speaks_for_telemetry(tmp_path: Any) -> None:
    (tmp_path / "telemetry").write_text("t" * 32)
    (tmp_path / "bms").write_text("b" * 32)
    tokens = Tokens(str(tmp_path))
    assert tokens.source_of(f"Bearer {'t' * 32}") is None
    assert tokens.source_of(f"Bearer {'b' * 32}") == "bms"
