"""The policies in force, and what they do to a write: mutate the object, refuse it, or warn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rackplane.localcluster import errors
from rackplane.localcluster.objects import Obj, dig, name_of
from rackplane.localcluster.resources import NAMESPACES, Registry, Resource
from rackplane.localcluster.store import Change, GroupResource, Store

from .attributes import Attributes, namespace_object
from .definitions import KINDS, MUTATING, MUTATING_BINDINGS, VALIDATING, VALIDATING_BINDINGS
from .expressions import EvaluationError, Expression, Scope, compile_expression
from .extracts import Path
from .matching import Matcher, exempt
from .merge import merged

_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}
#: The longest message an expression may give, in bytes; a longer one is replaced by the plain message.
_MESSAGE_BYTES = 5 * 1024


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


@dataclass(slots=True)
class _Denial:
    """What a policy that fails closed has against a request; `binding` is empty where it is the policy's own fault."""

    policy: str
    binding: str
    message: str
    reason: str = ""


class Policies:
    """Evaluates the stored policies. A change of theirs is in force at once (a real server takes about a second).

    `schema` gives the schema of a custom resource, None for a built-in one.
    """

    def __init__(self, store: Store, registry: Registry, schema: Callable[[Resource], Any]) -> None:
        self._store = store
        self._schema = schema
        self._matcher = Matcher(store, registry)
        self._loaded: dict[GroupResource, list[Policy]] | None = None
        self._relevant: dict[tuple[GroupResource, Resource, str, str], list[Policy]] = {}
        store.subscribe(self._changed)

    def _changed(self, change: Change) -> None:
        if change.resource in KINDS:
            self._loaded = None

    def _about(
        self, kind: GroupResource, resource: Resource, subresource: str, operation: str
    ) -> Sequence[Policy]:
        """The policies whose rules name a resource: nothing more is looked at for all other requests."""
        if self._loaded is None:
            self._loaded = {
                MUTATING: self._load(MUTATING, MUTATING_BINDINGS),
                VALIDATING: self._load(VALIDATING, VALIDATING_BINDINGS),
            }
            self._relevant.clear()
        loaded = self._loaded[kind]
        if not loaded:
            return ()
        key = (kind, resource, subresource, operation)
        found = self._relevant.get(key)
        if found is None:
            found = (
                []
                if exempt(resource)
                else [
                    p for p in loaded if self._matcher.about(p.constraints, resource, subresource, operation)
                ]
            )
            self._relevant[key] = found
        return found

    def _load(self, policies: GroupResource, bindings: GroupResource) -> list[Policy]:
        """Policies that have a binding, in the order of their names."""
        loaded = {name_of(obj): _compiled(obj) for obj in self._store.items(policies)}
        for binding in self._store.items(bindings):
            policy = loaded.get(str(dig(binding, "spec", "policyName")))
            if policy is not None:
                policy.bindings.append(binding)
        return [policy for policy in loaded.values() if policy.bindings]

    def _bound(self, policy: Policy, about: Attributes) -> Iterator[tuple[Resource, Obj]]:
        """The bindings under which a policy applies, and the resource as which the request matched."""
        matched = self._matcher.match(policy.constraints, about)
        if matched is None:
            return
        for binding in policy.bindings:
            resources = dig(binding, "spec", "matchResources")
            if not resources or self._matcher.match(resources, about) is not None:
                yield matched, binding

    def _scope(self, policy: Policy, about: Attributes, matched: Resource) -> Scope:
        namespace = None
        if about.namespace and not about.of_a_namespace():
            namespace = self._store.get(NAMESPACES, "", about.namespace)
        values = {
            "object": _as(matched, about.obj),
            "oldObject": _as(matched, about.old),
            "request": about.request(matched),
            "namespaceObject": namespace_object(namespace),
        }
        return Scope(values, policy.variables, policy.paths)

    # -- mutation

    def mutate(self, about: Attributes, default: Callable[[Obj], None]) -> Obj:
        """The object after all mutating policies; `default` fills in its defaults, before the first and after each.

        Raises:
            ApiError: 422, a policy that fails closed cannot be evaluated for this object.
        """
        obj = about.obj
        assert obj is not None
        policies = self._about(MUTATING, about.resource, about.subresource, about.operation)
        if not policies:
            return obj
        default(obj)
        denials: list[_Denial] = []
        again: set[tuple[str, str]] = set()
        invoked = self._mutate(policies, about, default, denials, None, again)
        if invoked and again and not denials:
            # Once more, in the hope that all agree: those that allow it and ran before the object last changed.
            self._mutate(policies, about, default, denials, again, set())
        if denials:
            raise _refused(about, denials)
        return about.obj if about.obj is not None else obj

    def _mutate(
        self,
        policies: Sequence[Policy],
        about: Attributes,
        default: Callable[[Obj], None],
        denials: list[_Denial],
        only: set[tuple[str, str]] | None,
        again: set[tuple[str, str]],
    ) -> bool:
        """One round. `only` limits it; `again` collects what has to run once more. Whether anything changed."""
        before: set[tuple[str, str]] = set()
        changed_any = False
        # Which policies apply is decided before the first of them changes anything.
        invocations = [(policy, *bound) for policy in policies for bound in self._bound(policy, about)]
        for policy, matched, binding in invocations:
            key = (policy.name, name_of(binding))
            scope = self._scope(policy, about, matched)
            try:
                applies = _conditions_hold(policy, scope)
            except EvaluationError as problem:
                denials.append(_Denial(policy.name, key[1], str(problem), "Invalid"))
                continue
            if not applies or (only is not None and key not in only):
                continue
            start = about.obj
            for mutation in policy.mutations:
                try:
                    patched = merged(about.obj or {}, scope.evaluate(mutation), self._schema(about.resource))
                except EvaluationError as problem:
                    if policy.fails:
                        denials.append(_Denial(policy.name, key[1], str(problem), "Invalid"))
                    continue
                default(patched)
                about.obj = patched
                scope.replace_object(_as(matched, patched))
            if about.obj != start:
                changed_any = True
                again |= before
                before.clear()
            if policy.reinvoked:
                before.add(key)
        if changed_any:
            again |= before
        return changed_any

    # -- validation

    def validate(self, about: Attributes) -> None:
        """Let the validating policies see a write in its final form; warnings go to the caller.

        Raises:
            ApiError: 401, 403, 413 or 422 by the reason of the validation that failed first.
        """
        denials: list[_Denial] = []
        for policy in self._about(VALIDATING, about.resource, about.subresource, about.operation):
            for matched, binding in self._bound(policy, about):
                name, actions = name_of(binding), dig(binding, "spec", "validationActions") or ()
                scope = self._scope(policy, about, matched)
                for message, reason in _failures(policy, scope):
                    if "Deny" in actions:
                        denials.append(_Denial(policy.name, name, message, reason))
                    if "Warn" in actions:
                        about.caller.warnings.append(
                            f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding '{name}': "
                            f"{message}"
                        )
                for message in _annotation_failures(policy, scope):
                    denials.append(_Denial(policy.name, name, message))
        if denials:
            first = denials[0]
            message = (
                f"ValidatingAdmissionPolicy '{first.policy}' with binding '{first.binding}' denied request: "
                f"{first.message}"
            )
            problem = errors.forbidden(about.resource.group, about.resource.plural, about.shown_name, message)
            problem.reason = first.reason or "Invalid"
            problem.code = _CODES.get(problem.reason, 422)
            problem.details["causes"] = [{"message": message}]
            raise problem


def _compiled(obj: Obj) -> Policy:
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


def _as(resource: Resource, obj: Obj | None) -> Obj | None:
    """The object in the version that the policy matched; versions of one custom resource differ in nothing else."""
    if obj is None or not resource.crd or obj.get("apiVersion") == resource.api_version:
        return obj
    return {**obj, "apiVersion": resource.api_version}


def _conditions_hold(policy: Policy, scope: Scope) -> bool:
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


def _failures(policy: Policy, scope: Scope) -> Iterator[tuple[str, str]]:
    """Message and reason of each validation that does not hold."""
    try:
        if not _conditions_hold(policy, scope):
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


def _annotation_failures(policy: Policy, scope: Scope) -> Iterator[str]:
    """Audit annotations go nowhere, as there is no audit log; one that cannot be evaluated denies the request."""
    if not policy.annotations:
        return
    try:
        if not _conditions_hold(policy, scope):
            return
    except EvaluationError:
        return
    for annotation in policy.annotations:
        try:
            scope.evaluate(annotation)
        except EvaluationError as problem:
            if policy.fails:
                yield str(problem)


def _refused(about: Attributes, denials: list[_Denial]) -> errors.ApiError:
    problem = errors.forbidden(about.resource.group, about.resource.plural, about.shown_name, "")
    texts = [
        f"policy '{denial.policy}' with binding '{denial.binding}' denied request: {denial.message}"
        for denial in denials
    ]
    problem.message, problem.reason = texts[0], denials[0].reason
    problem.details["causes"] = [{"message": text} for text in texts]
    return problem
