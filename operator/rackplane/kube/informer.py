"""A cache of one resource, kept current by a watch.

What it promises: once `synced`, every object that appears, changes or goes is reported exactly once per state seen,
in the order of the API server, however often the watch breaks. An object that went while nobody was watching is
reported as deleted by the next list; one that was recreated under its name (another uid) is reported as deleted and
then as changed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from random import Random
from typing import Generic, Protocol, TypeVar

import msgspec

from .client import ApiError, Client
from .listing import list_all
from .resources import Resource

__all__ = ["Informer", "Key", "Metadata", "Object"]

logger = logging.getLogger(__name__)

WATCH_SECONDS = 240.0
"""The shortest time a watch is asked to last; half as much again at most, so that watches do not end together."""

SILENCE_SECONDS = 90.0
"""A watch that tells nothing for so long is given up for another from the same position.

API servers send a bookmark a minute; one that is half overdue means a connection that died unnoticed. Or a kind of
which no object changed since the server started: 1.36 sends no bookmarks then. So silence is no failure, and the server
is asked for a sign of life.
"""

SHORT_WATCH_SECONDS = 1.0
"""A watch that ends sooner and without an event counts as a failure, or a broken proxy would have us spin."""

BACKOFF_SECONDS = 0.5
BACKOFF_LIMIT_SECONDS = 30.0
ABSENT_SECONDS = 60.0
"""How often an optional API that is absent is looked for."""

PATIENCE = 3
"""Refusals in a row after which a watch position is given up for a list (a restored etcd knows older versions only)."""

STALE_PATIENCE = 6
"""Lists from before what is already known, in a row, after which the server is believed (about 20 s)."""

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""


class Metadata(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


class Object(Protocol):
    """What a cached type must offer: a msgspec Struct with `metadata`."""

    @property
    def metadata(self) -> Metadata: ...


T = TypeVar("T", bound=Object)


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class _Identity(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct):
    code: int = 0
    reason: str = ""
    message: str = ""


class _StreamError(Exception):
    """An ERROR event in a watch: whatever it says, the watch's position is worth nothing any more."""

    def __init__(self, status: _Status) -> None:
        super().__init__(f"{status.code} {status.reason}: {status.message}")
        self.gone = status.code == 410


_event = msgspec.json.Decoder(_Event)
_identity = msgspec.json.Decoder(_Identity)
_status = msgspec.json.Decoder(_Status)


class Informer(Generic[T]):
    """Lists and watches `resource`, decoding each object into `type`.

    on_change and on_delete are called synchronously, after the cache shows the change. What they raise ends `run`:
    state built from the calls would be wrong from then on.

    optional: the API may be absent (404); that is an empty cache, and it is looked for again once a minute.
    others: the same resource in other versions, asked for where the first is absent. `resource` is the one found.
    spare: who runs without it runs well: where nothing of it was seen, that it may not be listed (403) is taken as if
    it were absent, and told. What was seen stays as it was. `forbidden` is whether the last list was refused so.
    found: called with whether there is the API and it may be listed, with the first list and whenever that changes;
    before what is listed is told.
    share: called with every decoded object; may keep parts of it that are alike once (`rackplane.kube.sharing`).
    random, monotonic, sleep: for tests. `last_activity` is the monotonic time of the last sign of life.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        type: type[T],
        *,
        on_change: Callable[[T], None],
        on_delete: Callable[[str, str], None],
        label_selector: str | None = None,
        field_selector: str | None = None,
        optional: bool = False,
        others: Sequence[Resource] = (),
        spare: bool = False,
        found: Callable[[bool], None] | None = None,
        share: Callable[[T], T] | None = None,
        random: Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.resource = resource
        self.cache: dict[Key, T] = {}
        self.synced = asyncio.Event()
        self.last_activity = monotonic()
        self.forbidden = False
        #: lists and watches that failed since it was made
        self.failures = 0
        self._client = client
        self._decoder = msgspec.json.Decoder(type)
        self._on_change = on_change
        self._on_delete = on_delete
        self._selectors = {
            name: value
            for name, value in (("labelSelector", label_selector), ("fieldSelector", field_selector))
            if value is not None
        }
        self._optional = optional
        self._versions = (resource, *others)
        self._spare = spare
        self._found = found
        self._share = share
        self._random = random or Random()
        self._monotonic = monotonic
        self._sleep = sleep
        self._listing = asyncio.Lock()
        self._watching = False
        self._absent: bool | None = None
        self._failures = 0
        # Where the next watch starts; empty: a list has to come first.
        self._position = ""
        # The version of the last list. A watch that lags behind it tells of the past.
        self._floor = ""
        # The latest version heard of. A list from before it shows the past, and would take events back.
        self._latest = ""
        self._stale = 0
        # What the watch told while a list was under way: the list may be older than that.
        self._touched: set[Key] = set()
        self._buried: dict[str, str] = {}

    @property
    def objects(self) -> int:
        """How many the cache has."""
        return len(self.cache)

    async def run(self) -> None:
        """Lists and watches until cancelled. Errors of the API are logged and retried, for ever."""
        while True:
            try:
                if not self._position:
                    await self.relist()
                if self._absent:
                    await self._sleep(ABSENT_SECONDS * self._random.uniform(0.75, 1.25))
                    self._position = ""
                    continue
                if not await self._watch():
                    await self._back_off("the watch ended at once")
            except _StreamError as error:
                self._position = ""
                await self._back_off(str(error), first_at_once=error.gone)
            except msgspec.DecodeError as error:
                # Most likely a line cut short: the position is as good as before.
                if self._failures >= PATIENCE:
                    self._position = ""
                await self._back_off(f"unreadable answer: {error}")
            except ApiError as error:
                gone = error.status == 410
                if _never_reached(error):
                    self._latest = ""
                if gone or error.status == 404 or (error.status and self._failures >= PATIENCE):
                    self._position = ""
                await self._back_off(str(error), first_at_once=gone, at_least=error.retry_after or 0.0)

    async def relist(self) -> None:
        """A list that starts now, merged into the cache before this returns; a new leader decides on nothing older.

        Safe while `run` is watching. Raises ApiError (an absent optional API is an empty list; status 0 and reason
        "Stale": the server showed a state from before the cache's) and msgspec.DecodeError, in either case without
        touching the cache.
        """
        async with self._listing:
            self._touched.clear()
            self._buried.clear()
            known, before = self._latest, self._absent
            try:
                version, items = await self._list()
                self._absent = self.forbidden = False
            except ApiError as error:
                if not self._does_without(error):
                    raise
                self._absent = True
                version, items = "", []
            if self._found is not None and self._absent != before:
                self._found(not self._absent)
            if self._latest and _older(version, known):
                self._stale += 1
                if self._stale <= STALE_PATIENCE:
                    raise ApiError(0, "Stale", f"version {version} was listed, {known} had been seen before")
                self._latest = ""
            self._merge(version, items)
        self.last_activity = self._monotonic()
        self.synced.set()

    def _does_without(self, error: ApiError) -> bool:
        """Whether a list that failed like that means no objects."""
        refused = self._spare and error.status == 403
        if refused and not self.forbidden:
            why = "%s may not be listed: none is seen until the right to list and watch them is given: %s"
            logger.warning(why, self.resource, error)
        self.forbidden = refused
        return (refused and not self.cache) or (self._optional and error.status == 404)

    async def _list(self) -> tuple[str, list[T | _Meta]]:
        def heard() -> None:
            self.last_activity = self._monotonic()

        versions = dict.fromkeys((self.resource, *self._versions))
        for number, resource in enumerate(versions, 1):
            try:
                found = await list_all(
                    self._client, resource, each=self._take, query=self._query(), heard=heard
                )
            except ApiError as error:
                if error.status != 404 or number == len(versions):
                    raise
            else:
                self.resource = resource
                return found
        raise AssertionError("a resource has at least one version")

    def _take(self, raw: msgspec.Raw) -> T | _Meta:
        """An object of a list, or who it is where it cannot be read."""
        item = self._decode(raw)
        if item is None:
            return _identity.decode(raw).metadata
        cached = self.cache.get(_key(item))
        if cached is not None and (cached.metadata.uid, cached.metadata.resource_version) == (
            item.metadata.uid,
            item.metadata.resource_version,
        ):
            # A new list of a large cluster would hold everything twice until it is merged.
            return cached
        return item

    def _query(self, **more: str) -> dict[str, str]:
        return {**self._selectors, **more}

    def _merge(self, version: str, items: list[T | _Meta]) -> None:
        listed: dict[Key, T] = {}
        kept: set[Key] = set()
        for item in items:
            if isinstance(item, _Meta):
                key = (item.namespace, item.name)
                cached = self.cache.get(key)
                # Better an old state than none, as long as it is the same object.
                if cached is not None and cached.metadata.uid == item.uid:
                    kept.add(key)
            elif not self._outlived(item):
                listed[_key(item)] = item
        for key in list(self.cache):
            # Nothing the watch told meanwhile is undone: what it added after the list's version is not in the list.
            if key not in listed and key not in kept and key not in self._touched:
                self._delete(key)
        for key, item in listed.items():
            if key in self._touched and not _newer(item, self.cache.get(key)):
                continue
            self._change(item)
        self._touched.clear()
        self._buried.clear()
        self._stale = 0
        self._floor = version
        if not _older(version, self._latest):
            self._latest = version
        if not self._watching:
            # What a watch told beyond the list, before it broke, must not be told again by the next.
            self._position = self._latest
        elif _older(self._position, version):
            self._position = version

    def _outlived(self, item: T) -> bool:
        """Whether the watch told of this object's end after the state that a list shows."""
        end = self._buried.get(item.metadata.uid)
        return end is not None and not _older(end, item.metadata.resource_version)

    async def _watch(self) -> bool:
        """One watch to its end; whether it told anything or at least lasted."""
        started = self._monotonic()
        seconds = WATCH_SECONDS * self._random.uniform(1.0, 1.5)
        query = self._query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=self._position,
            timeoutSeconds=str(int(seconds)),
        )
        self._watching = True
        told = False
        loop = asyncio.get_running_loop()
        try:
            stream = self._client.lines(self.resource.path(), query=query, timeout=seconds + 15)
            async with asyncio.timeout(SILENCE_SECONDS) as silence, aclosing(stream) as lines:
                async for line in lines:
                    self._hear(line)
                    self.last_activity = self._monotonic()
                    told = True
                    self._failures = 0
                    silence.reschedule(loop.time() + SILENCE_SECONDS)
        except TimeoutError:
            if not silence.expired():
                raise
            await self._probe()
        finally:
            self._watching = False
        if self._monotonic() - started >= SHORT_WATCH_SECONDS:
            self._failures = 0
            return True
        return told

    async def _probe(self) -> None:
        """Raises ApiError if the server does not answer either."""
        await self._client.request("GET", self.resource.path(), query=self._query(limit="1"))
        self.last_activity = self._monotonic()

    def _hear(self, line: bytes) -> None:
        event = _event.decode(line)
        if event.type == "ERROR":
            raise _StreamError(_status.decode(event.object))
        if event.type == "BOOKMARK":
            self._advance(_identity.decode(event.object).metadata.resource_version)
            return
        if event.type == "DELETED":
            # Only the identity counts, and it is decodable where the rest might not be.
            gone = _identity.decode(event.object).metadata
            key = (gone.namespace, gone.name)
            cached = self.cache.get(key)
            if self._listing.locked():
                self._buried[gone.uid] = gone.resource_version
            # A list may already have shown its successor, or (with a selector, where leaving the selection is a
            # deletion too) its return.
            if (
                cached is not None
                and cached.metadata.uid == gone.uid
                and not _older(gone.resource_version, cached.metadata.resource_version)
            ):
                self._delete(key)
            self._advance(gone.resource_version)
            return
        item = self._decode(event.object)
        if item is None:
            self._advance(_identity.decode(event.object).metadata.resource_version)
            return
        version = item.metadata.resource_version
        # Up to the last list's version the list has told everything, and what it left out is gone.
        if not _older_or_same(version, self._floor):
            if self._listing.locked():
                self._touched.add(_key(item))
            self._change(item)
        self._advance(version)

    def _decode(self, raw: msgspec.Raw) -> T | None:
        try:
            item = self._decoder.decode(raw)
            return item if self._share is None else self._share(item)
        except msgspec.ValidationError as error:
            identity = _identity.decode(raw).metadata
            logger.error(
                "%s %s/%s does not look as expected and is passed over: %s",
                self.resource,
                identity.namespace,
                identity.name,
                error,
            )
            return None

    def _change(self, item: T) -> None:
        key = _key(item)
        cached = self.cache.get(key)
        if cached is not None:
            if cached.metadata.uid != item.metadata.uid:
                self._delete(key)
            elif cached.metadata.resource_version == item.metadata.resource_version:
                return
        self.cache[key] = item
        self._on_change(item)

    def _delete(self, key: Key) -> None:
        del self.cache[key]
        self._on_delete(*key)

    def _advance(self, version: str) -> None:
        # A watch that lags behind a list made meanwhile must not lead the next watch back.
        if version and not _older(version, self._position):
            self._position = self._latest = version

    async def _back_off(self, why: str, *, first_at_once: bool = False, at_least: float = 0.0) -> None:
        self._failures += 1
        self.failures += 1
        if first_at_once and self._failures == 1:
            logger.info("%s: listing again: %s", self.resource, why)
            return
        longest = min(BACKOFF_LIMIT_SECONDS, BACKOFF_SECONDS * 2 ** min(self._failures - 1, 16))
        seconds = max(at_least, longest * self._random.uniform(0.5, 1.0))
        logger.warning("%s: trying again in %.1f s: %s", self.resource, seconds, why)
        await self._sleep(seconds)


def _key(item: Object) -> Key:
    return (item.metadata.namespace, item.metadata.name)


def _newer(item: Object, cached: Object | None) -> bool:
    if cached is None:
        return True
    return _older(cached.metadata.resource_version, item.metadata.resource_version)


def _never_reached(error: ApiError) -> bool:
    """Whether the server says that our version lies in its future: it was set back, or is far behind another."""
    details = (error.body or {}).get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes or [])


def _older(left: str, right: str) -> bool:
    """Whether `left` is a version before `right`; versions that are no numbers have no order."""
    return left.isdecimal() and right.isdecimal() and int(left) < int(right)


def _older_or_same(left: str, right: str) -> bool:
    return left.isdecimal() and right.isdecimal() and int(left) <= int(right)
