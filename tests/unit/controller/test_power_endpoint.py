"""Caps posted to a server of the test: what it is told, and what its answers mean."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rackplane.controller.actuators.endpoint import MOST_ENTITIES, PowerEndpoint
from rackplane.core.events import Event, FailureReason, WriteFailed, WriteSucceeded
from rackplane.core.instructions import SendCap

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CAP = SendCap("r1-n0", 4800, "MaxQ", ("team/train",))
OTHER = SendCap("r1-n1", None, "", ())


def told(handler: Handler, *caps: SendCap, token_file: str = "", timeout: float = 5.0) -> list[Event]:
    """What is told of these caps."""

    async def go() -> list[Event]:
        app = web.Application()
        app.router.add_post("/caps", handler)
        outcomes: list[Event] = []
        done = asyncio.Event()

        def feed(event: Event) -> None:
            outcomes.append(event)
            if len(outcomes) == len({cap.name for cap in caps}):
                done.set()

        async with TestServer(app) as server:
            endpoint = PowerEndpoint(
                str(server.make_url("/caps")), feed=feed, token_file=token_file, timeout=timeout
            )
            for cap in caps:
                endpoint.submit(cap)
            running = asyncio.ensure_future(endpoint.run())
            await asyncio.wait_for(done.wait(), 20)
            running.cancel()
        return outcomes

    return asyncio.run(go())


def saying(*answers: dict[str, Any]) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response({"Entities": list(answers)})

    return handle


def test_caps_are_named_as_dps_names_them_with_the_token_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    seen: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.headers["Authorization"], await request.json()))
        return web.json_response({"Entities": [{"Name": n, "Status": "applied"} for n in ("r1-n0", "r1-n1")]})

    assert told(handle, CAP, OTHER, token_file=str(file)) == [WriteSucceeded(CAP), WriteSucceeded(OTHER)]
    entities = [
        {
            "Name": "r1-n0",
            "Type": "ComputerSystem",
            "PowerLimit": {"Value": 4800, "Type": "W"},
            "PolicyBundle": "MaxQ",
            "ResourceGroups": ["team/train"],
        },
        {
            "Name": "r1-n1",
            "Type": "ComputerSystem",
            "PowerLimit": None,
            "PolicyBundle": None,
            "ResourceGroups": [],
        },
    ]
    assert seen == [("Bearer s3cret", {"Entities": entities})]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"Name": "r1-n0", "Status": "failed", "Message": "BMC timeout"}, "failed: BMC timeout"),
        ({"Name": "r1-n0", "Status": "skipped"}, "skipped"),
        ({"Name": "r1-n0"}, "no status"),
        ({"Name": "r1-n9", "Status": "applied"}, "the answer does not name the node"),
    ],
)
def test_what_is_not_applied_is_not_done(answer: dict[str, Any], problem: str) -> None:
    assert told(saying(answer), CAP) == [WriteFailed(CAP, FailureReason.UNAVAILABLE, problem)]


def test_a_refusal_is_told_of_every_node_of_the_request() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=503, text="leader election")

    assert told(handle, CAP, OTHER) == [
        WriteFailed(cap, FailureReason.UNAVAILABLE, "HTTP 503: leader election") for cap in (CAP, OTHER)
    ]


def test_a_redirect_is_not_followed_for_it_would_carry_the_token_along() -> None:
    async def handle(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/")

    (failed,) = told(handle, CAP)
    assert isinstance(failed, WriteFailed)
    assert failed.message.startswith("HTTP 307")


def test_an_answer_that_cannot_be_read_is_no_confirmation() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    (failed,) = told(handle, CAP)
    assert isinstance(failed, WriteFailed)
    assert failed.message.startswith("unreadable answer: ")


def test_who_does_not_answer_in_time_has_not_confirmed() -> None:
    async def handle(_: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    assert told(handle, CAP, timeout=0.2) == [
        WriteFailed(CAP, FailureReason.UNAVAILABLE, "no answer within 0.2 s")
    ]


def test_a_token_file_that_is_missing_is_named(tmp_path: Path) -> None:
    (failed,) = told(saying(), CAP, token_file=str(tmp_path / "none"))
    assert isinstance(failed, WriteFailed)
    assert "No such file" in failed.message


def test_of_a_node_only_the_latest_cap_is_sent_and_many_nodes_in_several_requests() -> None:
    sizes: list[int] = []

    async def handle(request: web.Request) -> web.Response:
        entities = (await request.json())["Entities"]
        sizes.append(len(entities))
        assert all(entity["PowerLimit"]["Value"] == 4000 for entity in entities)
        return web.json_response({"Entities": [{"Name": e["Name"], "Status": "applied"} for e in entities]})

    count = MOST_ENTITIES + 10
    caps = [SendCap(f"n{n}", watts, "MaxQ", ()) for watts in (5000, 4000) for n in range(count)]
    assert len(told(handle, *caps)) == count
    assert sizes == [MOST_ENTITIES, 10]


def test_what_was_not_sent_is_dropped_when_another_leads() -> None:
    async def go() -> list[Event]:
        outcomes: list[Event] = []
        endpoint = PowerEndpoint("http://127.0.0.1:9/", feed=outcomes.append)
        endpoint.submit(CAP)
        endpoint.abandon()
        running = asyncio.ensure_future(endpoint.run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
        return outcomes

    assert asyncio.run(go()) == []
