"""What the API server makes of a Job: defaults, generated selector and labels, validation, what may change and when."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import JSON_PATCH, STRATEGIC, Ask, Scenario, delete, get, patch, post, put

JOBS = "/apis/batch/v1/namespaces/${ns}/jobs"
J = f"{JOBS}/j"
MAIN: dict[str, Any] = {"name": "main", "image": "train:1"}
#: No scheduler looks at its pods, so that nothing but the Job controller acts.
POD: dict[str, Any] = {"restartPolicy": "Never", "schedulerName": "nobody", "containers": [MAIN]}


def job(name: str = "j", *, metadata: Any = None, template: Any = None, pod: Any = None, **spec: Any) -> Any:
    """A Job; `pod` is merged into the spec of its template, `template` into the metadata of that."""
    inner: dict[str, Any] = {"spec": {**POD, **(pod or {})}}
    if template is not None:
        inner["metadata"] = template
    return {"metadata": {"name": name, **(metadata or {})}, "spec": {"template": inner, **spec}}


def refused(**spec: Any) -> Ask:
    """A Job nobody creates: suspended, so that one which passes does no harm."""
    return post(JOBS, job(**{"suspend": True, **spec}))


def rules(*entries: Any) -> dict[str, Any]:
    """A pod failure policy or a success policy."""
    return {"rules": list(entries)}


def exit_codes(operator: str, *values: int, action: str = "FailJob", **more: Any) -> dict[str, Any]:
    """A rule on exit codes."""
    return {"action": action, "onExitCodes": {"operator": operator, "values": list(values), **more}}


def conditions(action: str, *patterns: tuple[str, str]) -> dict[str, Any]:
    """A rule on pod conditions."""
    return {
        "action": action,
        "onPodConditions": [{"type": kind, "status": value} for kind, value in patterns],
    }


def resources(amount: str) -> dict[str, Any]:
    """The one container with a CPU request."""
    return {"containers": [{**MAIN, "resources": {"requests": {"cpu": amount}}}]}


AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
        }
    }
}
APART = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
        ]
    }
}
INDEXED: dict[str, Any] = {"completionMode": "Indexed", "completions": 3, "parallelism": 3}
#: A spec that leaves nothing to the defaults of the API server.
FULL: dict[str, Any] = {
    "activeDeadlineSeconds": 600,
    "backoffLimit": 0,
    "completionMode": "NonIndexed",
    "completions": 4,
    "managedBy": "example.org/other",
    "manualSelector": False,
    "parallelism": 2,
    "podReplacementPolicy": "Failed",
    "suspend": True,
    "ttlSecondsAfterFinished": 3600,
}


def of_template(spec: Any, **metadata: Any) -> Any:
    """A merge patch of the template."""
    return {"spec": {"template": {"metadata": metadata, "spec": spec} if metadata else {"spec": spec}}}


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
            put(J, job(suspend=True)),
            put(J, job(suspend=True, backoffLimit=2)),
            patch(J, [{"op": "remove", "path": "/spec/selector"}], JSON_PATCH),
            patch(J, [{"op": "replace", "path": "/spec/suspend", "value": True}], JSON_PATCH),
            patch(J, {"spec": {"template": {"spec": {"containers": [MAIN]}}}}, STRATEGIC),
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
