"""What every node holds, and how many pods of each class it still takes; kept up to date node by node.

A node holds the pods that are bound to it and have not ended, and a promise for each slot of a gang whose pod is not
bound yet. Nothing here looks at all nodes but the first question about a class of pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rackplane.core.gangs.decisions import Key
from rackplane.core.objects import Node
from rackplane.core.pods.podclass import Amounts, Offer, PodClass
from rackplane.engine.model import InvariantViolation
from rackplane.engine.nodes.changelog import ChangeLog
from rackplane.engine.nodes.masks import NodeMask

__all__ = ["CLASSES_KEPT", "Room"]

CLASSES_KEPT = 64
"""Classes of pods whose masks are kept; that which nobody has asked for longest makes way."""
_OFFERS_KEPT = 8
"""Classes of pods for which it is kept what nodes offer them, of nodes that have changed or were asked about."""
_NOTHING: Amounts = {}


@dataclass(slots=True)
class _Kept:
    mask: NodeMask
    position: int
    """How far the mask has followed the log."""


@dataclass(frozen=True, slots=True)
class _Promise:
    """What pods of one gang that are alike will need: of each pod, and how many pods by node."""

    each: Amounts
    pods: Mapping[str, int]


class Room:
    """Args: ``nodes``: as the API server has them, by name; who changes it says so by :meth:`look`."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes
        self._used: dict[str, dict[str, int]] = {}
        self._pods: dict[Key, tuple[str, Amounts]] = {}
        self._promises: dict[Key, tuple[_Promise, ...]] = {}
        self._masks: dict[PodClass, _Kept] = {}
        self._offers: dict[PodClass, dict[str, tuple[Node, Offer | None]]] = {}
        self._log: ChangeLog[str] = ChangeLog()
        self._before: dict[str, Amounts] = {}
        """What nodes held before the changes that are not in the log yet."""
        self.taken = 0
        """Another one whenever a node may have come to hold more, or is another one."""

    # -- what happens ------------------------------------------------------------------------------

    def hold(self, pod: Key, node: str, amounts: Amounts) -> None:
        """A pod is on the node."""
        before = self._pods.get(pod)
        if before is not None:
            if before[0] == node and before[1] == amounts:
                return
            self._add(*before, times=-1)
        self._pods[pod] = (node, amounts)
        self._add(node, amounts, times=1)

    def let_go(self, pod: Key) -> None:
        """A pod has ended or is gone; one that holds nothing is ignored."""
        before = self._pods.pop(pod, None)
        if before is not None:
            self._add(*before, times=-1)

    def promise(self, gang: Key, *needs: tuple[Amounts, Mapping[str, int]]) -> None:
        """What the gang will need: of each pod, and how many more by node; for pods that are alike one after the other.

        Instead of what was promised to it before.
        """
        before = self._promises.pop(gang, ())
        now = tuple(_Promise(each, dict(pods)) for each, pods in needs if pods)
        if [p.each for p in before] == [p.each for p in now]:
            for old, new in zip(before, now, strict=True):
                for node in {**old.pods, **new.pods}:
                    self._add(node, new.each, times=new.pods.get(node, 0) - old.pods.get(node, 0))
        else:
            for promises, sign in ((before, -1), (now, 1)):
                for promised in promises:
                    for node, count in promised.pods.items():
                        self._add(node, promised.each, times=sign * count)
        if now:
            self._promises[gang] = now

    def look(self, node: str) -> None:
        """The node itself has changed, has come, or is gone."""
        self.taken += 1
        self._log.add(node)

    def settle(self) -> bool:
        """Take in what has changed since; whether any node holds something else than before."""
        if not self._before:
            return False
        moved = False
        for node, before in self._before.items():
            if self.used(node) != before:
                self._log.add(node)
                moved = True
        self._before.clear()
        return moved

    def _add(self, node: str, amounts: Amounts, *, times: int) -> None:
        if not times:
            return
        if times > 0:
            self.taken += 1
        held = self._used.get(node)
        if node not in self._before:
            self._before[node] = dict(held) if held else _NOTHING
        if held is None:
            held = self._used[node] = {}
        for name, amount in amounts.items():
            left = held.get(name, 0) + amount * times
            if left:
                held[name] = left
            else:
                held.pop(name, None)
        if not held:
            del self._used[node]

    # -- questions ---------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """How many changes of nodes and of what they hold there have been, as of the last `settle`."""
        return self._log.position

    def changes(self, since: int) -> Iterable[str] | None:
        """The nodes changed since that position, each once; None if there were too many to remember."""
        return self._log.since(since)

    def used(self, node: str) -> Amounts:
        """What the node holds."""
        return self._used.get(node, _NOTHING)

    def of_pod(self, pod: Key) -> tuple[str, Amounts] | None:
        """Where a pod is and what it holds there; None if it holds nothing."""
        return self._pods.get(pod)

    def of_gang(self, gang: Key) -> Iterator[tuple[Amounts, Mapping[str, int]]]:
        """What is promised to the gang: for pods that are alike, of each, and how many by node."""
        for found in self._promises.get(gang, ()):
            yield found.each, found.pods

    def mask(self, kind: PodClass) -> NodeMask:
        """Pods of the class that each node takes. The same object for as long as the class is kept."""
        self.settle()
        kept = self._masks.pop(kind, None)
        if kept is None:
            slots = {
                name: n for name, node in self._nodes.items() if (n := kind.slots_on(node, self.used(name)))
            }
            kept = _Kept(NodeMask(slots), self._log.position)
        elif kept.position != self._log.position:
            changed = self._log.since(kept.position)
            self._follow(kind, kept, self._all(kept) if changed is None else changed)
        self._masks[kind] = kept  # at the end: the first is the one unused for longest
        if len(self._masks) > CLASSES_KEPT:
            del self._masks[next(iter(self._masks))]
        return kept.mask

    def masks(self) -> dict[PodClass, NodeMask]:
        """Those that are kept, up to date."""
        return {kind: self.mask(kind) for kind in tuple(self._masks)}

    def slots_with(self, kind: PodClass, node: str, more: Amounts) -> int:
        """Pods of the class that the node would take if it held so much more, or less where that is negative."""
        found = self._nodes.get(node)
        if found is None:
            return 0
        used = self.used(node)
        return kind.slots_on(found, {n: used.get(n, 0) + more.get(n, 0) for n in {**used, **more}})

    def slots_without(self, kind: PodClass, node: str, freed: Amounts) -> int:
        """Pods of the class that the node would take if so much of what it holds were gone; less than 0: came."""
        return self.slots_without_each(kind, {node: freed})[node]

    def slots_without_each(self, kind: PodClass, freed: Mapping[str, Amounts]) -> dict[str, int]:
        """As :meth:`slots_without`, of each of these nodes."""
        offers, nodes, used = self._offers_to(kind), self._nodes, self._used
        found: dict[str, int] = {}
        last: tuple[Offer | None, Amounts, Amounts] | None = None
        slots = 0
        for name, amounts in freed.items():
            known = offers.get(name)
            if known is None or known[0] is not nodes.get(name):
                offer = self._offer(kind, offers, name)
            else:
                offer = known[1]
            alike = offer, used.get(name, _NOTHING), amounts
            if alike != last:  # nodes of one gang follow each other, and are mostly alike
                last = alike
                slots = 0 if alike[0] is None else kind.slots_of(alike[0], alike[1], amounts)
            found[name] = slots
        return found

    def _offers_to(self, kind: PodClass) -> dict[str, tuple[Node, Offer | None]]:
        """What nodes offer such pods, as far as it has been looked up."""
        offers = self._offers.pop(kind, {})
        self._offers[kind] = offers  # at the end: the first is the one unused for longest
        if len(self._offers) > _OFFERS_KEPT:
            del self._offers[next(iter(self._offers))]
        return offers

    def _offer(self, kind: PodClass, offers: dict[str, tuple[Node, Offer | None]], name: str) -> Offer | None:
        """What the node offers such pods; None: it takes none of them, or is not there."""
        node, known = self._nodes.get(name), offers.get(name)
        if node is None:
            return None
        if known is None or known[0] is not node:
            known = offers[name] = node, kind.offered(node)
        return known[1]

    def _all(self, kept: _Kept) -> Iterable[str]:
        return dict.fromkeys((*kept.mask.as_dict(), *self._nodes))

    def _follow(self, kind: PodClass, kept: _Kept, changed: Iterable[str]) -> None:
        for name, slots in self.slots_without_each(kind, dict.fromkeys(changed, _NOTHING)).items():
            kept.mask.set(name, slots)
        kept.position = self._log.position

    # -- check -------------------------------------------------------------------------------------

    def validate(self, used: Mapping[str, Amounts]) -> None:
        """Compare with what nodes hold by a count of everything anew, and every mask with one made anew.

        Raises:
            InvariantViolation: something differs.
        """
        held = {node: {n: a for n, a in amounts.items() if a} for node, amounts in used.items()}
        if {node: amounts for node, amounts in held.items() if amounts} != self._used:
            differing = [n for n in {**held, **self._used} if held.get(n, {}) != self._used.get(n, {})]
            name = min(differing)
            raise InvariantViolation(
                f"node {name} holds {held.get(name, {})} by a new count, not {self._used.get(name, {})}"
            )
        for kind in tuple(self._masks):
            slots = {n: s for n, node in self._nodes.items() if (s := kind.slots_on(node, held.get(n, {})))}
            if self.mask(kind).as_dict() != slots:
                raise InvariantViolation("the slots of nodes for a class of pods differ from a new count")
