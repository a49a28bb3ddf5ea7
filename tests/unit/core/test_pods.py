"""What a pod asks for and what a node has left, as kube-scheduler counts them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rackplane.core.claims import ResourceClaim
from rackplane.core.objects import Node, PodSpec, Taint, Toleration
from rackplane.core.objects import Pod as PodObject
from rackplane.core.pods.pod import gpus, requests, tolerates
from rackplane.core.pods.podclass import PodClass
from rackplane.core.pods.usage import unmanaged_gpus

GPU = "nvidia.com/gpu"


def spec(**fields: Any) -> PodSpec:
    return msgspec.convert(fields, PodSpec)


def node(*, labels: dict[str, str] | None = None, ready: str = "True", **spec_fields: Any) -> Node:
    return msgspec.convert(
        {
            "metadata": {"name": "n1", "labels": labels or {}},
            "spec": spec_fields,
            "status": {
                "allocatable": {GPU: "4", "cpu": "8", "memory": "64Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": ready}],
            },
        },
        Node,
    )


def slots(of: Node, pod: PodSpec, used: dict[str, int] | None = None) -> int:
    return PodClass(pod).slots_on(of, used or {})


ONE_GPU = spec(containers=[{"resources": {"limits": {GPU: "1"}, "requests": {"cpu": "500m"}}}])


def test_containers_are_summed_and_the_largest_init_container_counts_if_it_asks_for_more() -> None:
    pod = spec(
        containers=[{"resources": {"requests": {"cpu": "1"}}}, {"resources": {"requests": {"cpu": "2"}}}],
        initContainers=[
            {"resources": {"requests": {"cpu": "1"}}, "restartPolicy": "Always"},
            {"resources": {"requests": {"cpu": "4"}}},
        ],
        overhead={"cpu": "250m"},
    )
    assert requests(pod) == {"cpu": 5_250}


def test_a_limit_without_a_request_is_the_request() -> None:
    assert gpus(ONE_GPU, GPU) == 1
    assert gpus(ONE_GPU, "amd.com/gpu") == 0


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(node(), 4, id="accelerators bound it"),
        pytest.param(node(ready="False"), 0, id="not ready"),
        pytest.param(node(unschedulable=True), 0, id="cordoned"),
        pytest.param(node(taints=[{"key": "x", "effect": "NoSchedule"}]), 0, id="taint"),
        pytest.param(node(taints=[{"key": "x", "effect": "PreferNoSchedule"}]), 4, id="preference"),
        pytest.param(
            node(taints=[{"key": "rackplane.dev/managed", "effect": "NoSchedule"}]), 4, id="our taint"
        ),
    ],
)
def test_a_node_takes_as_many_slots_as_the_scheduler_would_let_it(of: Node, expected: int) -> None:
    assert slots(of, ONE_GPU) == expected


def test_what_others_hold_is_not_free() -> None:
    assert slots(node(), ONE_GPU, {"cpu": 7_500, GPU: 1_000}) == 1
    assert slots(node(), ONE_GPU, {"pods": 110_000}) == 0


def test_selectors_and_required_affinity_must_match() -> None:
    wanted = spec(nodeSelector={"pool": "a"}, containers=[])
    assert slots(node(labels={"pool": "b"}), wanted) == 0
    assert slots(node(labels={"pool": "a"}), wanted) == 110
    terms = [{"matchExpressions": [{"key": "gen", "operator": "Gt", "values": ["3"]}]}]
    affine = spec(
        affinity={
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        }
    )
    assert slots(node(labels={"gen": "4"}), affine) == 110
    assert slots(node(labels={"gen": "3"}), affine) == 0
    assert slots(node(), affine) == 0


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        (Toleration(key="k", operator="Exists"), True),
        (Toleration(key="k", value="v"), True),
        (Toleration(key="k", value="other"), False),
        (Toleration(operator="Exists"), True),
        (Toleration(key="k", operator="Exists", effect="NoExecute"), False),
        (Toleration(key="other", operator="Exists"), False),
    ],
)
def test_a_toleration_matches_as_in_kubernetes(toleration: Toleration, expected: bool) -> None:
    assert tolerates([toleration], Taint(key="k", value="v", effect="NoSchedule")) is expected


def pod(**fields: Any) -> PodObject:
    return msgspec.convert({"metadata": {"name": "p", "namespace": "ns"}, **fields}, PodObject)


def claim(devices: int | None) -> ResourceClaim:
    results = [{"driver": "gpu.nvidia.com", "pool": "n1", "device": f"gpu-{i}"} for i in range(devices or 0)]
    status = {} if devices is None else {"allocation": {"devices": {"results": results}}}
    return msgspec.convert({"metadata": {"name": "c", "namespace": "ns"}, "status": status}, ResourceClaim)


CLAIMING = pod(spec={"nodeName": "n1", "resourceClaims": [{"name": "g", "resourceClaimName": "c"}]})


@pytest.mark.parametrize(
    ("pods", "known", "expected"),
    [
        pytest.param([], None, 0, id="nobody"),
        pytest.param(
            [pod(spec={"containers": [{"resources": {"limits": {GPU: "3"}}}]})], None, 3, id="by resource"
        ),
        pytest.param([CLAIMING], claim(2), 2, id="by claim"),
        pytest.param([CLAIMING, CLAIMING], claim(2), 2, id="a shared claim counts once"),
        pytest.param([CLAIMING], None, 4, id="a claim that is gone fills the node"),
        pytest.param([CLAIMING], claim(None), 4, id="a claim without allocation fills the node"),
        pytest.param(
            [pod(spec=CLAIMING.spec and {"nodeName": "n1"}, status={"phase": "Failed"})], None, 0, id="ended"
        ),
    ],
)
def test_gpus_of_pods_outside_every_gang(
    pods: list[PodObject], known: ResourceClaim | None, expected: int
) -> None:
    found = unmanaged_gpus(
        pods, resource=GPU, gpus_per_node=4, drivers=("gpu.nvidia.com",), claim=lambda _ns, _name: known
    )
    assert found == expected
