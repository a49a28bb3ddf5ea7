"""Whether power caps are in force, as somebody says who knows: the agent on the node, or an endpoint that sets them.

Without confirmation a cap counts from when it is written. With it, a cap below what the node can draw counts from when
it is confirmed: until then the load counts as it was, and no pod of a gang that is to run lower is let go.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rackplane.api.labels import NODE_GANGS, POWER_CAP_APPLIED_WATTS, POWER_CAP_WATTS, POWER_PROFILE
from rackplane.api.numbers import whole_number
from rackplane.core.instructions import SendCap
from rackplane.core.settings import Confirmation
from rackplane.core.site.actuation import ActuationTimes

if TYPE_CHECKING:
    from rackplane.core.world import World

__all__ = ["Confirmations"]

_BY = {Confirmation.AGENT: "the agent on the node", Confirmation.ENDPOINT: "the power endpoint"}


@dataclass(slots=True)
class _Asked:
    """A cap that is to be confirmed: watts, since when, and whether that was too late already."""

    watts: int
    since: float
    late: bool = False


@dataclass(slots=True)
class _Sent:
    """What the endpoint was told of a node, and what it answered. No watts: no gang is there any more."""

    watts: int | None
    answered: bool = False
    failures: int = 0
    again_at: float = math.inf


class Confirmations:
    """Caps that are to be confirmed, by node, and how long that took."""

    def __init__(self) -> None:
        self.times = ActuationTimes()
        self._asked: dict[str, _Asked] = {}
        self._sent: dict[str, _Sent] = {}
        self._problems: dict[str, str] = {}

    def resign(self) -> None:
        """This process no longer leads."""
        for kept in (self._asked, self._sent, self._problems):
            kept.clear()

    def confirms(self, world: World, name: str, watts: int) -> bool:
        """Whether the node is sure to be held to so many watts, or fewer."""
        if world.settings.confirmation is Confirmation.NONE or watts >= _most(world, name):
            return True
        applied = self._applied(world, name)
        return applied is not None and applied <= watts

    def problem(self, world: World, name: str) -> str:
        """What keeps a cap that is late from being in force, in words; empty if none is late."""
        asked = self._asked.get(name)
        if asked is None or not asked.late:
            return ""
        told = self._problems.get(name)
        text = f"{_BY[world.settings.confirmation]} has not confirmed {asked.watts:,} W"
        return f"{text}: {told}" if told else text

    def asked(self, world: World, name: str, changes: Mapping[str, str | None]) -> None:
        """These annotations of the node are being written."""
        if POWER_CAP_WATTS not in changes:
            return
        text, before = changes[POWER_CAP_WATTS], self._asked.get(name)
        if before is not None and text == str(before.watts):
            return  # once more: it is waited for since the first time
        self._asked.pop(name, None)
        if text is not None and not self.confirms(world, name, int(text)):
            self._asked[name] = _Asked(int(text), world.now)

    def look(self, world: World, name: str) -> None:
        """Something was heard of the node's cap: whether that confirms it."""
        asked = self._asked.get(name)
        if asked is not None and self.confirms(world, name, asked.watts):
            del self._asked[name]
            if not asked.late:
                self.times.add(max(0.0, world.now - asked.since))

    def late(self, world: World) -> None:
        """Count what was not confirmed in time, once."""
        for name, asked in self._asked.items():
            if not asked.late and world.now > asked.since + world.settings.actuation_seconds:
                asked.late = True
                self.times.add(math.inf)
                world.dirty.update(world.gangs_on(name))

    # -- the endpoint ------------------------------------------------------------------------------

    def due(self, world: World) -> list[str]:
        """Nodes whose caps are to be sent again, because that failed."""
        return [name for name, sent in self._sent.items() if world.now >= sent.again_at]

    def send(self, world: World, name: str, wanted: Mapping[str, str | None]) -> Iterator[SendCap]:
        """What the endpoint has to be told of a node that is to carry these annotations."""
        if not world.settings.send_caps:
            return
        text = wanted[POWER_CAP_WATTS]
        watts, sent = None if text is None else int(text), self._sent.get(name)
        if sent is None and watts is None:
            return  # it was never told of a gang there
        if sent is not None and sent.watts == watts and world.now < sent.again_at:
            return
        failures = 0 if sent is None or sent.watts != watts else sent.failures
        self._sent[name] = _Sent(watts, failures=failures)
        gangs = (wanted[NODE_GANGS] or "").split(",") if wanted[NODE_GANGS] else ()
        yield SendCap(name, watts, wanted[POWER_PROFILE] or "", tuple(gangs))

    def answered(self, world: World, instruction: SendCap, problem: str | None) -> None:
        """The endpoint has set what was sent, or (``problem``) it has not; that is tried again after a pause."""
        name, sent = instruction.name, self._sent.get(instruction.name)
        if sent is None or sent.watts != instruction.watts:
            return  # something else has been sent since
        if problem is None:
            self._problems.pop(name, None)
            if sent.watts is None:
                del self._sent[name]
            else:
                sent.answered, sent.failures, sent.again_at = True, 0, math.inf
        else:
            self._problems[name] = problem
            pause = world.settings.retry_seconds * 2 ** min(sent.failures, 10)
            sent.failures += 1
            sent.again_at = world.now + min(pause, world.settings.longest_retry_seconds)
        self.look(world, name)
        world.caps.look((name,))
        world.dirty.update(world.gangs_on(name))
        world.stale.nodes[name] = None  # pods that are left behind there count by it

    def _applied(self, world: World, name: str) -> int | None:
        """The cap that is in force on the node, in watts, as far as is known."""
        if world.settings.confirmation is Confirmation.ENDPOINT:
            sent = self._sent.get(name)
            return sent.watts if sent is not None and sent.answered else None
        node = world.nodes.get(name)
        return None if node is None else whole_number(node.metadata.annotations.get(POWER_CAP_APPLIED_WATTS))


def _most(world: World, name: str) -> float:
    """What the node can draw at most: a cap as high as that needs nobody to set it."""
    node_type = None if world.state is None else world.state.node_type(name)
    return math.inf if node_type is None else node_type.max_watts
