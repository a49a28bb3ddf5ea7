"""Every CEL rule of our CRDs was seen, on a real server, to let an object pass and to be the one that refuses one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rackplane.localcluster.schemas import celcheck
from tests.conformance import table
from tests.support.manifests import documents

CRDS = Path(__file__).parents[2] / "crds"


def _rules(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The place of each rule in an object (`[]`: any element), the rule, and the schema it belongs to."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path, rule, schema
    for name, child in schema.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _schema(crd: Path) -> dict[str, Any]:
    (version,) = documents(crd.read_text(encoding="utf-8"))[0]["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def _kind(crd: Path) -> str:
    return str(documents(crd.read_text(encoding="utf-8"))[0]["spec"]["names"]["kind"])


RULES = [
    pytest.param(_kind(crd), path, rule, schema, id=f"{_kind(crd)}: {path or 'root'}: {rule['rule']}")
    for crd in sorted(CRDS.glob("*.yaml"))
    for path, rule, schema in _rules(_schema(crd))
]


def _answers(kind: str) -> Iterator[tuple[Any, Any]]:
    """Body and answer of every recorded write of a kind."""
    for name, rows in table.load("our_crds").items():
        if name.startswith(f"{kind}: "):
            yield from ((row["request"].get("body"), row["answer"]) for row in rows)


def _reaches(value: Any, path: str) -> bool:
    """Whether an object has the place at which a rule is run."""
    if not path:
        return value is not None
    first, _, rest = path.partition(".")
    if first.endswith("[]"):
        return any(_reaches(item, rest) for item in (value or {}).get(first[:-2]) or ())
    return isinstance(value, dict) and first in value and _reaches(value[first], rest)


def _place(field: str) -> str:
    """A field of a cause without the numbers of list elements."""
    return "".join(
        "[]" if part.isdecimal() else part for part in field.replace("[", "\0").replace("]", "\0").split("\0")
    )


@pytest.mark.parametrize(("kind", "path", "rule", "schema"), RULES)
def test_a_real_server_was_seen_to_refuse_an_object_by_this_rule_alone(
    kind: str, path: str, rule: dict[str, Any], schema: dict[str, Any]
) -> None:
    where = f"{path}{rule.get('fieldPath', '')}".lstrip(".") or "<nil>"
    alone = [
        causes
        for _, answer in _answers(kind)
        if answer["code"] == 422 and len(causes := answer["object"]["causes"]) == 1
        if causes[0]["message"].endswith(rule["message"]) and _place(causes[0]["field"]) == where
    ]
    assert alone, f"no recorded object of {kind} is refused by this rule alone"


@pytest.mark.parametrize(("kind", "path", "rule", "schema"), RULES)
def test_a_real_server_was_seen_to_take_an_object_this_rule_was_run_over(
    kind: str, path: str, rule: dict[str, Any], schema: dict[str, Any]
) -> None:
    changes = celcheck.uses(rule["rule"], "oldSelf")
    taken = [
        body
        for body, answer in _answers(kind)
        if answer["code"] == (200 if changes else 201) and _reaches(body, path)
    ]
    assert taken, f"no recorded object of {kind} that was taken has {path or 'a root'}"


def test_there_are_rules() -> None:
    assert len(RULES) > 20
