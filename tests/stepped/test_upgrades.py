"""One version of the operator after another, forward and back: what was decided stays, and so does what is unknown."""

from __future__ import annotations

from copy import deepcopy

from rackplane.api.crd import crd
from rackplane.api.gang import Gang
from tests.support.harness import Harness, facility, started

STATUS = "/apis/rackplane.dev/v1alpha1/namespaces/default/gangs/job-train/status"
#: What the first version wrote of a gang that runs. Fields that came later are not there.
FIRST = ("assignment", "conditions", "decision", "message", "phase", "powerProfile", "slots", "submittedAt")


def test_what_an_older_operator_decided_is_taken_over_as_it_is() -> None:
    h = started(facility(racks=1))
    h.job("train", slots=3, run=60)
    h.until(lambda: h.phase("job-train") == "Running")
    status = h.gang("job-train")["status"]
    older = {key: value if key in FIRST else None for key, value in status.items()}
    older["assignment"] = [
        {key: group[key] for key in ("nvlinkDomain", "rack", "nodes")} for group in status["assignment"]
    ]
    h.patch(STATUS, {"status": older})
    commits = len(h.commits)
    h.restart_machine()
    h.advance(5)
    (record,) = h.machine.gangs.values()
    assert record.decision is not None and record.decision.id == status["decision"]["id"]
    assert h.machine.state is not None and set(h.machine.state.keys()) == {"default/job-train"}
    assert {"nominal": h.machine.state.nominal.tolist()} == {"nominal": [2_000 + 4 * 1_000 + 3 * 4_000]}
    h.until(lambda: h.phase("job-train") == "Finished", seconds=120)
    assert len(h.commits) == commits
    assert h.get("batch", "jobs", "train")["status"]["succeeded"] == 3


def test_fields_that_this_version_does_not_know_survive_all_its_writes() -> None:
    """The operator is set back by one version, and the newer CRDs stay, as `helm rollback` leaves them."""
    newer = deepcopy(crd(Gang))
    schema = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    for part in ("spec", "status"):
        schema[part]["properties"]["ofTomorrow"] = {"type": "string"}
    h = Harness()
    h.apply(newer, *facility(racks=1))
    h.start_machine()
    h.job("train", slots=2, run=20)
    h.settle()
    h.patch(STATUS.removesuffix("/status"), {"spec": {"ofTomorrow": "kept"}})
    h.patch(STATUS, {"status": {"ofTomorrow": "kept"}})
    h.until(lambda: h.phase("job-train") == "Finished", seconds=120)
    gang = h.gang("job-train")
    assert (gang["spec"]["ofTomorrow"], gang["status"]["ofTomorrow"]) == ("kept", "kept")
