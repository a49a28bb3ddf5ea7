"""Every instruction as its request, whole; every refusal as its reason."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.controller.requests import Write, failure, requests_for
from rackplane.core.events import FailureReason
from rackplane.core.instructions import (
    AnswerCheck,
    CapNode,
    CommitGang,
    CreateGang,
    Instruction,
    JobSize,
    PublishEvent,
    ResizeJob,
    ResumeJob,
    SetFinalizers,
    SuspendJob,
    TaintNode,
    UngatePod,
    UpdateGangSpec,
    WriteFacilityStatus,
    WriteGangStatus,
)
from rackplane.core.objects import Taint
from rackplane.kube.client import ApiError

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
GANGS = "/apis/rackplane.dev/v1alpha1/namespaces/ml/gangs"
NOW = 1_800_000_000.25
OURS = {"key": "rackplane.dev/managed", "operator": "Exists", "effect": "NoSchedule"}


def ungate(*tolerations: dict[str, Any]) -> UngatePod:
    return UngatePod("ml", "train-3-x", "u1", "41", "host-7", 3, "train", "MaxQ", tolerations)


def answer(state: str, since: str | None, *what: Any, **more: Any) -> AnswerCheck:
    on = ("kueue.x-k8s.io/v1beta1", "ml", "job-train", "u1", "7", "workload-job-train")
    return AnswerCheck(*on, "rackplane", state, since, *what, **more)


def answered(**state: Any) -> Write:
    metadata = {"name": "job-train", "namespace": "ml", "uid": "u1", "resourceVersion": "7"}
    return Write(
        "PATCH",
        "/apis/kueue.x-k8s.io/v1beta1/namespaces/ml/workloads/job-train/status",
        {
            "apiVersion": "kueue.x-k8s.io/v1beta1",
            "kind": "Workload",
            "metadata": metadata,
            "status": {"admissionChecks": [{"name": "rackplane", **state}]},
        },
        "application/apply-patch+yaml",
        {"fieldManager": "rackplane-admission-check", "force": "true"},
    )


CAPPED = UngatePod("ml", "train-3-x", "u1", "41", "host-7", 3, "train", "MaxQ", (), 4800)


def ungated(*tolerations: dict[str, Any], cap: dict[str, str] | None = None) -> Write:
    return Write(
        "PATCH",
        "/api/v1/namespaces/ml/pods/train-3-x",
        {
            "metadata": {
                "uid": "u1",
                "resourceVersion": "41",
                "annotations": {
                    "rackplane.dev/slot": "3",
                    "rackplane.dev/power-profile": "MaxQ",
                    "rackplane.dev/gang": "train",
                    **(cap or {}),
                },
            },
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": "host-7"},
                "tolerations": list(tolerations),
                "schedulingGates": [{"$patch": "delete", "name": "rackplane.dev/placement"}],
            },
        },
        STRATEGIC,
    )


@pytest.mark.parametrize(
    ("instruction", "write"),
    [
        pytest.param(
            CreateGang("ml", "train", {"kind": "Gang"}),
            Write("POST", GANGS, {"kind": "Gang"}, "application/json"),
            id="create-gang",
        ),
        pytest.param(
            UpdateGangSpec("ml", "train", "41", {"slots": 2}),
            Write(
                "PATCH",
                f"{GANGS}/train",
                {"metadata": {"resourceVersion": "41"}, "spec": {"slots": 2}},
                MERGE,
            ),
            id="update-gang-spec",
        ),
        pytest.param(
            CommitGang("ml", "train", "41", "d1", {"phase": "Admitted"}),
            Write(
                "PATCH",
                f"{GANGS}/train/status",
                {"metadata": {"resourceVersion": "41"}, "status": {"phase": "Admitted"}},
                MERGE,
            ),
            id="commit-gang",
        ),
        pytest.param(
            WriteGangStatus("ml", "train", "42", {"position": None}),
            Write(
                "PATCH",
                f"{GANGS}/train/status",
                {"metadata": {"resourceVersion": "42"}, "status": {"position": None}},
                MERGE,
            ),
            id="write-gang-status",
        ),
        pytest.param(
            SuspendJob("ml", "train", "u1", "5"),
            Write(
                "PATCH",
                "/apis/batch/v1/namespaces/ml/jobs/train",
                {
                    "metadata": {
                        "uid": "u1",
                        "resourceVersion": "5",
                        "annotations": {"rackplane.dev/suspended-by": "rackplane"},
                    },
                    "spec": {"suspend": True},
                },
                MERGE,
            ),
            id="suspend-job",
        ),
        pytest.param(
            ResumeJob("ml", "train", "u1", "7"),
            Write(
                "PATCH",
                "/apis/batch/v1/namespaces/ml/jobs/train",
                {
                    "metadata": {
                        "uid": "u1",
                        "resourceVersion": "7",
                        "annotations": {"rackplane.dev/suspended-by": None},
                    },
                    "spec": {"suspend": False},
                },
                MERGE,
            ),
            id="resume-job",
        ),
        pytest.param(
            ResumeJob("ml", "train", "u1", "7", JobSize(4, 4, 8)),
            Write(
                "PATCH",
                "/apis/batch/v1/namespaces/ml/jobs/train",
                {
                    "metadata": {
                        "uid": "u1",
                        "resourceVersion": "7",
                        "annotations": {
                            "rackplane.dev/suspended-by": None,
                            "rackplane.dev/requested-parallelism": "8",
                            "rackplane.dev/granted-parallelism": "4",
                        },
                    },
                    "spec": {"suspend": False, "parallelism": 4, "completions": 4},
                },
                MERGE,
            ),
            id="resume-job-with-fewer-ranks",
        ),
        pytest.param(
            ResizeJob("ml", "train", "u1", "7", JobSize(8, None, None)),
            Write(
                "PATCH",
                "/apis/batch/v1/namespaces/ml/jobs/train",
                {
                    "metadata": {
                        "uid": "u1",
                        "resourceVersion": "7",
                        "annotations": {
                            "rackplane.dev/requested-parallelism": None,
                            "rackplane.dev/granted-parallelism": None,
                        },
                    },
                    "spec": {"parallelism": 8},
                },
                MERGE,
            ),
            id="resize-job-to-its-users-number",
        ),
        pytest.param(
            AnswerCheck(
                "kueue.x-k8s.io/v1beta1",
                "ml",
                "job-train",
                "u1",
                "7",
                "workload-job-train",
                "rackplane",
                "Ready",
                None,
                "placed on r1",
                ({"name": "main", "nodeSelector": {"rack": "r1"}},),
            ),
            answered(
                state="Ready",
                message="placed on r1",
                lastTransitionTime="2027-01-15T08:00:00Z",
                podSetUpdates=[{"name": "main", "nodeSelector": {"rack": "r1"}}],
            ),
            id="answer-check",
        ),
        pytest.param(
            AnswerCheck(
                "kueue.x-k8s.io/v1beta1",
                "ml",
                "job-train",
                "u1",
                "7",
                "workload-job-train",
                "rackplane",
                "Retry",
                "2026-12-31T23:59:59Z",
                "needs too much",
                requeue_seconds=300,
            ),
            answered(
                state="Retry",
                message="needs too much",
                lastTransitionTime="2026-12-31T23:59:59Z",
                requeueAfterSeconds=300,
            ),
            id="answer-check-not-now",
        ),
        pytest.param(ungate(), ungated(OURS), id="ungate-pod"),
        pytest.param(
            ungate({"key": "gpu", "operator": "Exists"}),
            ungated({"key": "gpu", "operator": "Exists"}, OURS),
            id="ungate-pod-keeps-what-it-tolerates",
        ),
        pytest.param(ungate(OURS), ungated(OURS), id="ungate-pod-tolerates-once"),
        pytest.param(
            CAPPED, ungated(OURS, cap={"rackplane.dev/power-cap-watts": "4800"}), id="ungate-pod-capped"
        ),
        pytest.param(
            CapNode("host-7", "41", {"rackplane.dev/power-profile": "MaxQ", "rackplane.dev/gangs": None}),
            Write(
                "PATCH",
                "/api/v1/nodes/host-7",
                {
                    "metadata": {
                        "resourceVersion": "41",
                        "annotations": {"rackplane.dev/power-profile": "MaxQ", "rackplane.dev/gangs": None},
                    }
                },
                MERGE,
            ),
            id="cap-node",
        ),
        pytest.param(
            TaintNode(
                "host-7",
                "41",
                (
                    Taint(key="x", value="y", effect="NoExecute", time_added="2026-11-01T00:00:00Z"),
                    Taint(key="rackplane.dev/managed", effect="NoSchedule"),
                ),
            ),
            Write(
                "PATCH",
                "/api/v1/nodes/host-7",
                {
                    "metadata": {"resourceVersion": "41"},
                    "spec": {
                        "taints": [
                            {
                                "key": "x",
                                "value": "y",
                                "effect": "NoExecute",
                                "timeAdded": "2026-11-01T00:00:00Z",
                            },
                            {"key": "rackplane.dev/managed", "effect": "NoSchedule"},
                        ]
                    },
                },
                MERGE,
            ),
            id="taint-node",
        ),
        pytest.param(
            SetFinalizers("Rack", "r1", "41", ("example.com/other", "rackplane.dev/in-use")),
            Write(
                "PATCH",
                "/apis/rackplane.dev/v1alpha1/racks/r1",
                {
                    "metadata": {
                        "resourceVersion": "41",
                        "finalizers": ["example.com/other", "rackplane.dev/in-use"],
                    }
                },
                MERGE,
            ),
            id="set-finalizers",
        ),
        pytest.param(
            WriteFacilityStatus("NVLinkDomain", "d1", {"nodes": 18}),
            Write(
                "PATCH",
                "/apis/rackplane.dev/v1alpha1/nvlinkdomains/d1/status",
                {"status": {"nodes": 18}},
                MERGE,
            ),
            id="facility-status",
        ),
    ],
)
def test_request(instruction: Instruction, write: Write) -> None:
    assert requests_for(instruction, now=NOW) == write


def test_event_on_a_namespaced_object() -> None:
    event = PublishEvent(
        "batch/v1", "Job", "ml", "train", "u1", True, "Unplaceable", "No rack has 18 free nodes."
    )
    write = requests_for(event, now=NOW)
    name = write.body["metadata"]["name"]
    assert name.startswith("train.") and len(name) == len("train.") + 16
    assert write == Write(
        "POST",
        "/api/v1/namespaces/ml/events",
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": "ml"},
            "involvedObject": {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": "train",
                "uid": "u1",
                "namespace": "ml",
            },
            "type": "Warning",
            "reason": "Unplaceable",
            "message": "No rack has 18 free nodes.",
            "count": 1,
            "firstTimestamp": "2027-01-15T08:00:00Z",
            "lastTimestamp": "2027-01-15T08:00:00Z",
            "source": {"component": "rackplane"},
            "reportingComponent": "rackplane",
        },
    )
    assert requests_for(event, now=NOW) == write
    assert requests_for(event, now=NOW + 1).body["metadata"]["name"] != name


def test_event_of_a_decision_names_it_where_people_and_programs_look() -> None:
    event = PublishEvent("batch/v1", "Job", "ml", "train", "u1", False, "Placed", "placed on r1", "3-1204")
    body = requests_for(event, now=1.0).body
    assert body["message"] == "placed on r1 (decision 3-1204)"
    assert body["metadata"]["annotations"] == {"rackplane.dev/decision": "3-1204"}


def test_event_on_a_cluster_scoped_object_lives_in_default() -> None:
    event = PublishEvent("rackplane.dev/v1alpha1", "Rack", "", "r" * 253, "u1", False, "Valid", "")
    write = requests_for(event, now=NOW)
    assert write.path == "/api/v1/namespaces/default/events"
    assert "namespace" not in write.body["involvedObject"]
    assert len(write.body["metadata"]["name"]) == 253


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (0, FailureReason.UNAVAILABLE),
        (400, FailureReason.REJECTED),
        (401, FailureReason.UNAVAILABLE),
        (403, FailureReason.REJECTED),
        (404, FailureReason.GONE),
        (409, FailureReason.CONFLICT),
        (413, FailureReason.REJECTED),
        (422, FailureReason.REJECTED),
        (429, FailureReason.UNAVAILABLE),
        (500, FailureReason.UNAVAILABLE),
        (503, FailureReason.UNAVAILABLE),
    ],
)
def test_failure(status: int, reason: FailureReason) -> None:
    assert failure(ApiError(status)) is reason
