"""An API that answers from a script, a Lease that is compared and swapped, and a clock that only tests move."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, cast

from rackplane.kube.client import ApiError

Step = bytes | ApiError | Callable[[], Awaitable[bytes | None]]


class Done(Exception):
    """The script is at its end."""


class ScriptedApi:
    """Answers lists from `lists` and watches from `watches`; a callable is awaited where it stands."""

    def __init__(self) -> None:
        self.lists: deque[Step] = deque()
        self.watches: deque[list[Step]] = deque()
        self.asked: list[dict[str, str]] = []

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
        assert (method, path) == ("GET", "/api/v1/pods")
        self.asked.append(dict(query or {}))
        if not self.lists:
            raise Done
        answer = await _perform(self.lists.popleft())
        assert answer is not None
        return answer

    async def lines(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 330,  # noqa: ASYNC109
    ) -> AsyncGenerator[bytes, None]:
        self.asked.append(dict(query or {}))
        if not self.watches:
            raise Done
        for step in self.watches.popleft():
            line = await _perform(step)
            if line is not None:
                yield line


async def _perform(step: Step) -> bytes | None:
    if isinstance(step, ApiError):
        raise step
    return step if isinstance(step, bytes) else await step()


class LeaseApi:
    """One Lease under compare-and-swap."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.writes: list[dict[str, Any]] = []
        self.fail: Callable[[str], ApiError | None] = lambda method: None
        self.lose_answer = False

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        return cast(dict[str, Any], self.lease["spec"])

    def put(self, **spec: Any) -> None:
        """A write by somebody else."""
        self.version += 1
        lease: dict[str, Any] = self.lease or {"metadata": {"name": "rackplane"}, "spec": {}}
        metadata = {**lease["metadata"], "resourceVersion": str(self.version)}
        self.lease = {**lease, "metadata": metadata, "spec": {**lease["spec"], **spec}}

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float = 30,  # noqa: ASYNC109
    ) -> bytes:
        assert timeout > 0
        collection = "/apis/coordination.k8s.io/v1/namespaces/system/leases"
        assert path == (collection if method == "POST" else collection + "/rackplane")
        error = self.fail(method)
        if error is not None:
            raise error
        if method == "POST":
            if self.lease is not None:
                raise ApiError(409, "AlreadyExists")
        elif self.lease is None:
            raise ApiError(404, "NotFound")
        elif method == "PUT" and (
            body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]
        ):
            raise ApiError(409, "Conflict")
        if method != "GET":
            self.version += 1
            stored = json.loads(json.dumps(body))
            stored["metadata"]["resourceVersion"] = str(self.version)
            self.lease = stored
            self.writes.append(stored["spec"])
            if self.lose_answer:
                self.lose_answer = False
                raise ApiError(0, "Transport", "connection reset")
        return json.dumps(self.lease).encode()

    def lines(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 330
    ) -> AsyncGenerator[bytes, None]:
        raise AssertionError("nobody watches a Lease")


class Clock:
    """Time that passes only in `advance`, in the order of the sleepers."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        end = self.now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            when, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self.now = max(self.now, when)
            future.set_result(None)
            await settle()
        self.now = end


async def settle() -> None:
    """Lets every task run until it waits for the clock; nothing in these tests waits for anything outside."""
    for _ in range(50):
        await asyncio.sleep(0)
