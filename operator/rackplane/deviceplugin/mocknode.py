"""A node with mock GPUs: finds out what they are to be, labels the Node, and lets them work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from rackplane.api.fabric import CLIQUE_LABEL
from rackplane.api.labels import MOCK_GPUS
from rackplane.deviceplugin.dcgm import GpuState
from rackplane.deviceplugin.hardware import KINDS, PRODUCT_LABEL, Facility, Hardware, Written, labels_of
from rackplane.deviceplugin.kubelet import DIRECTORY
from rackplane.deviceplugin.podresources import POD_RESOURCES
from rackplane.deviceplugin.session import Session
from rackplane.kube.client import MERGE_PATCH, ApiError, Client
from rackplane.kube.informer import Informer
from rackplane.kube.resources import NODES, facility
from rackplane.nodeagent.node import Node, watch

__all__ = ["MockNode"]

log = structlog.get_logger(__name__)

_RETRY_SECONDS: Final = 5.0


class MockNode:
    """The mock GPUs of one node.

    Args:
        client: sends its requests.
        node: the Node's name.
        sockets: directory of the kubelet's device plugins.
        pod_resources: socket of the kubelet's pod resources.
        host_watts: what the node draws beside its GPUs. None: half of the HardwareProfile's idle watts.
        clock: monotonic seconds.
        sleep: for tests.
    """

    def __init__(
        self,
        client: Client,
        *,
        node: str,
        sockets: Path = DIRECTORY,
        pod_resources: Path = POD_RESOURCES,
        host_watts: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._name = node
        self._sockets = sockets
        self._pod_resources = pod_resources
        self._host_watts = host_watts
        self._clock = clock
        self._sleep = sleep
        self._facility = Facility()
        self._node: Node | None = None
        self._found: tuple[dict[str, str], Hardware | str] | None = None
        self._said = ""
        self._clique = ""
        self._session: Session | None = None
        self._working: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.turned_at = clock()
        """When it last looked at what is to be, for the liveness probe."""

    def states(self) -> Sequence[GpuState]:
        """Of the GPUs by index, for the metrics; none while the node has none."""
        return [] if self._session is None else self._session.states()

    @property
    def ready(self) -> bool:
        """The kubelet knows the GPUs, or there are none to know."""
        return self._found is not None and (self._session is None or self._session.ready)

    async def run(self) -> None:
        """Work until cancelled. Errors of the API server and the kubelet are logged, and tried again."""
        informers: list[Informer[Any]] = [
            watch(self._client, self._name, on_change=self._node_is, on_delete=self._node_is_gone),
            *(self._informer(kind) for kind in KINDS),
        ]
        try:
            async with asyncio.TaskGroup() as tasks:
                for informer in informers:
                    tasks.create_task(informer.run(), name=f"watch {informer.resource}")
                for informer in informers:
                    await informer.synced.wait()
                while True:
                    self._changed.clear()
                    await self._turn(tasks)
                    try:
                        async with asyncio.timeout(_RETRY_SECONDS):
                            await self._changed.wait()
                    except TimeoutError:
                        pass
        finally:
            self._session = None

    def _informer(self, kind: str) -> Informer[Written]:
        def put(it: Written) -> None:
            self._facility.put(kind, it)
            self._found = None
            self._changed.set()

        def drop(_: str, name: str) -> None:
            self._facility.drop(kind, name)
            self._found = None
            self._changed.set()

        return Informer(
            self._client,
            facility(KINDS[kind].info.plural),
            Written,
            on_change=put,
            on_delete=drop,
            # The CRDs may come later.
            optional=True,
        )

    def _node_is(self, node: Node) -> None:
        self._node = node
        if self._session is not None:
            self._session.see(node)
        self._changed.set()

    def _node_is_gone(self) -> None:
        self._node = None
        if self._session is not None:
            self._session.gone()

    async def _turn(self, tasks: asyncio.TaskGroup) -> None:
        """Bring the GPUs and the Node in line with what is written."""
        self.turned_at = self._clock()
        node = self._node
        if node is None:
            return  # what is there stays until it is back
        hardware = self._hardware(node)
        wanted = hardware if isinstance(hardware, Hardware) else None
        if wanted is None and hardware != self._said:
            log.warning("no GPUs", node=self._name, why=hardware)
        self._said = "" if wanted else str(hardware)
        if self._session is not None and self._session.hardware != wanted:
            await self._stop()
        if wanted is not None and self._session is None:
            log.info("GPUs", node=self._name, model=wanted.model, gpus=wanted.count, clique=wanted.clique)
            self._session = Session(
                self._client,
                node=self._name,
                hardware=wanted,
                sockets=self._sockets,
                pod_resources=self._pod_resources,
                clock=self._clock,
                sleep=self._sleep,
            )
            self._session.see(node)
        try:
            await self._tell(node, wanted)
        except ApiError as error:
            log.warning("Node not labelled", node=self._name, error=str(error))
            return
        # The kubelet hears of them last: of GPUs on a Node that does not say so, nobody could tell that they are mocks.
        if self._session is not None and self._working is None:
            self._working = tasks.create_task(self._session.run(), name="GPUs")

    def _hardware(self, node: Node) -> Hardware | str:
        labels = node.metadata.labels
        if self._found is None or self._found[0] != labels:
            it = self._facility.hardware(self._name, labels, host_watts=self._host_watts)
            self._found = labels, it
        it = self._found[1]
        if isinstance(it, Hardware) and MOCK_GPUS not in node.metadata.annotations:
            offered = node.status.allocatable.get(it.resource, "0")
            if offered != "0" or PRODUCT_LABEL in labels:
                return (
                    f"the node has {it.resource} from elsewhere ({offered} allocatable, "
                    f"{PRODUCT_LABEL}={labels.get(PRODUCT_LABEL, '')}), and mock GPUs are for nodes without"
                )
        return it

    async def _stop(self) -> None:
        working, self._working, self._session = self._working, None, None
        if working is not None:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _tell(self, node: Node, hardware: Hardware | None) -> None:
        """Labels and the annotation that says that they are ours; both go with the GPUs."""
        have = node.metadata
        ours = MOCK_GPUS in have.annotations
        if hardware is None and not ours:
            return
        labels = labels_of(hardware)
        if labels[CLIQUE_LABEL] is None and have.labels.get(CLIQUE_LABEL) != self._clique:
            del labels[CLIQUE_LABEL]  # somebody else's
        self._clique = labels.get(CLIQUE_LABEL) or ""
        summary = self._session.summary() if self._session is not None else None
        changed = {key: value for key, value in labels.items() if have.labels.get(key) != value}
        if not changed and have.annotations.get(MOCK_GPUS) == summary:
            return
        body = {"metadata": {"labels": changed, "annotations": {MOCK_GPUS: summary}}}
        await self._client.request("PATCH", NODES.path(None, self._name), body=body, content_type=MERGE_PATCH)
