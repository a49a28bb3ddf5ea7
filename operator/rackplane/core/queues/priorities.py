"""The priority of a gang, by the PriorityClass that its pods name; and that by which it is compared with others.

Kubernetes works a pod's priority out when it makes the pod. A Job that waits has none, and what its template names is
worked out here by the same rules: a named class; without a name the class with `globalDefault`, of several the one with
the lowest value; without one 0.
https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rackplane.api.problems import FieldProblem
from rackplane.api.queue import Queue
from rackplane.core.objects import GangSpec, PodSpec, PriorityClass

__all__ = ["never_preempts", "priority_of", "standing", "unknown_class"]

_NEVER = "Never"

Classes = Mapping[str, PriorityClass]


def priority_of(spec: PodSpec, classes: Classes) -> int:
    """The priority of pods that are made from this; a pod that is there has its own."""
    if spec.priority is not None:
        return spec.priority
    found = _class(spec, classes)
    return 0 if found is None else found.value


def standing(spec: GangSpec, queue: Callable[[str], Queue | None]) -> int:
    """The priority by which a gang is compared with all others: its own, and what its queue adds for its gangs."""
    own = queue(spec.queue)
    return spec.priority + (0 if own is None else own.spec.priority)


def never_preempts(spec: PodSpec, classes: Classes) -> bool:
    """Whether these pods have nobody stopped for them."""
    if spec.preemption_policy:
        return spec.preemption_policy == _NEVER
    found = _class(spec, classes)
    return found is not None and found.preemption_policy == _NEVER


def unknown_class(where: str, spec: PodSpec, classes: Classes) -> FieldProblem | None:
    """The name of a PriorityClass that does not exist, as a problem: no pod could be made.

    Every cluster has the system's own classes. Where none is known at all, as in a folder of YAML, nothing is said.
    """
    name = spec.priority_class_name
    if not name or spec.priority is not None or not classes or name in classes:
        return None
    return FieldProblem(
        f"{where}.priorityClassName",
        f"names PriorityClass {name}, which does not exist, so no pod could be made",
        "Create it, or name another.",
    )


def _class(spec: PodSpec, classes: Classes) -> PriorityClass | None:
    if spec.priority_class_name:
        return classes.get(spec.priority_class_name)
    if not classes:
        return None
    defaults = (found for found in classes.values() if found.global_default)
    return min(defaults, key=lambda found: (found.value, found.metadata.name), default=None)
