"""Beside Kueue: what is watched of it, in the version that is served, and when our checks are Active."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from rackplane.controller.kueue.active import CheckKeeper
from rackplane.controller.kueue.join import KueueJoin
from rackplane.controller.kueue.watch import kueue_informers
from rackplane.core import events as e
from rackplane.core.workloads.kueue import AdmissionCheck
from rackplane.kube.client import Client
from rackplane.kube.informer import Informer
from rackplane.localcluster import LocalCluster
from tests.support.kueue import check, crds

PATH = "/apis/kueue.x-k8s.io/v1beta1/admissionchecks"


class Site:
    """A cluster whose Kueue serves v1beta1 alone, and what is watched of it."""

    def __init__(self) -> None:
        self.cluster = LocalCluster()
        for each in crds():
            each["spec"]["versions"][0]["name"] = "v1beta1"
            self.cluster.apply(each)
        self.told: list[e.Event] = []
        self.join = KueueJoin(self.told.append)
        self.queues = {"research"}
        self.leads = True
        self.now = 1_800_000_000.0
        client: Client = self.cluster.client()
        self.informers: dict[str, Informer[Any]] = kueue_informers(client, self.join)
        self.keeper = CheckKeeper(
            client,
            checks=lambda: self.join.checks,
            resource=lambda: self.informers["kueue admissionchecks"].resource,
            has_queue=self.queues.__contains__,
            leading=lambda: self.leads,
            clock=lambda: self.now,
        )

    def create(self, body: dict[str, Any]) -> None:
        self.cluster.request("POST", PATH, {**body, "apiVersion": "kueue.x-k8s.io/v1beta1"})

    async def look(self) -> None:
        for informer in self.informers.values():
            await informer.relist()
        await self.keeper.look()

    def stored(self, name: str) -> Any:
        return self.cluster.request("GET", f"{PATH}/{name}")

    def conditions(self, name: str = "rackplane") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.stored(name).get("status", {}).get("conditions", [])
        return found


async def test_the_condition_says_whether_the_check_can_be_answered_and_changes_with_that() -> None:
    site = Site()
    site.create(check())
    await site.look()
    first = {
        "type": "Active",
        "status": "True",
        "reason": "Active",
        "message": "gangs go through Queue research",
        "observedGeneration": 1,
        "lastTransitionTime": "2027-01-15T08:00:00Z",
    }
    assert site.conditions() == [first]
    version = site.stored("rackplane")["metadata"]["resourceVersion"]
    await site.look()
    assert site.stored("rackplane")["metadata"]["resourceVersion"] == version
    site.queues.clear()
    site.now += 60
    await site.look()
    assert site.conditions() == [
        {
            **first,
            "status": "False",
            "reason": "QueueNotFound",
            "message": "there is no Queue research: create it, or name another in spec.parameters",
            "lastTransitionTime": "2027-01-15T08:01:00Z",
        }
    ]


async def test_a_check_without_a_queue_is_not_active_and_says_what_to_write() -> None:
    site = Site()
    body = check()
    del body["spec"]["parameters"]
    site.create(body)
    await site.look()
    (found,) = site.conditions()
    assert (found["status"], found["reason"], found["message"]) == (
        "False",
        "BadParameters",
        "spec.parameters is missing: write apiGroup: rackplane.dev, kind: Queue and the name of the Queue that its "
        "gangs go through",
    )


async def test_a_standby_writes_nothing_nor_does_anybody_to_checks_of_others() -> None:
    site = Site()
    other = check("provisioning")
    other["spec"]["controllerName"] = "kueue.x-k8s.io/provisioning-request"
    site.create(check())
    site.create(other)
    site.leads = False
    await site.look()
    assert site.conditions() == []
    site.leads = True
    await site.look()
    assert (len(site.conditions()), site.conditions("provisioning")) == (1, [])


async def test_where_there_is_no_kueue_nothing_is_watched_or_written() -> None:
    cluster = LocalCluster()
    join = KueueJoin(lambda event: None)
    for informer in kueue_informers(cluster.client(), join).values():
        await asyncio.wait_for(informer.relist(), 1)
        assert informer.synced.is_set()
    assert join.checks == {}


async def test_workloads_are_told_of_anew_when_their_check_or_flavor_changes() -> None:
    site = Site()
    workload = {
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "Workload",
        "metadata": {"name": "w", "namespace": "default"},
        "spec": {"podSets": [{"name": "main", "count": 2, "template": {"spec": {"containers": []}}}]},
    }
    states = [
        {"name": "rackplane", "state": "Pending", "message": "", "lastTransitionTime": "2027-01-15T08:00:00Z"}
    ]
    path = "/apis/kueue.x-k8s.io/v1beta1/namespaces/default/workloads"
    site.cluster.request("POST", path, workload)
    site.cluster.request(
        "PATCH",
        f"{path}/w/status",
        {"status": {"admissionChecks": states}},
        content_type="application/merge-patch+json",
    )
    await site.look()
    assert site.told == [e.WorkloadDeleted("Workload", "default", "w")]
    site.create(check())
    await site.look()
    changed = site.told[-1]
    assert isinstance(changed, e.WorkloadChanged)
    assert (changed.workload.version, changed.workload.metadata.labels) == (
        "v1beta1",
        {"rackplane.dev/queue": "research"},
    )
    site.join.put_check(_named("other"))
    renamed = site.told[-1]
    assert isinstance(renamed, e.WorkloadChanged)
    assert renamed.workload.metadata.labels == {"rackplane.dev/queue": "other"}


def _named(queue: str) -> AdmissionCheck:
    return msgspec.convert(check(queue=queue), AdmissionCheck)
