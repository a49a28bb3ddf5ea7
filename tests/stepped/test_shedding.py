"""A limit is exceeded while gangs run: who is capped, who is stopped, in what order, and how it is given back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rackplane.cli.losses import changes
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.offline.snapshot import machine_of
from rackplane.core.settings import MachineSettings, Shedding
from rackplane.core.shedding.terms import terms_of
from rackplane.engine.planning.drill import drill
from tests.support.branching import Kill, killed_at
from tests.support.harness import Harness, facility, started, thing

DISRUPTION = "rackplane.dev/disruption"
CHECKPOINT = "rackplane.dev/last-checkpoint"
CAP = "rackplane.dev/power-cap-watts"
OPERATOR = "system:serviceaccount:rackplane-system:rackplane"
PROFILES = [
    {"name": "MaxP", "nodeWatts": 5000, "relativePerformancePercent": 100},
    {"name": "MaxQ", "nodeWatts": 4000, "relativePerformancePercent": 85},
]
SETTINGS = MachineSettings(validate=True, restore_seconds=60.0)
POWER = "/apis/rackplane.dev/v1alpha1/powerdomains"


def site(*, b_watts: int = 40_000, settings: MachineSettings = SETTINGS, **options: Any) -> Harness:
    """Two racks on PDUs a and b, half each: 22 kW of 40 kW on either with both racks full, 44 kW if one is lost.

    A full rack is 2 kW of its own, 4 kW idle and 16 kW of its gang at MaxP, 12 kW at MaxQ.
    """
    made = facility(racks=2)
    next(o for o in made if o["kind"] == "HardwareProfile")["spec"]["powerProfiles"] = PROFILES
    for obj in made:
        if obj["kind"] == "PowerDomain" and obj["metadata"]["name"] == "b":
            obj["spec"]["ratedWatts"] = b_watts
    return started(made, settings=settings, **options)


def running(h: Harness, **jobs: str) -> None:
    """Gangs that fill a rack each, by name with their disruption class."""
    for name, disruption in jobs.items():
        h.job(name, slots=4, run=None, annotations={DISRUPTION: disruption})
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.advance(3)


def lose(h: Harness, name: str = "a") -> None:
    h.patch(f"{POWER}/{name}", {"spec": {"state": "Offline"}})


def regain(h: Harness, name: str = "a") -> None:
    h.patch(f"{POWER}/{name}", {"spec": {"state": "Online"}})


def caps(h: Harness, rack: str) -> set[str]:
    nodes = [h.get("", "nodes", f"{rack}-n{n}", "") for n in range(4)]
    return {node["metadata"]["annotations"].get(CAP, "") for node in nodes}


def over(h: Harness) -> list[str]:
    assert h.machine.state is not None
    return [v.row.label for v in h.machine.state.violations() if v.contingency.normal]


def job_failed(h: Harness) -> bool:
    jobs = h.cluster.store.items(("batch", "jobs"))
    return any(c["type"] == "Failed" for job in jobs for c in job.get("status", {}).get("conditions", ()))


def test_a_lost_feed_caps_the_sheddable_gang_and_its_return_lifts_the_cap_after_a_while() -> None:
    h = site()
    running(h, keep="Checkpointable", give="Sheddable")
    lose(h)
    h.settle()
    status = h.gang("job-give")["status"]
    rack = status["assignment"][0]["rack"]
    assert (status["phase"], status["powerProfile"], status["requestedPowerProfile"]) == (
        "Running",
        "MaxQ",
        "MaxP",
    )
    why = "power domain b carries 44 kW of 40 kW (4 kW over)"
    assert status["shed"] == {
        "action": "Cap",
        "since": status["shed"]["since"],
        "fromProfile": "MaxP",
        "why": why,
    }
    assert status["reservedNominalWatts"] == 12_000
    assert status["message"] == f"runs at MaxQ instead of MaxP: {why}"
    assert caps(h, rack) == {"4000"}
    assert over(h) == []
    assert h.gang("job-keep")["status"]["powerProfile"] == "MaxP"
    assert [(t.kind, t.reason) for t in h.told if t.reason == "PowerCapped"] == [
        ("Gang", "PowerCapped"),
        ("Job", "PowerCapped"),
    ]
    h.restart_machine()
    h.advance(120)  # nobody is uncapped while the feed is out
    assert h.gang("job-give")["status"]["powerProfile"] == "MaxQ"
    regain(h)
    h.advance(30)
    assert h.gang("job-give")["status"]["powerProfile"] == "MaxQ"
    h.advance(60)
    status = h.gang("job-give")["status"]
    assert (status["powerProfile"], status["reservedNominalWatts"], status.get("shed")) == (
        "MaxP",
        16_000,
        None,
    )
    assert caps(h, rack) == {"5000"}
    assert [t.reason for t in h.told if t.reason == "PowerRestored"] == ["PowerRestored", "PowerRestored"]
    assert [c["status"] for c in status["conditions"] if c["type"] == "PowerCapped"] == ["False"]


def test_a_capped_gang_whose_slots_are_all_over_has_no_cap_to_lift() -> None:
    h = site(b_watts=38_000)
    h.job("keep", slots=4, run=None, annotations={DISRUPTION: "Checkpointable"})
    h.job("give", slots=3, run=60, annotations={DISRUPTION: "Sheddable"})
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    node = h.gang("job-give")["status"]["assignment"][0]["nodes"][0]
    h.node_ready(node, False)
    h.advance(
        45
    )  # the slot is elsewhere, and the pod it had stays on its node: the Job is not complete before it is gone
    lose(h)
    h.until(lambda: h.gang("job-give")["status"].get("releasedSlots") == "0-2")
    assert h.gang("job-give")["status"]["shed"]["action"] == "Cap"
    regain(h)
    h.advance(90)
    assert h.phase("job-give") == "Running"
    h.node_ready(node, True)
    h.until(lambda: h.phase("job-give") == "Finished")


def test_where_caps_are_not_enough_the_sheddable_gang_is_stopped_and_queues_with_its_age() -> None:
    h = site(b_watts=30_000)
    running(h, keep="Checkpointable", give="Sheddable")
    submitted = h.gang("job-give")["status"]["submittedAt"]
    lose(h)
    h.advance(10)
    status = h.gang("job-give")["status"]
    assert (status["phase"], status["submittedAt"]) == ("Pending", submitted)
    assert [t.message for t in h.told if t.reason == "Shed"] == [
        "stopped: power domain b carries 44 kW of 30 kW (14 kW over)"
    ] * 2
    assert h.get("batch", "jobs", "give")["spec"]["suspend"] is True
    assert h.gang("job-keep")["status"]["powerProfile"] == "MaxP"
    assert over(h) == []
    assert not job_failed(h)
    regain(h)
    h.until(lambda: h.phase("job-give") == "Running")
    assert not job_failed(h)


def test_an_edit_that_is_taken_back_at_once_stops_nobody() -> None:
    h = site(b_watts=30_000)
    running(h, give="Sheddable", keep="Checkpointable")
    lose(h)
    h.settle()
    assert set(h.gangs().values()) == {"Running"}
    regain(h)
    h.advance(10)
    assert set(h.gangs().values()) == {"Running"}


@pytest.mark.parametrize("saves", [False, True])
def test_a_checkpointable_gang_is_stopped_at_its_checkpoint_or_when_the_emergency_rating_ends(
    saves: bool,
) -> None:
    h = site(b_watts=30_000)
    h.patch(f"{POWER}/b", {"spec": {"emergency": {"percent": 200, "seconds": 120}}})
    running(h, one="Checkpointable", two="Protected")
    lose(h)
    h.advance(5)
    status = h.gang("job-one")["status"]
    assert status["phase"] == "Running"
    assert (status["shed"]["action"], "deadline" in status["shed"]) == ("Stop", True)
    assert [t.kind for t in h.told if t.reason == "CheckpointNow"] == ["Gang", "Job"]
    h.advance(60)
    assert h.phase("job-one") == "Running"
    if saves:
        h.patch(
            "/apis/batch/v1/namespaces/default/jobs/one",
            {"metadata": {"annotations": {CHECKPOINT: timestamp(h.time.now)}}},
        )
        h.advance(3)
        assert h.phase("job-one") == "Pending"
    h.advance(60)
    assert h.phase("job-one") == "Pending"
    assert h.phase("job-two") == "Running"


@pytest.mark.parametrize(("percent", "phase"), [(150, "Running"), (120, "Pending")])
def test_an_emergency_rating_is_of_what_the_modules_give_where_that_is_less(percent: int, phase: str) -> None:
    h = site(b_watts=100_000)
    modules = {"installed": 3, "needed": 3, "moduleWatts": 10_000}
    h.patch(
        f"{POWER}/b", {"spec": {"emergency": {"percent": percent, "seconds": 120}, "redundancy": modules}}
    )
    running(h, one="Checkpointable", two="Protected")
    lose(h)
    h.advance(5)
    # 44 kW of 30 kW; either percentage of the 100 kW that its frame is rated at would be more.
    assert h.phase("job-one") == phase


def test_a_stop_that_was_announced_is_called_off_when_the_feed_returns() -> None:
    h = site(b_watts=30_000)
    h.patch(f"{POWER}/b", {"spec": {"emergency": {"percent": 200, "seconds": 120}}})
    running(h, one="Checkpointable", two="Protected")
    lose(h)
    h.advance(20)
    regain(h)
    h.advance(200)
    status = h.gang("job-one")["status"]
    assert (status["phase"], status.get("shed")) == ("Running", None)
    assert [t.kind for t in h.told if t.reason == "StopCalledOff"] == ["Gang", "Job"]


def emergency(h: Harness) -> None:
    h.patch(f"{POWER}/b", {"spec": {"emergency": {"percent": 200, "seconds": 120}}})


def overloaded_since(h: Harness) -> str | None:
    found: str | None = h.get("rackplane.dev", "powerdomains", "b", "")["status"].get("overloadedSince")
    return found


def test_a_successor_gives_an_overloaded_element_no_more_seconds_than_it_had() -> None:
    h = site()
    emergency(h)
    running(h, one="Checkpointable", two="Protected")
    deny_nodes(h)
    lose(h)
    began = h.time.now
    h.advance(3)  # the cap is written, and no node takes it
    assert overloaded_since(h) == timestamp(began)
    h.time.now += 60  # nobody leads
    h.restart_machine()
    h.advance(20)
    shed = h.gang("job-one")["status"]["shed"]
    assert (shed["action"], shed["deadline"]) == ("Stop", timestamp(began + 120 - 10))
    h.until(lambda: h.phase("job-one") != "Running", seconds=60)
    assert h.time.now <= began + 120
    h.advance(20)
    assert overloaded_since(h) is None


def test_an_overload_that_a_successor_does_not_find_is_over_and_the_next_one_is_another() -> None:
    h = site(settings=replace(SETTINGS, shedding=Shedding.OFF))
    running(h, one="Checkpointable", two="Protected")
    h.patch(f"{POWER}/b/status", {"status": {"overloadedSince": timestamp(h.time.now - 900)}})
    h.restart_machine()
    lose(h)
    began = h.time.now
    h.advance(60, step=10)
    assert overloaded_since(h) == timestamp(began)
    regain(h)
    h.advance(5)
    assert overloaded_since(h) is None


def test_an_order_that_cannot_be_met_takes_no_emergency_seconds_from_others() -> None:
    h = site(b_watts=30_000)
    emergency(h)
    running(h, one="Checkpointable", two="Protected")
    h.apply(thing("PowerBudget", "order", targets={"powerDomains": ["row"]}, limitWatts=1, bestEffort=True))
    h.advance(300)
    lose(h)
    began = h.time.now
    h.advance(20)
    status = h.gang("job-one")["status"]
    assert (status["phase"], status["shed"]["deadline"]) == ("Running", timestamp(began + 120 - 10))


def test_protected_gangs_go_on_and_give_way_only_where_the_operator_was_told_so() -> None:
    h = site(b_watts=30_000)
    running(h, one="Protected", two="Protected")
    lose(h)
    h.advance(10)
    assert [h.gang(f"job-{n}")["status"]["powerProfile"] for n in ("one", "two")] == ["MaxP", "MaxP"]
    assert over(h) != []
    told = site(b_watts=40_000, settings=replace(SETTINGS, shed_protected=True))
    running(told, one="Protected", two="Protected")
    lose(told)
    told.advance(10)
    assert sorted(told.gang(f"job-{n}")["status"]["powerProfile"] for n in ("one", "two")) == ["MaxP", "MaxQ"]


def test_a_cap_that_no_node_takes_counts_as_not_done_and_the_gang_is_stopped() -> None:
    h = site()
    running(h, keep="Checkpointable", give="Sheddable")
    deny_nodes(h)
    lose(h)
    h.advance(5)
    assert h.gang("job-give")["status"]["powerProfile"] == "MaxQ"
    assert over(h) != []
    h.advance(30)
    assert [t.kind for t in h.told if t.reason == "Shed"] == ["Gang", "Job"]
    assert over(h) == []
    # It may come back at the lower profile, and waits for the cap before a pod is let go.
    assert all(pod["spec"].get("schedulingGates") for pod in h.pods_of("give"))


def test_a_mistake_in_a_file_stops_and_caps_nobody() -> None:
    h = site()
    running(h, keep="Checkpointable", give="Sheddable")
    h.patch(f"{POWER}/b", {"spec": {"parents": [{"powerDomain": "nowhere", "weight": 1}]}})
    h.request("DELETE", "/apis/rackplane.dev/v1alpha1/hardwareprofiles/small")
    h.advance(30)
    assert {h.gang(name)["status"]["powerProfile"] for name in h.gangs()} == {"MaxP"}
    assert set(h.gangs().values()) == {"Running"}


def deny_nodes(h: Harness) -> None:
    """Nobody lets the operator write to nodes."""
    policy = "nodes-are-read-only"
    meta = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": policy}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes"]}
    validation = {"expression": f"request.userInfo.username != '{OPERATOR}'", "message": "hands off"}
    h.apply(
        {
            **meta,
            "kind": "ValidatingAdmissionPolicy",
            "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]},
        },
        {
            **meta,
            "kind": "ValidatingAdmissionPolicyBinding",
            "spec": {"policyName": policy, "validationActions": ["Deny"]},
        },
    )


@pytest.mark.parametrize(("best_effort", "phases"), [(True, {"Running"}), (False, {"Running", "Pending"})])
def test_an_order_of_best_effort_caps_and_stops_nobody(best_effort: bool, phases: set[str]) -> None:
    h = site()
    running(h, keep="Checkpointable", give="Sheddable")
    order = thing(
        "PowerBudget", "order", targets={"powerDomains": ["row"]}, limitWatts=30_000, bestEffort=best_effort
    )
    h.apply(order)
    h.advance(10)
    assert set(h.gangs().values()) == phases
    assert {h.gang(name)["status"].get("powerProfile") for name in h.gangs()} == (
        {"MaxQ"} if best_effort else {"MaxP", None}
    )


def test_the_operator_that_only_caps_and_the_one_that_only_shows() -> None:
    for shedding, profiles in ((Shedding.CAP, {"MaxQ"}), (Shedding.OFF, {"MaxP"})):
        h = site(b_watts=30_000, settings=replace(SETTINGS, shedding=shedding))
        running(h, keep="Checkpointable", give="Sheddable")
        lose(h)
        h.advance(30)
        assert set(h.gangs().values()) == {"Running"}
        assert {h.gang(name)["status"]["powerProfile"] for name in h.gangs()} == profiles


def test_caps_are_lifted_no_faster_than_the_ramp_and_the_highest_priority_first() -> None:
    h = site(b_watts=36_000, settings=replace(SETTINGS, ramp_watts_per_second=100.0))
    h.job("low", slots=4, run=None)
    h.job("high", slots=4, run=None, annotations={"rackplane.dev/priority": "5"})
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    lose(h)
    h.advance(5)
    assert {h.gang(name)["status"]["powerProfile"] for name in h.gangs()} == {"MaxQ"}
    regain(h)
    lifted: list[tuple[str, float]] = []
    began = h.time.now
    for _ in range(200):
        h.advance(1)
        for name in ("job-high", "job-low"):
            if h.gang(name)["status"]["powerProfile"] == "MaxP" and name not in [n for n, _ in lifted]:
                lifted.append((name, h.time.now - began))
    assert [name for name, _ in lifted] == ["job-high", "job-low"]
    # 4 kW each at 100 W a second.
    assert lifted[0][1] >= 60
    assert lifted[1][1] - lifted[0][1] >= 40


def test_killed_at_any_write_the_successor_ends_where_it_would_have() -> None:
    def run(kill: Kill) -> Harness:
        h = site(b_watts=36_000, kill=kill)
        running(h, keep="Checkpointable", give="Sheddable")
        lose(h)
        h.advance(20)
        assert over(h) == []
        regain(h)
        h.advance(150, step=5)
        assert h.gangs() == {"job-keep": "Running", "job-give": "Running"}
        assert (caps(h, "r1"), caps(h, "r2")) == ({"5000"}, {"5000"})
        assert not job_failed(h)
        return h

    third = {"before": 1, "after": 3}
    assert killed_at(lambda number, moment: number % 7 == third[moment], run) > 10


@pytest.mark.parametrize(
    ("b_watts", "jobs"),
    [
        (40_000, {"keep": "Checkpointable", "give": "Sheddable"}),
        (37_000, {"keep": "Checkpointable", "give": "Sheddable"}),
        (30_000, {"keep": "Checkpointable", "give": "Sheddable"}),
        (30_000, {"one": "Sheddable", "two": "Sheddable"}),
        (30_000, {"keep": "Protected", "give": "Checkpointable"}),
    ],
)
def test_a_drill_names_what_is_then_done_and_changes_nothing(b_watts: int, jobs: dict[str, str]) -> None:
    h = site(b_watts=b_watts)
    running(h, **jobs)
    before = h.cluster.store.revision
    reader = machine_of(h.listed(), h.time.now)
    assert reader.state is not None
    records = [r for r in reader.gangs.values() if r.decision is not None]
    terms = {booking_key(r.key): terms_of(reader.world, r) for r in records}
    plan = drill(reader.state, changes(reader, ["powerdomain/a"], online=False), terms).plan
    said = {measure.gang: "stop" if measure.stops else measure.profile for measure in plan.measures}
    assert said
    assert h.cluster.store.revision == before
    lose(h)
    h.advance(10)
    done = {
        f"default/{name}": "stop" if phase != "Running" else h.gang(name)["status"]["powerProfile"]
        for name, phase in h.gangs().items()
        if phase != "Running" or "shed" in h.gang(name)["status"]
    }
    assert done == said
    assert over(h) == []
