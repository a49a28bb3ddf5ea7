"""What of a Job may change, and when: counts, policies, its template while it is suspended."""

from __future__ import annotations

from tests.conformance.steps import JSON_PATCH, STRATEGIC, Scenario, get, patch, post, put

from ._jobs import (
    AFFINITY,
    APART,
    INDEXED,
    JOBS,
    MAIN,
    J,
    conditions,
    exit_codes,
    job,
    of_template,
    resources,
    rules,
)

SCENARIOS = (
    Scenario(
        name="what of a running Job may change",
        steps=(
            post(JOBS, job(managedBy="example.org/me", parallelism=2, completions=4)),
            patch(J, {"spec": {"parallelism": 1, "backoffLimit": 3, "activeDeadlineSeconds": 9}}),
            patch(J, {"spec": {"ttlSecondsAfterFinished": 5, "podReplacementPolicy": "Failed"}}),
            patch(J, {"spec": {"activeDeadlineSeconds": None, "ttlSecondsAfterFinished": None}}),
            patch(J, {"spec": {"completions": 5}}),
            patch(J, {"spec": {"completions": None}}),
            patch(J, {"spec": {"completionMode": "Indexed"}}),
            patch(J, {"spec": {"selector": {"matchLabels": {"app": "x"}}}}),
            patch(J, {"spec": {"manualSelector": True}}),
            patch(J, {"spec": {"podFailurePolicy": rules(exit_codes("In", 1))}}),
            patch(J, {"spec": {"parallelism": -1}}),
            patch(J, {"spec": {"suspend": True}}),
        ),
    ),
    Scenario(
        name="policies of an Indexed Job are fixed",
        steps=(
            post(
                JOBS,
                job(
                    suspend=True,
                    backoffLimitPerIndex=1,
                    podFailurePolicy=rules(exit_codes("In", 1, action="FailIndex")),
                    successPolicy=rules({"succeededCount": 2}),
                    **INDEXED,
                ),
            ),
            get(J, until={"object.status.conditions.0.type": "Suspended"}, view="nothing"),
            patch(J, {"spec": {"backoffLimitPerIndex": 2}}),
            patch(J, {"spec": {"successPolicy": rules({"succeededIndexes": "0"})}}),
            patch(J, {"spec": {"successPolicy": None}}),
            patch(J, {"spec": {"podFailurePolicy": None}}),
            patch(
                J, {"spec": {"podFailurePolicy": rules(conditions("Ignore", ("DisruptionTarget", "True")))}}
            ),
            patch(J, {"spec": {"maxFailedIndexes": 2}}),
        ),
    ),
    Scenario(
        name="completions of an Indexed Job change with its parallelism",
        steps=(
            post(JOBS, job(suspend=True, **INDEXED)),
            get(J, until={"object.status.conditions.0.type": "Suspended"}, view="nothing"),
            patch(J, {"spec": {"completions": 5}}),
            patch(J, {"spec": {"completions": 5, "parallelism": 5}}),
            patch(J, {"spec": {"completions": 2, "parallelism": 2}}),
            patch(J, {"spec": {"completions": None}}),
            patch(J, {"spec": {"parallelism": 1}}),
        ),
    ),
    Scenario(
        name="the template of a Job that is not suspended is fixed",
        steps=(
            post(JOBS, job(managedBy="example.org/me", template={"labels": {"app": "x"}})),
            patch(J, of_template({"nodeSelector": {"zone": "a"}})),
            patch(J, of_template({"priorityClassName": "high"}, labels={"app": "y"})),
            patch(J, of_template({"terminationGracePeriodSeconds": 30})),
        ),
    ),
    Scenario(
        name="the scheduling directives of a Job that never ran may change",
        steps=(
            post(JOBS, job(suspend=True, managedBy="example.org/me")),
            patch(J, of_template({"nodeSelector": {"zone": "a"}, "tolerations": [{"operator": "Exists"}]})),
            patch(J, of_template({"affinity": AFFINITY, "schedulingGates": [{"name": "example.org/gate"}]})),
            patch(J, of_template({}, labels={"app": "y"}, annotations={"a": "b"})),
            patch(J, of_template(resources("2"))),
            patch(J, of_template({"affinity": APART})),
            patch(J, of_template({"affinity": None, "nodeSelector": None, "schedulingGates": None})),
            patch(J, of_template({"priorityClassName": "high"})),
            patch(J, of_template({"containers": [{**MAIN, "image": "train:2"}]})),
            patch(J, of_template({}, labels={"job-name": "other"})),
            patch(J, of_template({}, labels={"batch.kubernetes.io/controller-uid": None})),
        ),
    ),
    Scenario(
        name="a Job with other affinity keeps that while it may change where its pods go",
        steps=(
            post(JOBS, job(suspend=True, managedBy="example.org/me", pod={"affinity": APART})),
            patch(J, of_template({"affinity": None})),
            patch(J, of_template({"affinity": {**AFFINITY, **APART}})),
            patch(J, of_template({"affinity": {"nodeAffinity": None}})),
        ),
    ),
    Scenario(
        name="a suspended Job that ran may change when its controller says it stopped",
        steps=(
            post(JOBS, job(suspend=False, managedBy="example.org/me")),
            patch(f"{J}/status", {"status": {"startTime": "2024-01-01T00:00:00Z", "active": 1}}),
            patch(J, {"spec": {"suspend": True}}),
            patch(J, of_template({"nodeSelector": {"zone": "a"}})),
            patch(
                f"{J}/status",
                {"status": {"conditions": [{"type": "Suspended", "status": "True"}]}},
            ),
            patch(J, of_template({"nodeSelector": {"zone": "a"}})),
            patch(f"{J}/status", {"status": {"active": 0}}),
            patch(J, of_template({"nodeSelector": {"zone": "a"}, **resources("1")})),
            patch(J, {"spec": {"suspend": False, "template": {"spec": {"nodeSelector": {"zone": "b"}}}}}),
        ),
    ),
    Scenario(
        name="a Job replaced by its own manifest lacks what was generated",
        steps=(
            post(JOBS, job(suspend=True)),
            get(J, until={"object.status.conditions.0.type": "Suspended"}, view="nothing"),
            put(J, job(suspend=True)),
            put(J, job(suspend=True, backoffLimit=2)),
            patch(J, [{"op": "remove", "path": "/spec/selector"}], JSON_PATCH),
            patch(J, [{"op": "replace", "path": "/spec/suspend", "value": True}], JSON_PATCH),
            patch(J, {"spec": {"template": {"spec": {"containers": [MAIN]}}}}, STRATEGIC),
        ),
    ),
    Scenario(
        name="containers of a suspended Job's template change in their resources only",
        steps=(
            post(
                JOBS,
                job(
                    suspend=True,
                    managedBy="example.org/me",
                    pod={
                        "initContainers": [{"name": "prepare", "image": "train:1", "args": ["a && b <c>"]}],
                        "volumes": [{"name": "data", "emptyDir": {}}],
                    },
                ),
            ),
            patch(
                J,
                of_template(
                    {
                        "initContainers": [
                            {
                                "name": "prepare",
                                "resources": {"limits": {"nvidia.com/gpu": 4, "memory": "1Gi"}},
                            }
                        ],
                        "containers": [{"name": "main", "resources": {"requests": {"cpu": "500m"}}}],
                    }
                ),
                STRATEGIC,
            ),
            patch(J, of_template({"containers": [{"name": "side", "image": "train:1"}]}), STRATEGIC),
            patch(J, of_template({"initContainers": [{"name": "prepare", "args": ["c"]}]}), STRATEGIC),
            patch(
                J, of_template({"volumes": [{"name": "more", "emptyDir": {"medium": "Memory"}}]}), STRATEGIC
            ),
            patch(J, of_template({"hostNetwork": True, "securityContext": {"runAsUser": 5}})),
            patch(
                J,
                of_template({"containers": [{"name": "main", "resources": {"requests": {"cpu": "-1"}}}]}),
                STRATEGIC,
            ),
        ),
    ),
)
