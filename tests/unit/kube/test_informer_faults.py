"""The informer against every fault by name.

Within a stated time its cache is the server's state again, and what it told is what the server did: everything, if no
list had to bridge a gap; in order and nothing twice in any case.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rackplane.kube.client import KubeClient
from rackplane.localcluster import Fault, LocalCluster, WallClock
from rackplane.localcluster.effects import (
    Bookmarks,
    Compact,
    Cut,
    CutStream,
    Delay,
    Effect,
    HalfOpen,
    Hang,
    Jump,
    Lag,
    LoseAnswer,
    Refuse,
    Stale,
    StreamEffect,
    StreamError,
)
from tests.support.followers import PATH, Follower
from tests.support.virtualtime import virtual

#: The informers, and who they are to the server over HTTP.
USERS = {"all": "operator", "selected": "node-agents"}
NEW_WATCH = CutStream()
NEW_LIST = StreamError()


@dataclass(frozen=True)
class Case:
    """A fault, and what makes the informer meet it: a watch that has to be opened again, or a list.

    within: seconds from the last write until the cache is right. lists: how many it takes, the first included.
    """

    effect: Effect
    strike: StreamEffect | None
    within: float
    lists: int = 1
    times: int = 1


CASES: dict[str, Case] = {
    # Watches: nothing is lost, so no list is needed.
    "watch: latency before the server acts": Case(Delay(before=8), NEW_WATCH, 9),
    "watch: latency before the answer": Case(Delay(after=8), NEW_WATCH, 9),
    "watch: 409": Case(Refuse(409), NEW_WATCH, 2),
    "watch: 410": Case(Refuse(410), NEW_WATCH, 2, lists=2),
    "watch: 429 with Retry-After": Case(Refuse(429, retry_after=20), NEW_WATCH, 21),
    "watch: 500": Case(Refuse(500), NEW_WATCH, 2),
    "watch: 503": Case(Refuse(503), NEW_WATCH, 2),
    "watch: 504": Case(Refuse(504), NEW_WATCH, 2),
    "watch: 503 again and again": Case(Refuse(503), NEW_WATCH, 20, lists=4, times=5),
    "watch: cut before the answer": Case(Cut(), NEW_WATCH, 2),
    "watch: cut after the server acted": Case(LoseAnswer(), NEW_WATCH, 2),
    "watch: no answer, ever": Case(Hang(), NEW_WATCH, 92),
    "watch: its answer lost in silence": Case(LoseAnswer(silent=True), NEW_WATCH, 92),
    "watch: after compaction": Case(Compact(), NEW_WATCH, 2, lists=2),
    "stream: cut between events": Case(CutStream(events=1), None, 2),
    "stream: cut in the middle of a line": Case(CutStream(events=1, mid_line=True), None, 2),
    "stream: half-open at once": Case(HalfOpen(), None, 91),
    "stream: half-open after an event": Case(HalfOpen(events=1), None, 91),
    "stream: ERROR 410": Case(StreamError(events=1), None, 2, lists=2),
    "stream: ERROR 500": Case(StreamError(code=500, events=1), None, 2, lists=2),
    "stream: lags behind": Case(Lag(15), NEW_WATCH, 16),
    "stream: late bookmarks": Case(Bookmarks(85), NEW_WATCH, 2),
    "stream: no bookmarks": Case(Bookmarks(None), NEW_WATCH, 2, times=3),
    # Lists.
    "list: latency before the server acts": Case(Delay(before=8), NEW_LIST, 9, lists=2),
    "list: latency before the answer": Case(Delay(after=8), NEW_LIST, 9, lists=2),
    "list: 409": Case(Refuse(409), NEW_LIST, 2, lists=2),
    "list: 410": Case(Refuse(410), NEW_LIST, 2, lists=2),
    "list: 429 with Retry-After": Case(Refuse(429, retry_after=20), NEW_LIST, 21, lists=2),
    "list: 500": Case(Refuse(500), NEW_LIST, 2, lists=2),
    "list: 503": Case(Refuse(503), NEW_LIST, 2, lists=2),
    "list: 504": Case(Refuse(504), NEW_LIST, 2, lists=2),
    "list: cut before the server acts": Case(Cut(), NEW_LIST, 2, lists=2),
    "list: its answer lost": Case(LoseAnswer(), NEW_LIST, 2, lists=2),
    "list: its answer lost in silence": Case(LoseAnswer(silent=True), NEW_LIST, 32, lists=2),
    "list: no answer, ever": Case(Hang(), NEW_LIST, 32, lists=2),
    "list: of the past": Case(Stale(6, quorum=True), NEW_LIST, 2, lists=2),
    "list: of a past before the cache's": Case(Stale(30, quorum=True), NEW_LIST, 4, lists=4, times=2),
    "list: after compaction": Case(Compact(), NEW_LIST, 2, lists=2),
    "clock: forward": Case(Jump(7200), NEW_LIST, 2, lists=2),
    "clock: back": Case(Jump(-7200), NEW_LIST, 2, lists=2),
}


class Bench:
    """Two informers, one of them with a selector; over HTTP if there is a directory for kubeconfigs."""

    def __init__(self, directory: Path | None = None) -> None:
        self.cluster = LocalCluster(clock=WallClock(), seed=5)
        self.followers: list[Follower] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._directory = directory

    async def __aenter__(self) -> Bench:
        if self._directory is not None:
            await self.cluster.start()
        for number, name in enumerate(USERS):
            client = None
            if self._directory is not None:
                path = self.cluster.kubeconfig(self._directory / name, USERS[name])
                client = await KubeClient.connect(str(path))
            self.followers.append(Follower(self.cluster, name, number == 1, 7, client))
        for name in ("goes", "changes", "returns", "leaves"):
            self.create(name)
        self.tasks = [asyncio.create_task(follower.informer.run()) for follower in self.followers]
        await asyncio.sleep(2)
        assert all(follower.agrees() for follower in self.followers)
        return self

    async def __aexit__(self, *problem: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for follower in self.followers:
            await follower.close()
        await self.cluster.stop()

    def create(self, name: str, on: str = "true") -> None:
        metadata = {"name": name, "labels": {"on": on}}
        self.cluster.request("POST", PATH, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})

    def patch(self, name: str, body: dict[str, Any]) -> None:
        self.cluster.request("PATCH", f"{PATH}/{name}", body, content_type="application/merge-patch+json")

    def write(self) -> None:
        """Everything that can happen to an object."""
        self.create("comes")
        self.patch("changes", {"data": {"a": "1"}})
        self.patch("changes", {"data": {"a": "2"}})
        self.cluster.request("DELETE", f"{PATH}/goes")
        self.cluster.request("DELETE", f"{PATH}/returns")
        self.create("returns")
        self.patch("leaves", {"metadata": {"labels": {"on": "false"}}})
        self.create("enters", on="false")
        self.patch("enters", {"metadata": {"labels": {"on": "true"}}})

    async def recovered(self, limit: float) -> float:
        """Seconds until both caches are the server's state."""
        now = asyncio.get_running_loop().time
        start = now()
        while not all(follower.agrees() for follower in self.followers):
            await asyncio.sleep(0.1)
            assert now() < start + limit, f"not recovered after {limit} s"
        return now() - start


@pytest.mark.parametrize("way", ["in process", "over HTTP"])
@pytest.mark.parametrize("name", CASES)
@virtual
async def test_recovers_from(name: str, way: str, tmp_path: Path) -> None:
    case = CASES[name]
    async with Bench(tmp_path if way == "over HTTP" else None) as bench:
        faults = bench.cluster.faults
        verb = {"watch": "watch", "stream": "watch"}.get(name.partition(":")[0], "list")
        for client in USERS if way == "in process" else USERS.values():
            if case.strike is not None:
                faults.add(Fault(case.effect, verb=verb, client=client, times=case.times))
        struck = case.strike or case.effect
        assert isinstance(struck, StreamEffect)
        assert faults.strike(struck) == 2
        await asyncio.sleep(0)
        bench.write()
        took = await bench.recovered(case.within)
        # Quiet from now on: it stays so.
        await asyncio.sleep(300)
        assert faults.count(case.effect) == 2 * case.times, faults.fired
        for follower in bench.followers:
            assert follower.agrees()
            follower.check()
            assert follower.client.lists == case.lists, f"{follower.name}, recovered in {took} s"


@pytest.mark.parametrize(("silent", "within"), [(False, 31), (True, 91)])
@virtual
async def test_recovers_from_an_unreachable_server(silent: bool, within: float) -> None:
    async with Bench() as bench:
        bench.cluster.faults.outage(seconds=60, silent=silent)
        bench.write()
        await asyncio.sleep(60)
        assert not any(follower.agrees() for follower in bench.followers)
        await bench.recovered(within)
        for follower in bench.followers:
            follower.check()
            assert follower.client.lists == 1


@virtual
async def test_a_quiet_kind_without_bookmarks_shows_signs_of_life() -> None:
    # What kube-apiserver does for a kind of which no object has changed since it started.
    async with Bench() as bench:
        bench.cluster.faults.add(Fault(Bookmarks(None), times=None))
        bench.cluster.faults.strike(NEW_WATCH)
        now = asyncio.get_running_loop().time
        for _ in range(1200):
            await asyncio.sleep(1)
            for follower in bench.followers:
                assert now() - follower.informer.last_activity <= 92
        for follower in bench.followers:
            assert follower.client.lists == 1
