"""How many pods of a kind there are on each node, and under each value of a node label, followed event by event.

What is counted: pods that carry a required anti-affinity term, always, as they may refuse ours; and pods that a waiting
gang's own terms mean, for as long as somebody asks. Only the first question about a term looks at all pods, and only
the first about a label at all nodes. As kube-scheduler does, pods count that are bound and have not ended; beside them
the pods that a gang with a place will have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from rackplane.api.labels import HOSTNAME_LABEL
from rackplane.core.objects import Affinity, Node, Pod
from rackplane.core.pods.pod import is_terminal
from rackplane.core.pods.podterms import Term, unwanted
from rackplane.engine.model import InvariantViolation
from rackplane.engine.nodes.changelog import ChangeLog

__all__ = ["Count", "Neighbours", "Pods", "Watch"]

#: (namespace, name) of a pod, or of a gang
Key = tuple[str, str]

_KNOWN: Final = 4_096
"""Kinds of pods of which it is remembered who refuses them."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Pods that all of these terms mean, counted by the label ``key``."""

    terms: tuple[Term, ...]
    key: str
    #: count what is promised, too; kube-scheduler does not see that yet
    promised: bool

    def meant(self, kind: Pods) -> bool:
        """Whether such pods are counted."""
        if kind.promised and not self.promised:
            return False
        return self.selects(kind.namespace, kind.labels, template=kind.template)

    def selects(self, namespace: str, labels: Mapping[str, str], *, template: bool = False) -> bool:
        """Whether all of the terms mean such a pod."""
        return all(term.selects(namespace, labels, template=template) for term in self.terms)


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods that are alike to others' terms."""

    namespace: str
    labels: Mapping[str, str]
    refuses: tuple[Term, ...] = ()
    #: as yet promised to a gang
    promised: bool = False
    template: bool = False

    @staticmethod
    def of(pod: Pod) -> Pods:
        """The pod, as it is."""
        namespace, labels = pod.metadata.namespace, pod.metadata.labels
        return Pods(namespace, labels, unwanted(pod.spec.affinity, namespace, labels))

    @staticmethod
    def like(
        namespace: str, labels: Mapping[str, str], affinity: Affinity | None, *, template: bool = False
    ) -> Pods:
        """Those that a gang will have, whose pods are like that."""
        return Pods(
            namespace, labels, unwanted(affinity, namespace, labels), promised=True, template=template
        )


@dataclass(slots=True, eq=False)
class Count:
    """Pods of one kind."""

    key: str
    by_node: dict[str, int] = field(default_factory=dict)
    #: by value of the label; nodes without it are in no domain
    by_value: dict[str, int] = field(default_factory=dict)
    #: how many classes of pods ask for it
    asked: int = 0

    def at(self, value: str | None) -> int:
        """Under that value."""
        return 0 if value is None else self.by_value.get(value, 0)


@dataclass(slots=True)
class _Label:
    """Which nodes have which value of one label."""

    value: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, dict[str, None]] = field(default_factory=dict)


class Neighbours:
    """Args: ``nodes``, ``pods``: as the API server has them; who changes them says so by :meth:`node`, :meth:`pod`."""

    def __init__(self, nodes: Mapping[str, Node], pods: Mapping[Key, Pod]) -> None:
        self._nodes = nodes
        self._pods = pods
        self._promises: dict[Key, tuple[Pods, Mapping[str, int]]] = {}
        self._refusing: dict[Term, Count] = {}
        self.revision = 0
        """Counts changes of the terms by which pods refuse others."""
        self._watched: dict[Watch, Count] = {}
        self._labels: dict[str, _Label] = {}
        self._log: ChangeLog[str] = ChangeLog()
        self._before: dict[tuple[Count, str], int] = {}
        self._moved = False
        self._refusers: dict[tuple[str, frozenset[tuple[str, str]], bool], frozenset[Term]] = {}

    # -- what happens ------------------------------------------------------------------------------

    def node(self, name: str) -> None:
        """The node has changed, has come, or is gone."""
        node = self._nodes.get(name)
        for key, label in self._labels.items():
            old, new = label.value.get(name), None if node is None else node.metadata.labels.get(key)
            if old == new:
                continue
            self._file(label, name, old, new)
            for count in self._counts(key):
                here = count.by_node.get(name, 0)
                if here:
                    self._shift(count, old, -here)
                    self._shift(count, new, here)
        self._log.add(name)

    def pod(self, before: Pod | None, after: Pod | None) -> None:
        """A pod is as it is ``after``; None: there was none, or there is none any more."""
        old, new = _there(before), _there(after)
        if old is None and new is None:
            return
        if (
            old is not None
            and new is not None
            and old.spec.node_name == new.spec.node_name
            and old.metadata.labels == new.metadata.labels
            # It cannot change, but this may be another pod of the same name, its predecessor's end never seen.
            and old.spec.affinity == new.spec.affinity
        ):
            return  # of a pod that is bound, nothing else can change that counts here
        for pod, times in ((old, -1), (new, 1)):
            if pod is not None and (self._watched or _carries(pod)):
                self._add(Pods.of(pod), pod.spec.node_name, times)

    def promise(self, gang: Key, kind: Pods | None, pods: Mapping[str, int]) -> None:
        """The gang will have so many more pods by node; instead of what was promised to it before."""
        before = self._promises.pop(gang, None)
        if before is not None:
            for node, number in before[1].items():
                self._add(before[0], node, -number)
        if kind is not None and pods:
            self._promises[gang] = (kind, dict(pods))
            for node, number in pods.items():
                self._add(kind, node, number)

    def settle(self) -> bool:
        """Take in what has changed since it was last asked; whether it could matter to a pod that waits."""
        self.take_in()
        moved, self._moved = self._moved, False
        return moved

    def take_in(self) -> None:
        """Let readers of the log hear of what has changed since."""
        for (count, value), before in self._before.items():
            after = count.at(value)
            # A wider domain than a node's matters by whether anybody is in it.
            if before != after and (count.key == HOSTNAME_LABEL or not before or not after):
                self._moved = True
                for name in self._labels[count.key].nodes.get(value, ()):
                    self._log.add(name)
        self._before.clear()

    # -- questions ---------------------------------------------------------------------------------

    def refusing(self, kind: Pods) -> frozenset[Term]:
        """Terms by which some pod refuses such pods in its domain."""
        if not self._refusing:
            return frozenset()
        key = (kind.namespace, frozenset(kind.labels.items()), kind.template)
        found = self._refusers.get(key)
        if found is None:
            if len(self._refusers) >= _KNOWN:
                self._refusers.clear()
            found = self._refusers[key] = frozenset(
                t for t in self._refusing if t.selects(kind.namespace, kind.labels, template=kind.template)
            )
        return found

    def carriers(self, term: Term) -> Count | None:
        """Pods that carry the anti-affinity term; None if there are none."""
        return self._refusing.get(term)

    def watch(self, watch: Watch) -> Count:
        """Begin to count; each call is to be answered by one of :meth:`unwatch`."""
        count = self._watched.get(watch)
        if count is None:
            count = self._watched[watch] = Count(watch.key)
            for pod in self._pods.values():
                if _there(pod) is not None and watch.selects(pod.metadata.namespace, pod.metadata.labels):
                    self._move(count, pod.spec.node_name, 1)
            for kind, pods in self._promises.values():
                if watch.meant(kind):
                    for node, number in pods.items():
                        self._move(count, node, number)
        count.asked += 1
        return count

    def unwatch(self, watch: Watch) -> None:
        """One who asked is gone."""
        count = self._watched[watch]
        count.asked -= 1
        if not count.asked:
            del self._watched[watch]

    def value(self, node: str, key: str) -> str | None:
        """The node's value of the label."""
        return self._label(key).value.get(node)

    def nodes_of(self, key: str, value: str) -> Iterator[str]:
        """The nodes with that value of the label."""
        return iter(self._label(key).nodes.get(value, ()))

    def promised_to(self, gang: Key) -> tuple[Pods, Mapping[str, int]] | None:
        """What the gang will have, by node."""
        return self._promises.get(gang)

    @property
    def position(self) -> int:
        """How many changes there have been."""
        return self._log.position

    def changes(self, since: int) -> Mapping[str, None] | None:
        """Nodes that may be another to some pod since; None if that is no longer known."""
        return self._log.since(since)

    # -- counting ----------------------------------------------------------------------------------

    def _all(self) -> Iterator[tuple[Pods, str, int]]:
        for pod in self._pods.values():
            if _there(pod) is not None:
                yield Pods.of(pod), pod.spec.node_name, 1
        for kind, pods in self._promises.values():
            for node, number in pods.items():
                yield kind, node, number

    def _add(self, kind: Pods, node: str, number: int) -> None:
        for term in dict.fromkeys(kind.refuses):
            count = self._refusing.get(term)
            if count is None:
                count = self._refusing[term] = Count(term.topology_key)
                self._refusers.clear()
                self.revision += 1
            self._move(count, node, number)
            if not count.by_node:
                del self._refusing[term]
                self._refusers.clear()
                self.revision += 1
        for watch, count in self._watched.items():
            if watch.meant(kind):
                self._move(count, node, number)

    def _move(self, count: Count, node: str, number: int) -> None:
        _bump(count.by_node, node, number)
        self._shift(count, self._label(count.key).value.get(node), number)

    def _shift(self, count: Count, value: str | None, number: int) -> None:
        if value is not None:
            self._before.setdefault((count, value), count.at(value))
            _bump(count.by_value, value, number)

    def _counts(self, key: str) -> Iterator[Count]:
        for counts in (self._refusing.values(), self._watched.values()):
            yield from (count for count in counts if count.key == key)

    def _label(self, key: str) -> _Label:
        found = self._labels.get(key)
        if found is None:
            found = self._labels[key] = _Label()
            for name, node in self._nodes.items():
                self._file(found, name, None, node.metadata.labels.get(key))
        return found

    @staticmethod
    def _file(label: _Label, name: str, old: str | None, new: str | None) -> None:
        if old is not None:
            del label.value[name]
            del label.nodes[old][name]
            if not label.nodes[old]:
                del label.nodes[old]
        if new is not None:
            label.value[name] = new
            label.nodes.setdefault(new, {})[name] = None

    # -- check -------------------------------------------------------------------------------------

    def validate(self, promises: Mapping[Key, tuple[Pods, Mapping[str, int]]]) -> None:
        """Count everything anew, with these promises, and compare.

        Raises:
            InvariantViolation: something differs.
        """
        fresh = Neighbours(self._nodes, self._pods)
        fresh._promises = {gang: (kind, dict(pods)) for gang, (kind, pods) in promises.items() if pods}
        for watch in self._watched:
            fresh._watched[watch] = Count(watch.key)
        for kind, node, number in fresh._all():
            fresh._add(kind, node, number)
        for mine, theirs in ((self._refusing, fresh._refusing), (self._watched, fresh._watched)):
            if _plain(mine) != _plain(theirs):
                raise InvariantViolation("the pods that affinity looks at differ from a new count")


def _plain(counts: Mapping[Term, Count] | Mapping[Watch, Count]) -> dict[object, tuple[object, object]]:
    return {what: (count.by_node, count.by_value) for what, count in counts.items()}


def _there(pod: Pod | None) -> Pod | None:
    """The pod if it is on a node and has not ended."""
    return pod if pod is not None and pod.spec.node_name and not is_terminal(pod) else None


def _carries(pod: Pod) -> bool:
    return pod.spec.affinity is not None and pod.spec.affinity.pod_anti_affinity is not None


def _bump(amounts: dict[str, int], name: str, number: int) -> None:
    left = amounts.get(name, 0) + number
    if left:
        amounts[name] = left
    else:
        amounts.pop(name, None)
