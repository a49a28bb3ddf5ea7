"""The policies in force, and what they do to a write: mutate the object, refuse it, or warn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rackplane.localcluster import errors
from rackplane.localcluster.fields.types import Type
from rackplane.localcluster.objects import Obj, dig, name_of
from rackplane.localcluster.resources import NAMESPACES, Registry, Resource
from rackplane.localcluster.store import Change, GroupResource, Store

from .attributes import Attributes, namespace_object, presented
from .compiled import Denial, Policy, annotation_failures, compiled, failures
from .definitions import KINDS, MUTATING, MUTATING_BINDINGS, VALIDATING, VALIDATING_BINDINGS
from .expressions import Scope
from .matching import Matcher, exempt
from .mutation import Mutation

_CODES = {"Forbidden": 403, "RequestEntityTooLarge": 413}


class Policies:
    """Evaluates the stored policies. A change of theirs is in force at once (a real server takes about a second).

    `type_of` says how objects of a resource merge.
    """

    def __init__(self, store: Store, registry: Registry, type_of: Callable[[Resource], Type]) -> None:
        self._store = store
        self._type_of = type_of
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
        loaded = {name_of(obj): compiled(obj) for obj in self._store.items(policies)}
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
            "object": presented(matched, about.obj),
            "oldObject": presented(matched, about.old),
            "request": about.request(matched),
            "namespaceObject": namespace_object(namespace),
        }
        return Scope(values, policy.variables, policy.paths)

    # -- mutation

    def mutate(self, about: Attributes, default: Callable[[Obj], None]) -> Obj:
        """The object after all mutating policies; `default` fills in its defaults, before the first and after each.

        Raises:
            ApiError: 403, a policy that fails closed cannot be evaluated for this object.
        """
        assert about.obj is not None
        policies = self._about(MUTATING, about.resource, about.subresource, about.operation)
        if not policies:
            return about.obj
        default(about.obj)
        mutation = Mutation(about, self._type_of(about.resource), default)
        # Which policies apply is decided before the first of them changes anything.
        for policy, matched, binding in self._applying(policies, about):
            mutation.run(policy, name_of(binding), matched, self._scope(policy, about, matched))
        mutation.check()
        again = mutation.again
        if again:
            # Once only, in the hope that all agree by then.
            for policy, matched, binding in self._applying(policies, about):
                if (policy.name, name_of(binding)) in again:
                    mutation.run(policy, name_of(binding), matched, self._scope(policy, about, matched))
            mutation.check()
        return about.obj

    def _applying(self, policies: Sequence[Policy], about: Attributes) -> list[tuple[Policy, Resource, Obj]]:
        return [(policy, *bound) for policy in policies for bound in self._bound(policy, about)]

    # -- validation

    def validate(self, about: Attributes) -> None:
        """Let the validating policies see a write in its final form; warnings go to the caller.

        Raises:
            ApiError: 401, 403, 413 or 422 by the reason of the validation that failed first.
        """
        denials: list[Denial] = []
        for policy in self._about(VALIDATING, about.resource, about.subresource, about.operation):
            for matched, binding in self._bound(policy, about):
                name, actions = name_of(binding), dig(binding, "spec", "validationActions") or ()
                scope = self._scope(policy, about, matched)
                for message, reason in failures(policy, scope):
                    if "Deny" in actions:
                        denials.append(Denial(policy.name, name, message, reason))
                    if "Warn" in actions:
                        about.caller.warnings.append(
                            f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding '{name}': "
                            f"{message}"
                        )
                for message in annotation_failures(policy, scope):
                    denials.append(Denial(policy.name, name, message))
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
