"""Levels by name and by node label: presets, own labels, and what cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from rackplane.api.fabric import PRESETS, Fabric, FabricError, fabric_of, parse_fabric


def test_by_default_four_levels_lie_above_the_nvlink_domain_and_none_below() -> None:
    assert fabric_of() == Fabric() == parse_fabric("leaf,spine,hall,site")
    assert Fabric().levels == ("nvlink", "leaf", "spine", "hall", "site")


@pytest.mark.parametrize(
    ("text", "inner", "outer"),
    [
        ("su", (), ("su",)),
        ("nvlink", (), ()),
        ("", (), ()),
        ("nvlink,leaf", (), ("leaf",)),
        ("sub-domain, nvlink, leaf", ("sub-domain",), ("leaf",)),
        ("tray,part,nvlink,leaf,spine,core,hall", ("tray", "part"), ("leaf", "spine", "core", "hall")),
    ],
)
def test_what_stands_before_nvlink_lies_below_it(
    text: str, inner: tuple[str, ...], outer: tuple[str, ...]
) -> None:
    fabric = parse_fabric(text)
    assert (fabric.inner, fabric.outer) == (inner, outer)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_node_labelled_by_any_preset_is_in_the_domains_that_its_labels_name(preset: str) -> None:
    fabric = parse_fabric("sub-domain,nvlink,leaf,spine,core")
    labels = {key: f"the {level}" for level, key in PRESETS[preset].items()}
    named = {level: fabric.named(level, labels) for level in fabric.levels}
    assert named == {level: f"the {level}" if level in PRESETS[preset] else "" for level in fabric.levels}


def test_own_labels_take_the_place_of_the_presets_of_that_level_alone() -> None:
    fabric = parse_fabric("leaf,spine", "leaf = eks , example.com/tor; spine=example.com/spine")
    both = {
        "topology.k8s.aws/network-node-layer-3": "eks",
        "example.com/tor": "own",
        "nvidia.com/gpu.clique": "c",
    }
    assert fabric.named("leaf", both) == "eks"
    assert fabric.named("leaf", {**both, "topology.k8s.aws/network-node-layer-3": ""}) == "own"
    assert fabric.named("leaf", {"fabric.topograph.run/tier-0": "not asked for"}) == ""
    assert fabric.named("spine", {"topology.k8s.aws/network-node-layer-2": "not asked for"}) == ""
    assert fabric.named("nvlink", both) == "c"


def test_a_label_names_its_level_in_requests_too() -> None:
    fabric = parse_fabric(
        "rail,leaf", "rail=example.com/rail,fabric.topograph.run/tier-0;leaf=example.com/tor"
    )
    assert fabric.level_by_label["example.com/rail"] == "rail"
    assert fabric.level_by_label["fabric.topograph.run/tier-0"] == "rail"
    assert fabric.level_by_label["example.com/tor"] == "leaf"
    # Of a level that there is not: the refusal then lists those there are.
    assert fabric.level_by_label["fabric.topograph.run/tier-2"] == "core"


@pytest.mark.parametrize(
    ("levels", "labels", "said"),
    [
        (["Leaf"], {}, "'Leaf' is no name of a level"),
        (["a" * 64], {}, "is no name of a level"),
        (["leaf", "leaf"], {}, "level leaf is named twice"),
        (["leaf", "nvlink", "leaf"], {}, "level leaf is named twice"),
        (["leaf", "nvlink", "nvlink"], {}, "level nvlink is named twice"),
        ([f"l{i}" for i in range(9)], {}, "9 levels beside nvlink: name 8 at most"),
        (["leaf"], {"spine": ["eks"]}, "labels for level spine, which is none of nvlink, leaf"),
        (["leaf"], {"leaf": []}, "0 labels for level leaf"),
        (
            ["leaf"],
            {"leaf": ["tor"]},
            "'tor' is neither a node label such as example.com/tor nor one of the presets",
        ),
        (["leaf"], {"leaf": ["example.com/-"]}, "is neither a node label"),
        (["leaf"], {"leaf": ["x" * 254 + "/a"]}, "is neither a node label"),
        (["rail"], {"rail": ["eks"]}, "preset eks has no level rail; it has nvlink, leaf, spine, core"),
        (
            ["leaf", "spine"],
            {"leaf": ["example.com/a"], "spine": ["example.com/a"]},
            "label example.com/a stands for leaf and for spine",
        ),
        (
            ["leaf"],
            {"leaf": ["nvidia.com/gpu.clique"]},
            "label nvidia.com/gpu.clique stands for nvlink and for leaf",
        ),
    ],
)
def test_what_cannot_be_is_told(
    levels: Sequence[str], labels: Mapping[str, Sequence[str]], said: str
) -> None:
    with pytest.raises(FabricError, match=r".") as caught:
        fabric_of(levels, labels)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["leaf", "leaf=", "=eks", "leaf=eks;leaf=gke", ";leaf"])
def test_labels_of_another_form_are_told(text: str) -> None:
    with pytest.raises(FabricError):
        parse_fabric("leaf", text)
