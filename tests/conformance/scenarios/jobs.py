"""What the API server makes of a Job: defaults, generated selector and labels, reading and deleting."""

from __future__ import annotations

from tests.conformance.steps import JSON_PATCH, Scenario, delete, get, patch, post, put

from ._jobs import FULL, INDEXED, JOBS, J, exit_codes, job, refused, rules

SCENARIOS = (
    Scenario(
        name="a Job gets its defaults, a selector and the labels it selects",
        steps=(post(JOBS, job(suspend=True)), get(J, until={"object.status.conditions.0.type": "Suspended"})),
    ),
    Scenario(
        name="a Job without labels shows those of its template, one with labels keeps its own",
        steps=(
            post(JOBS, job(template={"labels": {"app": "x"}, "annotations": {"a": "b"}}, suspend=True)),
            post(
                JOBS,
                job(
                    "k",
                    metadata={"labels": {"mine": "y"}},
                    template={"labels": {"app": "x"}},
                    managedBy="example.org/me",
                ),
            ),
            post(
                JOBS,
                job(
                    "l",
                    metadata={"labels": {"app": "x"}},
                    template={"labels": {"app": "x"}},
                    managedBy="example.org/me",
                ),
            ),
            patch(f"{JOBS}/k", {"metadata": {"labels": None}}),
            get(JOBS, query={"labelSelector": "app=x"}, view="item_names"),
            get(JOBS, query={"labelSelector": "job-name=j"}, view="item_names"),
        ),
    ),
    Scenario(
        name="what is given stays as it is given",
        steps=(post(JOBS, job(**FULL)), post(JOBS, job("k", suspend=True, completions=2))),
    ),
    Scenario(
        name="defaults that follow from other fields",
        steps=(
            post(JOBS, job("a", suspend=True, parallelism=3)),
            post(JOBS, job("b", suspend=True, backoffLimitPerIndex=1, **INDEXED)),
            post(JOBS, job("c", suspend=True, podFailurePolicy=rules(exit_codes("In", 1)))),
            post(
                JOBS,
                job(
                    "d",
                    suspend=True,
                    podFailurePolicy=rules(
                        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
                    ),
                ),
            ),
            post(JOBS, job("e", suspend=True, completions=None, parallelism=None, backoffLimit=None)),
            post(JOBS, job("f", suspend=True, successPolicy=rules({"succeededCount": 1}), **INDEXED)),
        ),
    ),
    Scenario(
        name="a selector of one's own must fit, and is only asked for on purpose",
        steps=(
            post(
                JOBS,
                job(suspend=True, selector={"matchLabels": {"app": "x"}}, template={"labels": {"app": "x"}}),
            ),
            refused(selector={"matchLabels": {"batch.kubernetes.io/controller-uid": "1"}}),
            refused(template={"labels": {"job-name": "other"}}),
            refused(manualSelector=True),
            refused(manualSelector=True, selector={"matchLabels": {"app": "x"}}),
            refused(
                manualSelector=True, selector={"matchLabels": {"app": "x"}}, template={"labels": {"app": "y"}}
            ),
            post(
                JOBS,
                job(
                    "m",
                    suspend=True,
                    manualSelector=True,
                    selector={"matchLabels": {"app": "x"}},
                    template={"labels": {"app": "x"}},
                ),
            ),
        ),
    ),
    Scenario(
        name="generation follows the spec of a Job, and status is not written with it",
        steps=(
            post(JOBS, {**job(suspend=True, managedBy="example.org/me"), "status": {"active": 5}}),
            patch(J, {"metadata": {"annotations": {"a": "b"}}}),
            patch(J, {"spec": {"backoffLimit": 1}}),
            patch(J, {"status": {"active": 5}}),
            patch(f"{J}/status", {"spec": {"backoffLimit": 2}, "status": {"active": 1}}),
            get(f"{J}/status"),
            put(f"{J}/status", {"metadata": {"name": "j"}, "status": {"failed": 1}}),
        ),
    ),
    Scenario(
        name="Jobs are found by how many pods succeeded",
        steps=(
            post(JOBS, job("a", suspend=True, managedBy="example.org/me")),
            post(JOBS, job("b", suspend=True, managedBy="example.org/me")),
            patch(f"{JOBS}/b/status", {"status": {"succeeded": 1}}),
            get(JOBS, query={"fieldSelector": "status.successful=1"}, view="item_names"),
            get(JOBS, query={"fieldSelector": "status.successful=0"}, view="item_names"),
            get(JOBS, query={"fieldSelector": "status.active=0"}),
        ),
    ),
    Scenario(
        name="the ways to delete a Job",
        steps=(
            post(JOBS, job("a", suspend=True)),
            post(JOBS, job("b", suspend=True)),
            post(JOBS, job("c", suspend=True)),
            delete(f"{JOBS}/a"),
            delete(f"{JOBS}/b", {"propagationPolicy": "Background"}),
            delete(f"{JOBS}/c", {"propagationPolicy": "Orphan"}, view="kind_and_message"),
            delete(f"{JOBS}/d"),
            get(JOBS, until={"object.items.0": None}, view="item_names"),
        ),
    ),
    Scenario(
        name="a Job is created once, and not at all in a dry run",
        steps=(
            post(JOBS, job(managedBy="example.org/me"), query={"dryRun": "All"}),
            get(J),
            post(JOBS, job(managedBy="example.org/me"), save="made"),
            post(JOBS, job(managedBy="example.org/me")),
            patch(J, {"spec": {"parallelism": 3}}, query={"dryRun": "All"}),
            patch(J, {"metadata": {"resourceVersion": "1"}, "spec": {"parallelism": 3}}),
            patch(J, [{"op": "test", "path": "/spec/suspend", "value": True}], JSON_PATCH),
            patch(J, [{"op": "replace", "path": "/spec/suspend", "value": True}], JSON_PATCH),
        ),
    ),
    Scenario(
        name="Jobs are deleted together by their labels, and held by finalizers",
        steps=(
            post(JOBS, job("a", metadata={"labels": {"app": "x"}}, managedBy="example.org/me")),
            post(
                JOBS,
                job(
                    "b",
                    metadata={"labels": {"app": "x"}, "finalizers": ["example.org/f"]},
                    managedBy="example.org/me",
                ),
            ),
            post(JOBS, job("c", metadata={"labels": {"app": "y"}}, managedBy="example.org/me")),
            delete(
                JOBS, {"propagationPolicy": "Background"}, query={"labelSelector": "app=x"}, view="item_names"
            ),
            get(JOBS, view="item_names"),
            delete(f"{JOBS}/b", {"propagationPolicy": "Background"}),
            patch(f"{JOBS}/b", {"spec": {"parallelism": 2}}),
            patch(f"{JOBS}/b", {"metadata": {"finalizers": None}}, view="nothing"),
            get(f"{JOBS}/b"),
        ),
    ),
)
