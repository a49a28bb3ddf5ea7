"""A small kopf operator on one of our kinds and on a built-in one, and what it makes of a user's changes."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import kopf
from kubernetes.aio import client, config

_PATIENCE_SECONDS = 30.0
_LOOKS = 200
_FINALIZER = "clients.example/kopf"


def _operator(namespace: str, calls: list[str]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    gangs: Any = ("rackplane.dev", "v1alpha1", "gangs")

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.persistence.finalizer = _FINALIZER
        settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="clients.example")
        settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="clients.example")
        settings.posting.level = 100

    @kopf.on.create(*gangs, registry=registry)
    def created(name: str, spec: Any, body: Any, patch: kopf.Patch, **_: Any) -> None:
        calls.append(f"created {name} {spec['slots']}")
        patch.status["phase"] = "Pending"
        kopf.event(body, type="Normal", reason="Seen", message="a gang was seen")

    @kopf.on.update(*gangs, field="spec.slots", registry=registry)
    def resized(old: Any, new: Any, **_: Any) -> None:
        calls.append(f"resized {old} {new}")

    @kopf.on.delete(*gangs, registry=registry)
    def deleted(name: str, **_: Any) -> None:
        calls.append(f"deleted {name}")

    @kopf.timer(*gangs, interval=0.2, initial_delay=0.1, labels={"tick": "yes"}, registry=registry)
    def tick(name: str, **_: Any) -> None:
        if f"tick {name}" not in calls:
            calls.append(f"tick {name}")

    @kopf.daemon(*gangs, labels={"guard": "yes"}, registry=registry)
    async def guard(name: str, stopped: kopf.DaemonStopped, **_: Any) -> None:
        calls.append(f"daemon of {name} begins")
        while not stopped:
            await stopped.wait(10)
        calls.append(f"daemon of {name} ends")

    @kopf.on.event("", "v1", "configmaps", labels={"app": "kopf"}, registry=registry)
    def mapped(event: Any, name: str, **_: Any) -> None:
        calls.append(f"map {event['type']} {name}")

    return registry


async def run(kubeconfig: Path, namespace: str) -> list[str]:
    """What the handlers were called with and what became of the objects, in order."""
    seen: list[str] = []
    calls: list[str] = []

    def say(what: str, *values: Any) -> None:
        seen.append(f"{what}: {json.dumps(values, default=str, sort_keys=True)}".replace(namespace, "$NS"))

    async def until(holds: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(f"kopf's handlers saw only {calls}, after {seen}")
            await asyncio.sleep(0.05)

    await config.load_kube_config(str(kubeconfig))
    async with client.ApiClient() as api:
        core, custom = client.CoreV1Api(api), client.CustomObjectsApi(api)
        place = ("rackplane.dev", "v1alpha1", namespace, "gangs")
        await core.create_namespace({"metadata": {"name": namespace}})
        ready, stop = asyncio.Event(), asyncio.Event()

        def login(**known: Any) -> kopf.ConnectionInfo | None:
            with patch.dict(os.environ, {"KUBECONFIG": str(kubeconfig)}):
                return kopf.login_with_kubeconfig(**known)

        registry = _operator(namespace, calls)
        kopf.on.login(registry=registry)(login)
        task = asyncio.create_task(
            kopf.operator(
                registry=registry, namespaces=[namespace], standalone=True, ready_flag=ready, stop_flag=stop
            )
        )
        await asyncio.wait_for(ready.wait(), _PATIENCE_SECONDS)

        async def gang() -> dict[str, Any]:
            found: dict[str, Any] = await custom.get_namespaced_custom_object(*place, "g")
            return found

        body = {
            "apiVersion": "rackplane.dev/v1alpha1",
            "kind": "Gang",
            "metadata": {"name": "g", "labels": {"tick": "yes", "guard": "yes"}},
            "spec": {
                "queue": "research",
                "slots": 2,
                "gpusPerSlot": 1,
                "workload": {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": ""},
            },
        }
        await custom.create_namespaced_custom_object(*place, body)
        await until(lambda: {"created g 2", "tick g", "daemon of g begins"} <= set(calls))
        found = await gang()
        for _ in range(_LOOKS):
            if found.get("status", {}).get("phase") == "Pending":
                break
            await asyncio.sleep(0.05)
            found = await gang()
        say("after creation", found["status"], found["metadata"]["finalizers"])
        say("handlers", *sorted(calls))
        calls.clear()
        await custom.patch_namespaced_custom_object(*place, "g", {"spec": {"slots": 3}})
        await until(lambda: "resized 2 3" in calls)
        say("after a change", *sorted(set(calls) - {"tick g"}))
        events = await core.list_namespaced_event(namespace)
        say("events", sorted((e.reason, e.type, e.involved_object.kind, e.message) for e in events.items))
        await core.create_namespaced_config_map(
            namespace, {"metadata": {"name": "m", "labels": {"app": "kopf"}}}
        )
        await until(lambda: "map ADDED m" in calls)
        await core.delete_namespaced_config_map("m", namespace)
        await until(lambda: "map DELETED m" in calls)
        say("maps", *(call for call in calls if call.startswith("map")))
        calls.clear()
        await custom.delete_namespaced_custom_object(*place, "g")
        await until(lambda: {"deleted g", "daemon of g ends"} <= set(calls))
        listed = await custom.list_namespaced_custom_object(*place)
        for _ in range(_LOOKS):
            if not listed["items"]:
                break
            await asyncio.sleep(0.05)
            listed = await custom.list_namespaced_custom_object(*place)
        say("after deletion", listed["items"], *sorted(set(calls) - {"tick g"}))
        stop.set()
        await asyncio.wait_for(task, _PATIENCE_SECONDS)
        await core.delete_namespace(namespace)
    return seen
