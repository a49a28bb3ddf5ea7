"""A value against its schema: types, bounds, patterns, combinations; CEL rules and list types are elsewhere.

The order of the checks, the messages and which alternative of `anyOf` and `oneOf` is blamed follow kube-openapi. On
update an error counts only where the value changed ("ratcheting"): the old value goes along where it can be told
which one it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rackplane.localcluster.errors import Cause, invalid_value, required, show

from . import formats
from .values import NOWHERE, Schema, number, same, type_of

_COMBINING = frozenset({"allOf", "anyOf", "oneOf", "not"})
_TYPES_WITH_NUMBERS = ("integer", "number")


class _Absent:
    """Stands for an old value that is not there, or that cannot be told."""


ABSENT = _Absent()


@dataclass(slots=True)
class _Result:
    """What a check found. `matches` counts the checks that ran, by which the best of several alternatives is found."""

    causes: list[Cause] = field(default_factory=list)
    matches: int = 0

    def add(self, cause: Cause) -> None:
        if cause not in self.causes:
            self.causes.append(cause)

    def merge(self, other: _Result) -> None:
        for cause in other.causes:
            self.add(cause)
        self.matches += other.matches


def validate(schema: Schema, value: Any, *, old: Any = ABSENT, base: str = "") -> list[Cause]:
    """Everything in `value` that breaks the schema.

    Args:
        old: the value this one replaces.
        base: the path of `value`, which causes name and texts do not.
    """
    causes = _validate(schema, value, "", old).causes
    if not base:
        return causes
    return [
        Cause(
            base if cause.field == NOWHERE or not cause.field else f"{base}.{cause.field}",
            cause.reason,
            cause.message,
        )
        for cause in causes
    ]


def unchanged(schema: Schema | None, value: Any, old: Any) -> bool:
    """Whether a value is the old one, in the sense that excuses it: keyed lists may be in another order."""
    if value is None or old is None:
        return value is None and old is None
    if isinstance(value, list) and isinstance(old, list):
        if len(value) != len(old):
            return False
        if not _keyed(schema):
            return same(value, old)
        pairs = ((item, counterpart(schema, item, old)) for item in value)
        return all(before is not ABSENT and unchanged(_items(schema), item, before) for item, before in pairs)
    if isinstance(value, dict) and isinstance(old, dict):
        if value.keys() != old.keys():
            return False
        for name, item in value.items():
            below = property_schema(schema, name)
            if below is None or not unchanged(below, item, old[name]):
                return False
        return True
    return type_of(value) == type_of(old) and same(value, old)


def _items(schema: Schema | None) -> Schema | None:
    found = schema.get("items") if schema else None
    return found if isinstance(found, dict) else None


def _keyed(schema: Schema | None) -> bool:
    return bool(schema) and schema.get("x-kubernetes-list-type") == "map"  # type: ignore[union-attr]


def property_schema(schema: Schema | None, name: str) -> Schema | None:
    """The schema of a field or an entry, where there is one."""
    if schema is None:
        return None
    found = (schema.get("properties") or {}).get(name, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else None


def counterpart(schema: Schema | None, item: Any, old: Any) -> Any:
    """The old element with the same keys; elements of other lists cannot be told apart."""
    if not _keyed(schema) or not isinstance(old, list) or not isinstance(item, dict):
        return ABSENT
    keys = schema.get("x-kubernetes-list-map-keys") or ()  # type: ignore[union-attr]
    for entry in old:
        if isinstance(entry, dict) and all(same(entry.get(name), item.get(name)) for name in keys):
            return entry
    return ABSENT


def _validate(schema: Schema, value: Any, path: str, old: Any, *, option: bool = False) -> _Result:
    result = _Result()
    kinds = (
        ["integer", "string"]
        if schema.get("x-kubernetes-int-or-string")
        else [schema["type"]]
        if schema.get("type")
        else []
    )
    form = schema.get("format") or ""
    if form and not formats.recognized(kinds[0] if len(kinds) == 1 else "", form):
        form = ""
    _check_type(schema, kinds, form, value, path, result)
    if value is None:
        _check_enum(schema, value, path, result)
    else:
        if _COMBINING.isdisjoint(schema):
            result.matches += 2
        else:
            _check_combinations(schema, value, path, old, result)
        if isinstance(value, str):
            _check_string(schema, value, path, result)
            if form and kinds[:1] not in (["integer"], ["number"]):
                if not formats.conforms(form, value):
                    result.add(_wrong_type(path, form, value))
                result.matches += 1
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            _check_number(schema, kinds, form, value, path, result)
        elif isinstance(value, list):
            _check_array(schema, value, path, old, result)
        _check_enum(schema, value, path, result)
        if isinstance(value, dict):
            _check_object(schema, value, path, old, result)
        result.matches += 1
    if result.causes and old is not ABSENT and path and not option and unchanged(schema, value, old):
        return _Result([], result.matches)
    return result


def _field(path: str) -> str:
    return path.removeprefix(".") or NOWHERE


def _wrong_type(path: str, wanted: str, actual: str) -> Cause:
    message = f"Invalid value: {show(actual)}: {path} in body must be of type {wanted}: {show(actual)}"
    return Cause(_field(path), "FieldValueTypeInvalid", message)


def _check_type(schema: Schema, kinds: list[str], form: str, value: Any, path: str, result: _Result) -> None:
    if not kinds and not form:
        return
    actual = type_of(value)
    wanted = ",".join(kinds)
    result.matches += 2
    if value is None:
        if kinds and not schema.get("nullable"):
            result.matches -= 1
            result.add(_wrong_type(path, wanted, "null"))
        return
    whole = actual == "number" and value.is_integer()
    fits = actual in kinds or ("integer" in kinds and whole) or ("number" in kinds and actual == "integer")
    numeric = any(kind in kinds for kind in _TYPES_WITH_NUMBERS)
    if form and actual not in ("string", "array") and not fits:
        shown = {"integer": "int64", "number": "float64"}.get(actual, "")
        if shown != form:
            result.matches -= 1
            result.add(_wrong_type(path, form, shown))
            return
    # A list passes for a string with a format: the server takes the format's validator to object, which it does not.
    if form and not numeric and actual in ("string", "array"):
        return
    if not fits:
        result.matches -= 1
        result.add(_wrong_type(path, wanted, actual))


def _check_enum(schema: Schema, value: Any, path: str, result: _Result) -> None:
    result.matches += 1
    options = schema.get("enum")
    if not options or (value is not None and any(same(value, option) for option in options)):
        return
    listed = ", ".join(show(option if isinstance(option, str) else show(option)) for option in options)
    message = f"Unsupported value: {_shown(value)}: supported values: {listed}"
    result.add(Cause(_field(path), "FieldValueNotSupported", message))


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else show(value)


def _bad(path: str, value: Any, text: str) -> Cause:
    message = f"Invalid value: {_shown(value)}: {path} in body {text}"
    return Cause(_field(path), "FieldValueInvalid", message)


def _general(text: str) -> Cause:
    return invalid_value(NOWHERE, "", text)


def _check_number(
    schema: Schema, kinds: list[str], form: str, value: float, path: str, result: _Result
) -> None:
    result.matches += 2
    kind = kinds[0] if len(kinds) == 1 and kinds[0] in _TYPES_WITH_NUMBERS else ""
    _check_range(value, kind, form, "Checked", path, result)
    for word, label in (
        ("multipleOf", "MultipleOf"),
        ("maximum", "Maximum boundary"),
        ("minimum", "Minimum boundary"),
    ):
        bound = schema.get(word)
        if bound is None:
            continue
        native = _check_range(bound, kind, form, label, path, result)
        # Bounds are taken as whole numbers where the value is one.
        limit = int(bound) if native and isinstance(value, int) else bound
        if word == "multipleOf":
            if limit <= 0:
                text = f"factor MultipleOf declared for {path} must be positive: {number(limit)}"
                message = f"Invalid value: {number(limit)}: {text}"
                result.add(Cause(_field(path), "FieldValueInvalid", message))
            elif (
                value % limit
                if isinstance(limit, int) and isinstance(value, int)
                else not (value / limit).is_integer()
            ):
                result.add(_bad(path, value, f"should be a multiple of {number(limit)}"))
        elif word == "maximum":
            if value > limit or (schema.get("exclusiveMaximum") and value >= limit):
                text = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
                result.add(_bad(path, value, f"should be {text} {number(limit)}"))
        elif value < limit or (schema.get("exclusiveMinimum") and value <= limit):
            text = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
            result.add(_bad(path, value, f"should be {text} {number(limit)}"))


def _check_range(value: float, kind: str, form: str, label: str, path: str, result: _Result) -> bool:
    """Whether a number can be one of the type; said otherwise."""
    form = form if kind else ""
    if kind == "integer":
        low, high = (-(2**31), 2**31) if form == "int32" else (-(2**63), 2**63)
        fits = float(value).is_integer() and low <= value < high
    else:
        fits = form != "float" or abs(value) <= 3.4028234663852886e38
    if not fits:
        suffix = f"with format {form}" if form else "(default format)"
        result.add(_general(f"{label} value must be of type {kind} {suffix} in {path}"))
    return fits


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern in Python's dialect: `$` of RE2 is the very end.

    Raises:
        re.error: it is none.
    """
    return re.compile(re.sub(r"(?<!\\)((?:\\\\)*)\$$", r"\1\\Z", pattern).replace("[[:alpha:]]", "[A-Za-z]"))


def _check_string(schema: Schema, value: str, path: str, result: _Result) -> None:
    result.matches += 1
    most, least, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if most is not None and len(value) > most:
        message = f"Too long: may not be more than {most} {'byte' if most == 1 else 'bytes'}"
        result.add(Cause(_field(path), "FieldValueTooLong", message))
    elif least is not None and len(value) < least:
        result.add(_bad(path, value, f"should be at least {least} chars long"))
    elif pattern and not compiled(pattern).search(value):
        result.add(_bad(path, value, f"should match '{pattern}'"))


def _check_array(schema: Schema, value: list[Any], path: str, old: Any, result: _Result) -> None:
    items = _items(schema)
    if items is not None:
        for index, item in enumerate(value):
            result.merge(_validate(items, item, f"{path}[{index}]", counterpart(schema, item, old)))
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and len(value) < least:
        result.add(_bad(path, len(value), f"should have at least {least} items"))
    if most is not None and len(value) > most:
        result.add(_too_many(path, len(value), most))
    result.matches += 2


def _too_many(path: str, size: int, most: int) -> Cause:
    message = f"Too many: {size}: must have at most {most} {'item' if most == 1 else 'items'}"
    return Cause(_field(path), "FieldValueTooMany", message)


def _check_object(schema: Schema, value: dict[str, Any], path: str, old: Any, result: _Result) -> None:
    least, most = schema.get("minProperties"), schema.get("maxProperties")
    if least is not None and len(value) < least:
        result.add(_bad(path, len(value), f"should have at least {least} properties"))
    if most is not None and len(value) > most:
        result.add(_too_many(path, len(value), most))
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    before = old if isinstance(old, dict) else {}
    for name, item in value.items():
        if name in properties:
            where = f"{path}.{name}" if path else name
            result.merge(_validate(properties[name], item, where, before.get(name, ABSENT)))
        elif isinstance(extra, dict):
            result.merge(_validate(extra, item, f"{path}.{name}", before.get(name, ABSENT)))
    for name in schema.get("required") or ():
        if name not in value:
            result.add(required(_field(f"{path}.{name}")))
    result.matches += 1


def _check_combinations(schema: Schema, value: Any, path: str, old: Any, result: _Result) -> None:
    if options := schema.get("anyOf"):
        _check_any_of(options, value, path, old, result)
    if options := schema.get("oneOf"):
        _check_one_of(options, value, path, old, result)
    if options := schema.get("allOf"):
        outcomes = [_validate(option, value, path, old, option=True) for option in options]
        for outcome in outcomes:
            result.merge(outcome)
        if any(outcome.causes for outcome in outcomes):
            suffix = "" if any(not outcome.causes for outcome in outcomes) else ". None validated"
            result.add(_general(f"{show(path)} must validate all the schemas (allOf){suffix}"))
    if (unwanted := schema.get("not")) is not None and not _validate(unwanted, value, path, ABSENT).causes:
        result.add(_general(f"{show(path)} must not validate the schema (not)"))
    result.matches += 2


def _best(outcomes: list[_Result]) -> _Result:
    """The alternative most checks of which ran; the first of equals."""
    return max(outcomes, key=lambda outcome: outcome.matches)


def _check_any_of(options: list[Schema], value: Any, path: str, old: Any, result: _Result) -> None:
    outcomes = [_validate(option, value, path, old, option=True) for option in options]
    passed = [outcome for outcome in outcomes if not outcome.causes]
    if passed:
        result.merge(passed[0])
        return
    result.add(_general(f"{show(path)} must validate at least one schema (anyOf)"))
    result.merge(_best(outcomes))


def _check_one_of(options: list[Schema], value: Any, path: str, old: Any, result: _Result) -> None:
    outcomes = [_validate(option, value, path, old, option=True) for option in options]
    passed = [outcome for outcome in outcomes if not outcome.causes]
    if len(passed) == 1:
        result.merge(passed[0])
        return
    found = f"Found {len(passed)} valid alternatives" if passed else "Found none valid"
    result.add(_general(f"{show(path)} must validate one and only one schema (oneOf). {found}"))
    if not passed:
        result.merge(_best(outcomes))
