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


def test_counted_as_the_gang_comes_and_kept_whatever_comes_beside_it() -> None:
    state = idle(hall(["ab", "cd"]))
    state.book("a", replace(gang("row-ab", 2), gpus_per_slot=2), force=True)
    kept = state.nodes_alike("a")
    assert told(state) == [(2, 2, 2, 2)]
    beside = replace(gang("row-ab", 1), slots=("row-ab-03",))
    state.book("b", beside, force=True)
    assert state.nodes_alike("a") is kept
    state.release("b")
    assert state.nodes_alike("a") is kept
    with state.simulation():
        state.release("a")
        state.book("c", replace(gang("row-ab", 3), gpus_per_slot=1), force=True)
    assert told(state) == [(2, 2, 2, 2)]
    with state.simulation():
        state.book("c", replace(gang("row-ab", 3), gpus_per_slot=1), force=True)
        assert told(state) == [(3, 1, 2, 1), (3, 1, 2, 1)]
        state.validate()
        state.release("a")
        assert told(state) == []
    assert told(state) == [(2, 2, 2, 2)]
    state.validate()


def test_counted_where_slots_without_gpus_and_other_gangs_are_on_its_nodes() -> None:
    state = idle(hall(["ab"]))
    state.book("b", replace(gang("row-ab", 1), gpus_per_slot=1), force=True)
    nodes = ("row-ab-01", "row-ab-02", "row-ab-03")
    state.book("a", replace(gang("row-ab", 3), slots=nodes, slot_gpus=(2, 2, 0)), force=True)
    state.validate()
    assert told(state) == [(3, 1, 2, 1), (2, 2, 2, 1)]
    state.release("b")
    assert told(state) == [(2, 2, 2, 2)]
    state.validate()
