"""Policies of Jobs at work: which failures count, fail an index or the Job, and which successes are enough."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, delete, patch, post, wait

from .job_controller import (
    RESUME,
    SUSPEND,
    SUSPENDED,
    becomes,
    ends,
    events,
    kill,
    made,
    one,
    pods,
    running,
    terminated,
)
from .jobs import INDEXED, J, conditions, exit_codes, rules

DISRUPTED: dict[str, Any] = {
    "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]
}
NODE = post("/api/v1/nodes", {"metadata": {"name": "node-${ns}"}}, view="nothing")
ON_NODE = {"nodeName": "node-${ns}"}
NODES = ("/api/v1/nodes/node-${ns}",)
PER_INDEX: dict[str, Any] = {**INDEXED, "backoffLimitPerIndex": 1}


def ends_with(place: int, *statuses: dict[str, Any], pods: str = "pods", **more: Any) -> Ask:
    """A pod of several containers fails."""
    body = {"phase": "Failed", "containerStatuses": list(statuses), **more}
    return patch(f"{one(place, pods)}/status", {"status": body}, view="nothing")


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
        name="an index fails past its own limit, and the Job when no other is left",
        steps=(
            made(**PER_INDEX),
            pods(3),
            ends(1, 1),
            becomes(failed=1, failedIndexes="", active=3),
            pods(4, save="all"),
            pods(3, save="again", phase="Pending"),
            ends(1, 1, pods="again"),
            becomes(failed=2, failedIndexes="1", active=2),
            ends(0, pods="again"),
            ends(2, pods="again"),
            becomes(conditions__1__type="Failed"),
            events("FailedIndexes"),
        ),
    ),
    Scenario(
        name="too many failed indexes fail the Job",
        steps=(
            made(**{**PER_INDEX, "backoffLimitPerIndex": 0}, maxFailedIndexes=1),
            pods(3, view="nothing"),
            ends(0, 1),
            becomes(failedIndexes="0", active=2),
            ends(2, 1),
            becomes(conditions__1__type="Failed"),
            pods(2),
        ),
    ),
    Scenario(
        name="a rule may fail an index at once",
        steps=(
            made(**PER_INDEX, podFailurePolicy=rules(exit_codes("In", 42, action="FailIndex"))),
            pods(3, view="nothing"),
            ends(0, 42),
            becomes(failedIndexes="0", active=2, failed=1),
            ends(1),
            ends(2),
            becomes(conditions__1__type="Failed"),
        ),
    ),
    Scenario(
        name="failures that are ignored are told apart from those of an index that count",
        steps=(
            made(**PER_INDEX, podFailurePolicy=rules(exit_codes("In", 5, action="Ignore"))),
            pods(3, view="nothing"),
            ends(0, 5),
            pods(4, save="all", view="how_many"),
            wait(1.5),
            becomes(active=3, failed=None),
            pods(3, save="again", phase="Pending"),
            ends(0, 1, pods="again"),
            becomes(active=3, failed=1),
            pods(5, save="more"),
        ),
    ),
    Scenario(
        name="each index waits for itself after a failure",
        steps=(
            made(**PER_INDEX),
            pods(3, view="nothing"),
            patch(f"{one(1)}/status", {"status": {"phase": "Failed"}}, view="nothing"),
            wait(3),
            becomes(failedIndexes=""),
            pods(3, save="still"),
            becomes(active=3, failed=1),
            pods(4, save="all"),
        ),
    ),
    Scenario(
        name="an index succeeds after it failed",
        steps=(
            made(**{**PER_INDEX, "completions": 1, "parallelism": 1}),
            pods(1, view="nothing"),
            ends(0, 1),
            becomes(failed=1, active=1),
            pods(1, save="again", phase="Pending"),
            ends(0, pods="again"),
            becomes(conditions__1__type="Complete"),
        ),
    ),
    Scenario(
        name="as many successes as the policy asks for are enough",
        steps=(
            made(**INDEXED, successPolicy=rules({"succeededCount": 1})),
            pods(3, view="nothing"),
            ends(1),
            becomes(conditions__1__type="Complete"),
            pods(1),
            events("Completed"),
        ),
    ),
    Scenario(
        name="the leader's success is enough, whatever the others do",
        leftovers=NODES,
        steps=(
            NODE,
            made(pod=ON_NODE, **INDEXED, successPolicy=rules({"succeededIndexes": "0"})),
            pods(3, view="nothing"),
            running(0),
            running(1),
            running(2),
            becomes(ready=3),
            ends(0),
            becomes(conditions__0__type="SuccessCriteriaMet", terminating=2),
            ends(1, 1),
            ends(2, 143),
            becomes(conditions__1__type="Complete"),
        ),
    ),
    Scenario(
        name="so many of certain indexes",
        steps=(
            made(
                **{**INDEXED, "completions": 5, "parallelism": 5},
                successPolicy=rules(
                    {"succeededIndexes": "0", "succeededCount": 1},
                    {"succeededIndexes": "2-4", "succeededCount": 2},
                ),
            ),
            pods(5, view="nothing"),
            ends(1),
            ends(2),
            becomes(completedIndexes="1,2", active=3),
            ends(4),
            becomes(conditions__1__type="Complete"),
        ),
    ),
    Scenario(
        name="a Job that fails is not saved by its success policy",
        steps=(
            made(**INDEXED, successPolicy=rules({"succeededCount": 2}), backoffLimit=0),
            pods(3, view="nothing"),
            ends(0),
            becomes(succeeded=1),
            ends(1, 1),
            becomes(conditions__1__type="Failed"),
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
        name="failed indexes leave room for the next ones",
        steps=(
            made(
                completionMode="Indexed",
                completions=4,
                parallelism=2,
                backoffLimitPerIndex=0,
                maxFailedIndexes=3,
            ),
            pods(2, view="nothing"),
            ends(0, 1),
            ends(1, 1),
            becomes(failedIndexes="0,1", active=2, failed=2),
            pods(2, phase="Pending", save="next"),
            ends(0, pods="next"),
            ends(1, pods="next"),
            becomes(conditions__1__type="Failed"),
        ),
    ),
    Scenario(
        name="a limit per index with a limit for all",
        steps=(
            made(**{**PER_INDEX, "backoffLimitPerIndex": 5}, backoffLimit=1),
            pods(3, view="nothing"),
            ends(0, 1),
            becomes(failed=1, active=3),
            ends(1, 1),
            becomes(conditions__1__type="Failed"),
        ),
    ),
    Scenario(
        name="a success policy by indexes that are gaps apart",
        steps=(
            made(
                completionMode="Indexed",
                completions=6,
                parallelism=6,
                successPolicy=rules({"succeededIndexes": "0,2-3,5", "succeededCount": 3}),
            ),
            pods(6, view="nothing"),
            ends(1),
            ends(4),
            ends(5),
            ends(3),
            becomes(completedIndexes="1,3-5", active=2),
            ends(0),
            becomes(conditions__1__type="Complete"),
            pods(5, view="how_many"),
        ),
    ),
    Scenario(
        name="a success policy and failed indexes",
        steps=(
            made(**{**PER_INDEX, "backoffLimitPerIndex": 0}, successPolicy=rules({"succeededIndexes": "0"})),
            pods(3, view="nothing"),
            ends(1, 1),
            becomes(failedIndexes="1", active=2),
            ends(0),
            becomes(conditions__1__type="Complete"),
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
    Scenario(
        name="an Indexed Job grows while it runs, policies and all",
        steps=(
            made(**INDEXED, successPolicy=rules({"succeededIndexes": "2"})),
            pods(3, view="nothing"),
            ends(0),
            becomes(completedIndexes="0", active=2),
            patch(J, {"spec": {"completions": 2, "parallelism": 2}}),
            patch(J, {"spec": {"completions": 5, "parallelism": 5}}, view="nothing"),
            becomes(active=4, completedIndexes="0"),
            pods(5, view="how_many"),
        ),
    ),
)
