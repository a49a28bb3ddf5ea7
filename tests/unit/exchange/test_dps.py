"""DPS topologies: in with every limit, out without a wider one, and back the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.api.decode import decode
from rackplane.api.fabric import fabric_of
from rackplane.api.power_domain import PowerDomain
from rackplane.api.rack import Rack
from rackplane.core.discovery.template import read_template
from rackplane.exchange.dps import read
from rackplane.exchange.dps_export import write
from rackplane.exchange.leaving import Place, Site
from rackplane.exchange.losses import Losses
from tests.support.thorough import some
from tests.unit.exchange.reading import Outcome, parts, run


def watts(value: float, unit: str = "W", factor: float = 1.0) -> dict[str, Any]:
    return {"PowerValue": {"Value": value, "Type": unit}, "PowerFactor": factor}


def entity(name: str, kind: str = "PowerDistribution", **more: Any) -> dict[str, Any]:
    return {"Type": kind, "Name": name, **more}


def tray(name: str, model: str = "DGX_GB300") -> dict[str, Any]:
    return entity(name, "ComputerSystem", Model=model)


def topology(entities: list[dict[str, Any]], **children: list[str]) -> dict[str, Any]:
    places = [{"Name": e["Name"], "Children": children.get(e["Name"], [])} for e in entities]
    return {"Topology": {"Name": "t", "Entities": places}, "Entities": entities}


def imported(*bodies: Any, template: Any = None, **options: Any) -> Outcome:
    return run(
        read, *(json.dumps(b) if isinstance(b, dict) else b for b in bodies), template=template, **options
    )


def test_the_example_keeps_every_limit_and_names_what_it_leaves_out() -> None:
    found = imported(*parts("dps"), ratings={"RackBusbar_132kW": 132_000})
    assert found.errors == []
    assert found.specs["PowerDomain switchboard"] == {
        "type": "PDU",
        # 1.6 MW at a power factor of 0.95.
        "ratedWatts": 1_520_000,
        "baseLoadWatts": 20_000,
        "parents": [{"powerDomain": "utility", "weight": 1}],
        "feedTag": "main-a",
    }
    assert found.specs["PowerDomain floorpdu-1"]["type"] == "FloorPDU"
    assert found.specs["Rack rack-2"] == {
        "profile": "gb300-nvl72",
        "limitWatts": 132_000,
        "overheadWatts": 13_200,
        "feeds": [{"powerDomain": "floorpdu-2", "weight": 1}],
        "nodeSelector": {"rackplane.dev/rack": "Rack-2"},
        "expectedNodes": 4,
    }
    assert found.warnings == [
        "f1: Policies: is not translated",
        "f1: Entities[2].TelemetryId: is not translated (and 1 more like it)",
        "f1: Entities[4].Redfish: is not translated (and 7 more like it)",
        "f1: Entities[4].Policy: is not translated (and 7 more like it)",
    ]


def test_an_entity_without_a_limit_is_an_error_and_not_without_limit() -> None:
    found = imported(*parts("dps"))
    assert found.errors == [
        f"f1: Entities[{i}].OperatingLimit: Rack-{n} has none, so what it may carry is not known: add it, or --rating "
        "RackBusbar_132kW=WATTS from its device specification"
        for i, n in ((3, 1), (9, 2))
    ]


def test_entities_and_topology_may_come_in_files_of_their_own_and_by_their_older_names() -> None:
    entities = [entity("pdu", Constraints=watts(450, "kW")), tray("n1")]
    whole = topology(entities, pdu=["n1"])
    found = imported({"Entities": entities}, {"Topology": whole["Topology"]})
    assert found.errors == []
    assert found.specs["PowerDomain pdu"]["ratedWatts"] == found.specs["Rack pdu"]["limitWatts"] == 450_000


def test_nodes_that_two_feeds_share_are_a_rack_on_both() -> None:
    entities = [
        entity("a", OperatingLimit=watts(60_000)),
        entity("b", OperatingLimit=watts(50_000)),
        tray("n1"),
    ]
    found = imported(topology(entities, a=["n1"], b=["n1"]))
    assert found.specs["Rack a-b"]["feeds"] == [
        {"powerDomain": "a", "weight": 1},
        {"powerDomain": "b", "weight": 1},
    ]
    assert found.specs["Rack a-b"]["limitWatts"] == 50_000
    assert found.warnings == [
        "f1: Entities[2]: nothing says what rack a-b may draw: the least of its feeds is taken"
    ]


def test_a_pattern_names_the_racks_on_one_feed() -> None:
    entities = [
        entity("pdu", OperatingLimit=watts(9_000)),
        *(tray(f"r{i}-t{j}") for i in (1, 2) for j in (1, 2)),
    ]
    found = imported(
        topology(entities, pdu=[e["Name"] for e in entities[1:]]),
        rack_pattern="^(r[0-9])-",
        template=read_template("limitWatts: 4000", partial=True),
    )
    assert {
        k: (v["limitWatts"], v["expectedNodes"]) for k, v in found.specs.items() if k.startswith("Rack")
    } == {
        "Rack r1": (4_000, 2),
        "Rack r2": (4_000, 2),
    }
    assert found.losses.found == []


@pytest.mark.parametrize(
    ("value", "unit", "factor", "rated"),
    [(1, "MW", 1.0, 1_000_000), (10, "kVA", 0.9, 9_000), (1000.9, "W", 1.0, 1_000), (0.3, "kW", 1.0, 300)],
)
def test_ratings_are_rounded_down_to_watts(value: float, unit: str, factor: float, rated: int) -> None:
    found = imported(topology([entity("a", OperatingLimit=watts(value, unit, factor))]))
    assert found.specs["PowerDomain a"]["ratedWatts"] == rated


@pytest.mark.parametrize(
    ("entities", "children", "error"),
    [
        (
            [entity("a", OperatingLimit=watts(5, "BTU"))],
            {},
            "Entities[0].OperatingLimit.PowerValue.Type: 'BTU' is no unit",
        ),
        ([entity("a", OperatingLimit=watts(0))], {}, "Entities[0].OperatingLimit: a may carry nothing"),
        (
            [entity("a", OperatingLimit=watts(5, factor=1.2))],
            {},
            "Entities[0].OperatingLimit.PowerFactor: input should",
        ),
        (
            [entity("a", OperatingLimit={"PowerValue": {"Value": "much"}})],
            {},
            "Entities[0].OperatingLimit.PowerValue.Val",
        ),
        (
            [entity("a", OperatingLimit=watts(5))],
            {"a": ["b"]},
            "Topology.Entities[0].Children[0]: there is no entity b",
        ),
        (
            [entity("a", OperatingLimit=watts(5)), entity("b", OperatingLimit=watts(5))],
            {"a": ["b"], "b": ["a"]},
            "Topology.Entities[0].Children: a feeds itself",
        ),
        (
            [entity("a", "Rectifier", OperatingLimit=watts(5)), tray("n")],
            {"a": ["n"]},
            "Entities[0].Type: Rectifier a feeds others, so its limit would be lost",
        ),
        (
            [entity("a", OperatingLimit=watts(5)), {**tray("n"), "OperatingLimit": watts(5)}],
            {"a": ["n"]},
            "Entities[1].OperatingLimit: is a limit of one node",
        ),
        (
            [entity("a", OperatingLimit=watts(5)), tray("n", "HGX_X")],
            {"a": ["n"]},
            "Entities[1].Model: no one HardwareProfile is that of HGX_X",
        ),
    ],
)
def test_what_cannot_be_read_is_an_error(
    entities: list[dict[str, Any]], children: dict[str, list[str]], error: str
) -> None:
    found = imported(topology(entities, **children))
    assert found.errors[0].startswith(f"f1: {error}")


def test_a_file_without_a_topology_is_an_error() -> None:
    assert imported({"Entities": [entity("a", OperatingLimit=watts(5))]}).errors == [
        "f1: Topology: there is none: nothing says what feeds what"
    ]


# -- out, and back -----------------------------------------------------------------------------------


def powered(name: str, **spec: Any) -> PowerDomain:
    made = decode(PowerDomain, {"metadata": {"name": name}, "spec": {"type": "PDU", **spec}})
    assert isinstance(made, PowerDomain), made
    return made


def racked(name: str, **spec: Any) -> Rack:
    whole = {"profile": "gb300-nvl72", "nodeSelector": {"r": name}, **spec}
    made = decode(Rack, {"metadata": {"name": name}, "spec": whole})
    assert isinstance(made, Rack), made
    return made


def site(powers: list[PowerDomain], racks: list[Rack], nodes: dict[str, str]) -> Site:
    places = tuple(Place(node, rack, node, {}, {}) for node, rack in nodes.items())
    return Site(fabric_of(), {r.name: r for r in racks}, {p.name: p for p in powers}, nodes=places)


def test_what_dps_cannot_say_is_named_and_no_limit_is_wider() -> None:
    ups = powered(
        "ups",
        type="UPS",
        ratedWatts=1_000_000,
        continuousPercent=80,
        survivable=True,
        redundancy={"installed": 4, "needed": 3, "moduleWatts": 250_000},
    )
    reserve = powered("reserve", ratedWatts=500_000)
    feeds = [{"powerDomain": "ups", "weight": 1}, {"powerDomain": "reserve", "weight": 1, "role": "Standby"}]
    rack = racked("r1", limitWatts=100_000, overheadWatts=5_000, feeds=feeds)
    losses = Losses()
    body = write(site([ups, reserve], [rack], {"n1": "r1"}), losses, name="hall")
    limits = {
        e["Name"]: e["OperatingLimit"]["PowerValue"]["Value"]
        for e in body["Entities"]
        if "OperatingLimit" in e
    }
    assert limits == {"ups": 750_000, "reserve": 500_000, "r1": 100_000}
    assert body["Topology"]["Entities"] == [
        {"Name": "ups", "Children": ["r1"]},
        {"Name": "reserve"},
        {"Name": "r1", "Children": ["n1"]},
        {"Name": "n1"},
    ]
    assert [str(loss) for loss in losses.told()] == [
        "PowerDomain ups: spec.survivable: is not in a DPS topology",
        "Rack r1: spec.feeds[].role: standby feed reserve is left out: DPS would count it as one that carries load",
    ]


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """Everything that DPS can say: a graph of PowerDomains, racks on them with nodes of their own."""
    powers: list[PowerDomain] = []
    for index in range(draw(st.integers(1, 5))):
        rated = draw(st.integers(1, 10**9))
        spec: dict[str, Any] = {"ratedWatts": rated}
        if base := draw(st.integers(0, rated)):
            spec["baseLoadWatts"] = base
        above = (
            st.lists(st.sampled_from([p.name for p in powers]), unique=True, max_size=2)
            if powers
            else st.just([])
        )
        if parents := draw(above):
            spec["parents"] = [{"powerDomain": name, "weight": 1} for name in parents]
        if tag := draw(st.sampled_from(["", "main-a", "main-b"])):
            spec["feedTag"] = tag
        powers.append(powered(f"p{index}", **spec))
    racks: list[Rack] = []
    nodes: dict[str, str] = {}
    for index in range(draw(st.integers(0, 4))):
        limit = draw(st.integers(1, 10**6))
        names = st.sampled_from([p.name for p in powers])
        feeds = draw(st.lists(names, unique=True, min_size=1, max_size=2))
        rack = racked(
            f"r{index}",
            limitWatts=limit,
            overheadWatts=draw(st.integers(0, limit)),
            feeds=[{"powerDomain": name, "weight": 1} for name in feeds],
        )
        racks.append(rack)
        nodes |= {f"r{index}-n{n}": rack.name for n in range(draw(st.integers(1, 3)))}
    return site(powers, racks, nodes)


@settings(max_examples=some(60), deadline=None)
@given(sites())
def test_what_dps_can_say_comes_back_as_it_went(before: Site) -> None:
    out = Losses()
    found = imported(json.dumps(write(before, out)))
    assert (out.found, found.errors) == ([], [])
    powers = {k.split()[1]: v for k, v in found.specs.items() if k.startswith("PowerDomain")}
    racks = {k.split()[1]: v for k, v in found.specs.items() if k.startswith("Rack ")}
    assert {
        name: (p["ratedWatts"], p.get("baseLoadWatts", 0), _names(p.get("parents", [])), p.get("feedTag"))
        for name, p in powers.items()
    } == {
        name: (
            p.spec.rated_watts,
            p.spec.base_load_watts,
            {f.power_domain for f in p.spec.parents},
            p.spec.feed_tag,
        )
        for name, p in before.powers.items()
    }
    assert {
        name: (
            r["profile"],
            r["limitWatts"],
            r.get("overheadWatts", 0),
            _names(r["feeds"]),
            r["expectedNodes"],
        )
        for name, r in racks.items()
    } == {
        name: (
            r.spec.profile,
            r.spec.limit_watts,
            r.spec.overhead_watts,
            {f.power_domain for f in r.spec.feeds},
            sum(place.rack == name for place in before.nodes),
        )
        for name, r in before.racks.items()
    }
    assert {node: labels["rackplane.dev/rack"] for node, labels in found.imported.labels.items()} == {
        place.name: place.rack for place in before.nodes
    }


def _names(feeds: list[dict[str, Any]]) -> set[str]:
    return {feed["powerDomain"] for feed in feeds}
