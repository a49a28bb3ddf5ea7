"""The API over HTTP: aiohttp in front of `Api.handle`, and the streaming of watches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from aiohttp import web

from . import errors, users
from .api import Api
from .delivery import Delivered, Silence, deliver
from .faults import Faults
from .requests import Request, Response, decode_body
from .streams import ConnectionCut, Streams


class Server:
    """Serves one `Api`. `tokens` maps bearer tokens to users; a request without one is the admin's."""

    def __init__(self, api: Api, *, tokens: Mapping[str, str], faults: Faults, streams: Streams) -> None:
        self._api = api
        self._tokens = tokens
        self._faults = faults
        self._streams = streams
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._address = ("", 0)
        self._switching: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes any free one."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self._address = (host, port)
        await self._listen()
        host, port = self._runner.addresses[0][:2]
        self._address = (host, port)
        self.url = f"http://{host}:{port}"
        self._faults.on_outage = self._outage

    async def stop(self) -> None:
        """Stop listening and end every watch."""
        self._faults.recover()
        if self._switching is not None:
            await self._switching
        self._streams.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _listen(self) -> None:
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, *self._address, reuse_address=True)
        await self._site.start()

    def _outage(self, down: bool) -> None:
        self._switching = asyncio.get_running_loop().create_task(self._switch(self._switching, down))

    async def _switch(self, earlier: asyncio.Task[None] | None, down: bool) -> None:
        """Close the port or open it again, after what was begun before."""
        if earlier is not None:
            await earlier
        if down and self._site is not None:
            site, self._site = self._site, None
            await site.stop()
        elif not down and self._site is None:
            await self._listen()

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        try:
            request = await self._decode(http)
            delivered = await deliver(
                request, handle=self._api.handle, faults=self._faults, store=self._api.service.store
            )
        except errors.ApiError as problem:
            return _response(Response(problem.code, problem.status()))
        except ConnectionCut:
            if http.transport is not None:
                http.transport.abort()
            raise web.HTTPServiceUnavailable from None
        except Silence:
            await self._faults.silence(self._streams.stopping)
            if http.transport is not None:
                http.transport.abort()
            raise web.HTTPServiceUnavailable from None
        return (
            _response(delivered.response)
            if delivered.response.watch is None
            else await self._stream(http, delivered)
        )

    async def _decode(self, http: web.Request) -> Request:
        scheme, _, token = http.headers.get("Authorization", "").partition(" ")
        # kubectl sends no token over plain HTTP, so a request without one is the admin's: the server listens on
        # loopback and has no RBAC anyway. A token that names nobody is refused, as everywhere.
        user = self._tokens.get(token.strip()) if scheme else "admin"
        if user is None:
            raise errors.unauthorized()
        if any(name.lower().startswith(("impersonate-extra-", "impersonate-uid")) for name in http.headers):
            raise errors.not_implemented("impersonation of a uid or of extra fields")
        groups: tuple[str, ...] = ()
        name, named = http.headers.get("Impersonate-User", ""), http.headers.getall("Impersonate-Group", [])
        if name or named:
            acting = users.impersonate(users.identify(user), name, named)
            user, groups = acting.name, acting.groups
        content_type = http.headers.get("Content-Type", "application/json")
        accept = http.headers.get("Accept", "application/json")
        if accept and not any(
            kind in accept for kind in ("json", "*/*", "application/*", "text/plain", "openapi")
        ):
            raise errors.not_acceptable(["application/json"])
        return Request(
            method=http.method,
            path=http.path,
            query=dict(http.query),
            body=decode_body(await http.read(), content_type),
            content_type=content_type,
            accept=accept,
            user=user,
            groups=groups,
            agent=http.headers.get("User-Agent", ""),
        )

    async def _stream(self, http: web.Request, delivered: Delivered) -> web.StreamResponse:
        watch = delivered.response.watch
        assert watch is not None
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        response.enable_chunked_encoding()
        try:
            await response.prepare(http)
            async with aclosing(self._streams.run(watch, delivered.asked, delivered.effects)) as chunks:
                async for chunk in chunks:
                    await response.write(chunk)
            await response.write_eof()
        except ConnectionCut:
            # Not abort(): what was written before arrives, and the end of the last chunk does not.
            if http.transport is not None:
                http.transport.close()
        except (ConnectionResetError, asyncio.CancelledError):
            pass
        return response


def _response(answer: Response) -> web.Response:
    headers: dict[str, str] = {}
    if answer.code >= 400 and (seconds := _retry_after(answer.payload)):
        headers["Retry-After"] = str(seconds)
    headers |= answer.headers
    if isinstance(answer.payload, str):
        kind = answer.content_type or "text/plain"
        return web.Response(status=answer.code, text=answer.payload, content_type=kind, headers=headers)
    body = msgspec.json.encode(answer.payload)
    # The content type of aggregated discovery has parameters that aiohttp's own argument refuses.
    response = web.Response(status=answer.code, body=body, headers=headers)
    response.headers["Content-Type"] = answer.content_type
    for warning in answer.warnings:
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    response.headers["Cache-Control"] = "no-cache, private"
    return response


def _retry_after(status: Any) -> int:
    """The seconds a Status asks to wait; upstream repeats them in a header."""
    details = status.get("details") if isinstance(status, dict) else None
    return int(details.get("retryAfterSeconds") or 0) if isinstance(details, dict) else 0
