"""Jobs that name one gang: they start together or not at all, stop together, and end each by itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rackplane.api.labels import GANG_LABEL, GANG_SIZE, NODE_GANGS, SUSPENDED_BY
from rackplane.core import events as e
from rackplane.core.machine import Machine
from rackplane.core.offline.rehearsal import decide, submit_all
from tests.support.branching import Kill, killed_at
from tests.support.harness import _FACILITY, _KINDS, EXIT, Harness, facility, started

GANG = "jobs-learner"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
"""Into so many tests every write is divided, so that they can run side by side."""
WHOLE = {"lead": {0: 0}, "work": {0: 1, 1: 2, 2: 3}}


def member(h: Harness, name: str, *, slots: int, gpus: int, size: int | None = 4, **more: Any) -> None:
    annotations = {} if size is None else {GANG_SIZE: str(size)}
    annotations |= more.pop("annotations", {})
    labels = {GANG_LABEL: "learner"} | more.pop("labels", {})
    h.job(name, slots=slots, gpus=gpus, labels=labels, annotations=annotations, **{"run": None, **more})


def pair(h: Harness, *, lead: dict[str, Any] | None = None, work: dict[str, Any] | None = None) -> None:
    """A leader without GPUs and three workers of a node each."""
    member(h, "work", slots=3, gpus=4, **(work or {}))
    member(h, "lead", slots=1, gpus=0, **(lead or {}))


def job(h: Harness, name: str) -> dict[str, Any]:
    return h.get("batch", "jobs", name)


def suspended(h: Harness) -> dict[str, str]:
    """By Job: who suspended it, "" for nobody."""
    found = {}
    for one in h.cluster.store.items(("batch", "jobs")):
        ours = SUSPENDED_BY in one["metadata"].get("annotations", {})
        found[one["metadata"]["name"]] = ("us" if ours else "user") if one["spec"].get("suspend") else ""
    return found


def slots(h: Harness) -> dict[str, dict[int, int]]:
    """By Job: the slot of each completion index, of pods that are let go and have not ended."""
    found: dict[str, dict[int, int]] = {}
    for pod in h.pods():
        notes = pod["metadata"]["annotations"]
        if "rackplane.dev/slot" in notes and pod["status"].get("phase") not in ("Succeeded", "Failed"):
            index = int(notes["batch.kubernetes.io/job-completion-index"])
            of = found.setdefault(pod["metadata"]["ownerReferences"][0]["name"], {})
            of[index] = int(notes["rackplane.dev/slot"])
    return found


def message(h: Harness, gang: str = GANG) -> str:
    found: str = h.gang(gang)["status"]["message"]
    return found


def booked(h: Harness) -> set[str]:
    assert h.machine.state is not None
    return set(h.machine.state.keys())


@pytest.mark.parametrize("restarts", [False, True])
def test_they_wait_for_each_other_and_start_whole_each_in_slots_of_its_own(restarts: bool) -> None:
    h = started()
    member(h, "work", slots=3, gpus=4)
    h.settle()
    assert (h.phase(GANG), message(h)) == ("Pending", "the Jobs of 3 of the gang's 4 pods exist: work 3")
    assert h.pods() == []
    if restarts:
        h.restart_machine()
    member(h, "lead", slots=1, gpus=0)
    h.settle()
    gang = h.gang(GANG)
    assert (gang["status"]["phase"], message(h).split(",")[0]) == ("Running", "all 4 slots run")
    workload = {"apiVersion": "batch/v1", "kind": "JobList", "name": "learner", "uid": ""}
    assert gang["spec"]["workload"] == workload
    assert [
        (g["name"], g["slots"], g["gpusPerSlot"], g["workload"]["name"], g["workload"]["uid"])
        for g in gang["spec"]["groups"]
    ] == [(n, s, g, n, job(h, n)["metadata"]["uid"]) for n, s, g in (("lead", 1, 0), ("work", 3, 4))]
    assert {owner["name"] for owner in gang["metadata"]["ownerReferences"]} == {"lead", "work"}
    assert slots(h) == WHOLE
    assert [c.name for c in h.commits] == [GANG]
    assert h.gangs() == {GANG: "Running"}
    if restarts:
        status = gang["status"]
        h.restart_machine()
        h.settle()
        assert (h.gang(GANG)["status"], slots(h), len(h.commits)) == (status, WHOLE, 1)


def test_without_room_for_one_neither_starts() -> None:
    h = started()
    pair(h, lead={"template": {"nodeSelector": {"pool": "cpu"}}})
    h.settle()
    assert h.phase(GANG) == "Pending"
    assert message(h).startswith("group lead needs 1 pod; ")
    assert (h.pods(), suspended(h)) == ([], {"lead": "us", "work": "us"})
    node = min(n["metadata"]["name"] for n in h.cluster.store.items(("", "nodes")))
    h.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {"pool": "cpu"}}})
    h.settle()
    assert (h.phase(GANG), slots(h), suspended(h)) == ("Running", WHOLE, {"lead": "", "work": ""})


def test_jobs_that_are_alike_keep_their_slots_apart() -> None:
    h = started()
    for name in ("b", "a"):
        member(h, name, slots=2, gpus=4)
    h.settle()
    assert (h.phase(GANG), slots(h)) == ("Running", {"a": {0: 0, 1: 1}, "b": {0: 2, 1: 3}})


def test_a_leader_that_completes_ends_nobody_else_even_if_it_is_deleted_at_once() -> None:
    h = started()
    pair(h, lead={"run": 5, "ttlSecondsAfterFinished": 0}, work={"run": 20})
    h.until(lambda: bool(h.gang(GANG)["status"].get("releasedSlots")))
    h.advance(2)
    assert (h.phase(GANG), h.gang(GANG)["status"]["releasedSlots"]) == ("Running", "0")
    assert suspended(h) == {"work": ""}
    h.restart_machine()
    h.advance(2)
    assert (h.phase(GANG), slots(h)) == ("Running", {"work": WHOLE["work"]})
    h.until(lambda: h.phase(GANG) == "Finished", seconds=60)
    assert message(h) == "all its Jobs are complete"


def test_one_that_fails_stops_the_others_and_the_gang_has_failed() -> None:
    h = started()
    pair(h, lead={"run": 5, "pod_annotations": {EXIT: "1"}, "backoffLimit": 0})
    h.until(lambda: h.phase(GANG) == "Failed", seconds=60)
    said = "Job lead failed; suspended with it: work. Delete all Jobs of the gang to start anew"
    assert (message(h), suspended(h), booked(h)) == (said, {"lead": "", "work": "us"}, set())
    assert not [p for p in h.pods() if p["status"].get("phase") == "Running"]
    # Were it left to run, its pods would wait for ever.
    h.patch(f"{JOBS}/work", {"spec": {"suspend": False}})
    h.advance(3)
    assert suspended(h)["work"] == "us"
    for name in ("lead", "work"):
        h.request("DELETE", f"{JOBS}/{name}", {"propagationPolicy": "Background"})
    h.advance(3)
    assert (h.gangs(), dict(h.machine.gangs)) == ({}, {})


def test_one_that_its_user_suspends_holds_all_of_them_until_it_is_resumed() -> None:
    h = started()
    pair(h)
    h.settle()
    h.suspend("lead", True)
    h.advance(3)
    assert (h.phase(GANG), suspended(h), booked(h)) == ("Held", {"lead": "user", "work": "us"}, set())
    assert message(h) == "Job lead is suspended by its user: set spec.suspend to false to queue it"
    h.suspend("lead", False)
    h.advance(3)
    assert (h.phase(GANG), slots(h)) == ("Running", WHOLE)


def test_one_that_is_deleted_stops_all_and_one_made_anew_starts_them_again() -> None:
    h = started()
    pair(h)
    h.settle()
    h.request("DELETE", f"{JOBS}/lead", {"propagationPolicy": "Background"})
    h.advance(3)
    assert (h.phase(GANG), suspended(h)) == ("Pending", {"work": "us"})
    assert message(h) == "the Jobs of 3 of the gang's 4 pods exist: work 3"
    member(h, "lead", slots=1, gpus=0)
    h.advance(3)
    assert (h.phase(GANG), slots(h), len(h.commits)) == ("Running", WHOLE, 2)
    assert {o["uid"] for o in h.gang(GANG)["metadata"]["ownerReferences"]} == {
        job(h, name)["metadata"]["uid"] for name in ("lead", "work")
    }


def test_what_one_has_completed_stays_so_when_the_others_are_placed_anew() -> None:
    h = started()
    pair(h, lead={"run": 4})
    h.until(lambda: bool(h.gang(GANG)["status"].get("releasedSlots")), seconds=30)
    h.suspend("work", True)
    h.advance(3)
    assert h.phase(GANG) == "Held"
    h.suspend("work", False)
    h.advance(3)
    spec = h.gang(GANG)["spec"]
    assert (h.phase(GANG), spec["slots"], [g["name"] for g in spec["groups"]]) == ("Running", 3, ["work"])
    assert slots(h) == {"work": {0: 0, 1: 1, 2: 2}}


@pytest.mark.parametrize(
    ("lead", "work", "said"),
    [
        (
            {"size": None},
            {"size": None},
            "metadata.annotations[rackplane.dev/gang-size]: is missing, so it is not known whether all Jobs of the "
            "gang are there. Write on each how many pods all of them run together: 4 if these are all.",
        ),
        (
            {"size": 3},
            {"size": 3},
            "metadata.annotations[rackplane.dev/gang-size]: is 3, but its Jobs run 4 pods together: lead 1, work 3. "
            "Write 4, or delete the Jobs that do not belong to it.",
        ),
        (
            {"annotations": {"rackplane.dev/power-profile": "MaxQ"}},
            {"annotations": {"rackplane.dev/power-profile": "MaxP"}},
            'Job work, metadata.annotations[rackplane.dev/power-profile]: is "MaxP", but "MaxQ" on Job lead of the '
            "same gang. Write the same on both, or on one of them.",
        ),
        (
            {},
            {"queue": "other"},
            "Job work, metadata.labels[rackplane.dev/queue]: is another queue than that of Job lead of the same gang. "
            "Give all Jobs of a gang the same queue.",
        ),
        (
            {},
            {"annotations": {"rackplane.dev/min-slots": "2"}},
            "metadata.annotations[rackplane.dev/min-slots]: is on a gang of several Jobs, which starts whole or not "
            "at all. Remove it.",
        ),
    ],
    ids=["no size", "too many", "annotations", "queues", "elastic"],
)
def test_what_keeps_them_from_being_one_gang_is_said(
    lead: dict[str, Any], work: dict[str, Any], said: str
) -> None:
    h = started()
    pair(h, lead=lead, work=work)
    h.settle()
    assert (h.phase(GANG), message(h), h.pods()) == ("Pending", said, [])


def test_a_label_that_its_pods_do_not_carry_is_named() -> None:
    h = started()
    h.job("late", labels={GANG_LABEL: "late"}, annotations={GANG_SIZE: "9"})
    h.patch(f"{JOBS}/late", {"metadata": {"labels": {GANG_LABEL: "learner"}}})
    h.settle()
    assert message(h, "jobs-late") == (
        'Job late, spec.template.metadata.labels[rackplane.dev/gang]: is not "learner" as on the Job, so its pods '
        "would not be known as the gang's. Create the Job again, with the admission policies of this version of the "
        "chart installed."
    )


def test_a_name_that_no_object_can_have_is_refused() -> None:
    h = started()
    h.job("odd", labels={GANG_LABEL: "Learner_1"})
    h.settle()
    assert message(h, "job-odd") == (
        'metadata.labels[rackplane.dev/gang]: is "Learner_1", which cannot be in the name of an object. Write lower '
        "case letters, digits and - only, on all Jobs that are to start together."
    )


def test_the_gang_without_its_jobs_is_rehearsed_with_stand_ins() -> None:
    h = started()
    pair(h, lead={"template": {"nodeSelector": {"pool": "none"}}})
    h.settle()
    machine = Machine()
    kept = [
        h._event(resource, obj, deleted=False)
        for resource in (*_KINDS, *_FACILITY)
        if resource not in (("", "pods"), ("batch", "jobs"))
        for obj in h.cluster.store.items(resource)
    ]
    machine.handle(h.time.now, *kept, e.Synced())
    assert submit_all(machine, h.time.now) == {}
    record = decide(machine, ("default", GANG))
    assert record.decision is not None, record.message
    assert record.decision.placement.slot_gpus == (0, 4, 4, 4)


# -- kills -------------------------------------------------------------------------------------------


def scenario(h: Harness, *, held: bool) -> None:
    """Both run to their end; ``held``: the user suspends one on the way, so that both stop and start again."""
    pair(h, work={"run": 6}, lead={"run": 4})
    h.until(lambda: h.phase(GANG) == "Running", seconds=60)
    h.advance(1)
    if held:
        h.suspend("lead", True)
        h.until(lambda: h.phase(GANG) == "Held", seconds=60)
        assert suspended(h) == {"lead": "user", "work": "us"}
        h.suspend("lead", False)
    h.until(lambda: h.phase(GANG) == "Finished", seconds=240)
    h.advance(2)


def watched(**options: Any) -> Harness:
    """A harness that looks all the time that no more runs than there is, and no pod of half a gang."""
    h = started(facility(), **options)

    def check() -> None:
        assert h.machine.state is not None
        assert h.machine.state.violations() == []
        gpus: Counter[str] = Counter()
        for pod in h.pods():
            if pod["spec"].get("nodeName") and pod["status"].get("phase") not in ("Succeeded", "Failed"):
                limits = pod["spec"]["containers"][0]["resources"].get("limits", {})
                gpus[pod["spec"]["nodeName"]] += int(limits.get("nvidia.com/gpu", 0))
        assert all(used <= 4 for used in gpus.values()), gpus
        if h.phase(GANG) == "Admitted" and not h.gang(GANG)["status"].get("releasedSlots"):
            let_go = [pod for pod in h.pods() if not pod["spec"].get("schedulingGates")]
            assert not let_go or len(h.pods()) == 4, "one was let go before all were there"

    h.check = check
    return h


def verify(h: Harness, *, commits: int) -> None:
    assert (h.gangs(), message(h)) == ({GANG: "Finished"}, "all its Jobs are complete")
    assert [c.name for c in h.commits] == [GANG] * commits
    assert {n: job(h, n)["status"].get("succeeded") for n in ("lead", "work")} == {"lead": 1, "work": 3}
    assert all(record.decision is None for record in h.machine.gangs.values())
    assert booked(h) == set()
    nodes = h.cluster.store.items(("", "nodes"))
    assert not [n for n in nodes if NODE_GANGS in n["metadata"].get("annotations", {})]


@pytest.mark.parametrize("held", [False, True], ids=["to the end", "stopped on the way"])
def test_killed_at_every_write_all_start_and_stop_together(held: bool) -> None:
    def run(kill: Kill) -> Harness:
        h = watched(kill=kill)
        scenario(h, held=held)
        verify(h, commits=2 if held else 1)
        return h

    assert killed_at(lambda number, moment: True, run) > 15
