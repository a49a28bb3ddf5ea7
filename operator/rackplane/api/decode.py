"""From a raw object, as the API server or a file gives it, to its model: or to words for people."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rackplane.api.base import API_VERSION, GROUP, RULE_ERROR, ApiModel, Resource, RuleBreach
from rackplane.api.gang import Gang
from rackplane.api.kinds import BY_KIND
from rackplane.api.problems import FieldProblem, show
from rackplane.api.schema import structural_schema

M = TypeVar("M", bound=Resource)


def decode(model: type[M], raw: object) -> M | list[FieldProblem]:
    """The object as a `model`, or everything that is wrong with it. Never raises.

    Holds every bound and every rule that the API server holds, for objects that were stored before a rule
    was, or come from elsewhere. `null` counts as absent, unknown fields are ignored; `apiVersion` and `kind`
    may be missing, as they are in the items of a list.

    A status that does not parse counts as empty: we write it and will write it again. Not so for a Gang,
    whose status is what its nodes are booked by.
    """
    if not isinstance(raw, Mapping):
        return [FieldProblem(model.info.kind, f"is {show(raw)}, not an object", "Write a Kubernetes object.")]
    try:
        body = _without_nulls(raw)
    except RecursionError:
        return [FieldProblem(model.info.kind, "is nested too deeply", "Write a Kubernetes object.")]
    problems = list(_header_problems(model, body))
    if problems:
        return problems
    body = {**body, "apiVersion": API_VERSION, "kind": model.info.kind}
    parsed = _parse(model, body)
    if isinstance(parsed, list) and model is not Gang and all(_in_status(problem) for problem in parsed):
        parsed = _parse(model, {key: value for key, value in body.items() if key != "status"})
    return parsed


def decode_any(raw: object) -> Resource | list[FieldProblem]:
    """Like `decode`, for an object that says its own kind."""
    kind = raw.get("kind") if isinstance(raw, Mapping) else None
    model = BY_KIND.get(kind) if isinstance(kind, str) else None
    if not isinstance(raw, Mapping):
        return [FieldProblem("object", f"is {show(raw)}, not an object", "Write a Kubernetes object.")]
    if model is None:
        what = "is missing" if kind is None else f"is {show(kind)}, which is no kind of {GROUP}"
        return [FieldProblem("kind", what, f"Write one of {', '.join(BY_KIND)}.")]
    return decode(model, raw)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value


def _header_problems(model: type[Resource], body: Mapping[str, Any]) -> Iterator[FieldProblem]:
    for field, wanted in (("apiVersion", API_VERSION), ("kind", model.info.kind)):
        if (found := body.get(field, wanted)) != wanted:
            yield FieldProblem(field, f"is {show(found)}", f"Write {wanted}.")


def _in_status(problem: FieldProblem) -> bool:
    return problem.where == "status" or problem.where.startswith(("status.", "status["))


def _parse(model: type[M], body: dict[str, Any]) -> M | list[FieldProblem]:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        return _unique(problem for detail in error.errors() for problem in _problems(model, detail))


def _unique(problems: Iterator[FieldProblem]) -> list[FieldProblem]:
    return list(dict.fromkeys(problems))


def _problems(model: type[Resource], detail: ErrorDetails) -> Iterator[FieldProblem]:
    where = _path(detail["loc"])
    if detail["type"] == RULE_ERROR:
        for breach in detail["ctx"]["breaches"]:
            yield _of_breach(breach, where)
        return
    if detail["type"] == "missing":
        schema = _schema_at(model, detail["loc"])
        siblings = detail["input"] if isinstance(detail["input"], Mapping) else {}
        yield FieldProblem(where, f"is missing{_slip(detail['loc'][-1], siblings)}", _remedy(schema))
        return
    # A key of a map is blamed as (..., key, "[key]"): the value at the key is fine.
    loc = detail["loc"][:-1] if detail["loc"] and detail["loc"][-1] == "[key]" else detail["loc"]
    schema = _schema_at(model, loc)
    yield FieldProblem(_path(loc), _what(detail), _remedy(schema))


def _of_breach(breach: RuleBreach, where: str) -> FieldProblem:
    path = f"{where}.{breach.field}" if where and breach.field else where or breach.field or "object"
    return FieldProblem(path, f"breaks a rule: {breach.message}", f"{breach.remedy}.")


def _what(detail: ErrorDetails) -> str:
    value = detail["input"]
    match detail["type"]:
        case "too_short" | "too_long":
            count = len(value) if isinstance(value, list | tuple | dict) else 0
            return f"has {count} {'entry' if count == 1 else 'entries'}"
        case "string_too_long":
            return f"has {len(value)} characters"
        case "string_pattern_mismatch" | "string_too_short":
            return f"is {show(value)}, which is not a valid name or text for it"
        case "enum" | "literal_error":
            return f"is {show(value)}, which is not one of the choices"
        case "int_type" | "int_from_float" | "int_parsing":
            return f"is {show(value)}, not a whole number"
        case "bool_type" | "bool_parsing":
            return f"is {show(value)}, neither true nor false"
        case "string_type":
            return f"is {show(value)}, not text"
        case "greater_than_equal" | "greater_than":
            return f"is {show(value)}, too small"
        case "less_than_equal" | "less_than":
            return f"is {show(value)}, too large"
        case _:
            return f"is {show(value)}, which does not fit"


def _slip(name: str | int, siblings: Mapping[Any, Any]) -> str:
    """The commonest cause of a missing field: it is there, with a typing error."""
    written = [key for key in siblings if isinstance(key, str)]
    close = difflib.get_close_matches(str(name), written, n=1, cutoff=0.75)
    return f' (there is "{close[0]}": a typing error?)' if close else ""


def _path(loc: tuple[str | int, ...]) -> str:
    path = ""
    for step in loc:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _schema_at(model: type[Resource], loc: tuple[str | int, ...]) -> Mapping[str, Any]:
    """The schema of the field at a path; empty where there is none (metadata)."""
    if not loc or loc[0] not in ("spec", "status"):
        return {}
    part = model.model_fields[str(loc[0])].annotation
    assert isinstance(part, type) and issubclass(part, ApiModel)
    schema: Mapping[str, Any] = structural_schema(part)
    for step in loc[1:]:
        if isinstance(step, int):
            schema = schema.get("items", {})
        else:
            schema = schema.get("properties", {}).get(step) or schema.get("additionalProperties") or {}
    return schema


def _remedy(schema: Mapping[str, Any]) -> str:
    wanted = f"Write {_expected(schema)}."
    meaning = schema.get("description")
    return f"{wanted} It means: {meaning}" if meaning else wanted


def _expected(schema: Mapping[str, Any]) -> str:
    match schema.get("type"):
        case "integer":
            lowest, highest = schema.get("minimum"), schema.get("maximum")
            if highest is None:
                return f"a whole number of at least {lowest}"
            return f"a whole number from {lowest} to {highest}"
        case "boolean":
            return "true or false"
        case "string" if "enum" in schema:
            return f"one of {', '.join(schema['enum'])}"
        case "string" if schema.get("format") == "date-time":
            return "a time such as 2026-11-21T17:00:00Z"
        case "string":
            form = f" of the form {schema['pattern']}" if "pattern" in schema else ""
            return f"text of at most {schema['maxLength']} characters{form}"
        case "array":
            return f"a list of {schema.get('minItems', 0)} to {schema['maxItems']} entries"
        case "object" if "additionalProperties" in schema:
            return f"a map of {schema.get('minProperties', 0)} to {schema['maxProperties']} entries"
        case "object":
            required = schema.get("required", [])
            return f"an object with {', '.join(required)}" if required else "an object"
        case _:
            return "what the API documentation says"
