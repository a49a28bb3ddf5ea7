"""PodGroups of kube-scheduler (scheduling.k8s.io/v1alpha2): which pods are one gang, and how many it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from rackplane.api.base import MAX_SLOTS
from rackplane.api.labels import GANG_LABEL, GANG_SIZE, QUEUE_LABEL
from rackplane.api.problems import FieldProblem
from rackplane.core.gangs.decisions import Key
from rackplane.core.gangs.ranks import is_gated
from rackplane.core.objects import Metadata, Pod

__all__ = [
    "POD_GROUP_PREFIX",
    "GangPolicy",
    "PodGroup",
    "PodGroupSpec",
    "PodGroups",
    "SchedulingPolicy",
    "group_of_gang",
]

#: what the name of a Gang begins with whose pods name a PodGroup
POD_GROUP_PREFIX: Final = "podgroup-"

_NONE: Mapping[Key, None] = {}


class _Object(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    pass


class GangPolicy(_Object, frozen=True):
    min_count: int = 1


class SchedulingPolicy(_Object, frozen=True):
    """One of the two is there. `basic`: the pods have nothing to do with each other."""

    basic: dict[str, Any] | None = None
    gang: GangPolicy | None = None


class PodGroupSpec(_Object, frozen=True):
    scheduling_policy: SchedulingPolicy = SchedulingPolicy()


class PodGroup(_Object, frozen=True):
    metadata: Metadata
    spec: PodGroupSpec = PodGroupSpec()


def group_of_gang(name: str) -> str | None:
    """The PodGroup that a Gang of this name is made for; None if it is for none."""
    return name.removeprefix(POD_GROUP_PREFIX) if name.startswith(POD_GROUP_PREFIX) else None


class PodGroups:
    """The PodGroups that there are, and the labelled pods that name each of them.

    Args:
        read: False: pods that name one are no gang by that.
    """

    def __init__(self, *, read: bool) -> None:
        self._read = read
        self._groups: dict[Key, PodGroup] = {}
        self._pods: dict[Key, dict[Key, None]] = {}

    def put(self, group: PodGroup) -> bool:
        """Take in a PodGroup; returns whether it says something new of its pods."""
        key = (group.metadata.namespace, group.metadata.name)
        before = self._groups.get(key)
        self._groups[key] = group
        return before is None or before.spec != group.spec

    def drop(self, key: Key) -> bool:
        return self._groups.pop(key, None) is not None

    def note(self, before: Pod | None, pod: Pod | None) -> None:
        """A pod came, changed or went."""
        old = None if before is None else self._key(before)
        new = None if pod is None else self._key(pod)
        if old == new:
            return
        if old is not None and before is not None:
            here = self._pods.get(old, {})
            here.pop((old[0], before.metadata.name), None)
            if not here:
                self._pods.pop(old, None)
        if new is not None and pod is not None:
            self._pods.setdefault(new, {})[new[0], pod.metadata.name] = None

    def pods_of(self, group: Key) -> Iterable[Key]:
        """Pods that name it."""
        return self._pods.get(group, _NONE)

    def apart(self, gang: Key) -> bool:
        """Whether a Gang of this name is for a PodGroup whose pods are each by themselves."""
        group = self._groups.get((gang[0], group_of_gang(gang[1]) or ""))
        return group is not None and group.spec.scheduling_policy.gang is None

    def gang_of(self, pod: Pod) -> str | None:
        """The name of the Gang of all pods that name the same PodGroup; None if the bare pod names none, says itself
        which gang it is of, or is of a PodGroup that is no gang."""
        key = self._key(pod)
        if key is None:
            return None
        found = f"{POD_GROUP_PREFIX}{key[1]}"
        if not is_gated(pod):
            # Whatever has become of the PodGroup since, it is of the gang that it was let go for.
            let_go_for = pod.metadata.annotations.get(GANG_LABEL)
            if let_go_for is not None:
                return found if let_go_for == found else None
        # A PodGroup that is not there may come to be a gang.
        return None if self.apart((key[0], found)) else found

    def size_of(self, gang: Key, pod: Pod) -> int | FieldProblem | None:
        """How many slots a Gang of this name has, or why that is not known; None if it is made for no PodGroup.

        Args:
            pod: the first of the gang.
        """
        name = group_of_gang(gang[1])
        if name is None:
            return None
        found = self._groups.get((gang[0], name))
        policy = None if found is None else found.spec.scheduling_policy.gang
        if policy is None:
            return FieldProblem(
                f"Pod {pod.metadata.name}, spec.schedulingGroup.podGroupName",
                f'names PodGroup "{name}", which is not seen in namespace {gang[0]} (podgroups.scheduling.k8s.io, '
                "v1alpha2): how many pods the gang has is not known",
                f"Create it, and let the operator list PodGroups; or write {GANG_LABEL} and {GANG_SIZE} on the pods.",
            )
        if not 1 <= policy.min_count <= MAX_SLOTS:
            return FieldProblem(
                f"PodGroup {name}, spec.schedulingPolicy.gang.minCount",
                f"is {policy.min_count:,}, and a gang has 1 to {MAX_SLOTS:,} slots",
                f"Create it anew with at most {MAX_SLOTS:,}.",
            )
        return policy.min_count

    def _key(self, pod: Pod) -> Key | None:
        said = pod.spec.scheduling_group
        if not self._read or said is None or not said.pod_group_name:
            return None
        labels = pod.metadata.labels
        if QUEUE_LABEL not in labels or GANG_LABEL in labels or GANG_SIZE in pod.metadata.annotations:
            return None
        return pod.metadata.namespace, said.pod_group_name
