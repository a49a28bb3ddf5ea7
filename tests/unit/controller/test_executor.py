"""Order, concurrency, fencing and what is told of failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest
from prometheus_client import generate_latest

from rackplane.controller.executor import Executor
from rackplane.controller.metrics import Metrics
from rackplane.core.events import Event, FailureReason, LeadershipLost, WriteFailed, WriteSucceeded
from rackplane.core.instructions import (
    CapNode,
    CommitGang,
    CreateGang,
    Instruction,
    PublishEvent,
    SetFinalizers,
    UngatePod,
    WriteFacilityStatus,
    WriteGangStatus,
)
from rackplane.kube.client import ApiError


class Server:
    """Answers when told to; `refusals` by path."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self._more = asyncio.Condition()
        self.refusals: dict[str, ApiError] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.holds = True
        self.term: int | None = 1
        self.looks: list[asyncio.Future[bool]] | None = None

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
        self.started.append(f"{method} {path.rpartition('/gangs')[2] or '/'}")
        async with self._more:
            self._more.notify_all()
        await self.open.wait()
        if path in self.refusals:
            raise self.refusals[path]
        return b"{}"

    async def reached(self, count: int) -> None:
        async with self._more:
            await self._more.wait_for(lambda: len(self.started) >= count)

    async def lines(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 330,  # noqa: ASYNC109
    ) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError
        yield b""

    async def verify(self) -> bool:
        if self.looks is None:
            return self.holds
        look: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.looks.append(look)
        async with self._more:
            self._more.notify_all()
        return await look

    async def looked(self, count: int) -> None:
        async with self._more:
            await self._more.wait_for(lambda: len(self.looks or ()) >= count)


COMMITTED = "/apis/rackplane.dev/v1alpha1/namespaces/ml/gangs/a/status"


def status(name: str, position: int) -> WriteGangStatus:
    return WriteGangStatus("ml", name, "1", {"position": position})


async def run(server: Server, *instructions: Any, **options: Any) -> tuple[list[Event], Metrics]:
    told: list[Event] = []
    metrics = Metrics()
    async with asyncio.TaskGroup() as tasks:
        executor = Executor(
            client=server, elector=server, feed=told.append, metrics=metrics, tasks=tasks, **options
        )
        for instruction in instructions:
            executor.submit(instruction)
    assert executor.backlog == 0
    return told, metrics


async def test_one_object_is_written_in_order_and_others_meanwhile() -> None:
    server = Server()
    server.open.clear()
    told: list[Event] = []
    async with asyncio.TaskGroup() as tasks:
        executor = Executor(client=server, elector=server, feed=told.append, metrics=Metrics(), tasks=tasks)
        first, second, other = status("a", 1), status("a", 2), status("b", 1)
        for instruction in (first, second, other):
            executor.submit(instruction)
        await server.reached(2)
        assert server.started == ["PATCH /a/status", "PATCH /b/status"]
        server.open.set()
    assert server.started == ["PATCH /a/status", "PATCH /b/status", "PATCH /a/status"]
    assert [t for t in told if t != WriteSucceeded(other)] == [WriteSucceeded(first), WriteSucceeded(second)]


async def test_nodes_are_capped_side_by_side_and_an_objects_status_and_finalizers_one_after_the_other() -> (
    None
):
    server = Server()
    server.open.clear()
    told: list[Event] = []
    caps = [CapNode(name, "1", {"rackplane.dev/power-cap-watts": "4800"}) for name in ("n1", "n2")]
    held = SetFinalizers("Rack", "r1", "1", ("rackplane.dev/in-use",))
    described = WriteFacilityStatus("Rack", "r1", {})
    server.refusals["/api/v1/nodes/n2"] = ApiError(409, "Conflict", "changed")
    async with asyncio.TaskGroup() as tasks:
        executor = Executor(client=server, elector=server, feed=told.append, metrics=Metrics(), tasks=tasks)
        submitted: list[Instruction] = [*caps, held, described]
        for instruction in submitted:
            executor.submit(instruction)
        await server.reached(3)
        racks = "PATCH /apis/rackplane.dev/v1alpha1/racks/r1"
        assert server.started == ["PATCH /api/v1/nodes/n1", "PATCH /api/v1/nodes/n2", racks]
        server.open.set()
    assert server.started[3:] == [f"{racks}/status"]
    assert told == [
        WriteSucceeded(caps[0]),
        WriteFailed(caps[1], FailureReason.CONFLICT, "changed"),
        WriteSucceeded(held),
        WriteSucceeded(described),
    ]


async def test_abandoned_writes_are_never_sent_and_are_told() -> None:
    server = Server()
    server.open.clear()
    told: list[Event] = []
    async with asyncio.TaskGroup() as tasks:
        executor = Executor(
            client=server, elector=server, feed=told.append, metrics=Metrics(), tasks=tasks, concurrency=1
        )
        instructions = [status("a", 1), status("a", 2), status("b", 1)]
        for instruction in instructions:
            executor.submit(instruction)
        await server.reached(1)
        executor.abandon()
        server.open.set()
    assert server.started == ["PATCH /a/status"]
    dropped = [WriteFailed(i, FailureReason.UNAVAILABLE, "not the leader any more") for i in instructions[1:]]
    assert told == [*dropped, WriteSucceeded(instructions[0])]


async def test_a_commit_counts_only_while_the_lease_is_ours() -> None:
    commit = CommitGang("ml", "a", "1", "d1", {"phase": "Admitted"})
    server = Server()
    told, metrics = await run(server, commit)
    assert told == [WriteSucceeded(commit)]
    assert b'rackplane_admission_attempts_total{result="success"} 1.0' in generate_latest(metrics.registry)

    server.holds = False
    told, metrics = await run(server, commit)
    assert told == [LeadershipLost()]
    assert b'rackplane_admission_attempts_total{result="fenced"} 1.0' in generate_latest(metrics.registry)


@pytest.mark.parametrize(
    ("status", "result"), [(409, "stale"), (404, "stale"), (422, "error"), (503, "error"), (0, "error")]
)
async def test_a_commit_that_fails_is_an_attempt_too(status: int, result: str) -> None:
    server = Server()
    server.refusals = {COMMITTED: ApiError(status, "Refused", "no")}
    _, metrics = await run(server, CommitGang("ml", "a", "1", "d1", {"phase": "Admitted"}))
    value = metrics.registry.get_sample_value("rackplane_admission_attempts_total", {"result": result})
    assert value == 1
    # What changes the place of one that runs is no attempt to admit it.
    _, metrics = await run(server, CommitGang("ml", "a", "1", "d1", {"slots": 3}))
    assert metrics.registry.get_sample_value("rackplane_admission_attempts_total", {"result": result}) == 0


async def test_a_process_whose_term_has_run_out_sends_nothing() -> None:
    commit, server = CommitGang("ml", "a", "1", "d1", {"phase": "Admitted"}), Server()
    server.term = None
    told, _ = await run(server, commit)
    assert told == [WriteFailed(commit, FailureReason.UNAVAILABLE, "not the leader any more")]
    assert server.started == []


async def test_commits_answered_before_a_look_at_the_lease_share_it_and_later_ones_the_next() -> None:
    commits = [CommitGang("ml", name, "1", "d1", {}) for name in "abc"]
    server = Server()
    server.looks = []
    told: list[Event] = []
    async with asyncio.TaskGroup() as tasks:
        executor = Executor(
            client=server, elector=server, feed=told.append, metrics=Metrics(), tasks=tasks, concurrency=1
        )
        executor.submit(commits[0])
        await server.looked(1)
        # A commit that waits for its look leaves its place to others.
        for commit in commits[1:]:
            executor.submit(commit)
        await server.reached(3)
        for _ in range(10):
            await asyncio.sleep(0)
        assert told == []
        server.looks[0].set_result(True)
        await server.looked(2)
        server.looks[1].set_result(False)
    assert len(server.looks) == 2
    assert told == [WriteSucceeded(commits[0]), LeadershipLost(), LeadershipLost()]


async def test_the_facilitys_status_never_takes_the_place_of_a_gangs_write() -> None:
    server = Server()
    server.open.clear()
    racks = [WriteFacilityStatus("Rack", f"r{n}", {}) for n in range(40)]
    async with asyncio.TaskGroup() as tasks:
        executor = Executor(
            client=server, elector=server, feed=lambda _: None, metrics=Metrics(), tasks=tasks, concurrency=8
        )
        for rack in racks:
            executor.submit(rack)
        executor.submit(status("a", 1))
        await server.reached(2)
        assert server.started == [
            "PATCH /apis/rackplane.dev/v1alpha1/racks/r0/status",
            "PATCH /a/status",
        ]
        server.open.set()
    assert len(server.started) == 41


def ungate(pod: str) -> UngatePod:
    return UngatePod("ml", pod, "u", "1", "n1", 0, "a", "MaxP", ())


async def test_gangs_that_have_a_place_start_before_others_are_given_one_and_words_come_last() -> None:
    server = Server()
    server.open.clear()
    commit, pods = CommitGang("ml", "b", "1", "d1", {}), [ungate(f"p{n}") for n in range(3)]
    cap = CapNode("n1", "1", {"rackplane.dev/power-cap-watts": "4800"})
    async with asyncio.TaskGroup() as tasks:
        executor = Executor(
            client=server, elector=server, feed=lambda _: None, metrics=Metrics(), tasks=tasks, concurrency=1
        )
        first: list[Instruction] = [CreateGang("ml", "a", {}), status("c", 1), commit, cap, *pods]
        for instruction in first:
            executor.submit(instruction)
        await server.reached(1)
        server.open.set()
    assert server.started == [
        "PATCH /api/v1/nodes/n1",
        *(f"PATCH /api/v1/namespaces/ml/pods/p{n}" for n in range(3)),
        "POST /",
        "PATCH /b/status",
        "PATCH /c/status",
    ]


async def test_no_write_waits_for_ever_behind_more_urgent_ones() -> None:
    server = Server()
    server.open.clear()
    async with asyncio.TaskGroup() as tasks:
        executor = Executor(
            client=server, elector=server, feed=lambda _: None, metrics=Metrics(), tasks=tasks, concurrency=1
        )
        for instruction in (ungate("first"), CommitGang("ml", "b", "1", "d1", {}), status("c", 1)):
            executor.submit(instruction)
        for n in range(2_000):
            executor.submit(ungate(f"p{n}"))
        await server.reached(1)
        server.open.set()
    assert 200 < server.started.index("PATCH /b/status") < 300
    assert 1_000 < server.started.index("PATCH /c/status") < 1_100


async def test_a_failure_is_told_with_its_reason_and_after_the_time_that_the_server_names() -> None:
    create = CreateGang("ml", "a", {})
    server = Server()
    server.refusals["/apis/rackplane.dev/v1alpha1/namespaces/ml/gangs"] = ApiError(
        429, "TooManyRequests", "slow down", retry_after=7
    )
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    told, metrics = await run(server, create, sleep=sleep)
    assert told == [WriteFailed(create, FailureReason.UNAVAILABLE, "slow down")]
    assert pauses == [7]
    assert b'rackplane_api_requests_total{code="429",verb="POST"} 1.0' in generate_latest(metrics.registry)


async def test_a_lost_event_is_not_worth_a_second_request() -> None:
    words = PublishEvent("v1", "Pod", "ml", "p", "u", False, "Placed", "On node n.")
    server = Server()
    server.refusals["/api/v1/namespaces/ml/events"] = ApiError(503, "ServiceUnavailable", "later")
    told, _ = await run(server, words)
    assert told == [WriteFailed(words, FailureReason.REJECTED, "later")]
