"""The main job, end to end: a labelled Job becomes a gang that is placed whole, runs and gives back its watts."""

from __future__ import annotations

from tests.support.harness import started


def test_a_labelled_job_is_placed_whole_runs_and_gives_its_watts_back() -> None:
    h = started()
    h.job("train", slots=4, run=30, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.until(lambda: h.phase("job-train") == "Running", seconds=10)

    status = h.gang("job-train")["status"]
    assert status["assignment"] == [
        {"nvlinkDomain": "nvl-r1", "rack": "r1", "nodes": ["r1-n0", "r1-n1", "r1-n2", "r1-n3"]}
    ]
    assert {
        int(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]): pod["spec"][
            "nodeName"
        ]
        for pod in h.pods_of("train")
    } == {0: "r1-n0", 1: "r1-n1", 2: "r1-n2", 3: "r1-n3"}
    assert {pod["metadata"]["annotations"]["rackplane.dev/slot"] for pod in h.pods()} == set("0123")
    # 4 nodes from 1,000 W idle to 5,000 W.
    assert status["reservedNominalWatts"] == 16_000
    assert status["reservedKilowatts"] == "16.0"
    assert status["domains"] == "nvl-r1"
    assert h.machine.state is not None
    report = h.machine.state.report().racks["r1"]
    assert report.nominal_watts == 22_000 and report.free_gpus == 0
    assert h.machine.state.violations() == []
    assert len(h.commits) == 1

    h.until(lambda: h.phase("job-train") == "Finished", seconds=60)
    after = h.machine.state.report().racks["r1"]
    assert after.nominal_watts == 6_000 and after.free_gpus == 16
    assert h.machine.gangs["default", "job-train"].decision is None
    assert h.failures == []
