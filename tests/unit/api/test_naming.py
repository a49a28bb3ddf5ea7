"""Names that others gave, as Kubernetes takes them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackplane.api.naming import hashed, is_label_value, label_value, object_name


@pytest.mark.parametrize(
    ("text", "value"),
    # From the tables of the FNV authors, http://www.isthe.com/chongo/tech/comp/fnv/.
    [("", "xcbf29ce484222325"), ("a", "xaf63dc4c8601ec8c"), ("foobar", "x85944171f73967e8")],
)
def test_the_hash_is_fnv_1a(text: str, value: str) -> None:
    assert hashed(text) == value


@given(st.text(max_size=300))
def test_every_text_gives_a_name_and_a_value_that_kubernetes_takes(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", object_name(text))
    assert len(object_name(text)) <= 253
    assert is_label_value(label_value(text))


@given(st.text(max_size=80))
def test_what_is_a_value_stays_as_it_is(text: str) -> None:
    assert not is_label_value(text) or label_value(text) == text
