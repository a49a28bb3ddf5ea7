"""The facility's seven kinds, watched by kopf, as events.

kopf runs in a thread with an event loop of its own. When it ends, by design for instance after an error in a watch,
it cancels every task of its loop: here that can only be kopf's own, and a supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import kopf
import kubernetes
import msgspec
import structlog

from rackplane.api.base import GROUP, VERSION
from rackplane.api.kinds import KINDS
from rackplane.core.events import Event, FacilityChanged, FacilityDeleted
from rackplane.kube.client import ApiError, Client
from rackplane.kube.resources import facility

__all__ = ["PLURALS", "FacilityWatch", "kopf_settings", "make_registry"]

#: Kind -> plural of what people describe their facility and their queues with.
PLURALS: Final[Mapping[str, str]] = {
    model.info.kind: model.info.plural for model in KINDS if model.info.kind != "Gang"
}
#: Seconds before kopf is started again after it ended; doubles from the first to the second figure.
_RESTART: Final = (1.0, 60.0)
#: The two clients have to agree on what a kubeconfig means, so kopf's is configured by the other's loader.
_kubernetes: Any = kubernetes

Seen = Callable[[str, str | None, dict[str, Any]], None]
"""Called with the kind, kopf's type of the event, and the object."""

log = structlog.stdlib.get_logger(__name__)


class _Backoffs:
    """Delays between kopf's attempts at one request. They never end: kopf would."""

    def __iter__(self) -> Iterator[float]:
        yield from (1, 1, 2, 3, 5, 8, 13, 21)
        while True:
            yield 60


class _NoDiffs(kopf.DiffBaseStorage):
    """Keeps no last state. Raw events need none, and kopf's own makes a deep copy of every object for it."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:  # noqa: ARG002
        return {}

    def fetch(self, *, body: Any) -> Any:  # noqa: ARG002
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        pass


def kopf_settings() -> kopf.OperatorSettings:
    """Settings under which kopf only reads: no annotations, no finalizers, no Events."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    # Watches that end by themselves; with none of these a dead connection can look like a quiet one for ever.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 30
    settings.networking.error_backoffs = _Backoffs()
    settings.persistence.diffbase_storage = _NoDiffs()
    return settings


def make_registry(seen: Seen, login: Callable[[], kopf.ConnectionInfo]) -> kopf.OperatorRegistry:
    """Handlers for the seven kinds, in a registry of their own."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def _login(**_: Any) -> kopf.ConnectionInfo:
        return await asyncio.to_thread(login)

    def watch(kind: str, plural: str) -> None:
        @kopf.on.event(GROUP, VERSION, plural, registry=registry, id=f"see-{plural}")
        async def _see(event: Any, **_: Any) -> None:
            seen(kind, event["type"], event["object"])

    for kind, plural in PLURALS.items():
        watch(kind, plural)
    return registry


@dataclasses.dataclass(slots=True)
class _Known:
    """What was told of one kind: the resourceVersion of each object, and of the deletion of those that are gone."""

    versions: dict[str, int] = dataclasses.field(default_factory=dict)
    graves: dict[str, int] = dataclasses.field(default_factory=dict)


class FacilityWatch:
    """Feeds `FacilityChanged` and `FacilityDeleted`, each object's versions in order and each once.

    kopf tells what a watch brings. What only a list can show, which is that something vanished while no watch ran,
    comes from lists of our own: one at the start, one whenever kopf lists again, and one at intervals in case kopf
    fell silent.

    Args:
        client: for the lists.
        kubeconfig: as for `KubeClient.connect`; kopf logs in with it.
        feed: takes the events; called on the loop of `run`.
        resync: seconds between lists.
        watch: tells what happens from then on, until cancelled; None: kopf does. monotonic, sleep: for tests, too.
    """

    #: without these kinds nothing can be decided
    forbidden: Final = False

    def __init__(
        self,
        *,
        client: Client,
        kubeconfig: str | None,
        feed: Callable[[Event], None],
        resync: float = 300.0,
        watch: Callable[[Seen], Awaitable[None]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._kubeconfig = kubeconfig
        self._feed = feed
        self._resync = resync
        self._watch = watch
        self._monotonic = monotonic
        self._sleep = sleep
        self._known = {kind: _Known() for kind in PLURALS}
        #: lists that failed
        self.failures = 0
        self._stale: set[str] = set()
        self._wake = asyncio.Event()
        #: Set once every kind has been listed.
        self.synced = asyncio.Event()
        #: Monotonic time of the last complete list or kopf event.
        self.last_activity = self._monotonic()

    @property
    def objects(self) -> int:
        """How many objects of all kinds are known."""
        return sum(len(known.versions) for known in self._known.values())

    async def run(self) -> None:
        """List and watch until cancelled."""
        await self._list_until_done(set(PLURALS))
        self.synced.set()
        async with asyncio.TaskGroup() as tasks:
            if self._watch is None:
                tasks.create_task(self._supervise(), name="kopf")
            else:
                tasks.create_task(_until_cancelled(self._watch, self.seen), name="facility watch")
            tasks.create_task(self._keep_listing(), name="facility lists")

    def seen(self, kind: str, type: str | None, body: Mapping[str, Any]) -> None:
        """Take one event of a watch; a type of None means that kopf has listed anew."""
        self.last_activity = self._monotonic()
        if type == "DELETED":
            self._delete(kind, body["metadata"]["name"], _version(body))
            return
        if type is None:
            # kopf does not say what was there before its list and is not in it.
            self._stale.add(kind)
            self._wake.set()
        self._change(kind, body)

    async def list_kind(self, kind: str) -> None:
        """List a kind and tell what no event has told.

        Raises:
            ApiError: the list failed; nothing was told.
        """
        answer = await self._client.request("GET", facility(PLURALS[kind]).path())
        document = msgspec.json.decode(answer)
        listed = int(document["metadata"]["resourceVersion"])
        known = self._known[kind]
        names = set()
        for item in document.get("items") or ():
            names.add(_name(item))
            # Deleted after this list was taken: a watch was faster.
            if known.graves.get(_name(item), -1) <= listed:
                # Items of a list carry neither, and the machine is told objects as a watch shows them.
                item.setdefault("apiVersion", f"{GROUP}/{VERSION}")
                item.setdefault("kind", kind)
                self._change(kind, item)
        for name, version in list(known.versions.items()):
            if name not in names and version <= listed:
                self._delete(kind, name, listed)
        known.graves = {name: version for name, version in known.graves.items() if version > listed}
        self.last_activity = self._monotonic()

    def _change(self, kind: str, body: Mapping[str, Any]) -> None:
        known, name, version = self._known[kind], _name(body), _version(body)
        if version <= known.versions.get(name, -1) or version <= known.graves.get(name, -1):
            return
        known.versions[name] = version
        self._feed(FacilityChanged(kind, name, body))

    def _delete(self, kind: str, name: str, version: int) -> None:
        known = self._known[kind]
        # Made anew since: that one is alive.
        if known.versions.get(name, -1) > version:
            return
        known.graves[name] = version
        if known.versions.pop(name, None) is not None:
            self._feed(FacilityDeleted(kind, name))

    async def _keep_listing(self) -> None:
        while True:
            kinds = set(PLURALS)
            try:
                async with asyncio.timeout(self._resync):
                    await self._wake.wait()
                # kopf tells a whole list in one go: one answer for all of it.
                await self._sleep(0.1)
                kinds, self._stale = self._stale, set()
                self._wake.clear()
            except TimeoutError:
                pass
            await self._list_until_done(kinds)

    async def _list_until_done(self, kinds: set[str]) -> None:
        pause = 0.5
        while kinds:
            for kind in sorted(kinds):
                try:
                    await self.list_kind(kind)
                except ApiError as error:
                    self.failures += 1
                    log.warning("a kind could not be listed", kind=kind, error=str(error))
                else:
                    kinds = kinds - {kind}
            if kinds:
                await self._sleep(pause)
                pause = min(pause * 2, 30.0)

    # -- kopf's thread

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()

        def seen(kind: str, type: str | None, body: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(self.seen, kind, type, body)

        pause = _RESTART[0]
        while True:
            started = time.monotonic()
            runner = _KopfThread(seen=seen, login=self._login)
            ended = asyncio.Event()
            runner.start(functools.partial(loop.call_soon_threadsafe, ended.set))
            try:
                await ended.wait()
            except asyncio.CancelledError:
                runner.stop()
                # kopf answers at once; should it not, the thread is a daemon and dies with the process.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(5):
                        await ended.wait()
                raise
            if time.monotonic() - started > 300:
                pause = _RESTART[0]
            log.error("kopf ended and is started again", error=repr(runner.problem), seconds=pause)
            await self._sleep(pause)
            pause = min(pause * 2, _RESTART[1])

    def _login(self) -> kopf.ConnectionInfo:
        configuration = _kubernetes.client.Configuration()
        config = _kubernetes.config
        if self._kubeconfig is None:
            try:
                config.load_incluster_config(client_configuration=configuration)
            except config.ConfigException:
                config.load_kube_config(client_configuration=configuration, persist_config=False)
        else:
            config.load_kube_config(
                config_file=self._kubeconfig, client_configuration=configuration, persist_config=False
            )
        header = configuration.get_api_key_with_prefix("BearerToken") or ""
        scheme, _, token = header.rpartition(" ")
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            username=configuration.username or None,
            password=configuration.password or None,
            scheme=scheme or None,
            token=token or None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )


class _KopfThread:
    """One run of kopf, in a thread."""

    def __init__(self, *, seen: Seen, login: Callable[[], kopf.ConnectionInfo]) -> None:
        self._registry = make_registry(seen, login)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flag: asyncio.Event | None = None
        self._stopped = threading.Event()
        self.problem: BaseException | None = None

    def start(self, ended: Callable[[], object]) -> None:
        """Start; `ended` is called, in the thread, when kopf is no more."""

        def body() -> None:
            try:
                asyncio.run(self._main())
            except BaseException as problem:  # whatever kopf died of is the supervisor's to report
                self.problem = problem
            finally:
                try:
                    ended()
                except RuntimeError:
                    logging.getLogger(__name__).debug("the main loop was closed before kopf ended")

        threading.Thread(target=body, name="kopf", daemon=True).start()

    def stop(self) -> None:
        """Ask kopf to end; from any thread, at any time."""
        self._stopped.set()
        loop, flag = self._loop, self._flag
        if loop is not None and flag is not None:
            # Its loop is closed: it has ended already.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(flag.set)

    async def _main(self) -> None:
        # A flag of kopf's own loop: it would wait for one of `threading` in a thread that outlives a failure.
        self._flag, self._loop = asyncio.Event(), asyncio.get_running_loop()
        if self._stopped.is_set():
            return
        await kopf.operator(
            registry=self._registry,
            settings=kopf_settings(),
            standalone=True,
            clusterwide=True,
            stop_flag=self._flag,
        )


async def _until_cancelled(watch: Callable[[Seen], Awaitable[None]], seen: Seen) -> None:
    await watch(seen)


def _name(body: Mapping[str, Any]) -> str:
    return str(body["metadata"]["name"])


def _version(body: Mapping[str, Any]) -> int:
    # Versions are ordered integers by the API's contract since 1.35, and in fact on every server before it.
    return int(body["metadata"]["resourceVersion"])
