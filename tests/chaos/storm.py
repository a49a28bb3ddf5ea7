"""One run: random events from one seed, and after each a look at everything that must hold.

Four kinds of turns follow each other: what is lost in the hall soon returns; much is lost and stays lost, so that
limits would be exceeded for longer than any element stands it; trouble for the operators themselves; and leaders that
stand still and wake when another leads. Which comes first the seed says.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from random import Random
from typing import Any

from rackplane.localcluster import Request, Response, WallClock
from tests.chaos.hall import NODES, hall
from tests.chaos.hall_events import HallEvents
from tests.chaos.judge import Judge
from tests.chaos.replicas import Replica
from tests.chaos.trouble import Trouble
from tests.support.harness import START, Harness, Time

__all__ = ["Storm", "VirtualTime"]

TURNS = ("succession", "calm", "outage", "trouble")
TURN_SECONDS = 40.0
#: More of them would leave the hall half empty, suspended and lost, and no limit would be near.
EVENTS_A_SECOND = 2.5
#: Pods of a Job appear two at a time, and the next so much later.
PODS = {"job_most_pods": 2, "job_batch_seconds": 0.2}
#: How much faster pods run once nothing goes wrong any more, and how long the last of them may take.
END_PACE = 15.0
END_SECONDS = 3_000


class VirtualTime(Time):
    """The harness's clock on the event loop's."""

    def __init__(self) -> None:
        self._clock = WallClock()

    @property
    def now(self) -> float:  # type: ignore[override]
        return self._clock()


class Storm:
    """Args: ``seed``: decides everything; ``gangs``, ``events``: how many of each."""

    def __init__(self, *, seed: int, gangs: int, events: int) -> None:
        self.random = Random(seed)
        self.first_turn = seed
        self.gangs, self.events = gangs, events
        self.h = Harness(time=VirtualTime(), cluster=PODS)
        self.replicas = [Replica(self.h.cluster, f"op-{i}", f"{seed}", self.written) for i in range(2)]
        self.judge = Judge(self.h, self.stint, self.told_of_node)
        self.h.apply(*hall())
        self.happened: Counter[str] = Counter()
        self.log: list[str] = []
        self.hall = HallEvents(self.h, self.judge.books, self.random, self.note)
        self.trouble = Trouble(self.hall, self.replicas, self.random, self.note, self._task, self._submit)
        self.number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._handle = self.h.cluster.api.handle
        # Whose request a change comes from, the change itself does not say.
        self.h.cluster.api.handle = self._answer  # type: ignore[method-assign]

    # -- the run

    async def run(self) -> None:
        await self.h.cluster.start(port=None)
        agents = self._task(self._agents())
        try:
            for replica in self.replicas:
                replica.start()
            for _ in range(self.gangs // 10):
                self.hall.submit()
            turn = ""
            for number in range(self.events):
                self.number = number
                passed = int((self.h.time.now - START) / TURN_SECONDS)
                before, turn = turn, TURNS[(self.first_turn + passed) % len(TURNS)]
                weights = self._weights(turn, begins=turn != before)
                (event,) = self.random.choices(list(weights), list(weights.values()))
                event()
                await self.step(self.random.expovariate(EVENTS_A_SECOND))
            await self.finish()
        finally:
            agents.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # What one of them died of is raised when all have ended.
            async with AsyncExitStack() as ending:
                ending.push_async_callback(self.h.cluster.stop)
                for replica in reversed(self.replicas):
                    if replica.alive:
                        ending.push_async_callback(replica.kill)

    def _weights(self, turn: str, *, begins: bool) -> dict[Callable[[], None], int]:
        """How likely each event is next."""
        if begins:
            self.trouble.end()
        elif turn not in ("trouble", "succession"):
            self.trouble.revive()
        if begins:
            self.note(f"a turn: {turn}")
            if turn == "calm":
                self.hall.restore()
            elif turn == "outage":
                self.hall.outage()
        weights = {
            "calm": {**self.hall.usual, **self.trouble.calm},
            "outage": self.hall.lasting,
            "trouble": {**self.hall.usual, **self.trouble.usual},
            "succession": {**self.hall.usual, **self.trouble.succession},
        }[turn]
        # Jobs come evenly over the run.
        left = self.gangs - self.hall.made
        return {**weights, self.hall.submit: 40 * left // max(1, self.events - self.number) + bool(left)}

    async def step(self, seconds: float) -> None:
        """Let time pass, then look."""
        await asyncio.sleep(seconds)
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()
        for replica in self.replicas:
            replica.raise_its_problem()
        if self.trouble.blinds or not any(replica.leads for replica in self.replicas):
            self.judge.blind_at = self.judge.disturbed_at = self.h.time.now
        elif self.trouble.slows:
            self.judge.disturbed_at = self.h.time.now
        self.judge.look()

    async def finish(self) -> None:
        """Everything returns, and whatever can run runs to its end."""
        self.note("everything returns")
        self.trouble.end()
        self.h.pace = END_PACE
        while self.hall.made < self.gangs:
            self.hall.submit()
        for name in NODES:
            self.hall.return_node(name)
        self.hall.restore()
        for job in self.hall.jobs():
            self.hall.resume(job)
        end = self.h.time.now + END_SECONDS
        while set(self.h.gangs().values()) != {"Finished"} or len(self.h.gangs()) < self.gangs:
            assert self.h.time.now < end, f"not everything ran:\n{self.h.summary()}"
            await self.step(1)
        for each in self.h.cluster.store.items(("batch", "jobs")):
            done = {c["type"] for c in each["status"].get("conditions", ()) if c["status"] == "True"}
            assert "Complete" in done, (each["metadata"]["name"], each["status"])
        await self.step(30)
        held = [name for name, node in self.judge.books.nodes.items() if "rackplane.dev/gangs" in str(node)]
        assert not held, f"nodes that still carry caps: {held}"
        leader = next(replica for replica in self.replicas if replica.leads)
        assert leader.operator is not None and leader.operator.machine.state is not None
        assert list(leader.operator.machine.state.keys()) == []
        leader.operator.machine.validate()

    async def _agents(self) -> None:
        while True:
            self.h.agents(list(self.judge.books.on_nodes.values()))
            await asyncio.sleep(0.5)

    def _submit(self) -> None:
        if self.hall.made < self.gangs:
            self.hall.submit()

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        return task

    def _answer(self, request: Request) -> Response:
        # Tests prepare and look without an agent.
        self.judge.writer = request.agent if request.agent.startswith("op-") else ""
        try:
            return self._handle(request)
        finally:
            self.judge.writer = ""

    def written(self, replica: Replica, when: str) -> None:
        """A replica is about to write, or its write was answered."""
        if when == "before" and not replica.behind:
            self.judge.sends(replica.identity)
        self.trouble.written(replica, when)

    def stint(self, term: int) -> str:
        """Who leads in that term, and since which list; empty: nobody yet."""
        return next(filter(None, (replica.stint(term) for replica in self.replicas)), "")

    def told_of_node(self, name: str, uid: str) -> float:
        """For how many seconds the process of that name has known of a node; less than none if it does not."""
        return next((each.told_of_node(uid) for each in self.replicas if each.name == name), -1.0)

    def note(self, what: str) -> None:
        self.happened[what.partition(":")[0]] += 1
        self.log.append(f"{self.h.time.now - START:8.2f} {what}")
