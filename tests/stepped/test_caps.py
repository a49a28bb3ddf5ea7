"""Power profiles end to end: who is admitted lower and what is said of it, and the cap that nodes and pods carry."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.core.settings import MachineSettings
from tests.support.harness import QUEUE, RUN, Harness, facility, started

PROFILE = "rackplane.dev/power-profile"
CAP = "rackplane.dev/power-cap-watts"
GANGS = "rackplane.dev/gangs"
OPERATOR = "system:serviceaccount:rackplane-system:rackplane"
PROFILES = [
    {"name": "MaxP", "nodeWatts": 5000, "relativePerformancePercent": 100},
    {"name": "MaxQ", "nodeWatts": 4000, "relativePerformancePercent": 85},
    {"name": "MaxLPS", "nodeWatts": 3400, "relativePerformancePercent": 70},
]
#: 2,000 W overhead, 4 x 1,000 W idle: room for 4 nodes at MaxQ (+ 3,000 W each), not at MaxP (+ 4,000 W each).
TIGHT = 20_000


def site(*, rack_watts: int = TIGHT, racks: int = 1, **options: Any) -> Harness:
    made = facility(racks=racks, rack_watts=rack_watts)
    next(o for o in made if o["kind"] == "HardwareProfile")["spec"]["powerProfiles"] = PROFILES
    return started(made, **options)


def node(h: Harness, name: str) -> dict[str, str]:
    """What the node says of its cap."""
    annotations = h.get("", "nodes", name, "")["metadata"].get("annotations", {})
    return {key: value for key, value in annotations.items() if key.startswith("rackplane.dev/")}


def capped(profile: str, watts: int, *gangs: str) -> dict[str, str]:
    return {PROFILE: profile, CAP: str(watts), GANGS: ",".join(gangs)}


# -- words -----------------------------------------------------------------------------------------------


def test_a_gang_admitted_at_a_lower_profile_says_so_and_a_restart_keeps_it() -> None:
    h = site()
    h.job("train", slots=4, run=None)
    h.settle()
    words = "at MaxQ instead of MaxP: 4,000 W a node; expect about 85 % of full speed, 18 % longer"
    assert [(t.kind, t.warning, t.message) for t in h.told if t.reason == "LowerPowerProfile"] == [
        ("Gang", False, f"admitted {words}"),
        ("Job", False, f"admitted {words}"),
    ]
    [commit] = h.commits
    assert commit.status["message"] == f"placed on r1 {words}"
    assert [c["message"] for c in commit.status["conditions"] if c["type"] == "Admitted"] == [
        f"placed on r1 {words}"
    ]
    for _ in range(2):
        status = h.gang("job-train")["status"]
        assert status["phase"] == "Running"
        assert status["powerProfile"] == "MaxQ"
        assert status["requestedPowerProfile"] == "MaxP"
        assert status["expectedPerformancePercent"] == 85
        assert status["reservedNominalWatts"] == 12_000
        assert status["message"] == "all 4 slots run at MaxQ instead of MaxP, about 85 % of full speed"
        h.restart_machine()
        h.settle()
    assert sum(t.reason == "LowerPowerProfile" for t in h.told) == 2


def test_longer_is_reckoned_from_the_profile_that_was_asked_for() -> None:
    h = site(rack_watts=16_000)
    h.job("train", slots=4, run=None, annotations={PROFILE: "MaxQ"})
    h.settle()
    assert (
        h.commits[0].status["message"]
        # 85 / 70 = 1.21
        == "placed on r1 at MaxLPS instead of MaxQ: 3,400 W a node; expect about 70 % of full speed, 21 % longer"
    )


def test_a_gang_that_gets_what_it_asked_for_has_nothing_to_be_told() -> None:
    h = site()
    h.job("train", slots=4, run=None, annotations={PROFILE: "MaxQ"})
    h.settle()
    status = h.gang("job-train")["status"]
    assert status["message"] == "all 4 slots run"
    assert (status["requestedPowerProfile"], status["powerProfile"]) == ("MaxQ", "MaxQ")
    assert status["expectedPerformancePercent"] == 85
    assert not [t for t in h.told if t.reason == "LowerPowerProfile"]


def test_a_strict_gang_waits_for_its_profile() -> None:
    h = site()
    h.job("train", slots=4, run=None, annotations={"rackplane.dev/power-strict": "true"})
    h.settle()
    assert h.phase("job-train") == "Pending"
    assert h.commits == []


# -- annotations -----------------------------------------------------------------------------------------


def test_the_cap_is_in_force_before_the_load_and_until_its_end() -> None:
    h = site()
    order: list[str] = []

    def changed(change: Any) -> None:
        if change.previous is None or change.type == "DELETED":
            return
        old, new = change.previous, change.object
        name = new["metadata"]["name"]
        match change.resource:
            case "rackplane.dev", "gangs":
                if old.get("status", {}).get("phase") != new["status"].get("phase"):
                    order.append(f"gang {new['status']['phase']}")
            case "", "nodes":
                before, after = (o["metadata"].get("annotations", {}).get(CAP) for o in (old, new))
                if before != after:
                    order.append(f"{name} {after}")
            case "", "pods":
                if old["spec"].get("schedulingGates") and not new["spec"].get("schedulingGates"):
                    order.append("let go")
                if old["status"]["phase"] != new["status"]["phase"] == "Succeeded":
                    order.append("ended")

    h.cluster.store.subscribe(changed)
    h.job("train", slots=2, run=5)
    h.job("wide", slots=4, run=5, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.until(lambda: h.phase("job-wide") == "Finished", seconds=60)
    h.advance(1)
    assert order == [
        "gang Admitted",
        "gang Pending",
        "r1-n0 5000",
        "r1-n1 5000",
        "let go",
        "let go",
        "gang Running",
        "ended",
        "ended",
        "gang Finished",
        "gang Admitted",
        "r1-n0 4000",
        "r1-n1 4000",
        "r1-n2 4000",
        "r1-n3 4000",
        *["let go"] * 4,
        "gang Running",
        *["ended"] * 4,
        "gang Finished",
        "r1-n0 None",
        "r1-n1 None",
        "r1-n2 None",
        "r1-n3 None",
    ]


def test_pods_and_nodes_carry_the_cap_of_the_whole_node() -> None:
    h = site()
    h.job("train", slots=4, run=5)
    h.until(lambda: h.phase("job-train") == "Running", seconds=10)
    for name in ("r1-n0", "r1-n1", "r1-n2", "r1-n3"):
        assert node(h, name) == capped("MaxQ", 4000, "default/job-train")
    for pod in h.pods_of("train"):
        assert {key: pod["metadata"]["annotations"][key] for key in (PROFILE, CAP)} == {
            PROFILE: "MaxQ",
            CAP: "4000",
        }
    h.until(lambda: h.phase("job-train") == "Finished", seconds=30)
    h.settle()
    assert node(h, "r1-n0") == {}


def test_gangs_that_share_a_node_are_listed_and_the_last_takes_the_cap_away() -> None:
    h = site(rack_watts=30_000)
    h.job("long", slots=1, gpus=2, run=20, annotations={PROFILE: "MaxQ"})
    h.job("short", slots=1, gpus=2, run=5, annotations={PROFILE: "MaxQ"})
    h.advance(2)
    assert node(h, "r1-n0") == capped("MaxQ", 4000, "default/job-long", "default/job-short")
    h.until(lambda: h.phase("job-short") == "Finished", seconds=30)
    h.settle()
    assert node(h, "r1-n0") == capped("MaxQ", 4000, "default/job-long")
    h.until(lambda: h.phase("job-long") == "Finished", seconds=30)
    h.settle()
    assert node(h, "r1-n0") == {}


def test_however_many_gangs_came_and_went_what_the_last_leaves_is_removed_within_cap_seconds() -> None:
    h = site(settings=MachineSettings(cap_writes=2, cap_seconds=5.0))
    for i in range(8):
        h.job(f"short-{i}", slots=1, run=1)
        h.until(lambda name=f"job-short-{i}": h.phase(name) == "Finished", seconds=10)  # type: ignore[misc]
    assert node(h, "r1-n0") == capped("MaxP", 5000, "default/job-short-7")
    h.advance(5)
    assert node(h, "r1-n0") == {}


def test_a_slot_that_is_over_before_its_gang_frees_its_node_of_the_cap() -> None:
    h = site()
    h.job("tail", slots=2, completions=3, run=10)
    h.until(lambda: h.gang("job-tail").get("status", {}).get("releasedSlots") == "1", seconds=60)
    h.settle()
    assert node(h, "r1-n0") == capped("MaxP", 5000, "default/job-tail")
    assert node(h, "r1-n1") == {}


def test_a_gang_without_accelerators_caps_nothing() -> None:
    h = site()
    h.pod(
        "cpu-0",
        labels={QUEUE: "research", "rackplane.dev/gang": "cpu"},
        annotations={"rackplane.dev/gang-size": "1", RUN: "5"},
    )
    h.advance(2)
    [pod] = h.pods()
    assert pod["status"]["phase"] == "Running"
    assert CAP not in pod["metadata"]["annotations"]
    assert node(h, pod["spec"]["nodeName"]) == {}


def test_what_nobody_holds_is_removed_and_what_was_changed_is_written_again() -> None:
    h = site()
    h.patch("/api/v1/nodes/r1-n3", {"metadata": {"annotations": {**capped("MaxQ", 4000, "a/b"), "own": "1"}}})
    h.settle()
    assert h.get("", "nodes", "r1-n3", "")["metadata"]["annotations"] == {"own": "1"}
    h.job("train", slots=1, run=None)
    h.settle()
    h.patch("/api/v1/nodes/r1-n0", {"metadata": {"annotations": {CAP: None, PROFILE: "Mine"}}})
    h.settle()
    assert node(h, "r1-n0") == capped("MaxP", 5000, "default/job-train")


def test_a_changed_profile_changes_the_cap_of_what_runs_at_it() -> None:
    h = site()
    h.job("train", slots=1, run=None, annotations={PROFILE: "MaxQ"})
    h.settle()
    lower = [*PROFILES[:1], {**PROFILES[1], "nodeWatts": 3900}, *PROFILES[2:]]
    path = "/apis/rackplane.dev/v1alpha1/hardwareprofiles/small"
    h.patch(path, {"spec": {"powerProfiles": lower}})
    h.settle()
    assert node(h, "r1-n0") == capped("MaxQ", 3900, "default/job-train")
    h.patch(path, {"spec": {"powerProfiles": PROFILES[:1]}})
    h.settle()
    # As in the sums: a profile that is gone counts at maxWatts.
    assert node(h, "r1-n0") == capped("MaxQ", 5000, "default/job-train")


@pytest.mark.parametrize("answers_first", [True, False])
def test_a_node_is_written_once_for_every_change(answers_first: bool) -> None:
    h = site(answers_first=answers_first)
    versions: list[str] = []
    h.cluster.store.subscribe(
        lambda change: (
            versions.append(change.object["metadata"]["name"]) if change.resource == ("", "nodes") else None
        )
    )
    h.job("train", slots=4, run=5)
    h.until(lambda: h.phase("job-train") == "Finished", seconds=30)
    h.settle()
    assert sorted(versions) == sorted(["r1-n0", "r1-n1", "r1-n2", "r1-n3"] * 2)
    assert h.failures == []


def test_a_node_that_refuses_its_cap_holds_the_gang_and_says_so() -> None:
    h = site()
    policy = "nodes-are-read-only"
    meta = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": policy}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes"]}
    h.apply(
        {
            **meta,
            "kind": "ValidatingAdmissionPolicy",
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [
                    {"expression": f"request.userInfo.username != '{OPERATOR}'", "message": "hands off"}
                ],
            },
        },
        {
            **meta,
            "kind": "ValidatingAdmissionPolicyBinding",
            "spec": {"policyName": policy, "validationActions": ["Deny"]},
        },
    )
    h.job("train", slots=2, run=5)
    h.advance(20)
    assert h.phase("job-train") == "Admitted"
    assert all(pod["spec"]["schedulingGates"] for pod in h.pods_of("train"))
    told = [t for t in h.told if t.reason == "CapNotWritten"]
    assert [(t.kind, t.warning) for t in told] == [("Gang", True), ("Job", True)]
    assert told[0].message.startswith("node r1-n0 does not take its power cap, so no pod is let go: ")
    assert told[0].message.endswith("hands off")
    # 0.5, 1, 2, 4, 8 s: the pauses grow.
    assert len([f for f in h.failures if getattr(f.instruction, "name", "") == "r1-n0"]) == 6
    h.request("DELETE", f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/{policy}")
    h.until(lambda: h.phase("job-train") == "Finished", seconds=60)
    assert len(h.commits) == 1
