"""Answers of Prometheus's query API, in the shapes of its documentation and of a server that is not one."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rackplane.controller.telemetry.prometheus import Prometheus, PrometheusError, Sample

TWO = {
    "status": "success",
    "data": {
        "resultType": "vector",
        "result": [
            {"metric": {"node_name": "n0"}, "value": [1435781451.781, "4731.5"]},
            {"metric": {"node_name": "n1"}, "value": [1435781451.781, "NaN"]},
        ],
    },
}


def asked(
    answer: Any = None, *, status: int = 200, text: str | None = None, token_file: str = ""
) -> tuple[list[Sample], list[tuple[str, str | None]]]:
    """What a query gives when that is answered; and what the server was asked, with which authorization."""
    seen: list[tuple[str, str | None]] = []

    async def handle(request: web.Request) -> web.Response:
        form = await request.post()
        seen.append((str(form["query"]), request.headers.get("Authorization")))
        if text is not None:
            return web.Response(text=text, status=status)
        return web.json_response(answer, status=status)

    async def go() -> list[Sample]:
        app = web.Application()
        app.router.add_post("/prom/api/v1/query", handle)
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            return await Prometheus(str(server.make_url("/prom/")), token_file=token_file).query(
                session, "up"
            )

    return asyncio.run(go()), seen


def test_a_vector_is_read_with_its_labels(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n")
    samples, seen = asked(TWO, token_file=str(file))
    assert [(s.metric, s.number()) for s in samples[:1]] == [({"node_name": "n0"}, 4731.5)]
    assert math.isnan(samples[1].number())
    assert seen == [("up", "Bearer abc")]


def test_nothing_found_is_an_empty_vector() -> None:
    assert asked({"status": "success", "data": {"resultType": "vector", "result": []}})[0] == []


@pytest.mark.parametrize(
    ("answer", "status", "problem"),
    [
        (
            {
                "status": "error",
                "errorType": "bad_data",
                "error": "1:5: parse error: unclosed left parenthesis",
            },
            400,
            "HTTP 400: bad_data: 1:5: parse error: unclosed left parenthesis",
        ),
        (
            {"status": "success", "data": {"resultType": "scalar", "result": [1435781451.781, "1"]}},
            200,
            "the query gives a scalar, not a vector with one value a node",
        ),
        ({"status": "success"}, 200, "HTTP 200: : "),
    ],
)
def test_what_is_no_vector_is_said_in_words(answer: Any, status: int, problem: str) -> None:
    with pytest.raises(PrometheusError) as raised:
        asked(answer, status=status)
    assert str(raised.value) == problem


def test_a_page_of_somebody_else_is_no_answer() -> None:
    with pytest.raises(PrometheusError, match="HTTP 502: <html>Bad Gateway"):
        asked(status=502, text="<html>Bad Gateway</html>")


def test_a_vector_of_another_shape_is_unreadable() -> None:
    with pytest.raises(PrometheusError, match="unreadable vector"):
        asked({"status": "success", "data": {"resultType": "vector", "result": [{"metric": 3}]}})


def test_who_cannot_be_reached_is_named() -> None:
    async def go() -> None:
        async with aiohttp.ClientSession() as session:
            await Prometheus("http://127.0.0.1:9").query(session, "up")

    with pytest.raises(PrometheusError, match=r"127\.0\.0\.1"):
        asyncio.run(go())
