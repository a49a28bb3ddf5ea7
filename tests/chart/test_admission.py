"""The chart's admission rule and its guard, through kubectl: on the embedded cluster, and on a real API server.

The real one is that of RACKPLANE_TEST_KUBECONFIG. The policies are confined to a namespace of this test, so that the
cluster can serve others meanwhile.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rackplane.core.objects import Metadata
from rackplane.core.workloads.kinds import KINDS
from rackplane.core.workloads.view import Body
from tests.chart.helm import NAMESPACE, Manifest, render, run
from tests.support.foreign import crd, workload
from tests.support.served import served

KUBECONFIG = os.environ.get("RACKPLANE_TEST_KUBECONFIG", "")
OUR_GATE = {"name": "rackplane.dev/placement"}
FOREIGN_GATE = {"name": "example.com/quota"}
OUR_TOLERATION = {"key": "rackplane.dev/managed", "operator": "Exists", "effect": "NoSchedule"}
LABELLED = {"rackplane.dev/queue": "research"}
REMOVE_GATE = {"spec": {"schedulingGates": [{"$patch": "delete", **OUR_GATE}]}}


class Cluster:
    """kubectl in the test's namespace."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self._kubeconfig = kubeconfig
        self.namespace = namespace
        self.operator = f"system:serviceaccount:{NAMESPACE}:{namespace}"

    def kubectl(self, *arguments: str, stdin: Manifest | list[Manifest] | None = None) -> tuple[int, str]:
        """Exit code, and standard output or, if it failed, standard error."""
        documents = stdin if isinstance(stdin, list) else [] if stdin is None else [stdin]
        text = "\n".join(json.dumps(document) for document in documents) or None
        result = run(
            "kubectl", "--kubeconfig", self._kubeconfig, "-n", self.namespace, *arguments, stdin=text
        )
        return result.returncode, result.stderr if result.returncode else result.stdout

    def helm(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and standard error."""
        result = run("helm", *arguments, "--kubeconfig", self._kubeconfig, "-n", self.namespace)
        return result.returncode, result.stderr

    def admit(self, manifest: Manifest) -> Manifest:
        """The object as the API server would store it; nothing is stored."""
        code, text = self.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=manifest)
        assert code == 0, text
        admitted: Manifest = json.loads(text)
        return admitted


@pytest.fixture(
    scope="module",
    params=[
        "embedded",
        pytest.param(
            "real",
            marks=[
                pytest.mark.real_cluster,
                pytest.mark.skipif(not KUBECONFIG, reason="RACKPLANE_TEST_KUBECONFIG names no cluster"),
            ],
        ),
    ],
)
def kubeconfig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "real":
        yield KUBECONFIG
        return
    path = tmp_path_factory.mktemp("embedded") / "kubeconfig"
    with served(path):
        yield str(path)


@pytest.fixture(scope="module")
def cluster(kubeconfig: str) -> Iterator[Cluster]:
    name = f"rackplane-admission-{uuid.uuid4().hex[:8]}"
    policies = [
        manifest
        for manifest in render(
            {
                "fullnameOverride": name,
                # The embedded cluster refuses policies with JSON patches.
                **(
                    {}
                    if kubeconfig == KUBECONFIG
                    else {"workloads": {"kinds": ["JobSet", "TrainJob", "PyTorchJob", "MPIJob"]}}
                ),
                "admission": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
                    "checks": "Deny",
                    "guard": {"exemptUsers": ["release-manager"], "exemptGroups": ["sre"]},
                },
            }
        )
        if "AdmissionPolicy" in manifest["kind"]
    ]
    it = Cluster(kubeconfig, name)
    assert it.kubectl("create", "namespace", name)[0] == 0
    try:
        code, text = it.kubectl("apply", "-f", "-", stdin=policies)
        assert code == 0, text
        _wait_until_in_force(it)
        yield it
    finally:
        it.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=policies)
        it.kubectl("delete", "namespace", name, "--wait=false")


def _wait_until_in_force(cluster: Cluster) -> None:
    """The API server takes up new policies a moment after they are stored; nothing reports when it has."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        gated = cluster.admit(_pod(labels=LABELLED))["spec"].get("schedulingGates")
        suspended = cluster.admit(_job(labels=LABELLED))["spec"]["suspend"]
        refused, _ = cluster.kubectl(
            "create", "--dry-run=server", "-f", "-", stdin=_pod(spec={"tolerations": [OUR_TOLERATION]})
        )
        if gated and suspended and refused:
            return
    pytest.fail("the policies did not come into force within 30 s")


def _pod(
    *, name: str = "pod", labels: dict[str, str] | None = None, spec: dict[str, Any] | None = None
) -> Manifest:
    containers = [{"name": "worker", "image": "busybox:1.37"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"containers": containers, **(spec or {})},
    }


def _job(
    *,
    labels: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    template: dict[str, Any] | None = None,
    pod_spec: dict[str, Any] | None = None,
) -> Manifest:
    containers = [{"name": "worker", "image": "busybox:1.37"}]
    pod = {"restartPolicy": "Never", "containers": containers, **(pod_spec or {})}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job", "labels": labels or {}},
        "spec": {"template": {**(template or {}), "spec": pod}, **(spec or {})},
    }


def _ours(mapping: dict[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (mapping or {}).items() if key.startswith("rackplane.dev/")}


SUSPENDED_BY_US = {"rackplane.dev/suspended-by": "rackplane"}


@pytest.mark.parametrize(
    ("job", "suspended", "annotations", "gates"),
    [
        pytest.param(_job(labels=LABELLED), True, SUSPENDED_BY_US, [OUR_GATE], id="plain"),
        pytest.param(
            _job(labels=LABELLED, spec={"suspend": False}),
            True,
            SUSPENDED_BY_US,
            [OUR_GATE],
            id="not-suspended",
        ),
        pytest.param(
            _job(labels=LABELLED, spec={"suspend": True}), True, {}, [OUR_GATE], id="suspended-by-user"
        ),
        pytest.param(
            _job(labels=LABELLED, pod_spec={"schedulingGates": [OUR_GATE]}),
            True,
            SUSPENDED_BY_US,
            [OUR_GATE],
            id="gated-already",
        ),
        pytest.param(
            _job(labels=LABELLED, pod_spec={"schedulingGates": [FOREIGN_GATE]}),
            True,
            SUSPENDED_BY_US,
            [FOREIGN_GATE, OUR_GATE],
            id="foreign-gate-stays",
        ),
        pytest.param(
            _job(labels=LABELLED, template={"metadata": {"labels": {"rackplane.dev/queue": "other"}}}),
            True,
            SUSPENDED_BY_US,
            [OUR_GATE],
            id="template-follows-the-job",
        ),
    ],
)
def test_a_labelled_job_queues(
    cluster: Cluster,
    job: Manifest,
    suspended: bool,
    annotations: dict[str, str],
    gates: list[dict[str, str]],
) -> None:
    admitted = cluster.admit(job)
    template = admitted["spec"]["template"]
    assert admitted["spec"]["suspend"] is suspended
    assert _ours(admitted["metadata"].get("annotations")) == annotations
    assert _ours(template["metadata"]["labels"]) == LABELLED
    assert sorted(template["spec"]["schedulingGates"], key=str) == sorted(gates, key=str)


def test_labels_and_annotations_of_the_user_stay(cluster: Cluster) -> None:
    job = _job(
        labels={**LABELLED, "app": "train"},
        template={"metadata": {"labels": {"app": "train"}, "annotations": {"note": "mine"}}},
    )
    job["metadata"]["annotations"] = {"rackplane.dev/required-topology": "nvlink"}
    admitted = cluster.admit(job)
    template = admitted["spec"]["template"]["metadata"]
    assert admitted["metadata"]["labels"]["app"] == template["labels"]["app"] == "train"
    assert template["annotations"] == {"note": "mine"}
    assert _ours(admitted["metadata"]["annotations"]) == {
        "rackplane.dev/required-topology": "nvlink",
        **SUSPENDED_BY_US,
    }


def test_a_job_without_the_label_is_left_alone(cluster: Cluster) -> None:
    admitted = cluster.admit(_job(labels={"app": "web"}))
    assert admitted["spec"]["suspend"] is False
    assert not _ours(admitted["metadata"].get("annotations"))
    assert "schedulingGates" not in admitted["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("pod", "gates"),
    [
        pytest.param(_pod(labels=LABELLED), [OUR_GATE], id="plain"),
        pytest.param(
            _pod(labels=LABELLED, spec={"schedulingGates": [OUR_GATE]}), [OUR_GATE], id="gated-already"
        ),
        pytest.param(
            _pod(labels=LABELLED, spec={"schedulingGates": [FOREIGN_GATE]}),
            [FOREIGN_GATE, OUR_GATE],
            id="foreign-gate-stays",
        ),
        pytest.param(_pod(), [], id="no-label"),
    ],
)
def test_a_labelled_pod_is_gated(cluster: Cluster, pod: Manifest, gates: list[dict[str, str]]) -> None:
    assert cluster.admit(pod)["spec"].get("schedulingGates", []) == gates


def test_a_labelled_pod_that_names_its_node_is_told_what_to_do(cluster: Cluster) -> None:
    if cluster.kubectl("get", "mutatingadmissionpolicybinding", "rackplane-queue-pods")[0] == 0:
        pytest.skip("a release without the guard, as tests/integration leaves it behind, gates pods here too")
    code, text = cluster.kubectl(
        "create", "--dry-run=server", "-f", "-", stdin=_pod(labels=LABELLED, spec={"nodeName": "n1"})
    )
    assert code != 0
    assert "spec.nodeName: Rackplane chooses the nodes of what is in a queue. Take it out" in text
    assert cluster.admit(_pod(spec={"nodeName": "n1"}))["spec"]["nodeName"] == "n1"


@pytest.mark.parametrize(
    ("user", "groups", "allowed"),
    [
        pytest.param("", [], False, id="administrator"),
        pytest.param("system:serviceaccount:default:someone", ["system:masters"], False, id="someone"),
        pytest.param("release-manager", ["system:masters"], True, id="exempt-user"),
        pytest.param("carol", ["system:masters", "sre"], True, id="exempt-group"),
        pytest.param("the operator", ["system:masters"], True, id="operator"),
    ],
)
@pytest.mark.parametrize(
    "patch",
    [
        pytest.param(REMOVE_GATE, id="gate"),
        pytest.param({"spec": {"tolerations": [OUR_TOLERATION]}}, id="toleration"),
    ],
)
def test_only_the_operator_opens_the_gate(
    cluster: Cluster, gated_pod: str, patch: Manifest, user: str, groups: list[str], allowed: bool
) -> None:
    who = cluster.operator if user == "the operator" else user
    as_user = [f"--as={who}", *(f"--as-group={group}" for group in groups)] if who else []
    code, text = cluster.kubectl(
        "patch", "pod", gated_pod, "--dry-run=server", "-p", json.dumps(patch), *as_user
    )
    assert (code == 0) is allowed, text
    if not allowed:
        assert "only the Rackplane operator may" in text


def test_other_changes_to_a_gated_pod_are_everybodys(cluster: Cluster, gated_pod: str) -> None:
    code, text = cluster.kubectl("label", "pod", gated_pod, "--dry-run=server", "team=a")
    assert code == 0, text


def test_node_agents_may_tolerate_everything(cluster: Cluster) -> None:
    cluster.admit(_pod(spec={"tolerations": [{"operator": "Exists"}]}))


@pytest.fixture
def gated_pod(cluster: Cluster) -> Iterator[str]:
    name = f"gated-{uuid.uuid4().hex[:6]}"
    code, text = cluster.kubectl("create", "-f", "-", stdin=_pod(name=name, labels=LABELLED))
    assert code == 0, text
    yield name
    cluster.kubectl("delete", "pod", name, "--wait=false", "--grace-period=0")


@pytest.fixture
def waiting_job(cluster: Cluster) -> Iterator[str]:
    """A Job that queues, as kubectl apply made it."""
    manifest = _job(labels=LABELLED)
    manifest["metadata"]["name"] = name = f"waits-{uuid.uuid4().hex[:6]}"
    code, text = cluster.kubectl("apply", "-f", "-", stdin=manifest)
    assert code == 0, text
    yield name
    cluster.kubectl("delete", "job", name, "--wait=false")


def _stored(cluster: Cluster, job: str) -> Manifest:
    code, text = cluster.kubectl("get", "job", job, "-o", "json")
    assert code == 0, text
    found: Manifest = json.loads(text)
    return found


@pytest.mark.parametrize(
    ("user", "allowed"), [("", False), ("the operator", True), ("release-manager", True)]
)
def test_only_the_operator_resumes_what_it_suspended(
    cluster: Cluster, waiting_job: str, user: str, allowed: bool
) -> None:
    who = cluster.operator if user == "the operator" else user
    patch = json.dumps({"spec": {"suspend": False}})
    as_user = [f"--as={who}", "--as-group=system:masters"] if who else []
    code, text = cluster.kubectl("patch", "job", waiting_job, "--dry-run=server", "-p", patch, *as_user)
    assert (code == 0) is allowed, text
    if not allowed:
        assert (
            "only the Rackplane operator may resume it. Take spec.suspend: false out of the manifest" in text
        )


def test_a_job_that_its_user_suspended_is_the_users_to_resume(cluster: Cluster) -> None:
    manifest = _job(labels=LABELLED, spec={"suspend": True})
    manifest["metadata"]["name"] = name = f"own-{uuid.uuid4().hex[:6]}"
    assert cluster.kubectl("create", "-f", "-", stdin=manifest)[0] == 0
    code, text = cluster.kubectl(
        "patch", "job", name, "--dry-run=server", "-p", '{"spec": {"suspend": false}}'
    )
    assert code == 0, text
    cluster.kubectl("delete", "job", name, "--wait=false")


SERVER_SIDE = ("--server-side", "--force-conflicts")


@pytest.mark.parametrize("how", [(), SERVER_SIDE], ids=["client-side", "server-side"])
@pytest.mark.parametrize("resumed", [False, True], ids=["waiting", "resumed"])
def test_applied_again_nothing_of_ours_is_undone(
    cluster: Cluster, how: tuple[str, ...], resumed: bool
) -> None:
    manifest = _job(labels=LABELLED)
    manifest["metadata"]["name"] = name = f"again-{uuid.uuid4().hex[:6]}"
    assert cluster.kubectl("apply", *how, "-f", "-", stdin=manifest)[0] == 0
    if resumed:
        meta = {"annotations": {"rackplane.dev/suspended-by": None}}
        patch = json.dumps({"metadata": meta, "spec": {"suspend": False}})
        as_operator = [f"--as={cluster.operator}", "--as-group=system:masters"]
        code, text = cluster.kubectl("patch", "job", name, "-p", patch, *as_operator)
        assert code == 0, text
    before = _stored(cluster, name)
    for _ in range(2):
        code, text = cluster.kubectl("apply", *how, "-f", "-", stdin=manifest)
        assert code == 0, text
    after = _stored(cluster, name)
    cluster.kubectl("delete", "job", name, "--wait=false")
    assert (after["spec"], after["spec"]["suspend"]) == (before["spec"], not resumed)
    assert after["spec"]["template"]["spec"]["schedulingGates"] == [OUR_GATE]
    assert _ours(after["metadata"].get("annotations")) == ({} if resumed else SUSPENDED_BY_US)


def test_to_go_from_client_side_to_server_side_a_waiting_job_says_that_it_is_suspended(
    cluster: Cluster, waiting_job: str
) -> None:
    # kubectl hands all that it had written to the new manager, and the next apply takes away what of that the manifest
    # does not say: suspend among it, which its default had made kubectl's.
    manifest = _job(labels=LABELLED)
    manifest["metadata"]["name"] = waiting_job
    (first, _), (then, text) = [
        cluster.kubectl("apply", *SERVER_SIDE, "-f", "-", stdin=manifest) for _ in range(2)
    ]
    assert (first, then) == (0, 1)
    assert "after a change from client-side to server-side apply, write true" in text
    manifest["spec"]["suspend"] = True
    code, text = cluster.kubectl("apply", *SERVER_SIDE, "-f", "-", stdin=manifest)
    assert code == 0, text
    after = _stored(cluster, waiting_job)
    assert after["spec"]["template"]["spec"]["schedulingGates"] == [OUR_GATE]
    assert _ours(after["metadata"]["annotations"]) == SUSPENDED_BY_US


def test_helm_upgrades_of_a_labelled_job_undo_nothing(cluster: Cluster, tmp_path: Path) -> None:
    release = f"user-{uuid.uuid4().hex[:6]}"
    manifest = _job(labels=LABELLED)
    manifest["metadata"]["name"] = release
    manifest["metadata"]["annotations"] = {"team": "{{ .Values.team }}"}
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: jobs\nversion: 1.0.0\n")
    (tmp_path / "values.yaml").write_text("team: a\n")
    (tmp_path / "templates" / "job.yaml").write_text(yaml.safe_dump(manifest))
    assert cluster.helm("install", release, str(tmp_path)) == (0, "")
    before = _stored(cluster, release)
    assert before["spec"]["suspend"] is True
    try:
        for team in ("b", "b"):
            assert cluster.helm("upgrade", release, str(tmp_path), "--set", f"team={team}") == (0, "")
        after = _stored(cluster, release)
        assert after["spec"] == before["spec"]
        assert after["metadata"]["annotations"]["team"] == "b"
        assert _ours(after["metadata"]["annotations"]) == SUSPENDED_BY_US
    finally:
        cluster.helm("uninstall", release)


def test_a_node_that_was_chosen_by_hand_is_told_of(cluster: Cluster) -> None:
    manifest = _job(labels=LABELLED, pod_spec={"nodeName": "n1"})
    code, text = cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=manifest)
    assert code == 1
    assert "spec.template.spec.nodeName: Rackplane chooses the nodes of what is in a queue" in text


def test_an_annotation_that_cannot_be_read_is_told_of(cluster: Cluster) -> None:
    manifest = _job(labels=LABELLED)
    manifest["metadata"]["annotations"] = {"rackplane.dev/segment-size": "four"}
    code, text = cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=manifest)
    assert code == 1
    assert 'metadata.annotations[rackplane.dev/segment-size] is "four"; Write a whole number' in text


@pytest.mark.parametrize("policy", ["guard", "guard-jobs", "check-jobs", "check-pods"])
def test_type_checking_finds_no_warning(cluster: Cluster, policy: str) -> None:
    code, text = cluster.kubectl(
        "get", "validatingadmissionpolicy", f"{cluster.namespace}-{policy}", "-o", "yaml"
    )
    assert code == 0, text
    assert not yaml.safe_load(text)["status"].get("typeChecking", {}).get("expressionWarnings")


# Workloads of other projects --

POD: Manifest = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {"containers": [], "schedulingGates": [FOREIGN_GATE]},
}
BARE: Manifest = {"spec": {"containers": []}}


@pytest.fixture(scope="module")
def foreign(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with CRDs of the shape of theirs, made after the policies."""
    crds = list(map(crd, KINDS))
    code, text = cluster.kubectl("apply", "-f", "-", stdin=crds)
    assert code == 0, text
    try:
        names = [f"crd/{each['metadata']['name']}" for each in crds]
        code, text = cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
        assert code == 0, text
        deadline = time.monotonic() + 60
        # A real server learns the schema of a new kind a moment later than it serves it.
        while cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=foreign_bodies()["JobSet"])[0]:
            assert time.monotonic() < deadline
        yield cluster
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=crds)


def foreign_bodies() -> dict[str, Manifest]:
    jobs = [
        {"name": "lead", "template": {"spec": {"template": BARE}}},
        {"name": "work", "replicas": 2, "template": {"spec": {"parallelism": 4, "template": POD}}},
    ]
    replicas = {"replicas": 2, "template": POD}
    return {
        "JobSet": workload("JobSet", "train", {"replicatedJobs": jobs}),
        "PyTorchJob": workload(
            "PyTorchJob", "train", {"pytorchReplicaSpecs": {"Master": {"template": BARE}, "Worker": replicas}}
        ),
        "MPIJob": workload(
            "MPIJob",
            "train",
            {
                "runPolicy": {"backoffLimit": 3},
                "mpiReplicaSpecs": {"Launcher": {"template": BARE}, "Worker": replicas},
            },
        ),
    }


def ray_bodies() -> dict[str, Manifest]:
    """Lists of workers are patched in place: each of these has another part of what is added."""
    gated = {"metadata": {}, "spec": {"containers": [], "schedulingGates": [OUR_GATE]}}
    groups = [
        {"groupName": f"g{n}", "replicas": 1, "template": each} for n, each in enumerate((BARE, POD, gated))
    ]
    spec = {"headGroupSpec": {"template": BARE}, "workerGroupSpecs": groups}
    return {
        "RayCluster": workload("RayCluster", "tune", spec),
        "RayJob": workload("RayJob", "tune", {"shutdownAfterJobFinishes": True, "rayClusterSpec": spec}),
    }


def templates(body: Manifest) -> list[Manifest]:
    spec = body["spec"]
    if body["kind"].startswith("Ray"):
        spec = spec.get("rayClusterSpec", spec)
        return [spec["headGroupSpec"]["template"], *(each["template"] for each in spec["workerGroupSpecs"])]
    if body["kind"] == "JobSet":
        return [each["template"]["spec"]["template"] for each in spec["replicatedJobs"]]
    replicas = spec["pytorchReplicaSpecs" if body["kind"] == "PyTorchJob" else "mpiReplicaSpecs"]
    return [replicas[role]["template"] for role in sorted(replicas)]


@pytest.mark.parametrize("kind", ["JobSet", "PyTorchJob", "MPIJob"])
def test_a_labelled_workload_of_another_project_queues(foreign: Cluster, kind: str) -> None:
    body = foreign_bodies()[kind]
    admitted = foreign.admit(body)
    known = KINDS[kind]
    assert known.is_suspended(Body(Metadata(name="train"), admitted["spec"]))
    assert admitted["metadata"]["annotations"] == SUSPENDED_BY_US
    bare, full = templates(admitted)
    assert (bare["metadata"]["labels"], bare["spec"]["schedulingGates"]) == (LABELLED, [OUR_GATE])
    assert full["metadata"]["labels"] == {"app": "x", **LABELLED}
    assert sorted(full["spec"]["schedulingGates"], key=str) == sorted([FOREIGN_GATE, OUR_GATE], key=str)
    # Nothing else of it is another.
    for template in (bare, full):
        del template["metadata"], template["spec"]["schedulingGates"]
    given = [
        {key: value for key, value in t["spec"].items() if key != "schedulingGates"} for t in templates(body)
    ]
    assert [template["spec"] for template in (bare, full)] == given


@pytest.mark.parametrize("kind", ["JobSet", "PyTorchJob", "MPIJob"])
def test_one_that_its_user_suspended_stays_theirs(foreign: Cluster, kind: str) -> None:
    body = foreign_bodies()[kind]
    body["spec"] = {**body["spec"], **KINDS[kind].switched(suspend=True)["spec"]}
    admitted = foreign.admit(body)
    assert "annotations" not in admitted["metadata"]
    assert all(OUR_GATE in each["spec"]["schedulingGates"] for each in templates(admitted))


@pytest.mark.parametrize("kind", ["JobSet", "PyTorchJob", "MPIJob"])
def test_one_without_the_label_is_stored_as_it_is(foreign: Cluster, kind: str) -> None:
    body = foreign_bodies()[kind]
    body["metadata"]["labels"] = {"team": "x"}
    admitted = foreign.admit(body)
    assert templates(admitted) == templates(body)
    assert not KINDS[kind].is_suspended(Body(Metadata(name="train"), admitted["spec"]))


def test_a_labelled_trainjob_queues_and_labels_the_jobset_that_is_made_of_it(foreign: Cluster) -> None:
    mine = {
        "manager": "example.com/mine",
        "trainingRuntimeSpec": {"template": {"metadata": {"labels": {"a": "b"}}}},
    }
    spec = {"runtimeRef": {"name": "torch"}, "trainer": {"numNodes": 2}, "runtimePatches": [mine]}
    admitted = foreign.admit(workload("TrainJob", "train", spec))
    assert admitted["metadata"]["annotations"] == SUSPENDED_BY_US
    labels = {"template": {"metadata": {"labels": LABELLED}}}
    ours = {"manager": "rackplane.dev/queue", "trainingRuntimeSpec": labels}
    assert admitted["spec"] == {**spec, "suspend": True, "runtimePatches": [mine, ours]}


def test_the_jobset_of_a_trainjob_is_gated_and_left_to_it_to_suspend(foreign: Cluster) -> None:
    owner = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "name": "train", "uid": "u"}
    body = foreign_bodies()["JobSet"]
    body["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    admitted = foreign.admit(body)
    assert ("annotations" in admitted["metadata"], "suspend" in admitted["spec"]) == (False, False)
    assert all(OUR_GATE in each["spec"]["schedulingGates"] for each in templates(admitted))


def test_a_ray_workload_queues_with_all_its_groups_of_workers(foreign: Cluster, kubeconfig: str) -> None:
    if kubeconfig != KUBECONFIG:
        pytest.skip("the embedded cluster does not run JSON patches")
    for kind, body in ray_bodies().items():
        admitted = foreign.admit(body)
        assert KINDS[kind].is_suspended(Body(Metadata(name="tune"), admitted["spec"]))
        assert admitted["metadata"]["annotations"] == SUSPENDED_BY_US
        labels = [each["metadata"]["labels"] for each in templates(admitted)]
        assert labels == [LABELLED, LABELLED, {"app": "x", **LABELLED}, LABELLED]
        gates = [each["spec"]["schedulingGates"] for each in templates(admitted)]
        assert gates == [[OUR_GATE], [OUR_GATE], [FOREIGN_GATE, OUR_GATE], [OUR_GATE]]


def test_what_a_ray_controller_made_is_stored_as_it_is(foreign: Cluster, kubeconfig: str) -> None:
    if kubeconfig != KUBECONFIG:
        pytest.skip("the embedded cluster does not run JSON patches")
    body = ray_bodies()["RayCluster"]
    owner = {"apiVersion": "ray.io/v1", "kind": "RayJob", "name": "tune", "uid": "u", "controller": True}
    body["metadata"]["ownerReferences"] = [owner]
    admitted = foreign.admit(body)
    assert all("schedulingGates" not in each["spec"] for each in templates(admitted)[:2])
    assert not KINDS["RayCluster"].is_suspended(Body(Metadata(name="tune"), admitted["spec"]))
    there = workload("RayJob", "there", {"clusterSelector": {"ray.io/cluster": "c"}})
    assert "suspend" not in foreign.admit(there)["spec"]
