"""The taint of managed nodes, put on by the operator."""

from __future__ import annotations

from typing import Any

from rackplane.api.labels import MANAGED_TAINT
from rackplane.core.instructions import TaintNode
from rackplane.core.settings import MachineSettings
from tests.support.branching import Kill, killed_at
from tests.support.harness import GPU, Harness, facility

OURS = {"key": MANAGED_TAINT, "effect": "NoSchedule"}
OTHER = {"key": "example.com/slow", "value": "x", "effect": "NoExecute", "timeAdded": "2026-11-01T00:00:00Z"}
STRAY = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "stray"},
    "status": {"allocatable": {GPU: "4"}},
}


def untainted(*, taint_nodes: bool = True, **options: Any) -> Harness:
    """Four nodes of a rack, one of them with another taint, and one of no rack."""
    h = Harness(settings=MachineSettings(validate=True, taint_nodes=taint_nodes), **options)
    h.apply(*facility(racks=1), STRAY)
    for name in ("r1-n0", "r1-n1", "r1-n2", "r1-n3"):
        h.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": [OTHER] if name == "r1-n3" else None}})
    h.start_machine()
    return h


def taints(h: Harness) -> dict[str, list[dict[str, str]]]:
    return {n["metadata"]["name"]: n["spec"].get("taints", []) for n in h.cluster.store.items(("", "nodes"))}


ALL = {"r1-n0": [OURS], "r1-n1": [OURS], "r1-n2": [OURS], "r1-n3": [OTHER, OURS], "stray": []}


def test_nodes_of_racks_get_it_beside_what_they_have_and_gangs_start_there() -> None:
    h = untainted()
    h.settle()
    assert taints(h) == ALL
    h.job("train", slots=3, run=5)
    h.until(lambda: h.phase("job-train") == "Finished", seconds=60)
    h.restart_machine()
    assert [each for each in h._todo if isinstance(each, TaintNode)] == []


def test_nobody_is_tainted_unless_told_to() -> None:
    h = untainted(taint_nodes=False)
    h.settle()
    assert taints(h) == {name: [t for t in found if t != OURS] for name, found in ALL.items()}


def test_a_node_that_joins_its_rack_later_gets_it_then() -> None:
    h = untainted()
    h.settle()
    h.patch(
        "/api/v1/nodes/stray", {"metadata": {"labels": h.get("", "nodes", "r1-n0", "")["metadata"]["labels"]}}
    )
    h.settle()
    assert taints(h)["stray"] == [OURS]


def test_a_change_meanwhile_is_not_undone() -> None:
    h = untainted()
    while not any(isinstance(each, TaintNode) and each.name == "r1-n0" for each in h._todo):
        assert h.write() or h.deliver()
    h.patch("/api/v1/nodes/r1-n0", {"spec": {"taints": [OTHER]}})
    h.settle()
    h.advance(5)
    assert taints(h) == {**ALL, "r1-n0": [OTHER, OURS]}
    assert [f.reason for f in h.failures] == ["Conflict"]


def test_killed_at_any_write_every_node_has_it() -> None:
    def run(kill: Kill) -> Harness:
        h = untainted(kill=kill)
        h.settle()
        assert taints(h) == ALL
        return h

    assert killed_at(lambda number, moment: moment == "after", run) >= 4
