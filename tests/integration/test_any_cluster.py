"""The real operator over HTTP: on the embedded cluster or, unchanged, on the one RACKPLANE_TEST_KUBECONFIG names.

Everything is made under names of its own and removed at the end, so that the cluster may serve others. A real
cluster needs no kubelets: node agents stand in for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import config

from rackplane.api.admission import shipped_policies
from rackplane.controller.operator import Operator
from rackplane.controller.settings import OperatorSettings
from rackplane.kube.client import MERGE_PATCH, ApiError, KubeClient
from rackplane.localcluster import LocalCluster
from rackplane.localcluster.nodeagent import NodeAgents
from tests.chart.helm import render
from tests.support.manifests import shipped_crds

KUBECONFIG = os.environ.get("RACKPLANE_TEST_KUBECONFIG", "")
CRDS = Path(__file__).parents[2] / "crds"
GROUP = "/apis/rackplane.dev/v1alpha1"
GPU = "nvidia.com/gpu"
#: the label of a test's own nodes
SITE = "rackplane.dev/test-site"
#: How long anything may take before the test fails; nothing waits for it.
LIMIT_SECONDS = 60.0

# Over TLS, aiohttp and kopf leave the last close-notify to the event loop, which pytest closes at once.
pytestmark = (
    [
        pytest.mark.real_cluster,
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
        pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    ]
    if KUBECONFIG
    else []
)

Body = dict[str, Any]


class Site:
    """A namespace, two racks of four nodes and a queue, all named after one random word."""

    def __init__(self, client: KubeClient, word: str) -> None:
        self.client = client
        self.word = word
        self.kubeconfig = ""
        self.made: list[str] = []
        #: set once it runs
        self.operator: Operator | None = None
        #: stand in for the nodes' kubelets
        self.agents: NodeAgents

    async def create(self, path: str, body: Body) -> Body:
        found: Body = json.loads(await self.client.request("POST", path, body=body))
        self.made.append(f"{path}/{found['metadata']['name']}")
        return found

    async def get(self, path: str) -> Body:
        found: Body = json.loads(await self.client.request("GET", path))
        return found

    async def until(self, path: str, holds: Callable[[Body], bool]) -> Body:
        """The object as soon as it is there and `holds`."""
        end = time.monotonic() + LIMIT_SECONDS
        seen: Body = {}
        while time.monotonic() < end:
            with contextlib.suppress(ApiError):
                seen = await self.get(path)
                if holds(seen):
                    return seen
            await asyncio.sleep(0.05)
        raise AssertionError(f"{path} is still {json.dumps(seen.get('status', seen), indent=1)}")

    async def patch(self, path: str, body: Body) -> None:
        await self.client.request("PATCH", path, body=body, content_type=MERGE_PATCH)

    async def delete(self, path: str) -> None:
        await self.client.request("DELETE", path, query={"propagationPolicy": "Background"})

    async def gone(self, path: str) -> None:
        """Wait until the object does not exist."""
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end:
            try:
                found = await self.get(path)
            except ApiError as error:
                if error.status == 404:
                    return
                raise
            await asyncio.sleep(0.05)
        raise AssertionError(f"{path} still exists: {json.dumps(found['metadata'], indent=1)}")

    @property
    def namespace(self) -> str:
        return f"it-{self.word}"

    @property
    def jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    def gang(self, name: str) -> str:
        return f"{GROUP}/namespaces/{self.namespace}/gangs/{name}"

    async def pods(self) -> list[Body]:
        items: list[Body] = (await self.get(f"/api/v1/namespaces/{self.namespace}/pods"))["items"]
        return sorted(items, key=lambda pod: str(pod["metadata"]["name"]))

    async def build(self) -> None:
        await self.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        word = self.word
        await self.facility(
            "hardwareprofiles", word, gpuModel="test", gpusPerNode=4, resourceName=GPU, nvlinkScope="Object",
            idleWatts=1_000, maxWatts=6_600,
        )  # fmt: skip
        await self.facility("powerdomains", word, type="Busway", ratedWatts=100_000)
        await self.facility("queues", word, quota={"gpus": 32})
        for rack in (f"{word}-a", f"{word}-b"):
            await self.facility(
                "racks", rack, profile=word, nodeSelector={"rackplane.dev/rack": rack}, limitWatts=50_000,
                feeds=[{"powerDomain": word, "weight": 1}],
            )  # fmt: skip
            await self.facility("nvlinkdomains", rack, racks=[rack])
            for index in range(4):
                name = f"{rack}-{index}"
                labels = {"kubernetes.io/hostname": name, "rackplane.dev/rack": rack, SITE: word}
                await self.create("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
                room = {GPU: "4", "cpu": "64", "memory": "256Gi", "pods": "110"}
                status = {"capacity": room, "allocatable": room}
                await self.client.request(
                    "PATCH", f"/api/v1/nodes/{name}/status", body={"status": status}, content_type=MERGE_PATCH
                )

    @property
    def nodes(self) -> list[str]:
        return [f"{self.word}-{rack}-{index}" for rack in "ab" for index in range(4)]

    async def facility(self, plural: str, name: str, **spec: Any) -> None:
        kinds = {
            "hardwareprofiles": "HardwareProfile", "powerdomains": "PowerDomain", "queues": "Queue", "racks": "Rack",
            "nvlinkdomains": "NVLinkDomain", "powerbudgets": "PowerBudget",
        }  # fmt: skip
        body = {
            "apiVersion": "rackplane.dev/v1alpha1",
            "kind": kinds[plural],
            "metadata": {"name": name},
            "spec": spec,
        }
        await self.create(f"{GROUP}/{plural}", body)

    def job(self, name: str, *, slots: int = 3, **spec: Any) -> Body:
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "labels": {"rackplane.dev/queue": self.word},
                "annotations": {"rackplane.dev/required-topology": "nvlink"},
            },
            "spec": {
                "completions": slots, "parallelism": slots, "completionMode": "Indexed", "backoffLimit": 0, **spec,
                "template": {
                    "metadata": {"annotations": {"localcluster.rackplane.dev/run-seconds": "0.5"}},
                    "spec": {
                        "restartPolicy": "Never",
                        "terminationGracePeriodSeconds": 0,
                        # A cluster that serves others too has racks that are not ours.
                        "nodeSelector": {SITE: self.word},
                        "containers": [
                            {"name": "train", "image": "train:1", "resources": {"limits": {GPU: "4"}}}
                        ],
                    },
                },
            },
        }  # fmt: skip

    async def remove(self) -> None:
        for path in reversed(self.made):
            with contextlib.suppress(ApiError):
                await self.client.request("DELETE", path, query={"propagationPolicy": "Background"})
                if path.startswith(GROUP):
                    # The operator is gone, and with it who would take its finalizers off.
                    body = {"metadata": {"finalizers": None}}
                    await self.client.request("PATCH", path, body=body, content_type=MERGE_PATCH)


async def _prepare(client: KubeClient) -> None:
    """The CRDs and the policies that make Jobs queue; on a real cluster as the chart has them, left in place.

    Without the guard: the operator of these tests runs as the administrator.
    """
    paths = {
        "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "MutatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies",
        "MutatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings",
    }
    if KUBECONFIG:
        bodies = [m for m in render({"admission": {"guard": {"enabled": False}}}) if m["kind"] in paths]
    else:
        bodies = [*shipped_crds()]
        bodies += [policy for policy in shipped_policies() if policy["kind"] in paths]
    for body in bodies:
        try:
            await client.request("POST", paths[body["kind"]], body=body)
        except ApiError as error:
            if error.status != 409:
                raise
            # An older schema would drop the fields that it does not know.
            path, change = f"{paths[body['kind']]}/{body['metadata']['name']}", {"spec": body["spec"]}
            await client.request("PATCH", path, body=change, content_type=MERGE_PATCH)


@pytest.fixture
async def site(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    async with operated(tmp_path, **getattr(request, "param", {})) as site:
        yield site


@contextlib.asynccontextmanager
async def operated(tmp_path: Path, **options: Any) -> AsyncIterator[Site]:
    """A site with an operator that has these settings; `crds` among them are there before it, and go at the end."""
    crds: list[Body] = options.pop("crds", [])
    async with contextlib.AsyncExitStack() as stack:
        kubeconfig = KUBECONFIG
        if not kubeconfig:
            embedded = await stack.enter_async_context(LocalCluster(seed=1))
            kubeconfig = str(embedded.kubeconfig(tmp_path / "kubeconfig"))
        client = await KubeClient.connect(kubeconfig)
        stack.push_async_callback(client.close)
        await _prepare(client)
        site = Site(client, uuid.uuid4().hex[:6])
        site.kubeconfig = kubeconfig
        stack.push_async_callback(site.remove)
        for plural in ("gangs", "racks", "powerbudgets"):
            await site.until(f"{GROUP}/{plural}", lambda found: "items" in found)
        for crd in crds:
            await site.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        await site.build()
        await _admission_in_force(site)
        api = await config.new_client_from_config(kubeconfig)
        stack.push_async_callback(api.close)
        settings = OperatorSettings(
            kubeconfig=kubeconfig, namespace=site.namespace, host="127.0.0.1", metrics_port=0, health_port=0,
            validate=True, **options,
        )  # fmt: skip
        operator = site.operator = Operator(settings=settings, client=client)
        async with asyncio.TaskGroup() as tasks:
            site.agents = NodeAgents(api, site.nodes)
            agents = tasks.create_task(site.agents.run())
            running = tasks.create_task(operator.run())
            yield site
            operator.stop()
            await running
            agents.cancel()


async def _admission_in_force(site: Site) -> None:
    """A policy takes about a second from its creation until the API server applies it."""
    end = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < end:
        answer = await site.client.request("POST", site.jobs, query={"dryRun": "All"}, body=site.job("probe"))
        if json.loads(answer)["spec"].get("suspend"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the admission policy does not suspend labelled Jobs")


async def test_a_labelled_job_is_placed_whole_in_one_domain_and_finishes(site: Site) -> None:
    await site.create(site.jobs, site.job("train"))
    gang = await site.until(site.gang("job-train"), lambda g: g.get("status", {}).get("phase") == "Finished")
    [group] = gang["status"]["assignment"]
    assert group["rack"] == group["nvlinkDomain"] == f"{site.word}-a"
    assert group["nodes"] == [f"{site.word}-a-{index}" for index in range(3)]
    # What is over is given back slot by slot: before the gang is told to be over, or with that.
    assert gang["status"]["reservedNominalWatts"] in (0, 5_600, 2 * 5_600, 3 * 5_600)
    placed = {
        pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]: pod["spec"]["nodeName"]
        for pod in await site.pods()
    }
    assert placed == {str(index): f"{site.word}-a-{index}" for index in range(3)}
    job = await site.get(f"{site.jobs}/train")
    assert job["status"]["succeeded"] == 3
    assert job["status"].get("failed", 0) == 0
    rack = await site.until(
        f"{GROUP}/racks/{site.word}-a", lambda r: r.get("status", {}).get("reservedNominalWatts") == 4_000
    )
    assert rack["status"]["freeGpus"] == 16


async def test_a_job_that_its_user_suspended_is_held_until_the_user_resumes_it(site: Site) -> None:
    await site.create(site.jobs, site.job("mine", suspend=True))
    held = await site.until(site.gang("job-mine"), lambda g: g.get("status", {}).get("phase") == "Held")
    assert "suspended by its user" in held["status"]["message"]
    assert await site.pods() == []
    await site.client.request(
        "PATCH", f"{site.jobs}/mine", body={"spec": {"suspend": False}}, content_type=MERGE_PATCH
    )
    await site.until(site.gang("job-mine"), lambda g: g.get("status", {}).get("phase") == "Finished")


async def test_a_gang_larger_than_every_domain_says_why_it_waits(site: Site) -> None:
    await site.create(site.jobs, site.job("large", slots=5))
    gang = await site.until(site.gang("job-large"), lambda g: bool(g.get("status", {}).get("message")))
    gang = await site.until(site.gang("job-large"), lambda g: "5 nodes" in g["status"].get("message", ""))
    assert gang["status"]["phase"] == "Pending"
    assert await site.pods() == []


async def test_completions_above_parallelism_use_the_slots_one_after_another(site: Site) -> None:
    await site.create(site.jobs, site.job("waves", slots=2, completions=4))
    gang = await site.until(site.gang("job-waves"), lambda g: g.get("status", {}).get("phase") == "Finished")
    assert gang["spec"]["slots"] == 2
    nodes = [pod["spec"]["nodeName"] for pod in await site.pods()]
    assert sorted(nodes) == sorted(2 * gang["status"]["assignment"][0]["nodes"])


async def test_bare_pods_are_a_gang_once_all_of_them_exist(site: Site) -> None:
    pods = f"/api/v1/namespaces/{site.namespace}/pods"

    def pod(index: int) -> Body:
        body = site.job("unused")["spec"]["template"]
        return {
            "metadata": {
                "name": f"worker-{index}",
                "labels": {"rackplane.dev/queue": site.word, "rackplane.dev/gang": "ring"},
                "annotations": {**body["metadata"]["annotations"], "rackplane.dev/gang-size": "2"},
            },
            "spec": body["spec"],
        }

    await site.create(pods, pod(0))
    waiting = await site.until(
        site.gang("pod-ring"), lambda g: "1 of the" in g.get("status", {}).get("message", "")
    )
    assert waiting["status"]["phase"] == "Pending"
    await site.create(pods, pod(1))
    gang = await site.until(site.gang("pod-ring"), lambda g: g.get("status", {}).get("phase") == "Finished")
    assert [pod["spec"]["nodeName"] for pod in await site.pods()] == gang["status"]["assignment"][0]["nodes"]


async def test_a_gang_of_another_controller_is_decided_stopped_and_ended_by_its_maker(site: Site) -> None:
    queue = f"{GROUP}/queues/{site.word}"
    await site.patch(queue, {"spec": {"preemption": {"withinQueue": "LowerPriority"}}})
    gangs = f"{GROUP}/namespaces/{site.namespace}/gangs"

    def gang(name: str, *, priority: int) -> Body:
        workload = {
            "apiVersion": "ray.io/v1",
            "kind": "RayCluster",
            "name": name,
            "uid": f"{site.word}-{name}",
        }
        return {
            "apiVersion": "rackplane.dev/v1alpha1",
            "kind": "Gang",
            "metadata": {"name": name},
            "spec": {
                "queue": site.word, "workload": workload, "slots": 8, "gpusPerSlot": 4, "priority": priority,
            },
        }  # fmt: skip

    def phase(*wanted: str) -> Callable[[Body], bool]:
        return lambda g: g.get("status", {}).get("phase") in wanted

    await site.create(gangs, gang("low", priority=0))
    low = await site.until(site.gang("low"), phase("Admitted"))
    assert sorted(n for g in low["status"]["assignment"] for n in g["nodes"]) == site.nodes
    await site.create(gangs, gang("high", priority=10))
    low = await site.until(site.gang("low"), phase("Stopping"))
    assert low["status"]["message"].startswith(f"stopped for gang {site.namespace}/high")
    assert (await site.get(site.gang("high")))["status"]["phase"] == "Pending"
    answer = {"metadata": {"annotations": {"rackplane.dev/stopped": low["status"]["decision"]["id"]}}}
    await site.patch(site.gang("low"), answer)
    await site.until(site.gang("high"), phase("Admitted"))
    await site.patch(site.gang("high"), {"metadata": {"annotations": {"rackplane.dev/finished": "Complete"}}})
    high = await site.until(site.gang("high"), phase("Finished"))
    assert high["status"]["message"] == "the RayCluster is complete"
    await site.until(site.gang("low"), phase("Admitted"))
    await site.delete(site.gang("low"))
    await site.gone(site.gang("low"))
    assert await site.pods() == []


async def test_a_leader_and_its_workers_start_whole_and_not_without_room_for_the_leader(site: Site) -> None:
    pods = f"/api/v1/namespaces/{site.namespace}/pods"

    def pod(name: str, gang: str, *, gpus: bool, **spec: Any) -> Body:
        template = site.job("unused")["spec"]["template"]
        body = {**template["spec"], **spec}
        if not gpus:
            body["containers"] = [{**c, "resources": {}} for c in body["containers"]]
        return {
            "metadata": {
                "name": f"{gang}-{name}",
                "labels": {"rackplane.dev/queue": site.word, "rackplane.dev/gang": gang},
                "annotations": {**template["metadata"]["annotations"], "rackplane.dev/gang-size": "2"},
            },
            "spec": body,
        }

    await site.create(pods, pod("lead", "away", gpus=False, nodeSelector={"pool": "nowhere"}))
    await site.create(pods, pod("work", "away", gpus=True))
    waiting = await site.until(
        site.gang("pod-away"), lambda g: "away-lead" in g.get("status", {}).get("message", "")
    )
    assert waiting["status"]["phase"] == "Pending"
    assert waiting["status"]["message"].startswith("group away-lead needs 1 pod; ")
    assert not any("nodeName" in p["spec"] for p in await site.pods())
    await site.create(pods, pod("work", "team", gpus=True))
    await site.create(pods, pod("lead", "team", gpus=False))
    gang = await site.until(site.gang("pod-team"), lambda g: g.get("status", {}).get("phase") == "Finished")
    assert [(g["name"], g["slots"], g["gpusPerSlot"] > 0) for g in gang["spec"]["groups"]] == [
        ("team-lead", 1, False),
        ("team-work", 1, True),
    ]
    nodes = [node for group in gang["status"]["assignment"] for node in group["nodes"]]
    ran = {p["metadata"]["name"]: p["spec"].get("nodeName") for p in await site.pods()}
    assert ran == {"away-lead": None, "away-work": None, "team-lead": nodes[0], "team-work": nodes[1]}


async def test_two_jobs_of_one_gang_start_whole_and_neither_without_room_for_the_other(site: Site) -> None:
    def job(name: str, gang: str, slots: int, *, gpus: bool, **template: Any) -> Body:
        body = site.job(f"{gang}-{name}", slots=slots)
        body["metadata"]["labels"]["rackplane.dev/gang"] = gang
        body["metadata"]["annotations"]["rackplane.dev/gang-size"] = "4"
        spec = body["spec"]["template"]["spec"] | template
        if not gpus:
            spec["containers"] = [{**c, "resources": {}} for c in spec["containers"]]
        body["spec"]["template"]["spec"] = spec
        return body

    await site.create(site.jobs, job("lead", "away", 1, gpus=False, nodeSelector={"pool": "nowhere"}))
    await site.create(site.jobs, job("work", "away", 3, gpus=True))
    waiting = await site.until(
        site.gang("jobs-away"), lambda g: "away-lead needs" in g.get("status", {}).get("message", "")
    )
    assert waiting["status"]["phase"] == "Pending"
    assert {owner["name"] for owner in waiting["metadata"]["ownerReferences"]} == {"away-lead", "away-work"}
    await site.create(site.jobs, job("work", "team", 3, gpus=True))
    await site.until(
        site.gang("jobs-team"), lambda g: "3 of the gang's 4" in g.get("status", {}).get("message", "")
    )
    assert await site.pods() == []
    await site.create(site.jobs, job("lead", "team", 1, gpus=False))
    gang = await site.until(site.gang("jobs-team"), lambda g: g.get("status", {}).get("phase") == "Finished")
    assert [(g["name"], g["slots"], g["gpusPerSlot"]) for g in gang["spec"]["groups"]] == [
        ("team-lead", 1, 0),
        ("team-work", 3, 4),
    ]
    nodes = [node for group in gang["status"]["assignment"] for node in group["nodes"]]
    ran = {
        (
            pod["metadata"]["ownerReferences"][0]["name"],
            pod["metadata"]["annotations"]["rackplane.dev/slot"],
        ): pod["spec"]["nodeName"]
        for pod in await site.pods()
    }
    assert ran == {("team-lead", "0"): nodes[0]} | {("team-work", str(i)): nodes[i] for i in (1, 2, 3)}
    for name in ("team-lead", "team-work"):
        await site.delete(f"{site.jobs}/{name}")
    await site.gone(site.gang("jobs-team"))


async def test_an_annotation_that_does_not_parse_is_named_and_a_corrected_one_starts(site: Site) -> None:
    body = site.job("typo")
    body["metadata"]["annotations"]["rackplane.dev/segment-size"] = "two"
    await site.create(site.jobs, body)

    def told(gang: Body) -> list[Body]:
        return [c for c in gang.get("status", {}).get("conditions", ()) if c["type"] == "Ready"]

    gang = await site.until(site.gang("job-typo"), lambda g: bool(told(g)))
    [ready] = told(gang)
    assert (ready["status"], ready["reason"]) == ("False", "InvalidRequest")
    assert "rackplane.dev/segment-size" in ready["message"]
    correction = {"metadata": {"annotations": {"rackplane.dev/segment-size": None}}}
    await site.client.request("PATCH", f"{site.jobs}/typo", body=correction, content_type=MERGE_PATCH)
    await site.until(site.gang("job-typo"), lambda g: g["status"].get("phase") == "Finished")


async def test_a_pod_outside_every_gang_is_counted_and_its_node_is_not_used(site: Site) -> None:
    stray = site.job("unused")["spec"]["template"]["spec"]
    stray["nodeSelector"] = {"kubernetes.io/hostname": f"{site.word}-a-1"}
    await site.create(
        f"/api/v1/namespaces/{site.namespace}/pods", {"metadata": {"name": "stray"}, "spec": stray}
    )
    await site.until(f"{GROUP}/racks/{site.word}-a", lambda r: r.get("status", {}).get("freeGpus") == 12)
    await site.create(site.jobs, site.job("four", slots=4))
    gang = await site.until(site.gang("job-four"), lambda g: g.get("status", {}).get("phase") == "Finished")
    assert {group["rack"] for group in gang["status"]["assignment"]} == {f"{site.word}-b"}


async def test_a_cycle_in_the_power_graph_takes_capacity_away_and_says_so(site: Site) -> None:
    loop = {"spec": {"parents": [{"powerDomain": f"{site.word}-loop", "weight": 1}]}}
    await site.facility(
        "powerdomains", f"{site.word}-loop", type="UPS", ratedWatts=100_000,
        parents=[{"powerDomain": site.word, "weight": 1}],
    )  # fmt: skip
    path = f"{GROUP}/powerdomains/{site.word}"
    await site.client.request("PATCH", path, body=loop, content_type=MERGE_PATCH)

    def not_ready(found: Body) -> bool:
        conditions = found.get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "False" for c in conditions)

    found = await site.until(path, not_ready)
    [ready] = [c for c in found["status"]["conditions"] if c["type"] == "Ready"]
    assert "cycle" in ready["message"] and "parents" in ready["message"]
    await site.create(site.jobs, site.job("stuck"))
    gang = await site.until(site.gang("job-stuck"), lambda g: bool(g.get("status", {}).get("message")))
    assert gang["status"]["phase"] == "Pending"
    assert await site.pods() == []


async def test_a_gang_that_a_coming_budget_would_break_waits_and_is_told_until_when(site: Site) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    start, end = (f"{now + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}" for hours in (1, 3))
    budget = f"{GROUP}/powerbudgets/{site.word}"
    # Idle the nodes draw 8 kW, and each of three in use 5.6 kW more.
    await site.facility(
        "powerbudgets", site.word, targets={"powerDomains": [site.word]}, limitWatts=20_000,
        interval={"start": start, "end": end}, correlationId="order-1",
    )  # fmt: skip
    await site.until(budget, lambda b: b.get("status", {}).get("expectedWatts") == 8_000)
    for name, duration in (("short", "10m"), ("long", "2h")):
        body = site.job(name)
        body["metadata"]["annotations"]["rackplane.dev/expected-duration"] = duration
        await site.create(site.jobs, body)
    await site.until(site.gang("job-short"), lambda g: g.get("status", {}).get("phase") == "Finished")
    waits = await site.until(site.gang("job-long"), lambda g: "estimatedStart" in g.get("status", {}))
    assert (waits["status"]["phase"], waits["status"]["estimatedStart"]) == ("Pending", end)
    assert f"when PowerBudget {site.word} ends" in waits["status"]["message"]
    seen = (await site.get(budget))["status"]
    figures = ("active", "nextStart", "nextEnd", "expectedWatts", "expectedHeadroomWatts")
    assert [seen.get(key) for key in figures] == [False, start, end, 8_000, 12_000]
    await site.client.request("DELETE", budget)
    await site.until(site.gang("job-long"), lambda g: g["status"].get("phase") == "Finished")


def endless(body: Body) -> Body:
    """The Job with pods that run until somebody deletes it."""
    del body["spec"]["template"]["metadata"]["annotations"]["localcluster.rackplane.dev/run-seconds"]
    return body


async def test_a_gang_admitted_lower_says_so_and_its_pods_and_nodes_carry_the_cap(site: Site) -> None:
    lower = [{"name": "MaxQ", "nodeWatts": 4_800, "relativePerformancePercent": 85}]
    await site.patch(f"{GROUP}/hardwareprofiles/{site.word}", {"spec": {"powerProfiles": lower}})
    # Four nodes idle at 1,000 W, three in use: 20.8 kW at MaxP, 15.4 kW at MaxQ.
    for rack in ("a", "b"):
        await site.patch(f"{GROUP}/racks/{site.word}-{rack}", {"spec": {"limitWatts": 18_000}})
        path = f"{GROUP}/racks/{site.word}-{rack}"
        await site.until(path, lambda r: r.get("status", {}).get("limitKilowatts") == "18.0")
    await site.create(site.jobs, endless(site.job("train")))
    gang = await site.until(site.gang("job-train"), lambda g: g.get("status", {}).get("phase") == "Running")
    status = gang["status"]
    assert (status["requestedPowerProfile"], status["powerProfile"]) == ("MaxP", "MaxQ")
    assert status["expectedPerformancePercent"] == 85
    assert status["message"] == "all 3 slots run at MaxQ instead of MaxP, about 85 % of full speed"
    words = "admitted at MaxQ instead of MaxP: 4,800 W a node; expect about 85 % of full speed, 18 % longer"
    events = f"/api/v1/namespaces/{site.namespace}/events"
    told = await site.until(
        events, lambda found: sum(e["message"].startswith(f"{words} (decision ") for e in found["items"]) == 2
    )
    assert {
        e["involvedObject"]["kind"] for e in told["items"] if e["message"].startswith(f"{words} (decision ")
    } == {"Gang", "Job"}
    cap = {"rackplane.dev/power-profile": "MaxQ", "rackplane.dev/power-cap-watts": "4800"}
    [group] = status["assignment"]
    for name in group["nodes"]:
        annotations = (await site.get(f"/api/v1/nodes/{name}"))["metadata"]["annotations"]
        assert annotations.items() >= {**cap, "rackplane.dev/gangs": f"{site.namespace}/job-train"}.items()
    for pod in await site.pods():
        assert pod["metadata"]["annotations"].items() >= cap.items()
    await site.delete(f"{site.jobs}/train")
    for name in group["nodes"]:
        freed = await site.until(
            f"/api/v1/nodes/{name}",
            lambda n: "rackplane.dev/gangs" not in n["metadata"].get("annotations", {}),
        )
        assert not freed["metadata"].get("annotations", {}).keys() & cap.keys()


async def test_a_power_domain_deleted_under_a_running_gang_stays_until_nothing_is_under_it(
    site: Site,
) -> None:
    await site.create(site.jobs, endless(site.job("train")))
    await site.until(site.gang("job-train"), lambda g: g.get("status", {}).get("phase") == "Running")
    domain = f"{GROUP}/powerdomains/{site.word}"
    # 8 nodes idle at 1,000 W, 3 at 6,600 W.
    await site.until(domain, lambda d: d.get("status", {}).get("reservedNominalWatts") == 24_800)
    await site.delete(domain)

    def waiting(found: Body) -> str:
        conditions = found.get("status", {}).get("conditions", [])
        return "".join(c["message"] for c in conditions if c["reason"] == "BeingDeleted")

    racks = f"Racks {site.word}-a, {site.word}-b refer to it;"
    held = await site.until(domain, lambda d: bool(waiting(d)))
    assert f"gang {site.namespace}/job-train holds nodes under it and {racks}" in waiting(held)
    assert held["status"]["reservedNominalWatts"] == 24_800
    assert held["status"]["usableWatts"] == 0
    await site.create(site.jobs, site.job("late", slots=1))
    late = await site.until(site.gang("job-late"), lambda g: bool(g.get("status", {}).get("message")))
    assert late["status"]["phase"] == "Pending"
    for rack in ("a", "b"):
        await site.delete(f"{GROUP}/racks/{site.word}-{rack}")
    await site.gone(f"{GROUP}/racks/{site.word}-b")
    assert (await site.get(f"{GROUP}/racks/{site.word}-a"))["metadata"]["finalizers"] == [
        "rackplane.dev/in-use"
    ]
    assert "deletionTimestamp" in (await site.get(domain))["metadata"]
    await site.delete(f"{site.jobs}/train")
    await site.gone(f"{GROUP}/racks/{site.word}-a")
    await site.gone(domain)
