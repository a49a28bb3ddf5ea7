"""The policy objects themselves: defaults, what a real server refuses, and what this one does not implement."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rackplane.localcluster import errors
from rackplane.localcluster.errors import Cause, duplicate_value, invalid_value, required, unsupported_value
from rackplane.localcluster.objects import Obj
from rackplane.localcluster.resources import ADMISSION
from rackplane.localcluster.schemas.celsyntax import RESERVED
from rackplane.localcluster.store import GroupResource

from .expressions import compile_expression

MUTATING: GroupResource = (ADMISSION, "mutatingadmissionpolicies")
MUTATING_BINDINGS: GroupResource = (ADMISSION, "mutatingadmissionpolicybindings")
VALIDATING: GroupResource = (ADMISSION, "validatingadmissionpolicies")
VALIDATING_BINDINGS: GroupResource = (ADMISSION, "validatingadmissionpolicybindings")
KINDS = frozenset({MUTATING, MUTATING_BINDINGS, VALIDATING, VALIDATING_BINDINGS})

_REASONS = ["Forbidden", "Invalid", "RequestEntityTooLarge"]
_OPERATIONS = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")


def default(key: GroupResource, obj: Obj) -> None:
    """Fill in what the API server defaults, in place."""
    spec = obj.setdefault("spec", {})
    if key in (MUTATING, VALIDATING):
        if spec.get("failurePolicy") is None:
            spec["failurePolicy"] = "Fail"
        _default_match(spec.get("matchConstraints"))
    else:
        _default_match(spec.get("matchResources"))
    if key == VALIDATING:
        obj.setdefault("status", {})


def _default_match(constraints: Any) -> None:
    if not isinstance(constraints, dict):
        return
    constraints.setdefault("matchPolicy", "Equivalent")
    constraints.setdefault("namespaceSelector", {})
    constraints.setdefault("objectSelector", {})
    for field in ("resourceRules", "excludeResourceRules"):
        for rule in constraints.get(field) or ():
            rule.setdefault("scope", "*")


def check(key: GroupResource, obj: Obj) -> list[Cause]:
    """What a real server refuses about a policy or a binding.

    Raises:
        ApiError: 501, it uses what the cluster does not implement.
    """
    spec = obj["spec"]
    if key in (MUTATING, VALIDATING):
        return list(_policy(key, spec))
    return list(_binding(key, spec))


def _policy(key: GroupResource, spec: Obj) -> Iterator[Cause]:
    if spec.get("paramKind") is not None:
        raise errors.not_implemented("parameters of admission policies (spec.paramKind)")
    if spec["failurePolicy"] not in ("Fail", "Ignore"):
        yield unsupported_value("spec.failurePolicy", spec["failurePolicy"], ["Fail", "Ignore"])
    constraints = spec.get("matchConstraints")
    if not isinstance(constraints, dict):
        yield required("spec.matchConstraints")
    else:
        yield from _match(constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            yield required("spec.matchConstraints.resourceRules")
        if key == MUTATING:
            yield from _mutable(constraints, "spec.matchConstraints")
    yield from _conditions(spec)
    variables: frozenset[str] = frozenset()
    for index, variable in enumerate(spec.get("variables") or ()):
        yield from _variable(variable, variables, f"spec.variables[{index}]")
        variables |= {str(variable.get("name"))}
    if key == VALIDATING:
        yield from _validations(spec, variables)
    else:
        yield from _mutations(spec, variables)


def _mutable(constraints: Obj, path: str) -> Iterator[Cause]:
    """Only creations and updates can be mutated."""
    for rule in constraints.get("resourceRules") or ():
        for operation in rule.get("operations") or ():
            if operation not in ("*", "CONNECT", "CREATE", "UPDATE"):
                known: list[Any] = ["*", "CONNECT", "CREATE", "UPDATE"]
                yield unsupported_value(f"{path}.resourceRules.operations", operation, known)
        for resource in rule.get("resources") or ():
            if resource.partition("/")[2] not in ("", "status"):
                raise errors.not_implemented(f"mutating admission policies for {resource}")


def _match(constraints: Obj, path: str) -> Iterator[Cause]:
    if constraints["matchPolicy"] not in ("Equivalent", "Exact"):
        yield unsupported_value(f"{path}.matchPolicy", constraints["matchPolicy"], ["Equivalent", "Exact"])
    for field in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(constraints.get(field) or ()):
            yield from _rule(rule, f"{path}.{field}[{index}]")


def _rule(rule: Obj, path: str) -> Iterator[Cause]:
    names = rule.get("resourceNames") or []
    for index, name in enumerate(names):
        if name in names[:index]:
            yield duplicate_value(f"{path}.resourceNames[{index}]", name)
    for part, noun in _PARTS.items():
        values = rule.get(part) or []
        if not values:
            yield required(f"{path}.{part}")
        elif noun and "*" in values and len(values) > 1:
            yield invalid_value(f"{path}.{part}", values, f"if '*' is present, must not specify other {noun}")
        if part == "operations":
            for index, operation in enumerate(values):
                if operation not in _OPERATIONS:
                    yield unsupported_value(f"{path}.{part}[{index}]", operation, list(_OPERATIONS))


_PARTS = {
    "operations": "operations",
    "apiGroups": "API groups",
    "apiVersions": "API versions",
    "resources": "",
}


def _conditions(spec: Obj) -> Iterator[Cause]:
    names: set[str] = set()
    for index, condition in enumerate(spec.get("matchConditions") or ()):
        path = f"spec.matchConditions[{index}]"
        if not _text(condition, "expression"):
            yield required(f"{path}.expression")
        else:
            # A match condition is evaluated before the policy's variables are.
            compile_expression(condition["expression"], frozenset())
        name = condition.get("name")
        if not name:
            yield required(f"{path}.name")
        elif name in names:
            yield duplicate_value(f"{path}.name", name)
        names.add(str(name))


def _variable(variable: Obj, known: frozenset[str], path: str) -> Iterator[Cause]:
    name = _text(variable, "name")
    if not name:
        yield required(f"{path}.name", "name is not specified")
    elif not _IDENTIFIER.fullmatch(name) or name in RESERVED:
        yield invalid_value(f"{path}.name", name, "must be a valid CEL identifier")
    if not _text(variable, "expression"):
        yield required(f"{path}.expression", "expression is not specified")
    else:
        compile_expression(variable["expression"], known)


def _validations(spec: Obj, variables: frozenset[str]) -> Iterator[Cause]:
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        for field in ("validations", "auditAnnotations"):
            yield required(f"spec.{field}", "validations or auditAnnotations must contain at least one item")
    for index, validation in enumerate(spec.get("validations") or ()):
        path = f"spec.validations[{index}]"
        if not _text(validation, "expression"):
            yield required(f"{path}.expression", "expression is not specified")
        else:
            compile_expression(validation["expression"], variables)
        if validation.get("messageExpression"):
            if not _text(validation, "messageExpression"):
                text = validation["messageExpression"]
                yield invalid_value(f"{path}.messageExpression", text, "must be non-empty if specified")
            else:
                compile_expression(validation["messageExpression"], variables)
        message = validation.get("message") or ""
        if message and not message.strip():
            yield invalid_value(f"{path}.message", message, "must be non-empty if specified")
        elif re.search(r"[\n\r]", message.strip()):
            yield invalid_value(f"{path}.message", message, "must not contain line breaks")
        reason = validation.get("reason")
        if reason is not None and reason not in _REASONS:
            yield unsupported_value(f"{path}.reason", reason, list(_REASONS))
    keys: set[str] = set()
    for index, annotation in enumerate(spec.get("auditAnnotations") or ()):
        path = f"spec.auditAnnotations[{index}]"
        if not _text(annotation, "valueExpression"):
            yield required(f"{path}.valueExpression", "valueExpression is not specified")
        else:
            compile_expression(annotation["valueExpression"], variables)
        if annotation.get("key") in keys:
            yield duplicate_value(f"{path}.key", annotation["key"])
        keys.add(str(annotation.get("key")))


def _mutations(spec: Obj, variables: frozenset[str]) -> Iterator[Cause]:
    if not spec.get("mutations"):
        yield required("spec.mutations", "mutations must contain at least one item")
    for index, mutation in enumerate(spec.get("mutations") or ()):
        path = f"spec.mutations[{index}]"
        kind = mutation.get("patchType")
        if kind == "JSONPatch":
            raise errors.not_implemented("JSONPatch mutations of admission policies (use ApplyConfiguration)")
        if not kind:
            yield required(f"{path}.patchType")
        elif kind != "ApplyConfiguration":
            yield unsupported_value(f"{path}.patchType", kind, ["ApplyConfiguration", "JSONPatch"])
        elif mutation.get("applyConfiguration") is None:
            yield required(
                f"{path}.applyConfiguration", "must be specified when patchType is ApplyConfiguration"
            )
        elif not _text(mutation["applyConfiguration"], "expression"):
            yield required(f"{path}.applyConfiguration.expression")
        else:
            compile_expression(mutation["applyConfiguration"]["expression"], variables, objects=True)
        if kind == "ApplyConfiguration" and mutation.get("jsonPatch") is not None:
            yield invalid_value(
                f"{path}.jsonPatch",
                "{jsonPatch}",
                "must not be specified when patchType is ApplyConfiguration",
            )
    policy = spec.get("reinvocationPolicy")
    if not policy:
        yield required("spec.reinvocationPolicy")
    elif policy not in ("IfNeeded", "Never"):
        yield unsupported_value("spec.reinvocationPolicy", policy, ["IfNeeded", "Never"])


def _binding(key: GroupResource, spec: Obj) -> Iterator[Cause]:
    if spec.get("paramRef") is not None:
        raise errors.not_implemented("parameters of admission policies (spec.paramRef)")
    if not spec.get("policyName"):
        yield required("spec.policyName")
    if isinstance(spec.get("matchResources"), dict):
        yield from _match(spec["matchResources"], "spec.matchResources")
        if key == MUTATING_BINDINGS:
            yield from _mutable(spec["matchResources"], "spec.matchResources")
    if key != VALIDATING_BINDINGS:
        return
    actions = spec.get("validationActions") or []
    known = ["Audit", "Deny", "Warn"]
    for index, action in enumerate(actions):
        if action not in known:
            yield unsupported_value(f"spec.validationActions[{index}]", action, list(known))
        if action in actions[:index]:
            yield duplicate_value(f"spec.validationActions[{index}]", action)
    if "Deny" in actions and "Warn" in actions:
        detail = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API "
            "response and headers serves no purpose)"
        )
        yield invalid_value("spec.validationActions", actions, detail)
    if not actions:
        yield required("spec.validationActions", "at least one validation action is required")


def _text(holder: Obj, field: str) -> str:
    value = holder.get(field)
    return value.strip() if isinstance(value, str) else ""
