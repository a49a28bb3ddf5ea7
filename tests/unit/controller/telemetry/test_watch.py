"""Telemetry from a server of the test to metrics: queries, readings, and what is shown while there are none."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import generate_latest
from prometheus_client.core import Metric

from rackplane.controller.metrics.telemetry import observed_metrics
from rackplane.controller.telemetry.observations import Observations
from rackplane.controller.telemetry.prometheus import Prometheus
from rackplane.controller.telemetry.watch import TelemetryWatch
from rackplane.core.site.observed import Observed, RackObserved
from rackplane.engine.state import State
from tests.support.halls import NODES
from tests.unit.controller.telemetry.test_observations import drawn, names, rack


def vector(label: str, values: dict[str, float]) -> dict[str, Any]:
    result = [{"metric": {label: node}, "value": [1.0, str(watts)]} for node, watts in values.items()]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def rendered(metric: Metric) -> list[str]:
    return generate_latest(SimpleNamespace(collect=lambda: [metric])).decode().splitlines()


def shown(
    state: State, *answers: Any, query: str = "kepler", host_watts: int = 0
) -> tuple[list[str], set[str]]:
    """The metrics after so many questions, 60 seconds apart; an answer of None is HTTP 503. And the queries."""
    lines, queries, _ = asked(state, *answers, query=query, host_watts=host_watts)
    return lines, queries


def asked(
    state: State, *answers: Any, query: str = "kepler", host_watts: int = 0
) -> tuple[list[str], set[str], list[Observed]]:
    """The same, and what the machine was told after each question."""
    left, queries, now, told = list(answers), set[str](), [0.0], list[Observed]()

    async def handle(request: web.Request) -> web.Response:
        queries.add(str((await request.post())["query"]))
        answer = left.pop(0)
        return web.Response(status=503) if answer is None else web.json_response(answer)

    async def go() -> TelemetryWatch:
        app = web.Application()
        app.router.add_post("/api/v1/query", handle)
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            watch = TelemetryWatch(
                Prometheus(str(server.make_url("/"))),
                Observations(stale_seconds=100, drift_percent=10, drift_seconds=60),
                query=query,
                label="",
                host_watts=host_watts,
                stale_seconds=100,
                state=lambda: state,
                tell=told.append,
                wall=lambda: 1_000.0 + now[0],
                monotonic=lambda: now[0],
            )
            for _ in answers:
                await watch.look(session)
                now[0] += 60
        return watch

    watch = asyncio.run(go())
    shown = [*observed_metrics(state, told[-1]), *watch.collect()]
    lines = [line for metric in shown for line in rendered(metric)]
    return [line for line in lines if not line.startswith("#")], queries, told


def test_watts_of_all_nodes_are_those_of_their_rack() -> None:
    state = rack()
    lines, queries = shown(state, vector("node_name", dict.fromkeys(names(state), 3000.2)))
    watts = 500 + len(names(state)) * 3000
    assert lines == [
        f'rackplane_rack_observed_watts{{rack="row-ab"}} {float(watts)}',
        'rackplane_rack_unobserved_nodes{rack="row-ab"} 0.0',
        'rackplane_rack_drifts{rack="row-ab"} 0.0',
        *(f'rackplane_power_observed_watts{{power_domain="ups-{ups}"}} {watts / 2}' for ups in "ab"),
        "rackplane_telemetry_up 1.0",
    ]
    assert queries == {'sum by (node_name) (last_over_time(kepler_platform_watts{source="redfish"}[100s]))'}


def test_dcgm_tells_of_gpus_and_the_rest_of_the_node_is_added() -> None:
    state = rack()
    gpus = state.node_type(names(state)[0])
    assert gpus is not None
    lines, _ = shown(
        state, vector("Hostname", dict.fromkeys(names(state), 700)), query="dcgm", host_watts=840
    )
    watts = 500 + len(names(state)) * (840 + 700 * gpus.gpus_per_node)
    assert lines[0] == f'rackplane_rack_observed_watts{{rack="row-ab"}} {float(watts)}'


def test_what_gpus_draw_alone_is_no_reading_of_a_node() -> None:
    state = rack()
    answer = vector("Hostname", dict.fromkeys(names(state), 700))
    gpus = state.node_type(names(state)[0])
    assert gpus is not None
    alone, whole = (asked(state, answer, query="dcgm", host_watts=watts)[2][0].nodes for watts in (0, 840))
    assert (alone, whole) == ({}, dict.fromkeys(names(state), 840 + 700 * gpus.gpus_per_node))


def test_while_nobody_answers_readings_grow_old_and_reserved_peak_takes_their_place() -> None:
    state = rack()
    readings = vector("node_name", dict.fromkeys(names(state), 3000))
    assert shown(state, readings, None)[0][0].endswith(f" {float(500 + len(names(state)) * 3000)}")
    peak = float(500 + len(names(state)) * drawn(state)[1])
    lines, _ = shown(state, readings, None, None)
    assert float(lines[0].rpartition(" ")[2]) == peak
    assert lines[-1] == "rackplane_telemetry_up 0.0"


def test_series_that_name_no_node_of_ours_are_no_telemetry() -> None:
    state = rack()
    lines, _ = shown(state, vector("node_name", {"10.0.0.7:9400": 3000}))
    assert lines[1] == f'rackplane_rack_unobserved_nodes{{rack="row-ab"}} {float(len(names(state)))}'
    assert lines[-1] == "rackplane_telemetry_up 0.0"


def test_the_machine_is_told_after_each_question_how_old_the_oldest_reading_is() -> None:
    state = rack()
    first, rest = names(state)[0], names(state)[1:]
    _, _, told = asked(
        state,
        vector("node_name", dict.fromkeys(names(state), 3000)),
        vector("node_name", dict.fromkeys(rest, 2000)),
    )
    watts = 500 + NODES * 3000

    def seen(watts: int, oldest: float) -> dict[str, RackObserved]:
        return {
            "row-ab": RackObserved(
                watts=watts, nodes=NODES, unobserved_nodes=0, drifts=False, oldest_seconds=oldest
            )
        }

    assert first not in rest
    assert told == [
        Observed(1_000.0, seen(watts, 0.0), dict.fromkeys(names(state), 3000)),
        Observed(1_060.0, seen(watts - 1000 * len(rest), 60.0), dict.fromkeys(rest, 2000)),
    ]
