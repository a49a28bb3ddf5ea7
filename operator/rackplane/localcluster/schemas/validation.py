"""A value against its schema: types, bounds, patterns, combinations; CEL rules and list types are elsewhere.

The order of the checks, the messages and which alternative of `anyOf` and `oneOf` is blamed follow kube-openapi. On
update an error counts only where the value changed ("ratcheting"): the old value goes along where it can be told
which one it is.
"""

from __future__ import annotations

from typing import Any

from rackplane.localcluster.errors import Cause, required, show

from . import formats
from .scalars import (
    Findings,
    bad,
    check_enum,
    check_number,
    check_string,
    check_type,
    field_of,
    general,
    too_many,
    wrong_type,
)
from .values import NOWHERE, Schema, same, type_of

_COMBINING = frozenset({"allOf", "anyOf", "oneOf", "not"})


class _Absent:
    """Stands for an old value that is not there, or that cannot be told."""


ABSENT = _Absent()


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


def _validate(schema: Schema, value: Any, path: str, old: Any, *, option: bool = False) -> Findings:
    result = Findings()
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
    check_type(schema, kinds, form, value, path, result)
    if value is None:
        check_enum(schema, value, path, result)
    else:
        if _COMBINING.isdisjoint(schema):
            result.matches += 2
        else:
            _check_combinations(schema, value, path, old, result)
        if isinstance(value, str):
            check_string(schema, value, path, result)
            if form and kinds[:1] not in (["integer"], ["number"]):
                if not formats.conforms(form, value):
                    result.add(wrong_type(path, form, value))
                result.matches += 1
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            check_number(schema, kinds, form, value, path, result)
        elif isinstance(value, list):
            _check_array(schema, value, path, old, result)
        check_enum(schema, value, path, result)
        if isinstance(value, dict):
            _check_object(schema, value, path, old, result)
        result.matches += 1
    if result.causes and old is not ABSENT and path and not option and unchanged(schema, value, old):
        return Findings([], result.matches)
    return result


def _check_array(schema: Schema, value: list[Any], path: str, old: Any, result: Findings) -> None:
    items = _items(schema)
    if items is not None:
        for index, item in enumerate(value):
            result.merge(_validate(items, item, f"{path}[{index}]", counterpart(schema, item, old)))
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and len(value) < least:
        result.add(bad(path, len(value), f"should have at least {least} items"))
    if most is not None and len(value) > most:
        result.add(too_many(path, len(value), most))
    result.matches += 2


def _check_object(schema: Schema, value: dict[str, Any], path: str, old: Any, result: Findings) -> None:
    least, most = schema.get("minProperties"), schema.get("maxProperties")
    if least is not None and len(value) < least:
        result.add(bad(path, len(value), f"should have at least {least} properties"))
    if most is not None and len(value) > most:
        result.add(too_many(path, len(value), most))
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
            result.add(required(field_of(f"{path}.{name}")))
    result.matches += 1


def _check_combinations(schema: Schema, value: Any, path: str, old: Any, result: Findings) -> None:
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
            result.add(general(f"{show(path)} must validate all the schemas (allOf){suffix}"))
    if (unwanted := schema.get("not")) is not None and not _validate(unwanted, value, path, ABSENT).causes:
        result.add(general(f"{show(path)} must not validate the schema (not)"))
    result.matches += 2


def _best(outcomes: list[Findings]) -> Findings:
    """The alternative most checks of which ran; the first of equals."""
    return max(outcomes, key=lambda outcome: outcome.matches)


def _check_any_of(options: list[Schema], value: Any, path: str, old: Any, result: Findings) -> None:
    outcomes = [_validate(option, value, path, old, option=True) for option in options]
    passed = [outcome for outcome in outcomes if not outcome.causes]
    if passed:
        result.merge(passed[0])
        return
    result.add(general(f"{show(path)} must validate at least one schema (anyOf)"))
    result.merge(_best(outcomes))


def _check_one_of(options: list[Schema], value: Any, path: str, old: Any, result: Findings) -> None:
    outcomes = [_validate(option, value, path, old, option=True) for option in options]
    passed = [outcome for outcome in outcomes if not outcome.causes]
    if len(passed) == 1:
        result.merge(passed[0])
        return
    found = f"Found {len(passed)} valid alternatives" if passed else "Found none valid"
    result.add(general(f"{show(path)} must validate one and only one schema (oneOf). {found}"))
    if not passed:
        result.merge(_best(outcomes))
