"""The servers the scripts run on: the embedded cluster in a thread of its own, and any that a kubeconfig names."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rackplane.api.crd import crd
from rackplane.api.kinds import KINDS
from rackplane.localcluster import LocalCluster


@contextmanager
def embedded(folder: Path) -> Iterator[Path]:
    """The kubeconfig of an embedded cluster with our CRDs, which runs by itself until the end of the block."""
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    path = folder / "embedded.kubeconfig"

    async def serve() -> None:
        cluster = LocalCluster()
        for model in KINDS:
            cluster.apply(crd(model))
        async with cluster:
            cluster.kubeconfig(path)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        if not started.wait(30):
            raise TimeoutError("the embedded cluster did not start in 30 s")
        yield path
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
