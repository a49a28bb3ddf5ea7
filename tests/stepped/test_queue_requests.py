"""What a Job asks of the queue, as its Gang has it."""

from __future__ import annotations

from typing import Any

from tests.support.harness import facility, started

JOB = "/apis/batch/v1/namespaces/default/jobs/train"
ASKED = {
    "rackplane.dev/min-slots": "5",
    "rackplane.dev/expected-duration": "2h",
    "rackplane.dev/required-topology": "nvlink",
    "rackplane.dev/preferred-topology": "nvlink",
}


def asked(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: spec.get(key) for key in ("slots", "minSlots", "expectedDurationSeconds", "topology")}


def test_what_a_job_asks_for_no_more_leaves_its_gang() -> None:
    h = started(facility(racks=2))
    h.job("train", slots=5, run=None, annotations=ASKED)
    h.settle()
    assert asked(h.gang("job-train")["spec"]) == {
        "slots": 5,
        "minSlots": 5,
        "expectedDurationSeconds": 7200,
        "topology": {"required": "nvlink", "preferred": "nvlink"},
    }
    gone = [key for key in ASKED if "required" not in key]
    h.patch(JOB, {"metadata": {"annotations": dict.fromkeys(gone)}})
    h.settle()
    assert asked(h.gang("job-train")["spec"]) == {
        "slots": 5,
        "minSlots": None,
        "expectedDurationSeconds": None,
        "topology": {"required": "nvlink"},
    }


def test_more_slots_than_the_job_has_are_refused_in_words() -> None:
    h = started(facility(racks=2))
    sizes = {"rackplane.dev/min-slots": "6", "rackplane.dev/segment-size": "7"}
    h.job("train", slots=5, run=None, annotations=sizes)
    h.settle()
    gang = h.gang("job-train")
    assert gang["status"]["message"] == (
        "metadata.annotations[rackplane.dev/segment-size]: is 7, more than the 5 pods that the Job runs at a time. "
        "Write a number from 1 to 5.; metadata.annotations[rackplane.dev/min-slots]: is 6, more than the 5 pods that "
        "the Job runs at a time. Write a number from 1 to 5."
    )
