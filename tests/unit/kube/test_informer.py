from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import msgspec
import pytest

from rackplane.kube.client import ApiError
from rackplane.kube.informer import BACKOFF_LIMIT_SECONDS, Informer
from rackplane.kube.resources import PODS
from tests.unit.kube.fakes import Done, ScriptedApi


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class Pod(msgspec.Struct, frozen=True):
    metadata: Metadata
    phase: str = ""


async def _nothing() -> None:
    """Happens while an informer backs off."""


class Bench:
    """An informer over a scripted API, with what it reported."""

    def __init__(
        self, *, label_selector: str | None = None, optional: bool = False, spare: bool = False
    ) -> None:
        self.api = ScriptedApi()
        self.told: list[str] = []
        self.slept: list[float] = []
        self.now = 0.0
        self.meanwhile: Callable[[], Awaitable[None]] = _nothing
        self.informer = Informer(
            self.api,
            PODS,
            Pod,
            on_change=lambda pod: self.told.append(f"{pod.metadata.name}@{pod.metadata.resource_version}"),
            on_delete=lambda namespace, name: self.told.append(f"-{name}"),
            label_selector=label_selector,
            optional=optional,
            spare=spare,
            found=(lambda there: self.told.append(f"there: {there}")) if spare else None,
            random=Random(1),
            monotonic=lambda: self.now,
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.meanwhile()

    async def run(self) -> None:
        with pytest.raises(Done):
            await self.informer.run()

    @property
    def names(self) -> list[str]:
        return sorted(name for _, name in self.informer.cache)


def raw(name: str, version: int, *, uid: str = "", **more: Any) -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, **more}


def page(version: int, *items: dict[str, Any], more: str = "") -> bytes:
    return json.dumps(
        {"metadata": {"resourceVersion": str(version), "continue": more}, "items": items}
    ).encode()


def event(kind: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode()


def bookmark(version: int) -> bytes:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def error(code: int) -> bytes:
    return event("ERROR", {"kind": "Status", "code": code, "reason": "X", "message": "no"})


async def test_lists_then_watches_from_the_lists_version() -> None:
    bench = Bench(label_selector="a=b")
    bench.api.lists.append(page(10, raw("one", 3), raw("two", 4)))
    bench.api.watches.append(
        [
            event("ADDED", raw("three", 11)),
            event("MODIFIED", raw("one", 12)),
            event("DELETED", raw("two", 13)),
        ]
    )
    await bench.run()
    assert bench.told == ["one@3", "two@4", "three@11", "one@12", "-two"]
    assert bench.names == ["one", "three"]
    assert bench.informer.synced.is_set()
    first, watch, again = bench.api.asked
    assert first == {"labelSelector": "a=b", "limit": "500"}
    assert watch["resourceVersion"] == "10"
    assert watch["allowWatchBookmarks"] == "true" and watch["labelSelector"] == "a=b"
    assert 240 <= int(watch["timeoutSeconds"]) <= 360
    assert again["resourceVersion"] == "13"
    assert bench.slept == []


async def test_a_long_list_comes_in_pages() -> None:
    bench = Bench()
    bench.api.lists += [page(10, raw("one", 3), more="c1"), page(10, raw("two", 4), more="c2"), page(10)]
    await bench.run()
    assert [query.get("continue") for query in bench.api.asked] == [None, "c1", "c2", None]
    assert bench.names == ["one", "two"]


async def test_a_list_that_outlives_its_version_is_asked_for_in_one_piece() -> None:
    bench = Bench()
    bench.api.lists += [
        page(10, raw("one", 3), more="c1"),
        ApiError(410, "Expired"),
        page(20, raw("two", 15)),
    ]
    await bench.run()
    assert bench.told == ["two@15"]
    assert bench.api.asked[2] == {}
    assert bench.api.asked[3]["resourceVersion"] == "20"


async def test_bookmarks_move_the_position_and_count_as_life() -> None:
    bench = Bench()

    async def later() -> bytes:
        bench.now = 60.0
        return bookmark(77)

    bench.api.lists.append(page(10))
    bench.api.watches.append([later])
    await bench.run()
    assert bench.api.asked[-1]["resourceVersion"] == "77"
    assert bench.informer.last_activity == 60.0


@pytest.mark.parametrize("how", ["answer", "event"])
async def test_410_lists_again_at_once_and_reports_what_vanished(how: str) -> None:
    bench = Bench()
    bench.api.lists += [
        page(10, raw("stays", 1), raw("goes", 2), raw("changes", 3)),
        page(90, raw("stays", 1), raw("changes", 80), raw("comes", 85)),
    ]
    bench.api.watches.append([ApiError(410, "Expired") if how == "answer" else error(410)])
    await bench.run()
    assert bench.told[3:] == ["-goes", "changes@80", "comes@85"]
    assert bench.slept == []


async def test_any_error_in_the_stream_lists_again() -> None:
    bench = Bench()
    bench.api.lists += [page(10, raw("one", 1)), page(20)]
    bench.api.watches.append([error(500)])
    await bench.run()
    assert bench.told == ["one@1", "-one"]
    assert len(bench.slept) == 1


async def test_410_for_ever_does_not_spin() -> None:
    bench = Bench()
    bench.api.lists += [page(10)] * 4
    bench.api.watches += [[error(410)]] * 4
    await bench.run()
    assert len(bench.slept) == 3
    assert bench.slept == sorted(bench.slept)


async def test_an_object_recreated_while_nobody_watched_is_deleted_then_changed() -> None:
    bench = Bench()
    bench.api.lists += [page(10, raw("one", 1, uid="a")), page(20, raw("one", 15, uid="b"))]
    bench.api.watches.append([error(410)])
    await bench.run()
    assert bench.told == ["one@1", "-one", "one@15"]


async def test_transport_failures_keep_the_position_and_back_off() -> None:
    bench = Bench()
    bench.api.lists.append(page(10, raw("one", 1)))
    bench.api.watches += [[ApiError(0, "Transport")]] * 12
    await bench.run()
    assert len([query for query in bench.api.asked if "watch" not in query]) == 1
    assert {query["resourceVersion"] for query in bench.api.asked[1:]} == {"10"}
    assert len(bench.slept) == 12
    assert 0.25 <= bench.slept[0] <= 0.5
    assert BACKOFF_LIMIT_SECONDS / 2 <= bench.slept[-1] <= BACKOFF_LIMIT_SECONDS
    assert bench.names == ["one"]


async def test_an_event_ends_the_row_of_failures() -> None:
    bench = Bench()
    bench.api.lists.append(page(10))
    bench.api.watches += [[ApiError(0, "Transport")]] * 6
    bench.api.watches += [[bookmark(11)], [ApiError(0, "Transport")]]
    await bench.run()
    assert bench.slept[5] > 5 and bench.slept[6] <= 0.5


async def test_the_servers_wish_to_wait_is_heard() -> None:
    bench = Bench()
    bench.api.lists += [ApiError(429, "TooManyRequests", retry_after=17.0), page(10)]
    await bench.run()
    assert bench.slept == [17.0]


TOO_LARGE = {
    "details": {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
}


async def test_repeated_refusals_give_the_position_up() -> None:
    # An etcd restored from a backup answers so for ever.
    bench = Bench()
    bench.api.lists += [page(500, raw("one", 400)), page(90, raw("two", 80))]
    bench.api.watches += [[ApiError(504, "Timeout", body=TOO_LARGE)]] * 4
    await bench.run()
    assert bench.told == ["one@400", "-one", "two@80"]
    assert bench.api.asked[-1]["resourceVersion"] == "90"


async def test_a_list_of_the_past_is_refused_until_the_server_insists() -> None:
    bench = Bench()
    past = page(90, raw("two", 80))
    bench.api.lists += [page(500, raw("one", 400)), past, past, page(500, raw("one", 400)), *[past] * 7]
    bench.api.watches += [[error(410)], [error(410)]]
    await bench.run()
    assert bench.told == ["one@400", "-one", "two@80"]
    assert bench.api.lists == deque()
    assert bench.api.asked[-1]["resourceVersion"] == "90"


async def test_a_list_that_a_broken_watch_had_overtaken_tells_nothing_twice() -> None:
    bench = Bench()
    asked, answered = asyncio.Event(), asyncio.Event()
    relists: list[asyncio.Task[None]] = []

    async def start() -> None:
        relists.append(asyncio.create_task(bench.informer.relist()))
        await asked.wait()

    async def slow() -> bytes:
        asked.set()
        await answered.wait()
        return page(20)

    async def finish() -> None:
        answered.set()
        await relists[0]

    bench.meanwhile = finish
    bench.api.lists += [page(10), slow]
    bench.api.watches += [[start, event("ADDED", raw("one", 25)), error(500)]]
    await bench.run()
    assert bench.told == ["one@25"]
    assert bench.api.asked[-1]["resourceVersion"] == "25"


async def test_a_watch_that_ends_at_once_counts_as_a_failure() -> None:
    bench = Bench()

    async def linger() -> None:
        bench.now += 5

    bench.api.lists.append(page(10))
    bench.api.watches += [[], [], [linger]]
    await bench.run()
    assert len(bench.slept) == 2


async def test_a_line_cut_short_is_read_again() -> None:
    bench = Bench()
    whole = event("ADDED", raw("one", 11))
    bench.api.lists.append(page(10))
    bench.api.watches += [[whole[:30]], [whole]]
    await bench.run()
    assert bench.told == ["one@11"]
    assert bench.api.asked[2]["resourceVersion"] == "10"


async def test_an_odd_object_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.api.lists += [
        page(10, raw("odd", 1, phase=5), raw("one", 2), raw("turns", 3)),
        page(30, raw("turns", 25, phase=6), raw("one", 24, uid="other", phase=6)),
    ]
    bench.api.watches.append([event("MODIFIED", raw("turns", 11, phase=[])), error(410)])
    await bench.run()
    # The last readable state of the same object stays; another object's does not.
    assert bench.told == ["one@2", "turns@3", "-one"]
    assert "pods ns/odd does not look as expected" in caplog.text


async def test_an_optional_api_may_be_absent_come_and_go() -> None:
    bench = Bench(optional=True)

    async def check() -> bytes:
        assert bench.informer.synced.is_set()
        return page(10, raw("one", 1))

    bench.api.lists += [ApiError(404, "NotFound"), check, ApiError(404, "NotFound")]
    bench.api.watches.append([ApiError(404, "NotFound")])
    await bench.run()
    assert bench.told == ["one@1", "-one"]
    assert [seconds > 40 for seconds in bench.slept] == [True, False, True]


async def test_what_can_be_spared_and_may_not_be_listed_is_told_once_and_keeps_nobody_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(optional=True, spare=True)
    seen = []

    async def look() -> bytes:
        seen.append((bench.informer.synced.is_set(), bench.informer.forbidden))
        return page(10, raw("one", 1))

    refused = ApiError(403, "Forbidden", 'cannot list resource "pods"')
    bench.api.lists += [refused, refused, look]
    bench.api.watches.append([bookmark(11)])
    await bench.run()
    told = ["there: False", "there: True", "one@1"]
    assert (seen, bench.informer.forbidden, bench.told) == ([(True, True)], False, told)
    assert [seconds > 40 for seconds in bench.slept] == [True, True]
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "pods may not be listed: none is seen until the right to list and watch them is given: "
        '403 Forbidden: cannot list resource "pods"'
    ]


async def test_that_there_is_an_api_is_told_before_its_objects_and_once_until_it_goes() -> None:
    bench = Bench(optional=True, spare=True)
    bench.api.lists += [
        ApiError(404, "NotFound"),
        ApiError(403, "Forbidden"),
        page(10, raw("one", 1)),
        page(11, raw("one", 1)),
        ApiError(404, "NotFound"),
    ]
    bench.api.watches += [[error(410)], [ApiError(404, "NotFound")]]
    await bench.run()
    assert bench.told == ["there: False", "there: True", "one@1", "there: False", "-one"]


async def test_a_right_that_is_taken_away_takes_nothing_back_that_was_seen() -> None:
    bench = Bench(optional=True, spare=True)
    refused = ApiError(403, "Forbidden")
    bench.api.lists += [page(10, raw("one", 1)), refused]
    bench.api.watches.append([error(410)])
    await bench.run()
    assert (bench.told, bench.names, bench.informer.forbidden) == (["there: True", "one@1"], ["one"], True)


async def test_what_is_needed_and_may_not_be_listed_is_waited_for() -> None:
    bench = Bench(optional=True)
    bench.api.lists.append(ApiError(403, "Forbidden"))
    with pytest.raises(ApiError):
        await bench.informer.relist()
    assert not bench.informer.synced.is_set()


async def test_a_needed_api_that_is_absent_is_an_error() -> None:
    bench = Bench()
    bench.api.lists.append(ApiError(404, "NotFound"))
    with pytest.raises(ApiError):
        await bench.informer.relist()
    assert not bench.informer.synced.is_set()


async def test_what_a_callback_raises_ends_run() -> None:
    bench = Bench()
    bench.api.lists.append(page(10, raw("one", 1)))
    informer = Informer(bench.api, PODS, Pod, on_change=_refuse, on_delete=lambda namespace, name: None)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        await informer.run()


def _refuse(pod: Pod) -> None:
    raise RuntimeError("a bug of ours")


async def test_a_relist_beside_a_lagging_watch() -> None:
    bench = Bench()
    bench.api.lists += [
        page(10, raw("one", 1), raw("gone", 2), raw("anew", 3, uid="old")),
        page(50, raw("one", 40), raw("anew", 45, uid="new")),
    ]
    bench.api.watches.append(
        [
            bench.informer.relist,
            # All of this the list has already told, or overtaken.
            event("MODIFIED", raw("one", 20)),
            event("MODIFIED", raw("gone", 21)),
            event("DELETED", raw("gone", 22)),
            event("DELETED", raw("anew", 30, uid="old")),
            event("ADDED", raw("anew", 45, uid="new")),
            # And this not.
            event("MODIFIED", raw("one", 60)),
        ]
    )
    await bench.run()
    assert bench.told[3:] == ["-gone", "one@40", "-anew", "anew@45", "one@60"]
    assert bench.api.asked[-1]["resourceVersion"] == "60"


async def test_a_list_is_taken_page_by_page_and_what_is_known_already_is_not_kept_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.api.lists += [page(5, raw("a", 1), raw("b", 2)), page(9, raw("a", 1), more="next")]
    await bench.informer.relist()
    before = dict(bench.informer.cache)
    held: list[object] = []

    async def second() -> bytes:
        # The first page has been taken by now, and "a" is the object that was there.
        held.extend(taken)
        return page(9, raw("b", 7))

    taken: list[object] = []
    take = bench.informer._take

    def note(item: msgspec.Raw) -> object:
        taken.append(take(item))
        return taken[-1]

    monkeypatch.setattr(bench.informer, "_take", note)
    bench.api.lists.append(second)
    await bench.informer.relist()
    assert held == [before["ns", "a"]]
    assert held[0] is before["ns", "a"]
    assert bench.informer.cache["ns", "a"] is before["ns", "a"]
    assert bench.told == ["a@1", "b@2", "b@7"]


async def test_a_watch_that_ends_behind_a_list_goes_on_from_the_list() -> None:
    bench = Bench()
    bench.api.lists += [page(10), page(50)]
    bench.api.watches.append([bench.informer.relist, bookmark(20)])
    await bench.run()
    assert bench.api.asked[-1]["resourceVersion"] == "50"


async def test_what_the_watch_tells_during_a_list_is_not_undone_by_it() -> None:
    bench = Bench()
    asked, answered = asyncio.Event(), asyncio.Event()
    relists: list[asyncio.Task[None]] = []

    async def start() -> None:
        relists.append(asyncio.create_task(bench.informer.relist()))
        await asked.wait()

    async def slow() -> bytes:
        asked.set()
        await answered.wait()
        # A state from before the events below.
        return page(20, raw("gone", 2), raw("changed", 3), raw("anew", 4, uid="old"), raw("same", 15))

    async def finish() -> None:
        answered.set()
        await relists[0]

    bench.api.lists += [page(10, raw("gone", 2), raw("changed", 3), raw("anew", 4, uid="old")), slow]
    bench.api.watches.append(
        [
            start,
            event("DELETED", raw("gone", 31)),
            event("MODIFIED", raw("changed", 32)),
            event("DELETED", raw("anew", 33, uid="old")),
            event("ADDED", raw("anew", 34, uid="new")),
            event("ADDED", raw("added", 35)),
            finish,
        ]
    )
    await bench.run()
    assert bench.told[3:] == ["-gone", "changed@32", "-anew", "anew@34", "added@35", "same@15"]
    assert bench.names == ["added", "anew", "changed", "same"]
    assert bench.api.asked[-1]["resourceVersion"] == "35"


async def test_an_object_that_leaves_a_selection_and_returns_is_not_lost() -> None:
    # Leaving the selection is told as DELETED, and the uid stays the same.
    bench = Bench(label_selector="a=b")
    asked, answered = asyncio.Event(), asyncio.Event()
    relists: list[asyncio.Task[None]] = []

    async def start() -> None:
        relists.append(asyncio.create_task(bench.informer.relist()))
        await asked.wait()

    async def slow() -> bytes:
        asked.set()
        await answered.wait()
        return page(50, raw("one", 40), raw("two", 41))

    async def finish() -> None:
        answered.set()
        await relists[0]

    bench.api.lists += [page(10, raw("one", 1), raw("two", 2)), slow]
    bench.api.watches.append(
        [
            start,
            event("DELETED", raw("one", 30)),
            finish,
            event("DELETED", raw("two", 31)),
            event("ADDED", raw("one", 40)),
            event("ADDED", raw("two", 41)),
        ]
    )
    await bench.run()
    assert bench.told[2:] == ["-one", "one@40", "two@41"]
    assert bench.names == ["one", "two"]


async def test_versions_that_are_no_numbers_are_taken_in_the_order_of_arrival() -> None:
    bench = Bench()

    def opaque(version: str) -> dict[str, Any]:
        return {"metadata": {"namespace": "ns", "name": "one", "uid": "a", "resourceVersion": version}}

    bench.api.lists.append(
        json.dumps({"metadata": {"resourceVersion": "x"}, "items": [opaque("c")]}).encode()
    )
    bench.api.watches.append([event("MODIFIED", opaque("b")), event("DELETED", opaque("a"))])
    await bench.run()
    assert bench.told == ["one@c", "one@b", "-one"]
    assert bench.api.asked[-1]["resourceVersion"] == "a"
