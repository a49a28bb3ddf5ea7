"""Racks and NVLink domains by the labels of nodes: by role, the first label counts, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rackplane.api.fabric import PRESETS, RACK_LABELS, Fabric, fabric_of, parse_rack_labels
from rackplane.api.hardware import shipped_profiles
from rackplane.core.discovery.reading import Discovery, Known, discover
from rackplane.core.discovery.template import Template, TemplateError, read_template
from rackplane.core.objects import Metadata, Node

TEMPLATE = read_template(
    """
    limitWatts: 132000
    feeds:
    - {powerDomain: pdu-a, weight: 1}
    - {powerDomain: pdu-b, weight: 1}
    """
)
FEEDS = [
    {"powerDomain": "pdu-a", "weight": 1, "role": "Active"},
    {"powerDomain": "pdu-b", "weight": 1, "role": "Active"},
]
GB300 = {"nvidia.com/gpu.product": "NVIDIA-GB300", "nvidia.com/gpu.count": "4"}


def node(name: str, labels: Mapping[str, str]) -> Node:
    return Node(Metadata(name=name, labels=dict(labels)))


def found(
    *nodes: Node,
    racks: Mapping[str, Mapping[str, Any]] | None = None,
    domains: Mapping[str, Mapping[str, Any]] | None = None,
    fabric: Fabric | None = None,
    rack_labels: tuple[str, ...] = RACK_LABELS,
    template: Template | None = TEMPLATE,
) -> Discovery:
    known = Known(racks or {}, domains or {}, shipped_profiles())
    return discover(nodes, known, fabric=fabric or fabric_of(), rack_labels=rack_labels, template=template)


def specs(discovery: Discovery) -> dict[str, dict[str, Any]]:
    return {f"{d.kind} {d.name}": dict(d.spec) for d in discovery.objects}


def said(discovery: Discovery) -> list[str]:
    return [f"{p.kind} {p.name}: {p.message}; {p.remedy}" for p in discovery.problems]


def test_a_rack_is_what_one_label_names_and_its_profile_what_its_nodes_are() -> None:
    nodes = [node(f"n{i}", {"rackplane.dev/rack": "R1", **GB300}) for i in range(3)]
    assert specs(found(*nodes)) == {
        "Rack r1": {
            "limitWatts": 132_000,
            "feeds": FEEDS,
            "profile": "gb300-nvl72",
            "expectedNodes": 3,
            "nodeSelector": {"rackplane.dev/rack": "R1"},
        }
    }


@pytest.mark.parametrize("key", RACK_LABELS)
def test_each_of_the_labels_for_racks_is_read(key: str) -> None:
    assert specs(found(node("n", {key: "r1", **GB300})))["Rack r1"]["nodeSelector"] == {key: "r1"}


def test_of_several_labels_for_one_role_the_first_counts() -> None:
    labels = {
        "topology.kubernetes.io/rack": "general",
        "rackplane.dev/rack": "own",
        "nvidia.com/gpu.clique": "clique.1",
        "accelerator.topograph.run/domain": "topograph",
    }
    assert list(specs(found(node("n", {**labels, **GB300})))) == ["NVLinkDomain clique.1", "Rack own"]


@pytest.mark.parametrize("preset", PRESETS)
def test_each_provider_names_domains_and_where_they_hang(preset: str) -> None:
    levels = fabric_of(("leaf", "spine", "core"))
    labels = {key: f"a-{level}" for level, key in PRESETS[preset].items()}
    key = PRESETS[preset].get("nvlink", "nvidia.com/gpu.clique")
    name = labels.setdefault(key, "u.1")
    spec = specs(found(node("n", {**labels, **GB300}), fabric=levels))[f"NVLinkDomain {name}"]
    path = [{"level": v, "name": f"a-{v}"} for v in ("leaf", "spine", "core") if v in PRESETS[preset]]
    assert spec.get("fabricPath", []) == path
    clique = key == "nvidia.com/gpu.clique"
    who = {"clique": name} if clique else {"nodeSelector": {key: name}}
    assert {k: v for k, v in spec.items() if k != "fabricPath"} == who


def test_own_labels_and_levels_may_name_racks() -> None:
    fabric = fabric_of(labels={"nvlink": ["example.com/nvl"]})
    keys = parse_rack_labels("example.com/cabinet,nvlink", fabric)
    assert keys == ("example.com/cabinet", "example.com/nvl")
    nodes = [node("a", {"example.com/nvl": "d1", **GB300}), node("b", {"example.com/cabinet": "c7", **GB300})]
    assert list(specs(found(*nodes, fabric=fabric, rack_labels=keys))) == [
        "NVLinkDomain d1",
        "Rack c7",
        "Rack d1",
    ]


def test_no_rack_is_written_without_a_limit_and_feeds() -> None:
    nodes = [node(f"n{i}", {"rackplane.dev/rack": f"r{i}", **GB300}) for i in range(5)]
    discovery = found(*nodes, template=None)
    assert discovery.objects == ()
    assert said(discovery) == [
        "Rack : labels name 5 racks (r0, r1, r2 and 2 more), but not what they may draw and what feeds them, so none "
        "is written; give a template with limitWatts and feeds"
    ]


@pytest.mark.parametrize(
    ("labels", "profile"),
    [
        ({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "8"}, "dgx-h100"),
        ({"nvidia.com/gpu.product": "NVIDIA-B200"}, "dgx-b200"),
        ({"nvidia.com/gpu.product": "NVIDIA-GB200", "nvidia.com/gpu.count": "4"}, "gb200-nvl72"),
        ({"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}, "mi300x"),
    ],
)
def test_a_profile_is_found_by_the_model_of_the_accelerators(labels: dict[str, str], profile: str) -> None:
    assert specs(found(node("n", {"rackplane.dev/rack": "r", **labels})))["Rack r"]["profile"] == profile


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        (
            [{"nvidia.com/gpu.product": "NVIDIA-L40S"}],
            "no HardwareProfile is that of NVIDIA-L40S",
        ),
        (
            [{"nvidia.com/gpu.product": "NVIDIA-H100-NVL", "nvidia.com/gpu.count": "2"}],
            "no HardwareProfile is that of NVIDIA-H100-NVL",
        ),
        (
            [{"nvidia.com/gpu.product": "NVIDIA-GB300"}, {"nvidia.com/gpu.product": "NVIDIA-GB200"}],
            "its nodes are of gb200-nvl72, gb300-nvl72",
        ),
    ],
)
def test_a_rack_of_unknown_or_mixed_hardware_is_left_to_people(nodes: list[dict[str, str]], why: str) -> None:
    discovery = found(*(node(f"n{i}", {"rackplane.dev/rack": "r", **n}) for i, n in enumerate(nodes)))
    assert (specs(discovery), said(discovery)) == (
        {},
        [f"Rack r: {why}, so it is not written; name its profile in the template"],
    )


def test_a_rack_of_nodes_without_accelerators_is_none_of_ours() -> None:
    discovery = found(node("head", {"rackplane.dev/rack": "r"}))
    assert discovery == Discovery((), ())


def test_a_node_that_left_is_missing_and_not_forgotten() -> None:
    rack = {"nodeSelector": {"rackplane.dev/rack": "r"}, "expectedNodes": 18, "limitWatts": 1, "feeds": FEEDS}
    spec = specs(found(node("n", {"rackplane.dev/rack": "r", **GB300}), racks={"r": rack}))["Rack r"]
    assert spec["expectedNodes"] == 18


def test_nodes_that_are_in_another_object_already_stay_there() -> None:
    rack = {
        "profile": "gb300-nvl72",
        "nodeSelector": {"row": "1"},
        "limitWatts": 1,
        "feeds": FEEDS,
    }
    nodes = [
        node(f"n{i}", {"rackplane.dev/rack": "r", "row": "1", "nvidia.com/gpu.clique": "u.1", **GB300})
        for i in range(2)
    ]
    discovery = found(*nodes, racks={"by-hand": rack}, domains={"d": {"racks": ["by-hand"]}})
    assert (specs(discovery), said(discovery)) == (
        {},
        [
            "Rack r: nodes n0, n1 are in Rack by-hand already, so it is not written; keep that object, or delete it "
            "and discover again (rackplane.dev/rack=r)",
            "NVLinkDomain u.1: nodes n0, n1 are in NVLinkDomain d already, so it is not written; keep that object, or "
            "delete it and discover again (nvidia.com/gpu.clique=u.1)",
        ],
    )


def test_where_nvlink_ends_at_the_node_there_are_no_domains() -> None:
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-B200",
        "nvidia.com/gpu.clique": "u.1",
        "rackplane.dev/rack": "r",
    }
    assert list(specs(found(node("n", labels)))) == ["Rack r"]


def test_a_level_that_nodes_of_a_domain_disagree_about_is_left_out_and_named() -> None:
    clique = {"nvidia.com/gpu.clique": "u.1", **GB300}
    leaf, spine = PRESETS["eks"]["leaf"], PRESETS["eks"]["spine"]
    discovery = found(
        node("a", {**clique, leaf: "l1", spine: "s"}), node("b", {**clique, leaf: "l2", spine: "s"})
    )
    assert specs(discovery) == {
        "NVLinkDomain u.1": {"clique": "u.1", "fabricPath": [{"level": "spine", "name": "s"}]}
    }
    assert said(discovery)[0].startswith(
        "NVLinkDomain u.1: its nodes are in l1, l2 of level leaf, so that level is left out; correct the labels "
    )


def test_a_value_that_no_label_has_is_refused_with_what_topograph_writes() -> None:
    discovery = found(node("n", {"accelerator.topograph.run/domain": "a" * 64, **GB300}))
    assert discovery.objects == ()
    assert "label them accelerator.topograph.run/domain=x" in said(discovery)[0]


def test_two_values_of_one_name_are_both_refused() -> None:
    discovery = found(
        *(node(n, {"rackplane.dev/rack": v, **GB300}) for n, v in (("a", "R_1"), ("b", "r-1"), ("c", "r2")))
    )
    assert list(specs(discovery)) == ["Rack r2"]
    assert said(discovery) == [
        "Rack r-1: rackplane.dev/rack=R_1, rackplane.dev/rack=r-1 would have one name, so none of them is written; "
        "make the values differ in more than their spelling, or write the objects yourself"
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 documents: write one Rack, or its spec"),
        ("- a", "it is a list of 1: write a Rack, or its spec"),
        ("kind: Job\nspec: {}", 'kind is "Job": write a Rack, or its spec'),
        ("limitWatts: 1\nfeeds: []\nnodeSelector: {a: b}", "nodeSelector comes from labels: leave it out"),
        ("limitWats: 1", "a Rack's spec has no field limitWats"),
        ("feeds: [{powerDomain: a, weight: 1}]", "limitWatts is missing"),
        ("limitWatts: many\nfeeds: [{powerDomain: a, weight: 1}]", 'limitWatts is "many"'),
    ],
)
def test_a_template_that_is_none_is_refused(text: str, why: str) -> None:
    with pytest.raises(TemplateError) as caught:
        read_template(text)
    assert str(caught.value).startswith(why)


def test_a_template_may_be_a_whole_rack() -> None:
    text = "kind: Rack\nspec: {limitWatts: 5, feeds: [{powerDomain: a, weight: 1}], cooling: {liquid: l}}"
    assert read_template(text).fields == {
        "limitWatts": 5,
        "feeds": [{"powerDomain": "a", "weight": 1, "role": "Active"}],
        "cooling": {"liquid": "l"},
    }
