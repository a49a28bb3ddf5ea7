"""What `rackplane verify` finds: nothing where all is well, and each kind of difference by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rackplane.core import events as e
from rackplane.core.machine import Machine
from rackplane.core.offline.verifying import differences
from tests.support.harness import Harness, facility, started

JOB = "/apis/batch/v1/namespaces/default/jobs/train"
GANGS = "/apis/rackplane.dev/v1alpha1/namespaces/default/gangs"


def site() -> Harness:
    """One gang that fills a rack of two, and one that waits."""
    h = started(facility(racks=2))
    h.job("train", slots=4, run=None, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.until(lambda: h.phase("job-train") == "Running")
    h.job("waits", slots=6, run=None)
    h.advance(5)
    assert h.gangs() == {"job-train": "Running", "job-waits": "Pending"}
    return h


def found(h: Harness) -> list[tuple[str, str]]:
    """Kind and subject of each difference, by a machine that has just read everything."""
    machine = Machine()
    machine.handle(h.time.now, *h.listed(), e.Synced())
    return [(each.kind, each.subject) for each in differences(machine)]


def awake(h: Harness) -> None:
    h.patch("/apis/batch/v1/namespaces/default/jobs/waits", {"spec": {"suspend": False}})


def asleep(h: Harness) -> None:
    note = {"rackplane.dev/suspended-by": "rackplane"}
    h.patch(JOB, {"metadata": {"annotations": note}, "spec": {"suspend": True}})


def no_gang(h: Harness) -> None:
    h.request("DELETE", f"{GANGS}/job-waits")


def job_gone(h: Harness) -> None:
    h.request("DELETE", f"{JOB}", {"propagationPolicy": "Background"})
    for pod in h.pods():
        path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
        h.patch(path, {"metadata": {"finalizers": None}})
        h.request("DELETE", path, {"gracePeriodSeconds": 0})


def place_lost(h: Harness) -> None:
    gone = dict.fromkeys(("assignment", "decision"))
    h.patch(f"{GANGS}/job-train/status", {"status": {"phase": "Pending", **gone}})


def other_place(h: Harness) -> None:
    status = h.gang("job-train")["status"]
    (group,) = status["assignment"]
    other = "r2" if group["rack"] == "r1" else "r1"
    moved = {**group, "rack": other, "nodes": [f"{other}-n{i}" for i in range(4)]}
    h.patch(f"{GANGS}/job-train/status", {"status": {"assignment": [moved]}})


def other_cap(h: Harness) -> None:
    node = h.gang("job-train")["status"]["assignment"][0]["nodes"][0]
    h.patch(f"/api/v1/nodes/{node}", {"metadata": {"annotations": {"rackplane.dev/power-cap-watts": "1"}}})


def over_limit(h: Harness) -> None:
    h.patch("/apis/rackplane.dev/v1alpha1/powerdomains/row", {"spec": {"ratedWatts": 20_000}})


def node_gone(h: Harness) -> None:
    h.request("DELETE", f"/api/v1/nodes/{h.gang('job-train')['status']['assignment'][0]['nodes'][0]}")


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (lambda h: None, set()),
        (awake, {"AwakeWithoutPlace"}),
        (asleep, {"Asleep"}),
        (no_gang, {"WithoutGang"}),
        (job_gone, {"WithoutWorkload"}),
        (place_lost, {"RunsWithoutPlace", "AwakeWithoutPlace", "CapOfNobody"}),
        (other_place, {"Elsewhere", "OtherCap", "CapOfNobody"}),
        (other_cap, {"OtherCap"}),
        (over_limit, {"OverLimit"}),
        (node_gone, {"NodeGone"}),
    ],
)
def test_each_difference_is_named(change: Callable[[Harness], None], kinds: set[str]) -> None:
    h = site()
    change(h)
    assert {kind for kind, _ in found(h)} == kinds
