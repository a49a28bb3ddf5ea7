"""Carries out instructions: concurrently, in order for any one object, and reports each outcome as an event."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

from rackplane.controller.lanes import Lane, Lanes, Subject
from rackplane.controller.metrics import Metrics
from rackplane.controller.metrics.deciding import ERROR, FENCED, STALE, SUCCESS
from rackplane.controller.requests import failure, requests_for, subject
from rackplane.core.events import Event, FailureReason, LeadershipLost, WriteFailed, WriteSucceeded
from rackplane.core.instructions import CommitGang, Instruction, PublishEvent
from rackplane.kube.client import ApiError, Client

__all__ = ["Executor", "Verifier"]

#: The longest an API server can make us wait with `Retry-After`, in seconds.
_LONGEST_PAUSE: Final = 60.0


#: Why a write was not sent.
NOT_LEADING: Final = "not the leader any more"


class Verifier(Protocol):
    """The part of `rackplane.kube.leader.Elector` that writing needs."""

    @property
    def term(self) -> int | None: ...

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
            and never delay what starts a job (`lanes`).
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
        self._lanes = Lanes(concurrency)
        self._lease = asyncio.Lock()
        self._next_look: asyncio.Task[bool] | None = None
        # What is to be written to each subject after what is under way. A subject with an entry waits in its lane, or
        # a write to it is under way or not concluded yet: never two of these, which keeps its writes in order.
        self._queues: dict[Subject, deque[Instruction]] = {}
        self._under_way = 0
        self._running: set[asyncio.Task[None]] = set()

    def submit(self, instruction: Instruction) -> None:
        """Carry out an instruction, after those already submitted for the same object; returns at once."""
        key = subject(instruction)
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(instruction)
            return
        self._queues[key] = deque([instruction])
        self._line_up(key, instruction)

    def abandon(self) -> None:
        """Drop what has not been sent yet: this process no longer leads. What is under way is left to end."""
        for queue in self._queues.values():
            while queue:
                self._feed(WriteFailed(queue.popleft(), FailureReason.UNAVAILABLE, NOT_LEADING))

    async def drain(self, seconds: float) -> None:
        """Wait for what is under way, at most that long, then cut it off."""
        if self._running:
            _, pending = await asyncio.wait(set(self._running), timeout=seconds)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    @property
    def backlog(self) -> int:
        """Instructions waiting or under way."""
        return self._under_way + sum(len(queue) for queue in self._queues.values())

    def _line_up(self, key: Subject, instruction: Instruction) -> None:
        lane = self._lanes.of(key)
        lane.add(key, instruction)
        if lane.enter():
            self._run(self._work(lane), "writes")

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._tasks.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _work(self, lane: Lane) -> None:
        """Send one write after the other until none waits in the lane."""
        try:
            while (key := lane.take()) is not None:
                queue = self._queues[key]
                # Taken only now, so that `abandon` finds everything that waits for its turn.
                if not queue:
                    del self._queues[key]
                    continue
                self._under_way += 1
                outcome, pause = await self._carry_out(queue.popleft())
                committed = isinstance(outcome, WriteSucceeded) and isinstance(
                    outcome.instruction, CommitGang
                )
                if committed or pause:
                    # What is left takes its time: others have the place meanwhile.
                    self._run(self._conclude(key, outcome, pause), f"conclude {'/'.join(key)}")
                else:
                    self._tell(key, outcome)
        finally:
            lane.leave()

    async def _conclude(self, key: Subject, outcome: Event, pause: float) -> None:
        if isinstance(outcome, WriteSucceeded):
            outcome = await self._confirm(outcome)
        else:
            await self._sleep(pause)
        self._tell(key, outcome)

    def _tell(self, key: Subject, outcome: Event) -> None:
        self._under_way -= 1
        self._feed(outcome)
        queue = self._queues[key]
        if queue:
            self._line_up(key, queue[0])
        else:
            del self._queues[key]

    async def _carry_out(self, instruction: Instruction) -> tuple[Event, float]:
        """The outcome, and how many seconds to wait before telling it."""
        if self._elector.term is None:
            # A process that was paused knows by its own clock, before anybody has told it.
            return WriteFailed(instruction, FailureReason.UNAVAILABLE, NOT_LEADING), 0.0
        write = requests_for(instruction, now=self._clock())
        began = time.perf_counter()
        try:
            await self._client.request(
                write.method,
                write.path,
                body=write.body,
                content_type=write.content_type,
                query=write.query,
            )
        except ApiError as error:
            self._metrics.count_request(write.method, error.status, time.perf_counter() - began)
            reason = failure(error)
            stale = reason in (FailureReason.CONFLICT, FailureReason.GONE)
            self._count_attempt(instruction, STALE if stale else ERROR)
            if isinstance(instruction, PublishEvent):
                reason = FailureReason.REJECTED  # only words are lost: never worth a second request
            pause = self._pause(error) if reason is FailureReason.UNAVAILABLE else 0.0
            return WriteFailed(instruction, reason, error.message or error.reason), pause
        code = 200 if write.method != "POST" else 201
        self._metrics.count_request(write.method, code, time.perf_counter() - began)
        return WriteSucceeded(instruction), 0.0

    async def _confirm(self, outcome: WriteSucceeded) -> Event:
        """What is to be told of a commit that the API server has taken."""
        if self._next_look is None:
            self._next_look = self._tasks.create_task(self._look_at_lease(), name="look at the Lease")
        # Shielded: others may wait for the same look.
        holds = await asyncio.shield(self._next_look)
        self._count_attempt(outcome.instruction, SUCCESS if holds else FENCED)
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
        if isinstance(instruction, CommitGang) and instruction.admits:
            self._metrics.count_attempt(result)
