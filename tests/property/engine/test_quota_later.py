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


@given(
    tree=trees(),
    found=lists("r", 8),
    again=lists("r", 8),
    others=lists("o", 2, held=True),
    wanted=shares("w"),
    at=st.integers(0, 25),
    gone=st.sets(st.sampled_from([f"r{i}" for i in range(8)])),
)
def test_who_comes_and_goes_counts_as_if_all_were_told_anew(
    tree: QuotaTree,
    found: list[Share],
    again: list[Share],
    others: list[Share],
    wanted: Share,
    at: int,
    gone: set[str],
) -> None:
    """``again``: what the first of them hold afterwards; the rest hold nothing any more."""
    later = QuotaLater(tree, found)
    for share in found:
        tree.add(share.queue, dict(share.amounts))
    later.takes(wanted, float(at), others)  # what it has counted by then must not be used any more
    for i in range(max(len(found), len(again))):
        if i < len(found):
            tree.remove(found[i].queue, dict(found[i].amounts))
        if i < len(again):
            tree.add(again[i].queue, dict(again[i].amounts))
        later.put(f"r{i}", again[i] if i < len(again) else None)
    anew = QuotaLater(tree, again)
    assert later.takes(wanted, float(at), others, gone) == anew.takes(wanted, float(at), others, gone)
    opening = later.opening(wanted, others, now=float(at), latest=LATEST)
    assert opening == anew.opening(wanted, others, now=float(at), latest=LATEST)


@given(
    tree=trees(),
    found=lists("r", 8),
    others=lists("o", 2, held=True),
    wanted=shares("w"),
    at=st.integers(0, 25),
    gone=st.sets(st.sampled_from([f"r{i}" for i in range(8)])),
)
def test_it_takes_what_the_quotas_take_with_all_that_is_over_by_then_gone(
    tree: QuotaTree, found: list[Share], others: list[Share], wanted: Share, at: int, gone: set[str]
) -> None:
    running, there = runs(tree, found), QuotaTree(tree)
    left = [s for s in running if s.until > at and s.key not in gone]
    for share in [*left, *(o for o in others if o.at <= at < o.until)]:
        there.add(share.queue, dict(share.amounts))
    expected = there.check(wanted.queue, dict(wanted.amounts)) is None
    assert QuotaLater(tree, running).takes(wanted, float(at), others, gone) == expected


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
