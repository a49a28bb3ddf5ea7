"""Preemption: who makes way, and who is spared."""

from __future__ import annotations

from typing import Any

from rackplane.localcluster.scheduling.filters import Fit
from rackplane.localcluster.scheduling.nodes import NodeInfo, requests
from rackplane.localcluster.scheduling.others import Neighbours
from rackplane.localcluster.scheduling.preemption import Search, search


def pod(name: str, cpu: int, priority: int = 0, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"priority": priority, "containers": [{"resources": {"requests": {"cpu": str(cpu)}}}]},
        "status": {"startTime": "2026-01-01T00:00:00Z"},
    }


def node(name: str, cpu: int, *pods: dict[str, Any]) -> NodeInfo:
    info = NodeInfo(name)
    info.read({"metadata": {"name": name}, "status": {"allocatable": {"cpu": str(cpu), "pods": "10"}}})
    for other in pods:
        info.add(("default", other["metadata"]["name"]), other, requests(other))
    return info


def found(incoming: dict[str, Any], *nodes: NodeInfo, budgets: tuple[dict[str, Any], ...] = ()) -> Search:
    fit = Fit(incoming, Neighbours(incoming, (), {}), {})
    return search(incoming, nodes, 0, lambda changed: fit, list(budgets))


def names(result: Search) -> tuple[str, list[str]]:
    assert result.best is not None
    return result.best.node, [other["metadata"]["name"] for other in result.best.pods]


def test_no_more_pods_go_than_must() -> None:
    crowded = node("a", 4, pod("small", 1), pod("large", 3))
    assert names(found(pod("new", 3, 10), crowded)) == ("a", ["large"])


def test_the_least_important_go() -> None:
    crowded = node("a", 4, pod("important", 2, 5), pod("minor", 2, 1))
    assert names(found(pod("new", 2, 10), crowded)) == ("a", ["minor"])


def test_the_node_whose_victims_matter_least_is_chosen() -> None:
    a, b = node("a", 2, pod("high", 2, 5)), node("b", 2, pod("low-1", 1, 1), pod("low-2", 1, 1))
    assert names(found(pod("new", 2, 10), a, b)) == ("b", ["low-1", "low-2"])


def test_a_budget_is_broken_only_where_nothing_else_helps() -> None:
    budget = {
        "metadata": {"name": "keep", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "kept"}}},
        "status": {"disruptionsAllowed": 0},
    }
    crowded = node("a", 2, pod("kept", 1, app="kept"), pod("free", 1))
    assert names(found(pod("new", 1, 10), crowded, budgets=(budget,))) == ("a", ["free"])
    alone = node("a", 2, pod("kept", 2, app="kept"))
    broken = found(pod("new", 1, 10), alone, budgets=(budget,))
    assert broken.best is not None
    assert (names(broken), broken.best.violations) == (("a", ["kept"]), 1)


def test_equals_do_not_make_way() -> None:
    result = found(pod("new", 1, 5), node("a", 1, pod("same", 1, 5)))
    assert result.best is None
    assert dict(result.reasons) == {"No preemption victims found for incoming pod": 1}


def test_a_node_too_small_even_when_empty_says_so() -> None:
    result = found(pod("new", 5, 5), node("a", 4, pod("low", 1)))
    assert (result.best, dict(result.reasons)) == (None, {"Insufficient cpu": 1})
