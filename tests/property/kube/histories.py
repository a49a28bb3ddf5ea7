"""A cluster with random writers and faults, two informers that follow it, and what both said in the end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from rackplane.kube.client import MERGE_PATCH, ApiError
from rackplane.localcluster import ApiError as Refused
from rackplane.localcluster import Fault, LocalCluster, WallClock
from rackplane.localcluster.effects import (
    Bookmarks,
    Compact,
    Cut,
    CutStream,
    Delay,
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

#: Seconds of quiet after which the informers must agree with the server, whatever was broken before: the silence of a
#: dead watch (90), a request that hangs (30) and the longest pause between attempts (30).
RECOVERY_SECONDS = 150.0

Step = tuple[str, int, int, float]


class History:
    """Carries out steps. `recoveries` are the seconds that each quiet point took to be reached."""

    def __init__(self, seed: int) -> None:
        self.clock = WallClock()
        self.cluster = LocalCluster(clock=self.clock, seed=seed)
        self.followers = (
            Follower(self.cluster, "all", selected=False, seed=seed),
            Follower(self.cluster, "selected", selected=True, seed=seed + 1),
        )
        self.recoveries: list[float] = []
        self._stales: tuple[int, ...] = (0,)
        self._relists: set[asyncio.Task[None]] = set()
        self._count = 0

    async def run(self, steps: list[Step]) -> None:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(follower.informer.run()) for follower in self.followers]
            for follower in self.followers:
                await follower.informer.synced.wait()
            for kind, which, how, pause in steps:
                with contextlib.suppress(Refused):
                    getattr(self, f"_{kind}")(which, how)
                await asyncio.sleep(pause)
                if kind == "quiet":
                    await self._settle()
            await self._settle()
            for task in running:
                task.cancel()
        for follower in self.followers:
            await follower.close()

    async def _settle(self) -> None:
        """A quiet point: nothing is written and nothing breaks any more."""
        self.cluster.faults.remove()
        self.cluster.faults.recover()
        now = asyncio.get_running_loop().time
        quiet, agreed = now(), now()
        while now() < quiet + RECOVERY_SECONDS:
            await asyncio.sleep(0.5)
            if not all(follower.agrees() for follower in self.followers):
                agreed = now()
        if self._relists:
            await asyncio.gather(*self._relists, return_exceptions=True)
        for follower in self.followers:
            assert follower.agrees(), (
                f"{follower.name} differs from the server after {RECOVERY_SECONDS} s of quiet"
            )
            follower.check()
        self.recoveries.append(agreed - quiet)

    # -- writers; `which` is an object, `how` a variant

    def _nothing(self, which: int, how: int) -> None:
        pass

    def _create(self, which: int, how: int) -> None:
        metadata: dict[str, Any] = {"name": f"m{which}", "labels": {"on": "true" if how % 2 else "false"}}
        if how >= 6:
            metadata["finalizers"] = ["example.com/hold"]
        self._count += 1
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"n": str(self._count)},
        }
        self.cluster.request("POST", PATH, body)

    def _update(self, which: int, how: int) -> None:
        stored = self.cluster.request("GET", f"{PATH}/m{which}")
        self._count += 1
        self.cluster.request("PUT", f"{PATH}/m{which}", {**stored, "data": {"n": str(self._count)}})

    def _label(self, which: int, how: int) -> None:
        self._patch(which, {"metadata": {"labels": {"on": "true" if how % 2 else "false"}}})

    def _release(self, which: int, how: int) -> None:
        self._patch(which, {"metadata": {"finalizers": None}})

    def _delete(self, which: int, how: int) -> None:
        self.cluster.request("DELETE", f"{PATH}/m{which}")

    def _recreate(self, which: int, how: int) -> None:
        self._delete(which, how)
        self._create(which, how)

    def _burst(self, which: int, how: int) -> None:
        for number in range(4):
            self._label(which, how + number)
            self._update((which + number) % 6, how)

    def _patch(self, which: int, body: dict[str, Any]) -> None:
        self.cluster.request("PATCH", f"{PATH}/m{which}", body, content_type=MERGE_PATCH)

    # -- what goes wrong; `which` chooses, `how` is how often or how long

    def _refuse(self, which: int, how: int) -> None:
        code = (409, 410, 429, 500, 503, 504)[which]
        wait = how if code == 429 else None
        self._arm(Fault(Refuse(code, retry_after=wait), verb="read", times=1 + how))

    def _lose(self, which: int, how: int) -> None:
        effect = (
            Cut(), Hang(), LoseAnswer(), LoseAnswer(silent=True), Delay(before=10, after=10), Delay(after=20)
        )[which]  # fmt: skip
        self._arm(Fault(effect, verb="read", times=1 + how % 3))

    def _stream(self, which: int, how: int) -> None:
        effect = self._stream_effect(which, how)
        if how % 2:
            self.cluster.faults.strike(effect, client="all" if how > 4 else "")
        else:
            self._arm(Fault(effect, times=1 + how // 3))

    def _stream_effect(self, which: int, how: int) -> StreamEffect:
        return (
            CutStream(events=how // 2),
            CutStream(events=how // 2, mid_line=True),
            HalfOpen(events=how // 2),
            StreamError(events=how // 2),
            StreamError(code=500, events=how // 2),
            CutStream(seconds=how),
        )[which]

    def _slow(self, which: int, how: int) -> None:
        effect = (Lag(1 + how), Lag(3 * how), Bookmarks(None), Bookmarks(1 + how), Bookmarks(80), Lag(0.1))[
            which
        ]
        self._arm(Fault(effect, times=1 + how % 2))
        if which < 2:
            self.cluster.faults.strike(CutStream())

    def _stale(self, which: int, how: int) -> None:
        # An informer believes a server that shows the past often enough: it may have been restored from a backup.
        self.cluster.faults.remove(*self._stales)
        self._stales = self.cluster.faults.add(Fault(Stale(1 + 4 * which, quorum=True), times=1 + how % 3))
        if how > 3:
            self.cluster.faults.strike(StreamError())

    def _compact(self, which: int, how: int) -> None:
        if how % 2:
            self._arm(Fault(Compact(), verb="watch" if which % 2 else "list"))
        else:
            self.cluster.store.compact(max(1, self.cluster.store.revision - which))

    def _outage(self, which: int, how: int) -> None:
        self.cluster.faults.outage(seconds=1 + 12 * how, silent=which % 2 == 1)

    def _jump(self, which: int, how: int) -> None:
        self._arm(Fault(Jump(3600 * (which - 2))))

    def _relist(self, which: int, how: int) -> None:
        """As a new leader does, beside whatever is going on; mostly with an answer that events overtake."""
        follower = self.followers[which % 2]
        if how:
            self._arm(Fault(Delay(after=how), verb="list", client=follower.name))

        async def relist() -> None:
            with contextlib.suppress(ApiError):
                await follower.informer.relist()

        task = asyncio.create_task(relist())
        self._relists.add(task)
        task.add_done_callback(self._relists.discard)

    def _quiet(self, which: int, how: int) -> None:
        pass

    def _arm(self, fault: Fault) -> None:
        self.cluster.faults.add(fault)
