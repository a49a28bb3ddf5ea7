"""A gang that asks for a ComputeDomain: it is there before its pods, goes after them, and is alone in its cliques."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.core.settings import MachineSettings
from tests.support.domains import (
    DOMAINS,
    GROUP,
    PLURAL,
    TEMPLATES,
    UID_LABEL,
    claim_template,
    domain,
    domain_crd,
    driver,
)
from tests.support.foreign import crd, jobset_controller, pod_template, replicated, workload
from tests.support.harness import Harness, container, facility, started

ASKS = {"rackplane.dev/compute-domain": "auto"}


def site(*, racks: int = 1, served: bool = True, drives: bool = True, **options: Any) -> Harness:
    """Each rack is one clique."""
    objects = facility(racks=racks)
    for each in objects:
        if each["kind"] == "Node":
            labels = each["metadata"]["labels"]
            labels["nvidia.com/gpu.clique"] = f"c-{labels['rackplane.dev/rack']}"
    h = started(objects, **options)
    if served:
        h.apply(domain_crd())
    if drives:
        h.controllers.append(driver)
    return h


def job(h: Harness, name: str, *, slots: int = 2, gpus: int = 4, claims: bool = True, **more: Any) -> None:
    pod = {"resourceClaims": [{"name": "channel", "resourceClaimTemplateName": f"job-{name}-channel"}]}
    template = {"containers": [container(gpus)], **(pod if claims else {})}
    more["annotations"] = {**ASKS, **more.get("annotations", {})}
    h.job(name, slots=slots, gpus=gpus, template={**template, **more.pop("template", {})}, **more)


def domains(h: Harness) -> list[str]:
    return [each["metadata"]["name"] for each in h.cluster.store.items((GROUP, PLURAL))]


def racks(h: Harness, gang: str) -> set[str]:
    return {each["rack"] for each in h.gang(gang)["status"]["assignment"]}


def status(h: Harness, gang: str) -> tuple[str, str]:
    """Status of the Ready condition, and the message."""
    found = h.gang(gang)["status"]
    (ready,) = [c["status"] for c in found["conditions"] if c["type"] == "Ready"]
    return ready, found["message"]


def test_it_is_made_before_the_job_is_resumed_and_deleted_when_its_pods_are_gone() -> None:
    h = site(drives=False)
    job(h, "train", run=20)
    h.settle()
    (made,) = h.cluster.store.items((GROUP, PLURAL))
    gang = h.gang("job-train")
    assert made["metadata"]["name"] == "job-train"
    assert [owner["uid"] for owner in made["metadata"]["ownerReferences"]] == [gang["metadata"]["uid"]]
    channel = {"allocationMode": "Single", "resourceClaimTemplate": {"name": "job-train-channel"}}
    assert made["spec"] == {"numNodes": 0, "channel": channel}
    # The driver's controller has not made the claim template: no pod is there that would look for it.
    assert (h.phase("job-train"), h.pods()) == ("Admitted", [])
    h.advance(25)
    assert [
        told.message for told in h.told if told.reason == "ComputeDomainNotReady" and told.kind == "Gang"
    ] == [
        "ResourceClaimTemplate default/job-train-channel of its ComputeDomain is not there yet: the controller of "
        "NVIDIA's DRA driver makes it"
    ]
    h.controllers.append(driver)
    h.until(lambda: h.phase("job-train") == "Running")
    assert domains(h) == ["job-train"]
    h.until(lambda: h.phase("job-train") == "Finished", seconds=60)
    h.settle()
    assert (domains(h), h.failures) == ([], [])


def test_a_second_one_in_a_clique_waits_with_the_reason_and_one_without_does_not() -> None:
    h = site(racks=2)
    job(h, "a", run=60)
    job(h, "b", run=None)
    h.until(lambda: (h.phase("job-a"), h.phase("job-b")) == ("Running", "Running"))
    assert racks(h, "job-a") | racks(h, "job-b") == {"r1", "r2"}
    job(h, "c")
    h.job("plain", slots=2, run=None)
    h.until(lambda: h.phase("job-plain") == "Running")
    ready, message = status(h, "job-c")
    assert (h.phase("job-c"), ready, domains(h)) == ("Pending", "True", ["job-a", "job-b"])
    words = [f"c-{rack} (gang default/job-{name})" for name in "ab" for rack in racks(h, f"job-{name}")]
    said = f"NVLink cliques that have a ComputeDomain take no second one: {', '.join(sorted(words))}"
    assert said in message
    gone = racks(h, "job-a")
    h.until(lambda: h.phase("job-c") == "Running", seconds=120)
    assert (racks(h, "job-c"), domains(h)) == (gone, ["job-b", "job-c"])


def test_cliques_that_users_hold_with_domains_of_their_own_are_left_to_them() -> None:
    h = site(racks=2)
    h.request("POST", DOMAINS, domain("mine", "mine"))
    claims = [{"name": "channel", "resourceClaimTemplateName": "mine"}]
    h.pod(
        "user",
        nodeName="r1-n0",
        resourceClaims=claims,
        tolerations=[{"operator": "Exists"}],
        annotations={"localcluster.rackplane.dev/run-seconds": "100"},
    )
    h.settle()
    job(h, "a", run=None)
    job(h, "b", run=None)
    h.until(lambda: h.phase("job-a") == "Running")
    assert (racks(h, "job-a"), h.phase("job-b")) == ({"r2"}, "Pending")
    assert "c-r1 (ComputeDomain default/mine)" in status(h, "job-b")[1]
    h.until(lambda: h.phase("job-b") == "Running", seconds=200)
    assert racks(h, "job-b") == {"r1"}
    assert domains(h) == ["job-a", "job-b", "mine"]


def test_a_gang_that_makes_way_takes_its_domain_with_it() -> None:
    h = site()
    h.patch(
        "/apis/rackplane.dev/v1alpha1/queues/research",
        {"spec": {"preemption": {"withinQueue": "LowerPriority"}}},
    )
    job(h, "low", run=None)
    h.until(lambda: h.phase("job-low") == "Running")
    high = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "high"},
        "value": 9,
    }
    h.request("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", high)
    # Two nodes are free all the time: only the clique is taken.
    job(h, "urgent", run=30, template={"priorityClassName": "high"})
    h.until(lambda: h.phase("job-urgent") == "Running", seconds=60)
    assert (h.phase("job-low"), domains(h)) == ("Pending", ["job-urgent"])
    h.until(lambda: h.phase("job-low") == "Running", seconds=120)
    assert domains(h) == ["job-low"]


def test_a_gang_over_several_cliques_has_one_domain_and_no_other_joins_it() -> None:
    h = site(racks=2)
    job(h, "wide", slots=6, run=None)
    h.until(lambda: h.phase("job-wide") == "Running")
    job(h, "small", slots=1)
    h.settle()
    assert (racks(h, "job-wide"), domains(h), h.phase("job-small")) == ({"r1", "r2"}, ["job-wide"], "Pending")


def test_pods_of_a_jobset_that_claim_no_channel_share_nodes_with_those_that_do() -> None:
    h = site()
    h.apply(crd("JobSet"))
    h.controllers.append(jobset_controller)
    worker = pod_template(4)
    worker["spec"]["resourceClaims"] = [
        {"name": "channel", "resourceClaimTemplateName": "jobset-train-channel"}
    ]
    jobs = [
        replicated("lead", pods=2, template=pod_template(0)),
        replicated("work", pods=4, template=worker),
    ]
    h.job("busy", slots=1, run=None)
    h.until(lambda: h.phase("job-busy") == "Running")
    body = workload("JobSet", "train", {"replicatedJobs": jobs}, annotations=dict(ASKS))
    h.request("POST", "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets", body)
    h.settle()
    # The four nodes of the rack are wanted whole.
    assert (h.phase("jobset-train"), domains(h)) == ("Pending", [])
    h.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/busy", {"propagationPolicy": "Background"})
    h.until(lambda: h.phase("jobset-train") == "Running", seconds=60)
    assert (racks(h, "jobset-train"), domains(h)) == ({"r1"}, ["jobset-train"])


def test_a_killed_operator_makes_it_once_and_deletes_it_still() -> None:
    killed: list[int] = []

    def kill(number: int, when: str) -> bool:
        # Before or after each write in turn, and on from there.
        if (number, when) in ((n, w) for n in range(1, 40) for w in ("after",)) and number not in killed:
            killed.append(number)
            return True
        return False

    h = site(kill=kill)
    job(h, "train", run=5)
    h.until(lambda: h.phase("job-train") == "Finished", seconds=120)
    h.advance(2)
    assert (domains(h), len(killed) > 8) == ([], True)
    assert not [f for f in h.failures if "ComputeDomain" in type(f.instruction).__name__]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"settings": MachineSettings(validate=True, compute_domains=False)},
            "and this operator makes none: set computeDomains.enabled in the chart's values, or remove the annotation",
        ),
        (
            {"served": False, "drives": False},
            "and the cluster has no such kind (computedomains.resource.nvidia.com), or does not let the operator list "
            "it: install NVIDIA's DRA driver for GPUs with ComputeDomains, or remove the annotation",
        ),
    ],
    ids=["switched off", "no CRD"],
)
def test_where_none_can_be_made_the_gang_is_told_what_to_do(options: dict[str, Any], said: str) -> None:
    h = site(**options)
    job(h, "train")
    h.job("plain", run=None)
    h.until(lambda: h.phase("job-plain") == "Running")
    assert status(h, "job-train") == (
        "False",
        f"Job train: asks for a ComputeDomain (rackplane.dev/compute-domain), {said}",
    )
    if "served" in options:
        h.controllers.append(driver)
        h.apply(domain_crd())
        h.until(lambda: h.phase("job-train") == "Running")


def test_what_has_its_name_and_is_not_its_own_is_not_touched() -> None:
    h = site(racks=2)
    h.request("POST", DOMAINS, domain("job-a", "other"))
    h.request("POST", TEMPLATES, claim_template("job-b-channel"))
    job(h, "a")
    job(h, "b")
    h.settle()
    asks = "asks for a ComputeDomain (rackplane.dev/compute-domain)"
    assert status(h, "job-a") == (
        "False",
        f"Job a: {asks}, and ComputeDomain default/job-a, which somebody else made, has its name: delete it, or rename "
        "the workload",
    )
    assert status(h, "job-b") == (
        "False",
        f"Job b: {asks}, and ResourceClaimTemplate default/job-b-channel, which is to come with it, is there already: "
        "delete it, or rename the workload",
    )
    h.request("DELETE", f"{DOMAINS}/job-a")
    h.request("DELETE", f"{TEMPLATES}/job-b-channel")
    h.until(lambda: (h.phase("job-a"), h.phase("job-b")) == ("Running", "Running"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"claims": False},
            "spec.template.spec.resourceClaims: names no claim of ResourceClaimTemplate job-train-channel, which comes "
            "with the gang's ComputeDomain: without a channel of it the pods cannot use each other's GPU memory. Add "
            "{name: channel, resourceClaimTemplateName: job-train-channel}, and {name: channel} to resources.claims of "
            "the container.",
        ),
        (
            {"gpus": 2},
            "spec.template.spec.containers: ask for 2 of the 4 nvidia.com/gpu of a node, and a node has one channel, "
            "so that a second pod of the gang could never start there. Ask for all 4.",
        ),
    ],
    ids=["no claim", "half a node"],
)
def test_pods_that_could_not_use_it_are_named(more: dict[str, Any], said: str) -> None:
    h = site()
    job(h, "train", **more)
    h.settle()
    assert (status(h, "job-train"), domains(h)) == (("False", said), [])


def test_nodes_keep_no_label_of_a_domain_that_is_gone() -> None:
    h = site()
    job(h, "train", run=5)
    h.until(lambda: h.phase("job-train") == "Finished", seconds=60)
    h.settle()
    assert [n["metadata"]["labels"].get(UID_LABEL) for n in h.cluster.store.items(("", "nodes"))] == [
        None
    ] * 4
