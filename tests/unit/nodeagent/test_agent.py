"""An agent on a Node of the embedded cluster: what it sets, in which order, and what it reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec
import pytest

from rackplane.kube.client import ApiError
from rackplane.localcluster import LocalCluster, Request
from rackplane.nodeagent.agent import NodeAgent
from rackplane.nodeagent.gpus import MockGpus
from rackplane.nodeagent.node import Node

CAP = "rackplane.dev/power-cap-watts"
APPLIED = "rackplane.dev/power-cap-applied-watts"
OBSERVED = "rackplane.dev/power-observed-watts"
GANGS = "rackplane.dev/gangs"
PATH = "/api/v1/nodes/n0"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Direct:
    """A client of a cluster without sockets. Its watches tell what there is, once, and stay open."""

    def __init__(self, cluster: LocalCluster, log: list[str], gpus: MockGpus) -> None:
        self.cluster, self.log, self.gpus = cluster, log, gpus
        self.refuse = False
        self.queries: list[Mapping[str, str]] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: float = 30,  # noqa: ASYNC109
    ) -> bytes:
        if method == "GET":
            self.queries.append(query or {})
        else:
            self.log.append(f"{msgspec.json.encode(body).decode()} at {self.gpus.limited_to()} W")
            if self.refuse:
                raise ApiError(503, "Unavailable", "not now")
        answer = self.cluster.handle(
            Request(method, path, query=dict(query or {}), body=body, content_type=content_type, user="agent")
        )
        assert answer.code < 400, answer.body
        return msgspec.json.encode(answer.body)

    async def lines(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 330,  # noqa: ASYNC109
    ) -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""


class Bench:
    """One node with four GPUs of 200 to 1,200 W and a host of 840 W, and its agent."""

    def __init__(self) -> None:
        self.clock, self.log = Clock(), list[str]()
        self.cluster = LocalCluster()
        self.cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n0"}})
        self.gpus = MockGpus(clock=self.clock)
        self.client = Direct(self.cluster, self.log, self.gpus)
        self.agent = NodeAgent(
            self.client, node="n0", gpus=self.gpus, host_watts=840, on_node=self.on_node, monotonic=self.clock
        )

    def on_node(self, node: Node) -> None:
        self.gpus.run(range(4) if GANGS in node.metadata.annotations else ())

    def annotate(self, **values: str | None) -> None:
        names = {"cap": CAP, "gangs": GANGS}
        body = {"metadata": {"annotations": {names[key]: value for key, value in values.items()}}}
        answer = self.cluster.handle(
            Request("PATCH", PATH, body=body, content_type="application/merge-patch+json", user="operator")
        )
        assert answer.code == 200

    def see(self) -> None:
        """The watch tells the agent of its Node."""
        body = self.cluster.handle(Request("GET", PATH, user="agent")).body
        self.agent.see(msgspec.convert(body, Node))

    def step(self, seconds: float = 0.0) -> None:
        self.clock.now += seconds
        asyncio.run(self.agent.step())

    def annotations(self) -> dict[str, Any]:
        body = self.cluster.handle(Request("GET", PATH, user="agent")).body
        return dict(body["metadata"].get("annotations", {}))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_nothing_is_set_before_the_node_has_been_read(bench: Bench) -> None:
    bench.gpus.limit(700)
    bench.step()
    assert (bench.gpus.limited_to(), bench.log) == (700, [])


def test_a_lower_cap_is_set_and_then_reported(bench: Bench) -> None:
    bench.annotate(cap="4800", gangs="default/a")
    bench.see()
    bench.step()
    assert bench.gpus.limited_to() == 990
    assert bench.annotations()[APPLIED] == "4800"
    assert bench.log[0] == f'{{"metadata":{{"annotations":{{"{APPLIED}":"4800"}}}}}} at 990 W'


def test_a_higher_cap_is_reported_and_then_set(bench: Bench) -> None:
    bench.annotate(cap="3200", gangs="default/a")
    bench.see()
    bench.step()
    bench.log.clear()
    bench.annotate(cap="4800")
    bench.see()
    bench.step()
    assert bench.log[0] == f'{{"metadata":{{"annotations":{{"{APPLIED}":"4800"}}}}}} at 590 W'
    assert bench.gpus.limited_to() == 990


def test_a_higher_cap_that_cannot_be_reported_is_not_set(bench: Bench) -> None:
    bench.annotate(cap="3200", gangs="default/a")
    bench.see()
    bench.step()
    bench.annotate(cap="4800")
    bench.see()
    bench.client.refuse = True
    bench.step()
    assert bench.gpus.limited_to() == 590
    bench.client.refuse = False
    bench.step()
    assert bench.gpus.limited_to() == 990


def test_a_lower_cap_is_set_even_if_it_cannot_be_reported(bench: Bench) -> None:
    bench.annotate(cap="3200", gangs="default/a")
    bench.see()
    bench.client.refuse = True
    bench.step()
    assert bench.gpus.limited_to() == 590
    assert APPLIED not in bench.annotations()


def test_what_the_gpus_cannot_hold_is_reported_as_it_is(bench: Bench) -> None:
    bench.annotate(cap="1000", gangs="default/a")
    bench.see()
    bench.step()
    assert bench.gpus.limited_to() == 200
    assert bench.annotations()[APPLIED] == str(840 + 4 * 200)


def test_a_cap_that_is_no_number_leaves_the_last_one(bench: Bench) -> None:
    bench.annotate(cap="3200", gangs="default/a")
    bench.see()
    bench.step()
    bench.annotate(cap="4.8 kW")
    bench.see()
    bench.step()
    assert bench.gpus.limited_to() == 590


def test_when_the_cap_goes_the_report_goes_first_and_the_gpus_are_free(bench: Bench) -> None:
    bench.annotate(cap="3200", gangs="default/a")
    bench.see()
    bench.step()
    bench.log.clear()
    bench.annotate(cap=None, gangs=None)
    bench.see()
    bench.step()
    assert bench.log[0] == f'{{"metadata":{{"annotations":{{"{APPLIED}":null}}}}}} at 590 W'
    assert bench.gpus.limited_to() == 1200
    assert APPLIED not in bench.annotations()


def test_what_is_drawn_follows_the_work_and_is_written_every_five_minutes(bench: Bench) -> None:
    bench.annotate(cap="4800", gangs="default/a")
    bench.see()
    bench.step()
    assert bench.annotations()[OBSERVED] == str(840 + 4 * 200)
    bench.step(299)
    assert bench.annotations()[OBSERVED] == str(840 + 4 * 200)
    bench.step(2)
    # 90 % of the way from 200 W to the limit of 990 W.
    assert bench.annotations()[OBSERVED] == str(840 + 4 * 911)


def test_it_reads_no_other_node(bench: Bench) -> None:
    bench.annotate(cap="4800", gangs="default/a")

    async def briefly() -> None:
        task = asyncio.ensure_future(bench.agent.run())
        for _ in range(50):
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(briefly())
    assert [query.get("fieldSelector") for query in bench.client.queries] == ["metadata.name=n0"]
    assert bench.annotations()[APPLIED] == "4800"
