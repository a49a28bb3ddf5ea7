"""What the API server refuses of a Job to be created."""

from __future__ import annotations

from tests.conformance.steps import Scenario, patch, post

from ._jobs import INDEXED, JOBS, MAIN, J, conditions, exit_codes, job, refused, rules

SCENARIOS = (
    Scenario(
        name="a Job without a template, or an empty one, is told what is missing",
        steps=(
            post(JOBS, {"metadata": {"name": "j"}}),
            post(JOBS, {"metadata": {"name": "j"}, "spec": {"template": {"spec": {"containers": []}}}}),
            post(JOBS, {"metadata": {"name": "j"}, "spec": {"template": {"spec": {"containers": [MAIN]}}}}),
        ),
    ),
    Scenario(
        name="pods of a Job are not restarted always",
        steps=(
            refused(pod={"restartPolicy": "Always"}),
            refused(pod={"restartPolicy": "Sometimes"}),
            refused(pod={"restartPolicy": "OnFailure"}, podFailurePolicy=rules(exit_codes("In", 1))),
        ),
    ),
    Scenario(
        name="counts of a Job are not negative",
        steps=(
            refused(completions=-1, parallelism=-2),
            refused(backoffLimit=-1, activeDeadlineSeconds=-1, ttlSecondsAfterFinished=-1),
            refused(backoffLimitPerIndex=-1, maxFailedIndexes=-1, **INDEXED),
            post(
                JOBS, job(suspend=True, completions=0, parallelism=0, backoffLimit=0, activeDeadlineSeconds=0)
            ),
        ),
    ),
    Scenario(
        name="an Indexed Job says how many completions there are",
        steps=(
            refused(completionMode="Indexed", parallelism=2),
            refused(completionMode="Indexed"),
            refused(completionMode="Sorted"),
            refused(completionMode="Indexed", completions=5, parallelism=100_001),
            refused(name="k", completionMode="NonIndexed", completions=5, parallelism=100_001),
        ),
    ),
    Scenario(
        name="limits per index need indexes, and one the other",
        steps=(
            refused(backoffLimitPerIndex=1),
            refused(maxFailedIndexes=1),
            refused(maxFailedIndexes=1, **INDEXED),
            refused(maxFailedIndexes=4, backoffLimitPerIndex=1, **INDEXED),
            refused(completionMode="Indexed", completions=200_000, parallelism=10, backoffLimitPerIndex=1),
            refused(
                completionMode="Indexed",
                completions=200_000,
                parallelism=20_000,
                backoffLimitPerIndex=1,
                maxFailedIndexes=20_000,
            ),
            refused(
                completionMode="Indexed",
                completions=200_000,
                parallelism=10,
                backoffLimitPerIndex=1,
                maxFailedIndexes=150_000,
            ),
        ),
    ),
    Scenario(
        name="a very large Indexed Job is taken with a warning",
        steps=(refused(completionMode="Indexed", completions=100_001, parallelism=10_001),),
    ),
    Scenario(
        name="a name too long for the host names of an Indexed Job",
        steps=(
            refused(name="j" * 62, **INDEXED),
            refused(name="j" * 61, **INDEXED),
            refused(name="a.b", **INDEXED),
            refused(name="j" * 63),
            refused(name="j" * 64),
            refused(name="a.b"),
            refused(name="A"),
        ),
    ),
    Scenario(
        name="who manages a Job is a path with a domain",
        steps=(
            refused(managedBy=""),
            refused(managedBy="me"),
            refused(managedBy="example.org/"),
            refused(managedBy="Example.org/x"),
            refused(managedBy="example.org/a b"),
            refused(managedBy="example.org/" + "x" * 60),
            refused(managedBy="example.org/me"),
            patch(J, {"spec": {"managedBy": None}}),
            patch(J, {"spec": {"managedBy": "kubernetes.io/job-controller"}}),
        ),
    ),
    Scenario(
        name="rules of a pod failure policy",
        steps=(
            refused(podFailurePolicy=rules()),
            refused(name="k", podFailurePolicy=rules({"action": "FailJob"})),
            refused(
                name="k",
                podFailurePolicy=rules(exit_codes("In"), exit_codes("In", 0), exit_codes("In", 2, 1)),
            ),
            refused(name="k", podFailurePolicy=rules(exit_codes("NotIn", 0, 0), exit_codes("Near", 1))),
            refused(name="k", podFailurePolicy=rules(exit_codes("In", 1, containerName="other"))),
            refused(
                name="k",
                podFailurePolicy=rules(exit_codes("In", 1, action="Retry"), exit_codes("", 1, action="")),
            ),
            refused(name="k", podFailurePolicy=rules(exit_codes("In", 1, action="FailIndex"))),
            refused(name="k", podFailurePolicy=rules(conditions("Ignore", ("", "True"), ("A B", "Maybe")))),
            refused(
                name="k",
                podFailurePolicy=rules(
                    {**exit_codes("In", 1), **conditions("Ignore", ("DisruptionTarget", "True"))}
                ),
            ),
            refused(name="k", podFailurePolicy=rules(*[exit_codes("In", 1)] * 21)),
            refused(name="k", podFailurePolicy=rules(exit_codes("In", *range(1, 257)))),
            refused(
                name="k",
                podFailurePolicy=rules(exit_codes("In", 1)),
                podReplacementPolicy="TerminatingOrFailed",
            ),
            refused(name="k", podReplacementPolicy="Never"),
        ),
    ),
    Scenario(
        name="rules of a success policy",
        steps=(
            refused(successPolicy=rules({"succeededCount": 1})),
            refused(successPolicy=rules(), **INDEXED),
            refused(successPolicy=rules({}), **INDEXED),
            refused(successPolicy=rules({"succeededCount": 4}, {"succeededCount": -1}), **INDEXED),
            refused(successPolicy=rules({"succeededIndexes": "0-1", "succeededCount": 3}), **INDEXED),
            refused(successPolicy=rules({"succeededIndexes": "a"}, {"succeededIndexes": "0-1-2"}), **INDEXED),
            refused(successPolicy=rules({"succeededIndexes": "2,1"}, {"succeededIndexes": "2-1"}), **INDEXED),
            refused(successPolicy=rules({"succeededIndexes": "3"}, {"succeededIndexes": "0-3"}), **INDEXED),
            refused(successPolicy=rules({"succeededIndexes": ""}), **INDEXED),
            refused(name="k", successPolicy=rules(*[{"succeededCount": 1}] * 21), **INDEXED),
        ),
    ),
    Scenario(
        name="labels and annotations of the template are checked",
        steps=(
            refused(template={"labels": {"app": "not valid"}}),
            refused(template={"labels": {"-app": "x"}}),
            refused(template={"annotations": {"not valid": "x"}}),
            refused(template={"labels": {"app": "x"}, "name": "ignored", "namespace": "other"}),
        ),
    ),
)
