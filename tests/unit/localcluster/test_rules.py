"""CEL rules of a schema where the same values come again and again."""

from __future__ import annotations

from rackplane.localcluster.schemas.rules import Rules
from rackplane.localcluster.schemas.values import Schema


def schema(rule: str) -> Schema:
    return {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": rule}],
    }


def test_what_keeps_a_rule_keeps_it_again_and_what_breaks_it_breaks_it_each_time() -> None:
    rules = Rules(schema("self.a < 5"))
    found = [[cause.message for cause in rules.check({"a": a})] for a in (1, 7, 1, 7)]
    broken = ["Invalid value: failed rule: self.a < 5"]
    assert found == [[], broken, [], broken]


def test_a_rule_on_the_old_value_is_asked_each_time() -> None:
    rules = Rules(schema("self.a >= oldSelf.a"))
    found = [[cause.message for cause in rules.check({"a": 3}, {"a": old})] for old in (2, 4, 2)]
    assert found == [[], ["Invalid value: failed rule: self.a >= oldSelf.a"], []]
