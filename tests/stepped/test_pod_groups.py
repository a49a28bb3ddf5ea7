"""Pods that name a PodGroup of kube-scheduler are the gang that it says; what they say themselves goes before."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.api.labels import GANG_LABEL, GANG_SIZE
from rackplane.core.settings import MachineSettings
from tests.support.harness import QUEUE, RUN, Harness, facility, started
from tests.support.podgroups import POD_GROUPS, pod_group, pod_group_crd


def site(**options: Any) -> Harness:
    h = started(facility(), **options)
    h.apply(pod_group_crd())
    return h


def pods(h: Harness, *names: str, group: str = "train", run: int | None = None, **more: Any) -> None:
    lasts = {} if run is None else {RUN: str(run)}
    for name in names:
        h.pod(
            name,
            gpus=4,
            labels={QUEUE: "research", **more.get("labels", {})},
            annotations={**lasts, **more.get("annotations", {})},
            schedulingGroup={"podGroupName": group},
        )


def make(h: Harness, name: str, *, gang: int | None) -> None:
    h.request("POST", POD_GROUPS, pod_group(name, gang=gang))


def bound(h: Harness) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in h.pods() if pod["spec"].get("nodeName"))


def test_they_wait_for_the_pod_group_and_for_as_many_as_it_says_and_start_together() -> None:
    h = site()
    # Somebody else's: not labelled.
    h.pod("other", schedulingGroup={"podGroupName": "train"}, nodeSelector={"no": "where"})
    pods(h, "w-0", "w-1")
    h.settle()
    status = h.gang("podgroup-train")["status"]
    assert (status["message"], [c["status"] for c in status["conditions"] if c["type"] == "Ready"]) == (
        'Pod w-0, spec.schedulingGroup.podGroupName: names PodGroup "train", which is not seen in namespace default '
        "(podgroups.scheduling.k8s.io, v1alpha2): how many pods the gang has is not known. Create it, and let the "
        f"operator list PodGroups; or write {GANG_LABEL} and {GANG_SIZE} on the pods.",
        ["False"],
    )
    make(h, "train", gang=3)
    h.settle()
    assert h.gang("podgroup-train")["spec"]["slots"] == 3
    assert h.gang("podgroup-train")["status"]["message"] == "2 of the gang's 3 pods exist"
    assert bound(h) == []
    pods(h, "w-2")
    h.until(lambda: h.phase("podgroup-train") == "Running")
    assert (h.gangs(), bound(h), h.failures) == (
        {"podgroup-train": "Running"},
        ["w-0", "w-1", "w-2"],
        [],
    )
    # Whose gang runs stays where it is, whatever becomes of the PodGroup: here nobody protects it.
    h.request("DELETE", f"{POD_GROUPS}/train")
    make(h, "train", gang=None)
    h.restart_machine()
    h.advance(5)
    assert (h.gangs(), bound(h)) == ({"podgroup-train": "Running"}, ["w-0", "w-1", "w-2"])


def test_pods_above_the_count_wait_until_a_slot_of_the_gang_is_free() -> None:
    h = site()
    make(h, "train", gang=2)
    pods(h, "w-0", "w-1", "w-2")
    h.until(lambda: h.phase("podgroup-train") == "Running")
    h.advance(5)
    assert bound(h) == ["w-0", "w-1"]
    h.request("DELETE", "/api/v1/namespaces/default/pods/w-0")
    h.until(lambda: bound(h) == ["w-1", "w-2"])


def test_pods_of_a_basic_group_are_each_by_themselves_also_if_it_comes_after_them() -> None:
    h = site()
    pods(h, "a")
    h.settle()
    assert set(h.gangs()) == {"podgroup-train"}
    make(h, "train", gang=None)
    pods(h, "b")
    h.until(lambda: h.phase("pod-a") == "Running" and h.phase("pod-b") == "Running")
    assert bound(h) == ["a", "b"]
    status = h.gang("podgroup-train")["status"]
    assert (status["phase"], status["message"]) == (
        "Pending",
        "its PodGroup is no gang: its pods queue each by itself, and this Gang is collected after them",
    )
    for name in "ab":
        h.request("DELETE", f"/api/v1/namespaces/default/pods/{name}")
    h.settle()
    assert h.gangs() == {}


@pytest.mark.parametrize(
    "said",
    [{"labels": {GANG_LABEL: "own"}, "annotations": {GANG_SIZE: "1"}}, {"annotations": {GANG_SIZE: "1"}}],
)
def test_what_a_pod_says_of_its_gang_itself_goes_before_its_pod_group(said: dict[str, Any]) -> None:
    h = site()
    make(h, "train", gang=9)
    pods(h, "a", **said)
    h.until(lambda: bound(h) == ["a"])
    assert h.gangs() == {f"pod-{'own' if 'labels' in said else 'a'}": "Running"}


def test_they_are_no_gang_where_pod_groups_are_not_to_be_read() -> None:
    h = site(settings=MachineSettings(validate=True, pod_groups=False))
    pods(h, "a")
    h.until(lambda: h.gangs() == {"pod-a": "Running"})
