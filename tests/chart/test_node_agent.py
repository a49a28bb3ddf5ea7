"""What the accounts on the nodes may do, through kubectl on a real API server: tokens that name a node are its own."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chart.helm import NAMESPACE, find, render, run

KUBECONFIG = os.environ.get("RACKPLANE_TEST_KUBECONFIG", "")
APPLIED = "rackplane.dev/power-cap-applied-watts"
OBSERVED = "rackplane.dev/power-observed-watts"

pytestmark = [
    pytest.mark.real_cluster,
    pytest.mark.skipif(not KUBECONFIG, reason="RACKPLANE_TEST_KUBECONFIG names no cluster"),
]


def kubectl(*arguments: str, stdin: Any = None) -> tuple[int, str]:
    """Exit code, and what was said."""
    text = None if stdin is None else json.dumps(stdin)
    result = run("kubectl", "--kubeconfig", KUBECONFIG, *arguments, stdin=text)
    return result.returncode, result.stderr if result.returncode else result.stdout


class Agent:
    """Two Nodes, and the account of the agent, whose token is of the first."""

    def __init__(self, name: str, account: str) -> None:
        self.own, self.other = f"{name}-n0", f"{name}-n1"
        self._account = account

    def patch(self, node: str, patch: dict[str, Any], *, of: str | None = "own") -> str:
        """Why the API server refuses; nothing if it does not."""
        extra = (
            [] if of is None else ["--as-user-extra", f"authentication.kubernetes.io/node-name={self.own}"]
        )
        user = f"system:serviceaccount:{NAMESPACE}:{self._account}"
        code, text = kubectl(
            "patch", "node", node, "--type=merge", "-p", json.dumps(patch), "--as", user, *extra
        )
        return text if code else ""


def told(**values: str | None) -> dict[str, Any]:
    keys = {
        "applied": APPLIED,
        "observed": OBSERVED,
        "cap": "rackplane.dev/power-cap-watts",
        "foreign": "foreign",
    }
    return {"metadata": {"annotations": {keys[name]: value for name, value in values.items()}}}


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    yield from installed("node-agent", "nodeAgent")


@pytest.fixture(scope="module")
def plugin() -> Iterator[Agent]:
    yield from installed("device-plugin", "devicePlugin")


def installed(component: str, value: str) -> Iterator[Agent]:
    name = f"rackplane-agent-{uuid.uuid4().hex[:8]}"
    ours = [
        manifest
        for manifest in render({"fullnameOverride": name, value: {"enabled": True}})
        if manifest["metadata"]["name"] == f"{name}-{component}"
        and manifest["kind"] not in ("DaemonSet", "ServiceAccount")
    ]
    it = Agent(name, find(ours, "ClusterRoleBinding")["subjects"][0]["name"])
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node, "labels": {"l": "m"}, "annotations": {"foreign": "b"}},
        }
        for node in (it.own, it.other)
    ]
    everything = {"apiVersion": "v1", "kind": "List", "items": [*ours, *nodes]}
    try:
        code, text = kubectl("create", "-f", "-", stdin=everything)
        assert code == 0, text
        deadline = time.monotonic() + 30
        # Nothing reports when a new policy is in force: it is when it refuses.
        # Each time another value, for a patch that changes nothing is never refused.
        while not it.patch(it.own, told(foreign=uuid.uuid4().hex)):
            assert time.monotonic() < deadline, "the policy did not come into force within 30 s"
            time.sleep(0.2)
        yield it
    finally:
        kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=everything)


def test_it_writes_and_removes_its_two_annotations_on_its_own_node(agent: Agent) -> None:
    assert agent.patch(agent.own, told(applied="4800", observed="3000")) == ""
    assert agent.patch(agent.own, told(applied=None)) == ""


def test_it_writes_to_no_other_node_and_nobody_without_a_node_does(agent: Agent) -> None:
    refusal = "a node agent may change its own Node only"
    assert refusal in agent.patch(agent.other, told(applied="4800"))
    assert refusal in agent.patch(agent.own, told(applied="4800"), of=None)


@pytest.mark.parametrize(
    "patch",
    [
        told(cap="9000"),
        told(foreign=None),
        told(foreign="c"),
        {"metadata": {"labels": {"l": None}}},
        {"spec": {"unschedulable": True}},
        {"metadata": {"finalizers": ["example.com/mine"]}},
    ],
    ids=["the cap", "a foreign one removed", "a foreign one changed", "a label", "the spec", "a finalizer"],
)
def test_it_changes_nothing_else_of_its_node(agent: Agent, patch: dict[str, Any]) -> None:
    assert "a node agent may change nothing of its Node but" in agent.patch(agent.own, patch)


PRODUCT = "nvidia.com/gpu.product"


def test_a_device_plugin_labels_its_own_node_and_says_that_the_gpus_are_mocks(plugin: Agent) -> None:
    ours = {
        "metadata": {
            "labels": {PRODUCT: "NVIDIA-GB300"},
            "annotations": {"rackplane.dev/mock-gpus": "all 4 well"},
        }
    }
    gone = {"metadata": {"labels": {PRODUCT: None}, "annotations": {"rackplane.dev/mock-gpus": None}}}
    assert plugin.patch(plugin.own, ours) == ""
    assert plugin.patch(plugin.own, told(applied="4800", observed="3000")) == ""
    assert plugin.patch(plugin.own, gone) == ""
    assert "a device plugin may change its own Node only" in plugin.patch(plugin.other, ours)


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"labels": {"l": "n"}}},
        {"metadata": {"labels": {"l": None}}},
        {"metadata": {"labels": {PRODUCT: "NVIDIA-GB300", "rackplane.dev/rack": "r1"}}},
        {"metadata": {"annotations": {"rackplane.dev/fail-gpus": None, "foreign": "c"}}},
        {"spec": {"unschedulable": True}},
    ],
    ids=["a label changed", "a label removed", "its rack", "a foreign annotation", "the spec"],
)
def test_a_device_plugin_changes_nothing_else_of_its_node(plugin: Agent, patch: dict[str, Any]) -> None:
    refusal = (
        "a device plugin may change nothing of its Node but the labels nvidia.com/gpu.product, nvidia.com/gpu.count, "
        "nvidia.com/gpu.clique and the annotations rackplane.dev/mock-gpus, "
    )
    assert refusal in plugin.patch(plugin.own, patch)
