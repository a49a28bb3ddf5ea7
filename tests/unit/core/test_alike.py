"""Devices that cannot be counted are refused in words."""

from __future__ import annotations

from typing import Any

import msgspec

from rackplane.core.gangs.alike import uncounted
from rackplane.core.objects import Pod, PodSpec
from tests.support.harness import GPU, Harness, facility


def pod(name: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> Pod:
    wanted = {GPU: "4", "memory": "64Gi", **spec.pop("requests", {})}
    body = {
        "metadata": {"name": name, "namespace": "ns", "annotations": annotations or {}},
        "spec": {"containers": [{"resources": {"requests": wanted}}], **spec},
    }
    return msgspec.convert(body, Pod)


CLAIM = [{"name": "gpu", "resourceClaimTemplateName": "four-gpus"}]


def test_accelerators_by_claim_alone_are_refused_and_claims_beside_them_are_not() -> None:
    by_claim = msgspec.convert({"containers": [{}], "resourceClaims": CLAIM}, PodSpec)
    found = uncounted("spec.template.spec.resourceClaims", by_claim, ("amd.com/gpu", GPU))
    assert found is not None
    assert (found.where, found.remedy) == (
        "spec.template.spec.resourceClaims",
        "Ask for amd.com/gpu or nvidia.com/gpu in resources.limits; claims of other devices may stay beside it.",
    )
    beside = pod("a", resourceClaims=CLAIM)
    assert uncounted("spec.resourceClaims", beside.spec, (GPU,)) is None
    assert uncounted("spec.resourceClaims", pod("a", requests={GPU: "0"}).spec, (GPU,)) is None


def test_a_job_whose_gpus_are_claims_says_why_it_is_not_placed() -> None:
    h = Harness()
    h.apply(*facility())
    h.start_machine()
    h.job("train", gpus=0, template={"resourceClaims": CLAIM})
    h.settle()
    status = h.gang("job-train")["status"]
    assert status["phase"] == "Pending"
    assert status["message"].startswith(
        "spec.template.spec.resourceClaims: asks for devices by ResourceClaim and for no accelerator by resource"
    )
