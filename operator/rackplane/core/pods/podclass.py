"""Pods that are alike to every node, and how many of them a node takes, judged as kube-scheduler judges it."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from rackplane.api.labels import MANAGED_TAINT
from rackplane.core.objects import Node, PodSpec
from rackplane.core.pods.pod import fits_selectors, is_ready, requests, tolerates
from rackplane.core.pods.quantity import milli

__all__ = ["Amounts", "Offer", "PodClass", "allocatable", "held_by"]

#: resource -> thousandths; beside resources, "pods" and the ports of the node that are taken
Amounts = Mapping[str, int]

#: pods, and of each resource that a pod asks for, in thousandths
Offer = tuple[int, ...]

_NOTHING: Final[Amounts] = {}
_ONE: Final = 1000
_PORT: Final = "hostPort"
_ANY: Final = "0.0.0.0"
_PREFERENCE: Final = "PreferNoSchedule"


def held_by(spec: PodSpec) -> Amounts:
    """What such a pod takes of the node that it is on. Do not write to it: pods that take the same share one."""
    amounts = {"pods": _ONE, **requests(spec)}
    for port in _ports(spec):
        amounts[f"{_PORT} {port}"] = amounts.get(f"{_PORT} {port}", 0) + _ONE
    return _shared(tuple(sorted(amounts.items())))


class PodClass:
    """What of a pod decides which nodes can take it. Two are equal if every node is the same to both.

    What other pods have to do with it is not looked at: that is in core/pods/restrictions.py.

    Args:
        spec: of a pod, or of a template.
    """

    __slots__ = ("_asked", "_hash", "_key", "_ports", "_spec", "held")

    def __init__(self, spec: PodSpec) -> None:
        self._spec = spec
        self.held = held_by(spec)
        """What a node holds for each such pod."""
        self._asked = [(name, amount) for name, amount in requests(spec).items() if amount > 0]
        self._ports = tuple(dict.fromkeys(_ports(spec)))
        self._key = _key(spec, self.held)
        self._hash = hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PodClass) and self._key == other._key

    def __hash__(self) -> int:
        return self._hash

    @property
    def digest(self) -> str:
        """The same for equal classes, in every process that judges pods by the same fields."""
        return hashlib.sha256(repr(self._key).encode()).hexdigest()[:16]

    def slots_on(self, node: Node, used: Amounts) -> int:
        """How many such pods the node could take by everything that kube-scheduler will look at; 0: none may go there.

        A node that is cordoned or not ready takes none, whatever a pod tolerates: a gang is not started on a node that
        somebody is about to take away.

        Args:
            used: what the node holds already.
        """
        offered = self.offered(node)
        return 0 if offered is None else self.slots_of(offered, used)

    def offered(self, node: Node) -> Offer | None:
        """What there is on the node of all that such pods take; None: none may go there, whatever it holds."""
        if node.spec.unschedulable or not is_ready(node) or not fits_selectors(node, self._spec):
            return None
        for taint in node.spec.taints:
            # Ours is tolerated on the pod's behalf when it is let go: with this effect, and no other.
            if taint.effect == _PREFERENCE or (taint.key, taint.effect) == (MANAGED_TAINT, "NoSchedule"):
                continue
            if not tolerates(self._spec.tolerations, taint):
                return None
        return allocatable(node, "pods"), *(allocatable(node, name) for name, _ in self._asked)

    def slots_of(self, offered: Offer, used: Amounts, freed: Amounts = _NOTHING) -> int:
        """How many such pods a node that offers this takes.

        Args:
            used: what the node holds.
            freed: what of that is gone; less than 0: came.
        """
        most = (offered[0] - used.get("pods", 0) + freed.get("pods", 0)) // _ONE
        for (name, amount), there in zip(self._asked, offered[1:], strict=True):
            slots = (there - used.get(name, 0) + freed.get(name, 0)) // amount
            if slots < most:
                most = slots
        if self._ports:
            left = {name: used.get(name, 0) - freed.get(name, 0) for name in {**used, **freed}}
            most = 0 if self._clash(left) else min(most, 1)
        return max(most, 0)

    def _clash(self, used: Amounts) -> bool:
        taken = [name.split() for name, amount in used.items() if name.startswith(_PORT) and amount > 0]
        return any(
            number == other and (_ANY in (address, theirs) or address == theirs)
            for number, address in (port.split() for port in self._ports)
            for _, other, theirs in taken
        )


def _ports(spec: PodSpec) -> Iterator[str]:
    """Ports of the node itself: number with protocol, then address."""
    lasting = [c for c in spec.init_containers if c.restart_policy == "Always"]
    for container in (*lasting, *spec.containers):
        for port in container.ports:
            # On the node's own network every port is the node's; the API server writes that into pods, not templates.
            number = port.host_port or (port.container_port if spec.host_network else 0)
            if number:
                yield f"{number}/{port.protocol} {port.host_ip or _ANY}"


def _key(spec: PodSpec, held: Amounts) -> Hashable:
    affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity is not None else None
    return (
        tuple(sorted(spec.node_selector.items())),
        None if required is None else msgspec.json.encode(required),
        tuple(sorted({msgspec.json.encode(t) for t in spec.tolerations})),
        tuple(held.items()),
        *((_claims(spec),) if spec.resource_claims else ()),
    )


def _claims(spec: PodSpec) -> Hashable:
    return tuple(sorted(c.resource_claim_template_name or "" for c in spec.resource_claims))


@lru_cache(maxsize=4096)
def _shared(amounts: tuple[tuple[str, int], ...]) -> Amounts:
    return dict(amounts)


def allocatable(node: Node, resource: str) -> int:
    """What the node has of the resource for pods, in thousandths; 0 where it says nothing that can be read."""
    text = node.status.allocatable.get(resource)
    if text is None:
        return 0
    try:
        return milli(text)
    except ValueError:
        return 0
