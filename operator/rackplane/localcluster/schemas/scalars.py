"""One value against what its schema says of it alone: its type, enums, bounds, lengths, patterns."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rackplane.localcluster.errors import Cause, invalid_value, show

from .values import NOWHERE, Schema, number, same, type_of

_TYPES_WITH_NUMBERS = ("integer", "number")


@dataclass(slots=True)
class Findings:
    """What a check found. `matches` counts the checks that ran, by which the best of several alternatives is found."""

    causes: list[Cause] = field(default_factory=list)
    matches: int = 0

    def add(self, cause: Cause) -> None:
        """Note a cause once."""
        if cause not in self.causes:
            self.causes.append(cause)

    def merge(self, other: Findings) -> None:
        """Take in what another check found."""
        for cause in other.causes:
            self.add(cause)
        self.matches += other.matches


def field_of(path: str) -> str:
    """A path as causes name their field."""
    return path.removeprefix(".") or NOWHERE


def wrong_type(path: str, wanted: str, actual: str) -> Cause:
    """A value of another type than the schema wants."""
    message = f"Invalid value: {show(actual)}: {path} in body must be of type {wanted}: {show(actual)}"
    return Cause(field_of(path), "FieldValueTypeInvalid", message)


def check_type(schema: Schema, kinds: list[str], form: str, value: Any, path: str, result: Findings) -> None:
    """Whether the value has a type or the form that the schema wants."""
    if not kinds and not form:
        return
    actual = type_of(value)
    wanted = ",".join(kinds)
    result.matches += 2
    if value is None:
        if kinds and not schema.get("nullable"):
            result.matches -= 1
            result.add(wrong_type(path, wanted, "null"))
        return
    whole = actual == "number" and value.is_integer()
    fits = actual in kinds or ("integer" in kinds and whole) or ("number" in kinds and actual == "integer")
    numeric = any(kind in kinds for kind in _TYPES_WITH_NUMBERS)
    if form and actual not in ("string", "array") and not fits:
        shown = {"integer": "int64", "number": "float64"}.get(actual, "")
        if shown != form:
            result.matches -= 1
            result.add(wrong_type(path, form, shown))
            return
    # A list passes for a string with a format: the server takes the format's validator to object, which it does not.
    if form and not numeric and actual in ("string", "array"):
        return
    if not fits:
        result.matches -= 1
        result.add(wrong_type(path, wanted, actual))


def check_enum(schema: Schema, value: Any, path: str, result: Findings) -> None:
    """Whether the value is one of those the schema lists."""
    result.matches += 1
    options = schema.get("enum")
    if not options or (value is not None and any(same(value, option) for option in options)):
        return
    listed = ", ".join(show(option if isinstance(option, str) else show(option)) for option in options)
    message = f"Unsupported value: {_shown(value)}: supported values: {listed}"
    result.add(Cause(field_of(path), "FieldValueNotSupported", message))


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else show(value)


def bad(path: str, value: Any, text: str) -> Cause:
    """A value that breaks a bound or a form."""
    message = f"Invalid value: {_shown(value)}: {path} in body {text}"
    return Cause(field_of(path), "FieldValueInvalid", message)


def general(text: str) -> Cause:
    """What is said of no field."""
    return invalid_value(NOWHERE, "", text)


def check_number(
    schema: Schema, kinds: list[str], form: str, value: float, path: str, result: Findings
) -> None:
    """Bounds and multiples, and whether the number and they fit into the type."""
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
                result.add(Cause(field_of(path), "FieldValueInvalid", message))
            elif (
                value % limit
                if isinstance(limit, int) and isinstance(value, int)
                else not (value / limit).is_integer()
            ):
                result.add(bad(path, value, f"should be a multiple of {number(limit)}"))
        elif word == "maximum":
            if value > limit or (schema.get("exclusiveMaximum") and value >= limit):
                text = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
                result.add(bad(path, value, f"should be {text} {number(limit)}"))
        elif value < limit or (schema.get("exclusiveMinimum") and value <= limit):
            text = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
            result.add(bad(path, value, f"should be {text} {number(limit)}"))


def _check_range(value: float, kind: str, form: str, label: str, path: str, result: Findings) -> bool:
    """Whether a number can be one of the type; said otherwise."""
    form = form if kind else ""
    if kind == "integer":
        low, high = (-(2**31), 2**31) if form == "int32" else (-(2**63), 2**63)
        fits = float(value).is_integer() and low <= value < high
    else:
        fits = form != "float" or abs(value) <= 3.4028234663852886e38
    if not fits:
        suffix = f"with format {form}" if form else "(default format)"
        result.add(general(f"{label} value must be of type {kind} {suffix} in {path}"))
    return fits


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern in Python's dialect: `$` of RE2 is the very end.

    Raises:
        re.error: it is none.
    """
    return re.compile(re.sub(r"(?<!\\)((?:\\\\)*)\$$", r"\1\\Z", pattern).replace("[[:alpha:]]", "[A-Za-z]"))


def check_string(schema: Schema, value: str, path: str, result: Findings) -> None:
    """Length and pattern."""
    result.matches += 1
    most, least, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if most is not None and len(value) > most:
        message = f"Too long: may not be more than {most} {'byte' if most == 1 else 'bytes'}"
        result.add(Cause(field_of(path), "FieldValueTooLong", message))
    elif least is not None and len(value) < least:
        result.add(bad(path, value, f"should be at least {least} chars long"))
    elif pattern and not compiled(pattern).search(value):
        result.add(bad(path, value, f"should match '{pattern}'"))


def too_many(path: str, size: int, most: int) -> Cause:
    """A list or map with more entries than it may have."""
    message = f"Too many: {size}: must have at most {most} {'item' if most == 1 else 'items'}"
    return Cause(field_of(path), "FieldValueTooMany", message)
