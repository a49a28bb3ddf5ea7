"""Pods of a running Job: how many, which indexes, which go first, and when the Job is complete."""

from __future__ import annotations

from tests.conformance.steps import Scenario, get, patch, post, wait, watch

from ._jobs import (
    EVENTS,
    INDEXED,
    JOBS,
    RESUME,
    SUSPEND,
    J,
    becomes,
    ends,
    events,
    kill,
    made,
    one,
    pods,
    running,
)

SCENARIOS = (
    Scenario(
        name="a Job runs one pod to its end",
        steps=(
            made(
                template={"labels": {"app": "x"}, "annotations": {"a": "b"}, "finalizers": ["example.org/f"]}
            ),
            pods(1),
            becomes(active=1, ready=0),
            running(0),
            becomes(active=1, ready=1),
            ends(0),
            becomes(succeeded=1, conditions__1__type="Complete"),
            pods(1, object__items__0__metadata__finalizers__1=None),
            events("Completed"),
            events(),
        ),
    ),
    Scenario(
        name="the status of a Job is written in the same steps",
        steps=(
            made(),
            pods(1, view="nothing"),
            becomes(active=1, terminating=0),
            wait(1.5),
            ends(0),
            becomes(succeeded=1, conditions__1__type="Complete"),
            watch(JOBS, 3, query={"resourceVersion": "${job.metadata.resourceVersion}"}, view="step_of_job"),
        ),
    ),
    Scenario(
        name="a Job with more completions than parallelism keeps so many pods busy",
        steps=(
            made(completions=3, parallelism=2),
            pods(2),
            becomes(active=2),
            ends(0),
            pods(3, save="more", view="how_many"),
            becomes(succeeded=1, active=2),
            patch(J, {"spec": {"parallelism": 0}}, view="nothing"),
            becomes(active=None, succeeded=1, terminating=0),
            pods(1),
            patch(J, {"spec": {"parallelism": 5}}, view="nothing"),
            becomes(active=2, succeeded=1),
        ),
    ),
    Scenario(
        name="a Job without completions is done when one pod succeeded and the others ended",
        steps=(
            made(parallelism=2),
            pods(2),
            becomes(active=2),
            ends(0),
            becomes(succeeded=1, active=1),
            ends(1, 1),
            becomes(succeeded=1, conditions__1__type="Complete"),
        ),
    ),
    Scenario(
        name="a Job with no completions is complete at once",
        steps=(made(completions=0, parallelism=2), becomes(conditions__1__type="Complete"), pods(0)),
    ),
    Scenario(
        name="pods of an Indexed Job know their index",
        steps=(
            made(**INDEXED),
            pods(3),
            becomes(active=3),
            ends(1),
            becomes(completedIndexes="1", active=2),
            ends(0),
            ends(2),
            becomes(completedIndexes="0-2", conditions__1__type="Complete"),
            pods(3, object__items__2__metadata__finalizers=None),
            events(),
        ),
    ),
    Scenario(
        name="an Indexed Job starts its lowest indexes first",
        steps=(
            made(completionMode="Indexed", completions=5, parallelism=2),
            pods(2),
            ends(1),
            pods(3, save="more"),
            becomes(completedIndexes="1", active=2),
            ends(0, pods="more"),
            ends(2, pods="more"),
            becomes(completedIndexes="0-2", active=2),
            pods(5, save="all"),
        ),
    ),
    Scenario(
        name="a pod of an Indexed Job keeps the variable its template sets, and has a short name",
        steps=(
            made(
                "j" * 60,
                pod={
                    "hostname": "mine",
                    "subdomain": "sub",
                    "containers": [
                        {
                            "name": "main",
                            "image": "train:1",
                            "env": [
                                {"name": "JOB_COMPLETION_INDEX", "value": "x"},
                                {"name": "A", "value": "b"},
                            ],
                        },
                        {"name": "other", "image": "train:1", "env": [{"name": "A", "value": "b"}]},
                    ],
                },
                completionMode="Indexed",
                completions=1,
            ),
            pods(1),
        ),
    ),
    Scenario(
        name="a scaled Indexed Job forgets the indexes beyond its end",
        steps=(
            made(**INDEXED),
            pods(3, view="nothing"),
            ends(2),
            becomes(completedIndexes="2", active=2),
            patch(J, {"spec": {"completions": 2, "parallelism": 2}}, view="nothing"),
            becomes(completedIndexes=None, succeeded=None, active=2),
            patch(J, {"spec": {"completions": 4, "parallelism": 4}}, view="nothing"),
            becomes(active=4),
            pods(5),
        ),
    ),
    Scenario(
        name="many Events of one kind are taken together",
        steps=(
            made(parallelism=14, completions=14),
            pods(14, view="how_many"),
            becomes(active=14),
            wait(1),
            get(EVENTS, query={"fieldSelector": "involvedObject.kind=Job"}, view="told_roughly"),
        ),
    ),
    Scenario(
        name="the pods that have come least far go first",
        leftovers=("/api/v1/nodes/node-${ns}",),
        steps=(
            post("/api/v1/nodes", {"metadata": {"name": "node-${ns}"}}, view="nothing"),
            made(pod={"nodeName": "node-${ns}"}, **INDEXED),
            pods(3, view="nothing"),
            running(0),
            running(1, ready=False),
            running(2),
            becomes(ready=2),
            patch(J, {"spec": {"parallelism": 2}}, view="nothing"),
            becomes(active=2, terminating=1),
            pods(3),
        ),
    ),
    Scenario(
        name="an unbound Indexed Job that shrinks loses its first pods",
        steps=(
            made(**INDEXED),
            pods(3, view="nothing"),
            becomes(active=3),
            patch(J, {"spec": {"parallelism": 1}}, view="nothing"),
            becomes(active=1, terminating=0),
            pods(1),
        ),
    ),
    Scenario(
        name="what ended stays ended whatever its spec says",
        steps=(
            made(),
            pods(1, view="nothing"),
            ends(0),
            becomes(conditions__1__type="Complete"),
            SUSPEND,
            patch(J, {"spec": {"parallelism": 3, "activeDeadlineSeconds": 1}}, view="nothing"),
            wait(2),
            becomes(succeeded=1),
            RESUME,
            kill(0),
            wait(1.5),
            becomes(succeeded=1),
            pods(0, save="none"),
        ),
    ),
    Scenario(
        name="a pod whose kubelet reports nothing but its phase",
        steps=(
            made(completions=2, parallelism=2),
            pods(2, view="nothing"),
            patch(f"{one(0)}/status", {"status": {"phase": "Unknown"}}, view="nothing"),
            patch(f"{one(1)}/status", {"status": {"phase": "Succeeded"}}, view="nothing"),
            becomes(succeeded=1, active=1),
            patch(f"{one(0)}/status", {"status": {"phase": "Succeeded"}}, view="nothing"),
            becomes(conditions__1__type="Complete"),
        ),
    ),
    Scenario(
        name="parallelism goes up and down",
        steps=(
            made(parallelism=2),
            pods(2, view="nothing"),
            becomes(active=2),
            patch(J, {"spec": {"parallelism": 4, "suspend": False}}, view="nothing"),
            becomes(active=4),
            patch(J, {"spec": {"parallelism": 1}}, view="nothing"),
            becomes(active=1, terminating=0),
            pods(1, save="left"),
        ),
    ),
)
