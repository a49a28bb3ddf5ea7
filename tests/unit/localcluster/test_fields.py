"""Sets of fields, and how typed values compare and merge: laws that hold for all values, and the order of lists."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackplane.localcluster.fields.sets import EMPTY, FieldSet, shown
from rackplane.localcluster.fields.types import Type, builtin_type, custom_type
from rackplane.localcluster.fields.values import compare, fields_of, merge, without

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "map": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
        "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "plain": {"type": "array", "items": {"type": "string"}},
        "free": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
TYPE: Type = custom_type(SCHEMA)
NAMES = st.sampled_from("abcd")
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "map": st.dictionaries(NAMES, st.integers(0, 2), min_size=1).map(
            lambda found: [{"name": name, "n": n} for name, n in found.items()]
        ),
        "set": st.lists(NAMES, unique=True, min_size=1),
        "plain": st.lists(NAMES, min_size=1),
        "free": st.dictionaries(NAMES, NAMES, min_size=1),
    },
)
SETS = VALUES.map(lambda value: fields_of(TYPE, value))


@given(SETS, SETS)
def test_union_intersection_and_difference_agree(left: FieldSet, right: FieldSet) -> None:
    members = [set(fields.paths()) for fields in (left, right)]
    assert set((left | right).paths()) == members[0] | members[1]
    assert set((left & right).paths()) == members[0] & members[1]
    assert set((left - right).paths()) == members[0] - members[1]


@given(SETS)
def test_a_set_is_read_as_it_is_written(fields: FieldSet) -> None:
    assert FieldSet.read(fields.wire()) == fields


@given(VALUES, VALUES)
def test_what_differs_one_way_differs_the_other_way_round(one: dict[str, Any], two: dict[str, Any]) -> None:
    there, back = compare(TYPE, one, two), compare(TYPE, two, one)
    assert (there.added, there.removed, there.modified) == (back.removed, back.added, back.modified)
    # The order of a list that is a map or a set makes no field differ.
    assert compare(TYPE, one, one).same


@given(VALUES, VALUES)
def test_merging_sets_every_field_of_the_configuration(live: dict[str, Any], config: dict[str, Any]) -> None:
    merged = merge(TYPE, live, config)
    difference = compare(TYPE, config, merged)
    assert not (fields_of(TYPE, config) & difference.modified) and not difference.removed
    assert merge(TYPE, merged, config) == merged


@given(VALUES)
def test_a_value_without_its_fields_has_none(value: dict[str, Any]) -> None:
    assert fields_of(TYPE, without(TYPE, value, fields_of(TYPE, value))) & fields_of(TYPE, value) == EMPTY


@pytest.mark.parametrize(
    ("live", "config", "merged"),
    [
        pytest.param("ab", "c", "abc", id="new-ones-at-the-end"),
        pytest.param("abc", "ca", "bca", id="the-order-applied-wins"),
        pytest.param("abcd", "xc", "abxcd", id="new-ones-before-what-follows-them"),
    ],
)
def test_elements_keep_the_order_of_both_lists(live: str, config: str, merged: str) -> None:
    assert merge(TYPE, {"set": list(live)}, {"set": list(config)}) == {"set": list(merged)}


def test_a_path_is_shown_as_messages_have_it() -> None:
    pod = builtin_type("", "v1", "Pod")
    ports = [{"containerPort": 80, "protocol": "UDP"}]
    value = {"spec": {"containers": [{"name": "a", "ports": ports}]}, "metadata": {"finalizers": ["f"]}}
    paths = {shown(path) for path in fields_of(pod, value).paths()}
    assert {
        '.metadata.finalizers[="f"]',
        '.spec.containers[name="a"].ports[containerPort=80,protocol="UDP"].protocol',
    } <= paths
