"""Policies at work: which failures fail the Job or count for nothing, which pods are replaced when."""

from __future__ import annotations

from tests.conformance.steps import Scenario, delete, patch, wait

from ._jobs import (
    DISRUPTED,
    INDEXED,
    NODE,
    NODES,
    ON_NODE,
    RESUME,
    SUSPEND,
    SUSPENDED,
    J,
    becomes,
    conditions,
    ends,
    ends_with,
    events,
    exit_codes,
    kill,
    made,
    one,
    pods,
    rules,
    running,
    terminated,
)

SCENARIOS = (
    Scenario(
        name="an exit code that fails the Job",
        steps=(
            made(
                podFailurePolicy=rules(exit_codes("In", 3), exit_codes("In", 42, 43)),
                parallelism=2,
                completions=2,
            ),
            pods(2),
            ends(0, 42),
            becomes(conditions__1__type="Failed"),
            pods(1),
            events("PodFailurePolicy"),
        ),
    ),
    Scenario(
        name="an exit code that is not one of those listed",
        steps=(
            made(podFailurePolicy=rules(exit_codes("NotIn", 1, 2)), backoffLimit=3),
            pods(1),
            ends(0, 1),
            pods(2, save="both", view="how_many"),
            becomes(failed=1, active=1),
        ),
    ),
    Scenario(
        name="rules may ask for one container",
        steps=(
            made(
                pod={
                    "containers": [{"name": "main", "image": "train:1"}, {"name": "side", "image": "train:1"}]
                },
                podFailurePolicy=rules(
                    exit_codes("In", 1, action="Ignore", containerName="side"),
                    exit_codes("In", 7, containerName="main"),
                ),
                backoffLimit=0,
            ),
            pods(1),
            ends_with(0, terminated(0), terminated(1, "side")),
            pods(2, save="both", view="how_many"),
            becomes(active=1, failed=None),
        ),
    ),
    Scenario(
        name="a disruption is not the Job's fault",
        steps=(
            made(podFailurePolicy=rules(conditions("Ignore", ("DisruptionTarget", "True"))), backoffLimit=0),
            pods(1),
            ends(0, 137, **DISRUPTED),
            pods(2, save="both", view="how_many"),
            becomes(active=1, failed=None),
        ),
    ),
    Scenario(
        name="a pod condition may fail the Job",
        steps=(
            made(podFailurePolicy=rules(conditions("FailJob", ("example.org/Broken", "True")))),
            pods(1),
            ends(0, 1, conditions=[{"type": "example.org/Broken", "status": "True"}]),
            becomes(conditions__1__type="Failed"),
        ),
    ),
    Scenario(
        name="a rule that counts ends the search for others",
        steps=(
            made(
                podFailurePolicy=rules(exit_codes("In", 1, action="Count"), exit_codes("In", 1)),
                backoffLimit=0,
            ),
            pods(1),
            ends(0, 1),
            becomes(conditions__1__type="Failed"),
        ),
    ),
    Scenario(
        name="with a failure policy a pod under deletion is replaced when it has ended",
        leftovers=NODES,
        steps=(
            NODE,
            made(pod=ON_NODE, podFailurePolicy=rules(conditions("Ignore", ("DisruptionTarget", "True")))),
            pods(1, view="nothing"),
            running(0),
            becomes(ready=1),
            delete(one(0), view="nothing"),
            becomes(terminating=1, active=None),
            wait(1.5),
            becomes(terminating=1, active=None),
            ends(0, 143, **DISRUPTED),
            pods(2, save="both", view="how_many"),
            becomes(active=1, terminating=0, failed=None),
        ),
    ),
    Scenario(
        name="a pod that is removed before it ran fails no rule",
        steps=(
            made(podFailurePolicy=rules(conditions("Ignore", ("DisruptionTarget", "True")))),
            pods(1, view="nothing"),
            becomes(active=1),
            kill(0),
            becomes(terminating=1, active=None),
            wait(1.5),
            becomes(terminating=1),
            patch(f"{one(0)}/status", {"status": {"phase": "Failed"}}, view="nothing"),
            becomes(failed=1, terminating=0),
        ),
    ),
    Scenario(
        name="only failed pods are replaced when the Job is resumed",
        leftovers=NODES,
        steps=(
            NODE,
            made(pod=ON_NODE, podReplacementPolicy="Failed", parallelism=1),
            pods(1, view="nothing"),
            running(0),
            becomes(ready=1),
            SUSPEND,
            becomes(terminating=1, **SUSPENDED),
            RESUME,
            becomes(terminating=1, active=None, conditions__0__status="False"),
            ends(0, 143),
            becomes(terminating=0, active=1),
        ),
    ),
    Scenario(
        name="a limit raised in time saves the Job",
        steps=(
            made(backoffLimit=1),
            pods(1, view="nothing"),
            ends(0, 1),
            pods(2, save="both", view="how_many"),
            patch(J, {"spec": {"backoffLimit": 2}}, view="nothing"),
            becomes(failed=1, active=1),
            patch(J, {"spec": {"backoffLimit": 0}}, view="nothing"),
            becomes(conditions__1__type="Failed"),
        ),
    ),
    Scenario(
        name="exit codes of init containers are looked at after the others",
        steps=(
            made(
                pod={"initContainers": [{"name": "prepare", "image": "train:1"}]},
                podFailurePolicy=rules(
                    exit_codes("In", 9, action="FailJob"), exit_codes("In", 1, action="Ignore")
                ),
            ),
            pods(1, view="nothing"),
            ends_with(0, terminated(0), initContainerStatuses=[terminated(9, "prepare")]),
            becomes(conditions__1__type="Failed"),
        ),
    ),
    Scenario(
        name="a condition that is false or unknown may be meant",
        steps=(
            made(
                podFailurePolicy=rules(
                    conditions("FailJob", ("Ready", "True")),
                    conditions("Ignore", ("Ready", "Unknown"), ("Ready", "False")),
                ),
                backoffLimit=0,
            ),
            pods(1, view="nothing"),
            ends(
                0,
                1,
                conditions=[
                    {"type": "Ready", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"}
                ],
            ),
            pods(2, save="both", view="how_many"),
            becomes(active=1, failed=None),
        ),
    ),
    Scenario(
        name="a pod that fails the Job takes those on nodes along, which count as failed",
        leftovers=NODES,
        steps=(
            NODE,
            made(
                pod=ON_NODE,
                podFailurePolicy=rules(
                    exit_codes("In", 42), conditions("Ignore", ("DisruptionTarget", "True"))
                ),
                **INDEXED,
            ),
            pods(3, view="nothing"),
            running(0),
            running(1),
            running(2),
            becomes(ready=3),
            ends(1, 42),
            becomes(conditions__0__type="FailureTarget", terminating=2, failed=3),
            ends(0, 143, **DISRUPTED),
            ends(2),
            becomes(conditions__1__type="Failed"),
            pods(3),
        ),
    ),
    Scenario(
        name="a Job without completions that fails",
        steps=(
            made(parallelism=2, backoffLimit=0),
            pods(2, view="nothing"),
            ends(0),
            becomes(succeeded=1, active=1),
            ends(1, 1),
            becomes(conditions__1__type="Failed"),
        ),
    ),
    Scenario(
        name="a Job without parallelism waits without pods",
        steps=(
            made(backoffLimit=0),
            pods(1, view="nothing"),
            becomes(active=1),
            SUSPEND,
            becomes(active=None, terminating=0, **SUSPENDED),
            patch(J, {"spec": {"parallelism": 0, "completions": 1}}, view="nothing"),
            RESUME,
            wait(1.5),
            becomes(active=None, conditions__0__status="False"),
            patch(J, {"spec": {"parallelism": 1}}, view="nothing"),
            becomes(active=1),
        ),
    ),
)
