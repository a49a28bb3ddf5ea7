"""Logs, metrics and probes as others read them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import math
import time
from collections.abc import Iterator
from types import SimpleNamespace

import aiohttp
import pytest
import structlog
from prometheus_client import generate_latest

from rackplane.controller.facility import kopf_settings
from rackplane.controller.http import Health, HttpServer
from rackplane.controller.logging import configure_logging
from rackplane.controller.metrics import MachineCollector, Metrics
from rackplane.core.machine import Machine
from rackplane.core.settings import Confirmation, MachineSettings


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(level="INFO", json=True, stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_our_records_and_foreign_ones_look_the_same(stream: io.StringIO) -> None:
    structlog.stdlib.get_logger("rackplane.x").info("leading", term=3)
    reference = {"kind": "Rack", "name": "r1"}
    extra = {"k8s_ref": reference, "settings": kopf_settings()}
    logging.getLogger("kopf.objects").warning("odd %s", "thing", extra=extra)
    ours, foreign = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert ours.pop("time").endswith("Z") and foreign.pop("time").endswith("Z")
    assert ours == {"event": "leading", "term": 3, "level": "info", "logger": "rackplane.x"}
    assert foreign == {
        "event": "odd thing",
        "level": "warning",
        "logger": "kopf.objects",
        "k8s_ref": reference,
    }


def test_an_exception_stays_on_one_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: bad" in json.loads(line)["exception"]


def test_records_below_the_level_and_expected_ones_are_left_out(stream: io.StringIO) -> None:
    structlog.stdlib.get_logger("rackplane.x").debug("detail")
    logging.getLogger("kopf").warning("OS signals are ignored: running not in the main thread.")
    assert stream.getvalue() == ""


def test_a_machine_without_a_state_can_be_scraped() -> None:
    metrics = Metrics()
    watch = SimpleNamespace(last_activity=time.monotonic(), forbidden=True, objects=3, failures=2)
    metrics.registry.register(MachineCollector(Machine(), {"pods": watch}))
    text = generate_latest(metrics.registry).decode()
    assert "rackplane_leader 0.0\n" in text
    assert "rackplane_synced 0.0\n" in text
    assert "rackplane_pending_gangs{" not in text
    assert 'rackplane_informer_age_seconds{resource="pods"}' in text
    assert 'rackplane_informer_forbidden{resource="pods"} 1.0\n' in text
    assert 'rackplane_informer_objects{resource="pods"} 3.0\n' in text
    assert 'rackplane_informer_failures_total{resource="pods"} 2.0\n' in text
    assert "rackplane_build_info{version=" in text


@pytest.mark.parametrize("shared", [True, False], ids=["one-port", "two-ports"])
async def test_endpoints(shared: bool, unused_tcp_port: int) -> None:
    now = 100.0
    ready = asyncio.Event()
    health = Health(ages={"pods": lambda: 95.0}, limits={"pods": 10.0}, ready=ready.is_set, clock=lambda: now)
    ports = (unused_tcp_port if shared else 0, unused_tcp_port)
    server = HttpServer(
        registry=Metrics().registry,
        health=health,
        host="127.0.0.1",
        metrics_port=ports[0],
        health_port=ports[1],
    )
    async with server, aiohttp.ClientSession() as session:

        async def get(port: int, path: str) -> tuple[int, str]:
            async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status, await answer.text()

        metrics, probes = server.ports
        assert (metrics == probes) is shared
        status, text = await get(metrics, "/metrics")
        assert status == 200 and "rackplane_turn_duration_seconds_bucket" in text
        assert await get(probes, "/healthz") == (200, "ok\n")
        assert await get(probes, "/readyz") == (503, "not every watched kind has been listed yet\n")
        ready.set()
        assert await get(probes, "/readyz") == (200, "ok\n")
        now = 106.0
        assert await get(probes, "/healthz") == (503, "pods: no sign of life for 11 s\n")


def test_how_long_caps_take_is_told_once_somebody_confirms_them() -> None:
    registry = Metrics().registry
    machine = Machine(settings=MachineSettings(confirmation=Confirmation.AGENT))
    machine.leading = True
    registry.register(MachineCollector(machine, {}))
    for seconds in (0.2, 3.0, 3.0, math.inf):
        machine.world.confirmations.times.add(seconds)
    lines = [line for line in generate_latest(registry).decode().splitlines() if "cap_actuation" in line]
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert {k: float(v) for k, v in values.items() if '"' not in k} == {
        "rackplane_cap_actuation_seconds_count": 4.0,
        "rackplane_cap_actuation_seconds_sum": pytest.approx(6.2),
        "rackplane_cap_actuation_p99_seconds": math.inf,
    }
    by_bound = {k.split('"')[1]: float(v) for k, v in values.items() if '"' in k}
    assert (by_bound["0.1"], by_bound["0.25"], by_bound["5.0"], by_bound["60.0"], by_bound["+Inf"]) == (
        0,
        1,
        3,
        3,
        4,
    )
    silent = Metrics().registry
    silent.register(MachineCollector(Machine(), {}))
    # A standby knows the same, and what both said would be added up.
    machine.leading = False
    assert "cap_actuation" not in generate_latest(registry).decode()
    assert "cap_actuation" not in generate_latest(silent).decode()
