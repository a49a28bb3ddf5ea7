"""A client of the embedded cluster without sockets: same answers, same failures as over HTTP, no bytes on a wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import msgspec

from rackplane.kube.client import ApiError, refusal, split_lines

from . import errors
from .api import Api
from .delivery import Delivered, Silence, deliver
from .faults import Faults
from .requests import JSON_TYPE, Request, Response, decode_body
from .streams import ConnectionCut, Streams

__all__ = ["LocalClient"]


class LocalClient:
    """Implements `rackplane.kube.client.Client`; get one from `LocalCluster.client`.

    As over a network, the server carries on with a request that the client has given up. `close` ends that too.
    """

    def __init__(self, api: Api, *, faults: Faults, streams: Streams, user: str, agent: str) -> None:
        self._api = api
        self._faults = faults
        self._streams = streams
        self._user = user
        self._agent = agent
        self._under_way: dict[asyncio.Task[Delivered], None] = {}

    async def close(self) -> None:
        """Forget what the server is still busy with."""
        tasks = tuple(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON_TYPE,
        timeout: float = 30,  # noqa: ASYNC109
    ) -> bytes:
        """One request, answered whole. Raises `rackplane.kube.client.ApiError` as `KubeClient.request` does."""
        deadline = asyncio.get_running_loop().time() + timeout
        delivered = await self._send(method, path, query, body, content_type, deadline)
        return _encoded(delivered.response)

    async def lines(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 330,  # noqa: ASYNC109
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a streamed answer. Raises ApiError as `request` does, at any line."""
        deadline = asyncio.get_running_loop().time() + timeout
        delivered = await self._send("GET", path, query, None, JSON_TYPE, deadline)
        watch = delivered.response.watch
        if watch is None:
            for line in _encoded(delivered.response).splitlines():
                yield line
            return
        async with (
            aclosing(self._streams.run(watch, delivered.asked, delivered.effects)) as chunks,
            aclosing(split_lines(chunks)) as lines,
        ):
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        line = await anext(lines)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    raise _timeout("GET", path) from error
                except ConnectionCut as error:
                    raise _broken("GET", path) from error
                yield line

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str,
        deadline: float,
    ) -> Delivered:
        raw = b"" if body is None else msgspec.json.encode(body)
        request = Request(
            method=method,
            path=path,
            query=dict(query or {}),
            # By way of bytes: the server must not share objects with its clients.
            body=decode_body(raw, content_type),
            content_type=content_type,
            user=self._user,
            agent=self._agent,
        )
        try:
            async with asyncio.timeout_at(deadline):
                delivered = await self._deliver(request)
        except errors.ApiError as problem:
            raise refusal(problem.code, msgspec.json.encode(problem.status())) from problem
        except TimeoutError as error:
            raise _timeout(method, path) from error
        except ConnectionCut as error:
            raise _broken(method, path) from error
        response = delivered.response
        if response.code >= 400:
            raise refusal(response.code, _encoded(response))
        return delivered

    async def _deliver(self, request: Request) -> Delivered:
        work = asyncio.get_running_loop().create_task(
            deliver(request, handle=self._api.handle, faults=self._faults, store=self._api.service.store)
        )
        self._under_way[work] = None
        work.add_done_callback(self._done)
        try:
            return await asyncio.shield(work)
        except Silence:
            await self._faults.silence(self._streams.stopping)
            raise ConnectionCut from None

    def _done(self, work: asyncio.Task[Delivered]) -> None:
        self._under_way.pop(work, None)
        if not work.cancelled():
            # Looked at, or asyncio complains of what befell a request whose client has gone.
            work.exception()


def _encoded(response: Response) -> bytes:
    return msgspec.json.encode(response.payload)


def _timeout(method: str, path: str) -> ApiError:
    return ApiError(0, "Timeout", f"{method} {path}: no answer from the embedded cluster in time")


def _broken(method: str, path: str) -> ApiError:
    return ApiError(0, "Transport", f"{method} {path}: the connection broke")
