"""An embedded cluster that serves from a thread of its own, for tests that wait for other programs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rackplane.kube.resources import GANGS
from rackplane.localcluster import LocalCluster


@contextlib.contextmanager
def served(kubeconfig: Path, *objects: dict[str, Any]) -> Iterator[LocalCluster]:
    """A cluster as long as the block lasts; `kubeconfig` is written. Reach it over HTTP only: the thread owns it.

    Args:
        objects: what is in it from the start, Gangs with their status.
    """
    cluster = LocalCluster()
    for body in objects:
        made = cluster.apply(body)
        if body["kind"] == "Gang" and "status" in body:
            path = GANGS.path(made["metadata"]["namespace"], made["metadata"]["name"], "status")
            cluster.request("PUT", path, {**made, "status": body["status"]})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="embedded-cluster")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(cluster.start(), loop).result(timeout=30)
        cluster.kubeconfig(kubeconfig)
        yield cluster
    finally:
        asyncio.run_coroutine_threadsafe(cluster.stop(), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=30)
        loop.close()
