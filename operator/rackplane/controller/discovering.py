"""Discovery within the operator: while it leads, Racks and NVLinkDomains are kept as the labels of nodes have them.

The same rules as `rackplane discover` (docs/discovery.md): nothing that a person wrote is changed, and nothing deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec
import structlog

from rackplane.api.base import API_VERSION
from rackplane.api.fabric import Fabric
from rackplane.api.kinds import BY_KIND
from rackplane.core.discovery.merging import FIELD_MANAGER, Change, Verdict, changes_of, known_of
from rackplane.core.discovery.reading import Discovery, discover
from rackplane.core.discovery.template import Template
from rackplane.core.objects import Node
from rackplane.kube.applying import server_side_apply
from rackplane.kube.client import ApiError, Client
from rackplane.kube.listing import list_all
from rackplane.kube.resources import facility

__all__ = ["Discoverer"]

_KINDS = ("HardwareProfile", "NVLinkDomain", "Rack")

log = structlog.stdlib.get_logger(__name__)


class Discoverer:
    """Looks until cancelled, and writes while this process leads.

    Two that lead for a moment do no harm: they write the same, and the API server refuses what others hold.

    Args:
        nodes: those that are known now.
        rack_labels: that name racks.
        template: what labels do not say of racks. None: no Rack is written.
        leading: whether this process leads.
        seconds: between two looks.
        sleep: for tests.
    """

    def __init__(
        self,
        client: Client,
        *,
        nodes: Callable[[], Iterable[Node]],
        fabric: Fabric,
        rack_labels: Sequence[str],
        template: Template | None,
        leading: Callable[[], bool],
        seconds: float,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._client, self._nodes, self._fabric = client, nodes, fabric
        self._rack_labels, self._template = rack_labels, template
        self._leading, self._seconds, self._sleep = leading, seconds, sleep
        self._told: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look again and again. What fails is logged, and tried again."""
        while True:
            if self._leading():
                await self.look()
            await self._sleep(self._seconds)

    async def look(self) -> None:
        """Compare once, and write what differs."""
        problems: list[str] = []
        try:
            bodies = [body for kind in _KINDS for body in await self._list(kind)]
        except (ApiError, msgspec.DecodeError) as error:
            self._tell([f"the facility cannot be listed: {error}"])
            return
        # A quarter of a second of ten thousand nodes: not in the way of decisions.
        found, changes = await asyncio.to_thread(self._compare, list(self._nodes()), bodies)
        problems += (f"{p.kind} {p.name}".strip() + f": {p.message}; {p.remedy}" for p in found.problems)
        for change in changes:
            if change.verdict in (Verdict.CREATE, Verdict.UPDATE) and self._leading():
                problem = await self._write(change)
                problems += [problem] if problem else []
        self._tell(problems)

    def _compare(
        self, nodes: Sequence[Node], bodies: Sequence[dict[str, Any]]
    ) -> tuple[Discovery, list[Change]]:
        found = discover(
            nodes,
            known_of(bodies),
            fabric=self._fabric,
            rack_labels=self._rack_labels,
            template=self._template,
        )
        return found, changes_of(found.objects, bodies)

    async def _write(self, change: Change) -> str:
        """Why it was refused; empty if it was not."""
        kind, name = change.desired.kind, change.desired.name
        resource = facility(BY_KIND[kind].info.plural)
        try:
            await server_side_apply(self._client, resource, change.apply, manager=FIELD_MANAGER)
        except ApiError as error:
            return f"{kind} {name} was refused: {error.message or error}"
        log.info("discovered", kind=kind, name=name, verb=change.verdict.value, kept=change.kept)
        return ""

    async def _list(self, kind: str) -> list[dict[str, Any]]:
        def body(raw: msgspec.Raw) -> dict[str, Any]:
            # Items of a list carry neither.
            return {"apiVersion": API_VERSION, "kind": kind, **msgspec.json.decode(raw)}

        _, bodies = await list_all(self._client, facility(BY_KIND[kind].info.plural), each=body)
        return bodies

    def _tell(self, problems: Iterable[str]) -> None:
        """Log what was not said the last time."""
        now = frozenset(problems)
        for problem in sorted(now - self._told):
            log.warning("not discovered", problem=problem)
        self._told = now
