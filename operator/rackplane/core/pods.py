"""What a pod asks of a node, and what a node has left for it, judged as kube-scheduler judges it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rackplane.core.objects import Node, NodeSelectorTerm, Pod, PodSpec, SelectorTerm, Taint, Toleration
from rackplane.core.quantity import milli

__all__ = [
    "fits_selectors",
    "gpus",
    "is_ready",
    "is_terminal",
    "requests",
    "slots_on",
    "tolerates",
]


def is_terminal(pod: Pod) -> bool:
    """Whether its containers have ended for good, so that it draws no more than an idle node does."""
    return pod.status.phase in ("Succeeded", "Failed")


def is_ready(node: Node) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)


def requests(spec: PodSpec) -> dict[str, int]:
    """What kube-scheduler reserves for the pod, in thousandths: containers summed, the largest init container at least.

    Init containers that restart always (sidecars) run beside the containers and are summed with them. A limit without
    a request counts as the request. A quantity that does not parse never reaches an API server's storage; should one
    do so it is passed over here and the pod is refused by the kubelet.
    """
    total: dict[str, int] = {}
    sidecars: dict[str, int] = {}
    initial: dict[str, int] = {}
    for container in spec.init_containers:
        wanted = _container_requests(container.resources.requests, container.resources.limits)
        if container.restart_policy == "Always":
            _add(sidecars, wanted)
            _raise_to(initial, sidecars)
        else:
            together = dict(sidecars)
            _add(together, wanted)
            _raise_to(initial, together)
    for container in spec.containers:
        _add(total, _container_requests(container.resources.requests, container.resources.limits))
    _add(total, sidecars)
    _raise_to(total, initial)
    _add(total, _container_requests(spec.overhead, {}))
    return total


def gpus(spec: PodSpec, resource: str) -> int:
    """Whole devices of an extended resource that the pod asks for."""
    return requests(spec).get(resource, 0) // 1000


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    for toleration in tolerations:
        if toleration.effect and toleration.effect != taint.effect:
            continue
        if not toleration.key:
            if toleration.operator == "Exists":
                return True
            continue
        if toleration.key != taint.key:
            continue
        if toleration.operator == "Exists" or (toleration.value or "") == taint.value:
            return True
    return False


def fits_selectors(node: Node, spec: PodSpec) -> bool:
    labels = node.metadata.labels
    if any(labels.get(key) != value for key, value in spec.node_selector.items()):
        return False
    if spec.affinity is None or spec.affinity.node_affinity is None:
        return True
    required = spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
    return required is None or any(_term_matches(node, term) for term in required.node_selector_terms)


def slots_on(node: Node, spec: PodSpec, *, used: Mapping[str, int], ignored_taints: frozenset[str]) -> int:
    """How many pods of `spec` the node could take, by everything that kube-scheduler will look at.

    Args:
        node: the node as the API server has it.
        spec: the pod template.
        used: thousandths of each resource that other pods hold on the node.
        ignored_taints: keys of taints that we tolerate on the pod's behalf.

    Returns:
        0 if the node must not be used.
    """
    if node.spec.unschedulable or not is_ready(node) or not fits_selectors(node, spec):
        return 0
    for taint in node.spec.taints:
        if taint.effect == "PreferNoSchedule" or taint.key in ignored_taints:
            continue
        if not tolerates(spec.tolerations, taint):
            return 0
    most = _allocatable(node, "pods", default=110_000) // 1000 - used.get("pods", 0) // 1000
    for resource, amount in requests(spec).items():
        if amount <= 0:
            continue
        most = min(most, (_allocatable(node, resource, default=0) - used.get(resource, 0)) // amount)
    return max(most, 0)


def _allocatable(node: Node, resource: str, *, default: int) -> int:
    text = node.status.allocatable.get(resource)
    if text is None:
        return default
    try:
        return milli(text)
    except ValueError:
        return 0


def _container_requests(wanted: Mapping[str, str], limits: Mapping[str, str]) -> dict[str, int]:
    result: dict[str, int] = {}
    for name, text in {**limits, **wanted}.items():
        try:
            result[name] = milli(text)
        except ValueError:
            continue
    return result


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise_to(total: dict[str, int], least: Mapping[str, int]) -> None:
    for name, amount in least.items():
        total[name] = max(total.get(name, 0), amount)


def _term_matches(node: Node, term: NodeSelectorTerm) -> bool:
    # An empty term matches nothing: the API says so.
    if not term.match_expressions and not term.match_fields:
        return False
    fields = {"metadata.name": node.metadata.name}
    return all(_matches(node.metadata.labels, e) for e in term.match_expressions) and all(
        _matches(fields, e) for e in term.match_fields
    )


def _matches(values: Mapping[str, str], expression: SelectorTerm) -> bool:
    value = values.get(expression.key)
    match expression.operator:
        case "In":
            return value in expression.values
        case "NotIn":
            return value not in expression.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            try:
                have, bound = int(value or ""), int(expression.values[0])
            except (ValueError, IndexError):
                return False
            return have > bound if expression.operator == "Gt" else have < bound
        case _:
            return False
