"""An embedded cluster that serves from a thread of its own, for tests that wait for other programs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from rackplane.localcluster import LocalCluster


@contextlib.contextmanager
def served(kubeconfig: Path) -> Iterator[LocalCluster]:
    """A cluster as long as the block lasts; `kubeconfig` is written. Reach it over HTTP only: the thread owns it."""
    cluster = LocalCluster()
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
