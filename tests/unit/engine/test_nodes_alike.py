"""A gang's nodes by what they are used for: kept, and counted anew where anything of it has changed."""

from __future__ import annotations

from dataclasses import replace

from rackplane.engine.state import State
from tests.support.halls import gang, hall, idle


def told(state: State) -> list[tuple[int, int, int, int]]:
    """GPUs of the node that gangs hold and that are free, this gang's, and how many such nodes there are."""
    return [(use.booked, use.free, gpus, count) for use, gpus, count in state.nodes_alike("a")]


def test_whatever_happens_on_its_nodes_is_told() -> None:
    state = idle(hall(["ab", "cd"]))
    state.book("a", replace(gang("row-ab", 3), gpus_per_slot=2), force=True)
    assert told(state) == told(state) == [(2, 2, 2, 3)]
    with state.simulation():
        state.book("b", replace(gang("row-ab", 1), gpus_per_slot=2), force=True)
        assert told(state) == [(4, 0, 2, 1), (2, 2, 2, 2)]
    assert told(state) == [(2, 2, 2, 3)]
    state.set_unmanaged("row-ab-03", 1)
    assert told(state) == [(2, 2, 2, 2), (2, 1, 2, 1)]
    node = state.node("row-ab-01")
    assert node is not None
    state.remove_node(node.name)
    assert told(state) == [(2, 2, 2, 1), (2, 1, 2, 1)]
    state.set_node(replace(node, rack="row-cd"))
    assert [use.rack for use, _, _ in state.nodes_alike("a")] == [1, 0, 0]
    state.set_node(node)
    state.release("a", [2])
    assert told(state) == [(2, 2, 2, 2)]
    with state.simulation():
        state.release("a")
        assert told(state) == []
    assert told(state) == [(2, 2, 2, 2)]
    state.release("a")
    assert told(state) == []
