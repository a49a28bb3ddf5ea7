"""The issue's list of bad input, each with all that is said; and that none of it ever adds capacity."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.engine.model import (
    DomainSpec,
    NodeSpec,
    Problem,
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
    made_anew,
    node,
    put,
    rack,
    rack_spec,
)


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
        made_anew(catalog, "PowerDomain", "ups", {**POWER, **change})
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
        made_anew(catalog, "Rack", "r1", rack("r1", feeds=[{"powerDomain": "ups"}]))
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
        made_anew(catalog, "PowerDomain", "ups", {**POWER, "parents": [{"powerDomain": "ups", "weight": 1}]})
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
        made_anew(catalog, "Rack", "r2", rack("r2", nodeSelector={"row": "1"}, limitWatts=None))
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
        assert catalog.domains_at(0.0) == (DomainSpec("d1", schedulable=False),)
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
