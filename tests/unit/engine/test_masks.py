"""A mask that differs from another on some nodes is one object that follows both."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.nodes.masks import NodeMask, Variant
from tests.support.thorough import some

NODES = tuple("abcd")
SLOTS = st.dictionaries(st.sampled_from(NODES), st.integers(0, 2))


@settings(max_examples=some(100), deadline=None)
@given(SLOTS, st.lists(st.tuples(SLOTS, SLOTS), max_size=4))
def test_a_variant_is_the_mask_as_it_is_but_where_it_was_told_otherwise(
    slots: dict[str, int], steps: list[tuple[dict[str, int], dict[str, int]]]
) -> None:
    base = NodeMask(slots)
    variant = Variant(base)
    mask = variant.with_slots({})
    for moved, differing in steps:
        for node, count in moved.items():
            base.set(node, count)
        before, position = {node: mask.get(node) for node in NODES}, mask.position
        assert variant.with_slots(differing) is mask
        after = {node: mask.get(node) for node in NODES}
        assert after == {**{node: base.get(node) for node in NODES}, **differing}
        assert set(mask.changes(position) or ()) == {node for node in NODES if before[node] != after[node]}


def test_a_variant_is_made_anew_where_too_much_of_the_mask_has_changed_to_be_remembered() -> None:
    base = NodeMask({"a": 1})
    variant = Variant(base)
    variant.with_slots({"b": 1})
    for turn in range(10_000):
        base.set("a", turn % 2)
    base.set("c", 3)
    assert variant.with_slots({"d": 4}).as_dict() == {"a": 1, "c": 3, "d": 4}
