"""What a Kubernetes API server does with an object and its CRD: fill in defaults, then refuse what breaks the
schema, a list type or a CEL rule. Small, but over the generated YAML and nothing else."""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import cel
import jsonschema

from rackplane.api.crd import crd
from rackplane.api.kinds import BY_KIND


@dataclass(frozen=True)
class Refusal:
    """One reason to refuse an object; `rule` is the CEL rule, if it is one."""

    path: str
    message: str
    rule: str | None = None


@cache
def root_schema(kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = crd(BY_KIND[kind])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def judge(obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[Refusal]:
    """Everything the API server would say against creating `obj`, or against changing `old` into it."""
    schema = root_schema(obj["kind"])
    obj = with_defaults(schema, obj)
    refusals = [*_schema_refusals(schema, obj), *_list_refusals(schema, obj, "")]
    # As the API server: rules are not run over an object that does not even have the right types.
    if refusals:
        return refusals
    old = None if old is None else with_defaults(schema, old)
    return [
        Refusal(path, rule["message"], rule["rule"])
        for path, rule, held in run_rules(schema, obj, old)
        if not held
    ]


def with_defaults(schema: dict[str, Any], value: Any) -> Any:
    value = copy.deepcopy(value)
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if name not in value and "default" in child:
                value[name] = copy.deepcopy(child["default"])
            if name in value:
                value[name] = with_defaults(child, value[name])
    elif isinstance(value, list) and "items" in schema:
        value = [with_defaults(schema["items"], item) for item in value]
    return value


def run_rules(
    schema: dict[str, Any], value: Any, old: Any = None, path: str = ""
) -> Iterator[tuple[str, dict[str, str], bool]]:
    """Every rule at every place it applies to: path, rule, whether it holds."""
    for rule in schema.get("x-kubernetes-validations", []):
        transition = "oldSelf" in rule["rule"]
        if transition and old is None:
            continue
        known = {"self": value, "oldSelf": old} if transition else {"self": value}
        # Of Kubernetes' own library, which the evaluator does not have.
        context = cel.Context(variables=known, functions={"sum": sum})
        yield path, rule, cel.evaluate(rule["rule"], context) is True
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if name in value:
                before = old.get(name) if isinstance(old, dict) else None
                yield from run_rules(child, value[name], before, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from run_rules(schema["items"], item, None, f"{path}[{index}]")


_formats = jsonschema.FormatChecker(formats=())


@_formats.checks("date-time")
def _is_time(text: object) -> bool:
    return not isinstance(text, str) or bool(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    )


def _schema_refusals(schema: dict[str, Any], obj: dict[str, Any]) -> Iterator[Refusal]:
    for error in jsonschema.Draft202012Validator(schema, format_checker=_formats).iter_errors(obj):
        yield Refusal(error.json_path.removeprefix("$."), error.message)


def _list_refusals(schema: dict[str, Any], value: Any, path: str) -> Iterator[Refusal]:
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if name in value:
                yield from _list_refusals(child, value[name], f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        keys = schema.get("x-kubernetes-list-map-keys")
        if "x-kubernetes-list-type" in schema:
            seen = [tuple(item.get(key) for key in keys) if keys else item for item in value]
            if len(set(seen)) < len(seen):
                yield Refusal(path, "Duplicate value")
        for index, item in enumerate(value):
            yield from _list_refusals(schema["items"], item, f"{path}[{index}]")
