"""Nodes that are lost: since when, why, and for whom.

A node is lost while it is gone, not ready, out of service, offers fewer accelerators than the pods on it hold (a device
plugin has found some of them broken), or has a condition that the settings name. A taint that evicts loses it for gangs
whose pods do not tolerate the taint for good. Each cause counts from when this process first saw it, standbys see the
same; so clocks of nodes do not matter, and only a start of all replicas anew begins to count again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.objects import Node, Taint, Toleration
from rackplane.core.pods.pod import gpus, has_condition, is_ready, is_terminal, tolerates
from rackplane.core.pods.quantity import milli

if TYPE_CHECKING:
    from rackplane.core.world import World

__all__ = ["NOT_READY", "Loss", "Losses", "losses_of"]

NOT_READY: Final = "not ready"

OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
#: they come with Ready not being True, and every pod tolerates them for some minutes
_FOLLOW_READINESS: Final = frozenset({"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"})
_EVICTS: Final = "NoExecute"
_CUT_OFF_SHARE: Final = 0.55
_FEWEST_CUT_OFF: Final = 3


@dataclass(frozen=True, slots=True)
class Loss:
    """One cause for which a node is lost."""

    kind: str
    #: ends a sentence about the node: "is not ready"
    why: str
    #: when it was first seen, in seconds since the epoch
    since: float = 0.0
    #: pods that tolerate it for good keep the node
    taint: Taint | None = None
    #: somebody has said so: nothing is waited for
    certain: bool = False
    #: its kubelet ends no pod any more, as far as is known
    silent: bool = False

    def due(self, grace: float) -> float:
        """When it counts, in seconds since the epoch."""
        return self.since if self.certain else self.since + grace


class Losses:
    """The lost nodes. Few, and nothing is kept of the others."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Loss, ...]] = {}
        self._not_ready: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def nodes(self) -> Iterable[str]:
        return self._found

    def of(self, node: str) -> tuple[Loss, ...]:
        return self._found.get(node, ())

    def judge(self, world: World, name: str) -> None:
        """Look at the node as it is now; gangs that have a slot on it are looked at if something is new."""
        before = self._found.get(name, ())
        known = {loss.kind: loss.since for loss in before}
        # A node that falls silent and is deleted then has been lost since it fell silent.
        silent = min((loss.since for loss in before if loss.silent), default=world.now)
        found = tuple(
            Loss(
                loss.kind,
                loss.why,
                known.get(loss.kind, silent if loss.silent else world.now),
                loss.taint,
                loss.certain,
                loss.silent,
            )
            for loss in _causes(world, name)
        )
        if found:
            self._found[name] = found
        else:
            self._found.pop(name, None)
        if any(loss.kind == NOT_READY for loss in found):
            self._not_ready.add(name)
        else:
            self._not_ready.discard(name)
        if found != before:
            world.dirty.update(world.gangs_on(name))

    def cut_off(self, world: World) -> bool:
        """Whether so many nodes are not ready that rather the control plane is cut off from them than all are lost.

        The share is the default of kube-controller-manager's --unhealthy-zone-threshold.
        """
        silent = len(self._not_ready)
        return silent >= _FEWEST_CUT_OFF and silent >= _CUT_OFF_SHARE * len(world.nodes)

    def silent(self, world: World, name: str) -> bool:
        """Whether no pod on the node is sure to end any more: its kubelet has been away for the grace time."""
        grace = world.settings.node_loss_seconds
        return any(loss.silent and world.now >= loss.due(grace) for loss in self.of(name))


def losses_of(world: World, gang: Key, tolerations: Iterable[Toleration]) -> dict[int, tuple[str, Loss]]:
    """The gang's slots on lost nodes: the node of each, and of its causes the one that counts first."""
    if not world.losses or world.state is None:
        return {}
    forever = [t for t in tolerations if t.toleration_seconds is None]
    grace, found = world.settings.node_loss_seconds, dict[int, tuple[str, Loss]]()
    for slot, node in world.state.held(booking_key(gang)).items():
        causes = [
            loss for loss in world.losses.of(node) if loss.taint is None or not tolerates(forever, loss.taint)
        ]
        if causes:
            found[slot] = node, min(causes, key=lambda loss: loss.due(grace))
    return found


def _causes(world: World, name: str) -> Iterator[Loss]:
    node = world.nodes.get(name)
    if node is None:
        if world.gangs_on(name):
            yield Loss("gone", "is gone", silent=True)
        return
    taints = node.spec.taints
    if any(taint.key == OUT_OF_SERVICE for taint in taints):
        yield Loss("out of service", "is out of service", certain=True, silent=True)
    if not is_ready(node):
        yield Loss(NOT_READY, "is not ready", silent=True)
    for wanted in world.settings.lost_node_conditions:
        if has_condition(node, *wanted):
            yield Loss(f"condition {wanted[0]}", f"has condition {'='.join(wanted)}")
    yield from _broken_devices(world, node)
    for taint in taints:
        if taint.effect == _EVICTS and taint.key != OUT_OF_SERVICE and taint.key not in _FOLLOW_READINESS:
            text = f"{taint.key}={taint.value}" if taint.value else taint.key
            yield Loss(f"taint {text}", f"has the taint {text}:{_EVICTS}", taint=taint)


def _broken_devices(world: World, node: Node) -> Iterator[Loss]:
    name = node.metadata.name
    node_type = None if world.state is None else world.state.node_type(name)
    if node_type is None or not world.gangs_on(name):
        return
    resource = node_type.resource
    pods = (world.pods[key] for key in world.pods_on.get(name, ()))
    held = sum(gpus(pod.spec, resource) for pod in pods if not is_terminal(pod))
    try:
        offered = milli(node.status.allocatable.get(resource, "0")) // 1000
    except ValueError:
        return
    if held > offered:
        yield Loss("devices", f"offers {offered} {resource}, and its pods hold {held}")
