"""Every fault, by both ways to the server: the same words reach the client, and the record says what fired."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rackplane.kube.client import MERGE_PATCH, ApiError, Client, KubeClient
from rackplane.localcluster import Fault, LocalCluster, WallClock
from rackplane.localcluster.effects import (
    Act,
    Bookmarks,
    Compact,
    Cut,
    CutStream,
    Delay,
    Effect,
    HalfOpen,
    Hang,
    Jump,
    Lag,
    LoseAnswer,
    Refuse,
    Stale,
    StreamEffect,
    StreamError,
)
from tests.support import virtualtime

MAPS = "/api/v1/namespaces/default/configmaps"
WAYS = ("in process", "over HTTP")


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


class Bench:
    """A cluster and one client of it."""

    def __init__(self, cluster: LocalCluster, client: Client) -> None:
        self.cluster = cluster
        self.client = client
        self.faults = cluster.faults

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def ask(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        return json.loads(await self.client.request(method, path, body=body, **more))

    async def create(self, name: str, timeout: float = 30, **data: str) -> Any:  # noqa: ASYNC109
        return await self.ask("POST", MAPS, config(name, **data), timeout=timeout)

    def stored(self) -> list[str]:
        items = self.cluster.store.items(("", "configmaps"), "default")
        return [item["metadata"]["name"] for item in items if item["metadata"]["name"] != "kube-root-ca.crt"]

    async def watch(self, **query: str) -> list[str]:
        """The lines of one watch from now, as short words, with how it ended; meanwhile `a`, `b`, `c` are created."""
        version = self.cluster.store.revision
        query = {"watch": "true", "resourceVersion": str(version), **query}
        heard: list[str] = []

        async def write() -> None:
            for name in "abc":
                await asyncio.sleep(1)
                self.cluster.request("POST", MAPS, config(name))

        writing = asyncio.create_task(write())
        try:
            async with aclosing(self.client.lines(MAPS, query=query, timeout=200)) as lines:
                async for line in lines:
                    heard.append(word(line))
            heard.append(f"end at {self.now:.0f}")
        except ApiError as error:
            heard.append(f"{error.reason} at {self.now:.0f}")
        await writing
        return heard


def word(line: bytes) -> str:
    try:
        event = json.loads(line)
    except ValueError:
        return "torn"
    if event["type"] in ("ERROR", "BOOKMARK"):
        return f"{event['type']} {event['object'].get('code', '')}".strip()
    return f"{event['type']} {event['object']['metadata']['name']}"


@asynccontextmanager
async def bench(way: str, path: Path, *, seed: int = 1) -> AsyncIterator[Bench]:
    cluster = LocalCluster(clock=WallClock(), seed=seed)
    if way == "in process":
        await cluster.start(port=None)
        local = cluster.client("operator")
        yield Bench(cluster, local)
        await local.close()
    else:
        await cluster.start()
        client = await KubeClient.connect(str(cluster.kubeconfig(path / "kubeconfig", "operator")))
        yield Bench(cluster, client)
        await client.close()
    await cluster.stop()


def both_ways(test: Callable[[Bench], Awaitable[None]]) -> Callable[[str, Path], None]:
    """Runs a test in process and over HTTP, each in virtual time."""

    def wrapper(way: str, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with bench(way, tmp_path) as b:
                await test(b)

        virtualtime.run(scenario())

    wrapper.__name__ = test.__name__
    return pytest.mark.parametrize("way", WAYS)(wrapper)


async def failure(asking: Awaitable[Any]) -> tuple[int, str]:
    with pytest.raises(ApiError) as refused:
        await asking
    return refused.value.status, refused.value.reason


@both_ways
async def test_latency_is_spent_before_or_after_acting(b: Bench) -> None:
    b.faults.add(Fault(Delay(before=3, after=4), verb="create"))
    creating = asyncio.create_task(b.create("a"))
    await asyncio.sleep(2.9)
    assert b.stored() == []
    await asyncio.sleep(0.2)
    assert b.stored() == ["a"] and not creating.done()
    await creating
    assert b.now == pytest.approx(7)


@both_ways
async def test_a_server_that_is_too_slow_acts_all_the_same(b: Bench) -> None:
    b.faults.add(Fault(Delay(before=40), verb="create"))
    assert await failure(b.create("a")) == (0, "Timeout")
    assert b.now == pytest.approx(30) and b.stored() == []
    await asyncio.sleep(11)
    assert b.stored() == ["a"]


REFUSALS = [
    (Refuse(409), 409, "Conflict", None),
    (Refuse(429, retry_after=7), 429, "TooManyRequests", 7.0),
    (Refuse(500), 500, "InternalError", None),
    (Refuse(503, retry_after=2), 503, "ServiceUnavailable", 2.0),
    (Refuse(504), 504, "Timeout", None),
    (Refuse(418, "Teapot", "short and stout"), 418, "Teapot", None),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("effect", "status", "reason", "wait"), REFUSALS)
def test_refusals(
    way: str, tmp_path: Path, effect: Refuse, status: int, reason: str, wait: float | None
) -> None:
    async def scenario() -> None:
        async with bench(way, tmp_path) as b:
            b.faults.add(Fault(effect, verb="create"))
            with pytest.raises(ApiError) as refused:
                await b.create("a")
            error = refused.value
            assert (error.status, error.reason, error.retry_after) == (status, reason, wait)
            assert error.body is not None and error.body["code"] == status
            assert b.stored() == []
            await b.create("a")

    virtualtime.run(scenario())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("effect", "reason", "stored", "seconds"),
    [
        (Cut(), "Transport", [], 0),
        (Hang(), "Timeout", [], 30),
        (LoseAnswer(), "Transport", ["a"], 0),
        (LoseAnswer(silent=True), "Timeout", ["a"], 30),
    ],
)
def test_what_is_lost_on_the_way(
    way: str, tmp_path: Path, effect: Effect, reason: str, stored: list[str], seconds: float
) -> None:
    async def scenario() -> None:
        async with bench(way, tmp_path) as b:
            b.faults.add(Fault(effect, verb="create"))
            assert await failure(b.create("a")) == (0, reason)
            assert b.stored() == stored and b.now == pytest.approx(seconds)
            assert [fired.effect for fired in b.faults.fired] == [effect]
            await b.create("b")

    virtualtime.run(scenario())


@both_ways
async def test_an_update_whose_answer_was_lost_is_not_sent_again(b: Bench) -> None:
    # HTTP clients like to repeat a PUT by themselves. Its 409 would then say that the first had not happened.
    old = await b.create("a")
    b.faults.add(Fault(LoseAnswer(), verb="update"))
    assert await failure(b.ask("PUT", f"{MAPS}/a", {**old, "data": {"x": "1"}})) == (0, "Transport")
    assert (await b.ask("GET", f"{MAPS}/a"))["data"] == {"x": "1"}
    b.faults.add(Fault(LoseAnswer(), verb="delete"))
    assert await failure(b.ask("DELETE", f"{MAPS}/a")) == (0, "Transport")
    assert b.stored() == []


STREAMS: list[tuple[StreamEffect, list[str]]] = [
    (CutStream(), ["Transport at 0"]),
    (CutStream(events=2), ["ADDED a", "ADDED b", "Transport at 2"]),
    (CutStream(events=1, seconds=1.5), ["ADDED a", "Transport at 2"]),
    (CutStream(events=1, mid_line=True), ["ADDED a", "torn", "Transport at 2"]),
    (HalfOpen(events=1), ["ADDED a", "Timeout at 200"]),
    (StreamError(events=1), ["ADDED a", "ERROR 410", "end at 1"]),
    (StreamError(code=500), ["ERROR 500", "end at 0"]),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("effect", "heard"), STREAMS)
def test_streams(way: str, tmp_path: Path, effect: StreamEffect, heard: list[str]) -> None:
    async def scenario() -> None:
        async with bench(way, tmp_path) as b:
            b.faults.add(Fault(effect, resource="configmaps"))
            told = await b.watch()
            # Whether half a line is delivered before the break is up to the client.
            assert told in (heard, [entry for entry in heard if entry != "torn"])
            assert b.faults.count(effect) == 1

    virtualtime.run(scenario())


@both_ways
async def test_open_streams_can_be_struck(b: Bench) -> None:
    watching = asyncio.create_task(b.watch())
    await asyncio.sleep(1.5)
    assert b.faults.strike(CutStream(), resource="pods") == 0
    assert b.faults.strike(CutStream(events=1), client="operator") == 1
    assert await watching == ["ADDED a", "ADDED b", "Transport at 2"]


@both_ways
async def test_bookmarks_come_as_upstream_late_or_never(b: Bench) -> None:
    asked = {"allowWatchBookmarks": "true", "timeoutSeconds": "130"}
    abc = ["ADDED a", "ADDED b", "ADDED c"]
    assert await b.watch(**asked) == [*abc, *["BOOKMARK"] * 3, "end at 130"]
    b.cluster.request("DELETE", MAPS)
    b.faults.add(Fault(Bookmarks(every=100)), Fault(Bookmarks(None), skip=1))
    assert await b.watch(**asked) == [*abc, *["BOOKMARK"] * 2, "end at 260"]
    b.cluster.request("DELETE", MAPS)
    assert await b.watch(**asked) == [*abc, "end at 390"]


@both_ways
async def test_a_watch_lags_and_loses_nothing(b: Bench) -> None:
    b.faults.add(Fault(Lag(10)))
    start = b.cluster.store.revision
    assert await b.watch(timeoutSeconds="12") == ["ADDED a", "ADDED b", "end at 12"]
    async with aclosing(
        b.client.lines(
            MAPS, query={"watch": "true", "resourceVersion": str(start + 2), "timeoutSeconds": "1"}
        )
    ) as lines:
        assert [word(line) async for line in lines] == ["ADDED c"]


@both_ways
async def test_stale_lists_are_consistent_and_old(b: Bench) -> None:
    for name in "abc":
        await b.create(name)

    async def listed(**query: str) -> tuple[list[str], int]:
        answer = await b.ask("GET", MAPS, query=query)
        names = [item["metadata"]["name"] for item in answer["items"]]
        return [name for name in names if len(name) == 1], int(answer["metadata"]["resourceVersion"])

    now = b.cluster.store.revision
    b.faults.add(Fault(Stale(2), times=None))
    assert await listed(resourceVersion="0") == (["a"], now - 2)
    assert await listed() == (["a", "b", "c"], now)
    b.faults.add(Fault(Stale(1, quorum=True)))
    assert await listed() == (["a", "b"], now - 1)
    b.cluster.store.compact()
    assert await listed(resourceVersion="0") == (["a", "b", "c"], now)


@both_ways
async def test_compaction_makes_old_versions_410(b: Bench) -> None:
    await b.create("a")
    b.faults.add(Fault(Compact(), resource="configmaps", verb="create"))
    await b.create("b")
    query = {"watch": "true", "resourceVersion": str(b.cluster.store.revision - 2)}
    async with aclosing(b.client.lines(MAPS, query=query)) as lines:
        assert [word(line) async for line in lines] == ["ERROR 410"]


@both_ways
async def test_a_watch_of_what_nobody_writes_outlives_a_compaction(b: Bench) -> None:
    query = {"watch": "true", "resourceVersion": str(b.cluster.store.revision)}
    async with aclosing(b.client.lines(MAPS, query=query)) as lines:

        async def hear() -> str:
            return word(await anext(lines))

        heard = asyncio.create_task(hear())
        await asyncio.sleep(1)
        for name in "xy":
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
            await b.ask("POST", MAPS.replace("configmaps", "secrets"), secret)
        b.cluster.store.compact()
        await b.create("a")
        assert await heard == "ADDED a"


@both_ways
async def test_the_wall_clock_jumps_and_the_loop_goes_on(b: Bench) -> None:
    wall = b.cluster.clock()
    b.faults.add(Fault(Jump(3600)), Fault(Jump(-7200), skip=1))
    await b.create("a")
    assert b.cluster.clock() - wall == pytest.approx(3600) and b.now == 0
    await b.create("b")
    assert b.cluster.clock() - wall == pytest.approx(-3600)


@both_ways
async def test_an_outage_breaks_streams_and_refuses_connections(b: Bench) -> None:
    watching = asyncio.create_task(b.watch())
    await asyncio.sleep(1.5)
    b.faults.outage(seconds=10)
    await asyncio.sleep(0)
    assert await watching == ["ADDED a", "Transport at 2"]
    assert await failure(b.create("d")) == (0, "Transport")
    await asyncio.sleep(10)
    await b.create("d")
    assert b.stored() == ["a", "b", "c", "d"]


@both_ways
async def test_a_silent_outage_answers_nothing(b: Bench) -> None:
    watching = asyncio.create_task(b.watch())
    await asyncio.sleep(1.5)
    b.faults.outage(silent=True)
    assert await failure(b.create("d")) == (0, "Timeout")
    b.faults.recover()
    await b.create("d")
    assert await watching == ["ADDED a", "Timeout at 200"]


@both_ways
async def test_a_reset_breaks_what_hangs_and_nothing_else(b: Bench) -> None:
    b.faults.add(Fault(HalfOpen(), verb="watch"), Fault(Hang(), verb="create"))
    watching, hanging = asyncio.create_task(b.watch()), asyncio.create_task(failure(b.create("d")))
    await asyncio.sleep(5)
    began = b.now
    b.faults.reset()
    assert await hanging == (0, "Transport")
    assert await watching == [f"Transport at {began:.0f}"]
    await b.create("e")
    assert "e" in b.stored()


@both_ways
async def test_another_writer_gets_in_between(b: Bench) -> None:
    old = await b.create("a", x="0")

    def interfere(request: Any) -> None:
        b.cluster.request("PATCH", f"{MAPS}/a", {"data": {"x": "1"}}, content_type=MERGE_PATCH)

    answers: list[int] = []
    b.faults.add(Fault(Act(before=interfere, after=lambda request, answer: answers.append(answer.code))))
    assert await failure(b.ask("PUT", f"{MAPS}/a", {**old, "data": {"x": "2"}})) == (409, "Conflict")
    assert answers == [409]


# -- which requests meet a fault


@both_ways
async def test_verb_resource_client_and_object_choose(b: Bench) -> None:
    refuse = Refuse(503)
    b.faults.add(
        Fault(refuse, verb="patch", times=None),
        Fault(refuse, resource="pods*", times=None),
        Fault(refuse, client="kubectl*", times=None),
        Fault(refuse, name="secret-*", times=None),
        Fault(refuse, namespace="elsewhere", times=None),
        Fault(refuse, resource="leases.coordination.k8s.io", verb="read", times=None),
    )
    await b.create("a")
    await b.ask("GET", MAPS)
    await b.ask("GET", f"{MAPS}/a")
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    await b.ask("POST", leases, {"metadata": {"name": "l"}})
    for asking in (
        b.ask("PATCH", f"{MAPS}/a", {}, content_type=MERGE_PATCH),
        b.ask("GET", "/api/v1/pods"),
        b.ask("PUT", "/api/v1/namespaces/default/pods/p/status", {}),
        b.ask("GET", f"{MAPS}/secret-plan"),
        b.ask("DELETE", "/api/v1/namespaces/elsewhere/configmaps"),
        b.ask("GET", f"{leases}/l"),
    ):
        assert await failure(asking) == (503, "ServiceUnavailable")
    asked = [fired.asked for fired in b.faults.fired]
    assert [(a.verb, a.group, a.resource, a.namespace, a.name) for a in asked if a] == [
        ("patch", "", "configmaps", "default", "a"),
        ("list", "", "pods", "", ""),
        ("update", "", "pods/status", "default", "p"),
        ("get", "", "configmaps", "default", "secret-plan"),
        ("deletecollection", "", "configmaps", "elsewhere", ""),
        ("get", "coordination.k8s.io", "leases", "default", "l"),
    ]


@both_ways
async def test_counted_skipped_and_timed(b: Bench) -> None:
    b.faults.add(
        Fault(Refuse(500), verb="get", skip=1, times=2),
        Fault(Refuse(503), verb="list", times=None, seconds=5),
    )

    async def code(path: str) -> int:
        try:
            await b.ask("GET", path)
        except ApiError as error:
            return error.status
        return 200

    assert [await code(f"{MAPS}/x") for _ in range(5)] == [404, 500, 500, 404, 404]
    assert [await code(MAPS) for _ in range(3)] == [503, 503, 503]
    await asyncio.sleep(5)
    assert await code(MAPS) == 200


@both_ways
async def test_a_fault_can_be_taken_back(b: Bench) -> None:
    with b.faults.during(Fault(Refuse(500), times=None)):
        assert await failure(b.create("a")) == (500, "InternalError")
    await b.create("a")
    b.faults.add(Fault(Refuse(500), times=None))
    b.faults.remove()
    await b.create("b")


async def chance(way: str, path: Path, seed: int, *more: Fault) -> list[int]:
    async with bench(way, path, seed=seed) as b:
        b.faults.add(Fault(Refuse(500), verb="create", times=None, probability=0.3), *more)
        codes = []
        for number in range(60):
            try:
                await b.create(f"m{number}")
                codes.append(201)
            except ApiError as error:
                codes.append(error.status)
        return codes


def test_chance_is_the_seeds_alone(tmp_path: Path) -> None:
    def once(way: str, seed: int, *more: Fault) -> list[int]:
        return virtualtime.run(chance(way, tmp_path, seed, *more))

    first = once("in process", 1)
    assert 8 <= first.count(500) <= 28
    assert once("in process", 1) == once("over HTTP", 1) == first
    assert once("in process", 1, Fault(Delay(after=1), times=None, probability=0.5)) == first
    assert once("in process", 2) != first


def test_the_documents_example_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "faults.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    program = next(text for kind, text in blocks if kind == "python" and text.startswith("import"))
    exec(compile(program, "docs/faults.md", "exec", dont_inherit=True), {"__name__": "example"})
    assert capsys.readouterr().out == next(text for kind, text in blocks if kind == "text")
