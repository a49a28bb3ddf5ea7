"""Slurm: blocks are NVLink domains, switches levels, a MODE_3 resource the power path; no limit is lost."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.api.fabric import fabric_of
from rackplane.core.discovery.template import read_template
from rackplane.exchange.slurm import read
from tests.unit.exchange.reading import PROFILE, Outcome, parts, run

FEED = {"powerDomain": "row1", "weight": 1}


def power(*layers: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [{"resource": "power", "mode": "MODE_3", "layers": list(layers), **more}]


ROW = {"layer_name": "row1", "count": 60_000, "base": [{"name": "net", "value": 3_000}]}
RACK = {"layer_name": "rack1", "parent_name": "row1", "nodes": ["n[01-02]"], "count": 40_000}


def imported(*bodies: Any, **options: Any) -> Outcome:
    return run(read, *bodies, **options)


def test_the_example_keeps_every_limit_and_names_what_it_leaves_out() -> None:
    found = imported(*parts("slurm"))
    assert found.errors == []
    assert {k: v["ratedWatts"] for k, v in found.specs.items() if k.startswith("Power")} == {
        "PowerDomain hall": 500_000,
        "PowerDomain row1": 270_000,
        "PowerDomain row2": 270_000,
    }
    assert found.specs["Rack rack4"] == {
        "profile": "gb300-nvl72",
        "limitWatts": 132_000,
        "overheadWatts": 13_200,
        "feeds": [{"powerDomain": "row2", "weight": 1}],
        "state": "Draining",
        "nodeSelector": {"rackplane.dev/rack": "rack4"},
        "expectedNodes": 18,
    }
    assert found.specs["NVLinkDomain nvl4"] == {
        "racks": ["rack4"],
        "fabricPath": [{"level": "leaf", "name": "leaf4"}, {"level": "spine", "name": "spine2"}],
    }
    assert found.imported.labels["gb055"] == {
        "rackplane.dev/rack": "rack4",
        "rackplane.dev/leaf": "leaf4",
        "rackplane.dev/spine": "spine2",
    }
    assert found.warnings == [
        "f1: [1].variables: is not translated",
        "f2: [0].cluster_default: is not translated",
        "f1: [0]: resource tokens is not translated: power is taken to count power (--resource names another)",
        "f2: [1].tree.switches[3]: level core is left out: the operator has leaf, spine, hall, site (--fabric-levels) "
        "(and 3 more like it)",
        "f2: [0].block.block_sizes: is not translated: gangs ask for segments (rackplane.dev/segment-size), the site "
        "does not fix them",
        "f2: [0].block.blocks[0]: level core is left out: the operator has leaf, spine, hall, site (--fabric-levels) "
        "(and 3 more like it)",
    ]


def test_levels_that_the_operator_has_are_kept() -> None:
    found = imported(*parts("slurm"), fabric=fabric_of(("leaf", "spine", "core")))
    assert found.specs["NVLinkDomain nvl1"]["fabricPath"][-1] == {"level": "core", "name": "core"}
    assert found.imported.labels["gb001"]["rackplane.dev/core"] == "core"


def test_before_layers_had_names_they_lay_in_each_other_by_their_nodes() -> None:
    layers = (
        {"nodes": ["n[01-04]"], "count": 100},
        {"nodes": ["n[01-02]"], "count": 60},
        {"nodes": ["n[03-04]"], "count": 70},
    )
    specs = imported(power(*layers), watts_per_unit=1000).specs
    assert specs["PowerDomain power-1"] == {"type": "Other", "ratedWatts": 100_000}
    assert {k: (v["limitWatts"], v["feeds"]) for k, v in specs.items() if k.startswith("Rack")} == {
        "Rack power-2": (60_000, [{"powerDomain": "power-1", "weight": 1}]),
        "Rack power-3": (70_000, [{"powerDomain": "power-1", "weight": 1}]),
    }


def test_a_single_layer_is_a_rack_and_what_feeds_it() -> None:
    specs = imported(power({"layer_name": "all", "nodes": "n[1-2]", "count": 9_000})).specs
    assert specs["PowerDomain all"]["ratedWatts"] == specs["Rack all"]["limitWatts"] == 9_000


def test_an_infinite_layer_is_no_limit_and_what_hangs_from_it_hangs_higher() -> None:
    site = {"layer_name": "site", "count": 90_000}
    found = imported(power(site, {**ROW, "parent_name": "site", "count": -1, "base": []}, RACK))
    assert found.specs["Rack rack1"]["feeds"] == [{"powerDomain": "site", "weight": 1}]
    assert found.warnings == ["f1: [0].layers[1].count: is infinite: it is no limit, and is left out"]


def test_an_infinite_rack_needs_a_limit_from_a_person() -> None:
    layers = (ROW, {**RACK, "count": -1})
    assert imported(power(*layers)).errors == [
        "f1: [0].layers[1]: nothing says the limitWatts of rack rack1: say in --rack-template what a rack may draw"
    ]
    template = read_template("profile: gb300-nvl72\nlimitWatts: 132000", partial=True)
    assert imported(power(*layers), template=template).specs["Rack rack1"]["limitWatts"] == 132_000


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            power(ROW, {**RACK, "count": 0}),
            "[0].layers[1].count: is 0: nothing may draw from rack1, leave it out",
        ),
        (power(ROW, {**RACK, "count": "40 kW"}), "[0].layers[1].count: input should be a valid integer"),
        (power(ROW, {**RACK, "count": True}), "[0].layers[1].count: input should be a valid integer"),
        (power(ROW, {**RACK, "parent_name": "row9"}), "[0].layers[1].parent_name: there is no layer row9"),
        (
            power({**ROW, "parent_name": "rack1"}, RACK),
            "[0].layers[0].parent_name: layer row1 is above itself",
        ),
        (
            power(ROW, {**RACK, "nodes": "n[1-"}),
            "[0].layers[1].nodes: 'n[1-' is no list of hosts such as tray[01-18]",
        ),
        (power(ROW, RACK, mode="MODE_2"), "[0].mode: is MODE_2, which counts jobs where MODE_3 counts nodes"),
        ([{"nothing": 1}], "[0]: is neither a topology nor a resource"),
        ({"resource": "power"}, "the file: is no list of topologies or resources"),
        ("a: [", "the file: is not YAML"),
        ("", "the file: is empty"),
    ],
)
def test_what_cannot_be_read_is_an_error_and_no_limit(body: Any, error: str) -> None:
    found = imported(body)
    assert found.losses.failed
    assert found.errors[0].startswith(f"f1: {error}")


def test_racks_below_a_disabled_layer_drain() -> None:
    specs = imported(power({**ROW, "disable_layer": True}, RACK)).specs
    assert specs["Rack rack1"]["state"] == "Draining"
    assert imported(power(ROW, RACK, disable_hres=True)).specs["Rack rack1"]["state"] == "Draining"


def test_blocks_without_racks_are_domains_by_a_label() -> None:
    topology = [
        {"topology": "t", "block": {"blocks": [{"block": "B_1", "nodes": "n[1-2]"}, {"block": "empty"}]}}
    ]
    found = imported(topology, template=None)
    assert found.specs == {"NVLinkDomain b-1": {"nodeSelector": {"rackplane.dev/nvlink-domain": "B_1"}}}
    assert found.imported.labels == {n: {"rackplane.dev/nvlink-domain": "B_1"} for n in ("n1", "n2")}
    assert found.warnings == ["f1: [0].block.blocks[1]: block empty has no nodes and is left out"]


def test_with_a_template_each_block_is_a_rack_too() -> None:
    topology = [{"topology": "t", "block": {"blocks": [{"block": "b1", "nodes": "n[1-2]"}]}}]
    template = read_template("profile: p\nlimitWatts: 7\nfeeds: [{powerDomain: a, weight: 1}]", partial=True)
    specs = imported(topology, template=template).specs
    assert (specs["Rack b1"]["expectedNodes"], specs["NVLinkDomain b1"]) == (2, {"racks": ["b1"]})
    assert imported(topology, template=PROFILE).errors == [
        "f1: [0].block.blocks[0]: nothing says the limitWatts of rack b1: say in --rack-template what a rack may draw"
    ]


def test_names_that_would_be_one_are_an_error() -> None:
    topology = [{"topology": "t", "block": {"blocks": [{"block": b, "nodes": b} for b in ("A", "a")]}}]
    assert imported(topology, template=None).errors == [
        "f1: [0].block.blocks[1]: a would be NVLinkDomain a, as A of f1 [0].block.blocks[0] is: rename one"
    ]


def test_a_name_too_long_for_a_label_is_hashed_as_topograph_does() -> None:
    long = "s" * 64
    switches = [{"switch": long, "nodes": "n1"}]
    topology = [
        {
            "topology": "t",
            "tree": {"switches": switches},
            "block": {"blocks": [{"block": "b", "nodes": "n1"}]},
        }
    ]
    found = imported(topology, template=None)
    value = found.imported.labels["n1"]["rackplane.dev/leaf"]
    assert value == found.specs["NVLinkDomain b"]["fabricPath"][0]["name"] and value.startswith("x")
    assert f"'{long}' is no label's value, so it is {value}" in found.warnings[0]
