"""Telemetry through the whole operator: a Prometheus that answers over HTTP, and what racks then say that they draw.

On the embedded cluster and a clock that leaps: readings are a minute and more apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.chaos.replicas import SETTINGS, Replica
from tests.chaos.storm import VirtualTime
from tests.support.harness import GROUP, Harness, facility
from tests.support.virtualtime import run

QUERY = "sum by (node) (node_power_watts)"
TOKEN = "0123456789abcdef"
#: two racks of four nodes and 2 kW each; a node is reserved at 1 kW idle, and can draw 5 kW
OVERHEAD, NODES, IDLE, MOST = 2_000, 4, 1_000, 5_000
READ = {"Drifting": ("False", "WithinBooks"), "TelemetryStale": ("False", "NodesRead")}
UNREAD = {**READ, "TelemetryStale": ("True", "NodesUnread")}


class Stub:
    """A Prometheus that knows what nodes draw."""

    def __init__(self) -> None:
        self.watts: dict[str, int] | None = {}
        """None: it fails."""
        self.asked: set[tuple[str, str]] = set()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.add((str((await request.post())["query"]), request.headers.get("Authorization", "")))
        if self.watts is None:
            return web.Response(status=503, text="overloaded")
        result = [{"metric": {"node": n}, "value": [0, str(w)]} for n, w in self.watts.items()]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


class Site:
    """One operator that leads, and its Prometheus."""

    def __init__(self, stub: Stub, h: Harness, replica: Replica) -> None:
        self.stub, self.h, self.replica = stub, h, replica

    def rack(self, name: str) -> dict[str, Any]:
        return dict(self.h.get(GROUP, "racks", name, "").get("status", {}))

    def conditions(self, name: str) -> dict[str, tuple[str, str]]:
        found = {c["type"]: (c["status"], c["reason"]) for c in self.rack(name).get("conditions", ())}
        return {kind: found[kind] for kind in ("Drifting", "TelemetryStale") if kind in found}

    def metric(self, name: str) -> float | None:
        assert self.replica.operator is not None
        return self.replica.operator.metrics.registry.get_sample_value(name, {"rack": "r1"})

    async def until(self, holds: Callable[[], bool], *, seconds: int = 600) -> None:
        for _ in range(seconds):
            if holds():
                return
            self.replica.raise_its_problem()
            self.h.agents()
            await asyncio.sleep(1)
        raise AssertionError(f"still {self.rack('r1')}")


async def _with_site(tmp_path: Path, use: Callable[[Site], Awaitable[None]]) -> None:
    stub, token = Stub(), tmp_path / "token"
    token.write_text(TOKEN)
    app = web.Application()
    app.router.add_post("/prometheus/api/v1/query", stub.answer)
    async with TestServer(app) as server:
        settings = replace(
            SETTINGS,
            telemetry_url=str(server.make_url("/prometheus")),
            telemetry_query=QUERY,
            telemetry_token_file=str(token),
        )
        h = Harness(time=VirtualTime())
        h.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SETTINGS.namespace}}, *facility()
        )
        await h.cluster.start(port=None)
        replica = Replica(h.cluster, "op-0", "telemetry", lambda _, __: None, settings)
        replica.start()
        try:
            await use(Site(stub, h, replica))
        finally:
            await replica.stop()
            await h.cluster.stop()


def operated(tmp_path: Path, use: Callable[[Site], Awaitable[None]]) -> None:
    run(_with_site(tmp_path, use))


def nodes_draw(watts: int) -> dict[str, int]:
    return {f"{rack}-n{n}": watts for rack in ("r1", "r2") for n in range(NODES)}


def test_what_nodes_draw_by_a_prometheus_stands_in_the_status_of_racks_and_of_what_feeds_them(
    tmp_path: Path,
) -> None:
    async def use(site: Site) -> None:
        site.stub.watts = nodes_draw(1_100)
        await site.until(lambda: site.rack("r1").get("observedWatts") is not None)
        rack = OVERHEAD + NODES * 1_100
        found = {name: site.rack(name) for name in ("r1", "r2")}
        assert {n: (r["observedWatts"], r["unobservedNodes"]) for n, r in found.items()} == {
            "r1": (rack, 0),
            "r2": (rack, 0),
        }
        assert site.conditions("r1") == READ
        await site.until(
            lambda: site.h.get(GROUP, "powerdomains", "row", "")["status"].get("observedWatts") == 2 * rack
        )
        assert site.stub.asked == {(QUERY, f"Bearer {TOKEN}")}

    operated(tmp_path, use)


def test_while_the_prometheus_fails_nodes_count_at_their_reserved_peak_and_never_at_nothing(
    tmp_path: Path,
) -> None:
    async def use(site: Site) -> None:
        site.stub.watts = nodes_draw(1_100)
        site.h.job("all", slots=NODES, run=None)
        await site.until(lambda: site.h.phase("job-all") == "Running")
        await site.until(lambda: site.rack("r1").get("observedWatts") == OVERHEAD + NODES * 1_100)
        running = site.h.gang("job-all")["status"]["assignment"][0]["rack"]
        assert running == "r1"
        site.stub.watts = None
        lowest = []

        def stale() -> bool:
            lowest.append(site.metric("rackplane_rack_observed_watts") or 0.0)
            return site.conditions("r1") == UNREAD

        await site.until(stale)
        # What is no longer known stands in no status; as a metric it is what the gang may draw, idle nodes included.
        assert site.rack("r1").get("observedWatts") is None
        assert site.rack("r1")["unobservedNodes"] == NODES
        assert site.metric("rackplane_rack_observed_watts") == OVERHEAD + NODES * MOST
        assert min(lowest) == OVERHEAD + NODES * 1_100
        assert (site.h.phase("job-all"), site.rack("r1")["reservedPeakWatts"]) == (
            "Running",
            OVERHEAD + NODES * MOST,
        )
        site.stub.watts = nodes_draw(1_100)
        await site.until(lambda: site.conditions("r1") == READ)
        assert site.rack("r1")["observedWatts"] == OVERHEAD + NODES * 1_100

    operated(tmp_path, use)


def test_a_node_that_the_prometheus_does_not_name_counts_at_its_reserved_peak_from_the_beginning(
    tmp_path: Path,
) -> None:
    async def use(site: Site) -> None:
        site.stub.watts = {n: 1_100 for n in nodes_draw(0) if n != "r1-n0"}
        await site.until(lambda: site.conditions("r2") == READ)
        await site.until(lambda: site.conditions("r1") == UNREAD)
        assert (site.rack("r1").get("observedWatts"), site.rack("r1")["unobservedNodes"]) == (None, 1)
        assert site.metric("rackplane_rack_observed_watts") == OVERHEAD + 3 * 1_100 + IDLE

    operated(tmp_path, use)
