"""`mode: Observe`: what would be decided is told, and no Job, pod, node or finalizer is touched."""

from __future__ import annotations

from typing import Any

from rackplane.core.settings import MachineSettings
from tests.support.harness import GROUP, Harness, facility, started

SETTINGS = MachineSettings(validate=True, observe=True)


def open_site(**options: Any) -> Harness:
    """Two racks in a cluster without the chart's admission policies, as the chart leaves them out in this mode."""
    h = Harness(settings=SETTINGS, **options)
    for plural in ("mutatingadmissionpolicybindings", "validatingadmissionpolicybindings"):
        group = "admissionregistration.k8s.io"
        for binding in list(h.cluster.store.items((group, plural))):
            h.request("DELETE", f"/apis/{group}/v1/{plural}/{binding['metadata']['name']}")
    made = facility(racks=2)
    for obj in made:
        if obj["kind"] == "Node":
            del obj["spec"]["taints"]
    h.apply(*made)
    h.start_machine()
    h.settle()
    return h


def watch_writes(h: Harness) -> list[str]:
    """The operator's writes from now on, by kind and verb."""
    told: list[str] = []
    send = h._send

    def noted(instruction: Any) -> Any:
        told.append(type(instruction).__name__)
        return send(instruction)

    h._send = noted  # type: ignore[method-assign]
    return told


def test_a_job_runs_where_kube_scheduler_puts_it_and_is_told_where_it_would_have_been() -> None:
    h = open_site()
    told = watch_writes(h)
    h.job("train", slots=3, run=20, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.deliver()
    h.until(lambda: len([p for p in h.pods() if p["status"].get("phase") == "Running"]) == 3)
    gang = h.gang("job-train")
    assert gang["status"]["phase"] == "Pending"
    assert gang["status"]["message"] == (
        "at 2023-11-14T22:13:20Z it would have been placed on r1, for 12.0 kW; mode Observe: nothing was done"
    )
    assert "assignment" not in gang["status"]
    h.until(lambda: h.phase("job-train") == "Finished", seconds=60)
    assert set(told) <= {
        "CreateGang",
        "UpdateGangSpec",
        "WriteGangStatus",
        "PublishEvent",
        "WriteFacilityStatus",
    }
    for node in h.cluster.store.items(("", "nodes")):
        assert not [key for key in node["metadata"].get("annotations", {}) if key.startswith("rackplane")]
    for kind in ("racks", "powerdomains"):
        assert all("finalizers" not in thing["metadata"] for thing in h.cluster.store.items((GROUP, kind)))


def test_one_for_which_there_is_no_room_is_told_why_it_would_wait() -> None:
    h = open_site()
    h.job("huge", slots=6, run=5, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.deliver()
    h.advance(3)
    status = h.gang("job-huge")["status"]
    assert status["phase"] == "Pending"
    assert "the largest, nvl-r1, has 4" in status["message"], status["message"]


def test_what_runs_elsewhere_counts_where_it_is() -> None:
    h = open_site()
    h.job("first", slots=3, run=60, template={"nodeSelector": {"rackplane.dev/rack": "r1"}})
    h.advance(3)
    h.job("second", slots=4, run=10, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.deliver()
    h.advance(3)
    assert "placed on r2" in h.gang("job-second")["status"]["message"]


def test_what_ran_before_anybody_looked_is_not_decided_about() -> None:
    h = open_site()
    h.job("early", slots=3, run=60)
    h.cluster.settle()
    h.advance(3)
    text = "its pods ran before it was this gang's turn; mode Observe: nothing is done"
    assert h.gang("job-early")["status"]["message"] == text


def test_what_an_active_operator_placed_is_left_alone_until_it_is_over() -> None:
    h = started(facility(racks=2), settings=MachineSettings(validate=True))
    h.job("train", slots=4, run=20)
    h.until(lambda: h.phase("job-train") == "Running")
    before = h.get("batch", "jobs", "train")["spec"]
    h.settings = SETTINGS
    h.restart_machine()
    told = watch_writes(h)
    h.patch("/apis/rackplane.dev/v1alpha1/powerdomains/row", {"spec": {"ratedWatts": 9_000}})
    h.advance(15)
    assert (h.phase("job-train"), h.get("batch", "jobs", "train")["spec"]) == ("Running", before)
    assert not {"SuspendJob", "CapNode", "SetFinalizers"} & set(told)
    h.until(lambda: h.phase("job-train") == "Finished", seconds=60)
