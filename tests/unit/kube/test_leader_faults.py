"""The elector against every fault by name: never two that lead, and a leader again within a stated time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from rackplane.kube.leader import Elector
from rackplane.localcluster import Fault, LocalCluster, WallClock
from rackplane.localcluster.client import LocalClient
from rackplane.localcluster.effects import Act, Cut, Delay, Effect, Hang, LoseAnswer, Refuse
from rackplane.localcluster.requests import Request
from tests.support.virtualtime import virtual

NAMES = ("a", "b")
PATH = "/apis/coordination.k8s.io/v1/namespaces/default/leases/rackplane"
#: Between two looks at who leads.
LOOK_SECONDS = 0.05
#: The Lease's 15 s, counted by the successor from when it last saw the record change, and its own retries and requests.
SUCCESSION_SECONDS = 15 + 2 + 5 + 2


class Bench:
    """Two candidates, each with a client and a wall clock of its own, and somebody who looks at both all the time."""

    def __init__(self) -> None:
        self.cluster = LocalCluster(clock=WallClock(), seed=3)
        self.faults = self.cluster.faults
        self.clocks = {name: WallClock() for name in NAMES}
        self.acting: set[str] = set()
        self.told: list[str] = []
        #: the longest time without a leader since it was last reset
        self.gap = 0.0
        self._since = 0.0
        self._clients: list[LocalClient] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.electors: dict[str, Elector] = {}

    async def __aenter__(self) -> Bench:
        for name in NAMES:
            client = self.cluster.client(agent=name)
            self._clients.append(client)
            self.electors[name] = Elector(
                client,
                namespace="default",
                name="rackplane",
                identity=name,
                monotonic=asyncio.get_running_loop().time,
                wall=self.clocks[name],
            )
        self._tasks.append(asyncio.create_task(self._look()))
        for name in NAMES:
            self._tasks.append(asyncio.create_task(self._run(name)))
            await asyncio.sleep(1)
        assert self.leader == "a"
        self.gap = 0.0
        return self

    async def __aexit__(self, *problem: object) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            await client.close()

    async def _run(self, name: str) -> None:
        async def gained(term: int) -> None:
            self.acting.add(name)
            self.told.append(f"{name} gains {term}")
            self._never_two()
            # A leader acts until it is cancelled.
            await asyncio.get_running_loop().create_future()

        async def lost() -> None:
            self.acting.discard(name)
            self.told.append(f"{name} loses")

        await self.electors[name].run(gained, lost)

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            self._never_two()
            if self.leader:
                self._since = now()
            self.gap = max(self.gap, now() - self._since)
            await asyncio.sleep(LOOK_SECONDS)

    def _never_two(self) -> None:
        leading = {name for name, elector in self.electors.items() if elector.term is not None}
        assert len(leading) <= 1, f"two terms: {self.told}"
        assert len(self.acting) <= 1, f"two act: {self.told}"

    @property
    def leader(self) -> str:
        """Who has a term and acts in it."""
        return "".join(name for name in self.acting if self.electors[name].term is not None)

    async def verified(self) -> str:
        """Who still holds the Lease by its own check."""
        return "".join([name for name, elector in self.electors.items() if await elector.verify()])


@dataclass(frozen=True)
class Case:
    """A fault on every request of one kind by the leader, for two minutes.

    leader: who leads after that. gap: seconds that nobody may have led in between at most.
    """

    effect: Effect
    leader: str
    gap: float = 0.0
    verb: str = ""


CASES = {
    "latency that a renewal survives": Case(Delay(before=2, after=2), "a"),
    "latency before the server acts, beyond a request": Case(Delay(before=8), "b", 20),
    "latency before the answer, beyond a request": Case(Delay(after=8), "b", 14),
    "409 on every renewal": Case(Refuse(409), "b", 8, "update"),
    "429 with Retry-After": Case(Refuse(429, retry_after=7), "b", 8),
    "500": Case(Refuse(500), "b", 8),
    "503": Case(Refuse(503), "b", 8),
    "504": Case(Refuse(504), "b", 8),
    "cut before the server acts": Case(Cut(), "b", 8),
    "half-open: no answer, ever": Case(Hang(), "b", 8),
    "renewals whose answers are lost": Case(LoseAnswer(), "b", 20, "update"),
    "renewals whose answers are lost in silence": Case(LoseAnswer(silent=True), "b", 26, "update"),
    "every answer lost": Case(LoseAnswer(), "b", 14),
}


@pytest.mark.parametrize("name", CASES)
@virtual
async def test_leadership_under(name: str) -> None:
    case = CASES[name]
    async with Bench() as bench:
        bench.faults.add(
            Fault(case.effect, verb=case.verb, resource="leases", client="a", times=None, seconds=120)
        )
        await asyncio.sleep(120)
        assert bench.leader == case.leader, bench.told
        assert bench.faults.count(case.effect) > 0
        assert bench.gap <= case.gap + LOOK_SECONDS, (bench.gap, bench.told)
        # And after it: one leader, who can show it, and no more changes.
        await asyncio.sleep(60)
        told = list(bench.told)
        assert await bench.verified() == bench.leader
        await asyncio.sleep(120)
        assert bench.told == told


@pytest.mark.parametrize("silent", [False, True])
@virtual
async def test_an_unreachable_server_has_no_leader_and_then_one(silent: bool) -> None:
    async with Bench() as bench:
        bench.faults.outage(seconds=60, silent=silent)
        await asyncio.sleep(11)
        assert bench.leader == "" and bench.acting == set()
        await asyncio.sleep(49)
        assert bench.leader == ""
        await asyncio.sleep(7)
        assert bench.leader != "" and await bench.verified() == bench.leader


@pytest.mark.parametrize("seconds", [3600, -3600, -5.0, -0.001])
@pytest.mark.parametrize("whose", NAMES)
@virtual
async def test_clock_jumps_change_nothing(whose: str, seconds: float) -> None:
    async with Bench() as bench:
        for _ in range(12):
            await asyncio.sleep(5)
            bench.clocks[whose].jump(seconds)
        assert bench.told == ["a gains 1"]
        assert bench.gap <= LOOK_SECONDS


@virtual
async def test_a_wall_clock_that_stands_still_changes_nothing() -> None:
    # The successor sees a renewal by its time being another: two with the same time would look like none.
    async with Bench() as bench:
        at = bench.clocks["a"]()

        def still(request: Request) -> None:
            bench.clocks["a"].jump(at - bench.clocks["a"]())

        bench.faults.add(Fault(Act(before=still), client="a", times=None))
        await asyncio.sleep(90)
        assert bench.told == ["a gains 1"]


@virtual
async def test_a_renewal_of_several_requests_does_not_outlast_the_term() -> None:
    # Each of them slow: the refused renewal, the reading and the next renewal together could take 15 s.
    async with Bench() as bench:
        bench.faults.add(
            Fault(Delay(before=4.9), client="a", times=None),
            Fault(Refuse(409), verb="update", client="a", times=None),
        )
        now, lost_at = asyncio.get_running_loop().time, 0.0
        while not lost_at:
            await asyncio.sleep(LOOK_SECONDS)
            if "a" not in bench.acting:
                lost_at = now()
        # Renewed at 0 at the latest, and led until 10.
        assert lost_at <= 10 + LOOK_SECONDS * 2
        await asyncio.sleep(30)
        assert bench.leader == "b"


@virtual
async def test_the_holder_dies_and_another_takes_over() -> None:
    async with Bench() as bench:
        bench.faults.add(Fault(Hang(), client="a", times=None))
        await asyncio.sleep(SUCCESSION_SECONDS)
        assert bench.told == ["a gains 1", "a loses", "b gains 2"]
        assert bench.gap <= SUCCESSION_SECONDS - 10
