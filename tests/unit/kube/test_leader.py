from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rackplane.kube.client import ApiError
from rackplane.kube.leader import Elector
from tests.unit.kube.fakes import Clock, LeaseApi, settle


class Bench:
    """Candidates for one Lease on one clock, and what they were told."""

    def __init__(self) -> None:
        self.api = LeaseApi()
        self.clock = Clock()
        self.told: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def candidate(self, identity: str, **more: Any) -> Elector:
        return Elector(
            self.api,
            namespace="system",
            name="rackplane",
            identity=identity,
            monotonic=self.clock.monotonic,
            wall=lambda: self.clock.now - 1000.0,
            sleep=self.clock.sleep,
            **more,
        )

    def start(self, elector: Elector) -> asyncio.Task[None]:
        async def gained(term: int) -> None:
            self.told.append(f"{elector.identity} gained {term}")

        async def lost() -> None:
            assert elector.term is None
            assert not await elector.verify()
            self.told.append(f"{elector.identity} lost")

        task = asyncio.create_task(elector.run(gained, lost))
        self.tasks.append(task)
        return task


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_an_absent_lease_is_created_and_renewed(bench: Bench) -> None:
    elector = bench.candidate("a")
    bench.start(elector)
    await bench.clock.advance(0)
    assert bench.told == ["a gained 1"]
    assert elector.term == 1 and elector.holder == "a"
    assert bench.api.spec == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "leaseTransitions": 1,
        "acquireTime": "1970-01-01T00:00:00.000000Z",
        "renewTime": "1970-01-01T00:00:00.000000Z",
    }
    await bench.clock.advance(50)
    assert len(bench.api.writes) == 11
    assert elector.term == 1 and await elector.verify()


async def test_only_one_leads_and_a_release_hands_over_with_a_new_term(bench: Bench) -> None:
    first, second = bench.candidate("a"), bench.candidate("b")
    running = bench.start(first)
    await bench.clock.advance(1)
    bench.start(second)
    await bench.clock.advance(100)
    assert bench.told == ["a gained 1"]
    assert second.term is None and second.holder == "a"
    first.stop()
    await running
    assert bench.api.spec["holderIdentity"] == "" and bench.api.spec["leaseDurationSeconds"] == 1
    await bench.clock.advance(2)
    assert bench.told == ["a gained 1", "a lost", "b gained 2"]
    assert bench.api.spec["leaseDurationSeconds"] == 15


async def test_cancelling_stops_acting_then_releases(bench: Bench) -> None:
    elector = bench.candidate("a")

    async def gained(term: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            bench.told.append("gained ended")

    async def lost() -> None:
        assert bench.api.spec["holderIdentity"] == "a"
        bench.told.append("lost")

    task = asyncio.create_task(elector.run(gained, lost))
    await bench.clock.advance(20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.told == ["gained ended", "lost"]
    assert bench.api.spec["holderIdentity"] == ""


async def test_a_silent_holder_is_waited_for_by_our_own_clock(bench: Bench) -> None:
    # The holder's clock may say anything, and its own duration counts.
    bench.api.put(
        holderIdentity="x",
        leaseDurationSeconds=30,
        leaseTransitions=6,
        renewTime="1970-01-01T00:00:00.000000Z",
    )
    bench.start(bench.candidate("a"))
    await bench.clock.advance(20)
    bench.api.put(renewTime="2999-01-01T00:00:00.000000Z")
    await bench.clock.advance(30)
    assert bench.told == []
    await bench.clock.advance(4)
    assert bench.told == ["a gained 7"]


async def test_a_write_that_renews_nothing_does_not_prolong_a_lease(bench: Bench) -> None:
    bench.api.put(holderIdentity="x", leaseDurationSeconds=15, leaseTransitions=6)
    bench.start(bench.candidate("a"))
    for _ in range(8):
        await bench.clock.advance(2)
        bench.api.put()
    assert bench.told == ["a gained 7"]


async def test_another_candidate_is_faster(bench: Bench) -> None:
    bench.api.put(holderIdentity="", leaseTransitions=3)

    def overtake(method: str) -> ApiError | None:
        if method == "PUT" and not bench.api.spec["holderIdentity"]:
            bench.api.put(holderIdentity="b", leaseTransitions=4, leaseDurationSeconds=15)
        return None

    bench.api.fail = overtake
    bench.start(bench.candidate("a"))
    await bench.clock.advance(10)
    assert bench.told == []
    assert bench.api.spec["holderIdentity"] == "b"


async def test_a_leader_that_cannot_renew_gives_up_before_the_others_may_take_over(bench: Bench) -> None:
    elector = bench.candidate("a")
    bench.start(elector)
    await bench.clock.advance(0)
    bench.api.fail = lambda method: ApiError(0, "Timeout")
    await bench.clock.advance(9.9)
    assert elector.term == 1
    await bench.clock.advance(0.1)
    assert bench.told == ["a gained 1", "a lost"]
    # Nobody came: it is taken again, in a new term.
    bench.api.fail = lambda method: None
    await bench.clock.advance(2)
    assert bench.told[2:] == ["a gained 2"]


async def test_failures_shorter_than_the_lease_are_survived(bench: Bench) -> None:
    elector = bench.candidate("a")
    bench.start(elector)
    await bench.clock.advance(0)
    bench.api.fail = lambda method: ApiError(503, "Unavailable")
    await bench.clock.advance(8)
    bench.api.fail = lambda method: None
    await bench.clock.advance(60)
    assert bench.told == ["a gained 1"] and elector.term == 1


async def test_a_process_that_was_paused_knows_it_at_once(bench: Bench) -> None:
    elector = bench.candidate("a")
    bench.start(elector)
    await bench.clock.advance(0)
    bench.clock.now += 11
    assert elector.term is None
    assert not await elector.verify()
    assert bench.api.spec["holderIdentity"] == "a"


async def test_a_successor_is_noticed_by_verify_and_by_the_next_renewal(bench: Bench) -> None:
    elector = bench.candidate("a")
    bench.start(elector)
    await bench.clock.advance(1)
    bench.api.put(holderIdentity="b", leaseTransitions=2)
    assert not await elector.verify()
    await bench.clock.advance(5)
    assert bench.told == ["a gained 1", "a lost"]
    assert bench.api.spec["holderIdentity"] == "b"


async def test_verify_is_about_the_term_too(bench: Bench) -> None:
    elector = bench.candidate("a")
    bench.start(elector)
    await bench.clock.advance(1)
    assert await elector.verify()
    bench.api.put(leaseTransitions=2)
    assert not await elector.verify()


async def test_verify_without_an_answer_is_no(bench: Bench) -> None:
    elector = bench.candidate("a")
    assert not await elector.verify()
    bench.start(elector)
    await bench.clock.advance(1)
    bench.api.fail = lambda method: ApiError(0, "Timeout")
    assert not await elector.verify()


async def test_an_answer_that_came_too_late_verifies_nothing(bench: Bench) -> None:
    elector = bench.candidate("a")
    bench.start(elector)
    await bench.clock.advance(1)

    def slow(method: str) -> ApiError | None:
        bench.clock.now += 20
        return None

    bench.api.fail = slow
    assert not await elector.verify()


async def test_somebody_labels_the_lease(bench: Bench) -> None:
    elector = bench.candidate("a")
    bench.start(elector)
    await bench.clock.advance(1)
    bench.api.put()
    assert bench.api.lease is not None
    bench.api.lease["metadata"]["labels"] = {"mine": "yes"}
    await bench.clock.advance(30)
    assert bench.told == ["a gained 1"] and elector.term == 1
    assert bench.api.lease["metadata"]["labels"] == {"mine": "yes"}


async def test_a_renewal_whose_answer_got_lost_stands(bench: Bench) -> None:
    elector = bench.candidate("a")
    bench.start(elector)
    await bench.clock.advance(1)
    bench.api.lose_answer = True
    await bench.clock.advance(30)
    assert bench.told == ["a gained 1"] and elector.term == 1


async def test_an_acquisition_whose_answer_got_lost_is_made_again(bench: Bench) -> None:
    bench.api.lose_answer = True
    bench.start(bench.candidate("a"))
    await bench.clock.advance(2)
    assert bench.told == ["a gained 2"]


async def test_a_deleted_lease_ends_the_term_and_terms_still_grow(bench: Bench) -> None:
    elector = bench.candidate("a")
    bench.api.put(holderIdentity="", leaseTransitions=8)
    bench.start(elector)
    await bench.clock.advance(1)
    bench.api.lease = None
    assert not await elector.verify()
    await bench.clock.advance(5)
    assert bench.told == ["a gained 9", "a lost", "a gained 10"]


async def test_the_term_is_above_what_the_cluster_has_seen(bench: Bench) -> None:
    bench.start(bench.candidate("a", least_term=lambda: 41))
    await bench.clock.advance(0)
    assert bench.told == ["a gained 41"]
    assert bench.api.spec["leaseTransitions"] == 41


async def test_renewals_go_on_while_the_gain_is_digested(bench: Bench) -> None:
    elector = bench.candidate("a")

    async def gained(term: int) -> None:
        await bench.clock.sleep(100)
        bench.told.append("digested")

    async def lost() -> None:
        bench.told.append("lost")

    bench.tasks.append(asyncio.create_task(elector.run(gained, lost)))
    await bench.clock.advance(120)
    assert bench.told == ["digested"] and elector.term == 1


async def test_what_the_gain_raises_ends_the_run_and_releases(bench: Bench) -> None:
    elector = bench.candidate("a")

    async def gained(term: int) -> None:
        raise RuntimeError("a bug of ours")

    async def lost() -> None:
        bench.told.append("lost")

    with pytest.raises(ExceptionGroup) as caught:
        await elector.run(gained, lost)
    assert "a bug of ours" in str(caught.value.exceptions[0])
    assert bench.told == ["lost"] and bench.api.spec["holderIdentity"] == ""


async def test_a_failed_release_and_a_stop_before_leading_are_quiet(bench: Bench) -> None:
    elector, follower = bench.candidate("a"), bench.candidate("b")
    leading, following = bench.start(elector), bench.start(follower)
    await bench.clock.advance(1)
    bench.api.fail = lambda method: ApiError(0, "Transport")
    elector.stop()
    follower.stop()
    await leading
    await following
    await settle()
    assert bench.told == ["a gained 1", "a lost"]
    assert bench.api.spec["holderIdentity"] == "a"


@pytest.mark.parametrize(
    "wrong",
    [{"identity": ""}, {"identity": "a", "renew_seconds": 8}, {"identity": "a", "retry_seconds": 6}],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Elector(LeaseApi(), namespace="system", name="rackplane", **wrong)
