"""The catalog of facility objects: what the engine is told, who claims a node, and what is said to be wrong."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.api.cooling_zone import CoolingMedium, CoolingZoneSpec, DeratingPoint
from rackplane.api.fabric import DEFAULT_LEVELS, parse_fabric
from rackplane.core.site.facility import Catalog
from rackplane.core.site.translation import derating_percent
from rackplane.engine.model import (
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
    RackSpec,
    Role,
)
from tests.unit.core.facility_cases import (
    CLIQUE,
    NOW,
    PLACE,
    POWER,
    PROFILE,
    compiled,
    facility_of_two_racks,
    labelled,
    node,
    put,
    rack,
    rack_spec,
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
            levels=DEFAULT_LEVELS,
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
            levels=DEFAULT_LEVELS,
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


class TestLevels:
    """Levels of one's own, above the NVLink domain and below it."""

    def catalog(self, levels: str, labels: str = "") -> Catalog:
        catalog = Catalog(fabric=parse_fabric(levels, labels))
        put(catalog, "HardwareProfile", "gb300", {**PROFILE, "nvlinkScope": "Label"})
        put(catalog, "Rack", "r1", rack("r1"))
        return catalog

    def test_sub_domains_are_read_from_labels_and_given_to_the_engine(self) -> None:
        catalog = self.catalog("sub-domain,nvlink,leaf,core")
        labels = {
            "rack": "r1",
            "accelerator.topograph.run/domain": "nvl-7",
            "accelerator.topograph.run/sub-domain": "nvl-7.3",
            "fabric.topograph.run/tier-0": "leaf-1",
            "fabric.topograph.run/tier-2": "core-1",
        }
        fabric = (("leaf", "leaf-1"), ("core", "core-1"))
        assert catalog.node_spec(labelled("n1", labels)) == NodeSpec(
            "n1", "r1", "nvl-7", fabric, inner=(("sub-domain", "nvl-7.3"),)
        )
        spec = catalog.spec(NOW)
        assert (spec.inner_levels, spec.levels) == (("sub-domain",), ("leaf", "core"))

    def test_an_object_says_the_levels_above_and_labels_those_below(self) -> None:
        catalog = self.catalog("tray,nvlink,su", "tray=example.com/tray")
        put(
            catalog,
            "NVLinkDomain",
            "d1",
            {"racks": ["r1"], "fabricPath": [{"level": "su", "name": "su-1"}]},
        )
        found = catalog.node_spec(labelled("n1", {"rack": "r1", "example.com/tray": "t4"}))
        assert found == NodeSpec("n1", "r1", "d1", (("su", "su-1"),), inner=(("tray", "t4"),))
        assert catalog.problems(compiled(catalog)).get(("NVLinkDomain", "d1")) is None

    def test_rows_halls_and_sites_come_from_the_racks_place(self) -> None:
        catalog = self.catalog("site,hall,row")
        put(catalog, "Rack", "r1", rack("r1", location={"row": "7", "hall": "h", "site": "s"}))
        found = catalog.node_spec(labelled("n1", {"rack": "r1"}))
        assert found is not None
        assert found.fabric == (("site", "s"), ("hall", "h"), ("row", "7"))

    def test_a_clique_comes_before_what_clouds_say_of_the_domain(self) -> None:
        catalog = self.catalog("leaf")
        labels = {"rack": "r1", CLIQUE: "uuid.0", "topology.k8s.aws/ultraserver-id": "us-1"}
        found = catalog.node_spec(labelled("n1", labels))
        assert found is not None
        assert found.domain == "uuid.0"
        del labels[CLIQUE]
        found = catalog.node_spec(labelled("n1", labels))
        assert found is not None
        assert found.domain == "us-1"


def test_the_times_of_maintenance_follow_what_racks_say() -> None:
    catalog = facility_of_two_racks()
    assert (list(catalog.maintenance_times(NOW)), catalog.next_change(NOW)) == ([], None)
    first = {"start": "2027-01-15T10:00:00Z", "end": "2027-01-15T12:00:00Z"}
    put(catalog, "Rack", "r1", rack("r1", maintenance=[first]))
    starts, ends = 1_800_007_200.0, 1_800_014_400.0
    assert list(catalog.maintenance_times(NOW)) == [starts, ends]
    assert catalog.next_change(NOW) == starts
    # One that has come is none to come.
    assert list(catalog.maintenance_times(starts)) == [ends]
    assert catalog.next_change(ends) is None
    put(catalog, "Rack", "r1", rack("r1"))
    assert list(catalog.maintenance_times(NOW)) == []
