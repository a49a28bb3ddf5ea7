"""A Job that Kueue queues, over HTTP, on the embedded cluster or any other: answered for, placed, stopped by Kueue.

Kueue's controllers are not there: the test does what they document, as another field manager.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from rackplane.core.workloads.kueue import KUEUE_GROUP
from rackplane.kube.client import MERGE_PATCH
from tests.integration.test_any_cluster import GPU, SITE, Body, Site, endless
from tests.integration.test_any_cluster import pytestmark as pytestmark
from tests.integration.test_any_cluster import site as site
from tests.support import kueue

API = f"/apis/{KUEUE_GROUP}/v1beta2"
OF = {"apiVersion": f"{KUEUE_GROUP}/v1beta2"}


def condition(kind: str, status: str, reason: str) -> Body:
    since = "2026-11-22T01:00:00Z"
    return {"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": since}


async def tell(site: Site, workload: str, **status: Any) -> None:
    query = {"fieldManager": "kueue"}
    await site.client.request(
        "PATCH", f"{workload}/status", query=query, body={"status": status}, content_type=MERGE_PATCH
    )


def answered(workload: Body) -> str:
    (state,) = workload["status"]["admissionChecks"]
    return str(state["state"])


@pytest.mark.parametrize("site", [{"crds": kueue.crds(), "kueue": True}], indirect=True)
async def test_kueue_asks_is_answered_starts_the_job_and_evicts_it(site: Site) -> None:
    check, flavor = f"{API}/admissionchecks/{site.word}", f"{site.word}-gpus"
    await site.create(f"{API}/admissionchecks", kueue.check(site.word, queue=site.word))
    found = await site.until(check, lambda found: bool(found.get("status", {}).get("conditions")))
    assert [(c["type"], c["status"]) for c in found["status"]["conditions"]] == [("Active", "True")]
    await site.create(
        f"{API}/resourceflavors",
        {
            **OF,
            "kind": "ResourceFlavor",
            "metadata": {"name": flavor},
            "spec": {"nodeLabels": {SITE: site.word}},
        },
    )
    job = endless(site.job("train", suspend=True))
    job["metadata"] = {"name": "train", "labels": {kueue.LOCAL_QUEUE: "team"}}
    template = job["spec"]["template"]
    del template["spec"]["nodeSelector"]
    template["metadata"]["annotations"]["rackplane.dev/required-topology"] = "nvlink"
    await site.create(site.jobs, job)
    pods = {"name": "main", "count": 3, "template": template}
    workload = f"{API}/namespaces/{site.namespace}/workloads/job-train"
    body = {
        **OF,
        "kind": "Workload",
        "metadata": {"name": "job-train"},
        "spec": {"queueName": "team", "podSets": [pods]},
    }
    await site.create(workload.rpartition("/")[0], body)

    pending = {
        "name": site.word,
        "state": "Pending",
        "message": "",
        "lastTransitionTime": "2026-11-22T01:00:00Z",
    }
    usage = {GPU: flavor}
    admission = {
        "clusterQueue": "all",
        "podSetAssignments": [{"name": "main", "count": 3, "flavors": usage, "resourceUsage": {GPU: "12"}}],
    }
    await tell(
        site,
        workload,
        admission=admission,
        admissionChecks=[pending],
        conditions=[condition("QuotaReserved", "True", "QuotaReserved")],
    )
    ready = await site.until(workload, lambda found: answered(found) == "Ready")
    (state,) = ready["status"]["admissionChecks"]
    rack = state["podSetUpdates"][0]["nodeSelector"]["rackplane.dev/rack"]
    assert (state["message"], state["podSetUpdates"]) == (
        f"placed on {rack}",
        [
            {
                "name": "main",
                "labels": {"rackplane.dev/queue": site.word},
                "annotations": {"rackplane.dev/workload": "job-train"},
                "nodeSelector": {"rackplane.dev/rack": rack},
            }
        ],
    )

    update, now = state["podSetUpdates"][0], await site.get(f"{site.jobs}/train")
    meta, spec = now["spec"]["template"]["metadata"], now["spec"]["template"]["spec"]
    meta["labels"] = {**meta.get("labels", {}), **update["labels"], f"{KUEUE_GROUP}/podset": "main"}
    meta["annotations"] = {**meta.get("annotations", {}), **update["annotations"]}
    spec["nodeSelector"] = {SITE: site.word, **update["nodeSelector"]}
    now["spec"]["suspend"] = False
    await site.client.request("PUT", f"{site.jobs}/train", body=now)
    gang = site.gang("workload-job-train")
    running = await site.until(gang, lambda found: found["status"]["phase"] == "Running")
    assert (
        sorted(pod["spec"]["nodeName"] for pod in await site.pods())
        == running["status"]["assignment"][0]["nodes"]
    )

    # Kueue evicts it: the check is Pending again before the Job is suspended and its pods are gone.
    await tell(
        site,
        workload,
        admissionChecks=[{**pending, "message": "Reset to Pending after eviction. Previously: Ready"}],
        conditions=[
            condition("QuotaReserved", "True", "QuotaReserved"),
            condition("Evicted", "True", "Preempted"),
        ],
    )
    await site.patch(f"{site.jobs}/train", {"spec": {"suspend": True}})
    held = await site.until(gang, lambda found: found["status"]["phase"] == "Held")
    assert "assignment" not in held["status"]
    left = json.loads(await site.client.request("GET", workload))
    assert answered(left) == "Pending"
