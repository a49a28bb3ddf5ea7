"""`GET /debug/decisions`: the last decisions, for those whom the cluster lets read them.

On a port of its own. That of the metrics is read without a token and in the clear by whoever may scrape, and a token
must go neither over it nor past the same rules. Without a certificate it listens on the pod's own loopback address
alone, which `kubectl port-forward` reaches, so that no token ever crosses a network in the clear.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec
import structlog
from aiohttp import web

from rackplane.controller.decisions.access import Access, Answer
from rackplane.controller.decisions.rendering import rendered
from rackplane.controller.decisions.ring import Entry, Ring
from rackplane.controller.listening import listening
from rackplane.controller.tls import Certificate

__all__ = ["PATH", "DecisionServer", "Replica"]

PATH: Final = "/debug/decisions"
_LOOPBACK: Final = "127.0.0.1"
_LIMIT: Final = 100
_MOST: Final = 10_000
_FILTERS: Final = ("gang", "queue", "result", "id", "limit")

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Replica:
    """What an answer says of the process that gives it.

    Args:
        leader: who holds the Lease as far as is known here; "" if nobody does.
        line_of: what the gang of that name, namespace/name, waits in; None if it does not wait.
    """

    identity: str
    leading: Callable[[], bool]
    leader: Callable[[], str]
    line_of: Callable[[str], Hashable]


class DecisionServer:
    """Listens; an async context manager.

    Args:
        ring: what is served.
        access: who may read it.
        replica: who serves it.
        host: where it listens if there is a certificate.
        port: 0 takes any free one.
        tls: directory with tls.crt and tls.key; empty: plain HTTP, on the loopback address.

    Raises:
        OSError: on entering, if the port or the certificate cannot be had.
    """

    def __init__(
        self, *, ring: Ring, access: Access, replica: Replica, host: str, port: int, tls: str = ""
    ) -> None:
        self._ring = ring
        self._access = access
        self._replica = replica
        self._address = (host if tls else _LOOPBACK, port)
        self._tls = tls
        self._certificate: Certificate | None = None
        self._stack = AsyncExitStack()
        #: The port in use once entered.
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1)
        app.add_routes([web.get(PATH, self._get, allow_head=False)])
        self._certificate = Certificate(self._tls) if self._tls else None
        context = None if self._certificate is None else self._certificate.context
        self.port = await self._stack.enter_async_context(listening(app, *self._address, tls=context))
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self._stack.aclose()

    async def _get(self, request: web.Request) -> web.Response:
        if self._certificate is not None:
            self._certificate.follow()
        verdict = await self._access.check(request.headers.get("Authorization", ""), PATH)
        if verdict.answer is not Answer.ALLOWED:
            # Whoever is nobody may ask as often as they like, and shall not fill the log.
            tell = log.debug if verdict.answer is Answer.UNKNOWN else log.warning
            tell("decisions are not shown", user=verdict.user, status=verdict.answer.value)
            headers = (
                {"WWW-Authenticate": 'Bearer realm="rackplane"'} if verdict.answer is Answer.UNKNOWN else {}
            )
            return _answer(verdict.answer.value, {"error": verdict.why}, headers)
        try:
            chosen, limit = _choice(request.query)
        except ValueError as error:
            return _answer(400, {"error": str(error)})
        entries: list[dict[str, Any]] = []
        for entry in self._chosen(chosen):
            if len(entries) == limit:
                break
            entries.append(rendered(entry))
        replica, ring = self._replica, self._ring
        leads = replica.leading()
        body = {
            "identity": replica.identity,
            "leading": leads,
            "leader": replica.identity if leads else replica.leader(),
            "kept": len(ring),
            "bytes": ring.bytes,
            "dropped": ring.dropped,
            "decisions": entries,
        }
        if not leads:
            # What it keeps is of the time when it led.
            leader = body["leader"] or "nobody"
            body["note"] = f"this replica decides nothing: {leader} leads"
        return _answer(200, body)

    def _chosen(self, by: Mapping[str, str]) -> Iterator[Entry]:
        line = self._replica.line_of(by["gang"]) if "gang" in by else None
        for entry in self._ring.newest():
            # Gangs of one line are told the same: one of them is asked for all.
            if "gang" in by and entry.gang != by["gang"] and (line is None or entry.line != line):
                continue
            if "queue" in by and entry.queue != by["queue"]:
                continue
            if "id" in by and entry.id != by["id"]:
                continue
            if "result" in by and not _has_result(entry, by["result"].lower()):
                continue
            yield entry


def _has_result(entry: Entry, result: str) -> bool:
    """Whether it is that, or came to that; "refused" is every answer to one that waits."""
    if result == "refused":
        return entry.wait is not None
    return result == entry.result.lower() or any(
        result in (step.reason.lower(), step.what.lower()) for step in entry.steps
    )


def _choice(query: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """The filters, and how many entries at most.

    Raises:
        ValueError: for people.
    """
    unknown = [name for name in query if name not in _FILTERS]
    if unknown:
        raise ValueError(f"there is no filter {unknown[0]!r}: filters are {', '.join(_FILTERS)}")
    gang = query.get("gang")
    if gang is not None and gang.count("/") != 1:
        raise ValueError(f"gang={gang}: write NAMESPACE/NAME")
    text = query.get("limit", str(_LIMIT))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _MOST:
        raise ValueError(f"limit={text}: write a number from 1 to {_MOST:,}")
    return {name: query[name] for name in query if name != "limit"}, int(text)


def _answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body) + b"\n",
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
