"""Structural schemas of custom resources: pruning, defaulting, validation, CEL rules.

Wording follows the apiextensions-apiserver. CEL runs in the `common-expression-language` package, which knows the
standard subset only: a rule that uses a Kubernetes library function is refused when its CRD is created.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import cel

from .errors import Cause, duplicate_value, invalid_value, required, show, unsupported_value
from .objects import Obj, clone

Schema = dict[str, Any]

#: Words a property name must not be in CEL; such a property is reached as `__word__`.
_RESERVED = frozenset(
    {
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    }
)
_META = ("apiVersion", "kind", "metadata")


def prune(schema: Schema, value: Any, path: str = "", *, root: bool = True) -> list[str]:
    """Remove fields the schema does not know, in place; returns their paths."""
    if schema.get("x-kubernetes-preserve-unknown-fields") and "properties" not in schema:
        return []
    removed: list[str] = []
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        keep = schema.get("x-kubernetes-preserve-unknown-fields")
        for key in list(value):
            where = f"{path}.{key}" if path else key
            if root and key in _META:
                continue
            if key in properties:
                removed += prune(properties[key], value[key], where, root=False)
            elif isinstance(extra, dict):
                removed += prune(extra, value[key], where, root=False)
            elif not keep and extra is not True:
                del value[key]
                removed.append(where)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            removed += prune(schema["items"], item, f"{path}[{index}]", root=False)
    return removed


def default(schema: Schema, value: Any) -> None:
    """Fill in schema defaults, in place. A null for a defaulted field that is not nullable counts as absent."""
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        for key, child in properties.items():
            if key in value and value[key] is None and not child.get("nullable"):
                del value[key]
            if key not in value and "default" in child:
                value[key] = clone(child["default"])
            if key in value:
                default(child, value[key])
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            for key, item in value.items():
                if key not in properties:
                    default(extra, item)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            default(schema["items"], item)


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "null" if value is None else "object"


def _has_type(wanted: str, value: Any) -> bool:
    actual = _type_of(value)
    if wanted == "number":
        return actual in ("number", "integer")
    if wanted == "integer" and actual == "number":
        return bool(value.is_integer())
    return actual == wanted


def _same(left: Any, right: Any) -> bool:
    """Equality as JSON has it: true is not 1."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def validate(schema: Schema, value: Any, path: str = "") -> list[Cause]:
    """Everything in `value` that breaks the schema, CEL rules apart."""
    if value is None and schema.get("nullable"):
        return []
    if schema.get("x-kubernetes-int-or-string"):
        if _type_of(value) in ("integer", "string"):
            return []
        return [_wrong_type(path, "integer,string", value)]
    wanted = schema.get("type")
    if wanted and not _has_type(wanted, value):
        return [_wrong_type(path, wanted, value)]
    causes = []
    if "enum" in schema and not any(_same(value, option) for option in schema["enum"]):
        causes.append(unsupported_value(path, value, schema["enum"]))
    if isinstance(value, bool):
        pass
    elif isinstance(value, (int, float)):
        causes += _number(schema, value, path)
    elif isinstance(value, str):
        causes += _string(schema, value, path)
    elif isinstance(value, list):
        causes += _array(schema, value, path)
    elif isinstance(value, dict):
        causes += _object(schema, value, path)
    causes += _combinators(schema, value, path)
    return causes


def _wrong_type(path: str, wanted: str, value: Any) -> Cause:
    actual = _type_of(value)
    message = f"Invalid value: {show(actual)}: {path} in body must be of type {wanted}: {show(actual)}"
    return Cause(path, "FieldValueTypeInvalid", message)


def _number(schema: Schema, value: float, path: str) -> Iterator[Cause]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        if schema.get("exclusiveMinimum") is True and value <= low:
            yield invalid_value(path, value, f"{path} in body should be greater than {low}")
        elif value < low:
            yield invalid_value(path, value, f"{path} in body should be greater than or equal to {low}")
    if high is not None:
        if schema.get("exclusiveMaximum") is True and value >= high:
            yield invalid_value(path, value, f"{path} in body should be less than {high}")
        elif value > high:
            yield invalid_value(path, value, f"{path} in body should be less than or equal to {high}")
    step = schema.get("multipleOf")
    if step and value % step:
        yield invalid_value(path, value, f"{path} in body should be a multiple of {step}")
    if schema.get("format") == "int32" and not -(2**31) <= value < 2**31:
        yield invalid_value(path, value, f"{path} in body must be of type int32: {show(value)}")


def _string(schema: Schema, value: str, path: str) -> Iterator[Cause]:
    if len(value) < schema.get("minLength", 0):
        least = schema["minLength"]
        yield invalid_value(path, value, f"{path} in body should be at least {least} chars long")
    if len(value) > schema.get("maxLength", len(value)):
        most = schema["maxLength"]
        yield Cause(path, "FieldValueTooLong", f"Too long: may not be more than {most} bytes")
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern, value):
        yield invalid_value(path, value, f"{path} in body should match '{pattern}'")
    if schema.get("format") == "date-time" and _as_time(value) is None:
        yield invalid_value(path, value, f"{path} in body must be of type date-time: {show(value)}")


def _as_time(value: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _array(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    if len(value) < schema.get("minItems", 0):
        least = schema["minItems"]
        yield invalid_value(path, len(value), f"{path} in body should have at least {least} items")
    if len(value) > schema.get("maxItems", len(value)):
        most = schema["maxItems"]
        yield Cause(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items")
    items = schema.get("items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            yield from validate(items, item, f"{path}[{index}]")
    kind = schema.get("x-kubernetes-list-type")
    seen: list[Any] = []
    for index, item in enumerate(value):
        if kind == "set":
            identity: Any = item
        elif kind == "map" and isinstance(item, dict):
            identity = {key: item.get(key) for key in schema.get("x-kubernetes-list-map-keys") or ()}
        else:
            continue
        if any(_same(identity, other) for other in seen):
            yield duplicate_value(f"{path}[{index}]", identity)
        seen.append(identity)


def _object(schema: Schema, value: Obj, path: str) -> Iterator[Cause]:
    for name in schema.get("required") or ():
        if name not in value:
            yield required(f"{path}.{name}" if path else name)
    if len(value) < schema.get("minProperties", 0):
        least = schema["minProperties"]
        yield invalid_value(path, len(value), f"{path} in body should have at least {least} properties")
    if len(value) > schema.get("maxProperties", len(value)):
        most = schema["maxProperties"]
        yield Cause(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items")
    properties = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    for key, item in value.items():
        where = f"{path}.{key}" if path else key
        if key in properties:
            yield from validate(properties[key], item, where)
        elif isinstance(extra, dict):
            yield from validate(extra, item, where)


def _combinators(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    for part in schema.get("allOf") or ():
        yield from validate(part, value, path)
    options = schema.get("anyOf")
    if options and all(validate(option, value, path) for option in options):
        yield invalid_value(path, value, f'"{path}" must validate at least one schema (anyOf)')
    options = schema.get("oneOf")
    if options and sum(not validate(option, value, path) for option in options) != 1:
        yield invalid_value(path, value, f'"{path}" must validate one and only one schema (oneOf)')
    unwanted = schema.get("not")
    if unwanted is not None and not validate(unwanted, value, path):
        yield invalid_value(path, value, f'"{path}" must not validate the schema (not)')


# -- CEL


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled `x-kubernetes-validations` entry."""

    text: str
    program: Any
    message: str
    message_program: Any
    reason: str
    field_path: str
    transition: bool
    optional_old: bool


class Rules:
    """The CEL rules of a schema, compiled once and kept by the identity of their sub-schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.problems: list[Cause] = []
        self._rules: dict[int, tuple[Rule, ...]] = {}
        self._below: dict[int, bool] = {}
        self._compile(schema, "openAPIV3Schema")

    def _compile(self, schema: Schema, path: str) -> bool:
        rules = []
        for index, entry in enumerate(schema.get("x-kubernetes-validations") or ()):
            where = f"{path}.x-kubernetes-validations[{index}].rule"
            text = str(entry.get("rule", ""))
            try:
                program = cel.compile(text)
                message = cel.compile(entry["messageExpression"]) if entry.get("messageExpression") else None
            except ValueError as problem:
                detail = str(problem).strip().splitlines()[0]
                self.problems.append(invalid_value(where, entry, f"compilation failed: {detail}"))
                continue
            unknown = re.search(
                r"\b(quantity|isQuantity|isSorted|indexOf|lastIndexOf|url|isURL|ip|cidr|format|semver)\(",
                text,
            )
            if unknown:
                detail = (
                    f"{unknown[1]}() is a Kubernetes CEL library function, which the embedded cluster lacks"
                )
                self.problems.append(invalid_value(where, entry, detail))
                continue
            rules.append(
                Rule(
                    text=text,
                    program=program,
                    message=str(entry.get("message") or f"failed rule: {text}"),
                    message_program=message,
                    reason=str(entry.get("reason") or "FieldValueInvalid"),
                    field_path=str(entry.get("fieldPath") or ""),
                    transition=re.search(r"\boldSelf\b", text) is not None,
                    optional_old=bool(entry.get("optionalOldSelf")),
                )
            )
        self._rules[id(schema)] = tuple(rules)
        below = bool(rules)
        for key, child in (schema.get("properties") or {}).items():
            below |= self._compile(child, f"{path}.properties[{key}]")
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                below |= self._compile(schema[key], f"{path}.{key}")
        self._below[id(schema)] = below
        return below

    def check(self, value: Any, old: Any = None) -> list[Cause]:
        """Every rule the object breaks. `old` is the stored object on update; transition rules need it."""
        return list(self._walk(self.schema, value, old, ""))

    def _walk(self, schema: Schema, value: Any, old: Any, path: str) -> Iterator[Cause]:
        if not self._below.get(id(schema)) or value is None:
            return
        for rule in self._rules[id(schema)]:
            if not rule.transition or old is not None:
                yield from self._run(rule, schema, value, old, path)
        if isinstance(value, dict):
            old_map = old if isinstance(old, dict) else {}
            properties = schema.get("properties") or {}
            extra = schema.get("additionalProperties")
            for key, item in value.items():
                child = properties.get(key, extra)
                if isinstance(child, dict):
                    where = f"{path}.{key}" if path else key
                    yield from self._walk(child, item, old_map.get(key), where)
        elif isinstance(value, list) and isinstance(schema.get("items"), dict):
            for index, item in enumerate(value):
                previous = _counterpart(schema, item, old)
                yield from self._walk(schema["items"], item, previous, f"{path}[{index}]")

    def _run(self, rule: Rule, schema: Schema, value: Any, old: Any, path: str) -> Iterator[Cause]:
        variables = {"self": cel_value(schema, value)}
        if rule.transition:
            variables["oldSelf"] = cel_value(schema, old)
        context = cel.Context(variables=variables)
        where = f"{path}{rule.field_path}" if path else rule.field_path.removeprefix(".")
        shown = value if not isinstance(value, (dict, list)) else _type_of(value)
        try:
            if rule.program.execute(context) is True:
                return
        except Exception as problem:  # the evaluator raises several unrelated types; all mean the same here
            detail = f"{problem}".strip().splitlines()[0] if f"{problem}".strip() else type(problem).__name__
            yield invalid_value(where, shown, f"{detail} evaluating rule: {rule.message}")
            return
        message = rule.message
        if rule.message_program is not None:
            try:
                message = str(rule.message_program.execute(context))
            except Exception:  # as Kubernetes does: fall back to the plain message
                message = rule.message
        if rule.reason == "FieldValueForbidden":
            yield Cause(where, rule.reason, f"Forbidden: {message}")
        elif rule.reason == "FieldValueRequired":
            yield Cause(where, rule.reason, f"Required value: {message}")
        elif rule.reason == "FieldValueDuplicate":
            yield Cause(where, rule.reason, f"Duplicate value: {show(shown)}")
        else:
            yield invalid_value(where, shown, message)


def _counterpart(schema: Schema, item: Any, old: Any) -> Any:
    """The old list element with the same map key; other lists have no correlation between old and new."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys or not isinstance(old, list) or not isinstance(item, dict):
        return None
    for entry in old:
        if isinstance(entry, dict) and all(entry.get(key) == item.get(key) for key in keys):
            return entry
    return None


def cel_value(schema: Schema, value: Any) -> Any:
    """A value as CEL sees it: times as timestamps, numbers by declared type, awkward property names escaped."""
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        result = {}
        for key, item in value.items():
            child = properties.get(key)
            name = _escape(key) if child is not None else key
            result[name] = cel_value(
                child if child is not None else extra if isinstance(extra, dict) else {}, item
            )
        return result
    if isinstance(value, list):
        items = schema.get("items")
        return [cel_value(items if isinstance(items, dict) else {}, item) for item in value]
    if isinstance(value, str) and schema.get("format") == "date-time":
        return _as_time(value) or value
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _escape(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    return (
        name.replace("__", "__underscores__")
        .replace(".", "__dot__")
        .replace("-", "__dash__")
        .replace("/", "__slash__")
    )
