"""One request on its way to the server and back, through whatever faults it meets. HTTP and `LocalClient` share it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .effects import Act, Compact, Cut, Delay, Effect, Hang, Jump, LoseAnswer, Refuse, Stale
from .faults import Asked, Faults
from .requests import Request, Response
from .store import Store
from .streams import ConnectionCut

__all__ = ["Delivered", "Silence", "deliver"]


class Silence(Exception):
    """No answer will ever come, and the connection stays open."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """An answer that reached the client; `effects` are those that the stream of a watch has still to meet."""

    response: Response
    asked: Asked
    effects: Sequence[Effect]


async def deliver(
    request: Request, *, handle: Callable[[Request], Response], faults: Faults, store: Store
) -> Delivered:
    """Have a request carried out.

    Raises:
        ConnectionCut: the connection breaks; the request may have been carried out.
        Silence: so it may here.
    """
    _reach(faults)
    effects = faults.meet(request)
    await _wait(sum(effect.before for effect in effects if isinstance(effect, Delay)), faults)
    for effect in effects:
        if isinstance(effect, Refuse):
            problem = effect.problem()
            return Delivered(Response(problem.code, problem.status()), Asked.of(request), ())
        if isinstance(effect, Cut):
            raise ConnectionCut
        if isinstance(effect, Hang):
            raise Silence
        if isinstance(effect, Compact):
            store.compact()
        elif isinstance(effect, Jump):
            faults.jump(effect.seconds)
        elif isinstance(effect, Stale):
            request = _in_the_past(request, effect, store)
        elif isinstance(effect, Act) and effect.before is not None:
            effect.before(request)
    response = handle(request)
    for effect in effects:
        if isinstance(effect, Act) and effect.after is not None:
            effect.after(request, response)
    await _wait(sum(effect.after for effect in effects if isinstance(effect, Delay)), faults)
    for effect in effects:
        if isinstance(effect, LoseAnswer):
            raise Silence if effect.silent else ConnectionCut
    return Delivered(response, Asked.of(request), effects)


async def _wait(seconds: float, faults: Faults) -> None:
    if seconds:
        await asyncio.sleep(seconds)
        # What was under way when the server became unreachable goes down with it.
        _reach(faults)


def _reach(faults: Faults) -> None:
    if faults.down is not None:
        raise Silence if faults.down else ConnectionCut


def _in_the_past(request: Request, effect: Stale, store: Store) -> Request:
    revision = max(store.compacted, 1, store.revision - effect.revisions)
    query = {**request.query, "resourceVersion": str(revision), "resourceVersionMatch": "Exact"}
    return replace(request, query=query)
