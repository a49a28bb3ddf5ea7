"""Gangs that another controller makes: decided like any other, started, stopped and ended by their maker."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from rackplane.core.gangs.lifecycle import reconcile
from rackplane.core.settings import MachineSettings
from tests.support.harness import GROUP, QUEUE, Harness, facility, started, thing

GANGS = "/apis/rackplane.dev/v1alpha1/namespaces/default/gangs"
FINISHED, STOPPED, GANG = f"{GROUP}/finished", f"{GROUP}/stopped", f"{GROUP}/gang"
ALL_TAINTS = {"operator": "Exists", "effect": "NoSchedule"}


def make(h: Harness, name: str, *, slots: int = 2, gpus: int = 4, **spec: Any) -> None:
    workload = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": name, "uid": f"uid-{name}"}
    spec = {"queue": "research", "workload": workload, "slots": slots, "gpusPerSlot": gpus, **spec}
    h.request("POST", GANGS, thing("Gang", name, **spec))


def note(h: Harness, name: str, key: str, value: str) -> None:
    h.patch(f"{GANGS}/{name}", {"metadata": {"annotations": {key: value}}})


def nodes(h: Harness, name: str) -> list[str]:
    return [n for group in h.gang(name)["status"].get("assignment", ()) for n in group["nodes"]]


def admitted(h: Harness, name: str) -> str | None:
    """The reason of the gang's condition Admitted, with a minus where it is False."""
    for c in h.gang(name)["status"].get("conditions", ()):
        if c["type"] == "Admitted":
            return f"{'' if c['status'] == 'True' else '-'}{c['reason']}"
    return None


def start_pods(h: Harness, name: str, *, gpus: int = 4, run: float | None = None) -> None:
    """As the maker does: a pod for each slot, on its node, with the name of the gang."""
    for slot, node in enumerate(nodes(h, name)):
        lasts = {} if run is None else {"localcluster.rackplane.dev/run-seconds": str(run)}
        h.pod(
            f"{name}-{slot}",
            gpus=gpus,
            labels={GANG: name},
            annotations=lasts,
            nodeSelector={"kubernetes.io/hostname": node},
            tolerations=[ALL_TAINTS],
        )


def test_it_gets_its_place_by_one_write_and_keeps_it_until_it_is_deleted() -> None:
    h = started(facility(racks=1))
    make(h, "ray", slots=4)
    h.settle()
    assert (h.phase("ray"), admitted(h, "ray")) == ("Admitted", "Placed")
    assert sorted(nodes(h, "ray")) == ["r1-n0", "r1-n1", "r1-n2", "r1-n3"]
    assert [c.name for c in h.commits] == ["ray"]
    version = h.gang("ray")["metadata"]["resourceVersion"]
    # No pod of it is needed, now or when others would have to have started; nor is it looked at as time passes.
    with patch("rackplane.core.machine.reconcile", wraps=reconcile) as looked_at:
        h.advance(2 * MachineSettings().start_seconds, step=60)
        assert looked_at.call_count == 0
    make(h, "next", slots=1)
    h.settle()
    assert (h.phase("ray"), h.phase("next")) == ("Admitted", "Pending")
    assert h.gang("next")["status"]["position"] == 1
    assert h.gang("ray")["metadata"]["resourceVersion"] == version
    h.request("DELETE", f"{GANGS}/ray")
    h.settle()
    assert h.phase("next") == "Admitted"


def test_its_maker_ends_it_with_an_annotation() -> None:
    h = started(facility(racks=1))
    for name in ("good", "bad"):
        make(h, name, slots=2)
    make(h, "third", slots=4)
    make(h, "never", slots=4)
    h.settle()
    note(h, "never", FINISHED, "true")
    note(h, "good", FINISHED, "Complete")
    note(h, "bad", FINISHED, "Failed")
    h.settle()
    assert h.gangs() == {"good": "Finished", "bad": "Failed", "third": "Admitted", "never": "Finished"}
    assert {n: h.gang(n)["status"]["message"] for n in ("good", "bad")} == {
        "good": "the RayCluster is complete",
        "bad": "the RayCluster failed",
    }
    # The decision on the third came while its position was being written: the commit waited for that.
    assert h.failures == []
    h.restart_machine()
    h.advance(3)
    assert h.gangs() == {"good": "Finished", "bad": "Failed", "third": "Admitted", "never": "Finished"}


def test_its_pods_count_once_and_no_more_of_them_than_it_has_gpus() -> None:
    h = started(facility(racks=1, nodes=2))
    make(h, "ray", slots=2, gpus=2)
    h.settle()
    where = nodes(h, "ray")
    assert where == ["r1-n0", "r1-n0"]
    start_pods(h, "ray", gpus=2)
    h.settle()
    make(h, "beside", slots=1, gpus=4)
    h.settle()
    # With the pods' GPUs on top of the gang's, the node would hold 8 of its 4.
    assert nodes(h, "beside") == ["r1-n1"]
    assert h.machine.state is not None
    assert h.machine.state.unmanaged_gpus("r1-n0") == 0
    # Deleted before its pods are gone: what they still hold is nobody else's.
    h.request("DELETE", f"{GANGS}/ray")
    h.settle()
    assert h.machine.state.unmanaged_gpus("r1-n0") == 4
    make(h, "late", slots=1, gpus=1)
    h.settle()
    assert h.phase("late") == "Pending"
    for slot in range(2):
        h.request("DELETE", f"/api/v1/namespaces/default/pods/ray-{slot}")
    h.settle()
    assert nodes(h, "late") == ["r1-n0"]


def test_a_pod_that_only_claims_to_be_of_the_gang_counts_as_anybodys() -> None:
    h = started(facility(racks=1, nodes=1))
    make(h, "ray", slots=1, gpus=1)
    h.settle()
    h.pod("own", gpus=1, labels={GANG: "ray"}, nodeName="r1-n0")
    h.pod("more", gpus=2, labels={GANG: "ray"}, nodeName="r1-n0")
    h.settle()
    assert h.machine.state is not None
    assert h.machine.state.unmanaged_gpus("r1-n0") == 2


def test_a_more_important_gang_stops_it_and_waits_until_its_maker_says_so() -> None:
    h = started(facility(racks=1))
    h.apply(thing("Queue", "research", preemption={"withinQueue": "LowerPriority"}))
    make(h, "low", slots=4)
    h.settle()
    submitted = h.gang("low")["metadata"]["creationTimestamp"]
    h.advance(5)
    make(h, "high", slots=4, priority=100)
    h.until(lambda: h.phase("low") == "Stopping", seconds=30)
    h.advance(20)
    assert (h.phase("low"), h.phase("high")) == ("Stopping", "Pending")
    status = h.gang("low")["status"]
    assert status["message"].startswith("stopped for gang default/high")
    # Of another decision: an old answer to an old question.
    note(h, "low", STOPPED, "0-0")
    h.advance(5)
    assert h.phase("low") == "Stopping"
    note(h, "low", STOPPED, status["decision"]["id"])
    h.until(lambda: h.phase("high") == "Admitted", seconds=10)
    assert h.phase("low") == "Pending"
    assert next(t.reason for t in h.told if t.name == "low" and t.warning) == "Preempted"
    note(h, "high", FINISHED, "true")
    h.until(lambda: h.phase("low") == "Admitted", seconds=10)
    # What it said of the first place says nothing of the second.
    h.advance(5)
    assert h.phase("low") == "Admitted"
    assert h.gang("low")["metadata"]["creationTimestamp"] == submitted


def test_quota_and_hold_bind_it() -> None:
    h = started(facility(racks=1))
    h.apply(thing("Queue", "research", quota={"gpus": 8}))
    make(h, "one", slots=2)
    make(h, "two", slots=1)
    h.settle()
    assert (h.phase("one"), h.phase("two"), admitted(h, "two")) == ("Admitted", "Pending", "-OverQuota")
    h.apply(thing("Queue", "research", quota={"gpus": 8}, hold=True))
    h.request("DELETE", f"{GANGS}/one")
    h.advance(3)
    assert h.phase("two") == "Pending"
    h.apply(thing("Queue", "research", quota={"gpus": 8}, hold=False))
    h.settle()
    assert h.phase("two") == "Admitted"


def test_kinds_of_pods_are_refused_and_so_is_what_fits_nowhere() -> None:
    h = started(facility(racks=1))
    group = {"name": "leader", "slots": 1, "gpusPerSlot": 4, "podClass": "x"}
    make(h, "mixed", slots=2, groups=[group, {**group, "name": "worker"}])
    make(h, "huge", slots=4_000)
    h.settle()
    assert h.gang("mixed")["status"]["message"].startswith("Gang mixed, spec.groups: ")
    assert h.gang("huge")["status"]["message"].startswith("Gang huge, spec.slots: ")
    assert {n: admitted(h, n) for n in ("mixed", "huge")} == {
        "mixed": "-InvalidRequest",
        "huge": "-DoesNotFit",
    }


def test_under_the_name_of_a_jobs_gang_it_is_its_makers_and_the_job_waits() -> None:
    h = started(facility(racks=1))
    make(h, "job-train", slots=1)
    h.job("train", slots=1, run=None)
    h.advance(3)
    assert h.phase("job-train") == "Admitted"
    assert h.gang("job-train")["spec"]["workload"]["kind"] == "RayCluster"
    h.request("DELETE", f"{GANGS}/job-train")
    h.until(lambda: h.phase("job-train") == "Running", seconds=10)
    assert h.gang("job-train")["spec"]["workload"]["kind"] == "Job"


def test_a_new_operator_finds_it_as_it_was() -> None:
    h = started(facility(racks=1))
    h.apply(thing("Queue", "research", preemption={"withinQueue": "LowerPriority"}))
    make(h, "low", slots=4)
    h.settle()
    start_pods(h, "low")
    h.settle()
    make(h, "high", slots=4, priority=100)
    h.until(lambda: h.phase("low") == "Stopping", seconds=30)
    h.restart_machine()
    h.advance(5)
    assert h.phase("low") == "Stopping"
    for slot in range(4):
        h.request("DELETE", f"/api/v1/namespaces/default/pods/low-{slot}")
    note(h, "low", STOPPED, h.gang("low")["status"]["decision"]["id"])
    h.until(lambda: h.phase("high") == "Admitted", seconds=10)
    assert h.machine.state is not None
    assert QUEUE not in h.gang("low")["metadata"].get("labels", {})


def test_its_maker_is_asked_to_stop_it_when_a_node_is_lost_and_it_is_placed_elsewhere() -> None:
    h = started(facility(racks=2))
    policies: dict[str, dict[str, Any]] = {"ray": {}, "waits": {"onNodeLoss": "Wait"}}
    for name, policy in policies.items():
        make(h, name, slots=2, topology={"required": "nvlink"}, **policy)
    h.settle()
    before = {name: nodes(h, name) for name in ("ray", "waits")}
    for name in before:
        start_pods(h, name)
        h.settle()
        h.node_ready(before[name][0], False)
    h.advance(40)
    assert (h.phase("ray"), admitted(h, "ray"), h.phase("waits")) == ("Stopping", "-NodeLost", "Admitted")
    assert h.gang("ray")["status"]["message"] == f"node {before['ray'][0]} (slot 0) is not ready"
    note(h, "ray", STOPPED, h.gang("ray")["status"]["decision"]["id"])
    h.settle()
    assert h.phase("ray") == "Admitted"
    assert not set(nodes(h, "ray")) & {before["ray"][0], before["waits"][0]}
    assert nodes(h, "waits") == before["waits"]
