"""Node agents: what kubelets would do, by the API alone, on any cluster that has none.

One `NodeAgents` serves many nodes over one watch. It keeps the nodes Ready and their Leases fresh, runs bound pods
for as long as their annotation says, and finishes the deletion of terminating ones. Every step is derived from the
object as it is, so an agent that is killed and started again carries on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from kubernetes.aio.client import ApiClient

from .objects import (
    Clock,
    Obj,
    dig,
    is_terminal,
    meta,
    micro_timestamp,
    name_of,
    namespace_of,
    timestamp,
)
from .podruns import ended_status, exit_code, run_seconds, running_status, started_at

STRATEGIC = "application/strategic-merge-patch+json"
KILLED = 137

_log = logging.getLogger(__name__)


class RequestFailed(Exception):
    """The API server answered with a failure; `code` is the HTTP status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text[:300]}")
        self.code = code


class NodeAgents:
    """Agents for `nodes`. `client` is a configured `kubernetes.aio` ApiClient; the caller closes it.

    Args:
        clock: seconds since the epoch, for the times that are written.
        heartbeat_seconds: between renewals of a node's Lease and Ready condition.
    """

    def __init__(
        self,
        client: ApiClient,
        nodes: Iterable[str],
        *,
        clock: Clock = time.time,
        heartbeat_seconds: float = 10.0,
    ) -> None:
        self._client = client
        self._nodes = dict.fromkeys(nodes)
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._pods: dict[str, Obj] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._starts: dict[str, float] = {}
        self._down: set[str] = set()
        self._slots = asyncio.Semaphore(32)

    def fail(self, node: str) -> None:
        """Let a node die: its heartbeats stop and its pods are no longer looked after."""
        self._down.add(node)

    def recover(self, node: str) -> None:
        """Bring a failed node back; its pods are taken up again."""
        self._down.discard(node)
        for pod in list(self._pods.values()):
            self._follow(pod)

    async def run(self) -> None:
        """Serve until cancelled. Failures of the API server are logged and tried again."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._beat())
                group.create_task(self._watch())
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()

    # -- nodes

    async def _beat(self) -> None:
        while True:
            await asyncio.gather(*(self._heartbeat(node) for node in self._nodes if node not in self._down))
            await asyncio.sleep(self._heartbeat_seconds)

    async def _heartbeat(self, node: str) -> None:
        try:
            when = timestamp(self._clock())
            ready = {
                "type": "Ready",
                "status": "True",
                "reason": "KubeletReady",
                "lastHeartbeatTime": when,
                "message": "kubelet is posting ready status",
            }
            found = await self._call("GET", f"/api/v1/nodes/{node}")
            before = {c["type"]: c for c in dig(found, "status", "conditions") or ()}.get("Ready", {})
            moved = before.get("status") != "True"
            ready["lastTransitionTime"] = when if moved else str(before.get("lastTransitionTime") or when)
            body = {"status": {"conditions": [ready]}}
            await self._call("PATCH", f"/api/v1/nodes/{node}/status", body, content_type=STRATEGIC)
            await self._renew(node)
        except (RequestFailed, OSError, TimeoutError) as problem:
            _log.warning("heartbeat of node %s failed: %s", node, problem)

    async def _renew(self, node: str) -> None:
        root = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        now = micro_timestamp(self._clock())
        spec = {"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": now}
        try:
            body = {"spec": spec}
            await self._call("PATCH", f"{root}/{node}", body, content_type="application/merge-patch+json")
        except RequestFailed as problem:
            if problem.code != 404:
                raise
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": node},
                "spec": spec,
            }
            await self._call("POST", root, lease)

    # -- pods

    async def _watch(self) -> None:
        while True:
            try:
                listed = await self._call("GET", "/api/v1/pods", query={"fieldSelector": "spec.nodeName!="})
                seen = {meta(pod)["uid"] for pod in listed["items"]}
                for uid in [uid for uid in self._pods if uid not in seen]:
                    self._forget(uid)
                for pod in listed["items"]:
                    self._follow(pod)
                await self._stream(listed["metadata"]["resourceVersion"])
            except (RequestFailed, OSError, TimeoutError, ValueError) as problem:
                _log.warning("the pod watch ended: %s", problem)
                await asyncio.sleep(0.5)

    async def _stream(self, version: str) -> None:
        while True:
            query = {
                "watch": "true",
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": "300",
                "fieldSelector": "spec.nodeName!=",
            }
            async for event in self._events("/api/v1/pods", query):
                pod = event["object"]
                if event["type"] == "ERROR":
                    return
                version = meta(pod)["resourceVersion"]
                if event["type"] == "DELETED":
                    self._forget(meta(pod)["uid"])
                elif event["type"] != "BOOKMARK":
                    self._follow(pod)

    def _forget(self, uid: str) -> None:
        self._pods.pop(uid, None)
        self._starts.pop(uid, None)
        task = self._tasks.pop(uid, None)
        if task is not None:
            task.cancel()

    def _follow(self, pod: Obj) -> None:
        """Take up a pod in its newest state; one task a pod does its next step."""
        node = dig(pod, "spec", "nodeName")
        if node not in self._nodes:
            return
        uid = meta(pod)["uid"]
        before = self._pods.get(uid)
        self._pods[uid] = pod
        if node in self._down:
            return
        task = self._tasks.get(uid)
        if task is not None and not task.done():
            deleted_now = meta(pod).get("deletionTimestamp") and not meta(before or {}).get(
                "deletionTimestamp"
            )
            if not deleted_now:
                return
            task.cancel()
        self._tasks[uid] = asyncio.create_task(self._live(uid))

    async def _live(self, uid: str) -> None:
        """Steps of one pod until it waits for somebody else: start, run, end; or be deleted."""
        while (pod := self._pods.get(uid)) is not None and dig(pod, "spec", "nodeName") not in self._down:
            try:
                if not await self._step(uid, pod):
                    return
            except RequestFailed as problem:
                if problem.code in (404, 409):
                    return  # gone, or another pod of that name: the watch tells the rest
                _log.warning("pod %s: %s", name_of(pod), problem)
                await asyncio.sleep(0.5)
            except (OSError, TimeoutError) as problem:
                _log.warning("pod %s: %s", name_of(pod), problem)
                await asyncio.sleep(0.5)

    async def _step(self, uid: str, pod: Obj) -> bool:
        """One step; returns whether there may be another."""
        path = f"/api/v1/namespaces/{namespace_of(pod)}/pods/{name_of(pod)}"
        if meta(pod).get("deletionTimestamp"):
            if dig(pod, "status", "phase") == "Running":
                await self._report(uid, path, ended_status(pod, self._clock(), exit_code=KILLED))
            await self._call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})
            return False
        if is_terminal(pod):
            return False
        if dig(pod, "status", "phase") != "Running":
            await self._report(uid, path, running_status(pod, self._clock()))
            self._starts[uid] = self._clock()
            return True
        lasts = run_seconds(pod)
        if lasts is None:
            return False
        # The status has whole seconds only; a start this process made itself is known exactly.
        started = self._starts.get(uid, started_at(pod) or self._clock())
        await asyncio.sleep(max(0.0, started + lasts - self._clock()))
        await self._report(uid, path, ended_status(pod, self._clock(), exit_code=exit_code(pod)))
        return False

    async def _report(self, uid: str, path: str, status: Obj) -> None:
        body = {"metadata": {"uid": uid}, "status": status}
        self._pods[uid] = await self._call("PATCH", f"{path}/status", body, content_type=STRATEGIC)

    # -- transport

    async def _request(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, str],
        content_type: str,
        limit: float | None,
    ) -> Any:
        prepared = await self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=list(query.items()),
            body=body,
            header_params={"Accept": "application/json", "Content-Type": content_type},
            auth_settings=["BearerToken"],
        )
        return await self._client.call_api(*prepared, _request_timeout=limit, _preload_content=False)

    async def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        async with self._slots:
            answer = await self._request(method, path, body, query or {}, content_type, 30.0)
            raw = await answer.read()
        if answer.status >= 400:
            raise RequestFailed(answer.status, raw.decode(errors="replace"))
        return json.loads(raw)

    async def _events(self, path: str, query: Mapping[str, str]) -> Any:
        answer = await self._request("GET", path, None, query, "application/json", 330.0)
        response = getattr(answer, "response", answer)
        try:
            if response.status >= 400:
                raise RequestFailed(response.status, await response.text())
            async for line in response.content:
                if line.strip():
                    yield json.loads(line)
        finally:
            response.close()
