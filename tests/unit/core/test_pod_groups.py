"""Which gang a pod is of by its PodGroup, and of how many slots."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rackplane.api.labels import GANG_LABEL, GANG_SIZE, PLACEMENT_GATE, QUEUE_LABEL
from rackplane.api.problems import FieldProblem
from rackplane.core.gangs.podgroups import PodGroup, PodGroups
from rackplane.core.gangs.workload import gang_name_of_pod
from rackplane.core.objects import Pod
from tests.support.podgroups import pod_group


def pod(name: str = "w-0", *, gated: bool = True, group: str = "train", **metadata: Any) -> Pod:
    spec: dict[str, Any] = {"schedulingGroup": {"podGroupName": group}}
    if gated:
        spec["schedulingGates"] = [{"name": PLACEMENT_GATE}]
    labels = {QUEUE_LABEL: "research", **metadata.pop("labels", {})}
    return msgspec.convert(
        {"metadata": {"name": name, "namespace": "default", "labels": labels, **metadata}, "spec": spec}, Pod
    )


def groups(*, gang: int | None = 4, read: bool = True) -> PodGroups:
    found = PodGroups(read=read)
    found.put(msgspec.convert(pod_group("train", gang=gang), PodGroup))
    return found


JOB = [{"kind": "Job", "name": "j", "controller": True}]


@pytest.mark.parametrize(
    ("one", "known", "gang"),
    [
        (pod(), groups(), "podgroup-train"),
        (pod(), PodGroups(read=True), "podgroup-train"),
        (pod(), groups(gang=None), "pod-w-0"),
        (pod(), groups(read=False), "pod-w-0"),
        (pod(labels={GANG_LABEL: "own"}), groups(), "pod-own"),
        (pod(annotations={GANG_SIZE: "1"}), groups(), "pod-w-0"),
        (pod(ownerReferences=JOB), groups(), "job-j"),
        # What was let go stays, whatever the PodGroup says now.
        (pod(gated=False, annotations={GANG_LABEL: "podgroup-train"}), groups(gang=None), "podgroup-train"),
        (pod(gated=False, annotations={GANG_LABEL: "pod-w-0"}), groups(), "pod-w-0"),
    ],
)
def test_the_gang_of_a_pod(one: Pod, known: PodGroups, gang: str) -> None:
    assert gang_name_of_pod(one, known) == gang


def test_its_size_is_the_min_count_or_the_problem_is_named() -> None:
    key, one = ("default", "podgroup-train"), pod()
    assert groups().size_of(key, one) == 4
    assert groups().size_of(("default", "pod-train"), one) is None
    assert groups(gang=70_000).size_of(key, one) == FieldProblem(
        "PodGroup train, spec.schedulingPolicy.gang.minCount",
        "is 70,000, and a gang has 1 to 65,536 slots",
        "Create it anew with at most 65,536.",
    )


def test_the_pods_that_name_a_group_are_known() -> None:
    found, first, other = groups(), pod("a"), pod("b")
    for each in (first, other):
        found.note(None, each)
    found.note(other, pod("b", labels={GANG_LABEL: "own"}))
    assert list(found.pods_of(("default", "train"))) == [("default", "a")]
    found.note(first, None)
    assert list(found.pods_of(("default", "train"))) == []
