"""Kueue's Workloads as the core takes them, from bodies of the shape that Kueue documents."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rackplane.core.objects import Metadata, OwnerReference, Pod
from rackplane.core.workloads.checks import Check
from rackplane.core.workloads.kinds import gang_of_pod
from rackplane.core.workloads.kueue import AdmissionCheck, ResourceFlavor, view
from rackplane.core.workloads.view import Body, Workload

PARAMETERS = {"apiGroup": "rackplane.dev", "kind": "Queue", "name": "research"}
CHECKS = {
    name: msgspec.convert(
        {
            "metadata": {"name": name},
            "spec": {"controllerName": "rackplane.dev/placement", "parameters": PARAMETERS},
        },
        AdmissionCheck,
    )
    for name in ("fabric", "power")
}
FLAVORS = {
    "gb200": msgspec.convert(
        {
            "metadata": {"name": "gb200"},
            "spec": {
                "nodeLabels": {"nvidia.com/gpu.product": "NVIDIA-GB200"},
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
            },
        },
        ResourceFlavor,
    )
}
TEMPLATE: dict[str, Any] = {
    "metadata": {"creationTimestamp": None, "annotations": {"rackplane.dev/power-profile": "MaxQ"}},
    "spec": {
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "containers": [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": 4}}}],
    },
}
RESERVED = {"type": "QuotaReserved", "status": "True", "reason": "QuotaReserved"}
ADMISSION: dict[str, Any] = {
    "clusterQueue": "c",
    "podSetAssignments": [
        {"name": "lead", "count": 1, "flavors": {"cpu": "other"}},
        {"name": "work", "count": 6, "flavors": {"cpu": "gb200", "nvidia.com/gpu": "gb200"}},
    ],
}
SINCE = "2026-11-22T01:00:00Z"


def state(name: str = "power", state: str = "Pending", **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "message": "", "lastTransitionTime": SINCE, **more}


def seen(
    *states: dict[str, Any],
    conditions: list[dict[str, str]] | None = None,
    admission: dict[str, Any] | None = ADMISSION,
    owner: str = "JobSet",
    spec: dict[str, Any] | None = None,
    **status: Any,
) -> Workload | None:
    ranks = {
        "podIndexLabel": "batch.kubernetes.io/job-completion-index",
        "subGroupIndexLabel": "jobset.sigs.k8s.io/job-index",
        "subGroupCount": 2,
    }
    sets = [
        {"name": "lead", "count": 1, "template": TEMPLATE},
        {"name": "work", "count": 8, "minCount": 6, "template": TEMPLATE, "topologyRequest": ranks},
    ]
    owners = [OwnerReference(kind=owner, name="train", uid="u9", api_version="v1", controller=True)]
    return view(
        Body(
            Metadata(name="jobset-train-5f3c9", namespace="ml", uid="u1", owner_references=owners),
            {"podSets": sets, "priority": 100, **(spec or {})},
            {
                "conditions": [RESERVED] if conditions is None else conditions,
                "admissionChecks": list(states or [state()]),
                "admission": admission,
                **status,
            },
        ),
        "v1beta1",
        CHECKS,
        FLAVORS,
    )


def known(found: Workload | None) -> Workload:
    assert found is not None
    return found


def test_it_is_a_gang_of_its_sets_as_kueue_admits_them_with_what_the_flavors_put_on_their_pods() -> None:
    found = known(seen())
    assert (found.gang_name, found.api_version, found.title, found.priority) == (
        "workload-jobset-train-5f3c9",
        "kueue.x-k8s.io/v1beta1",
        "Workload jobset-train-5f3c9",
        100,
    )
    assert found.check == Check("power", "Pending", "", SINCE, "")
    # What its owner is plays no part: Kueue queues it.
    assert found.metadata == Metadata(
        name="jobset-train-5f3c9",
        namespace="ml",
        uid="u1",
        labels={"rackplane.dev/queue": "research"},
        annotations={"rackplane.dev/suspended-by": "rackplane"},
    )
    lead, work = found.reading.pod_sets
    assert [(each.name, each.slots, each.index) for each in (lead, work)] == [
        ("lead", 1, ()),
        ("work", 6, (("jobset.sigs.k8s.io/job-index", 3), ("batch.kubernetes.io/job-completion-index", 1))),
    ]
    assert (lead.template.spec.node_selector, work.template.spec.node_selector) == (
        {"zone": "a"},
        {"zone": "a", "nvidia.com/gpu.product": "NVIDIA-GB200"},
    )
    assert [t.key for t in work.template.spec.tolerations] == ["gpu"]
    assert [gate.name for gate in work.template.spec.scheduling_gates] == ["rackplane.dev/placement"]
    assert work.template.metadata.labels == {"rackplane.dev/queue": "research"}


@pytest.mark.parametrize(
    ("more", "suspend", "held"),
    [
        pytest.param({}, True, "", id="asked"),
        pytest.param({"states": [state(state="Ready")]}, False, "", id="answered"),
        pytest.param({"conditions": []}, True, "waits for quota in Kueue", id="no-quota"),
        pytest.param({"admission": None}, True, "waits for quota in Kueue", id="nothing-admitted"),
        pytest.param(
            {"conditions": [RESERVED, {"type": "Evicted", "status": "True"}]},
            True,
            "Kueue has evicted it",
            id="evicted",
        ),
        pytest.param(
            {"states": [state(state="Retry")]},
            True,
            "its admission check power says Retry, and Kueue takes its quota back",
            id="asked-to-stop",
        ),
        pytest.param({"spec": {"active": False}}, True, "spec.active is false", id="inactive"),
    ],
)
def test_it_is_awake_while_we_say_ready_and_its_users_to_resume_while_it_has_no_quota(
    more: dict[str, Any], suspend: bool, held: str
) -> None:
    found = known(seen(*more.pop("states", []), **more))
    assert found.check is not None
    ours = "rackplane.dev/suspended-by" in found.metadata.annotations
    assert (found.reading.suspend, found.check.held, ours) == (suspend, held, suspend and not held)


def test_the_selector_of_our_answer_holds_for_as_long_as_it_is_ready() -> None:
    update = {"name": "work", "nodeSelector": {"rackplane.dev/rack": "r1"}}
    for how, has in (("Ready", True), ("Pending", False)):
        work = known(seen(state(state=how, podSetUpdates=[update]))).reading.pod_sets[1]
        assert ("rackplane.dev/rack" in work.template.spec.node_selector) is has


@pytest.mark.parametrize(
    ("reason", "outcome"), [("Succeeded", "Complete"), ("Failed", "Failed"), ("OutOfSync", "Complete")]
)
def test_how_it_ended(reason: str, outcome: str) -> None:
    end = {"type": "Finished", "status": "True", "reason": reason}
    assert known(seen(conditions=[RESERVED, end])).reading.outcome == outcome


def test_pods_whose_quota_is_given_back_have_ended() -> None:
    found = known(seen(reclaimablePods=[{"name": "work", "count": 2}]))
    assert [each.succeeded for each in found.reading.pod_sets] == [0, 2]


def test_pods_that_exist_already_get_no_gate() -> None:
    found = known(seen(owner="Pod"))
    assert [each.template.spec.scheduling_gates for each in found.reading.pod_sets] == [[], []]


def test_what_cannot_be_answered_is_said_with_where_and_what_to_do() -> None:
    labelled = {**TEMPLATE, "metadata": {"labels": {"rackplane.dev/queue": "other"}}}
    found = known(
        seen(state("power"), state("fabric"), spec={"podSets": [{"name": "lead", "template": labelled}]})
    )
    assert [str(problem) for problem in found.reading.problems] == [
        "status.admissionChecks has power beside fabric, and one gang has one place. Give a ClusterQueue one "
        "admission check of Rackplane.",
        'spec.podSets[lead].template.metadata.labels[rackplane.dev/queue] is "other", and Kueue cannot put the '
        '"research" of the admission check there. Take the label off: what Kueue queues has it from the admission '
        "check.",
    ]


def test_a_workload_without_our_check_is_none_of_ours() -> None:
    assert seen(state("provisioning")) is None


def test_pods_are_known_by_the_annotation_of_our_answer_before_the_labels_of_what_made_them() -> None:
    labels = {"jobset.sigs.k8s.io/jobset-name": "train", "rackplane.dev/queue": "research"}
    notes = {"rackplane.dev/workload": "jobset-train-5f3c9"}
    assert (
        gang_of_pod(Pod(Metadata(name="p", labels=labels, annotations=notes)))
        == "workload-jobset-train-5f3c9"
    )
    assert gang_of_pod(Pod(Metadata(name="p", labels=labels))) == "jobset-train"
