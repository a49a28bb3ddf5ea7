"""Racks and NVLink domains that are being emptied: since when, by when, and who is still there.

The start of a drain is written to `status.drain`, so that a new leader counts the same checkpoints as newer. Who is
stopped, and when, is decided in `core.gangs.emptying`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rackplane.api.base import Resource
from rackplane.api.common import ServiceState
from rackplane.api.figures import SHOWN
from rackplane.api.nvlink_domain import NVLinkDomain
from rackplane.api.rack import Rack
from rackplane.core.gangs.statuses import condition, seconds, timestamp

if TYPE_CHECKING:
    from rackplane.core.site.entries import ObjectKey
    from rackplane.core.world import World

__all__ = ["DRAINED", "Drain", "Draining", "Service", "drain_figures", "drain_judgements", "service_of"]

#: Type of the condition of what is being emptied: True once nothing is left.
DRAINED: Final = "Drained"
_NOUNS: Final = {"Rack": "rack", "NVLinkDomain": "NVLink domain"}
_NAMED: Final = 4


@dataclass(frozen=True, slots=True)
class Service:
    """What the state of a rack or domain that is not Active asks for."""

    state: ServiceState
    #: when what is left is stopped, in seconds since the epoch; None: never; -inf: at once
    deadline: float | None


def service_of(model: Resource) -> Service | None:
    """What the object's state asks for; None while it is Active, or has none."""
    if not isinstance(model, Rack | NVLinkDomain) or model.spec.state is ServiceState.ACTIVE:
        return None
    by = model.spec.drain_deadline
    if by is not None:
        return Service(model.spec.state, by.timestamp())
    return Service(model.spec.state, -math.inf if model.spec.state is ServiceState.MAINTENANCE else None)


@dataclass(slots=True)
class Drain:
    """One rack or domain that is being emptied. Times in seconds since the epoch."""

    kind: str
    name: str
    state: ServiceState
    #: a checkpoint after this lets a gang go
    since: float
    #: None: what is left is never stopped
    deadline: float | None
    #: gangs with nodes here, by booking key
    gangs: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{_NOUNS[self.kind]} {self.name}"

    @property
    def words(self) -> str:
        """ "rack r1 is being drained", "rack r1 is in maintenance"."""
        what = "in maintenance" if self.state is ServiceState.MAINTENANCE else "being drained"
        return f"{self.label} is {what}"


@dataclass(slots=True)
class Draining:
    """What is being emptied, kept in step with the catalog and with what gangs hold."""

    drains: dict[ObjectKey, Drain] = field(default_factory=dict)
    _seen: tuple[object, ...] | None = None

    def look(self, world: World) -> None:
        """Follow what has changed; costs nothing where nothing has."""
        seen = (world.catalog.revision, world.rules, world.stamp if self.drains else None)
        if seen == self._seen:
            return
        first, services = self._seen is None, world.catalog.services()
        known, self.drains = self.drains, {}
        for key, service in services.items():
            since = known[key].since if key in known else _written(world, key) if first else None
            if since is None:
                # A checkpoint of this very second may be older.
                since = float(math.ceil(world.now))
            deadline = service.deadline if service.deadline != -math.inf else since
            self.drains[key] = Drain(*key, service.state, since, deadline)
        self._find_gangs(world)
        self._seen = (world.catalog.revision, world.rules, world.stamp if self.drains else None)

    def resign(self) -> None:
        """This process no longer leads: whoever does goes on from what is written."""
        self.drains.clear()
        self._seen = None

    def _find_gangs(self, world: World) -> None:
        if not self.drains or world.state is None:
            return
        found: dict[ObjectKey, dict[str, None]] = {key: {} for key in self.drains}
        for node in world.state.nodes():
            for key in (("Rack", node.rack or ""), ("NVLinkDomain", node.domain or "")):
                if key in found:
                    found[key].update(dict.fromkeys(world.state.keys_on(node.name)))
        for key, gangs in found.items():
            self.drains[key].gangs = tuple(sorted(gangs))


def _written(world: World, key: ObjectKey) -> float | None:
    """Since when it is being emptied by its status: a former leader's word."""
    drain = world.catalog.status(*key).get("drain")
    since = drain.get("since") if isinstance(drain, Mapping) else None
    try:
        return seconds(since) if isinstance(since, str) else None
    except ValueError:
        return None


def drain_figures(drain: Drain | None) -> dict[str, Any]:
    """`status.drain`; None takes it away."""
    if drain is None:
        return {"drain": None}
    return {
        "drain": {
            "since": timestamp(drain.since),
            "deadline": None if drain.deadline is None else timestamp(drain.deadline),
            "gangs": len(drain.gangs),
            "waitingFor": list(drain.gangs[:SHOWN]),
        }
    }


def drain_judgements(drain: Drain | None, now: float) -> Iterator[dict[str, Any]]:
    """The condition of what is being emptied."""
    if drain is None:
        return
    if not drain.gangs:
        yield condition(DRAINED, true=True, reason="Empty", message="no gang holds a node here", now=now)
        return
    by = (
        "they leave at their next checkpoint or when they end; with spec.drainDeadline what is left is stopped then"
        if drain.deadline is None
        else f"they leave at their next checkpoint, and what is left at {timestamp(drain.deadline)} is stopped"
    )
    text = f"{_listed(drain.gangs)} here: {by}; bare pods have to be deleted by their owner"
    yield condition(DRAINED, true=False, reason="GangsRun", message=text, now=now)


def _listed(gangs: Sequence[str]) -> str:
    more = f" and {len(gangs) - _NAMED} more" if len(gangs) > _NAMED else ""
    noun, verb = ("gang", "holds") if len(gangs) == 1 else ("gangs", "hold")
    return f"{noun} {', '.join(gangs[:_NAMED])}{more} {verb} nodes"
