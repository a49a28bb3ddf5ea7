"""A node is lost under a gang that runs: its slots go to other nodes of the domain, or the gang moves, or waits."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rackplane.api.labels import COMPLETION_INDEX, MIN_SLOTS, ON_NODE_LOSS, POWER_CAP_WATTS
from rackplane.core.events import FailureReason, PodChanged, WriteFailed
from rackplane.core.instructions import EvictPod
from rackplane.core.objects import Pod
from rackplane.core.settings import MachineSettings
from rackplane.localcluster.store import DELETED, Change
from tests.support.harness import GPU, STRATEGIC, Harness, facility, started

DOMAIN = {"rackplane.dev/required-topology": "nvlink"}
GRACE = 30
#: the Job controller waits so long after a pod that failed, then the next one starts
AGAIN = 12


def hall(*, spares: int = 1, **options: Any) -> Harness:
    """Two racks of four nodes of four GPUs, each an NVLink domain that keeps spares."""
    objects = facility(racks=2, **{k: options.pop(k) for k in ("rack_watts", "nodes") if k in options})
    for each in objects:
        if each["kind"] == "NVLinkDomain":
            each["spec"]["spareNodes"] = spares
    return started(objects, **options)


def on(h: Harness, job: str) -> dict[int, str]:
    """Node of each index of the Job whose pod runs and is not on its way out."""
    return {
        int(p["metadata"]["annotations"][COMPLETION_INDEX]): p["spec"]["nodeName"]
        for p in h.pods_of(job)
        if p.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]
    }


def nodes_of(h: Harness, gang: str) -> list[str]:
    return [n for g in h.gang(gang)["status"].get("assignment", ()) for n in g["nodes"]]


def said(h: Harness, gang: str, kind: str = "NodesReady") -> tuple[str, str, str] | None:
    conditions = h.gang(gang)["status"].get("conditions", ())
    found = [c for c in conditions if c["type"] == kind]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None


def events(h: Harness, reason: str) -> list[str]:
    return [e.message for e in h.told if e.reason == reason and e.kind == "Gang"]


def not_failed(h: Harness, job: str) -> None:
    conditions = h.get("batch", "jobs", job)["status"].get("conditions", ())
    assert not [c for c in conditions if c["type"] in ("Failed", "FailureTarget")], conditions


def ended(h: Harness, node: str) -> None:
    """The pod garbage collector has heard that the node is out of service: it does what it does then."""
    for pod in h.pods():
        if pod["spec"].get("nodeName") == node and "deletionTimestamp" in pod["metadata"]:
            path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
            why = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
            h.request(
                "PATCH", f"{path}/status", {"status": {"phase": "Failed", "conditions": [why]}}, STRATEGIC
            )
            h.request("DELETE", path, {"gracePeriodSeconds": 0})
    h.settle()


def spec(h: Harness, node: str, **fields: Any) -> None:
    h.patch(f"/api/v1/nodes/{node}", {"spec": fields})
    h.settle()


def status(h: Harness, node: str, **fields: Any) -> None:
    h.request("PATCH", f"/api/v1/nodes/{node}/status", {"status": fields}, STRATEGIC)
    h.settle()


@pytest.mark.parametrize("answers_first", [True, False])
def test_a_spare_of_the_same_domain_takes_the_slot_and_the_job_does_not_fail(answers_first: bool) -> None:
    h = hall(answers_first=answers_first)
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    before = on(h, "a")
    assert before == {0: "r1-n0", 1: "r1-n1", 2: "r1-n2"}
    h.node_ready("r1-n1", False)
    h.advance(5)
    text = f"node r1-n1 (slot 1) is not ready; after {GRACE} s another node takes its place"
    assert said(h, "job-a") == ("False", "NodeLost", text)
    assert on(h, "a") == before
    h.advance(GRACE + AGAIN)
    assert on(h, "a") == {**before, 1: "r1-n3"}
    assert nodes_of(h, "job-a") == ["r1-n0", "r1-n3", "r1-n2"]
    gang = h.gang("job-a")["status"]
    words = "runs with all 3 slots: slot 1 goes from node r1-n1 to r1-n3"
    assert (gang["phase"], gang["message"], gang.get("slots")) == ("Running", words, 3)
    assert said(h, "job-a") == ("True", "Sound", "no node is lost under the gang")
    assert events(h, "NodesReplaced") == ["node r1-n1 (slot 1) is not ready; slot 1 goes to node r1-n3"]
    # Nobody says that its pod there is gone, so its watts count, under the cap that is kept.
    state = h.machine.state
    assert state is not None
    assert state.left_nodes() == {"r1-n1": ("MaxP", 4)}
    assert h.get("", "nodes", "r1-n1", "")["metadata"]["annotations"][POWER_CAP_WATTS] == "5000"
    assert gang["reservedNominalWatts"] == 12_000
    assert h.machine.tally.repaired == {("research", "swapped"): 1}
    assert h.get("batch", "jobs", "a")["status"]["active"] == 3
    not_failed(h, "a")
    h.restart_machine()
    h.settle()
    assert h.machine.state is not None and h.machine.state.left_nodes() == {"r1-n1": ("MaxP", 4)}
    h.node_ready("r1-n1", True)
    h.advance(30)
    assert h.machine.state.left_nodes() == {}
    assert POWER_CAP_WATTS not in h.get("", "nodes", "r1-n1", "")["metadata"].get("annotations", {})
    assert on(h, "a") == {**before, 1: "r1-n3"}


def test_a_node_that_comes_back_in_time_changes_nothing() -> None:
    h = hall()
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    before, decision = on(h, "a"), h.gang("job-a")["status"]["decision"]
    h.node_ready("r1-n1", False)
    h.advance(GRACE - 2)
    h.node_ready("r1-n1", True)
    h.advance(GRACE)
    assert (on(h, "a"), h.gang("job-a")["status"]["decision"]) == (before, decision)
    assert said(h, "job-a") == ("True", "Sound", "no node is lost under the gang")


def test_several_nodes_at_once() -> None:
    h = hall(spares=2)
    h.job("a", slots=2, run=None, annotations=DOMAIN)
    h.job("b", slots=2, run=None, annotations=DOMAIN)
    h.settle()
    h.node_ready("r1-n1", False)
    h.advance(GRACE - 10)
    h.job("c", slots=1, run=None, annotations=DOMAIN)
    h.settle()
    assert nodes_of(h, "job-c") == [], "spares are kept free"
    h.advance(10 + AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n2"}


def test_two_lost_nodes_of_a_gang_are_replaced_together() -> None:
    h = hall(spares=2, nodes=5)
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    h.node_ready("r1-n0", False)
    h.node_ready("r1-n2", False)
    h.advance(GRACE + 2 * AGAIN)
    assert on(h, "a") == {0: "r1-n3", 1: "r1-n1", 2: "r1-n4"}
    assert len(h.commits) == 2
    not_failed(h, "a")


def test_without_room_in_the_domain_the_whole_gang_moves_and_keeps_its_age() -> None:
    h = hall(spares=0)
    h.job("a", slots=4, run=None, annotations=DOMAIN)
    h.settle()
    assert nodes_of(h, "job-a") == [f"r1-n{n}" for n in range(4)]
    since = h.gang("job-a")["status"]["submittedAt"]
    h.node_ready("r1-n1", False)
    h.advance(GRACE + 5)
    assert nodes_of(h, "job-a") == [f"r2-n{n}" for n in range(4)]
    assert set(on(h, "a").values()) == {f"r2-n{n}" for n in range(4)}
    assert h.gang("job-a")["status"]["submittedAt"] == since
    assert events(h, "NodeLost")[-1] == (
        "node r1-n1 (slot 1) is not ready; the whole gang moves: no other node of the NVLink domain can take that"
    )
    assert not h.get("batch", "jobs", "a")["status"].get("failed")
    assert h.machine.tally.repaired == {("research", "moved"): 1}
    # The pod on the node that does not answer is not gone, and counts.
    assert h.machine.state is not None
    assert h.machine.state.left_nodes() == {"r1-n1": ("MaxP", 4)}
    ended(h, "r1-n1")
    assert h.machine.state.left_nodes() == {}


def test_without_any_room_it_queues_before_who_came_later() -> None:
    h = hall(spares=0)
    h.job("a", slots=4, run=None, annotations=DOMAIN)
    h.job("other", slots=4, run=100, annotations=DOMAIN)
    h.settle()
    h.advance(10)
    h.job("later", slots=4, run=None, annotations=DOMAIN)
    h.settle()
    h.node_ready("r1-n1", False)
    h.advance(GRACE + 5)
    assert (h.phase("job-a"), h.gang("job-a")["status"]["position"]) == ("Pending", 1)
    h.advance(80)
    assert set(nodes_of(h, "job-a")) == {f"r2-n{n}" for n in range(4)}
    assert h.phase("job-later") == "Pending"


@pytest.mark.parametrize(
    ("policy", "after", "then"),
    [
        ("Wait", {0: "r1-n0", 1: "r1-n1"}, "it waits for the node"),
        ("restart", {0: "r1-n0", 1: "r1-n2"}, f"after {GRACE} s the whole gang moves"),
        ("swap", {0: "r1-n0", 1: "r1-n2"}, f"after {GRACE} s another node takes its place"),
    ],
)
def test_its_user_says_what_becomes_of_it(policy: str, after: dict[int, str], then: str) -> None:
    h = hall(spares=0)
    h.job("a", slots=2, run=None, annotations={**DOMAIN, ON_NODE_LOSS: policy})
    h.settle()
    first = h.gang("job-a")["status"]["decision"]["id"]
    h.node_ready("r1-n1", False)
    h.advance(3)
    assert said(h, "job-a") == ("False", "NodeLost", f"node r1-n1 (slot 1) is not ready; {then}")
    h.advance(GRACE + AGAIN)
    assert on(h, "a") == after
    failed = h.get("batch", "jobs", "a")["status"].get("failed", 0)
    assert failed == (1 if policy == "swap" else 0)
    assert (h.gang("job-a")["status"]["decision"]["id"] == first) is (policy == "Wait")
    h.node_ready("r1-n1", True)
    h.advance(5)
    assert on(h, "a") == after
    moved = ("True", "Moves", "the gang moves as a whole")
    sound = ("True", "Sound", "no node is lost under the gang")
    assert said(h, "job-a") == (moved if policy == "restart" else sound)


def test_an_annotation_that_says_none_of_the_three_is_refused_in_words() -> None:
    h = hall()
    h.job("a", slots=2, annotations={ON_NODE_LOSS: "swapp"})
    h.settle()
    assert h.gang("job-a")["status"]["message"] == (
        'metadata.annotations[rackplane.dev/on-node-loss]: is "swapp", which is none of the three. '
        "Write one of Wait, Swap, Restart."
    )


# -- what loses a node -----------------------------------------------------------------------------------


def test_a_deleted_node_draws_nothing_any_more_and_its_slot_goes_to_another() -> None:
    h = hall()
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    h.down.add("r1-n1")
    h.request("DELETE", "/api/v1/nodes/r1-n1", {})
    h.advance(GRACE + AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n3", 2: "r1-n2"}
    state = h.machine.state
    assert state is not None and state.left_nodes() == {}
    # 2 kW of its own, 3 nodes that are there at 5 kW.
    assert state.nominal[state.facility.rack_index["r1"]] == 17_000
    not_failed(h, "a")


def disruptions(h: Harness, pod: str) -> list[tuple[str, str]]:
    """Phase of the pod and why it is disrupted, at each change from now on."""
    seen: list[tuple[str, str]] = []

    def note(change: Change) -> None:
        if change.resource == ("", "pods") and change.name == pod and change.type != DELETED:
            found = change.object["status"]
            reasons = [c["reason"] for c in found.get("conditions", ()) if c["type"] == "DisruptionTarget"]
            now = (found["phase"], *(reasons or [""]))
            if seen[-1:] != [now]:
                seen.append(now)

    h.cluster.store.subscribe(note)
    return seen


def pod_on(h: Harness, node: str) -> str:
    (name,) = [p["metadata"]["name"] for p in h.pods() if p["spec"].get("nodeName") == node]
    return str(name)


def test_the_pod_of_a_deleted_node_is_evicted_with_the_swap_and_ended_by_the_pod_garbage_collector() -> None:
    h = hall()
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    old = pod_on(h, "r1-n1")
    seen = disruptions(h, old)
    h.down.add("r1-n1")
    h.request("DELETE", "/api/v1/nodes/r1-n1", {})
    h.advance(5)
    text = f"node r1-n1 (slot 1) is gone; after {GRACE} s another node takes its place"
    assert said(h, "job-a") == ("False", "NodeLost", text)
    h.advance(GRACE + AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n3", 2: "r1-n2"}
    assert seen == [("Running", "EvictionByEvictionAPI")]
    assert pod_on(h, "r1-n1") == old
    h.advance(60 - 5 - GRACE - AGAIN)
    assert seen == [("Running", "EvictionByEvictionAPI"), ("Failed", "DeletionByPodGC")]
    assert [p for p in h.pods() if p["metadata"]["name"] == old] == []
    h.advance(60)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n3", 2: "r1-n2"}
    not_failed(h, "a")


@pytest.mark.parametrize("ignored", [True, False])
def test_who_waits_for_a_deleted_node_loses_its_pod_there_after_a_minute_all_the_same(ignored: bool) -> None:
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    policy: dict[str, Any] = {"podFailurePolicy": {"rules": [rule]}} if ignored else {}
    h = hall(spares=0)
    h.job("a", slots=2, run=None, annotations={**DOMAIN, ON_NODE_LOSS: "Wait"}, **policy)
    h.settle()
    seen = disruptions(h, pod_on(h, "r1-n1"))
    h.down.add("r1-n1")
    h.request("DELETE", "/api/v1/nodes/r1-n1", {})
    h.advance(39)
    assert (seen, on(h, "a")) == ([], {0: "r1-n0", 1: "r1-n1"})
    h.advance(21 + AGAIN)
    assert (seen, on(h, "a")) == ([("Failed", "DeletionByPodGC")], {0: "r1-n0"})
    assert h.get("batch", "jobs", "a")["status"].get("failed", 0) == (0 if ignored else 1)
    assert len([p for p in h.pods_of("a") if p["spec"].get("schedulingGates")]) == 1
    not_failed(h, "a")


def test_a_node_that_is_out_of_service_gives_its_watts_back_when_its_pods_are_ended() -> None:
    h = hall()
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    old = pod_on(h, "r1-n1")
    seen = disruptions(h, old)
    h.node_ready("r1-n1", False)
    spec(h, "r1-n1", taints=[{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}])
    h.advance(1)
    assert nodes_of(h, "job-a") == ["r1-n0", "r1-n3", "r1-n2"]  # nothing is waited for
    h.advance(20)
    assert seen == [("Running", "EvictionByEvictionAPI"), ("Failed", "EvictionByEvictionAPI")]
    assert h.machine.state is not None and h.machine.state.left_nodes() == {}
    assert POWER_CAP_WATTS not in h.get("", "nodes", "r1-n1", "")["metadata"].get("annotations", {})
    h.advance(AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n3", 2: "r1-n2"}
    not_failed(h, "a")


def test_a_pod_whose_node_is_gone_waits_until_the_node_is_back() -> None:
    h = hall(spares=0)
    h.job("a", slots=2, run=None, annotations={**DOMAIN, ON_NODE_LOSS: "Wait"})
    h.settle()
    node = h.get("", "nodes", "r1-n1", namespace="")
    h.request("DELETE", "/api/v1/nodes/r1-n1", {})
    (pod,) = [p["metadata"]["name"] for p in h.pods_of("a") if p["spec"].get("nodeName") == "r1-n1"]
    h.request("DELETE", f"/api/v1/namespaces/default/pods/{pod}", {"gracePeriodSeconds": 0})
    h.advance(GRACE + AGAIN)
    assert on(h, "a") == {0: "r1-n0"}
    assert len([p for p in h.pods_of("a") if p["spec"].get("schedulingGates")]) == 1
    meta = {"name": "r1-n1", "labels": node["metadata"]["labels"]}
    h.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": node["spec"], "status": node["status"]}
    )
    h.advance(AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n1"}


def test_broken_accelerators_lose_a_node_that_still_answers() -> None:
    h = hall()
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    status(h, "r1-n1", allocatable={GPU: "3"})
    h.advance(2)
    assert said(h, "job-a") == (
        "False",
        "NodeLost",
        f"node r1-n1 (slot 1) offers 3 {GPU}, and its pods hold 4; after {GRACE} s another node takes its place",
    )
    h.advance(GRACE + AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n3", 2: "r1-n2"}
    assert h.machine.state is not None and h.machine.state.left_nodes() == {}


def test_a_condition_that_the_settings_name_loses_a_node_and_keeps_gangs_from_it() -> None:
    named = (("GpuHealthy", "False"),)
    h = hall(spares=0, settings=MachineSettings(validate=True, lost_node_conditions=named))
    h.job("a", slots=2, run=None, annotations=DOMAIN)
    h.settle()
    status(h, "r1-n1", conditions=[{"type": "GpuHealthy", "status": "False", "reason": "Xid79"}])
    h.advance(GRACE + AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n2"}
    assert events(h, "NodesReplaced") == [
        "node r1-n1 (slot 1) has condition GpuHealthy=False; slot 1 goes to node r1-n2"
    ]
    h.job("b", slots=2, run=None, annotations=DOMAIN)
    h.settle()
    assert nodes_of(h, "job-b") == ["r2-n0", "r2-n1"]


@pytest.mark.parametrize(
    ("toleration", "stays"),
    [
        (None, False),
        ({"key": "broken", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}, False),
        ({"key": "broken", "operator": "Exists", "effect": "NoExecute"}, True),
    ],
)
def test_a_taint_that_evicts_loses_the_node_to_whom_it_evicts(
    toleration: dict[str, Any] | None, stays: bool
) -> None:
    h = hall()
    template = {"tolerations": [toleration]} if toleration else {}
    h.job("a", slots=2, run=None, annotations=DOMAIN, template=template)
    h.settle()
    ours = {"key": "rackplane.dev/managed", "effect": "NoSchedule"}
    spec(h, "r1-n1", taints=[ours, {"key": "broken", "value": "psu", "effect": "NoExecute"}])
    h.advance(GRACE + AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n1" if stays else "r1-n2"}
    assert (said(h, "job-a") is None) is stays


def test_where_most_nodes_fall_silent_at_once_nothing_is_stopped() -> None:
    h = hall(spares=0)
    h.job("a", slots=4, run=None, annotations=DOMAIN)
    h.settle()
    before = nodes_of(h, "job-a")
    for node in (*before, "r2-n0"):
        status(h, node, conditions=[{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}])
    h.advance(GRACE + 60, step=5)
    assert (h.phase("job-a"), nodes_of(h, "job-a")) == ("Running", before)
    found = said(h, "job-a")
    assert found is not None and found[2].endswith(
        "most nodes are not ready, which no loss of nodes explains: nothing is done before that is over"
    )
    for node in (*before[1:], "r2-n0"):
        status(h, node, conditions=[{"type": "Ready", "status": "True", "reason": "KubeletReady"}])
    h.advance(10)
    assert {n[:2] for n in nodes_of(h, "job-a")} == {"r2"}


def test_a_node_that_somebody_says_is_out_of_service_is_not_waited_for() -> None:
    h = hall()
    h.job("a", slots=2, run=None, annotations=DOMAIN)
    h.settle()
    h.node_ready("r1-n1", False)
    taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
    spec(h, "r1-n1", taints=[taint])
    h.advance(2)
    assert nodes_of(h, "job-a") == ["r1-n0", "r1-n2"]


# -- the Job's own rules -----------------------------------------------------------------------------------


def rule(action: str, **on: Any) -> dict[str, Any]:
    return {"rules": [{"action": action, **on}]}


DISRUPTED = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
CODES = {"onExitCodes": {"operator": "NotIn", "values": [0, 42]}}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"backoffLimit": 0}, "spec.backoffLimit is 0, so the Job fails when one pod is evicted"),
        (
            {"podFailurePolicy": rule("FailJob", **DISRUPTED)},
            "spec.podFailurePolicy.rules[0] fails the Job when a pod is evicted",
        ),
        (
            {"podFailurePolicy": rule("FailJob", **CODES)},
            "spec.podFailurePolicy.rules[0] fails the Job when a pod is evicted",
        ),
        (
            {"backoffLimitPerIndex": 0},
            "spec.backoffLimitPerIndex is 0, so an index whose pod is evicted has failed",
        ),
        (
            {"backoffLimitPerIndex": 3, "podFailurePolicy": rule("FailIndex", **DISRUPTED)},
            "spec.podFailurePolicy.rules[0] fails its index when a pod is evicted",
        ),
    ],
)
def test_a_job_that_one_lost_pod_would_fail_is_warned_and_moves_as_a_whole(
    fields: dict[str, Any], why: str
) -> None:
    h = hall()
    h.job("a", slots=2, run=None, annotations=DOMAIN, **fields)
    h.settle()
    found = said(h, "job-a", "SurvivesPodLoss")
    assert found is not None and found[:2] == ("False", "OneLostPodIsFatal")
    assert found[2].startswith(
        f"one lost pod is fatal: Job a, {why}. If a node is lost, the whole gang moves"
    )
    assert events(h, "OneLostPodIsFatal") == [found[2]]
    h.down.add("r1-n1")
    status(h, "r1-n1", conditions=[{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}])
    h.advance(GRACE + 5)
    assert h.phase("job-a") in ("Running", "Stopping", "Admitted")
    assert events(h, "NodeLost")[-1].startswith(
        "node r1-n1 (slot 1) is not ready; the whole gang moves: its pods cannot be replaced one by one"
    )
    not_failed(h, "a")
    ended(h, "r1-n1")
    h.advance(10)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n2"}
    assert not h.get("batch", "jobs", "a")["status"].get("failed")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"backoffLimit": 0, "podFailurePolicy": rule("Ignore", **DISRUPTED)},
        {"backoffLimitPerIndex": 1},
        {"podFailurePolicy": rule("FailJob", onExitCodes={"operator": "In", "values": [42]})},
        {"backoffLimit": 0, "annotations": {**DOMAIN, ON_NODE_LOSS: "Restart"}},
    ],
)
def test_a_job_that_gets_over_one_lost_pod_is_not_warned(fields: dict[str, Any]) -> None:
    h = hall()
    h.job("a", slots=2, run=None, **{"annotations": DOMAIN, **fields})
    h.settle()
    assert h.phase("job-a") == "Running"
    assert said(h, "job-a", "SurvivesPodLoss") is None


def test_a_job_whose_failures_are_nearly_used_up_moves_as_a_whole() -> None:
    h = hall(spares=2)
    h.job("a", slots=2, run=None, annotations=DOMAIN, backoffLimit=1)
    h.settle()
    h.node_ready("r1-n1", False)
    h.advance(GRACE + AGAIN)
    assert (on(h, "a"), said(h, "job-a", "SurvivesPodLoss")) == ({0: "r1-n0", 1: "r1-n2"}, None)
    h.node_ready("r1-n0", False)
    h.advance(GRACE + AGAIN)
    not_failed(h, "a")
    assert h.machine.tally.repaired == {("research", "swapped"): 1, ("research", "moved"): 1}
    # The two that are lost are what the two spares stood for, so what is left of the rack may be used up.
    assert set(on(h, "a").values()) == {"r1-n2", "r1-n3"}


def test_a_job_that_replaces_only_what_has_ended_gets_its_pod_when_the_old_one_is_gone() -> None:
    h = hall()
    h.job("a", slots=2, run=None, annotations=DOMAIN, podReplacementPolicy="Failed")
    h.settle()
    h.node_ready("r1-n1", False)
    h.advance(GRACE + AGAIN)
    assert (nodes_of(h, "job-a"), on(h, "a")) == (["r1-n0", "r1-n2"], {0: "r1-n0"})
    ended(h, "r1-n1")
    h.advance(AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n2"}
    not_failed(h, "a")


def test_a_budget_that_refuses_the_eviction_is_told_and_asked_again() -> None:
    h = hall()
    h.apply(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "all", "namespace": "default"},
            "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "a"}}},
        }
    )
    h.job("a", slots=2, run=None, annotations=DOMAIN, pod_labels={"app": "a"})
    h.settle()
    status(h, "r1-n1", allocatable={GPU: "0"})
    h.advance(GRACE + 25)
    assert nodes_of(h, "job-a") == ["r1-n0", "r1-n2"]
    assert events(h, "EvictionRefused") == [
        "a pod on a lost node cannot be evicted: Cannot evict pod as it would violate the pod's disruption budget."
    ]
    h.request("DELETE", "/apis/policy/v1/namespaces/default/poddisruptionbudgets/all", {})
    h.advance(10 + AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n2"}


@pytest.mark.parametrize("reason", [FailureReason.GONE, FailureReason.CONFLICT])
def test_a_pod_that_is_gone_before_that_is_seen_is_not_evicted_again_and_again(reason: FailureReason) -> None:
    h = hall()
    h.job("a", slots=2, run=None, annotations=DOMAIN)
    h.settle()
    h.node_ready("r1-n1", False)
    h.advance(GRACE + AGAIN)
    (pod,) = [p for p in h.pods_of("a") if p["spec"].get("nodeName") == "r1-n1"]
    meta = {k: v for k, v in pod["metadata"].items() if not k.startswith("deletion")}
    evict = EvictPod("default", meta["name"], meta["uid"], "job-a")
    seen = PodChanged(msgspec.convert({**pod, "metadata": meta}, type=Pod))
    h.machine.handle(h.time.now, seen)
    again = h.machine.handle(h.time.now + 0.1, WriteFailed(evict, reason, "it is not there"))
    assert [each for each in again if isinstance(each, EvictPod)] == []


def test_bare_pods_are_told_that_nobody_makes_them_anew() -> None:
    h = hall()
    for i in range(2):
        labels = {"rackplane.dev/queue": "research", "rackplane.dev/gang": "g"}
        h.pod(f"p-{i}", gpus=4, labels=labels, annotations={"rackplane.dev/gang-size": "2"})
    h.settle()
    h.node_ready("r1-n1", False)
    h.advance(GRACE + 5)
    assert said(h, "pod-g") == (
        "False",
        "NodeLost",
        "node r1-n1 (slot 1) is not ready; its pods are in no Job, so nobody would make them anew: delete them and "
        "create them again",
    )
    assert h.phase("pod-g") == "Running"


# -- where it goes ------------------------------------------------------------------------------------------


def test_a_slot_of_a_segment_stays_in_the_domain_of_its_segment() -> None:
    h = hall()
    h.job("a", slots=6, run=None, annotations={"rackplane.dev/segment-size": "3"})
    h.settle()
    before = on(h, "a")
    assert {n.split("-")[0] for n in list(before.values())[:3]} == {"r1"}
    h.node_ready("r2-n1", False)
    h.advance(GRACE + AGAIN)
    slot = next(i for i, n in before.items() if n == "r2-n1")
    assert on(h, "a") == {**before, slot: "r2-n3"}


def test_where_the_old_watts_leave_no_room_it_waits_until_the_pod_is_gone() -> None:
    # 2 kW of its own, 4 nodes of 1 kW idle, 4 kW more for each that works: three work, and a fourth does not beside.
    h = hall(rack_watts=18_000)
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    h.node_ready("r1-n1", False)
    h.advance(GRACE + AGAIN)
    assert nodes_of(h, "job-a") == ["r1-n0", "r1-n1", "r1-n2"]
    assert [p["metadata"]["name"] for p in h.pods_of("a") if "deletionTimestamp" in p["metadata"]]
    ended(h, "r1-n1")
    h.advance(AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n3", 2: "r1-n2"}
    assert h.machine.state is not None and h.machine.state.violations() == []
    not_failed(h, "a")


def test_who_waits_too_long_for_a_pod_to_be_gone_moves_as_a_whole() -> None:
    h = hall(rack_watts=18_000)
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    h.node_ready("r1-n1", False)
    h.advance(GRACE + 310, step=5)
    assert set(on(h, "a").values()) == {"r2-n0", "r2-n1", "r2-n2"}
    not_failed(h, "a")


def test_a_replacement_that_waits_for_its_slot_goes_elsewhere_when_its_node_is_cordoned() -> None:
    h = hall()
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    h.patch("/api/v1/nodes/r1-n1", {"spec": {"unschedulable": True}})
    pod = next(p for p in h.pods_of("a") if p["spec"]["nodeName"] == "r1-n1")["metadata"]["name"]
    h.request("POST", f"/api/v1/namespaces/default/pods/{pod}/eviction", {"metadata": {"name": pod}})
    h.advance(AGAIN)
    assert on(h, "a") == {0: "r1-n0", 1: "r1-n3", 2: "r1-n2"}


def test_an_elastic_gang_takes_another_node_first_and_runs_with_fewer_where_there_is_none() -> None:
    h = hall(spares=0)
    h.job("other", slots=2, run=None)
    h.job("a", slots=5, run=None, completions=50, annotations={MIN_SLOTS: "3"})
    h.settle()
    free = {f"r{r}-n{n}" for r in (1, 2) for n in range(4)} - {*on(h, "a").values(), *on(h, "other").values()}
    lost = next(n for n in on(h, "a").values() if any(f.split("-")[0] == n.split("-")[0] for f in free))
    h.node_ready(lost, False)
    h.advance(GRACE + AGAIN)
    assert len(nodes_of(h, "job-a")) == 5 and lost not in nodes_of(h, "job-a")
    second = nodes_of(h, "job-a")[0]
    h.node_ready(second, False)
    h.advance(GRACE + AGAIN)
    gang = h.gang("job-a")["status"]
    assert (gang["phase"], gang["slots"]) == ("Running", 4)
    assert len(on(h, "a")) == 4
    assert h.machine.tally.repaired == {("research", "swapped"): 1, ("research", "shrunk"): 1}
    not_failed(h, "a")


# -- a former leader -----------------------------------------------------------------------------------------


def test_a_former_leaders_late_swap_is_taken_back_and_the_gang_runs_on() -> None:
    h = hall()
    h.job("a", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    before, decision = on(h, "a"), h.gang("job-a")["status"]["decision"]
    h.restart_machine()
    h.settle()
    groups = h.gang("job-a")["status"]["assignment"]
    late = [{**groups[0], "nodes": ["r1-n0", "r1-n3", "r1-n2"]}]
    late_id = {"id": "1-late", "term": 1, "time": decision["time"]}
    h.patch(
        "/apis/rackplane.dev/v1alpha1/namespaces/default/gangs/job-a/status",
        {"status": {"assignment": late, "decision": late_id}},
    )
    h.advance(5)
    assert nodes_of(h, "job-a") == ["r1-n0", "r1-n1", "r1-n2"]
    assert h.gang("job-a")["status"]["decision"]["id"] == decision["id"]
    assert on(h, "a") == before
    assert h.machine.state is not None
    assert h.machine.state.held("default/job-a") == dict(enumerate(before.values()))
