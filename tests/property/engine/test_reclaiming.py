"""Taking quota back: never more than what is borrowed, and never in turns."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.preempting.reclaiming import Reclaiming
from rackplane.engine.queueing.quotas import Amounts, Limit, QueueSpec, QuotaTree, amounts_of
from tests.support.thorough import some

Held = dict[str, tuple[str, Amounts]]


def case(seed: int) -> tuple[list[QueueSpec], Held, str, Amounts]:
    """A tree of queues with gangs in them, and one more gang that asks."""
    random = Random(seed)
    specs: list[QueueSpec] = []
    for i in range(random.randint(2, 7)):
        parent = random.choice([None, *(s.name for s in specs)]) if i else None
        limits = {}
        if random.random() < 0.8:
            limits["gpus"] = Limit(random.choice([0, 4, 8, 16]))
        if random.random() < 0.3:
            limits["watts"] = Limit(random.choice([0, 1_000, 5_000]))
        specs.append(QueueSpec(f"q{i}", parent or ("q0" if i else None), limits))
    names = [s.name for s in specs]
    held: Held = {
        f"g{k}": (
            random.choice(names),
            amounts_of(random.choice([1, 2, 4, 8]), random.choice([0, 500, 2_000])),
        )
        for k in range(random.randint(1, 6))
    }
    return specs, held, random.choice(names), amounts_of(random.choice([1, 2, 4, 8]), random.choice([0, 500]))


def tree_of(specs: list[QueueSpec], held: Mapping[str, tuple[str, Amounts]]) -> QuotaTree:
    tree = QuotaTree(specs)
    for queue, amounts in held.values():
        tree.add(queue, amounts)
    return tree


@given(st.integers(0, 10**9))
@settings(max_examples=some(400), deadline=None)
def test_whoever_is_stopped_cannot_have_the_other_stopped_in_turn(seed: int) -> None:
    specs, held, queue, asked = case(seed)
    tree = tree_of(specs, held)
    mine = Reclaiming(tree, queue, held)
    for victim, (other, amounts) in held.items():
        if other == queue or not mine.borrows(victim) or not mine.within(asked, {victim}, {victim}):
            continue
        after: Held = {**{k: v for k, v in held.items() if k != victim}, "new": (queue, asked)}
        theirs = Reclaiming(tree_of(specs, after), other, after)
        assert not (theirs.borrows("new") and theirs.within(amounts, {"new"}, {"new"}))


@given(st.integers(0, 10**9), st.randoms(use_true_random=False))
@settings(max_examples=some(400), deadline=None)
def test_a_borrower_is_brought_back_by_those_it_could_not_hold_within_its_quota(
    seed: int, random: Random
) -> None:
    specs, held, queue, _ = case(seed)
    tree = tree_of(specs, held)
    mine = Reclaiming(tree, queue, held)
    some = [key for key in held if random.random() < 0.5]
    if not mine.allowed(some):
        return
    for key in some:
        assert mine.borrows(key)
        assert mine.allowed([other for other in some if other != key])
        # With all the others gone its queue, or one above it on its side, still holds what is not its own.
        left = tree_of(specs, {k: v for k, v in held.items() if k == key or k not in some})
        path = [level for level in tree.path(held[key][0]) if level not in tree.path(queue)]
        assert any(left.borrowed(level) for level in path)
