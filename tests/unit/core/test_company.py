"""Gangs beside other pods: placed where kube-scheduler binds them, and told by name what cannot be honoured."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rackplane.core import events as e
from rackplane.core.claims import ResourceClaim
from rackplane.core.objects import Pod
from rackplane.core.pods.unmet import differing_company, unmet
from tests.support.harness import GPU, Harness, started

HOST = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
LEVELS = {"example.com/leaf": "leaf"}


def term(app: str, key: str = HOST, **more: Any) -> dict[str, Any]:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}, **more}


def apart(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"podAntiAffinity": {REQUIRED: list(terms)}}}


def together(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"podAffinity": {REQUIRED: list(terms)}}}


def spread(key: str = HOST, **more: Any) -> dict[str, Any]:
    selector = {"matchLabels": {"app": "train"}}
    entry = {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": selector,
    }
    return {"topologySpreadConstraints": [{**entry, **more}]}


def other(h: Harness, name: str, app: str, node: str, **spec: Any) -> None:
    """A pod that is none of ours, on a node."""
    containers = [{"name": "c", "image": "i"}]
    tolerations = [{"operator": "Exists"}]
    h.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
            "spec": {"containers": containers, "nodeName": node, "tolerations": tolerations, **spec},
        }
    )
    h.settle()


def train(h: Harness, slots: int, *, gpus: int = 1, **spec: Any) -> list[str]:
    """The nodes that the pods of a Job are bound to."""
    h.job("train", slots=slots, gpus=gpus, template=spec, pod_labels={"app": "train"})
    h.settle()
    return sorted(pod["spec"].get("nodeName", "") for pod in h.pods_of("train"))


def message(h: Harness, name: str = "train") -> str:
    return str(h.gang(f"job-{name}")["status"]["message"])


def test_pods_that_keep_apart_get_a_node_each() -> None:
    h = started()
    assert train(h, 4, **apart(term("train"))) == ["r1-n0", "r1-n1", "r1-n2", "r1-n3"]
    assert h.phase("job-train") == "Running"


def test_pods_that_are_spread_over_nodes_get_at_most_the_skew_on_one() -> None:
    h = started()
    assert train(h, 4, **spread(maxSkew=2)) == ["r1-n0", "r1-n0", "r1-n1", "r1-n1"]
    assert h.phase("job-train") == "Running"


def test_pods_keep_away_from_others_and_go_near_others() -> None:
    h = started()
    other(h, "noisy", "noisy", "r1-n0")
    other(h, "cache", "cache", "r1-n2")
    wanted: dict[str, Any] = {
        "affinity": {**apart(term("noisy"))["affinity"], **together(term("cache"))["affinity"]}
    }
    assert train(h, 4, **wanted) == ["r1-n2"] * 4


def test_a_pod_that_is_there_may_refuse_ours() -> None:
    h = started()
    other(h, "quiet", "quiet", "r1-n0", **apart(term("train")))
    assert train(h, 4, gpus=4) == ["r2-n0", "r2-n1", "r2-n2", "r2-n3"]


def test_a_gang_with_a_place_refuses_the_next_before_its_pods_are_bound() -> None:
    h = started()
    for name in ("one", "two"):
        h.job(name, slots=2, gpus=1, template=apart(term("lonely")), pod_labels={"app": "lonely"})
    h.settle()
    nodes = [pod["spec"]["nodeName"] for name in ("one", "two") for pod in h.pods_of(name)]
    assert sorted(nodes) == ["r1-n0", "r1-n1", "r1-n2", "r1-n3"]


def test_a_gang_starts_when_those_it_keeps_away_from_are_gone() -> None:
    h = started()
    for node in h.machine.world.nodes:
        other(h, f"noisy-{node}", "noisy", node)
    assert train(h, 2, **apart(term("noisy"))) == []
    assert "8 barred by the gang's own constraints" in message(h)
    for node in ("r2-n1", "r2-n2"):
        h.request("DELETE", f"/api/v1/namespaces/default/pods/noisy-{node}", {"gracePeriodSeconds": 0})
    h.settle()
    assert {pod["spec"]["nodeName"] for pod in h.pods_of("train")} <= {"r2-n1", "r2-n2"}
    assert h.phase("job-train") == "Running"


def said(slots: int = 2, labels: dict[str, str] | None = None, **spec: Any) -> list[str]:
    body = {"metadata": {"name": "p"}, "spec": {"containers": [{}], **spec}}
    kinds = [("ns", {"app": "train"} if labels is None else labels)]
    resources = ("amd.com/gpu", GPU)
    found = unmet(
        "spec",
        msgspec.convert(body, Pod).spec,
        kinds,
        slots=slots,
        resources=resources,
        level_by_node_label=LEVELS,
    )
    return [f"{p.where}: {p.what} {p.remedy}" for p in found]


ONE_DOMAIN = "Ask for one domain by the annotation rackplane.dev/required-topology: leaf, or for parts by "
ONE_DOMAIN += "rackplane.dev/segment-size"


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="nothing"),
        pytest.param(apart(term("train")), id="apart by node"),
        pytest.param(apart(term("other", "zone")), id="apart from others"),
        pytest.param(together(term("other", "zone")), id="near others"),
        pytest.param(apart(term("other", namespaceSelector={})), id="all namespaces"),
        pytest.param(
            apart(term("x", namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "a"}})),
            id="a namespace by its name",
        ),
        pytest.param(spread(), id="spread over nodes"),
        pytest.param(spread("zone", whenUnsatisfiable="ScheduleAnyway"), id="a wish"),
        pytest.param({"containers": [{"resources": {"limits": {GPU: "4"}}}]}, id="one accelerator"),
    ],
)
def test_what_is_honoured_is_not_refused(spec: dict[str, Any]) -> None:
    assert said(**spec) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(
            {
                "containers": [
                    {"resources": {"limits": {GPU: "4"}}},
                    {"resources": {"limits": {"amd.com/gpu": "1"}}},
                ]
            },
            "spec.containers: ask for amd.com/gpu and for nvidia.com/gpu, and a node has accelerators of one kind. Ask "
            "for one of them, and start the others as pods of another Job.",
            id="two accelerators",
        ),
        pytest.param(
            spread("example.com/leaf"),
            "spec.topologySpreadConstraints[0].topologyKey: spreads the pods over example.com/leaf, which "
            "kube-scheduler does not hold to when the node of every pod is chosen before. "
            f"{ONE_DOMAIN}, or write whenUnsatisfiable: ScheduleAnyway, which is a wish.",
            id="spread over domains",
        ),
        pytest.param(
            together(term("train", "example.com/leaf")),
            f"spec.affinity.podAffinity.{REQUIRED}[0]: wants the pods of the gang on nodes with one example.com/leaf; "
            "where they lie is decided for all of them at once, before the first could draw the others. "
            f"{ONE_DOMAIN}, or let the selector mean other pods only.",
            id="near each other",
        ),
        pytest.param(
            apart(term("other"), term("train", "zone")),
            f"spec.affinity.podAntiAffinity.{REQUIRED}[1]: keeps the pods of the gang apart by zone; that is honoured "
            "for kubernetes.io/hostname only. Ask for a level of the fabric by the annotation "
            "rackplane.dev/required-topology, or for parts by rackplane.dev/segment-size, let the selector mean other "
            "pods only, or write topologyKey: kubernetes.io/hostname.",
            id="apart by domain",
        ),
        pytest.param(
            apart(term("other", namespaceSelector={"matchLabels": {"team": "a"}})),
            f"spec.affinity.podAntiAffinity.{REQUIRED}[0].namespaceSelector: chooses namespaces by labels, which "
            "Rackplane does not watch. List them in namespaces, select by kubernetes.io/metadata.name, or write {} for "
            "all namespaces.",
            id="namespaces by label",
        ),
        pytest.param(
            spread(matchLabelKeys=["batch.kubernetes.io/job-completion-index"]),
            None,
            id="a key that a template does not have",
        ),
        pytest.param(
            apart(
                {
                    "topologyKey": HOST,
                    "labelSelector": {"matchLabels": {"batch.kubernetes.io/job-completion-index": "0"}},
                }
            ),
            f"spec.affinity.podAntiAffinity.{REQUIRED}[0].labelSelector: tells the pods of one Job apart by their "
            "completion index, and any pod of a gang may get any of its places. Select by labels that all pods of the "
            "gang share.",
            id="by completion index",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(spec: dict[str, Any], expected: str | None) -> None:
    assert said(**spec) == ([] if expected is None else [expected])


def test_a_single_pod_keeps_apart_from_its_like_by_any_label() -> None:
    assert said(slots=1, **apart(term("train", "zone")), **spread()) == []


def test_bare_pods_that_want_other_company_than_each_other_are_refused() -> None:
    pods = [
        msgspec.convert({"metadata": {"name": f"w-{i}"}, "spec": {"containers": [{}], **spec}}, Pod)
        for i, spec in enumerate(({}, {}, apart(term("x"))))
    ]
    found = differing_company(pods)
    assert found is not None
    assert (found.where, found.what) == (
        "Pod w-2, spec.affinity.podAntiAffinity",
        "differs from that of w-0 of the same gang, and any pod of a gang may get any of its places.",
    )
    assert differing_company(pods[:2]) is None


def test_the_refusal_reaches_the_user_and_goes_when_the_field_does() -> None:
    h = started()
    train(h, 2, **spread("zone"))
    assert message(h).startswith(
        "spec.template.spec.topologySpreadConstraints[0].topologyKey: spreads the pods"
    )
    assert h.gang("job-train")["status"]["phase"] == "Pending"


@pytest.mark.parametrize(("size", "phase"), [("2", "Running"), ("3", "Pending")])
def test_a_jobs_gang_has_the_size_of_the_job(size: str, phase: str) -> None:
    h = started()
    h.job("train", slots=2, annotations={"rackplane.dev/gang-size": size})
    h.settle()
    assert h.phase("job-train") == phase
    if phase == "Pending":
        assert message(h) == (
            "metadata.annotations[rackplane.dev/gang-size]: is 3, but the gang of a Job is the pods that it runs "
            "at a time, which are 2. Set spec.parallelism to 3, with completions at least as many, or remove the "
            "annotation: it is for bare pods."
        )


def claim(name: str, node: str | None, **metadata: Any) -> ResourceClaim:
    selector = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    allocation = {"devices": {}, "nodeSelector": {"nodeSelectorTerms": [selector]}}
    body = {
        "metadata": {"name": name, "namespace": "default", "uid": name, **metadata},
        "status": {"allocation": allocation} if node else {},
    }
    return msgspec.convert(body, ResourceClaim)


SHARED = {"resourceClaims": [{"name": "net", "resourceClaimName": "shared"}]}


def waiting(slots: int) -> Harness:
    """A gang with GPUs beside a claim that is not there."""
    h = started()
    h.job("train", slots=slots, gpus=1, template=SHARED)
    h.settle()
    return h


def test_a_claim_that_is_not_there_is_waited_for_by_name() -> None:
    h = waiting(2)
    assert message(h) == (
        "Job train: ResourceClaim default/shared, which its pods name in spec.resourceClaims, does not exist: create it"
    )


def test_a_claim_that_is_allocated_keeps_the_gang_to_its_nodes() -> None:
    h = waiting(2)
    h.machine.handle(h.time(), e.ClaimChanged(claim("shared", "r2-n3")))
    h.machine.handle(h.time(), e.TimePassed())
    [record] = h.machine.gangs.values()
    assert record.decision is not None
    assert record.decision.placement.slots == ("r2-n3", "r2-n3")


def test_a_claim_that_several_pods_share_must_be_allocated_first() -> None:
    h = waiting(2)
    h.machine.handle(h.time(), e.ClaimChanged(claim("shared", None)))
    [record] = h.machine.gangs.values()
    assert record.message == (
        "Job train: ResourceClaim default/shared, which its pods name in spec.resourceClaims, is shared by its 2 pods "
        "and not allocated yet, so that it is not known which nodes can use it: use resourceClaimTemplateName, so that "
        "each pod gets a claim of its own, or have it allocated by a pod of its own first"
    )


def test_a_claim_of_one_pod_is_left_to_kube_scheduler() -> None:
    h = waiting(1)
    h.machine.handle(h.time(), e.ClaimChanged(claim("shared", None)))
    [record] = h.machine.gangs.values()
    assert record.decision is not None


def test_a_claim_that_goes_is_waited_for() -> None:
    h = waiting(1)
    h.machine.handle(
        h.time(), e.ClaimChanged(claim("shared", None, deletionTimestamp="2026-01-01T00:00:00Z"))
    )
    [record] = h.machine.gangs.values()
    assert record.message.endswith("is being deleted: create it anew, or name another")
