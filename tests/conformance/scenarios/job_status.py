"""What may be written to the status of a Job; nobody but the client acts, for somebody else manages the Jobs."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, patch, post

from ._jobs import INDEXED, JOBS, J, job

STARTED, ENDED, EARLIER = "2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z", "2023-12-31T23:00:00Z"
MADE = post(JOBS, job(managedBy="example.org/me"), view="nothing")
MADE_INDEXED = post(JOBS, job(managedBy="example.org/me", backoffLimitPerIndex=1, **INDEXED), view="nothing")


def write(*true: str, false: tuple[str, ...] = (), **status: Any) -> Ask:
    """Conditions that are true, or false, and other fields of the status."""
    entries = [{"type": kind, "status": "True"} for kind in true]
    entries += [{"type": kind, "status": "False"} for kind in false]
    return patch(f"{J}/status", {"status": {**({"conditions": entries} if entries else {}), **status}})


SCENARIOS = (
    Scenario(
        name="counts are not negative and only grow",
        steps=(
            MADE,
            write(active=-1, ready=-1, terminating=-1, succeeded=-1, failed=-1),
            write(active=1, ready=2),
            write(active=2, ready=1, succeeded=2, failed=3, terminating=1),
            write(succeeded=1),
            write(failed=2),
            write(uncountedTerminatedPods={"succeeded": ["a", "a", ""], "failed": ["b"]}),
            write(uncountedTerminatedPods={"succeeded": ["a"], "failed": ["b"]}),
        ),
    ),
    Scenario(
        name="a Job completes with its time, and stays complete",
        steps=(
            MADE,
            write("Complete"),
            write("SuccessCriteriaMet", "Complete", startTime=STARTED),
            write("SuccessCriteriaMet", "Complete", completionTime=ENDED),
            write("SuccessCriteriaMet", "Complete", startTime=STARTED, completionTime=EARLIER),
            write("SuccessCriteriaMet", "Complete", startTime=STARTED, completionTime=ENDED),
            write("SuccessCriteriaMet", completionTime=ENDED),
            write("SuccessCriteriaMet", "Complete", completionTime=EARLIER),
            write("Complete"),
            write("SuccessCriteriaMet", "Complete", "Failed", "FailureTarget"),
        ),
    ),
    Scenario(
        name="a Job fails after it said it would",
        steps=(
            MADE,
            write("Failed", startTime=STARTED),
            write("FailureTarget", "Failed", startTime=STARTED, active=1),
            write("FailureTarget", "Failed", startTime=STARTED, terminating=1),
            write("FailureTarget", "Failed"),
            write("FailureTarget", "Failed", startTime=STARTED, uncountedTerminatedPods={"failed": ["a"]}),
            write("FailureTarget", "SuccessCriteriaMet"),
            write("FailureTarget", startTime=STARTED),
            write("SuccessCriteriaMet"),
            write("FailureTarget", "Failed"),
            write("FailureTarget", "Failed", completionTime=ENDED),
            write(false=("Failed", "FailureTarget")),
        ),
    ),
    Scenario(
        name="the start of a Job moves only when it is resumed",
        steps=(
            MADE,
            write(startTime=STARTED),
            write(startTime=ENDED),
            write(startTime=None),
            patch(J, {"spec": {"suspend": True}}, view="nothing"),
            write("Suspended", startTime=None),
            write("Suspended", startTime=STARTED),
            patch(J, {"spec": {"suspend": False}}, view="nothing"),
            write("Suspended", startTime=ENDED),
            write(false=("Suspended",), startTime=ENDED),
        ),
    ),
    Scenario(
        name="indexes in the status are in order, below the completions, and succeeded or failed",
        steps=(
            MADE_INDEXED,
            write(completedIndexes="0-3"),
            write(completedIndexes="2,1"),
            write(completedIndexes="x", failedIndexes="0-1-2"),
            write(completedIndexes="0,1", failedIndexes="1-2"),
            write(completedIndexes="0", failedIndexes="1-2"),
            write(completedIndexes=""),
            write(failedIndexes=""),
            write(failedIndexes=None),
        ),
    ),
    Scenario(
        name="indexes are for Indexed Jobs",
        steps=(MADE, write(completedIndexes="0"), write(failedIndexes="0"), write(failedIndexes="")),
    ),
)
