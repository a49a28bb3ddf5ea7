"""Requests to an API server: raw bytes in and out, one exception.

The `kubernetes` package reads the configuration, authenticates and carries the bytes. Its models are left alone:
they cost fifty times more than decoding the few fields we read, and reject a whole list for one odd object.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode
from urllib.request import getproxies

import aiohttp
import msgspec
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.config import ConfigException, incluster_config

__all__ = [
    "APPLY_PATCH",
    "JSON_PATCH",
    "MERGE_PATCH",
    "STRATEGIC_MERGE_PATCH",
    "ApiError",
    "Client",
    "KubeClient",
    "WriteHook",
    "current_namespace",
    "refusal",
    "split_lines",
]

#: Server-side apply. JSON is YAML.
APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"

CONNECT_SECONDS = 10.0
"""How long a connection to the API server may take to open."""

# Typed by name only: half of the package's functions carry no annotations.
_client: Any = kubernetes_client
_config: Any = kubernetes_config

WriteHook = Callable[[str, str, object], Awaitable[None]]
"""Called with the method, the path and the body of a write."""


class ApiError(Exception):
    """The API server refused a request, or no answer came.

    status: the HTTP status; 0 if there was no (complete) answer. After a write with status 0 it is unknown whether
        the write took place: read before writing again.
    reason: the machine-readable reason of the server's Status ("Conflict", "AlreadyExists"), or a name for the
        transport failure ("Timeout", "Transport", "Credentials").
    message: one sentence for people.
    retry_after: seconds the server asks to wait before the next request, if it does.
    body: the server's Status object, if it sent one.
    """

    def __init__(
        self,
        status: int,
        reason: str = "",
        message: str = "",
        *,
        retry_after: float | None = None,
        body: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(status, reason, message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.body = body

    def __str__(self) -> str:
        head = f"{self.status} {self.reason}".strip() if self.status else f"no answer ({self.reason})"
        return f"{head}: {self.message}" if self.message else head


class Client(Protocol):
    """What informers and leader election need of a client; `KubeClient` is one."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: float = 30,  # noqa: ASYNC109
    ) -> bytes: ...

    def lines(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 330
    ) -> AsyncGenerator[bytes, None]: ...


class KubeClient:
    """A connection pool to one API server. Make one with `connect`, and `close` it.

    `before_write` and `after_write` surround every request that is not a GET. They exist for tests that end the
    process at a chosen write; an exception raised in one reaches the caller of `request` as it is.
    """

    before_write: WriteHook | None = None
    after_write: WriteHook | None = None

    def __init__(self, api: Any, *, reload: Callable[[], Awaitable[None]] | None = None) -> None:
        self._api = api
        self._reload = reload

    @classmethod
    async def connect(cls, kubeconfig: str | None = None, *, context: str | None = None) -> KubeClient:
        """Reads the configuration; the first connection is made by the first request.

        kubeconfig: a path. None: the service account inside a pod, else $KUBECONFIG, else ~/.kube/config.
        context: a name of that file's, which is then read inside a pod too. None: its current one.
        Raises ApiError with status 0 and reason "Configuration" if there is no usable configuration.
        """
        configuration = _client.Configuration()
        configuration.client_session_kwargs = {
            "middlewares": (_write_once,),
            # Where it is on, every single request looks for a proxy and a netrc in threads.
            "trust_env": bool(getproxies()),
        }
        if kubeconfig is None and context is None and _in_a_pod():
            try:
                # Installs a hook that reads the token again every minute: tokens of pods rotate.
                _config.load_incluster_config(client_configuration=configuration)
            except (ConfigException, OSError) as error:
                raise ApiError(
                    0, "Configuration", f"The pod's service account is unusable: {error}"
                ) from error
            return cls(_client.ApiClient(configuration))
        path = _kubeconfig_path(kubeconfig)

        async def load() -> None:
            await _config.load_kube_config(
                config_file=path, context=context, client_configuration=configuration, persist_config=False
            )

        if not any(Path(part).expanduser().exists() for part in path.split(os.pathsep)):  # noqa: ASYNC240
            raise ApiError(0, "Configuration", f"There is no kubeconfig at {path}")
        try:
            await load()
        except Exception as error:  # The loader has no exception of its own for many kinds of broken files.
            raise ApiError(0, "Configuration", f"The kubeconfig {path} is unusable: {error}") from error
        return cls(_client.ApiClient(configuration), reload=load)

    @property
    def server(self) -> str:
        """The address of the API server."""
        return str(self._api.configuration.host).rstrip("/")

    async def close(self) -> None:
        await self._api.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: float = 30,  # noqa: ASYNC109
    ) -> bytes:
        """One request, answered whole.

        body: anything msgspec can turn into JSON: dicts, lists, Structs. timeout: seconds for everything.
        Raises ApiError for a status of 400 and above and for every transport failure.
        """
        write = method != "GET"
        content = None if body is None else msgspec.to_builtins(body)
        if write and self.before_write is not None:
            await self.before_write(method, path, content)
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, CONNECT_SECONDS))
        try:
            # The limits hold for each attempt; renewing credentials and a second attempt come on top.
            async with (
                asyncio.timeout(timeout) as everything,
                self._answer(method, path, query, content, content_type, limits) as response,
            ):
                data = await response.read()
        except TimeoutError as error:
            if not everything.expired():
                raise
            raise self._late(method, path) from error
        if write and self.after_write is not None:
            await self.after_write(method, path, content)
        return data

    async def lines(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 330,  # noqa: ASYNC109
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a streamed answer, without their ends; a line may be of any length.

        timeout: seconds for the whole stream. Close the iterator (`contextlib.aclosing`) to end it early.
        Raises ApiError as `request` does, at any line.
        """
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, CONNECT_SECONDS))
        async with (
            self._answer("GET", path, query, None, "application/json", limits) as response,
            # Not the stream's own readline: it refuses lines longer than its buffer.
            aclosing(split_lines(response.content.iter_any())) as parts,
        ):
            async for line in parts:
                yield line

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        try:
            response = await self._send(method, path, query, body, content_type, limits)
            if response.status == 401 and self._reload is not None:
                # Tokens of credential plugins expire, and only reading the configuration runs the plugin again.
                response.release()
                await self._refresh()
                response = await self._send(method, path, query, body, content_type, limits)
            try:
                if response.status >= 400:
                    raise refusal(
                        response.status,
                        await response.read(),
                        retry_after=response.headers.get("Retry-After"),
                        phrase=response.reason,
                    )
                yield response
            finally:
                # Not release(): the rest of a stream that is left early would be waited for.
                if response.content.at_eof():
                    response.release()
                else:
                    response.close()
        except TimeoutError as error:
            raise self._late(method, path) from error
        except (aiohttp.ClientError, OSError) as error:
            text = str(error) or type(error).__name__
            raise ApiError(0, "Transport", f"{method} {path}: {text}") from error

    def _late(self, method: str, path: str) -> ApiError:
        return ApiError(0, "Timeout", f"{method} {path}: no answer from {self.server} in time")

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        headers["User-Agent"] = "rackplane"
        queries: list[tuple[str, str]] = list((query or {}).items())
        try:
            await self._api.update_params_for_auth(headers, queries, ["BearerToken"], path, method, body)
        except ConfigException as error:
            raise ApiError(0, "Credentials", str(error)) from error
        url = self.server + path + ("?" + urlencode(queries) if queries else "")
        answer = await self._api.rest_client.request(
            method, url, headers=headers, body=body, _request_timeout=limits
        )
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _refresh(self) -> None:
        assert self._reload is not None
        try:
            await self._reload()
        except (asyncio.CancelledError, TimeoutError, OSError):
            raise
        except Exception as error:  # As in connect: whatever the loader or a plugin comes up with.
            raise ApiError(0, "Credentials", f"The credentials could not be renewed: {error}") from error


async def _write_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keeps aiohttp from sending a PUT or DELETE again whose connection broke.

    It may have been carried out; the second one's 409 or 404 would then say the opposite.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET" or isinstance(error, aiohttp.ClientConnectorError):
            raise
        raise aiohttp.ClientConnectionError(str(error) or type(error).__name__) from error


def current_namespace(kubeconfig: str | None = None, *, context: str | None = None) -> str:
    """The namespace that kubectl would take by default: the context's, or the pod's own; else "default".

    The arguments are those of `KubeClient.connect`. Never raises: what is unusable gives "default".
    """
    try:
        if kubeconfig is None and context is None and _in_a_pod():
            return (
                Path(incluster_config.SERVICE_TOKEN_FILENAME).with_name("namespace").read_text().strip()
                or "default"
            )
        contexts, current = _config.list_kube_config_contexts(_kubeconfig_path(kubeconfig))
        chosen = current if context is None else next(c for c in contexts if c["name"] == context)
        return str(chosen["context"].get("namespace") or "default")
    except Exception:  # As in connect: whatever the loader comes up with.
        return "default"


def _kubeconfig_path(kubeconfig: str | None) -> str:
    return kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


def _in_a_pod() -> bool:
    return bool(os.environ.get(incluster_config.SERVICE_HOST_ENV_NAME)) and os.path.exists(
        incluster_config.SERVICE_TOKEN_FILENAME
    )


def refusal(
    status: int, data: bytes, *, retry_after: str | None = None, phrase: str | None = None
) -> ApiError:
    """An error answer as an exception.

    data: the body, which should be a Status. retry_after: that header. phrase: what stands beside the status where
    the body names no reason.
    """
    body: dict[str, Any] | None = None
    try:
        decoded = msgspec.json.decode(data)
        if isinstance(decoded, dict):
            body = decoded
    except msgspec.DecodeError:
        pass  # A proxy's page, or plain text.
    said = body or {}
    message = said.get("message") or data[:300].decode(errors="replace").strip()
    seconds = _seconds(retry_after)
    if seconds is None:
        details = said.get("details")
        seconds = _seconds(details.get("retryAfterSeconds")) if isinstance(details, dict) else None
    return ApiError(
        status, str(said.get("reason") or phrase or ""), str(message), retry_after=seconds, body=body
    )


def _seconds(value: object) -> float | None:
    """Seconds from a header or a Status. Dates, which API servers do not send, and zeros count as absent."""
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < float("inf") else None


async def split_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Lines of any length, without their ends and without empty ones; the last may lack its end."""
    pending: list[bytes] = []  # A line of many chunks is joined once, not at every chunk.
    async for chunk in chunks:
        head, *rest = chunk.split(b"\n")
        pending.append(head)
        for part in rest:
            line = b"".join(pending)
            pending = [part]
            if line:
                yield line
    line = b"".join(pending)
    if line:
        yield line
