"""Who may read decisions, and which they get."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from rackplane.controller.decisions.access import Access, Answer, Verdict
from rackplane.controller.decisions.ring import Entry, Ring, Step
from rackplane.controller.decisions.server import DecisionServer, Replica
from rackplane.core.queues.waiting import Wait
from rackplane.kube.client import ApiError

TOKENS = {"good": "ann", "poor": "bob"}
EXTRA = {"example.com/scope": ["a"]}


class Reviewer:
    """An API server that knows two users and lets one of them read."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.error: ApiError | None = None

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> bytes:
        if self.error is not None:
            raise self.error
        kind = path.rpartition("/")[2]
        self.asked.append((kind, body["spec"]))
        status: dict[str, Any]
        if kind == "tokenreviews":
            name = TOKENS.get(body["spec"]["token"])
            user = {"username": name, "uid": "7", "groups": ["team"], "extra": EXTRA}
            status = {"authenticated": True, "user": user} if name else {"user": {}, "error": "unknown"}
        else:
            status = {"allowed": body["spec"]["user"] == "ann"}
        return msgspec.json.encode({"kind": "Review", "status": status})

    def lines(self, *_: Any, **__: Any) -> Any:
        raise AssertionError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_the_api_server_says_whose_a_token_is_and_what_they_may() -> None:
    reviewer, clock = Reviewer(), Clock()
    access = Access(reviewer, monotonic=clock)
    assert await access.check("Bearer good", "/x") == Verdict(Answer.ALLOWED, "ann")
    assert reviewer.asked == [
        ("tokenreviews", {"token": "good"}),
        (
            "subjectaccessreviews",
            {
                "user": "ann",
                "uid": "7",
                "groups": ("team",),
                "extra": EXTRA,
                "nonResourceAttributes": {"path": "/x", "verb": "get"},
            },
        ),
    ]
    assert (await access.check("Bearer poor", "/x")).answer is Answer.FORBIDDEN
    assert (await access.check("bearer none", "/x")).answer is Answer.UNKNOWN


async def test_an_answer_holds_for_ten_seconds_and_for_one_token_and_path() -> None:
    reviewer, clock = Reviewer(), Clock()
    access = Access(reviewer, monotonic=clock)
    for second, path, questions in ((0.0, "/x", 2), (9.9, "/x", 2), (9.9, "/y", 4), (10.0, "/x", 6)):
        clock.now = second
        await access.check("Bearer good", path)
        assert len(reviewer.asked) == questions
    for number in range(400):
        await access.check(f"Bearer t{number}", "/x")
    assert len(access._known) == 256


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "good", "Bearer " + "x" * 20_000])
async def test_nobody_is_asked_about_what_is_no_token(header: str) -> None:
    reviewer = Reviewer()
    assert (await Access(reviewer).check(header, "/x")).answer is Answer.UNKNOWN
    assert reviewer.asked == []


async def test_nobody_is_let_in_while_the_api_server_does_not_answer() -> None:
    reviewer = Reviewer()
    access = Access(reviewer)
    reviewer.error = ApiError(0, "Transport", "gone")
    assert (await access.check("Bearer good", "/x")).answer is Answer.UNAVAILABLE
    reviewer.error = None
    assert (await access.check("Bearer good", "/x")).answer is Answer.ALLOWED


def placed(number: int, gang: str, queue: str) -> Entry:
    entry = Entry(f"1-{number}", float(number), gang, queue, "Placed", last=float(number))
    entry.steps.append(Step("stopping", 5.0, "Preempted", "for a gang", last=5.0))
    return entry


def ring() -> Ring:
    found = Ring(entries=10, size=1 << 20)
    for number, (gang, queue) in enumerate([("ml/a", "q"), ("ml/b", "q"), ("ml/c", "r")]):
        entry = placed(number, gang, queue)
        found.put((gang, entry.id), entry)
    wait = Wait("no room", reason="InsufficientNodes")
    found.put(
        ("ml/d", "x"),
        Entry("1-9", 9.0, "ml/d", "r", "InsufficientNodes", wait=wait, line="l", count=3, last=12.5),
    )
    return found


@asynccontextmanager
async def served(*, leading: bool = True) -> AsyncIterator[str]:
    replica = Replica(
        identity="me",
        leading=lambda: leading,
        leader=lambda: "other",
        line_of=lambda gang: "l" if gang in ("ml/d", "ml/e") else None,
    )
    server = DecisionServer(ring=ring(), access=Access(Reviewer()), replica=replica, host="0.0.0.0", port=0)
    async with server:
        yield f"http://127.0.0.1:{server.port}/debug/decisions"


async def get(url: str, token: str | None = "good") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, msgspec.json.decode(await answer.read())


async def test_the_newest_first_with_what_is_said_of_the_replica() -> None:
    async with served() as url:
        status, body = await get(f"{url}?limit=2")
    assert status == 200
    assert [entry["id"] for entry in body.pop("decisions")] == ["1-9", "1-2"]
    assert body.pop("bytes") > 4_000
    assert body == {"identity": "me", "leading": True, "leader": "me", "kept": 4, "dropped": 0}


async def test_an_entry() -> None:
    async with served() as url:
        _, body = await get(f"{url}?gang=ml/d")
    assert body["decisions"] == [
        {
            "id": "1-9",
            "time": "1970-01-01T00:00:09.000Z",
            "gang": "ml/d",
            "queue": "r",
            "result": "InsufficientNodes",
            "count": 3,
            "last": "1970-01-01T00:00:12.500Z",
            "message": "no room",
            "waitingHelps": True,
        }
    ]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("gang=ml/a", ["1-0"]),
        ("gang=ml/e", ["1-9"]),  # waits in the same line
        ("queue=q", ["1-1", "1-0"]),
        ("result=placed", ["1-2", "1-1", "1-0"]),
        ("result=preempted&queue=r", ["1-2"]),
        ("result=refused", ["1-9"]),
        ("id=1-1", ["1-1"]),
        ("gang=ml/z", []),
    ],
)
async def test_filters(query: str, ids: list[str]) -> None:
    async with served() as url:
        status, body = await get(f"{url}?{query}")
    assert (status, [entry["id"] for entry in body["decisions"]]) == (200, ids)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("gangs=a/b", "there is no filter 'gangs': filters are gang, queue, result, id, limit"),
        ("gang=a", "gang=a: write NAMESPACE/NAME"),
        ("limit=0", "limit=0: write a number from 1 to 10,000"),
        ("limit=x", "limit=x: write a number from 1 to 10,000"),
    ],
)
async def test_a_filter_that_cannot_be_is_said(query: str, error: str) -> None:
    async with served() as url:
        assert await get(f"{url}?{query}") == (400, {"error": error})


async def test_who_is_not_let_in() -> None:
    async with served() as url:
        assert (await get(url, None))[0] == 401
        assert (await get(url, "none"))[0] == 401
        status, body = await get(url, "poor")
    why = "user bob may not get /debug/decisions: bind them to the ClusterRole rackplane-debug"
    assert (status, body) == (403, {"error": why})


async def test_a_standby_says_who_leads() -> None:
    async with served(leading=False) as url:
        _, body = await get(url)
    assert (body["leading"], body["leader"]) == (False, "other")
    assert body["note"] == "this replica decides nothing: other leads"


def test_the_ring_is_bounded_by_count_and_by_bytes() -> None:
    few = Ring(entries=3, size=1 << 20)
    for number in range(5):
        few.put(("ml/a", number), placed(number, "ml/a", "q"))
    assert ([e.id for e in few.newest()], few.dropped) == (["1-4", "1-3", "1-2"], 2)
    assert few.bytes == sum(entry.size() for entry in few.newest())
    small = Ring(entries=1_000, size=10_000)
    for number in range(50):
        small.put(("ml/a", number), placed(number, "ml/a", "q"))
    assert small.bytes <= 10_000 and len(small) + small.dropped == 50 and len(small) > 3


def test_steps_are_bounded_and_the_first_and_the_last_are_kept() -> None:
    kept = Ring(entries=3, size=1 << 20)
    for number in range(100):
        kept.step("a", Step(f"s{number}", float(number)), lambda: placed(1, "ml/a", "q"))
        kept.step("a", Step(f"s{number}", number + 0.5), lambda: placed(1, "ml/a", "q"))
    entry = kept.get("a")
    assert entry is not None and len(entry.steps) == 24
    assert [entry.steps[i].what for i in (0, 1, -1)] == ["stopping", "s0", "s99"]
    assert (entry.steps[-1].count, entry.steps[-1].last) == (2, 99.5)
    assert kept.bytes == entry.size()
