"""Gangs that their maker applies: who owns what of one, on the embedded cluster or, unchanged, on a real one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rackplane.kube.client import APPLY_PATCH, ApiError
from tests.integration.test_any_cluster import Body, Site
from tests.integration.test_any_cluster import pytestmark as pytestmark
from tests.integration.test_any_cluster import site as site


async def applied(site: Site, manager: str, *, force: bool = False, **spec: Any) -> Body:
    body = {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "Gang",
        "metadata": {"name": "made", "namespace": site.namespace},
        "spec": spec,
    }
    query = {"fieldManager": manager, "force": json.dumps(force)}
    found = await site.client.request(
        "PATCH", site.gang("made"), query=query, body=body, content_type=APPLY_PATCH
    )
    result: Body = json.loads(found)
    return result


def owned(gang: Body) -> dict[str, Body]:
    """What each manager owns of spec and status."""
    return {entry["manager"]: entry["fieldsV1"] for entry in gang["metadata"]["managedFields"]}


async def test_who_applies_the_topology_of_a_gang_owns_it_whole_and_the_operator_the_status(
    site: Site,
) -> None:
    workload = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": "made", "uid": site.word}
    asked: Body = {"workload": workload, "slots": 2, "gpusPerSlot": 4, "topology": {"required": "nvlink"}}
    await applied(site, "maker", queue=site.word, **asked)
    gang = await site.until(site.gang("made"), lambda g: g.get("status", {}).get("phase") == "Admitted")
    names = ("queue", "workload", "slots", "gpusPerSlot", "topology")
    assert owned(gang) == {
        "maker": {"f:spec": {f"f:{name}": {} for name in names}},
        "rackplane": {"f:status": {}},
    }

    # Another may own fields of the spec beside the maker, the priority say, but not a part of the topology.
    await applied(site, "policy", priority=7)
    with pytest.raises(ApiError) as refused:
        await applied(site, "policy", priority=7, topology={"preferred": "nvlink"})
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    assert ".spec.topology" in refused.value.message
    gang = await applied(site, "policy", force=True, priority=7, topology={"preferred": "nvlink"})
    assert (gang["spec"]["topology"], gang["spec"]["priority"]) == ({"preferred": "nvlink"}, 7)
    assert gang["status"]["phase"] == "Admitted"
    await site.delete(site.gang("made"))
    await site.gone(site.gang("made"))
