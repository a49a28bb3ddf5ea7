"""The floor plan as it is served: files, frames, and events for as many as are allowed and keep up."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import structlog.testing

from rackplane.controller.floorplan.server import FloorPlanServer
from rackplane.controller.floorplan.watch import FloorPlanWatch, TooManyListeners
from rackplane.core import events as e
from rackplane.core.machine import Machine
from rackplane.core.offline.snapshot import snapshot
from rackplane.floorplan import model as m
from rackplane.floorplan.history import Entry, compressed
from rackplane.floorplan.page import ASSETS, POLICY, asset
from tests.unit.cli.hall import HALL

NOW = 1_790_000_000.0


class Floor:
    """A machine with three racks, its floor plan, and a clock that stands still between two frames."""

    def __init__(self, machine: Machine | None = None, **settings: Any) -> None:
        self.machine = machine or snapshot(HALL, NOW)
        self.now = NOW
        self.watch = FloorPlanWatch(self.machine, wall=lambda: self.now, **settings)

    async def take(self, **ups_a: Any) -> None:
        """Change ups-a, and take a frame ten seconds later."""
        if ups_a:
            [body] = [b for b in HALL if b["metadata"]["name"] == "ups-a"]
            changed = {**body, "spec": {**body["spec"], **ups_a}}
            self.machine.handle(self.now, e.FacilityChanged("PowerDomain", "ups-a", changed))
        self.now += 10
        await self.watch.take()


class Client:
    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.base = f"http://127.0.0.1:{port}"

    async def get(self, path: str, **more: Any) -> tuple[int, Any, str]:
        async with self.session.get(self.base + path, **more) as answer:
            return answer.status, answer.headers, await answer.text()

    async def json(self, path: str) -> Any:
        status, _, text = await self.get(path)
        assert status == 200, text
        return json.loads(text)


class Stream:
    """Server-sent events, one by one."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> tuple[str, Any]:
        async with asyncio.timeout(10):
            kind = (await self.answer.content.readline()).decode().removeprefix("event: ").strip()
            data = (await self.answer.content.readline()).decode().removeprefix("data: ")
            await self.answer.content.readline()
        return kind, json.loads(data)


@pytest.fixture
async def floor() -> Floor:
    floor = Floor()
    await floor.take()
    return floor


@pytest.fixture
async def client(floor: Floor) -> AsyncIterator[Client]:
    async with (
        FloorPlanServer(floor.watch, host="127.0.0.1", port=0) as server,
        aiohttp.ClientSession() as session,
    ):
        yield Client(session, server.port)


async def test_every_file_of_the_page_under_a_strict_policy(client: Client) -> None:
    for name, kind in ASSETS.items():
        status, headers, text = await client.get(f"/ui/{'' if name == 'index.html' else name}")
        assert (status, text) == (200, asset(name))
        assert headers["Content-Type"] == f"{kind}; charset=utf-8"
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("path", ["/", "/ui"])
async def test_the_way_to_the_page_is_relative_for_proxies(path: str, client: Client) -> None:
    status, headers, _ = await client.get(path, allow_redirects=False)
    assert (status, headers["Location"]) == (308, "ui/")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ui/model.py", 404),
        ("/ui/..%2fpage.py", 404),
        ("/ui/frames/yesterday", 400),
        ("/ui/frames/nan", 400),
        ("/ui/layouts/else", 404),
    ],
)
async def test_what_there_is_not(path: str, status: int, client: Client) -> None:
    assert (await client.get(path))[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_written(method: str, client: Client) -> None:
    for path in ("/ui/", "/ui/events", "/ui/history"):
        async with client.session.request(method, client.base + path) as answer:
            assert answer.status == 405


async def test_the_last_hour_moment_by_moment(floor: Floor, client: Client) -> None:
    await floor.take(state="Offline")
    history = await client.json("/ui/history")
    assert [(m["at"] - NOW, m["gpus"], m["watts"]) for m in history] == [(10, 48, 18_000), (20, 48, 18_000)]
    before, after = [await client.json(f"/ui/frames/{m['at']}") for m in history]
    assert before["elements"]["ups-a"]["watts"] == 6_000
    assert after["elements"]["ups-a"]["live"] is False
    assert after["racks"]["r1"]["feeds"] == {"ups-b": 6_000}
    layout = await client.json(f"/ui/layouts/{after['layout']}")
    assert [rack["name"] for rack in layout["racks"]] == ["r1", "r2", "r3"]
    # For who cannot unpack it.
    _, headers, text = await client.get(
        f"/ui/frames/{history[1]['at']}", headers={"Accept-Encoding": "identity"}
    )
    assert "Content-Encoding" not in headers and json.loads(text) == after


async def test_events_are_a_whole_frame_and_then_what_changes(floor: Floor, client: Client) -> None:
    async with client.session.get(f"{client.base}/ui/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        stream = Stream(answer)
        assert await stream.next() == ("hello", {"ready": True, "beatSeconds": 5.0})
        kind, frame = await stream.next()
        assert (kind, set(frame["racks"])) == ("frame", {"r1", "r2", "r3"})
        await floor.take(state="Offline")
        kind, delta = await stream.next()
        assert kind == "delta" and set(delta["racks"]) == {"r1", "r2"}
        assert delta["elements"]["ups-a"] == {"live": False, "worst": delta["elements"]["ups-a"]["worst"]}
        await floor.take()
        _, still = await stream.next()
        assert set(still) == {"at", "layout", "totals"}
    async with asyncio.timeout(10):
        while floor.watch.listeners:
            await floor.take()
            await asyncio.sleep(0)


async def test_another_layout_comes_with_a_whole_frame(floor: Floor) -> None:
    listener = floor.watch.listen()
    kinds = [listener.queue.get_nowait()[0]]
    await floor.take(type="PDU")
    kinds.append(listener.queue.get_nowait()[0])
    assert kinds == ["frame", "frame"]
    assert floor.watch.layout is not None
    assert floor.watch.known_layout(floor.watch.layout.id) is floor.watch.layout


async def test_who_is_too_slow_is_dropped_and_nobody_else(floor: Floor) -> None:
    slow, other = floor.watch.listen(), floor.watch.listen()
    for _ in range(20):
        await floor.take()
        other.queue.get_nowait()
    assert (slow.dropped.is_set(), other.dropped.is_set(), floor.watch.listeners) == (True, False, 1)


async def test_frames_are_taken_one_after_the_other(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    compressing, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def held_up(frame: m.Frame) -> Entry:
        loop.call_soon_threadsafe(compressing.set)
        assert go_on.wait(60)
        return compressed(frame)

    monkeypatch.setattr("rackplane.controller.floorplan.watch.compressed", held_up)
    first = asyncio.create_task(floor.take())
    await compressing.wait()
    before = floor.watch.frame
    second = asyncio.create_task(floor.take())
    await asyncio.sleep(0)
    meanwhile = floor.watch.frame
    go_on.set()
    assert meanwhile is before
    await asyncio.gather(first, second)
    # The one of the fixture, and these two.
    assert len(floor.watch.history.moments()) == 3


async def test_no_more_listen_than_are_allowed(client: Client, floor: Floor) -> None:
    listeners = [floor.watch.listen() for _ in range(64)]
    with pytest.raises(TooManyListeners):
        floor.watch.listen()
    status, headers, text = await client.get("/ui/events")
    assert (status, headers["Retry-After"]) == (503, "15")
    assert "as many pages are open as are allowed" in text
    floor.watch.leave(listeners[0])
    floor.watch.listen()


async def test_who_stops_waits_for_nobody_who_watches(floor: Floor) -> None:
    async with aiohttp.ClientSession() as session:
        async with FloorPlanServer(floor.watch, host="127.0.0.1", port=0) as server:
            answer = await session.get(f"http://127.0.0.1:{server.port}/ui/events")
            assert floor.watch.listeners == 1
        assert floor.watch.listeners == 0
        answer.close()


async def test_before_the_cluster_is_read_there_is_nothing_to_see() -> None:
    floor = Floor(Machine())
    await floor.take()
    async with (
        FloorPlanServer(floor.watch, host="127.0.0.1", port=0) as server,
        aiohttp.ClientSession() as session,
    ):
        client = Client(session, server.port)
        assert await client.json("/ui/history") == []
        assert (await client.get("/ui/frames/1"))[0] == 404
        async with session.get(f"{client.base}/ui/events") as answer:
            assert await Stream(answer).next() == ("hello", {"ready": False, "beatSeconds": 5.0})


async def test_a_floor_plan_that_cannot_be_drawn_stops_no_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            raise asyncio.CancelledError

    floor = Floor(sleep=sleep)
    monkeypatch.setattr(
        "rackplane.controller.floorplan.watch.frame", lambda *_: (_ for _ in ()).throw(KeyError("r9"))
    )
    with structlog.testing.capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await floor.watch.run()
    assert [entry["event"] for entry in logs] == ["the floor plan could not be drawn"] * 2
    assert floor.watch.frame is None


async def test_unwatched_a_look_is_had_rarely_and_at_once_when_somebody_comes() -> None:
    floor = Floor(seconds=0.01, history_seconds=3600.0)
    running = asyncio.create_task(floor.watch.run())
    try:
        async with asyncio.timeout(10):
            first = floor.watch.listen()
            await first.queue.get()
            floor.watch.leave(first)
            floor.now += 10
            listener = floor.watch.listen()
            kinds = [(await listener.queue.get())[0] for _ in range(2)]
        assert kinds == ["frame", "delta"]
    finally:
        running.cancel()
