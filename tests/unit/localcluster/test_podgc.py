"""When the pod garbage collector looks, and how many ended pods it lets stay; the rest is held by recordings."""

from __future__ import annotations

from typing import Any

from rackplane.localcluster import LocalCluster

START = 1_700_000_000.0
PODS = "/api/v1/namespaces/default/pods"
NODE = "/api/v1/nodes/n"


class Clock:
    now = START

    def __call__(self) -> float:
        return self.now


def cluster(**options: Any) -> tuple[LocalCluster, Clock]:
    clock = Clock()
    made = LocalCluster(clock=clock, **options)
    made.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    return made, clock


def pod(made: LocalCluster, name: str, *, node: str = "n", status: dict[str, Any] | None = None) -> None:
    spec = {"nodeName": node, "containers": [{"name": "main", "image": "train:1"}]}
    made.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    if status is not None:
        patch = {"content_type": "application/merge-patch+json"}
        made.request("PATCH", f"{PODS}/{name}/status", {"status": status}, **patch)
    made.settle()


def names(made: LocalCluster) -> list[str]:
    made.settle()
    return [found["metadata"]["name"] for found in made.store.items(("", "pods"))]


def gone_after(deleted_at: float) -> float:
    """Seconds from the deletion of a node until its pod is gone."""
    made, clock = cluster()
    pod(made, "a")
    clock.now = START + deleted_at
    made.request("DELETE", NODE)
    while names(made):
        clock.now += 0.5
    return clock.now - START - deleted_at


def test_a_pod_outlives_its_node_by_40_to_60_seconds() -> None:
    assert [gone_after(seconds) for seconds in (0.0, 0.5, 10.0, 19.5)] == [60.0, 59.5, 50.0, 40.5]


def test_it_says_when_it_looks_next_and_nothing_while_there_is_nothing_to_look_for() -> None:
    made, clock = cluster()
    pod(made, "a")
    assert made.pods.next_wake() is None
    clock.now = START + 7
    made.request("DELETE", NODE)
    wakes = []
    while (wake := made.pods.next_wake()) is not None:
        wakes.append(wake - START)
        clock.now = wake
        made.settle()
    # The node is missed at 20 s and its pod deleted at 60 s; that the name was put aside once more ends at 100 s.
    assert wakes == [20.0, 40.0, 60.0, 80.0, 100.0]
    assert names(made) == []


def test_a_clock_that_is_set_back_does_not_keep_it_waiting() -> None:
    made, clock = cluster()
    pod(made, "a")
    made.request("DELETE", NODE)
    clock.now = START - 86_400
    made.settle()
    clock.now += 60
    assert names(made) == []


def test_of_too_many_ended_pods_those_that_a_kubelet_evicted_go_first_and_then_the_oldest() -> None:
    made, clock = cluster(terminated_pods=3)
    for name in ("oldest", "older", "runs", "young", "youngest"):
        pod(made, name, status={"phase": "Running" if name == "runs" else "Succeeded"})
        clock.now += 1
    pod(made, "evicted", status={"phase": "Failed", "reason": "Evicted"})
    clock.now = START + 19
    assert len(names(made)) == 6
    clock.now = START + 20
    assert names(made) == ["older", "runs", "young", "youngest"]
    clock.now += 3_600
    assert len(names(made)) == 4
    assert made.pods.next_wake() is None


def test_with_a_threshold_of_zero_all_ended_pods_stay() -> None:
    made, clock = cluster(terminated_pods=0)
    for name in "abc":
        pod(made, name, status={"phase": "Failed"})
    clock.now += 3_600
    assert names(made) == ["a", "b", "c"]
