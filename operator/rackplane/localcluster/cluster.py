"""`LocalCluster`: the embedded cluster as one object, with or without sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import yaml

from .accounts import Accounts
from .api import Api
from .budgets.controller import DisruptionController
from .client import LocalClient
from .errors import ApiError, no_such_path
from .faults import Faults
from .gc import GarbageCollector
from .http import Server
from .jobs.controller import JobController
from .jobs.sync import MOST_PODS
from .objects import Clock, Obj
from .podgc import TERMINATED_PODS, PodCollector
from .requests import Request, Response
from .scheduler import Scheduler
from .service import Service
from .store import Change, Store
from .streams import Streams
from .users import TOKENS

#: Who may connect, and the bearer token that says so. There is no RBAC: every user may do everything.
USERS = {name: token for token, name in TOKENS.items()}


class Reactor(Protocol):
    """A synchronous controller: notes changes as they are committed, acts when run."""

    def observe(self, change: Change) -> None: ...

    def run(self) -> bool: ...


class NotSettled(RuntimeError):
    """The reactors kept each other busy beyond the allowed number of rounds."""


class LocalCluster:
    """An API server with a Job controller, a scheduler, the garbage collectors and a disruption controller.

    Without `start()` it has no sockets: `handle()` answers requests and `settle()` lets the controllers act until
    nothing is left to do. Started, the controllers follow every change by themselves, one round per loop iteration.

    Args:
        clock: seconds since the epoch; timed behaviour (back-off, deadlines) follows it.
        seed: of the source of uids and name suffixes, so that a run can be repeated exactly.
        history_limit: number of changes a watch can look back before it gets 410.
        job_batch_seconds: how long changes of pods are collected before their Job is looked at (Kubernetes: 1 s).
        terminated_pods: how many pods that have ended may stay (Kubernetes: 12,500); 0: any number.
        job_most_pods: how many pods of a Job are made at a time. Fewer, and pods appear one after the other, as where
            the API server throttles the Job controller.
    """

    def __init__(
        self,
        clock: Clock = time.time,
        seed: int = 0,
        *,
        history_limit: int = 50_000,
        job_batch_seconds: float = 0.0,
        terminated_pods: int = TERMINATED_PODS,
        job_most_pods: int = MOST_PODS,
    ) -> None:
        self.clock = clock
        self.service = Service(clock=clock, seed=seed, history_limit=history_limit)
        self.api = Api(self.service)
        self.jobs = JobController(self.service, batch_seconds=job_batch_seconds, most_pods=job_most_pods)
        self.budgets = DisruptionController(self.service)
        self.pods = PodCollector(self.service, terminated_pods=terminated_pods)
        self.reactors: tuple[Reactor, ...] = (
            GarbageCollector(self.service),
            self.jobs,
            Scheduler(self.service),
            Accounts(self.store),
            self.budgets,
            self.pods,
        )
        #: What goes wrong with requests: see `faults`.
        self.faults = Faults(seed=seed, clock=clock)
        self._streams = Streams(self.faults)
        # A Job lets its pods go before the garbage collector deletes them.
        self._turns = (self.jobs, *(reactor for reactor in self.reactors if reactor is not self.jobs))
        self._server: Server | None = None
        self._running = False
        self._scheduled: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watchers: dict[asyncio.Event, None] = {}
        self.store.subscribe(self._changed)

    @property
    def store(self) -> Store:
        """The objects, for assertions; write through the API."""
        return self.service.store

    # -- without sockets

    def handle(self, request: Request) -> Response:
        """Answer one request; the controllers have not acted on it yet (see `settle`)."""
        return self.api.handle(request)

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The body of the answer to a request; for tests and bootstrap.

        Raises:
            ApiError: the server refused.
        """
        answer = self.handle(Request(method, path, body=body, **options))
        if answer.code >= 400:
            status = answer.body if isinstance(answer.body, dict) else {"message": answer.body.strip()}
            reason, message = status.get("reason", ""), status.get("message", "")
            raise ApiError(answer.code, reason, message, status.get("details") or {})
        return answer.body

    def apply(self, obj: Obj) -> Obj:
        """Create an object, or replace it where it exists; for tests and bootstrap.

        Raises:
            ApiError: the server refused, or serves no such kind.
        """
        resource = self.service.registry.of_kind(str(obj.get("apiVersion")), str(obj.get("kind")))
        if resource is None:
            raise no_such_path()
        root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        metadata = obj.get("metadata") or {}
        if resource.namespaced:
            root += f"/namespaces/{metadata.get('namespace') or 'default'}"
        root += f"/{resource.plural}"
        try:
            created: Obj = self.request("POST", root, obj)
        except ApiError as problem:
            if problem.reason != "AlreadyExists":
                raise
            path = f"{root}/{metadata['name']}"
            updated: Obj = self.request("PATCH", path, obj, content_type="application/merge-patch+json")
            return updated
        return created

    def take_over(self, other: LocalCluster) -> None:
        """Be, from now on, as another cluster of the same seed and clock, to which more was written than to this one.

        What that was is not judged again, and its definitions and policies are shared: a test that has a new cluster
        for each case need not install them each time. Neither cluster sees what is written to the other after this.
        """
        self.service.take_over(other.service)

    def settle(self, *, rounds: int = 10_000) -> int:
        """Run the controllers until none has anything to do; returns the number of rounds.

        Raises:
            NotSettled: they were still busy after `rounds`.
        """
        for count in range(rounds):
            if not self._round():
                return count
        raise NotSettled(f"the controllers are still busy after {rounds} rounds")

    def client(self, user: str = "admin", agent: str = "rackplane") -> LocalClient:
        """A client for `rackplane.kube` that meets the same faults as one over HTTP, and needs no `start`."""
        return LocalClient(self.api, faults=self.faults, streams=self._streams, user=user, agent=agent)

    def _round(self) -> bool:
        worked = False
        for reactor in self._turns:
            worked = reactor.run() or worked
        return worked

    # -- with sockets

    async def start(self, port: int | None = 0, host: str = "127.0.0.1") -> None:
        """Let the controllers run by themselves, and listen on a port: 0 takes any free one, None is no port."""
        self._streams.restart()
        if port is not None:
            self._server = Server(self.api, tokens=TOKENS, faults=self.faults, streams=self._streams)
            await self._server.start(host, port)
        self._running = True
        self._schedule()

    async def stop(self) -> None:
        """Close every connection, open watches included."""
        for handle in (self._scheduled, self._timer):
            if handle is not None:
                handle.cancel()
        self._scheduled = self._timer = None
        self._running = False
        self._streams.stop()
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    async def __aenter__(self) -> LocalCluster:
        await self.start()
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Where the server listens.

        Raises:
            RuntimeError: it is not started.
        """
        if self._server is None:
            raise RuntimeError("the cluster is not started")
        return self._server.url

    def kubeconfig(self, path: str | Path, user: str = "admin") -> Path:
        """Write a kubeconfig for one of `USERS`; returns its path. The file holds a token: mode 0600."""
        name = "rackplane-local"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.url}}],
            "users": [{"name": user, "user": {"token": USERS[user]}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": "default"}}],
            "current-context": name,
        }
        target = Path(path)
        target.touch(mode=0o600, exist_ok=True)
        target.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return target

    async def until(self, predicate: Callable[[], Any], *, timeout: float = 10.0) -> Any:  # noqa: ASYNC109
        """Wait until `predicate()` is true, tried again after every change; returns what it returned.

        Raises:
            TimeoutError: it is not within `timeout` seconds of real time.
        """
        changed = asyncio.Event()
        self._watchers[changed] = None
        try:
            async with asyncio.timeout(timeout):
                while not (result := predicate()):
                    await changed.wait()
                    changed.clear()
                return result
        finally:
            self._watchers.pop(changed, None)

    def _changed(self, change: Change) -> None:
        for reactor in self.reactors:
            reactor.observe(change)
        for event in self._watchers:
            event.set()
        self._streams.notify(change)
        self._schedule()

    def _schedule(self) -> None:
        if self._scheduled is None and self._running:
            self._scheduled = asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        """One round of the controllers; the next is scheduled while there is work, so that requests get through."""
        self._scheduled = None
        if self._round():
            self._schedule()
            return
        wakes = (self.jobs.next_wake(), self.budgets.next_wake(), self.pods.next_wake())
        wake = min((when for when in wakes if when is not None), default=None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wake is not None:
            delay = max(0.0, wake - self.clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._schedule)
