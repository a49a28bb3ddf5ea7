"""Quotas hold under any sequence of gangs, and counting as they come and go is counting anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.queueing.quotas import GPUS, Limit, QueueSpec, QuotaTree
from tests.property.engine.queue_trees import NAMES, RESOURCES, amounts, trees
from tests.support.thorough import some

Held = Sequence[tuple[str, Mapping[str, int]]]


class Plain:
    """The same by the words of the page: every figure counted from all gangs, from the leaves up."""

    def __init__(self, specs: Sequence[QueueSpec], held: Held, resource: str) -> None:
        self.tree = QuotaTree(specs)  # for who is above whom only
        self.specs = {spec.name: spec for spec in specs}
        self.held, self.resource = held, resource
        self.above = {name: path[1] if len(path := self.tree.path(name)) > 1 else None for name in self.specs}

    def children(self, name: str) -> list[str]:
        return [child for child, above in self.above.items() if above == name]

    def limit(self, name: str) -> Limit:
        return self.specs[name].limits.get(self.resource, Limit())

    def nominal(self, name: str) -> int | None:
        if self.limit(name).nominal is not None:
            return self.limit(name).nominal
        figures = [n for child in self.children(name) if (n := self.nominal(child)) is not None]
        return sum(figures) if figures else None

    def bound(self, name: str) -> float:
        nominal, borrowing = self.nominal(name), self.limit(name).borrowing
        if self.above[name] is None:
            return float("inf") if nominal is None else nominal
        return float("inf") if borrowing is None else (nominal or 0) + borrowing

    def kept(self, name: str) -> int:
        nominal, lending = self.nominal(name), self.limit(name).lending
        return 0 if nominal is None or lending is None else max(0, nominal - lending)

    def used(self, name: str) -> int:
        own = sum(held.get(self.resource, 0) for queue, held in self.held if queue == name)
        return own + sum(self.used(child) for child in self.children(name))

    def charged(self, name: str) -> int:
        own = sum(held.get(self.resource, 0) for queue, held in self.held if queue == name)
        return own + sum(max(self.kept(child), self.charged(child)) for child in self.children(name))


def takes(specs: Sequence[QueueSpec], held: Held, queue: str, asked: Mapping[str, int]) -> bool:
    """By every queue above: not more is held than it may, nor is what others keep taken."""
    for resource in asked:
        before, after = Plain(specs, held, resource), Plain(specs, [*held, (queue, asked)], resource)
        for level in before.tree.path(queue):
            grows = after.charged(level) > before.charged(level)
            if asked[resource] and (
                after.used(level) > after.bound(level)
                or (grows and after.charged(level) > after.bound(level))
            ):
                return False
    return True


@given(
    trees(), st.lists(st.tuples(st.sampled_from(NAMES), amounts, st.sampled_from([1, 1, -1])), max_size=12)
)
@settings(max_examples=some(150), deadline=None)
def test_what_a_queue_may_take_is_the_same_until_its_tree_changes(
    specs: tuple[QueueSpec, ...], changes: list[tuple[str, dict[str, int], int]]
) -> None:
    tree = QuotaTree(specs)
    known: dict[tuple[str, str, int], int | None] = {}

    def look() -> None:
        for name in NAMES:
            for resource in RESOURCES:
                left = tree.left(name, resource)
                assert known.setdefault((name, resource, tree.stamp(name)), left) == left

    for queue, amount, times in changes:
        with tree.changed([(queue, amount, times)]):
            look()
        look()
        tree.add(queue, amount, times)
        look()


@given(trees(), st.lists(st.tuples(st.sampled_from(NAMES), amounts, st.integers(0, 3)), max_size=12))
@settings(max_examples=some(150), deadline=None)
def test_quotas_hold_under_any_sequence(
    specs: tuple[QueueSpec, ...], gangs: list[tuple[str, dict[str, int], int]]
) -> None:
    tree = QuotaTree(specs)
    names = {spec.name for spec in specs}
    held: list[tuple[str, dict[str, int]]] = []
    for queue, asked, ends in gangs:
        if queue not in names:
            continue
        short = tree.check(queue, asked)
        assert (short is None) == takes(specs, held, queue, asked)
        if short is None:
            tree.add(queue, asked)
            held.append((queue, asked))
        else:
            assert short.missing > 0
            assert short.asked - short.missing == short.left
        if held and ends == 0:
            tree.remove(*held.pop(0))
        tree.validate(held)
        for resource in RESOURCES:
            plain = Plain(specs, held, resource)
            for name in names:
                assert tree.used(name).get(resource, 0) == plain.used(name) <= plain.bound(name)
                assert tree.nominal(name, resource) == plain.nominal(name)


@given(trees(), st.lists(st.tuples(st.sampled_from(NAMES), amounts), max_size=12))
@settings(max_examples=some(150), deadline=None)
def test_what_a_queue_keeps_it_always_gets(
    specs: tuple[QueueSpec, ...], gangs: list[tuple[str, dict[str, int]]]
) -> None:
    """Where no queue above has a quota of its own, less than those below it."""
    inner = {spec.parent for spec in specs}
    specs = tuple(
        replace(spec, limits={r: replace(limit, nominal=None) for r, limit in spec.limits.items()})
        if spec.name in inner
        else spec
        for spec in specs
    )
    tree = QuotaTree(specs)
    for queue, asked in gangs:
        if queue in {spec.name for spec in specs} and tree.check(queue, asked) is None:
            tree.add(queue, asked)
    for spec in specs:
        for resource, limit in spec.limits.items():
            if limit.nominal is None or limit.lending is None or spec.name in inner:
                continue
            own = limit.nominal - limit.lending - tree.used(spec.name).get(resource, 0)
            if own > 0:
                assert tree.check(spec.name, {resource: own}) is None


@given(trees(), st.randoms(use_true_random=False))
@settings(max_examples=some(150), deadline=None)
def test_who_is_above_whom_does_not_depend_on_the_order_in_which_queues_are_read(
    specs: tuple[QueueSpec, ...], random: Random
) -> None:
    """A circle of parents too is cut at the same place after a restart."""
    tree, other = QuotaTree(specs), QuotaTree(random.sample(specs, len(specs)))
    assert {s.name: tree.path(s.name) for s in specs} == {s.name: other.path(s.name) for s in specs}


def test_a_queue_that_gangs_name_before_it_exists_is_above_nobody() -> None:
    tree = QuotaTree([QueueSpec("a", parent="later", limits={GPUS: Limit(2)})])
    tree.add("later", {GPUS: 1})
    tree.validate([("later", {GPUS: 1})])
    tree.remove("later", {GPUS: 1})
    tree.validate([])
    assert tree.path("a") == ["a"]


held = st.lists(st.tuples(st.sampled_from(NAMES), amounts), max_size=12)


@given(trees(), held, held, st.sets(st.integers(0, 11)), st.sampled_from(NAMES), amounts)
@settings(max_examples=some(100), deadline=None)
def test_what_is_told_beside_changes_is_what_is_told_while_they_last(
    specs: tuple[QueueSpec, ...],
    before: list[tuple[str, dict[str, int]]],
    more: list[tuple[str, dict[str, int]]],
    gone: set[int],
    queue: str,
    asked: dict[str, int],
) -> None:
    tree = QuotaTree(specs)
    for name, amount in before:
        tree.add(name, amount)
    changes = [(*before[i], -1) for i in sorted(gone) if i < len(before)] + [(*each, 1) for each in more]
    beside = tree.check_beside(queue, asked, changes)
    with tree.changed(changes):
        assert tree.check(queue, asked) == beside
