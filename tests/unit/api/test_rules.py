"""The schema and the CEL rules of the CRDs, over tables of objects; `decode` must agree with them."""

from typing import Any

import pytest
from pydantic import BaseModel

from rackplane.api.base import ApiModel
from rackplane.api.decode import decode, decode_any
from rackplane.api.kinds import BY_KIND, KINDS
from tests.unit.api.cases import BAD, GOOD, Case, change, valid
from tests.unit.api.judge import judge, root_schema, run_rules, with_defaults


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_good_objects_are_accepted_by_both(case: Case) -> None:
    obj = case.build()
    assert judge(obj) == []
    assert isinstance(decode_any(obj), BY_KIND[case.kind])


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_bad_objects_are_refused_by_both(case: Case) -> None:
    obj = case.build()
    assert judge(obj), "the API server would take it"
    problems = decode_any(obj)
    assert isinstance(problems, list), "decode takes it"
    assert case.blamed in {problem.where for problem in problems}
    for problem in problems:
        assert problem.what
        assert problem.remedy.endswith(".")


def _rules_of(schema: dict[str, Any]) -> set[str]:
    found = {rule["rule"] for rule in schema.get("x-kubernetes-validations", [])}
    for child in (*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])):
        found |= _rules_of(child)
    return found


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.info.kind)
def test_every_rule_is_seen_to_hold_and_to_fail(model: type[Any]) -> None:
    kind = model.info.kind
    schema = root_schema(kind)
    outcomes: dict[str, set[bool]] = {rule: set() for rule in _rules_of(schema) if "oldSelf" not in rule}
    for case in (*GOOD, *BAD):
        if case.kind == kind and not _breaks_the_schema(case):
            for _, rule, held in run_rules(schema, with_defaults(schema, case.build())):
                outcomes[rule["rule"]].add(held)
    assert all(seen == {True, False} for seen in outcomes.values()), outcomes


def _breaks_the_schema(case: Case) -> bool:
    return any(refusal.rule is None for refusal in judge(case.build()))


def _models(model: type[BaseModel]) -> set[type[ApiModel]]:
    found: set[type[ApiModel]] = set()
    waiting: list[Any] = [model]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, ApiModel) and kind not in found:
            found.add(kind)
            waiting += [field.annotation for field in kind.model_fields.values()]
        else:
            waiting += getattr(kind, "__args__", ())
    return found


def test_every_rule_but_transitions_is_held_in_python_too() -> None:
    rules = [rule for model in KINDS for part in _models(model) for rule in part.rules]
    assert len(rules) > 15
    for rule in rules:
        assert (rule.check is None) == ("oldSelf" in rule.cel)
        assert not rule.remedy.endswith(".")
        assert not rule.message.endswith(".")


def test_the_workload_of_a_gang_cannot_change() -> None:
    before, same, other = valid("Gang"), valid("Gang"), valid("Gang")
    change(same, "spec.slots", 8)
    change(other, "spec.workload.uid", "another")
    assert judge(same, before) == []
    (refusal,) = judge(other, before)
    assert refusal.path == "spec.workload"
    assert refusal.message.startswith("the workload of a gang cannot change")
    assert judge(other) == [], "creating it is fine"


@pytest.mark.parametrize(
    "case", [case for case in GOOD if case.name != "unknown field"], ids=lambda case: case.id
)
def test_what_is_decoded_and_written_again_means_the_same(case: Case) -> None:
    model = BY_KIND[case.kind]
    first = decode(model, case.build())
    assert not isinstance(first, list)
    written = first.to_dict()
    assert judge(written) == []
    assert decode(model, written) == first


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_the_api_servers_defaults_are_the_models_defaults(case: Case) -> None:
    model = BY_KIND[case.kind]
    assert decode(model, with_defaults(root_schema(case.kind), case.build())) == decode(model, case.build())
