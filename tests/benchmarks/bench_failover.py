"""A hundred leaders that are lost while jobs come and go: for how long nobody leads, and what becomes of decisions.

Two whole operators on the embedded cluster, on a clock that leaps, with the times of the Lease as shipped. Half of the
leaders are killed, each at a write of its own, before it is sent or after it took effect; half are told to stop. What
a real machine adds is its own time for one list of the Gangs.

RACKPLANE_BENCH_FAILOVERS: how many instead of 100.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from rackplane.controller.settings import OperatorSettings
from rackplane.localcluster.store import DELETED, Change
from tests.chaos.hall import hall
from tests.chaos.judge import Judge
from tests.chaos.replicas import SETTINGS, Replica
from tests.chaos.storm import VirtualTime
from tests.support.harness import GROUP, Harness
from tests.support.silence import silenced
from tests.support.virtualtime import run

RUNS = int(os.environ.get("RACKPLANE_BENCH_FAILOVERS", "100"))
KILLED_LIMIT_SECONDS, STOPPED_LIMIT_SECONDS = 15.0, 2.0
_SHIPPED = OperatorSettings()


class Failovers:
    """Loses one leader after the other."""

    def __init__(self) -> None:
        self.random = Random(5)
        self.h = Harness(time=VirtualTime())
        self.judge = Judge(self.h, self._stint, self._told_of_node)
        self.h.apply(*hall())
        settings = replace(
            SETTINGS,
            lease_seconds=_SHIPPED.lease_seconds,
            lease_renew_seconds=_SHIPPED.lease_renew_seconds,
            lease_retry_seconds=_SHIPPED.lease_retry_seconds,
        )
        self.replicas = [
            Replica(self.h.cluster, f"op-{i}", "bench", self.written, settings) for i in range(2)
        ]
        self.gaps: dict[str, list[float]] = {"killed": [], "stopped": []}
        #: by gang: the decisions that its Gang has had, and how many of them it kept to its end
        self.decisions: dict[str, list[str]] = {}
        self.kept: set[str] = set()
        self._made = 0
        self._at: tuple[str, int] | None = None
        self._hit = asyncio.Event()
        self.h.cluster.store.subscribe(self.changed)

    def changed(self, change: Change) -> None:
        if change.resource != (GROUP, "gangs") or change.type == DELETED:
            return
        status = change.object.get("status") or {}
        decision = str((status.get("decision") or {}).get("id"))
        if status.get("phase") in ("Admitted", "Running"):
            known = self.decisions.setdefault(change.name, [])
            if decision not in known:
                known.append(decision)
        if status.get("phase") == "Finished" and decision == self.decisions[change.name][0]:
            self.kept.add(change.name)

    def written(self, replica: Replica, when: str) -> None:
        if self._at is None or not replica.leads or self._at[0] != when:
            return
        self._at = (when, self._at[1] - 1)
        if self._at[1] <= 0 and replica.link is not None:
            self._at = None
            replica.link.hold()
            self._hit.set()

    async def run(self) -> None:
        cluster, now = self.h.cluster, asyncio.get_running_loop().time
        await cluster.start(port=None)
        agents = asyncio.create_task(self._agents())
        for replica in self.replicas:
            replica.start()
        await asyncio.sleep(5)
        for number in range(RUNS):
            self.submit(3)
            leader = next(replica for replica in self.replicas if replica.leads)
            (other,) = (replica for replica in self.replicas if replica is not leader)
            if number % 2:
                await asyncio.sleep(self.random.uniform(0, 3))
                since = now()
                await leader.stop()
            else:
                self._hit.clear()
                self._at = (self.random.choice(["before", "after"]), self.random.randint(1, 30))
                await self._hit.wait()
                since = now()
                await leader.kill()
            while not other.leads:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            self.gaps["stopped" if number % 2 else "killed"].append(now() - since)
            leader.start()
            await asyncio.sleep(self.random.uniform(1, 4))
            self.judge.look()
        while set(self.h.gangs().values()) != {"Finished"}:  # noqa: ASYNC110
            await asyncio.sleep(1)
        agents.cancel()
        for replica in self.replicas:
            await replica.kill()
        await cluster.stop()

    def _told_of_node(self, name: str, uid: str) -> float:
        return next((each.told_of_node(uid) for each in self.replicas if each.name == name), -1.0)

    def _stint(self, term: int) -> str:
        return next(filter(None, (replica.stint(term) for replica in self.replicas)), "")

    def submit(self, count: int) -> None:
        for _ in range(count):
            self._made += 1
            slots, seconds = self.random.choice([1, 2, 4, 6]), self.random.choice([5, 15, 30])
            self.h.job(f"j{self._made}", slots=slots, run=seconds)

    async def _agents(self) -> None:
        while True:
            self.h.agents()
            await asyncio.sleep(0.5)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with silenced():
        yield


def test_failovers() -> None:
    bench = Failovers()
    run(bench.run())
    print()
    for what, limit in (("killed", KILLED_LIMIT_SECONDS), ("stopped", STOPPED_LIMIT_SECONDS)):
        gaps = bench.gaps[what]
        print(
            f"  nobody leads after a leader was {what}, {len(gaps)} times: median {statistics.median(gaps):.2f} s, "
            f"longest {max(gaps):.2f} s   limit {limit:.2f} s   ratio {max(gaps) / limit:.2f}"
        )
        assert max(gaps) <= limit
    gangs = len(bench.decisions)
    lost = gangs - len(bench.kept)
    double = sum(len(found) - 1 for found in bench.decisions.values())
    print(f"  of {gangs} decisions lost {lost}, made twice {double}   limit 0")
    assert (lost, double) == (0, 0)
