"""Topologies of Kueue and KAI: labels in, settings and objects out; out again with the labels that nodes need."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.api.fabric import Fabric, fabric_of
from rackplane.core.discovery.template import read_template
from rackplane.exchange.leaving import Place, Site
from rackplane.exchange.losses import Losses
from rackplane.exchange.topologies import read, write
from tests.support.thorough import some
from tests.unit.exchange.reading import Outcome, parts, run

HOST = "kubernetes.io/hostname"
TEMPLATE = read_template("limitWatts: 132000\nfeeds: [{powerDomain: a, weight: 1}]", partial=True)


def topology(*labels: str, group: str = "kueue.x-k8s.io/v1beta2", name: str = "t") -> dict[str, Any]:
    levels = [{"nodeLabel": label} for label in labels]
    return {"apiVersion": group, "kind": "Topology", "metadata": {"name": name}, "spec": {"levels": levels}}


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def imported(*bodies: Any, template: Any = None, **options: Any) -> Outcome:
    return run(read, *bodies, template=template, **options)


def test_the_example_becomes_settings_domains_and_racks() -> None:
    found = imported(*parts("kueue"), template=TEMPLATE)
    assert (found.errors, found.warnings) == ([], [])
    assert found.imported.settings == {
        "fabricLevels": ["nvlink", "leaf", "pod", "hall", "site"],
        "fabricLabels": {
            "nvlink": ["cloud.provider.com/topology-rack"],
            "leaf": ["cloud.provider.com/topology-block"],
            "pod": ["example.com/pod"],
        },
    }
    assert found.specs["NVLinkDomain r3"] == {
        "nodeSelector": {"cloud.provider.com/topology-rack": "r3"},
        "fabricPath": [{"level": "leaf", "name": "b2"}, {"level": "pod", "name": "p1"}],
    }
    assert found.specs["Rack r3"] == {
        "limitWatts": 132_000,
        "feeds": [{"powerDomain": "a", "weight": 1, "role": "Active"}],
        "profile": "gb300-nvl72",
        "expectedNodes": 2,
        "nodeSelector": {"cloud.provider.com/topology-rack": "r3"},
    }
    assert len(found.specs) == 8


@pytest.mark.parametrize("group", ["kueue.x-k8s.io/v1beta1", "kai.scheduler/v1alpha1"])
def test_labels_that_are_known_keep_their_levels(group: str) -> None:
    labels = (
        "topology.k8s.aws/network-node-layer-2",
        "topology.k8s.aws/network-node-layer-3",
        "nvidia.com/gpu.clique",
    )
    found = imported(topology(*labels, HOST, group=group))
    assert found.imported.settings["fabricLevels"] == ["nvlink", "leaf", "spine", "hall", "site"]
    assert found.warnings == [
        "f1: spec.levels: there are no Nodes beside it, so no Rack and no NVLinkDomain is made"
    ]


def test_without_a_label_that_is_known_the_innermost_is_the_domain_and_that_is_told() -> None:
    found = imported(topology("example.com/zone", "example.com/cell", HOST))
    assert found.imported.settings["fabricLevels"] == ["nvlink", "zone", "hall", "site"]
    assert found.warnings[0] == (
        "f1: spec.levels: example.com/cell is taken for the NVLink domain, as the innermost (--nvlink-label names "
        "another)"
    )
    found = imported(topology("example.com/zone", "example.com/cell", HOST), nvlink_label="example.com/zone")
    assert found.imported.settings["fabricLevels"] == ["cell", "nvlink", "hall", "site"]


@pytest.mark.parametrize(
    ("bodies", "options", "error"),
    [
        ((node("n"),), {}, "f1: kind: there is no Topology"),
        ((topology(HOST),), {}, "f1: spec.levels: there is no level above the host"),
        ((topology("a.b/c"),), {"nvlink_label": "x.y/z"}, "f1: spec.levels: no level has the label x.y/z"),
        ((topology("no label"),), {}, "f1: spec.levels: 'no label' is neither a node label"),
        (
            (topology(*(f"a.b/l{i}" for i in range(11))),),
            {},
            "f1: spec.levels: there are 11 levels, and 9 are the most",
        ),
        (({"kind": "Topology", "apiVersion": "v1", "spec": {}},), {}, "f1: spec.levels: field required"),
    ],
)
def test_what_cannot_be_used_is_an_error(bodies: Any, options: Any, error: str) -> None:
    assert imported(*bodies, **options).errors[0].startswith(error)


def test_further_topologies_and_other_objects_are_named() -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job"}
    warnings = imported(topology("a.b/nvl"), topology("a.b/rack", name="other"), job).warnings
    assert "f2: spec.levels: Topology other is left out: the operator has one set of levels" in warnings
    assert "f3: the file: Job is no Topology and no Node" in warnings


# -- out, and back -----------------------------------------------------------------------------------


def test_labels_that_nodes_have_are_taken_and_others_are_asked_for() -> None:
    leaf = "fabric.topograph.run/tier-0"
    places = tuple(
        Place(f"n{i}", "r", f"d{i // 2}", {"leaf": f"l{i // 4}", "spine": "s"}, {leaf: f"LEAF-{i // 4}"})
        for i in range(8)
    )
    losses = Losses()
    body, labels = write(Site(fabric_of(), nodes=places), losses, name="gpu")
    assert body == topology("rackplane.dev/spine", leaf, "rackplane.dev/nvlink-domain", HOST, name="gpu")
    assert labels["n5"] == {"rackplane.dev/spine": "s", "rackplane.dev/nvlink-domain": "d2"}
    assert losses.found == []


def test_a_level_on_which_not_every_node_is_is_left_out_and_named() -> None:
    places = (Place("a", "r", "d", {"leaf": "l"}, {}), Place("b", "r", "d", {}, {}))
    losses = Losses()
    body, _ = write(Site(fabric_of(), nodes=places), losses, whose="kai")
    assert body == topology(
        "rackplane.dev/nvlink-domain", HOST, group="kai.scheduler/v1alpha1", name="rackplane"
    )
    assert [str(loss) for loss in losses.found] == [
        "level leaf: nodes: 1 of 2 nodes are in none (b), so the level is left out"
    ]


@st.composite
def fabrics(draw: st.DrawFn) -> Site:
    """Nodes in domains, domains in leaves, leaves in spines; every node on every level."""
    spines = draw(st.lists(st.integers(0, 2), min_size=1, max_size=4))
    leaves = draw(st.lists(st.integers(0, len(spines) - 1), min_size=1, max_size=6))
    nodes = draw(st.lists(st.integers(0, len(leaves) - 1), min_size=2, max_size=12))
    return Site(
        fabric_of(("leaf", "spine")),
        nodes=tuple(
            Place(
                f"n{i}",
                "r",
                f"d{domain}",
                {"leaf": f"l{leaves[domain]}", "spine": f"s{spines[leaves[domain]]}"},
                {},
            )
            for i, domain in enumerate(nodes)
        ),
    )


@settings(max_examples=some(60), deadline=None)
@given(fabrics())
def test_levels_and_domains_come_back_as_they_went(before: Site) -> None:
    body, labels = write(before, Losses())
    nodes = [node(name, **of) for name, of in labels.items()]
    found = run(
        read,
        yaml.safe_dump_all([body, *nodes]),
        template=None,
        fabric=Fabric(outer=("leaf", "spine", "hall", "site")),
    )
    assert found.errors == []
    path = {
        place.domain: [{"level": level, "name": place.above[level]} for level in ("leaf", "spine")]
        for place in before.nodes
    }
    assert found.specs == {
        f"NVLinkDomain {domain}": {
            "nodeSelector": {"rackplane.dev/nvlink-domain": domain},
            "fabricPath": steps,
        }
        for domain, steps in path.items()
    }
