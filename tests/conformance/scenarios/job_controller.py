"""What the Job controller does: pods made, replaced and removed, their ends counted, the Job suspended and finished.

No kubelet runs: scenarios write the statuses of pods. An end long ago (`LONG_AGO`) is waited for no longer.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, delete, get, patch, post, wait, watch

from .jobs import INDEXED, JOBS, J, job, of_template

PODS = "/api/v1/namespaces/${ns}/pods"
EVENTS = "/api/v1/namespaces/${ns}/events"
LONG_AGO = "2020-01-01T00:00:00Z"
NOTHING_MORE = {"object.status.terminating": 0, "object.status.uncountedTerminatedPods.succeeded": None}


def made(name: str = "j", **spec: Any) -> Ask:
    """A Job is created; its answer is kept, for its version."""
    return post(JOBS, job(name, **spec), view="nothing", save="job")


def becomes(name: str = "j", **fields: Any) -> Ask:
    """The status of a Job when these fields of it have these values; `__` stands for a dot."""
    until = {f"object.status.{key.replace('__', '.')}": value for key, value in fields.items()}
    return get(f"{JOBS}/{name}", until=until, view="of_job")


def pods(count: int, *, save: str = "pods", view: str = "pods_of_job", phase: str = "", **until: Any) -> Ask:
    """The pods, all or those in a phase, when there are so many."""
    wanted = {
        f"object.items.{count}": None,
        **{key.replace("__", "."): value for key, value in until.items()},
    }
    if count:
        wanted[f"object.items.{count - 1}.spec.schedulerName"] = "nobody"
    query = {"fieldSelector": f"status.phase={phase}"} if phase else {}
    return get(PODS, query=query, until=wanted, save=save, view=view)


def one(place: int, pods: str = "pods") -> str:
    """The path of a pod of a list that was kept."""
    return f"{PODS}/${{{pods}.items.{place}.metadata.name}}"


def terminated(code: int, name: str = "main") -> dict[str, Any]:
    """The status of a container that ended."""
    return {
        "name": name,
        "image": "train:1",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "finishedAt": LONG_AGO}},
    }


def running(place: int, pods: str = "pods", *, restarts: int = 0, ready: bool = True) -> Ask:
    """A kubelet says that a pod runs."""
    container = {
        "name": "main",
        "image": "train:1",
        "imageID": "",
        "ready": ready,
        "restartCount": restarts,
        "state": {"running": {"startedAt": LONG_AGO}},
    }
    entry = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": LONG_AGO}
    status = {"phase": "Running", "containerStatuses": [container], "conditions": [entry]}
    return patch(f"{one(place, pods)}/status", {"status": status}, view="nothing")


def ends(place: int, code: int = 0, pods: str = "pods", **status: Any) -> Ask:
    """A kubelet says that a pod ended, and how."""
    phase = "Failed" if code else "Succeeded"
    body = {"phase": phase, "containerStatuses": [terminated(code)], **status}
    return patch(f"{one(place, pods)}/status", {"status": body}, view="nothing")


def kill(place: int, pods: str = "pods") -> Ask:
    """A pod is removed for good."""
    return delete(one(place, pods), {"gracePeriodSeconds": 0}, view="nothing")


def events(reason: str = "", count: int = 1) -> Ask:
    """What was said of Jobs; with a reason, when there are so many Events of it."""
    selector = "involvedObject.kind=Job" + (f",reason={reason}" if reason else "")
    until = {f"object.items.{count - 1}.reason": reason} if reason else {}
    return get(EVENTS, query={"fieldSelector": selector}, until=until, view="told")


SUSPEND = patch(J, {"spec": {"suspend": True}}, view="nothing")
RESUME = patch(J, {"spec": {"suspend": False}}, view="nothing")
SUSPENDED = {"conditions__0__type": "Suspended", "conditions__0__status": "True"}
RESUMED = {"conditions__0__type": "Suspended", "conditions__0__status": "False"}


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
        name="a Job created suspended has no pods until it is resumed",
        steps=(
            made(suspend=True, parallelism=2, completions=2),
            becomes(**SUSPENDED),
            pods(0),
            RESUME,
            becomes(active=2, **RESUMED),
            pods(2),
            events(),
        ),
    ),
    Scenario(
        name="a Job suspended loses its pods, which count as nothing, and starts anew when resumed",
        steps=(
            made(parallelism=2, completions=2),
            pods(2, view="nothing"),
            running(0),
            becomes(active=2, ready=1),
            SUSPEND,
            becomes(active=None, terminating=0, startTime=None, **SUSPENDED),
            pods(0, save="none"),
            RESUME,
            becomes(active=2, **RESUMED),
            pods(2, save="again"),
            events(),
        ),
    ),
    Scenario(
        name="a Job resumed gives its pods the directives set while it was suspended",
        steps=(
            made(suspend=True),
            becomes(**SUSPENDED),
            patch(
                J,
                of_template(
                    {"nodeSelector": {"zone": "a"}, "schedulingGates": [{"name": "example.org/gate"}]},
                    labels={"app": "x"},
                    annotations={"a": "b"},
                ),
                view="nothing",
            ),
            RESUME,
            pods(1),
            SUSPEND,
            becomes(active=None, terminating=0, **SUSPENDED),
            patch(J, of_template({"nodeSelector": {"zone": "b"}, "schedulingGates": None}), view="nothing"),
            RESUME,
            pods(1, save="again"),
        ),
    ),
    Scenario(
        name="pods on a node take their time when the Job is suspended",
        leftovers=("/api/v1/nodes/node-${ns}",),
        steps=(
            post("/api/v1/nodes", {"metadata": {"name": "node-${ns}"}}, view="nothing"),
            made(pod={"nodeName": "node-${ns}"}, completions=2, parallelism=2),
            pods(2, view="nothing"),
            running(0),
            running(1),
            becomes(active=2, ready=2),
            SUSPEND,
            becomes(active=None, terminating=2, **SUSPENDED),
            ends(0, 137),
            becomes(terminating=1),
            RESUME,
            becomes(active=2, **RESUMED),
            kill(0),
            kill(1),
            becomes(active=2, terminating=0),
        ),
    ),
    Scenario(
        name="a failed pod is replaced, at once when it ended long ago",
        steps=(
            made(),
            pods(1),
            ends(0, 1),
            pods(2, save="both", view="how_many"),
            becomes(failed=1, active=1),
            events("SuccessfulCreate", 2),
        ),
    ),
    Scenario(
        name="the next pod waits after a failure",
        steps=(
            made(),
            pods(1, view="nothing"),
            patch(f"{one(0)}/status", {"status": {"phase": "Failed"}}, view="nothing"),
            becomes(failed=1, active=None),
            wait(3),
            pods(1, save="still"),
            becomes(failed=1, active=1),
            pods(2, save="both", view="how_many"),
        ),
    ),
    Scenario(
        name="a pod that runs on while another's replacement waits is not counted as active",
        steps=(
            made(parallelism=2, completions=2),
            pods(2, view="nothing"),
            patch(f"{one(0)}/status", {"status": {"phase": "Failed"}}, view="nothing"),
            becomes(failed=1),
            wait(3),
            becomes(failed=1),
            pods(3, save="more", view="how_many"),
            becomes(active=2),
        ),
    ),
    Scenario(
        name="a Job fails past its limit of failures, and its other pods with it",
        steps=(
            made(backoffLimit=1, parallelism=3, completions=3),
            pods(3, view="nothing"),
            ends(0, 1),
            ends(1, 1),
            becomes(conditions__1__type="Failed"),
            pods(2),
            events("BackoffLimitExceeded"),
            events("SuccessfulDelete"),
        ),
    ),
    Scenario(
        name="a failing Job waits for a pod on a node to end",
        leftovers=("/api/v1/nodes/node-${ns}",),
        steps=(
            post("/api/v1/nodes", {"metadata": {"name": "node-${ns}"}}, view="nothing"),
            made(pod={"nodeName": "node-${ns}"}, backoffLimit=0, completions=2, parallelism=2),
            pods(2, view="nothing"),
            running(0),
            running(1),
            becomes(ready=2),
            ends(0, 1),
            becomes(conditions__0__type="FailureTarget", failed=2, terminating=1),
            ends(1, 137),
            becomes(conditions__1__type="Failed"),
            kill(1),
            pods(1),
        ),
    ),
    Scenario(
        name="a Job that has no failures to spare",
        steps=(
            made(backoffLimit=0),
            pods(1, view="nothing"),
            ends(0, 1),
            becomes(conditions__1__type="Failed"),
            pods(1),
            patch(J, {"spec": {"backoffLimit": 5}}, view="nothing"),
            SUSPEND,
            wait(1.5),
            becomes(failed=1),
        ),
    ),
    Scenario(
        name="restarts in place count against the limit",
        steps=(
            made(pod={"restartPolicy": "OnFailure"}, backoffLimit=2),
            pods(1, view="nothing"),
            running(0, restarts=1),
            becomes(ready=1),
            running(0, restarts=2),
            becomes(conditions__1__type="Failed"),
            pods(0, save="none"),
        ),
    ),
    Scenario(
        name="a Job past its deadline fails",
        steps=(
            made(activeDeadlineSeconds=2, parallelism=2),
            pods(2, view="nothing"),
            becomes(conditions__1__type="Failed"),
            pods(0, save="none"),
        ),
    ),
    Scenario(
        name="a suspended Job has no deadline",
        steps=(
            made(activeDeadlineSeconds=1, suspend=True),
            becomes(**SUSPENDED),
            wait(2.5),
            becomes(**SUSPENDED),
            RESUME,
            becomes(active=1, **RESUMED),
            becomes(conditions__2__type="Failed"),
        ),
    ),
    Scenario(
        name="a deadline that is set late counts from the start",
        steps=(
            made(),
            becomes(active=1),
            wait(2),
            patch(J, {"spec": {"activeDeadlineSeconds": 1}}, view="nothing"),
            becomes(conditions__1__type="Failed"),
        ),
    ),
    Scenario(
        name="a pod deleted by hand counts as failed and its replacement waits",
        steps=(
            made(),
            pods(1, view="nothing"),
            kill(0),
            becomes(failed=1, active=None, terminating=0),
            pods(0, save="none"),
            becomes(failed=1, active=1),
        ),
    ),
    Scenario(
        name="a pod on a node that is deleted counts as failed at once",
        leftovers=("/api/v1/nodes/node-${ns}",),
        steps=(
            post("/api/v1/nodes", {"metadata": {"name": "node-${ns}"}}, view="nothing"),
            made(pod={"nodeName": "node-${ns}"}),
            pods(1, view="nothing"),
            running(0),
            becomes(ready=1),
            delete(one(0), view="nothing"),
            becomes(failed=1, terminating=1),
            pods(1, object__items__0__metadata__finalizers=None),
            becomes(failed=1, active=1, terminating=1),
            kill(0),
            becomes(failed=1, active=1, terminating=0),
        ),
    ),
    Scenario(
        name="a pod under deletion that fails, is only replaced when it has failed if the Job says so",
        leftovers=("/api/v1/nodes/node-${ns}",),
        steps=(
            post("/api/v1/nodes", {"metadata": {"name": "node-${ns}"}}, view="nothing"),
            made(pod={"nodeName": "node-${ns}"}, podReplacementPolicy="Failed"),
            pods(1, view="nothing"),
            running(0),
            becomes(ready=1),
            delete(one(0), view="nothing"),
            becomes(terminating=1, active=None),
            wait(2),
            becomes(terminating=1, active=None),
            ends(0, 137),
            pods(2, save="both", view="how_many"),
            becomes(failed=1, active=1),
        ),
    ),
    Scenario(
        name="a pod under deletion that succeeds counts as succeeded",
        leftovers=("/api/v1/nodes/node-${ns}",),
        steps=(
            post("/api/v1/nodes", {"metadata": {"name": "node-${ns}"}}, view="nothing"),
            made(pod={"nodeName": "node-${ns}"}, podReplacementPolicy="Failed"),
            pods(1, view="nothing"),
            running(0),
            becomes(ready=1),
            delete(one(0), view="nothing"),
            becomes(terminating=1),
            ends(0),
            becomes(conditions__1__type="Complete"),
        ),
    ),
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
        name="two failures at once wait as long as two",
        steps=(
            made(parallelism=2, completions=2),
            pods(2, view="nothing"),
            patch(f"{one(0)}/status", {"status": {"phase": "Failed"}}, view="nothing"),
            patch(f"{one(1)}/status", {"status": {"phase": "Failed"}}, view="nothing"),
            becomes(failed=2, active=None),
            wait(11),
            becomes(failed=2, active=None),
        ),
    ),
    Scenario(
        name="a success forgets the failures before it",
        steps=(
            made(parallelism=1, completions=2),
            pods(1, view="nothing"),
            ends(0, 1),
            becomes(failed=1, active=1),
            pods(1, phase="Pending", save="second", view="how_many"),
            ends(0, pods="second"),
            becomes(succeeded=1, active=1),
            pods(1, phase="Pending", save="third", view="how_many"),
            patch(f"{one(0, 'third')}/status", {"status": {"phase": "Failed"}}, view="nothing"),
            becomes(failed=2, active=None),
            becomes(failed=2, active=1),
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
    Scenario(
        name="an index whose pod is deleted by hand comes back",
        steps=(
            made(**INDEXED),
            pods(3, view="nothing"),
            becomes(active=3),
            kill(1),
            becomes(failed=1, terminating=0),
            pods(2, save="two", view="how_many"),
            becomes(failed=1, active=3),
            pods(3, save="three"),
        ),
    ),
    Scenario(
        name="a Job suspended while it waits after a failure starts its wait anew when resumed",
        steps=(
            made(),
            pods(1, view="nothing"),
            patch(f"{one(0)}/status", {"status": {"phase": "Failed"}}, view="nothing"),
            becomes(failed=1, active=None),
            SUSPEND,
            becomes(failed=1, startTime=None, **SUSPENDED),
            RESUME,
            becomes(failed=1, active=None, **RESUMED),
            becomes(failed=1, active=1, **RESUMED),
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
        name="restarts of init containers count too, and with no limit the first is one too many",
        steps=(
            made(pod={"restartPolicy": "OnFailure"}, backoffLimit=0),
            pods(1, view="nothing"),
            running(0),
            becomes(ready=1),
            patch(
                f"{one(0)}/status",
                {"status": {"initContainerStatuses": [{**terminated(1, "prepare"), "restartCount": 1}]}},
                view="nothing",
            ),
            becomes(conditions__1__type="Failed"),
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
