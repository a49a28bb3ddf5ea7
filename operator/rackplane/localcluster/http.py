"""The API over HTTP: aiohttp in front of `Api.handle`, and the streaming of watches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
from aiohttp import web

from . import errors, users
from .api import Api
from .requests import Request, Response, decode_body
from .watch import Event, Watch

#: Seconds between bookmarks on a quiet watch whose client asked for them.
BOOKMARK_SECONDS = 20.0
#: Longest watch in seconds when the client names no timeout (a real server picks 30 to 60 minutes).
WATCH_SECONDS = 1800.0


class ConnectionAborted(Exception):
    """Raised by a write hook: the client's connection is cut without an answer."""


class Server:
    """Serves one `Api`. `tokens` maps bearer tokens to users; a request without one is the admin's."""

    def __init__(self, api: Api, *, tokens: Mapping[str, str]) -> None:
        self._api = api
        self._tokens = tokens
        self._runner: web.AppRunner | None = None
        self._waiting: set[asyncio.Event] = set()
        self._stopping = asyncio.Event()
        self.url = ""

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes any free one."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        address = self._runner.addresses[0]
        self.url = f"http://{address[0]}:{address[1]}"

    async def stop(self) -> None:
        """Stop listening and end every watch."""
        self._stopping.set()
        self.notify()
        if self._runner is not None:
            await self._runner.cleanup()

    def notify(self) -> None:
        """Tell every watch that something changed."""
        for event in self._waiting:
            event.set()

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        try:
            request = await self._decode(http)
            answer = self._api.handle(request)
        except errors.ApiError as problem:
            answer = Response(problem.code, problem.status())
        except ConnectionAborted:
            if http.transport is not None:
                http.transport.abort()
            raise web.HTTPServiceUnavailable from None
        if answer.watch is not None:
            return await self._stream(http, answer.watch)
        headers = {"Warning": f'299 - "{answer.warnings[0]}"'} if len(answer.warnings) == 1 else {}
        if answer.content_type == "text/plain":
            return web.Response(status=answer.code, text=str(answer.payload), headers=headers)
        body = msgspec.json.encode(answer.payload)
        # The content type of aggregated discovery has parameters that aiohttp's own argument refuses.
        response = web.Response(status=answer.code, body=body, headers=headers)
        response.headers["Content-Type"] = answer.content_type
        for warning in answer.warnings if len(answer.warnings) > 1 else ():
            response.headers.add("Warning", f'299 - "{warning}"')
        response.headers["Cache-Control"] = "no-cache, private"
        return response

    async def _decode(self, http: web.Request) -> Request:
        scheme, _, token = http.headers.get("Authorization", "").partition(" ")
        # kubectl sends no token over plain HTTP, so a request without one is the admin's: the server listens on
        # loopback and has no RBAC anyway. A token that names nobody is refused, as everywhere.
        user = self._tokens.get(token.strip()) if scheme else "admin"
        if user is None:
            raise errors.unauthorized()
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

    async def _stream(self, http: web.Request, watch: Watch) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        response.enable_chunked_encoding()
        changed = asyncio.Event()
        self._waiting.add(changed)
        loop = asyncio.get_running_loop()
        end = loop.time() + (watch.timeout if watch.timeout is not None else WATCH_SECONDS)
        marked = loop.time() + BOOKMARK_SECONDS
        try:
            await response.prepare(http)
            while not self._stopping.is_set():
                changed.clear()
                events = watch.poll()
                now = loop.time()
                if not events and watch.bookmarks and (now >= marked or now >= end):
                    events = [watch.bookmark()]
                    marked = now + BOOKMARK_SECONDS
                if events:
                    await response.write(_lines(events))
                if watch.closed or now >= end:
                    break
                wait = min(end, marked if watch.bookmarks else end) - now
                try:
                    async with asyncio.timeout(max(0.0, wait)):
                        await changed.wait()
                except TimeoutError:
                    continue
            await response.write_eof()
        except (ConnectionResetError, asyncio.CancelledError):
            pass
        finally:
            self._waiting.discard(changed)
        return response


def _lines(events: list[Event]) -> bytes:
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)
