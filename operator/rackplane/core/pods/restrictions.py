"""Which nodes other pods, and claims already allocated, leave to a gang's pods; beside what a node itself takes.

A mask of the nodes by themselves (core/pods/room.py) is narrowed node by node. Pods that are restricted alike share the
result, and it follows events: nothing here looks at all nodes but the first question, or one after a change of the
kind that matters to every node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from rackplane.api.labels import HOSTNAME_LABEL
from rackplane.core.objects import Node, PodSpec, RequiredNodeAffinity
from rackplane.core.pods.neighbours import Count, Neighbours, Pods, Watch
from rackplane.core.pods.pod import fits_required
from rackplane.core.pods.podclass import PodClass
from rackplane.core.pods.podterms import Term, near, spread_term, unwanted
from rackplane.engine.model import InvariantViolation
from rackplane.engine.nodes.masks import NodeMask

__all__ = ["KEPT", "Restriction", "Restrictions", "restriction"]

KEPT: Final = 64
"""Masks that are kept; that which nobody has asked for longest makes way."""

#: how many pods fewer a count has under a value of its label
_Less = Mapping[tuple[Count, str], int]


@dataclass(frozen=True, slots=True)
class Restriction:
    """What narrows the nodes of a gang's pods. Two that are equal narrow them alike."""

    #: anti-affinity terms of pods that are there, and which mean ours
    refusing: frozenset[Term] = frozenset()
    #: pods that ours must not share a domain with
    against: tuple[Term, ...] = ()
    #: pods that ours must share a domain with
    near: tuple[Term, ...] = ()
    #: ours may be the first of those: they mean themselves
    may_be_first: bool = False
    #: ours must not share a node with each other
    alone: bool = False
    #: pods of which a node may hold so many, and whether ours are among them
    spread: tuple[tuple[Term, int, bool], ...] = ()
    #: node selectors of what their claims have been allocated, as JSON
    within: tuple[bytes, ...] = ()

    @property
    def bounds_own(self) -> bool:
        """Whether pods of the gang, of whatever kind, leave each other fewer places on a node."""
        return self.alone or bool(self.spread)

    def watches(self) -> tuple[Watch, ...]:
        """What has to be counted for it."""
        found = [_all(t) for t in self.against]
        found += [Watch(self.near, t.topology_key, promised=False) for t in self.near]
        found += [Watch(self.near, t.topology_key, promised=True) for t in self.near if self.may_be_first]
        found += [_all(t) for t, _, _ in self.spread]
        return tuple(dict.fromkeys(found))


def restriction(
    neighbours: Neighbours,
    spec: PodSpec,
    kinds: Iterable[Pods],
    allocations: Iterable[RequiredNodeAffinity] = (),
    keeps_apart: Iterable[Term] = (),
) -> Restriction | None:
    """What narrows the nodes of such pods; None where nothing does.

    Args:
        kinds: the gang's pods as the terms of others see them, those whose labels differ apart. Any of them may get any
            of the places, so what bars one bars all.
        allocations: node selectors of claims that the pods name and that are allocated.
        keeps_apart: pods that ours must not share a domain with, beside those that their own terms mean.
    """
    kinds = tuple(kinds)
    refusing = frozenset(t for kind in kinds for t in neighbours.refusing(kind))
    within = tuple(sorted({msgspec.json.encode(nodes) for nodes in allocations}))
    hard = [c for c in spec.topology_spread_constraints if c.when_unsatisfiable == "DoNotSchedule"]
    against = dict.fromkeys(keeps_apart)
    if spec.affinity is None and not hard and not refusing and not within and not against:
        return None
    wanted: dict[Term, None] = {}
    spread: dict[tuple[Term, int, bool], None] = {}
    alone, may_be_first = False, True
    for kind in kinds:
        own = unwanted(spec.affinity, kind.namespace, kind.labels)
        others = near(spec.affinity, kind.namespace, kind.labels)
        against.update(dict.fromkeys(own))
        wanted.update(dict.fromkeys(others))
        may_be_first &= all(t.selects(kind.namespace, kind.labels) for t in others)
        alone |= any(
            t.topology_key == HOSTNAME_LABEL and t.selects(other.namespace, other.labels)
            for t in own
            for other in kinds
        )
        for constraint in hard:
            term = spread_term(constraint, kind.namespace, kind.labels)
            mine = any(term.selects(other.namespace, other.labels) for other in kinds)
            spread[term, constraint.max_skew, mine] = None
    found = Restriction(
        refusing=refusing,
        against=tuple(against),
        near=tuple(wanted),
        may_be_first=may_be_first and bool(wanted),
        alone=alone,
        spread=tuple(spread),
        within=within,
    )
    return None if found == Restriction() else found


@dataclass(slots=True)
class _Kept:
    base: NodeMask
    mask: NodeMask
    counts: dict[Watch, Count]
    selectors: tuple[RequiredNodeAffinity, ...]
    #: a label, and the pods that ours must not share a value of it with
    against: list[tuple[str, Count]]
    #: a label, and the pods that ours must share a value of it with
    near: list[tuple[str, Count]]
    #: a label, pods of which a value of it may have so many, and whether ours are among them; None: any number
    spread: list[tuple[str, Count | None, int, bool]]
    #: how far it has followed the base, and the neighbours
    base_position: int = 0
    position: int = 0
    #: whether nobody was there to be near to
    first: bool = False


def _all(term: Term) -> Watch:
    """The pods that a term means, those promised too."""
    return Watch((term,), term.topology_key, promised=True)


class Restrictions:
    """Args: ``nodes``: as the API server has them, by name."""

    def __init__(self, nodes: Mapping[str, Node], neighbours: Neighbours) -> None:
        self._nodes = nodes
        self._neighbours = neighbours
        self._masks: dict[tuple[PodClass, Restriction], _Kept] = {}

    def mask(self, kind: PodClass, base: NodeMask, by: Restriction) -> NodeMask:
        """The base narrowed; the same object for as long as it is kept.

        Args:
            base: the slots of nodes by themselves for pods of the class.
        """
        kept = self._kept(kind, base, by)
        return kept.mask

    def slots_without(
        self,
        kind: PodClass,
        base: NodeMask,
        by: Restriction,
        freed: Mapping[str, int],
        gone: Iterable[tuple[Pods, str, int]],
    ) -> dict[str, int]:
        """Slots of the nodes that would take another number of pods if others were gone.

        Args:
            freed: slots by themselves of the nodes that those are on, without them.
            gone: what is gone: the pods, their node, and how many.
        """
        kept = self._kept(kind, base, by)
        less: dict[tuple[Count, str], int] = {}
        for pods, node, number in gone:
            for count in self._counting(kept, by, pods):
                value = self._neighbours.value(node, count.key)
                if value is not None:
                    less[count, value] = less.get((count, value), 0) + number
        names = dict.fromkeys(freed)
        for (count, value), number in less.items():
            if number >= count.at(value):
                names.update(dict.fromkeys(self._neighbours.nodes_of(count.key, value)))
        first = self._first(kept, by, less)
        if first != kept.first:
            names = dict.fromkeys((*names, *self._nodes))
        refusing = self._refusing(by)
        return {n: self._slots(kept, by, refusing, n, freed.get(n, base.get(n)), first, less) for n in names}

    def _counting(self, kept: _Kept, by: Restriction, pods: Pods) -> Iterable[Count]:
        for term in by.refusing.intersection(pods.refuses):
            count = self._neighbours.carriers(term)
            if count is not None:
                yield count
        for watch, count in kept.counts.items():
            if watch.meant(pods):
                yield count

    def _kept(self, kind: PodClass, base: NodeMask, by: Restriction) -> _Kept:
        self._neighbours.take_in()
        kept = self._masks.pop((kind, by), None)
        changed: Iterable[str] | None = None
        if kept is None:
            selectors = tuple(msgspec.json.decode(text, type=RequiredNodeAffinity) for text in by.within)
            counts = {watch: self._neighbours.watch(watch) for watch in by.watches()}
            kept = _Kept(
                base,
                NodeMask({}),
                counts,
                selectors,
                [(t.topology_key, counts[_all(t)]) for t in by.against],
                [(t.topology_key, counts[Watch(by.near, t.topology_key, promised=False)]) for t in by.near],
                # kube-scheduler counts nothing for a selector that means every pod.
                [
                    (t.topology_key, counts[_all(t)] if t.requirements else None, most, mine)
                    for t, most, mine in by.spread
                ],
            )
        elif kept.base is base:
            changed = self._changed(kept)
        first = self._first(kept, by, {})
        if changed is None or first != kept.first:
            changed = dict.fromkeys((*base.as_dict(), *kept.mask.as_dict()))
        refusing = self._refusing(by)
        for name in changed:
            kept.mask.set(name, self._slots(kept, by, refusing, name, base.get(name), first, {}))
        kept.base, kept.base_position, kept.first = base, base.position, first
        kept.position = self._neighbours.position
        self._masks[kind, by] = kept  # at the end: the first is the one unused for longest
        if len(self._masks) > KEPT:
            for watch in self._masks.pop(next(iter(self._masks))).counts:
                self._neighbours.unwatch(watch)
        return kept

    def _changed(self, kept: _Kept) -> Iterable[str] | None:
        base = kept.base.changes(kept.base_position)
        others = self._neighbours.changes(kept.position)
        return None if base is None or others is None else dict.fromkeys((*base, *others))

    def _first(self, kept: _Kept, by: Restriction, less: _Less) -> bool:
        """Whether nobody is there to be near to, and ours may be the first."""
        if not by.may_be_first:
            return False
        return not any(
            number > less.get((count, value), 0)
            for watch, count in kept.counts.items()
            if watch.terms == by.near
            for value, number in count.by_value.items()
        )

    def _slots(
        self,
        kept: _Kept,
        by: Restriction,
        refusing: list[tuple[str, Count]],
        name: str,
        free: int,
        first: bool,
        less: _Less,
    ) -> int:
        """Pods that the node takes, of those that it would take by itself."""
        node = self._nodes.get(name)
        if node is None or not free:
            return 0

        def there(count: Count, value: str | None) -> int:
            found = count.at(value)
            return found - less.get((count, value), 0) if less and value is not None else found

        labels = node.metadata.labels
        for key, count in refusing:
            if there(count, labels.get(key)):
                return 0
        for key, count in kept.against:
            if there(count, labels.get(key)):
                return 0
        for key, count in kept.near:
            value = labels.get(key)
            if value is None or not (first or there(count, value)):
                return 0
        for selector in kept.selectors:
            if not fits_required(node, selector):
                return 0
        if by.alone and HOSTNAME_LABEL in labels:
            free = min(free, 1)
        for key, counted, most, mine in kept.spread:
            value = labels.get(key)
            if value is None:
                return 0
            room = free if counted is None else most - there(counted, value)
            free = min(free, max(room, 0)) if mine else (free if room >= 0 else 0)
        return free

    def _refusing(self, by: Restriction) -> list[tuple[str, Count]]:
        """A label, and pods that do not let ours share a value of it."""
        carriers = ((t.topology_key, self._neighbours.carriers(t)) for t in by.refusing)
        return [(key, count) for key, count in carriers if count is not None]

    # -- check -------------------------------------------------------------------------------------

    def validate(self, bases: Mapping[PodClass, NodeMask]) -> None:
        """Compare every mask with one made anew from the base of its class, where that is kept.

        Raises:
            InvariantViolation: something differs.
        """
        for kind, by in tuple(self._masks):
            base = bases.get(kind)
            if base is None:
                continue
            kept = self._kept(kind, base, by)
            first = self._first(kept, by, {})
            refusing = self._refusing(by)
            all_slots = (
                (n, self._slots(kept, by, refusing, n, s, first, {})) for n, s in base.as_dict().items()
            )
            anew = {n: s for n, s in all_slots if s > 0}
            if kept.mask.as_dict() != anew:
                raise InvariantViolation(
                    "the nodes that others leave to a class of pods differ from a new count"
                )
