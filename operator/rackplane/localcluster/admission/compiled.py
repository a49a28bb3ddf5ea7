"""A stored policy, compiled, and what it finds in one request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rackplane.localcluster.objects import Obj, name_of

from .expressions import EvaluationError, Expression, Scope, compile_expression
from .extracts import Path

#: The longest message an expression may give, in bytes; a longer one is replaced by the plain message.
_MESSAGE_BYTES = 5 * 1024


@dataclass(frozen=True, slots=True)
class Denial:
    """What a policy that fails closed has against a request, under one of its bindings."""

    policy: str
    binding: str
    message: str
    reason: str = ""


@dataclass(slots=True)
class Validation:
    """One entry of `spec.validations`."""

    expression: Expression
    message: str
    message_expression: Expression | None
    reason: str


@dataclass(slots=True)
class Policy:
    """A policy, compiled, with the bindings that put it in force."""

    name: str
    constraints: Obj
    fails: bool
    reinvoked: bool
    conditions: tuple[Expression, ...]
    variables: dict[str, Expression]
    mutations: tuple[Expression, ...] = ()
    validations: tuple[Validation, ...] = ()
    annotations: tuple[Expression, ...] = ()
    bindings: list[Obj] = field(default_factory=list)
    paths: dict[str, frozenset[Path]] = field(init=False)

    def __post_init__(self) -> None:
        found: dict[str, frozenset[Path]] = {}
        for expression in self._expressions():
            for root, paths in expression.paths.items():
                found[root] = found.get(root, frozenset()) | paths
        self.paths = found

    def _expressions(self) -> Iterator[Expression]:
        yield from (*self.conditions, *self.variables.values(), *self.mutations, *self.annotations)
        for validation in self.validations:
            yield validation.expression
            if validation.message_expression is not None:
                yield validation.message_expression


def compiled(obj: Obj) -> Policy:
    """A stored policy; it was checked when it was stored."""
    spec = obj["spec"]
    names: frozenset[str] = frozenset()
    variables: dict[str, Expression] = {}
    for variable in spec.get("variables") or ():
        variables[variable["name"]] = compile_expression(variable["expression"], names)
        names |= {variable["name"]}
    return Policy(
        name=name_of(obj),
        constraints=spec["matchConstraints"],
        fails=spec["failurePolicy"] == "Fail",
        reinvoked=spec.get("reinvocationPolicy") == "IfNeeded",
        conditions=tuple(
            compile_expression(entry["expression"], frozenset())
            for entry in spec.get("matchConditions") or ()
        ),
        variables=variables,
        mutations=tuple(
            compile_expression(entry["applyConfiguration"]["expression"], names, objects=True)
            for entry in spec.get("mutations") or ()
        ),
        validations=tuple(
            Validation(
                compile_expression(entry["expression"], names),
                entry.get("message") or "",
                compile_expression(entry["messageExpression"], names)
                if entry.get("messageExpression")
                else None,
                entry.get("reason") or "Invalid",
            )
            for entry in spec.get("validations") or ()
        ),
        annotations=tuple(
            compile_expression(entry["valueExpression"], names)
            for entry in spec.get("auditAnnotations") or ()
        ),
    )


def conditions_hold(policy: Policy, scope: Scope) -> bool:
    """Whether all match conditions hold.

    Raises:
        EvaluationError: none is false, some cannot be evaluated, and the policy fails closed.
    """
    problems = []
    for condition in policy.conditions:
        try:
            if scope.evaluate(condition) is False:
                return False
        except EvaluationError as problem:
            problems.append(str(problem))
    if problems and policy.fails:
        raise EvaluationError(
            problems[0] if len(problems) == 1 else f"[{', '.join(dict.fromkeys(problems))}]"
        )
    return not problems


def failures(policy: Policy, scope: Scope) -> Iterator[tuple[str, str]]:
    """Message and reason of each validation that does not hold."""
    try:
        if not conditions_hold(policy, scope):
            return
    except EvaluationError as problem:
        yield str(problem), ""
        return
    for validation in policy.validations:
        try:
            if scope.evaluate(validation.expression) is True:
                continue
        except EvaluationError as problem:
            if policy.fails:
                yield str(problem), ""
            continue
        yield _message(validation, scope), validation.reason


def _message(validation: Validation, scope: Scope) -> str:
    if validation.message_expression is not None:
        try:
            value = scope.evaluate(validation.message_expression)
        except EvaluationError:
            value = None
        if isinstance(value, str):
            text = value.strip()
            if text and "\n" not in text and len(text.encode()) <= _MESSAGE_BYTES:
                return text
    return validation.message.strip() or f"failed expression: {validation.expression.text.strip()}"


def annotation_failures(policy: Policy, scope: Scope) -> Iterator[str]:
    """Audit annotations go nowhere, as there is no audit log; one that cannot be evaluated denies the request."""
    if not policy.annotations:
        return
    try:
        if not conditions_hold(policy, scope):
            return
    except EvaluationError:
        return
    for annotation in policy.annotations:
        try:
            scope.evaluate(annotation)
        except EvaluationError as problem:
            if policy.fails:
                yield str(problem)
