"""Gangs whose pods differ: which pods are alike, and so which slots a pod may take."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rackplane.api.gang import MAX_GROUPS
from rackplane.api.labels import GANG_LABEL
from rackplane.api.problems import FieldProblem
from rackplane.core.objects import GangGroup, GangSpec, Pod
from rackplane.core.pods.accelerators import Accelerators
from rackplane.core.pods.podclass import PodClass

__all__ = ["gpus_of", "groups_of", "slot_gpus", "slots_by_group", "too_many"]

_ORDINAL = re.compile(r"[-._]?[0-9]+$")


def groups_of(pods: Sequence[Pod], accelerators: Accelerators) -> list[GangGroup]:
    """Groups of pods that are alike to the nodes, in the order of the pods; none if all are alike.

    Args:
        pods: all pods of a gang, none of them let go: that gives a pod the selector of its node.
        accelerators: counts what each asks for of them.
    """
    if all(pod.spec == pods[0].spec for pod in pods[1:]):
        return []
    members: dict[PodClass, list[Pod]] = {}
    for pod in pods:
        members.setdefault(PodClass(pod.spec), []).append(pod)
    if len(members) < 2:
        return []
    asked = [accelerators.of(alike[0].metadata.namespace, alike[0].spec) for alike in members.values()]
    known = {of[0] for of in asked if of}
    fallback = (next((r for r in accelerators.resources if r in known), accelerators.main), 0)
    names: dict[str, None] = {}
    found = []
    for (kind, alike), mine in zip(members.items(), asked, strict=True):
        resource, number = mine or fallback
        name = _ORDINAL.sub("", alike[0].metadata.name) or alike[0].metadata.name
        name = alike[0].metadata.name if name in names else name
        names[name] = None
        found.append(GangGroup(name, len(alike), number, resource, kind.digest))
    return found


def too_many(groups: Sequence[GangGroup]) -> FieldProblem | None:
    """What is wrong with a gang of more kinds of pods than a Gang can hold; None if it can."""
    if len(groups) <= MAX_GROUPS:
        return None
    return FieldProblem(
        f"metadata.labels[{GANG_LABEL}]",
        f"is on pods of {len(groups)} kinds, which differ in what they ask of a node",
        f"Let pods of one gang be of at most {MAX_GROUPS} kinds.",
    )


def gpus_of(spec: GangSpec) -> int:
    """GPUs of all slots together."""
    if spec.groups:
        return sum(g.slots * g.gpus_per_slot for g in spec.groups)
    return spec.slots * spec.gpus_per_slot


def slot_gpus(spec: GangSpec, slots: int) -> tuple[int, ...]:
    """GPUs of each of so many slots; empty if they are alike, or if the groups are not of so many."""
    found = tuple(g.gpus_per_slot for g in spec.groups for _ in range(g.slots))
    return found if len(found) == slots and len(set(found)) > 1 else ()


def slots_by_group(groups: Sequence[GangGroup]) -> list[range]:
    """The slots of each group."""
    found, start = [], 0
    for group in groups:
        found.append(range(start, start + group.slots))
        start += group.slots
    return found
