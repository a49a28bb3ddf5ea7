"""Carries out instructions: concurrently, in order for any one object, and reports each outcome as an event."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from rackplane.api.kinds import KINDS
from rackplane.controller.metrics import Metrics
from rackplane.controller.requests import failure, requests_for, subject
from rackplane.core.events import Event, FailureReason, LeadershipLost, WriteFailed, WriteSucceeded
from rackplane.core.instructions import CommitGang, Instruction, PublishEvent
from rackplane.kube.client import ApiError, Client

__all__ = ["Executor", "Verifier"]

#: The longest an API server can make us wait with `Retry-After`, in seconds.
_LONGEST_PAUSE: Final = 60.0
#: Kinds of which only the status and the finalizers are written.
_FACILITY: Final = tuple(model.info.kind for model in KINDS if model.info.kind != "Gang")


class Verifier(Protocol):
    """The part of `rackplane.kube.leader.Elector` that writing needs."""

    async def verify(self) -> bool: ...


class Executor:
    """Instructions in, requests out, outcomes back.

    Compare-and-swap on a Gang does not fence a leader that was replaced without noticing. So after every commit the
    Lease is read again, and only a holder hears that its commit succeeded; anybody else hears `LeadershipLost`, and
    the successor sees the commit's lower term.

    Args:
        client: sends the requests.
        elector: knows who holds the Lease.
        feed: takes the outcomes.
        metrics: counts them.
        concurrency: the most requests at a time. Kubernetes Events, and the facility's status, have a few of their own
            and never delay what starts a job.
        tasks: the group that the requests run in: a defect in one must end the process, not be swallowed.
        clock: seconds since the epoch, for the time that Events show.
    """

    def __init__(
        self,
        *,
        client: Client,
        elector: Verifier,
        feed: Callable[[Event], None],
        metrics: Metrics,
        tasks: asyncio.TaskGroup,
        concurrency: int = 32,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._elector = elector
        self._feed = feed
        self._metrics = metrics
        self._tasks = tasks
        self._clock = clock
        self._sleep = sleep
        self._writes = asyncio.Semaphore(concurrency)
        # By the first word of a subject.
        self._aside = {"Event": asyncio.Semaphore(max(1, concurrency // 8))}
        self._aside |= dict.fromkeys(_FACILITY, asyncio.Semaphore(max(1, concurrency // 8)))
        self._lease = asyncio.Lock()
        self._next_look: asyncio.Task[bool] | None = None
        self._queues: dict[tuple[str, ...], deque[Instruction]] = {}
        self._workers: set[asyncio.Task[None]] = set()

    def submit(self, instruction: Instruction) -> None:
        """Carry out an instruction, after those already submitted for the same object; returns at once."""
        key = subject(instruction)
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(instruction)
            return
        self._queues[key] = deque([instruction])
        worker = self._tasks.create_task(self._work(key), name=f"write {'/'.join(key)}")
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    def abandon(self) -> None:
        """Drop what has not been sent yet: this process no longer leads. What is under way is left to end."""
        for queue in self._queues.values():
            while queue:
                self._feed(WriteFailed(queue.popleft(), FailureReason.UNAVAILABLE, "not the leader any more"))

    async def drain(self, seconds: float) -> None:
        """Wait for what is under way, at most that long, then cut it off."""
        if self._workers:
            _, pending = await asyncio.wait(set(self._workers), timeout=seconds)
            for worker in pending:
                worker.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    @property
    def backlog(self) -> int:
        """Instructions waiting or under way."""
        return len(self._workers) + sum(len(queue) for queue in self._queues.values())

    async def _work(self, key: tuple[str, ...]) -> None:
        queue = self._queues[key]
        limit = self._aside.get(key[0], self._writes)
        try:
            while queue:
                async with limit:
                    # Taken only now, so that `abandon` finds everything that waits for its turn.
                    if not queue:
                        break
                    outcome, pause = await self._carry_out(queue.popleft())
                if isinstance(outcome, WriteSucceeded) and isinstance(outcome.instruction, CommitGang):
                    outcome = await self._confirm(outcome)
                if pause:
                    await self._sleep(pause)
                self._feed(outcome)
        finally:
            # No await since the queue was seen empty: nothing can have been added in between.
            del self._queues[key]

    async def _carry_out(self, instruction: Instruction) -> tuple[Event, float]:
        """The outcome, and how many seconds to wait before telling it."""
        write = requests_for(instruction, now=self._clock())
        try:
            await self._client.request(
                write.method,
                write.path,
                body=write.body,
                content_type=write.content_type,
            )
        except ApiError as error:
            self._metrics.count_request(write.method, error.status)
            reason = failure(error)
            self._count_attempt(instruction, reason.value)
            if isinstance(instruction, PublishEvent):
                reason = FailureReason.REJECTED  # only words are lost: never worth a second request
            pause = self._pause(error) if reason is FailureReason.UNAVAILABLE else 0.0
            return WriteFailed(instruction, reason, error.message or error.reason), pause
        self._metrics.count_request(write.method, 200 if write.method != "POST" else 201)
        return WriteSucceeded(instruction), 0.0

    async def _confirm(self, outcome: WriteSucceeded) -> Event:
        """What is to be told of a commit that the API server has taken."""
        if self._next_look is None:
            self._next_look = self._tasks.create_task(self._look_at_lease(), name="look at the Lease")
        # Shielded: others may wait for the same look.
        holds = await asyncio.shield(self._next_look)
        self._count_attempt(outcome.instruction, "admitted" if holds else "fenced")
        return outcome if holds else LeadershipLost()

    async def _look_at_lease(self) -> bool:
        """One look for all whose commits were answered before it began; who comes later joins the next."""
        async with self._lease:
            self._next_look = None
            return await self._elector.verify()

    @staticmethod
    def _pause(error: ApiError) -> float:
        # The machine paces its own retries; a server that names a time knows better.
        return min(error.retry_after or 0.0, _LONGEST_PAUSE)

    def _count_attempt(self, instruction: Instruction, result: str) -> None:
        if isinstance(instruction, CommitGang):
            self._metrics.admission_attempts.labels(result=result.lower()).inc()
