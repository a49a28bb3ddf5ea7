"""An HTTP application on a port, for as long as somebody wants it there."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

__all__ = ["listening"]


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, tls: ssl.SSLContext | None = None, hang_up: bool = False
) -> AsyncIterator[int]:
    """Serves the application while entered; the value is the port in use.

    Args:
        port: 0 takes any free one.
        tls: None: in the clear.
        hang_up: whether a handler ends as soon as its client has gone.

    Raises:
        OSError: on entering, if the port cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=hang_up)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
