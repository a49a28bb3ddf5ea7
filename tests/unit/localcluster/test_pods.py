"""Pods: gates, selectors, binding, deletion, and the scheduler that waits for them."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.localcluster import ApiError

PODS = "/api/v1/namespaces/default/pods"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
GATES = [{"name": "a/gate"}, {"name": "b/gate"}]


def patch(driver: Any, spec: dict[str, Any]) -> Any:
    return driver.do("PATCH", f"{PODS}/p", {"spec": spec}, STRATEGIC)


def refusal(driver: Any, spec: dict[str, Any]) -> str:
    with pytest.raises(ApiError) as caught:
        patch(driver, spec)
    assert caught.value.code == 422
    return str(caught.value.details["causes"][0]["field"])


def test_gate_selector_and_toleration_change_in_one_patch(driver: Any) -> None:
    driver.node("n1")
    driver.node("n2")
    pod = driver.pod("p", schedulingGates=GATES[:1])
    assert pod["status"]["conditions"][0]["reason"] == "SchedulingGated"
    tolerations = [*pod["spec"]["tolerations"], {"key": "rackplane.dev/managed", "operator": "Exists"}]
    change = {
        "nodeSelector": {"kubernetes.io/hostname": "n2"},
        "schedulingGates": [{"name": "a/gate", "$patch": "delete"}],
        "tolerations": tolerations,
    }
    patch(driver, change)
    bound = driver.do("GET", f"{PODS}/p")
    assert bound["spec"]["nodeName"] == "n2"
    assert "schedulingGates" not in bound["spec"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param(
            {"schedulingGates": [{"name": "c/gate"}]}, "spec.schedulingGates[0].name", id="gate-added"
        ),
        pytest.param({"nodeSelector": {"zone": "2"}}, "spec.nodeSelector", id="selector-changed"),
        pytest.param({"tolerations": []}, "spec.tolerations", id="tolerations-removed"),
        pytest.param({"priority": 5}, "spec", id="other-field"),
    ],
)
def test_a_gated_pod_takes_only_tightening(driver: Any, change: dict[str, Any], field: str) -> None:
    mine = [{"key": "mine", "operator": "Exists"}]
    driver.pod("p", schedulingGates=GATES, nodeSelector={"zone": "1"}, tolerations=mine)
    assert refusal(driver, change) == field


def test_a_selector_is_frozen_once_no_gate_is_left(driver: Any) -> None:
    driver.pod("p")
    assert refusal(driver, {"nodeSelector": {"zone": "1"}}) == "spec"


def test_foreign_gates_stay_and_keep_the_pod_from_binding(driver: Any) -> None:
    driver.node("n1")
    driver.pod("p", schedulingGates=GATES)
    pod = patch(driver, {"schedulingGates": [{"name": "a/gate", "$patch": "delete"}]})
    assert pod["spec"]["schedulingGates"] == GATES[1:]
    assert "nodeName" not in driver.do("GET", f"{PODS}/p")["spec"]


def test_two_pods_never_share_a_gpu(driver: Any) -> None:
    driver.node("n1", gpus=4)
    driver.pod("p", gpus=3)
    driver.pod("q", gpus=3)
    first, second = driver.pods()
    assert first["spec"]["nodeName"] == "n1"
    condition = second["status"]["conditions"][0]
    assert condition["reason"] == "Unschedulable"
    assert condition["message"].startswith("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    driver.end(first)
    assert driver.do("GET", f"{PODS}/q")["spec"]["nodeName"] == "n1"


def test_a_taint_keeps_out_who_does_not_tolerate_it(driver: Any) -> None:
    driver.node("n1", taints=[{"key": "rackplane.dev/managed", "effect": "NoSchedule"}])
    driver.pod("p")
    driver.pod("q", tolerations=[{"key": "rackplane.dev/managed", "operator": "Exists"}])
    first, second = driver.pods()
    assert "untolerated taint" in first["status"]["conditions"][0]["message"]
    assert second["spec"]["nodeName"] == "n1"


def test_a_bound_pod_is_not_bound_again(driver: Any) -> None:
    driver.node("n1")
    driver.pod("p")
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"name": "n1"}}
    with pytest.raises(ApiError) as caught:
        driver.do("POST", f"{PODS}/p/binding", binding)
    assert caught.value.code == 409


def test_a_bound_pod_terminates_gracefully_and_an_unbound_one_at_once(driver: Any) -> None:
    driver.pod("q", schedulingGates=GATES)
    driver.do("DELETE", f"{PODS}/q")
    driver.node("n1")
    driver.pod("p")
    pod = driver.do("DELETE", f"{PODS}/p")
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 30
    assert [item["metadata"]["name"] for item in driver.pods()] == ["p"]
    driver.do("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0})
    assert driver.pods() == []


def test_eviction_deletes(driver: Any) -> None:
    driver.pod("p", schedulingGates=GATES)
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    driver.do("POST", f"{PODS}/p/eviction", body)
    assert driver.pods() == []
