"""What is told of the facility: each version once and in order, and what vanished while nobody watched."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

from rackplane.controller.facility import PLURALS, FacilityWatch, kopf_settings
from rackplane.core.events import Event, FacilityChanged, FacilityDeleted
from rackplane.kube.client import KubeClient
from rackplane.localcluster import LocalCluster
from tests.support.manifests import shipped_crds

CRDS = Path(__file__).parents[3] / "crds"


def queue(name: str, version: int) -> dict[str, Any]:
    return {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "Queue",
        "metadata": {"name": name, "resourceVersion": str(version)},
    }


def changed(name: str, version: int) -> FacilityChanged:
    return FacilityChanged("Queue", name, queue(name, version))


class Lists:
    """A client that answers every list with `items` at `version`."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.version = 0

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
        answer = {"metadata": {"resourceVersion": str(self.version)}, "items": self.items}
        return json.dumps(answer).encode()

    def lines(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 330
    ) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError


def make() -> tuple[FacilityWatch, Lists, list[Event]]:
    told: list[Event] = []
    lists = Lists()
    return FacilityWatch(client=lists, kubeconfig=None, feed=told.append), lists, told


async def test_a_list_tells_what_is_new_and_what_is_gone() -> None:
    watch, lists, told = make()
    lists.items, lists.version = [queue("a", 1), queue("b", 2)], 5
    await watch.list_kind("Queue")
    assert told == [changed("a", 1), changed("b", 2)]
    told.clear()
    lists.items, lists.version = [queue("b", 6)], 7
    await watch.list_kind("Queue")
    assert told == [changed("b", 6), FacilityDeleted("Queue", "a")]


async def test_a_version_is_told_once_and_an_older_one_never() -> None:
    watch, lists, told = make()
    for type, version in ((None, 4), ("ADDED", 4), ("MODIFIED", 6), ("MODIFIED", 5)):
        watch.seen("Queue", type, queue("a", version))
    lists.items, lists.version = [queue("a", 4)], 4
    await watch.list_kind("Queue")
    assert told == [changed("a", 4), changed("a", 6)]


async def test_a_watch_that_is_ahead_of_a_list_is_believed() -> None:
    watch, lists, told = make()
    watch.seen("Queue", "ADDED", queue("gone", 3))
    watch.seen("Queue", "DELETED", queue("gone", 9))
    watch.seen("Queue", "ADDED", queue("made", 8))
    told.clear()
    lists.items, lists.version = [queue("gone", 3)], 5
    await watch.list_kind("Queue")
    assert told == []
    watch.seen("Queue", "ADDED", queue("gone", 10))
    assert told == [changed("gone", 10)]


def test_kopf_writes_nothing_and_never_gives_up() -> None:
    settings = kopf_settings()
    assert not settings.posting.enabled and settings.peering.standalone
    delays = iter(settings.networking.error_backoffs)  # type: ignore[arg-type]
    assert [next(delays) for _ in range(11)][-4:] == [21, 60, 60, 60]
    assert "Gang" not in PLURALS and len(PLURALS) == 7


async def test_kopf_watches_a_cluster_and_leaves_objects_as_they_are(tmp_path: Path) -> None:
    logging.getLogger("kopf").setLevel(logging.ERROR)
    cluster = LocalCluster()
    for body in shipped_crds():
        cluster.apply(body)
    body = {"apiVersion": "rackplane.dev/v1alpha1", "kind": "Queue", "spec": {}}
    cluster.apply({**body, "metadata": {"name": "early"}})
    told: list[Event] = []
    arrived = asyncio.Condition()

    def feed(event: Event) -> None:
        told.append(event)
        waker.create_task(wake())

    async def wake() -> None:
        async with arrived:
            arrived.notify_all()

    async def until(event: tuple[type, str]) -> None:
        async with asyncio.timeout(20), arrived:
            await arrived.wait_for(lambda: event in [(type(t), getattr(t, "name", "")) for t in told])

    async with cluster, asyncio.TaskGroup() as waker:
        kubeconfig = str(cluster.kubeconfig(tmp_path / "config"))
        client = await KubeClient.connect(kubeconfig)
        watch = FacilityWatch(client=client, kubeconfig=kubeconfig, feed=feed)
        running = asyncio.create_task(watch.run())
        await until((FacilityChanged, "early"))
        late_object = cluster.apply({**body, "metadata": {"name": "late"}})
        await until((FacilityChanged, "late"))
        path = "/apis/rackplane.dev/v1alpha1/queues/late"
        assert cluster.request("GET", path) == late_object
        cluster.request("DELETE", path)
        await until((FacilityDeleted, "late"))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.close()
