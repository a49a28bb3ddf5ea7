"""The HTTP endpoint that sources report to: `POST /v1/reports` and one path for each shape of somebody else's."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

import structlog
from aiohttp import web

from rackplane.controller.listening import listening
from rackplane.controller.reports import bms, dps, dsx, redfish
from rackplane.controller.reports.desk import Desk
from rackplane.controller.reports.sayings import TELEMETRY, Reading
from rackplane.controller.tls import Certificate
from rackplane.kube.client import ApiError

__all__ = ["PATHS", "ReportServer", "Tokens"]

#: Path -> what reads a document that is posted there.
PATHS: Final[Mapping[str, Callable[[object, float], Reading]]] = {
    "/v1/reports": bms.read,
    "/v1/redfish": redfish.read,
    "/v1/dsx/bms": dsx.read_bms,
    "/v1/dsx/flex": dsx.read_flex,
    "/v1/dps": dps.read,
}
_LARGEST: Final = 1 << 20
_RETRY_SECONDS: Final = 5
_SHORTEST_TOKEN: Final = 16
#: What `rackplane.api.report` and a label take for the name of a source.
_SOURCE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")

log = structlog.stdlib.get_logger(__name__)


class Tokens:
    """Bearer tokens in a directory, as a mounted Secret has them: a file for each source, named like it.

    Files are read for every request: a Secret that changes counts from the next one on.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def source_of(self, header: str) -> str | None:
        """The source that an Authorization header is of; None if it is nobody's.

        Every token is compared, in constant time, so that how long it takes tells nothing.
        """
        scheme, _, given = header.partition(" ")
        found = None
        for source, token in self._tokens().items():
            if hmac.compare_digest(token, given.strip().encode()):
                found = source
        return found if scheme.lower() == "bearer" else None

    def _tokens(self) -> dict[str, bytes]:
        try:
            # Names with a dot in front are how the kubelet swaps a Secret's files all at once.
            files = [
                f for f in sorted(self._directory.iterdir()) if not f.name.startswith(".") and f.is_file()
            ]
            read = {file.name: file.read_bytes().strip() for file in files}
        except OSError as error:
            log.warning("tokens cannot be read", directory=str(self._directory), error=str(error))
            return {}
        bad = [
            source
            for source, token in read.items()
            if len(token) < _SHORTEST_TOKEN or not _SOURCE.fullmatch(source) or source == TELEMETRY
        ]
        if bad:
            text = (
                f"tokens need {_SHORTEST_TOKEN} letters, and the names of their files must be label values "
                f"other than {TELEMETRY}, which is the operator's own"
            )
            log.warning("tokens are not used", files=bad, why=text)
        return {source: token for source, token in read.items() if source not in bad}


class ReportServer:
    """Listens for reports; an async context manager.

    Args:
        desk: takes them.
        tokens: whose they are.
        count: called with a source ("" for nobody) and a result.
        ready: whether the facility is known; before, sources are asked to come again.
        clock: seconds since the epoch.
        host, port: to listen on; 0 takes any free port.
        tls: directory with tls.crt and tls.key; empty: plain HTTP, for a mesh or an ingress that ends TLS.

    Raises:
        OSError: on entering, if the port or the certificate cannot be had.
    """

    def __init__(
        self,
        *,
        desk: Desk,
        tokens: Tokens,
        count: Callable[[str, str], None],
        ready: Callable[[], bool],
        clock: Callable[[], float],
        host: str,
        port: int,
        tls: str = "",
    ) -> None:
        self._desk = desk
        self._tokens = tokens
        self._count = count
        self._ready = ready
        self._clock = clock
        self._address = (host, port)
        self._tls = tls
        self._certificate: Certificate | None = None
        self._stack = AsyncExitStack()
        #: The port in use once entered.
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_LARGEST)
        app.add_routes([web.post(path, self._post) for path in PATHS])
        self._certificate = Certificate(self._tls) if self._tls else None
        context = None if self._certificate is None else self._certificate.context
        self.port = await self._stack.enter_async_context(listening(app, *self._address, tls=context))
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self._stack.aclose()

    async def _post(self, request: web.Request) -> web.Response:
        if self._certificate is not None:
            self._certificate.follow()
        source = self._tokens.source_of(request.headers.get("Authorization", ""))
        if source is None:
            self._count("", "unauthorized")
            text = "send the token of a source: Authorization: Bearer TOKEN"
            return _answer(401, {"error": text}, {"WWW-Authenticate": 'Bearer realm="rackplane"'})
        if not self._ready():
            text = "the facility has not been read yet: send it again"
            return _answer(503, {"error": text}, {"Retry-After": str(_RETRY_SECONDS)})
        try:
            document = json.loads(await request.read())
        except web.HTTPRequestEntityTooLarge:
            self._count(source, "refused")
            return _answer(
                413, {"error": f"the body is larger than {_LARGEST:,} bytes: send fewer reports at a time"}
            )
        except (ValueError, RecursionError) as error:
            self._count(source, "refused")
            return _answer(400, {"error": f"the body is no JSON: {error}"})
        reading = PATHS[request.path](document, self._clock())
        try:
            outcome = await self._desk.take(source, reading)
        except ApiError as error:
            log.warning("reports could not be written", source=source, error=str(error))
            text = f"the API server did not take it: {error.message or error.reason}; send it again"
            return _answer(503, {"error": text}, {"Retry-After": str(_RETRY_SECONDS)})
        body: dict[str, Any] = {"results": outcome.results}
        if outcome.unused:
            body["unused"] = outcome.unused
        if not outcome.faults:
            return _answer(200, body)
        log.warning(
            "reports were refused", source=source, problems=[str(fault) for fault in outcome.faults[:10]]
        )
        body["error"] = "; ".join(str(fault) for fault in outcome.faults[:10])
        body["problems"] = [fault.as_data() for fault in outcome.faults]
        return _answer(422 if outcome.results or reading.sayings or reading.orders else 400, body)


def _answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers=headers)
