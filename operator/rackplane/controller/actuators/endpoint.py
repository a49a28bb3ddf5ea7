"""Power caps for an HTTP endpoint that sets them, in the terms of NVIDIA DPS and DSX.

One POST names entities (nodes, of type ComputerSystem) with their power limit in watts and their policy bundle; the
answer says of each whether it is `applied`, `failed` or `skipped`, the words of DSX Flex's enforcement reports. What
comes while a request is under way goes into the next one, of a node only the latest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import structlog

from rackplane.core.events import Event, FailureReason, WriteFailed, WriteSucceeded
from rackplane.core.instructions import SendCap

__all__ = ["PowerEndpoint"]

log = structlog.get_logger(__name__)

MOST_ENTITIES: Final = 256
"""Nodes in one request."""
_WORDS_KEPT: Final = 200
"""Of what the endpoint says, so many characters are passed on."""


class _Entity(msgspec.Struct, rename="pascal"):
    name: str = ""
    status: str = ""
    message: str = ""


class _Answer(msgspec.Struct, rename="pascal"):
    entities: list[_Entity] = []


_decode = msgspec.json.Decoder(_Answer).decode


class PowerEndpoint:
    """Sends caps and tells what became of each.

    Args:
        url: where they are posted.
        feed: takes the outcomes. What failed is sent again by whoever submitted it, after a pause.
        token_file: holds the bearer token, read for each request, for tokens rotate; empty: none is sent.
        timeout: seconds that a request may take.
    """

    def __init__(
        self, url: str, *, feed: Callable[[Event], None], token_file: str = "", timeout: float = 5.0
    ) -> None:
        self._url = url
        self._feed = feed
        self._token_file = token_file
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._waiting: dict[str, SendCap] = {}
        self._wake = asyncio.Event()

    def submit(self, instruction: SendCap) -> None:
        """Send it with the next request; returns at once."""
        self._waiting[instruction.name] = instruction
        self._wake.set()

    def abandon(self) -> None:
        """Drop what has not been sent yet: this process no longer leads."""
        self._waiting.clear()

    async def run(self) -> None:
        """Send what is submitted, until cancelled."""
        async with aiohttp.ClientSession(timeout=self._timeout) as session:
            while True:
                await self._wake.wait()
                names = list(self._waiting)[:MOST_ENTITIES]
                batch = [self._waiting.pop(name) for name in names]
                if not self._waiting:
                    self._wake.clear()
                if batch:
                    self._tell(batch, await self._send(session, batch))

    async def _send(self, session: aiohttp.ClientSession, batch: Iterable[SendCap]) -> dict[str, str]:
        """What keeps each node's cap from being set, in words: empty where it is set."""
        names = [cap.name for cap in batch]
        try:
            headers = {"Authorization": f"Bearer {token}"} if (token := self._token()) else {}
            body = {"Entities": [_entity(cap) for cap in batch]}
            # A redirect would carry the token to somebody else.
            async with session.post(self._url, json=body, headers=headers, allow_redirects=False) as answer:
                text = await answer.read()
                if not 200 <= answer.status < 300:
                    words = text[:_WORDS_KEPT].decode(errors="replace").strip()
                    return dict.fromkeys(
                        names, f"HTTP {answer.status}: {words}" if words else f"HTTP {answer.status}"
                    )
            entities = _decode(text).entities
        except TimeoutError:
            return dict.fromkeys(names, f"no answer within {self._timeout.total:g} s")
        except OSError as error:
            # aiohttp's connection errors are OSErrors too; and so is a token file that cannot be read.
            return dict.fromkeys(names, str(error))
        except aiohttp.ClientError as error:
            return dict.fromkeys(names, str(error) or type(error).__name__)
        except msgspec.DecodeError as error:
            return dict.fromkeys(names, f"unreadable answer: {error}")
        said = {entity.name: entity for entity in entities}
        return {name: _problem(said.get(name)) for name in names}

    def _token(self) -> str:
        return Path(self._token_file).read_text(encoding="utf-8").strip() if self._token_file else ""

    def _tell(self, batch: Iterable[SendCap], problems: dict[str, str]) -> None:
        failed = {name: problem for name, problem in problems.items() if problem}
        if failed:
            name, problem = next(iter(failed.items()))
            log.warning(
                "power caps not set", endpoint=self._url, nodes=len(failed), node=name, problem=problem
            )
        for cap in batch:
            problem = problems[cap.name]
            self._feed(
                WriteFailed(cap, FailureReason.UNAVAILABLE, problem) if problem else WriteSucceeded(cap)
            )


def _entity(cap: SendCap) -> dict[str, Any]:
    """As DPS names things; no limit: its idle policy. Watts are those of the whole node, not of its GPUs alone."""
    limit = None if cap.watts is None else {"Value": cap.watts, "Type": "W"}
    return {
        "Name": cap.name,
        "Type": "ComputerSystem",
        "PowerLimit": limit,
        "PolicyBundle": cap.profile or None,
        "ResourceGroups": list(cap.gangs),
    }


def _problem(entity: _Entity | None) -> str:
    if entity is None:
        return "the answer does not name the node"
    if entity.status == "applied":
        return ""
    return f"{entity.status or 'no status'}: {entity.message[:_WORDS_KEPT]}".rstrip(": ")
