"""Whose pods are whose, and what becomes of them when their Job is deleted."""

from __future__ import annotations

from tests.conformance.steps import Scenario, delete, get, patch, post

from ._jobs import EVENTS, INDEXED, PODS, J, becomes, ends, kill, made, one, pods, running

SCENARIOS = (
    Scenario(
        name="a pod that loses its Job's label is let go and replaced, and comes back with it",
        steps=(
            made(template={"labels": {"app": "x"}}),
            pods(1, view="nothing"),
            becomes(active=1),
            patch(
                one(0), {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "0"}}}, view="nothing"
            ),
            get(
                one(0),
                until={"object.metadata.ownerReferences": None},
                view="metadata_of_pod",
            ),
            pods(2, save="both", view="how_many"),
            patch(
                one(0),
                {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "${job.metadata.uid}"}}},
                view="nothing",
            ),
            pods(1, save="left"),
            becomes(active=1, terminating=0),
        ),
    ),
    Scenario(
        name="a Job with a selector of its own takes the pods that fit",
        steps=(
            post(
                PODS,
                {
                    "metadata": {"name": "a", "labels": {"app": "x"}},
                    "spec": {"schedulerName": "nobody", "containers": [{"name": "main", "image": "train:1"}]},
                },
                view="nothing",
            ),
            made(
                manualSelector=True,
                selector={"matchLabels": {"app": "x"}},
                template={"labels": {"app": "x"}},
                parallelism=2,
                completions=2,
            ),
            becomes(active=2),
            get(f"{PODS}/a", view="metadata_of_pod"),
        ),
    ),
    Scenario(
        name="somebody else's Job is left alone",
        steps=(
            made(managedBy="example.org/me"),
            made("k", managedBy="kubernetes.io/job-controller"),
            becomes("k", active=1),
            becomes("j"),
            pods(1),
        ),
    ),
    Scenario(
        name="a finished Job is removed with its pods when its time is over",
        steps=(
            made(ttlSecondsAfterFinished=1),
            pods(1, view="nothing"),
            ends(0),
            becomes(conditions__1__type="Complete"),
            get(J, until={"code": 404}),
            pods(0, save="none"),
        ),
    ),
    Scenario(
        name="a time after the end may be set when the Job has ended",
        steps=(
            made(completions=0),
            becomes(conditions__1__type="Complete"),
            patch(J, {"spec": {"ttlSecondsAfterFinished": 0}}, view="nothing"),
            get(J, until={"code": 404}),
        ),
    ),
    Scenario(
        name="a Job deleted leaves its pods to themselves",
        steps=(
            made(),
            pods(1, view="nothing"),
            becomes(active=1),
            delete(J),
            get(J, until={"code": 404}, view="nothing"),
            pods(
                1,
                object__items__0__metadata__ownerReferences=None,
                object__items__0__metadata__finalizers=None,
            ),
        ),
    ),
    Scenario(
        name="a Job deleted in the background goes before its pods",
        steps=(
            made(),
            pods(1, view="nothing"),
            becomes(active=1),
            delete(J, {"propagationPolicy": "Background"}),
            get(J),
            pods(0, save="none"),
        ),
    ),
    Scenario(
        name="a Job deleted in the foreground waits for its pods",
        leftovers=("/api/v1/nodes/node-${ns}",),
        steps=(
            post("/api/v1/nodes", {"metadata": {"name": "node-${ns}"}}, view="nothing"),
            made(pod={"nodeName": "node-${ns}"}),
            pods(1, view="nothing"),
            running(0),
            becomes(ready=1),
            delete(J, {"propagationPolicy": "Foreground"}, view="nothing"),
            pods(1, object__items__0__metadata__deletionGracePeriodSeconds=30),
            get(J, until={"object.status.terminating": 1}, view="of_job"),
            kill(0),
            get(J, until={"code": 404}, view="nothing"),
            pods(0, save="none"),
        ),
    ),
    Scenario(
        name="a namespace that goes takes its Jobs along",
        leftovers=(),
        steps=(
            made(completions=2),
            pods(1, view="nothing"),
            becomes(active=1),
            delete("/api/v1/namespaces/${ns}", view="nothing"),
            get(J, until={"code": 404}, view="nothing"),
            get("/api/v1/namespaces/${ns}", until={"code": 404}, view="nothing"),
        ),
    ),
    Scenario(
        name="a pod that the API server refuses is told of",
        steps=(
            made(pod={"priorityClassName": "unknown-${ns}"}),
            get(
                EVENTS,
                query={"fieldSelector": "involvedObject.kind=Job"},
                until={"object.items.0.reason": "FailedCreate"},
                view="told_reasons",
            ),
            becomes(ready=0),
            pods(0),
        ),
    ),
    Scenario(
        name="a pod that fits an Indexed Job and has no index is taken and removed",
        steps=(
            made(**INDEXED),
            pods(3, view="nothing"),
            becomes(active=3),
            post(
                PODS,
                {
                    "metadata": {
                        "name": "stray",
                        "labels": {"batch.kubernetes.io/controller-uid": "${job.metadata.uid}"},
                    },
                    "spec": {"schedulerName": "nobody", "containers": [{"name": "main", "image": "train:1"}]},
                },
                view="nothing",
            ),
            get(f"{PODS}/stray", until={"code": 404}, view="nothing"),
            becomes(active=3, terminating=0, failed=None),
            pods(3, save="left", view="how_many"),
        ),
    ),
)
