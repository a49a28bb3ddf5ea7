"""Pods of one gang that differ, and devices that cannot be counted, are refused in words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rackplane.core.alike import differing, uncounted
from rackplane.core.objects import Pod
from tests.support.harness import GPU, QUEUE, Harness, facility


def pod(name: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> Pod:
    wanted = {GPU: "4", "memory": "64Gi", **spec.pop("requests", {})}
    body = {
        "metadata": {"name": name, "namespace": "ns", "annotations": annotations or {}},
        "spec": {"containers": [{"resources": {"requests": wanted}}], **spec},
    }
    return msgspec.convert(body, Pod)


def sentence(pods: list[Pod]) -> str:
    found = differing(pods)
    return "" if found is None else f"{found.where} {found.what} {found.remedy}"


WORKERS = [pod(f"w-{i}") for i in range(4)]
AND_SO = (
    "and any pod of a gang may get any of its places. "
    "Let all its pods ask for the same, or give those that differ another rackplane.dev/gang."
)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        pytest.param([], "", id="alike"),
        pytest.param(
            [pod("lead", requests={GPU: "0", "memory": "8Gi"})],
            "Pod lead, spec differs from w-0 and 3 more of the same gang in "
            f"memory (8Gi, not 64Gi), nvidia.com/gpu (0, not 4), {AND_SO}",
            id="a leader without GPUs",
        ),
        pytest.param(
            [pod(f"x-{i}", nodeSelector={"pool": "b"}) for i in range(5)],
            "Pods w-0, w-1, w-2 and 1 more, spec differ from x-0 and 4 more of the same gang in "
            f"its node selector, node affinity or tolerations, {AND_SO}",
            id="most are another kind",
        ),
        pytest.param(
            [pod("a", requests={"cpu": "1"}), pod("b", requests={"cpu": "2"})],
            f"Pods a, b, spec differ from w-0 and 3 more of the same gang in what they ask of a node, {AND_SO}",
            id="three kinds",
        ),
        pytest.param(
            [
                pod(
                    "w-9",
                    annotations={"rackplane.dev/slot": "0"},
                    nodeSelector={"kubernetes.io/hostname": "n1"},
                )
            ],
            "",
            id="one that has been let go has its node's selector",
        ),
        pytest.param(
            [pod("w-9", tolerations=[{"key": "a"}, {"key": "b"}]), pod("w-8", tolerations=[{"key": "b"}])],
            "Pods w-8, w-9, spec differ from w-0 and 3 more of the same gang in what they ask of a node, "
            + AND_SO,
            id="tolerations",
        ),
    ],
)
def test_pods_that_differ_are_named_with_what_they_differ_in(others: list[Pod], said: str) -> None:
    assert sentence([*others, *WORKERS]) == said


def test_the_order_in_which_something_is_written_makes_no_difference() -> None:
    one = pod("a", tolerations=[{"key": "a"}, {"key": "b"}], nodeSelector={"x": "1", "y": "2"})
    other = pod("b", tolerations=[{"key": "b"}, {"key": "a"}], nodeSelector={"y": "2", "x": "1"})
    assert differing([one, other]) is None


CLAIM = [{"name": "gpu", "resourceClaimTemplateName": "four-gpus"}]


def test_accelerators_by_claim_alone_are_refused_and_claims_beside_them_are_not() -> None:
    by_claim = msgspec.convert({"containers": [{}], "resourceClaims": CLAIM}, type(WORKERS[0].spec))
    found = uncounted("spec.template.spec.resourceClaims", by_claim, ("amd.com/gpu", GPU))
    assert found is not None
    assert (found.where, found.remedy) == (
        "spec.template.spec.resourceClaims",
        "Ask for amd.com/gpu or nvidia.com/gpu in resources.limits; claims of other devices may stay beside it.",
    )
    beside = pod("a", resourceClaims=CLAIM)
    assert uncounted("spec.resourceClaims", beside.spec, (GPU,)) is None
    assert uncounted("spec.resourceClaims", pod("a", requests={GPU: "0"}).spec, (GPU,)) is None


def bare(h: Harness, name: str, gpus: int) -> None:
    h.pod(
        name,
        gpus=gpus,
        labels={QUEUE: "research", "rackplane.dev/gang": "g"},
        annotations={"rackplane.dev/gang-size": "3"},
    )


@pytest.mark.parametrize("restarts", [False, True])
def test_a_gang_of_pods_that_differ_is_not_placed_until_they_are_alike(restarts: bool) -> None:
    h = Harness()
    h.apply(*facility())
    h.start_machine()
    for name, gpus in (("lead", 0), ("w-0", 4), ("w-1", 4)):
        bare(h, name, gpus)
        h.settle()
    if restarts:
        h.restart_machine()
        h.settle()
    status = h.gang("pod-g")["status"]
    assert status["phase"] == "Pending"
    [ready] = [c for c in status["conditions"] if c["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "InvalidRequest")
    assert "Pod lead, spec: differs from w-0 and 1 more" in status["message"]
    h.request("DELETE", "/api/v1/namespaces/default/pods/lead", {"gracePeriodSeconds": 0})
    bare(h, "lead", 4)
    h.settle()
    assert h.gang("pod-g")["status"]["phase"] in ("Admitted", "Running")
    assert len({p["spec"].get("nodeName") for p in h.pods()} - {None}) == 3


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
