"""Accelerators by ResourceClaim, with a kube-scheduler that allocates them: as many as are booked, and there.

The embedded scheduler allocates no claims, so this needs a real one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rackplane.kube.client import ApiError
from tests.integration.test_any_cluster import GROUP, KUBECONFIG, Body, Site
from tests.integration.test_any_cluster import pytestmark as on_real_clusters
from tests.integration.test_any_cluster import site as site

pytestmark = [
    *on_real_clusters,
    pytest.mark.skipif(not KUBECONFIG, reason="RACKPLANE_TEST_KUBECONFIG names no cluster"),
]

DEVICES = "/apis/resource.k8s.io/v1"


async def _devices(site: Site) -> None:
    """Four devices a node, of a class that the profile names."""
    driver = f"gpu-{site.word}.example.com"
    selector = {"cel": {"expression": f"device.driver == '{driver}'"}}
    await site.create(
        f"{DEVICES}/deviceclasses", {"metadata": {"name": site.word}, "spec": {"selectors": [selector]}}
    )
    await site.patch(f"{GROUP}/hardwareprofiles/{site.word}", {"spec": {"deviceClassNames": [site.word]}})
    for node in site.nodes:
        pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
        devices = [{"name": f"gpu-{index}"} for index in range(4)]
        spec = {"driver": driver, "pool": pool, "nodeName": node, "devices": devices}
        await site.create(f"{DEVICES}/resourceslices", {"metadata": {"name": node}, "spec": spec})


def _job(site: Site, name: str, slots: int) -> Body:
    """Pods that claim what the template of that name says, and run until the test is over."""
    body = site.job(name, slots=slots)
    template = body["spec"]["template"]
    template["metadata"]["annotations"]["localcluster.rackplane.dev/run-seconds"] = "600"
    template["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": name}]
    template["spec"]["containers"][0]["resources"] = {"claims": [{"name": "gpu"}]}
    return body


async def _template(site: Site, name: str, count: int) -> None:
    request = {"name": "gpu", "exactly": {"deviceClassName": site.word, "count": count}}
    await site.create(
        f"{DEVICES}/namespaces/{site.namespace}/resourceclaimtemplates",
        {"metadata": {"name": name}, "spec": {"spec": {"devices": {"requests": [request]}}}},
    )


async def _make_claims(site: Site) -> None:
    """What the controller for ResourceClaims does, for a cluster whose controller manager runs without it."""
    claims = f"{DEVICES}/namespaces/{site.namespace}/resourceclaims"
    while True:
        await asyncio.sleep(1)
        for pod in await site.pods():
            name, spec = pod["metadata"]["name"], pod["spec"]
            if spec.get("schedulingGates") or pod["status"].get("resourceClaimStatuses"):
                continue
            [reference] = spec["resourceClaims"]
            source = f"{claims.removesuffix('s')}templates/{reference['resourceClaimTemplateName']}"
            wanted = (await site.get(source))["spec"]["spec"]
            owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
            metadata = {"name": f"{name}-gpu", "ownerReferences": [{**owner, "controller": True}]}
            with contextlib.suppress(ApiError):  # it is there, or the pod is gone
                await site.create(claims, {"metadata": metadata, "spec": wanted})
                made = [{"name": "gpu", "resourceClaimName": f"{name}-gpu"}]
                path = f"/api/v1/namespaces/{site.namespace}/pods/{name}/status"
                await site.patch(path, {"status": {"resourceClaimStatuses": made}})


@pytest.fixture
async def claims(site: Site) -> AsyncIterator[None]:
    task = asyncio.create_task(_make_claims(site))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.usefixtures("claims")
async def test_what_is_booked_is_what_kube_scheduler_allocates(site: Site) -> None:
    await _devices(site)
    await site.create(site.jobs, _job(site, "halves", 3))
    waiting = await site.until(
        site.gang("job-halves"), lambda g: "does not exist" in g.get("status", {}).get("message", "")
    )
    assert waiting["spec"]["gpusPerSlot"] == 0
    await _template(site, "halves", 2)
    await _template(site, "wholes", 4)
    halves = await site.until(
        site.gang("job-halves"), lambda g: g.get("status", {}).get("phase") == "Running"
    )
    await site.create(site.jobs, _job(site, "wholes", 3))
    wholes = await site.until(
        site.gang("job-wholes"), lambda g: g.get("status", {}).get("phase") == "Running"
    )

    assert [gang["spec"]["gpusPerSlot"] for gang in (halves, wholes)] == [2, 4]
    booked: Counter[str] = Counter()
    for gang in (halves, wholes):
        [group] = gang["status"]["assignment"]
        for node in group["nodes"]:
            booked[node] += gang["spec"]["gpusPerSlot"]
    claims = (await site.get(f"{DEVICES}/namespaces/{site.namespace}/resourceclaims"))["items"]
    results: list[dict[str, Any]] = [
        result for claim in claims for result in claim["status"]["allocation"]["devices"]["results"]
    ]
    assert Counter(result["pool"] for result in results) == booked
    assert sum(booked.values()) == 3 * 2 + 3 * 4
