"""The catalog of facility objects: what the engine is told, who claims a node, and what is said to be wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rackplane.api.cooling_zone import CoolingMedium, CoolingZoneSpec, DeratingPoint
from rackplane.core.facility import LEVELS, Catalog
from rackplane.core.objects import Condition, Metadata, Node, NodeStatus
from rackplane.core.translation import derating_percent
from rackplane.engine.facility import Facility, compile_facility
from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    CoolingUnit,
    DomainSpec,
    FacilitySpec,
    Feed,
    Medium,
    Modules,
    NodeSpec,
    NodeType,
    NvlinkScope,
    PowerCap,
    PowerSpec,
    Problem,
    RackSpec,
    Role,
)

NOW = 1_800_000_000.0

PROFILE: dict[str, Any] = {
    "gpuModel": "NVIDIA GB300",
    "gpusPerNode": 4,
    "nvlinkScope": "Label",
    "idleWatts": 1000,
    "maxWatts": 6600,
    "peakPercent": 108,
    "liquidHeatPercent": 87,
    "powerProfiles": [{"name": "MaxQ", "nodeWatts": 4800, "relativePerformancePercent": 80}],
}
POWER: dict[str, Any] = {"type": "UPS", "ratedWatts": 500_000}
ZONE: dict[str, Any] = {
    "medium": "Liquid",
    "units": [{"name": "cdu-1", "capacityWatts": 400_000}],
    "neededUnits": 1,
}


def rack(name: str, **changes: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "location": {"site": "s1", "hall": "h1"},
        "profile": "gb300",
        "nodeSelector": {"rack": name},
        "overheadWatts": 13_200,
        "limitWatts": 142_000,
        "feeds": [{"powerDomain": "ups", "weight": 1}],
        "cooling": {"liquid": "cdu"},
    }
    return {key: value for key, value in {**spec, **changes}.items() if value is not None}


def put(catalog: Catalog, kind: str, name: str, spec: object, **rest: Any) -> bool:
    return catalog.put(kind, name, {"metadata": {"name": name, "generation": 1}, "spec": spec, **rest})


def facility_of_two_racks() -> Catalog:
    catalog = Catalog()
    put(catalog, "HardwareProfile", "gb300", PROFILE)
    put(catalog, "PowerDomain", "ups", POWER)
    put(catalog, "CoolingZone", "cdu", ZONE)
    put(catalog, "Rack", "r1", rack("r1"))
    put(catalog, "Rack", "r2", rack("r2"))
    return catalog


def compiled(catalog: Catalog, now: float = NOW) -> Facility:
    return compile_facility(catalog.spec(now))


def node(name: str, *, gpus: str = "4", ready: str = "True", **labels: str) -> Node:
    return Node(
        Metadata(name=name, labels={key.replace("__", "."): value for key, value in labels.items()}),
        status=NodeStatus(
            allocatable={"nvidia.com/gpu": gpus, "cpu": "64"},
            conditions=[Condition(type="Ready", status=ready)],
        ),
    )


def labelled(name: str, labels: dict[str, str]) -> Node:
    return Node(
        Metadata(name=name, labels=labels),
        status=NodeStatus(conditions=[Condition(type="Ready", status="True")]),
    )


NODE_TYPE = NodeType(
    name="gb300",
    resource="nvidia.com/gpu",
    gpus_per_node=4,
    idle_watts=1000,
    max_watts=6600,
    peak_percent=108,
    liquid_heat_percent=87,
    nvlink_scope=NvlinkScope.LABEL,
    caps=(PowerCap("MaxP", 6600, 100), PowerCap("MaxQ", 4800, 80)),
)


def rack_spec(name: str) -> RackSpec:
    return RackSpec(name, "gb300", 13_200, 142_000, (Feed("ups"),), liquid="cdu")


class TestSpec:
    def test_the_whole_facility(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "NVLinkDomain", "nvl-1", {"racks": ["r1"], "spareNodes": 1})
        assert catalog.spec(NOW) == FacilitySpec(
            node_types=(NODE_TYPE,),
            racks=(rack_spec("r1"), rack_spec("r2")),
            powers=(PowerSpec("ups", 500_000),),
            coolings=(CoolingSpec("cdu", Medium.LIQUID, (CoolingUnit("cdu-1", 400_000),)),),
            domains=(DomainSpec("nvl-1", spare_nodes=1),),
            levels=LEVELS,
        )
        assert catalog.problems(compiled(catalog)) == {}

    def test_every_field(self) -> None:
        catalog = Catalog()
        put(
            catalog,
            "PowerDomain",
            "pdu",
            {
                "type": "PDU",
                "ratedWatts": 900,
                "continuousPercent": 80,
                "peakLimitWatts": 950,
                "baseLoadWatts": 10,
                "efficiencyBasisPoints": 9650,
                "parents": [
                    {"powerDomain": "a", "weight": 2},
                    {"powerDomain": "b", "weight": 1, "role": "Standby"},
                ],
                "feedTag": "main-a",
                "survivable": True,
                "redundancy": {"installed": 4, "needed": 3, "moduleWatts": 300, "online": 2},
                "state": "Maintenance",
            },
        )
        put(
            catalog,
            "CoolingZone",
            "air",
            {
                "medium": "Air",
                "units": [
                    {
                        "name": "u1",
                        "capacityWatts": 100,
                        "drawWatts": 5,
                        "feeds": [{"powerDomain": "pdu", "weight": 3}],
                        "state": "Offline",
                    }
                ],
                "neededUnits": 1,
                "supplyCelsius": 35,
                "deratingCurve": [
                    {"supplyCelsius": 30, "percent": 100},
                    {"supplyCelsius": 40, "percent": 50},
                ],
                "parents": ["chillers"],
            },
        )
        put(
            catalog,
            "Rack",
            "r",
            rack(
                "r",
                feeds=[{"powerDomain": "pdu", "weight": 1, "limitWatts": 66_000}],
                cooling={"liquid": "l", "air": "air"},
                state="Draining",
            ),
        )
        put(catalog, "NVLinkDomain", "d", {"clique": "c", "state": "Maintenance"})
        assert catalog.spec(NOW) == FacilitySpec(
            racks=(
                RackSpec(
                    "r",
                    "gb300",
                    13_200,
                    142_000,
                    (Feed("pdu", 1, Role.ACTIVE, 66_000),),
                    liquid="l",
                    air="air",
                    schedulable=False,
                ),
            ),
            powers=(
                PowerSpec(
                    "pdu",
                    900,
                    continuous_percent=80,
                    peak_limit_watts=950,
                    base_load_watts=10,
                    efficiency_basis_points=9650,
                    parents=(Feed("a", 2), Feed("b", 1, Role.STANDBY)),
                    feed_tag="main-a",
                    survivable=True,
                    modules=Modules(4, 3, 300, 2),
                    online=False,
                ),
            ),
            coolings=(
                CoolingSpec(
                    "air",
                    Medium.AIR,
                    (CoolingUnit("u1", 100, 5, (Feed("pdu", 3),), online=False),),
                    derating_percent=75,
                    parents=("chillers",),
                ),
            ),
            domains=(DomainSpec("d", schedulable=False),),
            levels=LEVELS,
        )

    @pytest.mark.parametrize(
        ("supply", "percent"), [(10, 90), (20, 90), (25, 75), (30, 60), (31, 0), (None, 60)]
    )
    def test_derating(self, supply: int | None, percent: int) -> None:
        curve = (
            DeratingPoint(supply_celsius=30, percent=60),
            DeratingPoint(supply_celsius=20, percent=90),
        )
        # The rules refuse a curve without a temperature; the model is made without them.
        spec = CoolingZoneSpec.model_construct(
            medium=CoolingMedium.AIR, units=(), needed_units=1, supply_celsius=supply, derating_curve=curve
        )
        assert derating_percent(spec) == percent

    def test_no_curve_is_full_capacity(self) -> None:
        spec = CoolingZoneSpec.model_construct(
            medium=CoolingMedium.AIR, units=(), needed_units=1, supply_celsius=45, derating_curve=()
        )
        assert derating_percent(spec) == 100


class TestPut:
    def test_only_spec_and_validity_count_as_changes(self) -> None:
        catalog = Catalog()
        assert put(catalog, "PowerDomain", "ups", POWER) is True
        assert put(catalog, "PowerDomain", "ups", POWER, status={"usableWatts": 5}) is False
        assert put(catalog, "PowerDomain", "ups", {**POWER, "baseLoadWatts": 0}) is False
        assert put(catalog, "PowerDomain", "ups", {**POWER, "ratedWatts": 1}) is True
        assert put(catalog, "PowerDomain", "ups", {**POWER, "ratedWatts": -1}) is True
        assert put(catalog, "PowerDomain", "ups", {**POWER, "ratedWatts": -1}, status={"x": 1}) is False
        assert put(catalog, "PowerDomain", "ups", POWER) is True
        assert catalog.drop("PowerDomain", "ups") is True
        assert catalog.drop("PowerDomain", "ups") is False

    def test_the_callers_object_may_change_afterwards(self) -> None:
        catalog = Catalog()
        body = {"metadata": {"name": "ups"}, "spec": {**POWER, "ratedWatts": -1}}
        catalog.put("PowerDomain", "ups", body)
        body["spec"]["ratedWatts"] = -2
        assert catalog.put("PowerDomain", "ups", body) is True

    def test_generation(self) -> None:
        catalog = Catalog()
        put(catalog, "PowerDomain", "ups", POWER)
        assert catalog.put("PowerDomain", "ups", {"metadata": {"generation": 7}, "spec": POWER}) is False
        assert catalog.generation("PowerDomain", "ups") == 7
        assert catalog.generation("PowerDomain", "other") == 0
        assert catalog.objects() == [("PowerDomain", "ups")]

    def test_a_gang_is_no_part_of_the_facility(self) -> None:
        with pytest.raises(KeyError):
            put(Catalog(), "Gang", "g", {})

    @pytest.mark.parametrize(
        "body", [{}, {"spec": None}, {"spec": []}, {"spec": {"feeds": 3}}, {"metadata": 3}]
    )
    @pytest.mark.parametrize("kind", ["Rack", "PowerDomain", "PowerBudget", "NVLinkDomain", "CoolingZone"])
    def test_no_content_raises(self, kind: str, body: dict[str, Any]) -> None:
        catalog = facility_of_two_racks()
        catalog.put(kind, "bad", body)
        assert catalog.node_spec(node("n1", rack="r1")) is not None
        assert catalog.problems(compiled(catalog))[kind, "bad"]


class TestQueues:
    def test_valid_ones_by_name(self) -> None:
        catalog = Catalog()
        put(catalog, "Queue", "b", {"quota": {"gpus": 8}})
        put(catalog, "Queue", "a", {})
        put(catalog, "Queue", "c", {"weight": 0})
        assert list(catalog.queues()) == ["a", "b"]
        queue = catalog.queue("b")
        assert queue is not None and queue.spec.quota.gpus == 8
        assert catalog.queue("c") is None and catalog.queue("none") is None

    def test_ancestors_that_are_not_known(self) -> None:
        catalog = Catalog()
        put(catalog, "Queue", "a", {"parent": "b"})
        put(catalog, "Queue", "b", {"parent": "a"})
        put(catalog, "Queue", "c", {"parent": "nobody"})
        put(catalog, "Queue", "d", {"parent": "bad"})
        put(catalog, "Queue", "bad", {"weight": "x"})
        found = catalog.problems(compiled(catalog))
        assert {key: [p.message for p in problems] for key, problems in found.items()} == {
            ("Queue", "a"): ["a is its own ancestor (a cycle)"],
            ("Queue", "b"): ["b is its own ancestor (a cycle)"],
            ("Queue", "bad"): ['spec.weight is "x", not a whole number'],
            ("Queue", "c"): ["queue nobody does not exist"],
            ("Queue", "d"): ["queue bad is not usable"],
        }


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def budget(**changes: Any) -> Catalog:
    catalog = facility_of_two_racks()
    put(
        catalog,
        "PowerBudget",
        "pb",
        {"targets": {"powerDomains": ["ups"], "feedTags": ["a"]}, "limitWatts": 9, **changes},
    )
    return catalog


EVENING = {"days": ["Mon", "Fri"], "from": "17:00", "to": "21:00", "timeZone": "America/Chicago"}


class TestBudgets:
    def test_without_a_time_it_holds_always(self) -> None:
        catalog = budget()
        assert catalog.spec(0).budgets == (BudgetSpec("pb", ("ups",), ("a",), 9),)
        assert catalog.next_change(0) is None

    def test_interval(self) -> None:
        catalog = budget(interval={"start": "2026-11-21T10:00:00Z", "end": "2026-11-21T12:00:00+01:00"})
        start, end = at("2026-11-21T10:00"), at("2026-11-21T11:00")
        moments = [start - 1, start, end - 1, end]
        assert [bool(catalog.spec(t).budgets) for t in moments] == [False, True, True, False]
        assert [catalog.in_force("pb", t) for t in moments] == [False, True, True, False]
        assert [catalog.next_change(t) for t in moments] == [start, end, end, None]

    @pytest.mark.parametrize(
        ("local", "holds", "change"),
        [
            ("2026-11-20T16:59", False, "2026-11-20T17:00"),  # a Friday
            ("2026-11-20T17:00", True, "2026-11-20T21:00"),
            ("2026-11-20T21:00", False, "2026-11-23T17:00"),
            ("2026-11-22T18:00", False, "2026-11-23T17:00"),
            ("2026-11-23T20:59", True, "2026-11-23T21:00"),
        ],
    )
    def test_schedule(self, local: str, holds: bool, change: str) -> None:
        catalog = budget(schedule=[EVENING])
        now = at(local, "America/Chicago")
        assert catalog.in_force("pb", now) is holds
        assert catalog.next_change(now) == at(change, "America/Chicago")

    def test_a_window_over_midnight_belongs_to_the_day_it_starts_on(self) -> None:
        catalog = budget(schedule=[{"days": ["Fri"], "from": "22:00", "to": "06:00"}])
        assert catalog.in_force("pb", at("2026-11-21T05:59"))
        assert not catalog.in_force("pb", at("2026-11-20T05:59"))
        assert catalog.next_change(at("2026-11-20T23:00")) == at("2026-11-21T06:00")

    def test_windows_that_meet_are_one(self) -> None:
        catalog = budget(
            schedule=[
                {"days": ["Fri"], "from": "22:00", "to": "24:00"},
                {"days": ["Sat"], "from": "00:00", "to": "06:00"},
            ]
        )
        assert catalog.next_change(at("2026-11-20T23:00")) == at("2026-11-21T06:00")

    def test_all_week_long_never_changes(self) -> None:
        catalog = budget(schedule=[{"from": "00:00", "to": "24:00"}])
        assert catalog.in_force("pb", NOW)
        assert catalog.next_change(NOW) is None

    def test_clock_changes_count_for_the_window(self) -> None:
        # In Chicago 01:00 to 02:00 comes twice on 1 November 2026, and 02:00 to 03:00 not at all on 8 March.
        catalog = budget(schedule=[{"from": "01:00", "to": "01:30", "timeZone": "America/Chicago"}])
        assert catalog.next_change(at("2026-11-01T06:00")) == at("2026-11-01T07:30")
        catalog = budget(schedule=[{"from": "02:15", "to": "02:30", "timeZone": "America/Chicago"}])
        assert catalog.in_force("pb", at("2026-03-08T08:15"))

    def test_the_first_of_several_changes(self) -> None:
        catalog = budget(schedule=[EVENING])
        put(
            catalog,
            "PowerBudget",
            "order",
            {
                "targets": {"queues": ["q"]},
                "limitWatts": 1,
                "interval": {"start": "2026-11-20T10:00:00Z", "end": "2026-11-22T00:00:00Z"},
            },
        )
        assert catalog.next_change(at("2026-11-21T12:00")) == at("2026-11-22T00:00")

    def test_queues_and_namespaces(self) -> None:
        catalog = budget()
        put(
            catalog,
            "PowerBudget",
            "team",
            {"targets": {"queues": ["q"], "namespaces": ["n"]}, "limitWatts": 7, "schedule": [EVENING]},
        )
        put(catalog, "Queue", "q", {})
        noon, evening = at("2026-11-20T12:00", "America/Chicago"), at("2026-11-20T18:00", "America/Chicago")
        assert catalog.group_budgets(noon) == []
        assert catalog.group_budgets(evening) == [("team", ("q",), ("n",), 7)]
        assert [b.name for b in catalog.spec(evening).budgets] == ["pb"]

    def test_an_unknown_time_zone_makes_it_hold_always(self) -> None:
        catalog = budget(
            targets={"powerDomains": ["ups"]},
            schedule=[{"from": "01:00", "to": "02:00", "timeZone": "Mars/Base"}],
        )
        assert catalog.in_force("pb", NOW) and catalog.next_change(NOW) is None
        assert catalog.problems(compiled(catalog)) == {
            ("PowerBudget", "pb"): [
                Problem(
                    "PowerBudget",
                    "pb",
                    "spec.schedule[0].timeZone",
                    "time zone Mars/Base is not known, so the budget is in force at all times",
                    "write an IANA time zone such as America/Chicago",
                )
            ]
        }

    def test_what_cannot_be_added_up_is_nothing(self) -> None:
        catalog = budget(targets={"powerDomains": ["ups"], "queues": ["q"]})
        put(catalog, "Queue", "q", {})
        assert catalog.spec(NOW).budgets == (BudgetSpec("pb", ("ups",), (), 0),)
        assert catalog.group_budgets(NOW) == [("pb", ("q",), (), 0)]
        [problem] = catalog.problems(compiled(catalog))["PowerBudget", "pb"]
        assert problem.field == "spec.targets"

    def test_one_that_does_not_decode_bounds_its_targets_by_nothing(self) -> None:
        catalog = budget(limitWatts=-1, targets={"powerDomains": ["ups"], "queues": ["q", 3]})
        assert catalog.spec(NOW).budgets == (BudgetSpec("pb", ("ups",), (), 0),)
        assert catalog.group_budgets(NOW) == [("pb", ("q",), (), 0)]
        assert catalog.in_force("pb", NOW)

    def test_one_without_readable_targets_bounds_everything_by_nothing(self) -> None:
        catalog = budget(targets={"powerDomain": ["ups"]})
        assert catalog.spec(NOW).budgets == (BudgetSpec("pb", ("ups",), (), 0),)

    def test_a_queue_that_does_not_exist(self) -> None:
        catalog = budget(targets={"queues": ["nobody"]})
        assert catalog.problems(compiled(catalog)) == {
            ("PowerBudget", "pb"): [
                Problem(
                    "PowerBudget",
                    "pb",
                    "spec.targets.queues",
                    "queue nobody does not exist",
                    "create Queue nobody or correct the name",
                )
            ]
        }


PLACE = (("hall", "h1"), ("site", "s1"))
CLIQUE = "nvidia.com/gpu.clique"


class TestNodes:
    def test_rack_and_clique(self) -> None:
        catalog = facility_of_two_racks()
        found = catalog.node_spec(labelled("n1", {"rack": "r1", CLIQUE: "c.1"}))
        assert found == NodeSpec("n1", "r1", "c.1", PLACE, healthy=True)

    def test_a_node_that_is_not_ready_is_not_healthy(self) -> None:
        catalog = facility_of_two_racks()
        found = catalog.node_spec(node("n1", ready="Unknown", rack="r1"))
        assert found == NodeSpec("n1", "r1", "n1", PLACE, healthy=False)

    @pytest.mark.parametrize("scope", ["Node", "None", "Object", "Label"])
    def test_without_a_label_or_an_object_the_node_is_its_own_domain(self, scope: str) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "HardwareProfile", "gb300", {**PROFILE, "nvlinkScope": scope})
        assert catalog.node_spec(labelled("n1", {"rack": "r1"})) == NodeSpec("n1", "r1", "n1", PLACE)
        other = catalog.node_spec(labelled("n2", {"rack": "r1", CLIQUE: "c"}))
        assert other == NodeSpec("n2", "r1", "c" if scope == "Label" else "n2", PLACE)

    @pytest.mark.parametrize(
        "spec", [{"clique": "c"}, {"nodeSelector": {"nvl": "x"}}, {"racks": ["r1", "r9"]}]
    )
    def test_an_object_comes_first(self, spec: dict[str, Any]) -> None:
        catalog = facility_of_two_racks()
        path = [{"level": "leaf", "name": "su-1"}, {"level": "hall", "name": "h9"}]
        put(catalog, "NVLinkDomain", "d1", {**spec, "fabricPath": path})
        labels = {"rack": "r1", CLIQUE: "c", "nvl": "x", "network.topology.nvidia.com/leaf": "ignored"}
        found = catalog.node_spec(labelled("n1", labels))
        assert found == NodeSpec("n1", "r1", "d1", (("leaf", "su-1"), ("hall", "h9"), ("site", "s1")))
        elsewhere = catalog.node_spec(labelled("n2", {"rack": "r2", CLIQUE: "other"}))
        assert elsewhere == NodeSpec("n2", "r2", "other", PLACE)

    def test_fabric_by_node_labels(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "Rack", "r1", rack("r1", location=None))
        labels = {
            "rack": "r1",
            "network.topology.nvidia.com/leaf": "l1",
            "network.topology.nvidia.com/spine": "s1",
            "network.topology.nvidia.com/core": "not a level of ours",
        }
        found = catalog.node_spec(labelled("n1", labels))
        assert found == NodeSpec("n1", "r1", "n1", (("leaf", "l1"), ("spine", "s1")))

    def test_every_pair_of_a_selector_counts(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "Rack", "r1", rack("r1", nodeSelector={"hall": "h1", "rack": "1"}))
        put(catalog, "Rack", "r2", rack("r2", nodeSelector={"hall": "h2", "rack": "1"}))
        assert catalog.node_spec(labelled("n1", {"hall": "h2", "rack": "1"})) == NodeSpec(
            "n1", "r2", "n1", PLACE
        )
        assert catalog.node_spec(labelled("n2", {"rack": "1"})) is None

    def test_a_clique_called_as_an_object_does_not_join_it(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "NVLinkDomain", "d1", {"racks": ["r1"]})
        found = catalog.node_spec(labelled("n2", {"rack": "r2", CLIQUE: "d1"}))
        assert found == NodeSpec("n2", "r2", "n2", PLACE)

    def test_changes_are_seen(self) -> None:
        catalog = facility_of_two_racks()
        n1 = labelled("n1", {"rack": "r3"})
        assert catalog.node_spec(n1) is None
        put(catalog, "Rack", "r3", rack("r3"))
        assert catalog.node_spec(n1) == NodeSpec("n1", "r3", "n1", PLACE)
        catalog.drop("Rack", "r3")
        assert catalog.node_spec(n1) is None


def claimed(name: str, other: str) -> Problem:
    return Problem(
        "Rack",
        name,
        "spec.nodeSelector",
        f"node n1 is also claimed by Rack {other}, so it belongs to neither and nothing is placed on it",
        f"make spec.nodeSelector of {name} and {other} disjoint, so that every node matches one rack",
    )


class TestBadInput:
    """The issue's list, each with the whole of what is said; and that it never adds capacity."""

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"ratedWatts": -5}, "spec.ratedWatts is -5, too small"),
            ({"ratedWatts": None}, "spec.ratedWatts is missing"),
        ],
    )
    def test_negative_or_missing_rating(self, change: dict[str, Any], message: str) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "PowerDomain", "ups", {**POWER, **change})
        facility = compiled(catalog)
        assert catalog.spec(NOW).powers == ()
        assert set(facility.unusable) == {"r1", "r2"}
        remedy = "Write a whole number from 1 to 100000000000. It means: Watts the element may deliver at its output."
        by_rack = {
            ("Rack", name): [
                Problem(
                    "Rack", name, "spec.feeds", "power domain ups is not usable", "correct PowerDomain ups"
                )
            ]
            for name in ("r1", "r2")
        }
        assert catalog.problems(facility) == {
            ("PowerDomain", "ups"): [Problem("PowerDomain", "ups", "spec.ratedWatts", message, remedy)],
            **by_rack,
        }

    def test_feeds_without_weight(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "Rack", "r1", rack("r1", feeds=[{"powerDomain": "ups"}]))
        assert catalog.spec(NOW).racks == (rack_spec("r2"),)
        assert catalog.node_spec(node("n1", rack="r1")) is None
        assert catalog.unclaimed == frozenset()  # it has a rack, which is to be corrected
        found = catalog.problems(compiled(catalog))
        assert set(found) == {("Rack", "r1")}
        assert found["Rack", "r1"][0].field == "spec.feeds[0].weight"
        assert found["Rack", "r1"][0].message == "spec.feeds[0].weight is missing"
        assert found["Rack", "r1"][0].remedy.startswith("Write a whole number from 1 to 1000000.")

    def test_a_cycle(self) -> None:
        catalog = facility_of_two_racks()
        for name, parent in (("ups", "b"), ("b", "ups")):
            spec = {**POWER, "parents": [{"powerDomain": parent, "weight": 1}]}
            put(catalog, "PowerDomain", name, spec)
        facility = compiled(catalog)
        found = catalog.problems(facility)
        assert set(facility.unusable) == {"r1", "r2"}
        assert set(found) == {("PowerDomain", "b"), ("PowerDomain", "ups"), ("Rack", "r1"), ("Rack", "r2")}
        assert found["PowerDomain", "b"] == [
            Problem(
                "PowerDomain",
                "b",
                "spec.parents",
                "b feeds itself through its parents (a cycle)",
                "remove one of the parents on the cycle",
            )
        ]

    def test_its_own_parent(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "PowerDomain", "ups", {**POWER, "parents": [{"powerDomain": "ups", "weight": 1}]})
        assert set(compiled(catalog).unusable) == {"r1", "r2"}

    def test_a_reference_to_nothing(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "Rack", "r1", rack("r1", feeds=[{"powerDomain": "pdu", "weight": 1}]))
        put(catalog, "NVLinkDomain", "d", {"racks": ["r2", "r9"]})
        facility = compiled(catalog)
        assert set(facility.unusable) == {"r1"}
        assert catalog.problems(facility) == {
            ("Rack", "r1"): [
                Problem(
                    "Rack",
                    "r1",
                    "spec.feeds",
                    "power domain pdu does not exist",
                    "create PowerDomain pdu or correct the name",
                )
            ],
            ("NVLinkDomain", "d"): [
                Problem(
                    "NVLinkDomain",
                    "d",
                    "spec.racks",
                    "rack r9 does not exist",
                    "create Rack r9 or correct the name",
                )
            ],
        }

    def test_a_node_claimed_by_two_racks(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "Rack", "r2", rack("r2", nodeSelector={"row": "1"}))
        assert catalog.node_spec(node("n1", rack="r1", row="1")) is None
        assert catalog.node_spec(node("n2", rack="r1")) is not None
        assert catalog.unclaimed == frozenset()
        assert catalog.problems(compiled(catalog)) == {
            ("Rack", "r1"): [claimed("r1", "r2")],
            ("Rack", "r2"): [claimed("r2", "r1")],
        }
        catalog.forget_node("n1")
        assert catalog.problems(compiled(catalog)) == {}

    def test_a_node_claimed_by_a_rack_that_does_not_decode(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "Rack", "r2", rack("r2", nodeSelector={"row": "1"}, limitWatts=None))
        assert catalog.node_spec(node("n1", rack="r1", row="1")) is None
        found = catalog.problems(compiled(catalog))
        assert found["Rack", "r1"] == [claimed("r1", "r2")]
        assert [p.field for p in found["Rack", "r2"]] == ["spec.limitWatts", "spec.nodeSelector"]

    def test_many_nodes_are_one_sentence(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "Rack", "r2", rack("r2", nodeSelector={"row": "1"}))
        for name in ("n1", "n2", "n3", "n4", "n5"):
            catalog.node_spec(node(name, rack="r1", row="1"))
        [problem] = catalog.problems(compiled(catalog))["Rack", "r1"]
        assert problem.message == (
            "nodes n1, n2, n3 and 2 more are also claimed by Rack r2, so they belong to neither and nothing is "
            "placed on them"
        )

    def test_a_node_in_two_nvlink_domains_is_alone(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "NVLinkDomain", "d1", {"racks": ["r1"]})
        put(catalog, "NVLinkDomain", "d2", {"clique": "c"})
        found = catalog.node_spec(labelled("n1", {"rack": "r1", CLIQUE: "c"}))
        assert found == NodeSpec("n1", "r1", "n1", PLACE)
        assert catalog.problems(compiled(catalog))["NVLinkDomain", "d1"] == [
            Problem(
                "NVLinkDomain",
                "d1",
                "spec",
                "node n1 is also claimed by NVLinkDomain d2, so it counts as a domain of its own",
                "make d1 and d2 name different nodes",
            )
        ]

    def test_a_node_with_no_profile(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "Rack", "r1", rack("r1", profile="gb999"))
        assert catalog.node_spec(node("n1", rack="r1")) == NodeSpec("n1", "r1", "n1", PLACE)
        facility = compiled(catalog)
        assert set(facility.unusable) == {"r1"}
        assert catalog.problems(facility) == {
            ("Rack", "r1"): [
                Problem(
                    "Rack",
                    "r1",
                    "spec.profile",
                    "hardware profile gb999 does not exist",
                    "create HardwareProfile gb999 or correct the name",
                )
            ]
        }

    def test_gpu_nodes_that_no_rack_claims(self) -> None:
        catalog = facility_of_two_racks()
        for each in (node("lost"), node("cpu-only", gpus="0"), node("n1", rack="r1")):
            catalog.node_spec(each)
        assert catalog.unclaimed == frozenset({"lost"})
        catalog.node_spec(node("lost", rack="r1"))
        assert catalog.unclaimed == frozenset()

    def test_an_nvlink_domain_that_does_not_decode_takes_no_gangs(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "NVLinkDomain", "d1", {"racks": ["r1"], "spareNodes": -1})
        assert catalog.domains == (DomainSpec("d1", schedulable=False),)
        assert catalog.node_spec(node("n1", rack="r1")) == NodeSpec("n1", "r1", "d1", PLACE)

    def test_a_domain_that_its_profile_does_not_look_at(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "HardwareProfile", "gb300", {**PROFILE, "nvlinkScope": "Node"})
        put(catalog, "NVLinkDomain", "d1", {"racks": ["r1"]})
        catalog.node_spec(node("n1", rack="r1"))
        assert catalog.problems(compiled(catalog)) == {
            ("NVLinkDomain", "d1"): [
                Problem(
                    "NVLinkDomain",
                    "d1",
                    "spec",
                    "node n1 is in a rack whose profile has nvlinkScope Node, so the domain does not hold",
                    "set nvlinkScope Label or Object in the HardwareProfile, or remove the NVLinkDomain",
                )
            ]
        }

    def test_a_level_that_nobody_configured(self) -> None:
        catalog = facility_of_two_racks()
        put(catalog, "NVLinkDomain", "d1", {"racks": ["r1"], "fabricPath": [{"level": "su", "name": "1"}]})
        assert catalog.problems(compiled(catalog)) == {
            ("NVLinkDomain", "d1"): [
                Problem(
                    "NVLinkDomain",
                    "d1",
                    "spec.fabricPath[0].level",
                    "level su is not one of leaf, spine, hall, site",
                    "write one of these levels",
                )
            ]
        }
