"""The rules of our CRDs keep to the part of CEL that means the same to the API server and to the package we run."""

from collections.abc import Iterator
from typing import Any

import pytest

from rackplane.api.base import CEL_VOCABULARY
from rackplane.api.kinds import KINDS
from rackplane.localcluster.schemas import celcheck
from rackplane.localcluster.schemas.celsyntax import Node, parse
from tests.unit.api.judge import root_schema

SPEC: dict[str, Any] = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "text": {"type": "string", "maxLength": 9},
        "at": {"type": "string", "format": "date-time"},
        "list": {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 9}},
        "set": {
            "type": "array",
            "maxItems": 3,
            "items": {"type": "string", "maxLength": 9},
            "x-kubernetes-list-type": "set",
        },
        "endless": {"type": "array", "items": {"type": "string", "maxLength": 9}},
    },
}


def outside(rule: str, schema: dict[str, Any]) -> list[str]:
    """What of a rule is outside the vocabulary, in words."""
    return list(_outside(parse(rule), schema, root=True))


def _outside(node: Node, schema: dict[str, Any], *, root: bool = False) -> Iterator[str]:
    parts = (*node.args, *((node.target,) if node.target is not None else ()))
    if node.kind in ("call", "list", "map", "index") and node.name not in CEL_VOCABULARY:
        yield node.name or node.kind
    if node.name == "size" and node.kind == "call":
        place = _schema_at(parts[0], schema)
        if place is None or place.get("type") == "string":
            yield "size of a string"
    if node.kind == "select" and (_schema_at(node, schema) or {}).get("format") == "date-time":
        yield "a time as text"
    if node.name in ("_==_", "_!=_"):
        for part in parts:
            if (_schema_at(part, schema) or {}).get("x-kubernetes-list-type") in ("set", "map"):
                yield "comparison of lists without order"
    if node.name in ("all", "exists", "exists_one") and node.target is not None:
        place = _schema_at(node.target, schema)
        if place is not None and "maxItems" not in place:
            yield "a loop without end"
    for part in parts:
        tested = node.name in ("timestamp", "has") and part.kind == "select"
        yield from _outside(part.target if tested and part.target else part, schema)


def _schema_at(node: Node, schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of `self.a.b`; None for anything else, as what a loop runs over."""
    if node.kind == "ident":
        return schema if node.name in ("self", "oldSelf") else None
    if node.kind != "select" or node.target is None:
        return None
    around = _schema_at(node.target, schema)
    found: dict[str, Any] | None = ((around or {}).get("properties") or {}).get(node.name)
    return found


def _rules(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield rule["rule"], schema
    for child in (*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])):
        yield from _rules(child)


@pytest.mark.parametrize(
    ("rule", "schema"),
    [
        pytest.param(rule, schema, id=f"{model.info.kind}: {rule}")
        for model in KINDS
        for rule, schema in _rules(root_schema(model.info.kind))
    ],
)
def test_our_rules_keep_to_the_vocabulary_and_compile(rule: str, schema: dict[str, Any]) -> None:
    assert outside(rule, schema) == []
    whole = "metadata" in schema.get("properties", {})
    assert celcheck.check(rule, schema, root=whole, optional_old=False, wanted="bool") == ""


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("self.n > 1 && has(self.at) && timestamp(self.at) > timestamp('2026-01-01T00:00:00Z')", []),
        ("self.list.all(x, x != 'a') || size(self.list) == 0", []),
        ("self.text.matches('a+')", ["matches"]),
        ("self.text.lowerAscii() == 'a'", ["lowerAscii"]),
        ("size(self.text) > 1", ["size of a string"]),
        ("self.at > timestamp('2026-01-01T00:00:00Z')", ["a time as text"]),
        ("self.set == oldSelf.set", ["comparison of lists without order"] * 2),
        ("self.endless.exists(x, x == 'a')", ["a loop without end"]),
        ("self.list[0] == 'a'", ["_[_]"]),
        ("self.n in [1, 2]", ["@in", "list"]),
        ("self.n % 2 == 0", ["_%_"]),
        ("quantity('1') == quantity('2')", ["quantity", "quantity"]),
    ],
)
def test_what_is_outside_is_found(rule: str, found: list[str]) -> None:
    assert outside(rule, SPEC) == found
