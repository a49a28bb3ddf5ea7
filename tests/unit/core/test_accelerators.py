"""Accelerators by ResourceClaim: what can be counted is counted, and what a claim leaves open is refused in words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rackplane.core.claims import ResourceClaim, ResourceClaimTemplate
from rackplane.core.objects import PodSpec
from rackplane.core.pods.accelerators import Accelerators
from rackplane.engine.model import Placement
from tests.support.harness import GPU, Harness, facility

AMD = "amd.com/gpu"
WHERE = "spec.resourceClaims"
OWN = [{"name": "gpu", "resourceClaimTemplateName": "devices"}]
CLASSES = {"gpu.nvidia.com": (GPU,), "gpu.amd.com": (AMD,), "gpu.any": (AMD, GPU)}


def request(name: str = "gpu", of: str = "gpu.nvidia.com", **exactly: Any) -> dict[str, Any]:
    return {"name": name, "exactly": {"deviceClassName": of, **exactly}}


def template(*requests: dict[str, Any], name: str = "devices") -> ResourceClaimTemplate:
    body = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"spec": {"devices": {"requests": list(requests)}}},
    }
    return msgspec.convert(body, ResourceClaimTemplate)


def claim(*requests: dict[str, Any]) -> ResourceClaim:
    body = {
        "metadata": {"name": "own", "namespace": "default"},
        "spec": {"devices": {"requests": list(requests)}},
    }
    return msgspec.convert(body, ResourceClaim)


def spec(*, gpus: int = 0, claims: list[dict[str, str]] = OWN) -> PodSpec:
    resources = {"requests": {GPU: str(gpus)}} if gpus else {}
    return msgspec.convert({"containers": [{"resources": resources}], "resourceClaims": claims}, PodSpec)


def accelerators(
    *templates: ResourceClaimTemplate, claims: list[ResourceClaim] | None = None
) -> Accelerators:
    return Accelerators(
        (AMD, GPU),
        CLASSES,
        {("default", t.metadata.name): t for t in templates},
        {("default", c.metadata.name): c for c in claims or []},
    )


def problems(known: Accelerators, of: PodSpec, slots: int = 2) -> list[str]:
    return [str(problem) for problem in known.problems(WHERE, "default", of, slots=slots)]


@pytest.mark.parametrize(
    ("requests", "counted"),
    [
        pytest.param([request(count=4)], (GPU, 4), id="a count"),
        pytest.param([request()], (GPU, 1), id="one by default"),
        pytest.param([request(count=2), request("more", count=2)], (GPU, 4), id="requests add up"),
        pytest.param([request(of="gpu.amd.com", count=8)], (AMD, 8), id="of another vendor"),
        pytest.param([request(count=4), request("net", of="nic.example.com")], (GPU, 4), id="a card beside"),
        pytest.param(
            [request(count=4), request("look", adminAccess=True)], (GPU, 4), id="one that only looks"
        ),
    ],
)
def test_devices_of_a_class_that_a_profile_names_count(
    requests: list[dict[str, Any]], counted: tuple[str, int]
) -> None:
    known = accelerators(template(*requests))
    assert known.of("default", spec()) == counted
    assert problems(known, spec()) == []


def test_a_claim_of_its_own_counts_for_a_pod_that_is_alone() -> None:
    known = accelerators(claims=[claim(request(count=2))])
    named = spec(claims=[{"name": "gpu", "resourceClaimName": "own"}])
    assert known.of("default", named) == (GPU, 2)
    assert problems(known, named, slots=1) == []
    assert problems(known, named, slots=3) == [
        "spec.resourceClaims names ResourceClaim default/own, whose accelerators the 3 pods of the gang would share. "
        "Use resourceClaimTemplateName, so that each pod gets a claim of its own."
    ]


def test_claims_of_other_devices_stay_beside_accelerators_by_resource() -> None:
    beside = spec(gpus=4)
    assert accelerators().of("default", beside) == (GPU, 4)
    assert problems(accelerators(), beside) == []
    assert problems(accelerators(template(request(of="nic.example.com"))), beside) == []


@pytest.mark.parametrize(
    ("requests", "gpus", "said"),
    [
        pytest.param(
            [{"name": "gpu", "firstAvailable": [{"name": "a", "deviceClassName": "gpu.nvidia.com"}]}],
            0,
            "names ResourceClaimTemplate default/devices, request gpu, which has firstAvailable, so which devices it "
            "will get is not known before a pod is bound. Write exactly, with one DeviceClass and a count.",
            id="alternatives",
        ),
        pytest.param(
            [request(allocationMode="All")],
            0,
            "names ResourceClaimTemplate default/devices, request gpu, which has allocationMode All, so how many "
            "devices it will get is not known. Write allocationMode ExactCount and a count.",
            id="all of them",
        ),
        pytest.param(
            [request(selectors=[{"cel": {"expression": "device.attributes['x'].y"}}])],
            0,
            "names ResourceClaimTemplate default/devices, request gpu, which selects among the accelerators of a node, "
            "and which of them are free is not looked at. Remove its selectors, and choose the nodes by nodeSelector "
            "or node affinity.",
            id="a selection",
        ),
        pytest.param(
            [request(capacity={"requests": {"memory": "10Gi"}})],
            0,
            "names ResourceClaimTemplate default/devices, request gpu, which asks for a part of an accelerator, and "
            "accelerators are counted whole. Remove its capacity.",
            id="a part",
        ),
        pytest.param(
            [request(), request("other", of="gpu.amd.com")],
            0,
            "asks for amd.com/gpu and for nvidia.com/gpu by claim, and a node has accelerators of one kind. Ask for "
            "devices of one kind, and name a DeviceClass in HardwareProfiles of one resourceName only.",
            id="two kinds",
        ),
        pytest.param(
            [request(of="gpu.any")],
            0,
            "asks for amd.com/gpu and for nvidia.com/gpu by claim, and a node has accelerators of one kind. Ask for "
            "devices of one kind, and name a DeviceClass in HardwareProfiles of one resourceName only.",
            id="a class of two kinds",
        ),
        pytest.param(
            [request()],
            4,
            "asks for accelerators by ResourceClaimTemplate default/devices beside nvidia.com/gpu in resources, and "
            "the same device could be given twice. Ask for all of them by claim, or for all of them by resource.",
            id="by claim and by resource",
        ),
        pytest.param(
            [request(of="nic.example.com")],
            0,
            "asks for devices of DeviceClass nic.example.com and for no accelerator, and no HardwareProfile names that "
            "class: what its pods will draw is not known. Write it into deviceClassNames of the HardwareProfile whose "
            "accelerators these are, or ask for amd.com/gpu or nvidia.com/gpu in resources.limits; claims of other "
            "devices may stay beside it.",
            id="no accelerator",
        ),
    ],
)
def test_what_a_claim_leaves_open_is_refused(requests: list[dict[str, Any]], gpus: int, said: str) -> None:
    assert problems(accelerators(template(*requests)), spec(gpus=gpus)) == [f"{WHERE} {said}"]


def test_a_template_that_is_not_there_is_named() -> None:
    assert problems(accelerators(), spec()) == [
        "spec.resourceClaims names ResourceClaimTemplate default/devices, which does not exist, so what its pods will "
        "draw is not known. Create it, or ask for amd.com/gpu or nvidia.com/gpu in resources.limits."
    ]


FOUR = {
    "apiVersion": "resource.k8s.io/v1",
    "kind": "ResourceClaimTemplate",
    "metadata": {"name": "devices", "namespace": "default"},
    "spec": {"spec": {"devices": {"requests": [request(count=4)]}}},
}


def waiting() -> Harness:
    """A Job of two pods that claim what a template says which is not there."""
    h = Harness()
    made = facility()
    made[0]["spec"]["deviceClassNames"] = ["gpu.nvidia.com"]
    h.apply(*made)
    h.start_machine()
    h.job("train", gpus=0, template={"resourceClaims": OWN})
    h.settle()
    return h


def placement(h: Harness) -> Placement | None:
    decision = h.machine.gangs["default", "job-train"].decision
    return None if decision is None else decision.placement


def test_a_job_waits_for_its_template_and_is_placed_by_what_it_says() -> None:
    h = waiting()
    assert h.gang("job-train")["status"]["message"].startswith(
        "spec.template.spec.resourceClaims: names ResourceClaimTemplate default/devices, which does not exist"
    )
    h.apply(FOUR)
    h.settle()
    placed = placement(h)
    assert placed is not None
    assert placed.gpus_per_slot == 4
    assert len(set(placed.slots)) == 2  # nodes of four each


def test_what_runs_keeps_what_it_was_given_when_its_template_goes() -> None:
    h = waiting()
    h.apply(FOUR)
    h.settle()
    before = h.machine.gangs["default", "job-train"].decision
    h.request("DELETE", "/apis/resource.k8s.io/v1/namespaces/default/resourceclaimtemplates/devices")
    h.settle()
    assert h.machine.gangs["default", "job-train"].decision == before
    assert h.gang("job-train")["spec"]["gpusPerSlot"] == 4
