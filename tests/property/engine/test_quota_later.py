"""Quota held for one who waits for it: it is there in time, whoever goes ahead by the rule."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rackplane.engine.queueing.later import QuotaLater, Share, keeps_within
from rackplane.engine.queueing.quotas import GPUS, WATTS, Limit, QueueSpec, QuotaTree

QUEUES = ("all", "a", "b", "c", "aa")
LATEST = 1_000.0

few = st.integers(0, 12)
limits = st.builds(Limit, few, st.none() | few, st.none() | few)


@st.composite
def trees(draw: st.DrawFn) -> QuotaTree:
    parents = {"all": None, "a": "all", "b": "all", "c": draw(st.sampled_from([None, "all"])), "aa": "a"}
    return QuotaTree(
        QueueSpec(
            name, parents[name], {r: draw(limits) for r in draw(st.sets(st.sampled_from([GPUS, WATTS])))}
        )
        for name in QUEUES
    )


@st.composite
def shares(draw: st.DrawFn, key: str, *, held: bool = False) -> Share:
    amounts = tuple((r, draw(st.integers(1, 6))) for r in draw(st.sampled_from([(GPUS,), (GPUS, WATTS)])))
    at = float(draw(st.integers(1, 20))) if held else 0.0
    until = at + draw(st.integers(1, 20))
    return Share(key, draw(st.sampled_from(QUEUES)), amounts, at, until)


def lists(name: str, most: int, *, held: bool = False) -> st.SearchStrategy[list[Share]]:
    return st.integers(0, most).flatmap(
        lambda n: st.tuples(*(shares(f"{name}{i}", held=held) for i in range(n))).map(list)
    )


def runs(tree: QuotaTree, found: list[Share]) -> list[Share]:
    """Those of them that the quotas take one after the other."""
    running = []
    for share in found:
        if tree.check(share.queue, dict(share.amounts)) is None:
            tree.add(share.queue, dict(share.amounts))
            running.append(share)
    return running


@given(tree=trees(), found=lists("r", 8), others=lists("o", 2, held=True), wanted=shares("w"))
def test_the_opening_is_the_first_time_at_which_a_look_at_all_of_them_finds_one(
    tree: QuotaTree, found: list[Share], others: list[Share], wanted: Share
) -> None:
    running = runs(tree, found)
    later = QuotaLater(tree, running)
    lasts = wanted.until - wanted.at

    def fits(at: float) -> bool:
        begins = [at, *(o.at for o in others if at < o.at < at + lasts)]
        for begin in begins:
            there = QuotaTree(tree)
            for share in [
                *(s for s in running if s.until > at),
                *(o for o in others if o.at <= begin < o.until),
            ]:
                there.add(share.queue, dict(share.amounts))
            if there.check(wanted.queue, dict(wanted.amounts)) is not None:
                return False
        return True

    times = sorted({0.0, *(s.until for s in [*running, *others])})
    before = {name: tree.used(name) for name in QUEUES}
    assert later.opening(wanted, others, now=0.0, latest=LATEST) == next((t for t in times if fits(t)), None)
    assert {name: tree.used(name) for name in QUEUES} == before


@given(tree=trees(), found=lists("r", 8), wanted=shares("w"), come=lists("n", 5))
def test_whoever_goes_ahead_by_the_rule_does_not_delay_it(
    tree: QuotaTree, found: list[Share], wanted: Share, come: list[Share]
) -> None:
    running = runs(tree, found)
    at = QuotaLater(tree, running).opening(wanted, (), now=0.0, latest=LATEST)
    if at is None:
        return
    held = replace(wanted, at=at, until=at + wanted.until)
    for share in come:
        later = QuotaLater(tree, running)
        if tree.check(share.queue, dict(share.amounts)) is None and (
            share.until <= at or later.takes(held, at, [replace(share, at=0.0)])
        ):
            tree.add(share.queue, dict(share.amounts))
            running.append(share)
    now = QuotaLater(tree, running).opening(wanted, (), now=0.0, latest=LATEST)
    assert now is not None and now <= at


def test_who_stays_within_the_own_quota_need_not_wait_for_one_who_would_borrow_it() -> None:
    tree = QuotaTree(
        [
            QueueSpec("all", None, {GPUS: Limit(12)}),
            QueueSpec("a", "all", {GPUS: Limit(8)}),
            QueueSpec("b", "all", {GPUS: Limit(4)}),
            QueueSpec("aa", "a", {GPUS: Limit(2)}),
        ]
    )
    tree.add("b", {GPUS: 2})
    four, two = Share("x", "b", ((GPUS, 4),)), Share("x", "b", ((GPUS, 2),))
    assert (keeps_within(tree, two, "a"), keeps_within(tree, four, "a")) == (True, False)
    assert not keeps_within(tree, replace(two, queue="all"), "a"), "it has nothing of its own beside a"
    assert keeps_within(tree, replace(two, queue="aa"), "b")
    assert keeps_within(tree, replace(two, queue="aa"), "a"), (
        "aa has a quota of its own beside a's other gangs"
    )
