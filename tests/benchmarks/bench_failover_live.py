"""Leaders that are lost in real time: two operator processes on a real port, killed and stopped by turns.

On the API server that RACKPLANE_TEST_KUBECONFIG names, else on the embedded cluster in a process of its own. As
shipped but for ports and names: `bench_failover` loses a hundred on a virtual clock; here the processes are real, with
the machine's own time for signals, lists and requests. Jobs come while the leader goes; agents run their pods.

RACKPLANE_BENCH_FAILOVERS: how many instead of 12.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import msgspec
import pytest
from kubernetes.aio import config

from rackplane.kube.resources import GANGS
from rackplane.localcluster.nodeagent import NodeAgents
from rackplane.localcluster.podruns import RUN_SECONDS
from tests.benchmarks.controlplane.server import KUBECONFIG, Process, Server, free_port, running, server
from tests.benchmarks.controlplane.site import Site

RUNS = int(os.environ.get("RACKPLANE_BENCH_FAILOVERS", "12"))
KILLED_LIMIT_SECONDS, STOPPED_LIMIT_SECONDS = 15.0, 2.0
NODES, JOBS_A_RUN, PODS_A_JOB = 24, 6, 4
PATIENCE_SECONDS = 120.0
#: What a look at a process may be late by.
LOOK_SECONDS = 0.02

pytestmark = [pytest.mark.timeout(1800)]
if KUBECONFIG:
    pytestmark += [
        pytest.mark.real_cluster,
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
        pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    ]


class Operator:
    """One `rackplane operator` process."""

    def __init__(self, process: Process, url: str, session: aiohttp.ClientSession) -> None:
        self.process = process
        self._url = url
        self._session = session

    async def leads(self) -> bool:
        """Whether it says so."""
        return "rackplane_leader 1.0" in await self._ask("/metrics")

    async def is_ready(self) -> bool:
        return bool(await self._ask("/readyz"))

    async def _ask(self, path: str) -> str:
        try:
            async with self._session.get(f"{self._url}{path}") as answer:
                return await answer.text() if answer.status == 200 else ""
        except aiohttp.ClientError:
            return ""


class Decisions:
    """The places that each gang has had, by the watch of the Gangs."""

    def __init__(self) -> None:
        self.ids: dict[str, list[str]] = {}
        self.finished: set[str] = set()

    async def watch(self, where: Server, site: Site) -> None:
        path = GANGS.path(site.namespace)
        first = msgspec.json.decode(await where.client.request("GET", path))
        query = {"watch": "true", "resourceVersion": first["metadata"]["resourceVersion"]}
        async with aclosing(where.client.lines(path, query=query, timeout=3600)) as lines:
            async for line in lines:
                self._hear(msgspec.json.decode(line))
        raise RuntimeError("the watch of the Gangs ended")

    def _hear(self, event: dict[str, Any]) -> None:
        gang = event["object"]
        name, status = gang["metadata"]["name"], gang.get("status") or {}
        known = self.ids.setdefault(name, [])
        decision = str((status.get("decision") or {}).get("id") or "")
        if decision and decision not in known:
            known.append(decision)
        if status.get("phase") == "Finished" and event["type"] != "DELETED":
            self.finished.add(name)

    def lost(self) -> int:
        """Gangs that did not run to their end, or lost the first place they had."""
        return sum(name not in self.finished or not ids for name, ids in self.ids.items())

    def double(self) -> int:
        """Places that were given to a gang that had one before."""
        return sum(max(0, len(ids) - 1) for ids in self.ids.values())


class Failovers:
    """Two operators on one cluster, and who of them leads."""

    def __init__(self, folder: Path, where: Server, site: Site, stack: AsyncExitStack) -> None:
        self.folder, self.where, self.site, self.stack = folder, where, site, stack
        self.random = Random(3)
        self.gaps: dict[str, list[float]] = {"killed": [], "stopped": []}
        self.operators: list[Operator] = []
        self._made = 0

    async def start(self, session: aiohttp.ClientSession) -> Operator:
        """Another process."""
        port = free_port()
        self._made += 1
        process = await self.stack.enter_async_context(
            running(
                self.folder / f"operator-{self._made}.log", "-m", "rackplane", "operator",
                "--kubeconfig", self.where.kubeconfig, "--namespace", self.site.namespace, "--host", "127.0.0.1",
                "--metrics-port", str(port), "--health-port", str(port), "--log-format", "text",
            )
        )  # fmt: skip
        operator = Operator(process, f"http://127.0.0.1:{port}", session)
        self.operators.append(operator)
        return operator

    async def leader(self) -> Operator:
        """Whoever leads, as soon as anybody does; every process that lives is ready by then."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for operator in self.operators:
                    operator.process.check()
                if all([await operator.is_ready() for operator in self.operators]):
                    for operator in self.operators:
                        if await operator.leads():
                            return operator
                await asyncio.sleep(0.1)

    async def lose(self, session: aiohttp.ClientSession, *, killed: bool) -> None:
        """The leader goes while jobs are being placed; until the other leads nobody does."""
        leader = await self.leader()
        (other,) = (operator for operator in self.operators if operator is not leader)
        submitting = asyncio.create_task(self.submit())
        await asyncio.sleep(self.random.uniform(0.05, 1.0))
        began = time.monotonic()
        leader.process.send_signal(signal.SIGKILL if killed else signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await other.leads():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)
        self.gaps["killed" if killed else "stopped"].append(time.monotonic() - began)
        await submitting
        await leader.process.stop()
        self.operators.remove(leader)
        await self.start(session)

    async def submit(self) -> None:
        for _ in range(JOBS_A_RUN):
            body = self.site.job(f"j-{uuid.uuid4().hex[:8]}", size=PODS_A_JOB, ours=True)
            body["spec"]["template"]["metadata"]["annotations"] = {
                RUN_SECONDS: str(self.random.randint(1, 6))
            }
            await self.where.client.request("POST", self.site.jobs_path, body=body)
            await asyncio.sleep(0.15)


@asynccontextmanager
async def _agents(kubeconfig: str, site: Site) -> AsyncIterator[None]:
    """Stand in for kubelets: Ready nodes whose pods run and end."""
    api = await config.new_client_from_config(kubeconfig)
    agents = asyncio.create_task(NodeAgents(api, site.node_names).run())
    try:
        yield
    finally:
        agents.cancel()
        await asyncio.gather(agents, return_exceptions=True)
        await api.close()


async def test_failovers_in_real_time(tmp_path: Path) -> None:
    decisions = Decisions()
    async with AsyncExitStack() as stack:
        where = await stack.enter_async_context(server(tmp_path))
        site = Site(where.client, uuid.uuid4().hex[:6], NODES)
        if where.process is None:
            stack.push_async_callback(site.remove)
        await site.build()
        await site.hold(False)
        await stack.enter_async_context(_agents(where.kubeconfig, site))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        watching = asyncio.create_task(decisions.watch(where, site))
        stack.callback(watching.cancel)
        bench = Failovers(tmp_path, where, site, await stack.enter_async_context(AsyncExitStack()))
        for _ in range(2):
            await bench.start(session)
        for number in range(RUNS):
            await bench.lose(session, killed=number % 2 == 0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(decisions.finished) < RUNS * JOBS_A_RUN:
                if watching.done():
                    watching.result()
                await asyncio.sleep(0.2)
    print(f"\n  two processes, {where.name}:")
    for what, limit in (("killed", KILLED_LIMIT_SECONDS), ("stopped", STOPPED_LIMIT_SECONDS)):
        gaps = bench.gaps[what]
        print(
            f"  nobody leads after a leader was {what}, {len(gaps)} times: median {statistics.median(gaps):.2f} s, "
            f"longest {max(gaps):.2f} s   limit {limit:.2f} s   ratio {max(gaps) / limit:.2f}"
        )
    print(
        f"  of {len(decisions.ids)} decisions lost {decisions.lost()}, made twice {decisions.double()}   limit 0"
    )
    assert (decisions.lost(), decisions.double()) == (0, 0)
