"""The client against a small real HTTP server, as what can go wrong here goes wrong in the transport."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from rackplane.kube.client import (
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_MERGE_PATCH,
    ApiError,
    KubeClient,
    current_namespace,
)
from rackplane.kube.resources import GANGS, LEASES, NODES, PODS, Resource, facility


class Server:
    """Answers with what `answer` makes of a request, and remembers what was asked."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.token = "t1"
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(
            {
                "method": request.method,
                "path": request.path,
                "query": dict(request.query),
                "type": request.headers.get("Content-Type"),
                "body": await request.text(),
            }
        )
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"kind": "Status", "reason": "Unauthorized", "code": 401}, status=401)
        match request.path:
            case "/conflict":
                status = {"kind": "Status", "reason": "Conflict", "message": "it changed", "code": 409}
                return web.json_response(status, status=409)
            case "/busy":
                return web.Response(status=429, headers={"Retry-After": "7"}, text="<h1>busy</h1>")
            case "/later":
                return web.json_response({"details": {"retryAfterSeconds": 3}}, status=503)
            case "/hang":
                await asyncio.Event().wait()
            case "/cut":
                stream = web.StreamResponse()
                stream.content_length = 1000
                await stream.prepare(request)
                await stream.write(b'{"one": 1}\n{"tw')
                assert request.transport is not None
                request.transport.close()
                return stream
            case "/stream":
                stream = web.StreamResponse()
                await stream.prepare(request)
                for part in (b'{"a"', b":1}\n\n{}\n", b"x" * 6_000_000, b"y\n", b"last"):
                    await stream.write(part)
                return stream
            case "/endless":
                stream = web.StreamResponse()
                await stream.prepare(request)
                await stream.write(b"one\n")
                await asyncio.Event().wait()
        return web.json_response({"ok": True})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}"
    yield made
    await runner.cleanup()


def write_kubeconfig(path: Path, url: str, token: str) -> None:
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": {"token": token}}],
            }
        )
    )


@pytest.fixture
def kubeconfig(server: Server, tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, server.url, "t1")
    return path


@pytest.fixture
async def client(kubeconfig: Path) -> AsyncIterator[KubeClient]:
    made = await KubeClient.connect(str(kubeconfig))
    yield made
    await made.close()


class Body(msgspec.Struct, rename="camel"):
    some_field: int


async def test_requests_carry_query_body_and_credentials(client: KubeClient, server: Server) -> None:
    query = {"labelSelector": "a in (b,c),d=e/f", "continue": "x+/=="}
    assert await client.request("GET", "/api/v1/pods", query=query) == b'{"ok": true}'
    await client.request("POST", "/api/v1/pods", body=Body(some_field=1))
    assert server.seen[0]["query"] == query
    assert json.loads(server.seen[1]["body"]) == {"someField": 1}
    assert server.seen[1]["type"] == "application/json"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (MERGE_PATCH, {"a": 1}),
        (STRATEGIC_MERGE_PATCH, {"a": 1}),
        (JSON_PATCH, [{"op": "remove", "path": "/a"}]),
    ],
)
async def test_patches_keep_their_content_type(
    client: KubeClient, server: Server, kind: str, body: object
) -> None:
    await client.request("PATCH", "/x", body=body, content_type=kind)
    assert server.seen[0]["type"] == kind
    assert json.loads(server.seen[0]["body"]) == body


async def test_refusals_carry_what_the_server_said(client: KubeClient) -> None:
    with pytest.raises(ApiError) as conflict:
        await client.request("PUT", "/conflict", body={})
    assert (conflict.value.status, conflict.value.reason) == (409, "Conflict")
    assert conflict.value.message == "it changed" and conflict.value.retry_after is None
    assert conflict.value.body is not None and conflict.value.body["code"] == 409
    assert str(conflict.value) == "409 Conflict: it changed"
    with pytest.raises(ApiError) as busy:
        await client.request("GET", "/busy")
    assert (busy.value.status, busy.value.retry_after, busy.value.body) == (429, 7.0, None)
    assert busy.value.message == "<h1>busy</h1>"
    with pytest.raises(ApiError) as later:
        await client.request("GET", "/later")
    assert later.value.retry_after == 3.0


async def test_no_answer_has_status_zero(client: KubeClient, tmp_path: Path) -> None:
    with pytest.raises(ApiError) as slow:
        await client.request("GET", "/hang", timeout=0.05)
    assert (slow.value.status, slow.value.reason) == (0, "Timeout")
    with pytest.raises(ApiError) as cut:
        await client.request("GET", "/cut")
    assert (cut.value.status, cut.value.reason) == (0, "Transport")
    # Port 1 of loopback: nobody listens there.
    write_kubeconfig(tmp_path / "nobody", "http://127.0.0.1:1", "t1")
    nobody = await KubeClient.connect(str(tmp_path / "nobody"))
    with pytest.raises(ApiError) as refused:
        await nobody.request("GET", "/x")
    await nobody.close()
    assert refused.value.status == 0 and str(refused.value).startswith("no answer (Transport): GET /x: ")


async def test_lines_of_any_length_and_a_last_one_without_an_end(client: KubeClient) -> None:
    lines = [line async for line in client.lines("/stream")]
    assert [len(line) for line in lines] == [7, 2, 6_000_001, 4]


async def test_a_stream_that_breaks_is_an_error(client: KubeClient) -> None:
    lines: list[bytes] = []

    async def read() -> None:
        async for line in client.lines("/cut"):
            lines.append(line)

    with pytest.raises(ApiError) as broken:
        await read()
    # Whether the whole line is delivered before the failure depends on how the packets fell; half of one never is.
    assert lines in ([], [b'{"one": 1}'])
    assert (broken.value.status, broken.value.reason) == (0, "Transport")


async def test_a_stream_refused_at_once(client: KubeClient) -> None:
    with pytest.raises(ApiError) as refused:
        await anext(client.lines("/conflict"))
    assert refused.value.status == 409


async def test_a_stream_can_be_left_and_runs_out_of_time(client: KubeClient) -> None:
    async with aclosing(client.lines("/endless")) as lines:
        assert await anext(lines) == b"one"
    with pytest.raises(ApiError) as late:
        assert [line async for line in client.lines("/endless", timeout=0.1)]
    assert late.value.reason == "Timeout"


async def test_an_expired_token_is_read_again_once(
    client: KubeClient, server: Server, kubeconfig: Path
) -> None:
    server.token = "t2"
    with pytest.raises(ApiError) as refused:
        await client.request("GET", "/x")
    assert refused.value.status == 401 and len(server.seen) == 2
    write_kubeconfig(kubeconfig, server.url, "t2")
    await client.request("GET", "/x")
    await client.request("GET", "/x")
    assert len(server.seen) == 5


async def test_the_time_limit_includes_new_credentials(client: KubeClient, server: Server) -> None:
    server.token = "t2"

    async def hang() -> None:
        await asyncio.Event().wait()

    stuck = KubeClient(client._api, reload=hang)
    with pytest.raises(ApiError) as late:
        await stuck.request("GET", "/x", timeout=0.2)
    assert (late.value.status, late.value.reason) == (0, "Timeout")


async def test_a_proxy_of_the_environment_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    write_kubeconfig(tmp_path / "far", "http://cluster.invalid", "t1")
    client = await KubeClient.connect(str(tmp_path / "far"))
    try:
        await client.request("GET", "/echo")
    finally:
        await client.close()


async def test_hooks_surround_writes_only(client: KubeClient, server: Server) -> None:
    told: list[object] = []

    async def before(method: str, path: str, body: object) -> None:
        told.append(("before", method, path, body, len(server.seen)))

    async def after(method: str, path: str, body: object) -> None:
        told.append(("after", method, path, body, len(server.seen)))

    client.before_write, client.after_write = before, after
    await client.request("GET", "/x")
    await client.request("PUT", "/x", body={"a": 1})
    with pytest.raises(ApiError):
        await client.request("PUT", "/conflict", body={})
    assert told == [
        ("before", "PUT", "/x", {"a": 1}, 1),
        ("after", "PUT", "/x", {"a": 1}, 2),
        ("before", "PUT", "/conflict", {}, 2),
    ]


async def test_configurations_that_do_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    (tmp_path / "broken").write_text("nonsense: [")
    (tmp_path / "empty").write_text("apiVersion: v1\nkind: Config\n")
    for path in (None, str(tmp_path / "broken"), str(tmp_path / "empty")):
        with pytest.raises(ApiError) as unusable:
            await KubeClient.connect(path)
        assert (unusable.value.status, unusable.value.reason) == (0, "Configuration")


async def test_kubeconfig_from_the_environment(
    kubeconfig: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    client = await KubeClient.connect(None)
    assert client.server == server.url
    await client.close()


async def test_a_context_and_its_namespace(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, server.url, "t1")
    config = json.loads(path.read_text())
    config["clusters"].append({"name": "b", "cluster": {"server": "https://b.example:6443"}})
    config["contexts"].append(
        {"name": "other", "context": {**config["contexts"][0]["context"], "cluster": "b", "namespace": "ai"}}
    )
    path.write_text(json.dumps(config))
    client = await KubeClient.connect(str(path), context="other")
    assert client.server == "https://b.example:6443"
    await client.close()
    assert current_namespace(str(path), context="other") == "ai"
    assert current_namespace(str(path)) == "default"
    assert current_namespace(str(path), context="gone") == "default"
    assert current_namespace(str(tmp_path / "gone")) == "default"
    with pytest.raises(ApiError, match="gone"):
        await KubeClient.connect(str(path), context="gone")


def test_paths() -> None:
    assert PODS.path() == "/api/v1/pods"
    assert PODS.path("ns") == "/api/v1/namespaces/ns/pods"
    assert PODS.path("ns", "p", "binding") == "/api/v1/namespaces/ns/pods/p/binding"
    assert NODES.path(name="n") == "/api/v1/nodes/n"
    assert GANGS.path("ns", "g", "status") == "/apis/rackplane.dev/v1alpha1/namespaces/ns/gangs/g/status"
    assert facility("racks").path(name="r/1") == "/apis/rackplane.dev/v1alpha1/racks/r%2F1"
    assert LEASES.path("s") == "/apis/coordination.k8s.io/v1/namespaces/s/leases"


@pytest.mark.parametrize(
    ("resource", "arguments"),
    [(NODES, {"namespace": "ns"}), (PODS, {"name": "p"}), (PODS, {"namespace": "ns", "subresource": "x"})],
)
def test_paths_that_address_nothing(resource: Resource, arguments: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=resource.plural):
        resource.path(**arguments)
