"""What the API server demands of podFailurePolicy and successPolicy."""

from __future__ import annotations

from rackplane.localcluster import names
from rackplane.localcluster.errors import Cause, duplicate_value, invalid_value, required, unsupported_value
from rackplane.localcluster.gojson import internal
from rackplane.localcluster.objects import Obj

_MOST_RULES = 20
_MOST_EXIT_CODES = 255
_MOST_PATTERNS = 20
_LONGEST_INDEXES = 64 * 1024
_ACTIONS = ["Count", "FailIndex", "FailJob", "Ignore"]
_OPERATORS = ["In", "NotIn"]
_STATUSES = ["False", "True", "Unknown"]


class IndexesFault(ValueError):
    """A text that is no increasing list of indexes and intervals."""


def too_many(path: str, count: int, most: int) -> Cause:
    """A list longer than allowed."""
    detail = f"Too many: {count}: must have at most {most} items"
    return Cause(path, "FieldValueTooMany", detail)


def _valid_values(known: list[str]) -> str:
    listed = " ".join(f'"{value}"' for value in known)
    return f"valid values: [{listed}]"


def _one_of(path: str, value: str | None, known: list[str]) -> list[Cause]:
    if not value:
        return [required(path, _valid_values(known))]
    return [] if value in known else [unsupported_value(path, value, known)]


def _faulty(path: str, detail: str) -> Cause:
    return Cause(path, "FieldValueInvalid", f"Invalid value: {detail}")


def failure_policy_causes(spec: Obj) -> list[Cause]:
    """What is wrong with `spec.podFailurePolicy`."""
    policy, path = spec.get("podFailurePolicy"), "spec.podFailurePolicy.rules"
    if policy is None:
        return []
    rules = policy.get("rules") or []
    causes = [too_many(path, len(rules), _MOST_RULES)] if len(rules) > _MOST_RULES else []
    template = (spec.get("template") or {}).get("spec") or {}
    containers = {
        container.get("name")
        for field in ("containers", "initContainers")
        for container in template.get(field) or ()
    }
    for number, rule in enumerate(rules):
        causes += _failure_rule(spec, rule, f"{path}[{number}]", containers)
    return causes


def _failure_rule(spec: Obj, rule: Obj, path: str, containers: set[str]) -> list[Cause]:
    action = rule.get("action")
    if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        causes = [invalid_value(f"{path}.action", action, "requires the backoffLimitPerIndex to be set")]
    else:
        causes = _one_of(f"{path}.action", action, _ACTIONS)
    codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions") or []
    if codes is not None:
        causes += _exit_codes(codes, f"{path}.onExitCodes", containers)
    if len(patterns) > _MOST_PATTERNS:
        causes.append(too_many(f"{path}.onPodConditions", len(patterns), _MOST_PATTERNS))
    for number, pattern in enumerate(patterns):
        where = f"{path}.onPodConditions[{number}]"
        kind = str(pattern.get("type") or "")
        causes += [invalid_value(f"{where}.type", kind, fault) for fault in names.qualified_name(kind)]
        causes += _one_of(f"{where}.status", pattern.get("status"), _STATUSES)
    if codes is not None and patterns:
        detail = "specifying both OnExitCodes and OnPodConditions is not supported"
        causes.append(_faulty(path, detail))
    if codes is None and not patterns:
        causes.append(_faulty(path, "specifying one of OnExitCodes and OnPodConditions is required"))
    return causes


def _exit_codes(codes: Obj, path: str, containers: set[str]) -> list[Cause]:
    operator, container, values = codes.get("operator"), codes.get("containerName"), codes.get("values") or []
    causes = _one_of(f"{path}.operator", operator, _OPERATORS)
    if container is not None and container not in containers:
        detail = "must be one of the container or initContainer names in the pod template"
        causes.append(invalid_value(f"{path}.containerName", container, detail))
    where = f"{path}.values"
    if not values:
        causes.append(invalid_value(where, values, "at least one value is required"))
    elif len(values) > _MOST_EXIT_CODES:
        causes.append(too_many(where, len(values), _MOST_EXIT_CODES))
    seen: set[int] = set()
    for number, value in enumerate(values):
        if operator == "In" and value == 0:
            causes.append(invalid_value(f"{where}[{number}]", value, "must not be 0 for the In operator"))
        if value in seen:
            causes.append(duplicate_value(f"{where}[{number}]", value))
        seen.add(value)
    if values != sorted(values):
        causes.append(invalid_value(where, values, "must be ordered"))
    return causes


def success_policy_causes(spec: Obj) -> list[Cause]:
    """What is wrong with `spec.successPolicy`."""
    policy, path = spec.get("successPolicy"), "spec.successPolicy"
    if policy is None:
        return []
    if spec.get("completionMode") != "Indexed":
        shown = internal(policy, "SuccessPolicy")
        return [invalid_value(path, shown, "requires indexed completion mode")]
    rules, path = policy.get("rules") or [], f"{path}.rules"
    causes = []
    if not rules:
        detail = "at least one rules must be specified when the successPolicy is specified"
        causes.append(required(path, detail))
    if len(rules) > _MOST_RULES:
        causes.append(too_many(path, len(rules), _MOST_RULES))
    # Without completions the Job is refused for that; upstream would not get here.
    completions = int(spec.get("completions") or 0)
    for number, rule in enumerate(rules):
        causes += _success_rule(rule, completions, f"{path}[{number}]")
    return causes


def _success_rule(rule: Obj, completions: int, path: str) -> list[Cause]:
    count, listed = rule.get("succeededCount"), rule.get("succeededIndexes")
    causes, total = [], 0
    if count is None and listed is None:
        detail = "at least one of succeededCount or succeededIndexes must be specified"
        causes.append(required(path, detail))
    if listed is not None:
        where = f"{path}.succeededIndexes"
        if len(listed) > _LONGEST_INDEXES:
            detail = f"Too long: may not be more than {_LONGEST_INDEXES} bytes"
            causes.append(Cause(where, "FieldValueTooLong", detail))
        try:
            total = check_indexes(listed, completions)
        except IndexesFault as fault:
            causes.append(invalid_value(where, listed, f"error parsing succeededIndexes: {fault}"))
    if count is not None:
        where = f"{path}.succeededCount"
        if count < 0:
            causes.append(invalid_value(where, count, "must be greater than or equal to 0"))
        if count > completions:
            detail = f"must be less than or equal to {completions} (the number of specified completions)"
            causes.append(invalid_value(where, count, detail))
        if listed is not None and count > total:
            what = "the number of indexes in the specified succeededIndexes field"
            detail = f"must be less than or equal to {total} ({what})"
            causes.append(invalid_value(where, count, detail))
    return causes


def check_indexes(text: str, completions: int) -> int:
    """How many indexes a text such as `1,3-5` names.

    Raises:
        IndexesFault: it is none, or they are not increasing or not below `completions`.
    """
    last: int | None = None
    total = 0
    for part in text.split(",") if text else ():
        first, end = interval(part, completions)
        if last is not None and last >= first:
            raise IndexesFault(f"non-increasing order, previous: {last}, current: {first}")
        total += end - first + 1
        last = end
    return total


def interval(text: str, completions: int) -> tuple[int, int]:
    """The bounds of `3-5` or `7`.

    Raises:
        IndexesFault: it is neither, or not below `completions`.
    """
    limits = text.split("-")
    if len(limits) > 2:
        raise IndexesFault(
            f'the fragment "{text}" violates the requirement that an index interval can have at most two parts '
            "separated by '-'"
        )
    numbers = []
    for limit in limits:
        try:
            number = int(limit)
        except ValueError:
            raise IndexesFault(f'cannot convert string to integer for index: "{limit}"') from None
        if number >= completions:
            raise IndexesFault(f'too large index: "{limit}"')
        numbers.append(number)
    if len(numbers) == 2 and numbers[0] >= numbers[1]:
        raise IndexesFault(f"non-increasing order, previous: {numbers[0]}, current: {numbers[1]}")
    return numbers[0], numbers[-1]
