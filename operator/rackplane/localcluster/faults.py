"""Faults on demand: which request or stream meets which effect, and what did happen.

    cluster.faults.add(Fault(Refuse(429, retry_after=3), verb="patch", resource="pods", times=2))
    cluster.faults.add(Fault(LoseAnswer(), verb="write", client="operator*", times=None, probability=0.05))

Faults act on what comes over HTTP and through `LocalCluster.client`. `LocalCluster.handle`, with which tests prepare
and look, knows none. All time is the event loop's, so in virtual time nothing waits.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .clocks import WallClock
from .effects import CutStream, Effect, HalfOpen, LoseAnswer, Stale, StreamEffect
from .requests import Request

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "GET": "get", "HEAD": "get"}
_GROUPS = {
    "read": frozenset({"get", "list", "watch"}),
    "write": frozenset({"create", "update", "patch", "delete", "deletecollection"}),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for, in the words of RBAC. `resource` includes a subresource: "pods/status"."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    user: str
    agent: str

    @classmethod
    def of(cls, request: Request) -> Asked:
        """Read the path as the API server does; paths outside /api and /apis have no resource."""
        parts = [part for part in request.path.split("/") if part]
        group, namespace = "", ""
        if parts[:1] == ["api"]:
            parts = parts[2:]
        elif parts[:1] == ["apis"]:
            group, parts = (parts[1] if len(parts) > 1 else ""), parts[3:]
        else:
            parts = []
        if parts[:1] == ["namespaces"] and len(parts) > 2 and parts[2] not in ("status", "finalize"):
            namespace, parts = parts[1], parts[2:]
        resource, name = "/".join(parts[:1] + parts[2:3]), parts[1] if len(parts) > 1 else ""
        verb = _VERBS.get(request.method, "get")
        if request.method == "DELETE":
            verb = "delete" if name else "deletecollection"
        elif verb == "get" and parts and not name:
            verb = "watch" if request.query.get("watch") in ("1", "true") else "list"
        return cls(verb, group, resource, namespace, name, request.user, request.agent)

    @property
    def names(self) -> tuple[str, ...]:
        """The resource as a fault may name it: "leases", "leases.coordination.k8s.io", "gangs/status"."""
        if not self.group:
            return (self.resource,)
        plural, slash, subresource = self.resource.partition("/")
        return (self.resource, f"{plural}.{self.group}{slash}{subresource}")


@dataclass(frozen=True, slots=True)
class Fault:
    """An effect and the requests that meet it; what is left empty matches everything.

    Args:
        effect: what happens, from `effects`.
        verb: one of RBAC's, several with commas between, or "read" or "write".
        resource: plural, with the group or without ("leases", "gangs.rackplane.dev"), with its subresource if it has
            one ("pods/status"); `*` and `?` match as in file names ("pods*" is pods and their subresources).
        client: user name or User-Agent, in the same way ("operator", "kubectl/*").
        namespace, name: of the object.
        times: how many requests meet it, None for all.
        skip: how many that match pass first.
        probability: of meeting it, from a source that the cluster's seed decides.
        seconds: how long it stays, from being added; None: until `times` are used up.
    """

    effect: Effect
    verb: str = ""
    resource: str = ""
    client: str = ""
    namespace: str = ""
    name: str = ""
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    seconds: float | None = None

    def fits(self, asked: Asked) -> bool:
        """Whether a request is one of those meant, numbers and chance aside."""
        if self.effect.verbs and asked.verb not in self.effect.verbs:
            return False
        if self.verb and not any(
            asked.verb in _GROUPS.get(word.strip(), {word.strip()}) for word in self.verb.split(",")
        ):
            return False
        return (
            (not self.resource or any(fnmatchcase(name, self.resource) for name in asked.names))
            and (not self.client or any(fnmatchcase(who, self.client) for who in (asked.user, asked.agent)))
            and (not self.namespace or fnmatchcase(asked.namespace, self.namespace))
            and (not self.name or fnmatchcase(asked.name, self.name))
        )


@dataclass(frozen=True, slots=True)
class Fired:
    """An effect that took place, and when (seconds of the event loop's clock)."""

    at: float
    effect: Effect
    asked: Asked | None


class _Armed:
    def __init__(self, fault: Fault, until: float | None, source: random.Random) -> None:
        self.fault = fault
        self._until = until
        self._source = source
        self._skip = fault.skip
        self._left = fault.times

    def takes(self, asked: Asked, now: float) -> bool:
        """Whether this request meets the fault; counts it."""
        if self._left == 0 or (self._until is not None and now >= self._until) or not self.fault.fits(asked):
            return False
        if self._skip:
            self._skip -= 1
            return False
        if self.fault.probability < 1 and self._source.random() >= self.fault.probability:
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def waits(self, now: float) -> bool:
        """Whether it may still happen."""
        return self._left != 0 and (self._until is None or now < self._until)


class Strikable:
    """An open stream, as far as faults go."""

    asked: Asked

    def strike(self, effect: StreamEffect) -> None:
        """Have an effect happen to it, counted from now."""
        raise NotImplementedError


class Faults:
    """The faults of one cluster. Everything that took place is in `fired`, in order.

    Args:
        seed: of the faults that come by chance; each draws from a source of its own, so that another fault beside
            it changes nothing.
        clock: the cluster's wall clock; `Jump` needs a `WallClock`.
    """

    def __init__(self, *, seed: int = 0, clock: Callable[[], float] | None = None) -> None:
        self.fired: list[Fired] = []
        self.streams: dict[Strikable, None] = {}
        #: Called with True when the server becomes unreachable and with False when it is back.
        self.on_outage: Callable[[bool], None] = _ignore
        self._seed = seed
        self._clock = clock
        self._armed: dict[int, _Armed] = {}
        self._count = 0
        self._outage: asyncio.TimerHandle | None = None
        self._reset = asyncio.Event()
        #: None while the server can be reached; else whether requests meet silence instead of a closed port.
        self._down: bool | None = None

    # -- for tests

    def add(self, *faults: Fault) -> tuple[int, ...]:
        """Arm faults. A request meets them in this order; one that ends it (a refusal, a cut) hides later ones.

        Returns what `remove` takes.
        """
        for fault in faults:
            self._count += 1
            until = None if fault.seconds is None else _now() + fault.seconds
            source = random.Random(f"{self._seed}/{self._count}")
            self._armed[self._count] = _Armed(fault, until, source)
        return tuple(range(self._count - len(faults) + 1, self._count + 1))

    def remove(self, *numbers: int) -> None:
        """Disarm faults, by default all. What has befallen a stream stays with it, and an outage goes on."""
        for number in numbers or tuple(self._armed):
            self._armed.pop(number, None)

    @contextmanager
    def during(self, *faults: Fault) -> Iterator[None]:
        """Faults that last as long as the block."""
        numbers = self.add(*faults)
        try:
            yield
        finally:
            self.remove(*numbers)

    def strike(self, effect: StreamEffect, *, resource: str = "", client: str = "") -> int:
        """Have an effect happen to the watches that are open now; returns how many there are."""
        fault = Fault(effect, resource=resource, client=client)
        struck = [stream for stream in self.streams if fault.fits(stream.asked)]
        for stream in struck:
            stream.strike(effect)
        return len(struck)

    def reset(self) -> None:
        """Every watch that is open breaks, and every request that hangs; what is sent from now on goes through."""
        self.strike(CutStream())
        ended, self._reset = self._reset, asyncio.Event()
        ended.set()

    def outage(self, seconds: float | None = None, *, silent: bool = False) -> None:
        """Nobody reaches the server, for so many seconds or until `recover`.

        The port is closed and every connection breaks; if `silent`, connections stay open and nothing comes through
        any more, and nothing of what is sent arrives.
        """
        self.recover()
        self._down = silent
        self.fired.append(Fired(_now(), HalfOpen() if silent else CutStream(), None))
        self.strike(HalfOpen() if silent else CutStream())
        if not silent:
            self.on_outage(True)
        if seconds is not None:
            self._outage = asyncio.get_running_loop().call_later(seconds, self.recover)

    def recover(self) -> None:
        """End an outage."""
        if self._outage is not None:
            self._outage.cancel()
            self._outage = None
        silent, self._down = self._down, None
        if silent is False:
            self.on_outage(False)

    def count(self, effect: type[Effect] | Effect) -> int:
        """How often an effect, or any of a kind, took place."""
        if isinstance(effect, Effect):
            return sum(fired.effect == effect for fired in self.fired)
        return sum(isinstance(fired.effect, effect) for fired in self.fired)

    @property
    def armed(self) -> bool:
        """Whether the server cannot be reached, or a fault may still meet a request."""
        now = _now()
        return self._down is not None or any(fault.waits(now) for fault in self._armed.values())

    # -- for the two ways to reach the server

    @property
    def down(self) -> bool | None:
        """None while the server can be reached; else whether silence is all that a request meets."""
        return self._down

    def meet(self, request: Request) -> Sequence[Effect]:
        """The effects one request meets. Those of streams are noted by the stream when they take place."""
        asked = Asked.of(request)
        now = _now()
        met: list[Effect] = []
        for armed in tuple(self._armed.values()):
            effect = armed.fault.effect
            if isinstance(effect, Stale) and not _may_be_stale(effect, request):
                continue
            if not armed.takes(asked, now):
                continue
            met.append(effect)
            if not isinstance(effect, StreamEffect):
                self.note(effect, asked)
            if effect.final or isinstance(effect, LoseAnswer):
                break
        return met

    def note(self, effect: Effect, asked: Asked) -> None:
        """Remember that an effect took place."""
        self.fired.append(Fired(_now(), effect, asked))

    async def silence(self, stopping: asyncio.Event) -> None:
        """Until the server stops, or a `reset`."""
        ends = [asyncio.ensure_future(event.wait()) for event in (stopping, self._reset)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    def jump(self, seconds: float) -> None:
        """Set the cluster's wall clock.

        Raises:
            TypeError: the cluster was not given a `WallClock`.
        """
        if not isinstance(self._clock, WallClock):
            raise TypeError("only a cluster whose clock is a WallClock can have it jump")
        self._clock.jump(seconds)


def _may_be_stale(effect: Stale, request: Request) -> bool:
    version, exact = request.query.get("resourceVersion", ""), request.query.get("resourceVersionMatch")
    return (
        "continue" not in request.query and (version == "0" or (effect.quorum and not version)) and not exact
    )


def _ignore(down: bool) -> None:
    """Nobody listens on a port."""


def _now() -> float:
    return asyncio.get_running_loop().time()
