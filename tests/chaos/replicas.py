"""Operators as a Deployment runs them: started, stopped, killed and paused, on connections that can be held.

Each is the whole operator (`rackplane.controller.operator.Operator`): machine, informers, elector, executor. Left out
is kopf, in whose place a plain watch tells of the facility.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import Any

import msgspec

from rackplane.controller.facility import PLURALS, Seen
from rackplane.controller.operator import Operator, Surroundings
from rackplane.controller.runtime import ClockSetBack
from rackplane.controller.settings import OperatorSettings
from rackplane.core.events import Event, LeadershipGained, NodeChanged
from rackplane.core.instructions import Instruction
from rackplane.core.machine import Machine
from rackplane.core.settings import MachineSettings
from rackplane.kube.client import ApiError, Client
from rackplane.kube.resources import facility
from rackplane.localcluster import LocalCluster, WallClock

__all__ = ["Link", "Replica"]

SETTINGS = OperatorSettings(
    namespace="rackplane-system",
    host="127.0.0.1",
    metrics_port=0,
    health_port=0,
    lease_seconds=4,
    lease_renew_seconds=1.5,
    lease_retry_seconds=0.5,
    shed_protected=True,
    actuation_seconds=5,
    restore_seconds=15,
    facility_resync_seconds=60,
    node_loss_seconds=10,
)


class Link:
    """The connection of one process. Held, nothing goes out and no answer comes in; broken, it is the process' end.

    Args:
        client: what it leads to.
        on_write: called with "before" as each write begins to be sent, and with "after" when it was answered.
    """

    def __init__(self, client: Client, on_write: Callable[[str], None]) -> None:
        self._client = client
        self._on_write = on_write
        self._open = asyncio.Event()
        self._open.set()
        self._renews_at = 0.0
        self.broken = False
        #: whether the write that `on_write` was last told of gives a gang a place
        self.commits = False

    @property
    def held(self) -> bool:
        return not self._open.is_set()

    def hold(self) -> None:
        self._open.clear()

    def let_go(self, renews_in: float = 0.0) -> None:
        """Args: ``renews_in``: seconds in which the Lease is not written yet: the clock of that stood still too."""
        self._renews_at = asyncio.get_running_loop().time() + renews_in
        self._open.set()

    def cut(self) -> None:
        self.broken = True
        self._open.set()

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
        writes = method != "GET" and "/leases" not in path
        if writes:
            self.commits = gives_a_place(body)
            self._on_write("before")
        await self._passage()
        if method != "GET" and not writes:
            await asyncio.sleep(max(0.0, self._renews_at - asyncio.get_running_loop().time()))
        answer = await self._client.request(
            method, path, query=query, body=body, content_type=content_type, timeout=timeout
        )
        if writes:
            self.commits = gives_a_place(body)
            self._on_write("after")
        await self._passage()
        return answer

    async def lines(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 330,  # noqa: ASYNC109
    ) -> AsyncGenerator[bytes, None]:
        await self._passage()
        async with aclosing(self._client.lines(path, query=query, timeout=timeout)) as lines:
            async for line in lines:
                await self._passage()
                yield line

    async def _passage(self) -> None:
        await self._open.wait()
        if self.broken:
            raise ApiError(0, "Transport", "this process is dead")


def gives_a_place(body: object) -> bool:
    """Whether it is what is written of a Gang when it was decided where that goes."""
    status = body.get("status") if isinstance(body, dict) else None
    return isinstance(status, dict) and bool(status.get("decision"))


class _Machine(Machine):
    """Counts how often it began to lead, and notes when it was first told of a node, by uid."""

    stints = 0

    def __init__(self, *, settings: MachineSettings) -> None:
        super().__init__(settings=settings)
        self.told: dict[str, float] = {}

    def handle(self, now: float, *events: Event) -> list[Instruction]:
        for event in events:
            if isinstance(event, NodeChanged):
                self.told.setdefault(event.node.metadata.uid, asyncio.get_running_loop().time())
            elif isinstance(event, LeadershipGained):
                self.stints += 1
        return super().handle(now, *events)


class Replica:
    """One place of the Deployment, and the process that is in it.

    Args:
        on_write: called with the replica and "before" or "after" at each of its writes.
        settings: but for the identity, which is another for each process.
    """

    def __init__(
        self,
        cluster: LocalCluster,
        name: str,
        seed: str,
        on_write: Callable[[Replica, str], None],
        settings: OperatorSettings = SETTINGS,
    ) -> None:
        self.name = name
        self.clock = WallClock()
        self._cluster = cluster
        self._seed = seed
        self._on_write = on_write
        self._settings = settings
        self._count = 0
        self._skew = 0.0
        #: seconds that its monotonic clock has lost, and since when it stands still
        self._lost = 0.0
        self._still_since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self.link: Link | None = None
        self.operator: Operator | None = None

    @property
    def identity(self) -> str:
        return f"{self.name}_{self._count}"

    @property
    def alive(self) -> bool:
        return self._task is not None

    @property
    def held(self) -> bool:
        return self.link is not None and self.link.held

    @property
    def leads(self) -> bool:
        return self.operator is not None and self.operator.machine.leading and not self.held

    def stint(self, term: int) -> str:
        """What its leadership in that term is called, paused or not; another name after a new list of the Gangs."""
        machine = None if self.operator is None else self.operator.machine
        if not isinstance(machine, _Machine) or not machine.leading or machine.world.term != term:
            return ""
        return f"{self.identity} {machine.stints}"

    def told_of_node(self, uid: str) -> float:
        """For how many seconds its process has known of a node; less than none if it does not."""
        machine = None if self.operator is None else self.operator.machine
        at = machine.told.get(uid) if isinstance(machine, _Machine) else None
        return -1.0 if at is None else asyncio.get_running_loop().time() - at

    @property
    def behind(self) -> bool:
        """Whether its monotonic clock has lost time: it cannot know when its term ended."""
        return self._lost > 0 or self._still_since is not None

    def monotonic(self) -> float:
        now = asyncio.get_running_loop().time() if self._still_since is None else self._still_since
        return now - self._lost

    def pause(self, *, frozen: bool = False) -> None:
        """As SIGSTOP; or ``frozen``, as a virtual machine that is suspended: its monotonic clock stands still."""
        if self.link is not None:
            self.link.hold()
            if frozen and self._still_since is None:
                self._still_since = asyncio.get_running_loop().time()

    def wake(self) -> None:
        if self.link is None or not self.link.held:
            return
        frozen, self._still_since = self._still_since, None
        if frozen is not None:
            self._lost += asyncio.get_running_loop().time() - frozen
        self.link.let_go(self._settings.lease_renew_seconds if frozen is not None else 0.0)

    def skew(self, seconds: float) -> None:
        """Its wall clock is off by so many seconds from now on."""
        self.clock.jump(seconds - self._skew)
        self._skew = seconds

    def start(self) -> None:
        """A new process, if there is none."""
        if self._task is not None:
            return
        self._count += 1
        self._lost, self._still_since = 0.0, None
        client = self._cluster.client(user="operator", agent=self.name)
        link = self.link = Link(client, lambda when: self._on_write(self, when))
        settings = replace(self._settings, identity=self.identity)
        around = Surroundings(
            wall=self.clock,
            monotonic=self.monotonic,
            random=Random(f"{self._seed}/{self.name}/{self._count}"),
            watch_facility=lambda seen: _watch_facility(link, seen),
        )
        operator = self.operator = Operator(settings=settings, client=link, surroundings=around)
        # As set, but for the pace at which words and figures are written, which nothing here looks at.
        slower: MachineSettings = replace(
            operator.machine.settings,
            status_seconds=20.0,
            status_refresh_seconds=120.0,
            queue_seconds=60.0,
            estimate_seconds=60.0,
            estimated_gangs=1,
            told_gangs=3,
            explain_gangs=1,
            explain_questions=1,
            explain_seconds=300.0,
        )
        operator.machine = _Machine(settings=slower)
        self._task = asyncio.create_task(self._run(operator, client.close), name=self.name)

    @staticmethod
    async def _run(operator: Operator, close: Callable[[], Any]) -> None:
        try:
            await operator.run()
        finally:
            await close()

    async def kill(self) -> None:
        """As SIGKILL: nothing is sent any more, not even the release of the Lease."""
        if self._task is None or self.link is None:
            return
        self.raise_its_problem()
        self.link.cut()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = self.operator = self.link = None

    async def stop(self) -> None:
        """As SIGTERM, to its end."""
        if self._task is None or self.operator is None:
            return
        task = self._task
        self.operator.stop()
        await asyncio.wait([task])
        if self._task is task:  # nobody has killed it meanwhile
            _clock_was_set_back(task)
            self._task = self.operator = self.link = None

    def raise_its_problem(self) -> None:
        """Raises what the process died of, if it died by itself; one whose clock was set back is started again."""
        if self._task is None or not self._task.done():
            return
        assert _clock_was_set_back(self._task), f"{self.name} ended"
        self._task = self.operator = self.link = None
        self.start()


def _clock_was_set_back(ended: asyncio.Task[None]) -> bool:
    """Whether that is what a process died of; raises what else it was."""
    try:
        ended.result()
    except ExceptionGroup as problems:
        _, others = problems.split(ClockSetBack)
        if others is not None:
            raise
        return True
    return False


async def _watch_facility(client: Client, seen: Seen) -> None:
    async with asyncio.TaskGroup() as tasks:
        for kind, plural in PLURALS.items():
            tasks.create_task(_watch_kind(client, kind, plural, seen))


async def _watch_kind(client: Client, kind: str, plural: str, seen: Seen) -> None:
    """List, then watch, for ever: as kopf does, which tells of what is listed with a type of None."""
    while True:
        try:
            document = msgspec.json.decode(await client.request("GET", facility(plural).path()))
            for item in document["items"]:
                seen(kind, None, {"apiVersion": "rackplane.dev/v1alpha1", "kind": kind, **item})
            query = {"watch": "true", "resourceVersion": document["metadata"]["resourceVersion"]}
            async with aclosing(client.lines(facility(plural).path(), query=query)) as lines:
                async for line in lines:
                    event = msgspec.json.decode(line)
                    if event["type"] == "ERROR":
                        break
                    if event["type"] != "BOOKMARK":
                        seen(kind, event["type"], event["object"])
        except (ApiError, msgspec.DecodeError):
            pass
        await asyncio.sleep(1)
