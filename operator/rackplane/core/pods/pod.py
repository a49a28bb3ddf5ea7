"""What a pod asks of a node, read as kube-scheduler reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from rackplane.core.objects import (
    Node,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    RequiredNodeAffinity,
    SelectorTerm,
    Taint,
    Toleration,
)
from rackplane.core.pods.quantity import milli

__all__ = [
    "fits_required",
    "fits_selectors",
    "gpus",
    "has_condition",
    "is_ready",
    "is_terminal",
    "requests",
    "tolerates",
]

_INTEGER = re.compile(r"[+-]?[0-9]+")


def is_terminal(pod: Pod) -> bool:
    """Whether its containers have ended for good, so that it draws no more than an idle node does."""
    return pod.status.phase in ("Succeeded", "Failed")


def has_condition(node: Node, kind: str, status: str) -> bool:
    return any(c.type == kind and c.status == status for c in node.status.conditions)


def is_ready(node: Node) -> bool:
    return has_condition(node, "Ready", "True")


def requests(spec: PodSpec) -> dict[str, int]:
    """What kube-scheduler reserves for the pod, in thousandths: containers summed, the largest init container at least.

    Init containers that restart always (sidecars) run beside the containers and are summed with them. A limit without
    a request counts as the request. What the pod asks for as a whole stands in for the sum. A quantity that does not
    parse never reaches an API server's storage; should one do so it is passed over here and the pod is refused by the
    kubelet.
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
    # A limit of the whole pod is its request only where no container asks: the API server's default of a Pod, which
    # a Job's template has not been through.
    limits = {name: text for name, text in spec.resources.limits.items() if name not in total}
    total.update(_container_requests(spec.resources.requests, limits))
    _add(total, _container_requests(spec.overhead, {}))
    # Of all but CPU kube-scheduler counts whole units, rounded up for each pod.
    return {name: amount if name == "cpu" else -(-amount // 1000) * 1000 for name, amount in total.items()}


def gpus(spec: PodSpec, resource: str) -> int:
    """Whole devices of an extended resource that the pod asks for."""
    return requests(spec).get(resource, 0) // 1000


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Whether one of them covers the taint. For how long (tolerationSeconds) is nothing to kube-scheduler, nor here."""
    for toleration in tolerations:
        if toleration.effect and toleration.effect != taint.effect:
            continue
        if not toleration.key:
            if toleration.operator == "Exists":
                return True
            continue
        if toleration.key != taint.key:
            continue
        if toleration.operator == "Exists":
            return True
        if toleration.operator in (None, "", "Equal") and (toleration.value or "") == taint.value:
            return True
    return False


def fits_selectors(node: Node, spec: PodSpec) -> bool:
    labels = node.metadata.labels
    if any(labels.get(key) != value for key, value in spec.node_selector.items()):
        return False
    if spec.affinity is None or spec.affinity.node_affinity is None:
        return True
    required = spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
    return required is None or fits_required(node, required)


def fits_required(node: Node, required: RequiredNodeAffinity) -> bool:
    """Whether any of the terms holds."""
    return any(_term_matches(node, term) for term in required.node_selector_terms)


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
            bounds = expression.values[:1]
            if value is None or not all(map(_INTEGER.fullmatch, (value, *bounds))) or not bounds:
                return False
            have, bound = int(value), int(bounds[0])
            return have > bound if expression.operator == "Gt" else have < bound
        case _:
            return False
