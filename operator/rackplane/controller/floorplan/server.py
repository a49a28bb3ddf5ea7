"""Serves the floor plan: the page's files, what stands where, frames of the last hour, and server-sent events.

Everything is a GET and nothing of it changes anything. There is no authentication here: see docs/floor-plan.md.
"""

from __future__ import annotations

import asyncio
import gzip
import math
from contextlib import AsyncExitStack
from typing import Any, Final, Self

from aiohttp import web

from rackplane.controller.floorplan.watch import FloorPlanWatch, Listener, TooManyListeners
from rackplane.controller.listening import listening
from rackplane.floorplan import model as m
from rackplane.floorplan.page import ASSETS, POLICY, asset

__all__ = ["FloorPlanServer"]

_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Assets too: after an upgrade a page of the old version would not fit the new frames.
    "Cache-Control": "no-cache",
}
#: A listener who takes nothing for so long is gone, in seconds.
_STALLED_SECONDS: Final = 20.0
#: Bytes that may lie in a connection's buffer before writing to it waits.
_BUFFER: Final = 1 << 18


class FloorPlanServer:
    """Listens; an async context manager. Paths are relative to /ui/, so a proxy may put it under another prefix.

    Args:
        watch: the frames. Whoever enters runs it.
        host, port: to listen on; 0 takes any free port.

    Raises:
        OSError: on entering, if the port cannot be had.
    """

    def __init__(self, watch: FloorPlanWatch, *, host: str, port: int) -> None:
        self._watch = watch
        self._address = (host, port)
        self._stack = AsyncExitStack()
        self._streams: set[asyncio.Task[Any]] = set()
        #: The port in use once entered.
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.on_response_prepare.append(_harden)
        app.on_shutdown.append(self._hang_up)
        app.add_routes(
            [
                web.get("/", _to_page),
                web.get("/ui", _to_page),
                web.get("/ui/", self._asset),
                web.get("/ui/events", self._events),
                web.get("/ui/history", self._history),
                web.get("/ui/frames/{at}", self._frame),
                web.get("/ui/layouts/{id}", self._layout),
                web.get("/ui/{name}", self._asset),
            ]
        )
        self.port = await self._stack.enter_async_context(listening(app, *self._address, hang_up=True))
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self._stack.aclose()

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name") or "index.html"
        if name not in ASSETS:
            raise web.HTTPNotFound(text=f"there is no {name}; the page is at /ui/\n")
        response = web.Response(text=asset(name), content_type=ASSETS[name], charset="utf-8")
        response.enable_compression()
        return response

    async def _history(self, _: web.Request) -> web.Response:
        response = _json(m.encode(self._watch.history.moments()))
        response.enable_compression()
        return response

    async def _frame(self, request: web.Request) -> web.Response:
        try:
            at = float(request.match_info["at"])
        except ValueError:
            at = math.nan
        if not math.isfinite(at):
            raise web.HTTPBadRequest(text="the time is in seconds since the epoch, as /ui/history has it\n")
        entry = self._watch.history.at(at)
        if entry is None:
            raise web.HTTPNotFound(text="nothing has been recorded yet\n")
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return _json(await asyncio.to_thread(gzip.decompress, entry.body))
        response = _json(entry.body)
        response.headers["Content-Encoding"] = "gzip"
        return response

    async def _layout(self, request: web.Request) -> web.Response:
        layout = self._watch.known_layout(request.match_info["id"])
        if layout is None:
            raise web.HTTPNotFound(text="no frame has this layout any more: load the page again\n")
        response = _json(m.encode(layout))
        response.enable_compression()
        return response

    async def _events(self, request: web.Request) -> web.StreamResponse:
        try:
            listener = self._watch.listen()
        except TooManyListeners:
            raise web.HTTPServiceUnavailable(
                text="as many pages are open as are allowed; come again later\n",
                headers={"Retry-After": "15"},
            ) from None
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            # X-Accel-Buffering: nginx would hold events back.
            response = web.StreamResponse(
                headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
            )
            await response.prepare(request)
            if request.transport is not None:
                request.transport.set_write_buffer_limits(high=_BUFFER)
            if not await self._speak(response, listener) and request.transport is not None:
                request.transport.abort()
            return response
        finally:
            self._streams.discard(task)
            self._watch.leave(listener)

    async def _hang_up(self, _: web.Application) -> None:
        # Events never end by themselves, and an operator that stops waits for nobody who watches.
        for task in self._streams:
            task.cancel()

    async def _speak(self, response: web.StreamResponse, listener: Listener) -> bool:
        """Until the other side is gone (True) or too slow (False): cut off, it comes again and gets a whole frame."""
        ready, beat = self._watch.frame is not None, self._watch.beat_seconds
        try:
            await _send(response, "hello", m.encode({"ready": ready, "beatSeconds": beat}))
            while not listener.dropped.is_set():
                try:
                    async with asyncio.timeout(beat):
                        kind, body = await listener.queue.get()
                except TimeoutError:
                    kind, body = "beat", b"{}"
                async with asyncio.timeout(_STALLED_SECONDS):
                    await _send(response, kind, body)
        except ConnectionError:
            return True
        except TimeoutError:
            pass
        return False


async def _send(response: web.StreamResponse, kind: str, body: bytes) -> None:
    # JSON has no line ends of its own, so one `data:` is enough.
    await response.write(b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n")


async def _to_page(_: web.Request) -> web.Response:
    # Relative, for a proxy may have put all this under a prefix.
    return web.Response(status=308, headers={"Location": "ui/"})


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="utf-8")
