"""Informers of ConfigMaps on the embedded cluster: what each told, beside what the server did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from random import Random
from typing import Any

import msgspec

from rackplane.kube.client import Client, KubeClient
from rackplane.kube.informer import Informer
from rackplane.kube.resources import Resource
from rackplane.localcluster import LocalCluster
from rackplane.localcluster.store import DELETED, Change

__all__ = ["MAPS", "PATH", "Follower"]

MAPS = Resource("", "v1", "configmaps", namespaced=True)
KEY = ("", "configmaps")
PATH = MAPS.path("default")

#: What an informer tells of one object, in order: ("change", uid, version) or ("delete", uid, "").
Told = tuple[str, str, str]


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class Map(msgspec.Struct, frozen=True):
    metadata: Metadata
    data: dict[str, str] = {}


class Counting:
    """A client that counts lists: they, unlike watches, may leave out what came and went."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.lists = 0

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
        answer = await self._client.request(
            method, path, query=query, body=body, content_type=content_type, timeout=timeout
        )
        self.lists += (query or {}).get("limit") != "1"
        return answer

    def lines(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 330,
    ) -> AsyncGenerator[bytes, None]:
        return self._client.lines(path, query=query, timeout=timeout)


class Follower:
    """One informer and what it told, checked against what the server did.

    client: a connection to the cluster, closed with this; None: one without sockets whose User-Agent is `name`.
    """

    def __init__(
        self, cluster: LocalCluster, name: str, selected: bool, seed: int, client: KubeClient | None = None
    ) -> None:
        self.name = name
        self._selected = selected
        self._cluster = cluster
        self._connection = client or cluster.client(agent=name)
        self.client = Counting(self._connection)
        self.told: dict[str, list[Told]] = {}
        self.did: dict[str, list[Told]] = {}
        self._present: dict[str, str] = {}
        self.informer = Informer(
            self.client,
            MAPS,
            Map,
            on_change=self._changed,
            on_delete=self._deleted,
            label_selector="on=true" if selected else None,
            random=Random(seed),
            monotonic=asyncio.get_running_loop().time,
        )
        cluster.store.subscribe(self._commit)

    async def close(self) -> None:
        await self._connection.close()

    def _changed(self, item: Map) -> None:
        meta = item.metadata
        assert meta.namespace == "default"
        assert self._present.get(meta.name, meta.uid) == meta.uid, (
            f"{meta.name}: the old one was not deleted first"
        )
        assert self.informer.cache[("default", meta.name)] is item
        self._present[meta.name] = meta.uid
        self.told.setdefault(meta.name, []).append(("change", meta.uid, meta.resource_version))

    def _deleted(self, namespace: str, name: str) -> None:
        assert (namespace, name) not in self.informer.cache
        self.told[name].append(("delete", self._present.pop(name), ""))

    def _commit(self, change: Change) -> None:
        """What a watch that never broke would tell."""
        if change.resource != KEY:
            return
        before = change.previous is not None and self._fits(change.previous)
        meta = change.object["metadata"]
        did = self.did.setdefault(change.name, [])
        if change.type != DELETED and self._fits(change.object):
            did.append(("change", meta["uid"], meta["resourceVersion"]))
        elif before:
            did.append(("delete", meta["uid"], ""))

    def _fits(self, obj: Mapping[str, Any]) -> bool:
        return not self._selected or (obj["metadata"].get("labels") or {}).get("on") == "true"

    def agrees(self) -> bool:
        """Whether the cache is the server's state, content included."""
        items = self._cluster.store.items(KEY)
        server = {
            (item["metadata"]["namespace"], item["metadata"]["name"]): (
                item["metadata"]["uid"],
                item["metadata"]["resourceVersion"],
                item.get("data") or {},
            )
            for item in items
            if self._fits(item)
        }
        cache = {
            key: (item.metadata.uid, item.metadata.resource_version, item.data)
            for key, item in self.informer.cache.items()
        }
        return cache == server

    def check(self) -> None:
        """What was told is what was done: in order, nothing twice, nothing invented, and if no list bridged a gap
        nothing left out."""
        for name, told in self.told.items():
            versions = [int(version) for kind, _, version in told if kind == "change"]
            assert versions == sorted(set(versions)), (
                f"{self.name}: {name} went back or was told twice: {told}"
            )
            assert _within(told, self.did[name]), f"{self.name}: {name}: told {told}, done {self.did[name]}"
        assert set(self._present) == {name for _, name in self.informer.cache}
        for name, did in self.did.items():
            told = self.told.get(name, [])
            if self.client.lists == 1:
                assert told == did, f"{self.name}: {name}: told {told}, done {did}"
            if not self._selected:
                # Each object that was ever shown is deleted as often as it was deleted: once.
                shown = {uid for _, uid, _ in told}
                gone = [uid for kind, uid, _ in did if kind == "delete" and uid in shown]
                assert sorted(uid for kind, uid, _ in told if kind == "delete") == sorted(gone)


def _within(part: list[Told], whole: list[Told]) -> bool:
    rest: Iterator[Told] = iter(whole)
    return all(entry in rest for entry in part)
