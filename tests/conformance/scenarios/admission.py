"""The admission policies of the chart, as it renders them: what they change and what they refuse."""

from __future__ import annotations

from tests.conformance.steps import APPLY, JSON_PATCH, STRATEGIC, Scenario, delete, get, patch, post

from ._policies import (
    DRY,
    FOREIGN_GATE,
    JOBS,
    OPERATOR,
    OUR_GATE,
    OUR_TOLERATION,
    PODS,
    QUEUED,
    SOMEBODY,
    installed,
    job,
    ours,
    paths,
    pod,
)

QUEUE_JOBS, QUEUE_PODS, GUARD = ours("queue-jobs"), ours("queue-pods"), ours("guard")
JOBS_QUEUE = post(JOBS, job("probe", QUEUED), query=DRY, until={"object.spec.suspend": True}, view="nothing")
PODS_QUEUE = post(
    PODS,
    pod("probe", QUEUED),
    query=DRY,
    until={"object.spec.schedulingGates.0.name": OUR_GATE["name"]},
    view="nothing",
)
GUARDED = post(
    PODS, pod("probe", tolerations=[OUR_TOLERATION]), query=DRY, until={"code": 403}, view="nothing"
)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="the chart's policies are stored with their defaults",
        steps=installed([*QUEUE_JOBS, *QUEUE_PODS, *GUARD], view=""),
        leftovers=paths([*QUEUE_JOBS, *QUEUE_PODS, *GUARD]),
    ),
    Scenario(
        name="a labelled job queues suspended and its pods gated",
        steps=(
            *installed(QUEUE_JOBS),
            JOBS_QUEUE,
            post(JOBS, job("plain", QUEUED)),
            post(JOBS, job("not-suspended", QUEUED, suspend=False), query=DRY),
            post(JOBS, job("by-its-user", QUEUED, suspend=True), query=DRY),
            post(JOBS, job("gated", QUEUED, {"spec": {"schedulingGates": [OUR_GATE]}}), query=DRY),
            post(JOBS, job("foreign", QUEUED, {"spec": {"schedulingGates": [FOREIGN_GATE]}}), query=DRY),
            post(
                JOBS,
                job("other", QUEUED, {"metadata": {"labels": {"rackplane.dev/queue": "other", "app": "a"}}}),
                query=DRY,
            ),
            post(JOBS, job("unlabelled", {"app": "web"}), query=DRY),
            post(
                JOBS,
                {**job("x", QUEUED), "metadata": {"generateName": "made-", "labels": QUEUED}},
                query=DRY,
            ),
            patch(
                f"{JOBS}/applied",
                {"apiVersion": "batch/v1", "kind": "Job", **job("applied", QUEUED)},
                APPLY,
                query={**DRY, "fieldManager": "helm"},
            ),
        ),
        leftovers=paths(QUEUE_JOBS),
    ),
    Scenario(
        name="nobody manages what a policy sets",
        steps=(
            *installed(QUEUE_JOBS),
            JOBS_QUEUE,
            post(JOBS, job("posted", QUEUED), query={**DRY, "fieldManager": "kueuectl"}, managed=True),
            patch(
                f"{JOBS}/applied",
                {"apiVersion": "batch/v1", "kind": "Job", **job("applied", QUEUED)},
                APPLY,
                query={"fieldManager": "helm"},
                managed=True,
            ),
            patch(
                f"{JOBS}/applied",
                {"apiVersion": "batch/v1", "kind": "Job", **job("applied", QUEUED)},
                APPLY,
                query={**DRY, "fieldManager": "helm"},
                view="spec_or_causes",
            ),
        ),
        leftovers=paths(QUEUE_JOBS),
    ),
    Scenario(
        name="only the creation of a job is mutated",
        steps=(
            post(JOBS, job("late", suspend=True)),
            *installed(QUEUE_JOBS),
            JOBS_QUEUE,
            patch(f"{JOBS}/late", {"metadata": {"labels": QUEUED}}),
            post(JOBS, job("plain", QUEUED), view="nothing"),
            get(f"{JOBS}/plain", until={"object.status.conditions.0.type": "Suspended"}, view="nothing"),
            patch(f"{JOBS}/plain", {"spec": {"suspend": False}}, query=DRY),
            patch(f"{JOBS}/plain/status", {"status": {"ready": 0}}, query=DRY, view="nothing"),
            get(f"{JOBS}/late"),
        ),
        leftovers=paths(QUEUE_JOBS),
    ),
    Scenario(
        name="a labelled pod is gated once",
        steps=(
            *installed(QUEUE_PODS),
            PODS_QUEUE,
            post(PODS, pod("plain", QUEUED)),
            post(PODS, pod("gated", QUEUED, schedulingGates=[OUR_GATE]), query=DRY),
            post(PODS, pod("foreign", QUEUED, schedulingGates=[FOREIGN_GATE]), query=DRY),
            post(PODS, pod("unlabelled", {"app": "web"}), query=DRY),
            post(PODS, pod("placed", QUEUED, nodeName="somewhere"), query=DRY),
        ),
        leftovers=paths(QUEUE_PODS),
    ),
    Scenario(
        name="only the operator removes the gate",
        steps=(
            *installed([*QUEUE_PODS, *GUARD]),
            PODS_QUEUE,
            GUARDED,
            post(PODS, pod("a", QUEUED, schedulingGates=[FOREIGN_GATE]), save="made", view="nothing"),
            patch(f"{PODS}/a", {"spec": {"schedulingGates": None}}),
            patch(f"{PODS}/a", {"spec": {"schedulingGates": None}}, query=DRY, **SOMEBODY),
            patch(f"{PODS}/a", {"spec": {"schedulingGates": [{"$patch": "delete", **OUR_GATE}]}}, STRATEGIC),
            patch(f"{PODS}/a", {"spec": {"schedulingGates": [OUR_GATE]}}, query=DRY),
            patch(f"{PODS}/a", {"metadata": {"labels": {"team": "a"}}}, query=DRY),
            patch(f"{PODS}/a", {"metadata": {"labels": {"rackplane.dev/queue": None}}}, query=DRY),
            patch(f"{PODS}/a/status", {"status": {"message": "seen"}}, query=DRY),
            patch(f"{PODS}/a", [{"op": "remove", "path": "/spec/schedulingGates/1"}], JSON_PATCH, query=DRY),
            patch(f"{PODS}/a", {"spec": {"schedulingGates": None}}, query=DRY, **OPERATOR),
            patch(f"{PODS}/a", {"spec": {"schedulingGates": [FOREIGN_GATE]}}, **OPERATOR),
            patch(f"{PODS}/a", {"spec": {"schedulingGates": None}}, query=DRY),
            delete(f"{PODS}/a", {"gracePeriodSeconds": 0}, view="nothing"),
        ),
        leftovers=paths([*QUEUE_PODS, *GUARD]),
    ),
    Scenario(
        name="only the operator adds the toleration",
        steps=(
            *installed(GUARD),
            GUARDED,
            post(PODS, pod("a", tolerations=[OUR_TOLERATION])),
            # The refusal has the name that was generated.
            post(
                PODS,
                {**pod("x", tolerations=[OUR_TOLERATION]), "metadata": {"generateName": "made-"}},
                view="nothing",
            ),
            post(
                PODS,
                pod("a", tolerations=[{"operator": "Exists"}], schedulingGates=[FOREIGN_GATE]),
                view="nothing",
            ),
            post(PODS, pod("a", tolerations=[OUR_TOLERATION])),
            post(PODS, pod("Bad", tolerations=[OUR_TOLERATION])),
            post(PODS, pod("b", tolerations=[OUR_TOLERATION]), view="nothing", **OPERATOR),
            patch(f"{PODS}/a", {"spec": {"tolerations": [{"operator": "Exists"}, OUR_TOLERATION]}}),
            patch(f"{PODS}/b", {"metadata": {"labels": {"team": "a"}}}, query=DRY),
        ),
        leftovers=paths(GUARD),
    ),
)
