"""Volcano's HyperNodes: one tier is the NVLink domain, those above it are levels."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from rackplane.exchange.volcano import read
from tests.unit.exchange.reading import Outcome, parts, run


def hyper(name: str, tier: int | str, *members: dict[str, Any]) -> dict[str, Any]:
    spec = {"tier": tier, "members": list(members)}
    return {
        "apiVersion": "topology.volcano.sh/v1alpha1",
        "kind": "HyperNode",
        "metadata": {"name": name},
        "spec": spec,
    }


def member(kind: str, **selector: Any) -> dict[str, Any]:
    return {"type": kind, "selector": selector}


def named(name: str, kind: str = "Node") -> dict[str, Any]:
    return member(kind, exactMatch={"name": name})


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def imported(*bodies: dict[str, Any] | str, **options: Any) -> Outcome:
    texts = [yaml.safe_dump(body) if isinstance(body, dict) else body for body in bodies]
    return run(read, "---\n".join(texts), template=None, **options)


def test_the_example_becomes_domains_with_their_place_in_the_fabric() -> None:
    found = imported(*parts("volcano"))
    assert (found.errors, found.warnings) == ([], ["f1: document 6.spec.tierName: is not translated"])
    assert found.specs["NVLinkDomain s1"] == {
        "nodeSelector": {"rackplane.dev/nvlink-domain": "s1"},
        "fabricPath": [{"level": "leaf", "name": "leaf-a"}, {"level": "spine", "name": "root"}],
    }
    assert list(found.specs) == ["NVLinkDomain s0", "NVLinkDomain s1", "NVLinkDomain s2"]
    assert found.imported.labels["n4"] == {
        "rackplane.dev/nvlink-domain": "s2",
        "rackplane.dev/leaf": "leaf-b",
        "rackplane.dev/spine": "root",
    }


def test_patterns_and_labels_find_nodes_that_are_given() -> None:
    by_name = hyper("a", 1, member("Node", regexMatch={"pattern": "^gb-[0-9]$"}))
    by_label = hyper("b", "1", member("Node", labelMatch={"matchLabels": {"rack": "r2"}}))
    nodes = [node("gb-1"), node("gb-2"), node("gb-10"), node("x", rack="r2")]
    found = imported(by_name, by_label, *nodes)
    assert found.losses.found == []
    domains = {n: labels["rackplane.dev/nvlink-domain"] for n, labels in found.imported.labels.items()}
    assert domains == {"gb-1": "a", "gb-2": "a", "x": "b"}


def test_another_tier_may_be_the_domain_and_what_is_below_it_is_named() -> None:
    found = imported(
        hyper("t", 1, named("n")),
        hyper("d", 2, named("t", "HyperNode")),
        hyper("l", 3, named("d", "HyperNode")),
        nvlink_tier=2,
    )
    assert found.specs["NVLinkDomain d"]["fabricPath"] == [{"level": "leaf", "name": "l"}]
    assert found.warnings == [
        "f1: document 1.spec.tier: t is of tier 1, which is no level here, and is left out"
    ]


@pytest.mark.parametrize(
    ("bodies", "options", "error"),
    [
        ([node("n")], {}, "f1: kind: there is no HyperNode"),
        (
            [hyper("a", 2, named("n"))],
            {},
            "f1: spec.tier: no HyperNode is of tier 1 (--nvlink-tier); there are 2",
        ),
        ([hyper("a", "low", named("n"))], {}, "f1: spec.tier: input should be a valid integer"),
        (
            [hyper("a", 1, member("Node", regexMatch={"pattern": "x"}))],
            {},
            "f1: spec.members[0].selector: names nodes by what they are called or labelled: give the Nodes too",
        ),
        (
            [hyper("a", 1, member("Node", regexMatch={"pattern": "("})), node("n")],
            {},
            "f1: document 1.spec.members[0]",
        ),
        ([hyper("a", 1, member("Node"))], {}, "f1: spec.members[0].selector: has no exactMatch"),
        (
            [
                hyper(
                    "a",
                    1,
                    member("Node", labelMatch={"matchExpressions": [{"key": "k", "operator": "Exists"}]}),
                ),
                node("n"),
            ],
            {},
            "f1: document 1.spec.members[0].selector.labelMatch.matchExpressions: is not understood",
        ),
        (
            [hyper("a", 1, named("b", "HyperNode")), hyper("b", 1, named("a", "HyperNode"))],
            {},
            "f1: document 2.spec.members[0]: HyperNode a is a member of itself",
        ),
    ],
)
def test_what_cannot_be_read_is_an_error(bodies: list[dict[str, Any]], options: Any, error: str) -> None:
    assert imported(*bodies, **options).errors[0].startswith(error)


def test_members_that_are_not_there_and_domains_without_nodes_are_named() -> None:
    assert imported(hyper("a", 1, named("gone", "HyperNode"))).warnings == [
        "f1: spec.members[0]: there is no HyperNode gone",
        "f1: spec: a has no nodes that are known, and is left out",
    ]
