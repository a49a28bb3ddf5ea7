"""Sees, from outside, when pods are let go and bound and when gangs are admitted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sized
from contextlib import aclosing, asynccontextmanager

import msgspec

from rackplane.kube.client import KubeClient

__all__ = ["PATIENCE", "Sight", "watched"]

PATIENCE = 900.0
"""Seconds that one step may take before the benchmark gives up."""


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""


class _Spec(msgspec.Struct, rename="camel"):
    node_name: str = ""
    scheduling_gates: list[msgspec.Raw] = []


class _Status(msgspec.Struct):
    phase: str = ""


class _Object(msgspec.Struct):
    metadata: _Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _Event(msgspec.Struct):
    type: str
    object: _Object


class _List(msgspec.Struct):
    metadata: _Meta


_event = msgspec.json.Decoder(_Event)
_list = msgspec.json.Decoder(_List)


class Sight:
    """What has been seen since the watch began: name -> monotonic seconds."""

    def __init__(self) -> None:
        self.ungated: dict[str, float] = {}
        self.bound: dict[str, float] = {}
        self.phases: dict[str, str] = {}
        self.admitted: dict[str, float] = {}
        self._news = asyncio.Event()

    def pod(self, event: _Event) -> None:
        name, now = event.object.metadata.name, time.perf_counter()
        if event.type == "DELETED":
            return
        if not event.object.spec.scheduling_gates:
            self.ungated.setdefault(name, now)
        if event.object.spec.node_name:
            self.bound.setdefault(name, now)
        self._news.set()

    def gang(self, event: _Event) -> None:
        name, phase = event.object.metadata.name, event.object.status.phase
        self.phases[name] = phase
        if phase == "Admitted":
            self.admitted.setdefault(name, time.perf_counter())
        self._news.set()

    async def until(self, seen: Sized, count: int, check: Callable[[], None] = lambda: None) -> None:
        """Wait until so many names are in it; `check` raises if they cannot come any more.

        Raises RuntimeError with how far it came if that takes longer than PATIENCE.
        """
        seconds = PATIENCE
        end, step = time.monotonic() + seconds, 1.0
        while len(seen) < count:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), step)
            check()
            if time.monotonic() > end:
                raise RuntimeError(f"{len(seen)} of {count} were seen in {seconds:.0f} s")


@asynccontextmanager
async def watched(client: KubeClient, pods: str, gangs: str | None = None) -> AsyncIterator[Sight]:
    """Watch the pods, and the Gangs, at these paths, from before the block begins; an ExceptionGroup if one breaks."""
    sight = Sight()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_follow(client, pods, await _version(client, pods), sight.pod))]
        if gangs is not None:
            tasks.append(group.create_task(_follow(client, gangs, await _version(client, gangs), sight.gang)))
        yield sight
        for task in tasks:
            task.cancel()


async def _version(client: KubeClient, path: str) -> str:
    return _list.decode(await client.request("GET", path, query={"limit": "1"})).metadata.resource_version


async def _follow(client: KubeClient, path: str, version: str, tell: Callable[[_Event], None]) -> None:
    # A server ends the watch of a client that it finds slow; from the last version on nothing is missed.
    while True:
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "3000"}
        async with aclosing(client.lines(path, query=query, timeout=3000)) as lines:
            async for line in lines:
                event = _event.decode(line)
                if event.type == "ERROR":
                    raise RuntimeError(f"the watch of {path} broke: {line[:300]!r}")
                version = event.object.metadata.resource_version
                tell(event)
