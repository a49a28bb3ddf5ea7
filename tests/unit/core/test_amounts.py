"""What a pod takes of a node, held to what a real kube-scheduler did with the same pods and nodes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rackplane.core.objects import Node, PodSpec
from rackplane.core.pods.podclass import PodClass, held_by
from tests.conformance import table

AREA = "scheduling_amounts"
RECORDED = table.load(AREA)


def told(about: str) -> tuple[Node, dict[str, PodSpec], dict[str, bool]]:
    """The node, the pods in order, and whether each was bound."""
    nodes: list[Any] = []
    pods: dict[str, Any] = {}
    bound: dict[str, bool] = {}
    for row in RECORDED[about]:
        request, answer = row["request"], row["answer"]
        path, body = request["path"], request.get("body")
        if path.endswith("/nodes"):
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            nodes.append({**body, "status": {**body["status"], **ready}})
        elif body is not None:
            pods[body["metadata"]["name"]] = body["spec"]
        else:
            bound[path.rpartition("/")[2]] = answer["object"]["node"] is not None
    [node] = nodes
    return (
        msgspec.convert(node, Node),
        {name: msgspec.convert(spec, PodSpec) for name, spec in pods.items()},
        bound,
    )


@pytest.mark.parametrize("about", sorted(RECORDED))
def test_a_node_takes_a_pod_if_a_real_scheduler_bound_it_there(about: str) -> None:
    node, pods, bound = told(about)
    used: dict[str, int] = {}
    found: dict[str, bool] = {}
    for name, spec in pods.items():
        found[name] = PodClass(spec).slots_on(node, used) > 0
        if found[name]:
            for what, amount in held_by(spec).items():
                used[what] = used.get(what, 0) + amount
    assert found == bound
    assert sorted(bound.values()) == [False, True]


def test_overhead_comes_on_top_of_everything() -> None:
    spec = msgspec.convert(
        {
            "containers": [{"resources": {"requests": {"cpu": "1"}}}],
            "initContainers": [{"resources": {"requests": {"cpu": "3"}}}],
            "overhead": {"cpu": "250m", "memory": "64Mi"},
        },
        PodSpec,
    )
    assert held_by(spec) == {"cpu": 3250, "memory": 64 * 2**20 * 1000, "pods": 1000}


def test_parts_of_a_unit_count_whole_but_of_cpu() -> None:
    spec = msgspec.convert(
        {"containers": [{"resources": {"requests": {"cpu": "100m", "memory": "1500m"}}}] * 2}, PodSpec
    )
    assert held_by(spec) == {"cpu": 200, "memory": 3000, "pods": 1000}
    odd = msgspec.convert(
        {"containers": [{"resources": {"requests": {"cpu": "100m", "memory": "1500m"}}}]}, PodSpec
    )
    assert held_by(odd) == {"cpu": 100, "memory": 2000, "pods": 1000}
