"""PodDisruptionBudgets: what they may be, what the disruption controller counts, which evictions they refuse."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import STRATEGIC, Ask, Scenario, delete, get, patch, post, put

from .pod_verbs import NODE, evict
from .pods import PODS, bare, container

BUDGETS = "/apis/policy/v1/namespaces/${ns}/poddisruptionbudgets"
JOBS = "/apis/batch/v1/namespaces/${ns}/jobs"
SELECTOR = {"matchLabels": {"app": "a"}}


def budget(name: str = "a", **spec: Any) -> Any:
    return {"metadata": {"name": name}, "spec": {"selector": SELECTOR, **spec}}


def make(name: str = "a", **spec: Any) -> Ask:
    return post(BUDGETS, budget(name, **spec))


def counted(name: str = "a", generation: int = 1, **status: Any) -> Ask:
    """The budget when its controller has counted so."""
    wanted = {f"object.status.{field}": value for field, value in status.items()}
    return get(f"{BUDGETS}/{name}", until={"object.status.observedGeneration": generation, **wanted})


def member(name: str, **spec: Any) -> Ask:
    body = bare(name, nodeName=NODE, **spec)
    body["metadata"]["labels"] = {"app": "a"}
    return post(PODS, body)


def job_of_two() -> Ask:
    template = {
        "metadata": {"labels": {"app": "a"}},
        "spec": {"schedulerName": "nobody", "restartPolicy": "Never", "containers": [container()]},
    }
    spec = {"parallelism": 2, "completions": 2, "template": template}
    return post(JOBS, {"metadata": {"name": "job"}, "spec": spec}, view="nothing")


def runs(name: str, ready: str = "True") -> Ask:
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
    return patch(f"{PODS}/{name}/status", {"status": status}, STRATEGIC)


def running(*names: str) -> tuple[Ask, ...]:
    return tuple(step for name in names for step in (member(name), runs(name)))


SCENARIOS = (
    Scenario(
        name="what a budget may be",
        steps=(
            make("least", minAvailable=1),
            make("most", maxUnavailable="50%"),
            make("both", minAvailable=1, maxUnavailable=1),
            make("negative", minAvailable=-1),
            make("percent", minAvailable="101%"),
            make("letters", maxUnavailable="half"),
            make("policy", minAvailable=1, unhealthyPodEvictionPolicy="Sometimes"),
            post(
                BUDGETS,
                budget(
                    "selector",
                    selector={"matchExpressions": [{"key": "a", "operator": "In"}]},
                    minAvailable=1,
                ),
            ),
            post(BUDGETS, {"metadata": {"name": "nothing"}}),
        ),
    ),
    Scenario(
        name="a budget over nothing allows nothing",
        steps=(
            make(minAvailable=1),
            counted(desiredHealthy=1),
        ),
    ),
    Scenario(
        name="a budget counts the pods that are ready",
        steps=(
            make(minAvailable=1),
            *running("one", "two"),
            counted(disruptionsAllowed=1),
            runs("two", ready="False"),
            counted(disruptionsAllowed=0),
            delete(f"{PODS}/two", {"gracePeriodSeconds": 0}),
            counted(expectedPods=1),
        ),
    ),
    Scenario(
        name="a pod that is being deleted is no longer healthy",
        steps=(
            make(minAvailable=1),
            *running("one", "two"),
            counted(disruptionsAllowed=1),
            delete(f"{PODS}/two"),
            counted(disruptionsAllowed=0),
        ),
    ),
    Scenario(
        name="a maximum of unavailable pods does not count pods nobody controls",
        steps=(
            *running("one", "two"),
            make(maxUnavailable=1),
            counted(currentHealthy=2),
            evict("one"),
        ),
    ),
    Scenario(
        name="a share of available pods does not count pods nobody controls",
        steps=(
            *running("one"),
            make(minAvailable="50%"),
            counted(currentHealthy=1),
        ),
    ),
    Scenario(
        name="a maximum of unavailable pods of a Job cannot be counted",
        steps=(
            job_of_two(),
            get(f"{JOBS}/job", until={"object.status.active": 2}, view="nothing"),
            make(maxUnavailable=1),
            get(f"{BUDGETS}/a", until={"object.status.conditions.0.reason": "SyncFailed"}),
        ),
    ),
    Scenario(
        name="an absolute minimum counts the pods of a Job",
        steps=(
            job_of_two(),
            make(minAvailable=1),
            counted(expectedPods=2),
        ),
    ),
    Scenario(
        name="an allowed eviction uses the budget up",
        steps=(
            make(minAvailable=1),
            *running("one", "two"),
            counted(disruptionsAllowed=1),
            evict("one", query={"dryRun": "All"}),
            evict("one"),
            counted(disruptionsAllowed=0, currentHealthy=1, disruptedPods=None),
            evict("two"),
            get(f"{PODS}/two"),
        ),
    ),
    Scenario(
        name="a budget that needs all its pods refuses every eviction",
        steps=(
            make(minAvailable=2),
            *running("one", "two"),
            counted(currentHealthy=2),
            evict("one"),
            evict("one", query={"dryRun": "All"}),
            evict("one", gracePeriodSeconds=0),
        ),
    ),
    Scenario(
        name="two budgets over one pod",
        steps=(
            *running("one"),
            make("a", minAvailable=0),
            make("b", minAvailable=0),
            counted("a", currentHealthy=1),
            counted("b", currentHealthy=1),
            evict("one"),
        ),
    ),
    Scenario(
        name="pods that do not run or have ended need no budget",
        steps=(
            make(minAvailable=5),
            member("pending"),
            member("done"),
            patch(f"{PODS}/done/status", {"status": {"phase": "Succeeded"}}, STRATEGIC),
            counted(expectedPods=2),
            evict("pending"),
            evict("done"),
            *running("going"),
            delete(f"{PODS}/going"),
            evict("going"),
        ),
    ),
    Scenario(
        name="a pod that is not ready goes only where enough others are",
        steps=(
            make(minAvailable=1),
            member("one"),
            runs("one", ready="False"),
            counted(expectedPods=1),
            evict("one"),
            *running("two"),
            counted(currentHealthy=1),
            evict("one"),
            evict("two"),
        ),
    ),
    Scenario(
        name="a pod that is not ready always goes where the budget says so",
        steps=(
            make(minAvailable=2, unhealthyPodEvictionPolicy="AlwaysAllow"),
            member("one"),
            runs("one", ready="False"),
            counted(expectedPods=1),
            evict("one"),
        ),
    ),
    Scenario(
        name="an empty selector takes all pods, none takes none",
        steps=(
            post(BUDGETS, {"metadata": {"name": "all"}, "spec": {"selector": {}, "minAvailable": 0}}),
            post(BUDGETS, {"metadata": {"name": "none"}, "spec": {"minAvailable": 0}}),
            *running("one"),
            counted("all", currentHealthy=1),
            counted("none"),
        ),
    ),
    Scenario(
        name="a changed budget is counted anew",
        steps=(
            make(minAvailable=1),
            *running("one", "two"),
            counted(disruptionsAllowed=1),
            patch(f"{BUDGETS}/a", {"spec": {"minAvailable": 2}}),
            counted(generation=2, disruptionsAllowed=0),
            patch(f"{BUDGETS}/a", {"spec": {"selector": {"matchLabels": {"app": "b"}}}}),
            counted(generation=3, expectedPods=0),
            put(f"{BUDGETS}/a", budget(minAvailable=1)),
            patch(f"{BUDGETS}/a/status", {"status": {"disruptionsAllowed": -1}}),
        ),
    ),
)
