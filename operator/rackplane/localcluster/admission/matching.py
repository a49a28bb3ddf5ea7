"""Which requests a policy or a binding is about: `matchConstraints` and `matchResources`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rackplane.localcluster.objects import Obj, meta
from rackplane.localcluster.resources import ADMISSION, Registry, Resource
from rackplane.localcluster.selectors import match_selector
from rackplane.localcluster.store import Store

from .attributes import CREATE, UPDATE, Attributes

_EXEMPT = frozenset(
    {
        *("mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingwebhookconfigurations"),
        *(
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ),
    }
)


def exempt(resource: Resource) -> bool:
    """Whether no policy applies: a policy must not lock out its own repair."""
    return resource.group == ADMISSION and resource.plural in _EXEMPT


class Matcher:
    """Matches requests against constraints in one cluster."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def about(self, constraints: Obj, resource: Resource, subresource: str, operation: str) -> bool:
        """Whether some rule names the resource in any version: what can be said before the object is known."""
        rules = constraints.get("resourceRules")
        return not rules or any(
            _names(rule, other, subresource, operation)
            for other in (resource, *self._equivalents(resource))
            for rule in rules
        )

    def match(self, constraints: Obj, about: Attributes) -> Resource | None:
        """The resource as which the request matches, or None where it does not."""
        if not self._namespace(constraints, about) or not _object(constraints, about):
            return None
        if self._rules(constraints.get("excludeResourceRules") or (), constraints, about):
            return None
        rules = constraints.get("resourceRules") or ()
        return self._rules(rules, constraints, about) if rules else about.resource

    def _rules(self, rules: Iterable[Obj], constraints: Obj, about: Attributes) -> Resource | None:
        candidates = [about.resource]
        if constraints.get("matchPolicy") == "Equivalent":
            candidates += self._equivalents(about.resource)
        for resource in candidates:
            for rule in rules:
                names = rule.get("resourceNames")
                if _names(rule, resource, about.subresource, about.operation) and (
                    not names or about.name in names
                ):
                    return resource
        return None

    def _equivalents(self, resource: Resource) -> list[Resource]:
        """The other served versions of a custom resource."""
        if not resource.crd:
            return []
        return [other for other in self._registry if other.crd == resource.crd and other != resource]

    def _namespace(self, constraints: Obj, about: Attributes) -> bool:
        selector = constraints.get("namespaceSelector") or {}
        if not selector or not about.namespace:
            return True
        if about.of_a_namespace() and not about.subresource and about.operation in (CREATE, UPDATE):
            namespace = about.obj
        else:
            namespace = self._store.get(("", "namespaces"), "", about.namespace)
        return namespace is not None and match_selector(selector, _labels(namespace))


def _object(constraints: Obj, about: Attributes) -> bool:
    selector = constraints.get("objectSelector") or {}
    return not selector or any(
        obj is not None and match_selector(selector, _labels(obj)) for obj in (about.obj, about.old)
    )


def _labels(obj: Obj) -> Mapping[str, Any]:
    return meta(obj).get("labels") or {}


def _names(rule: Obj, resource: Resource, subresource: str, operation: str) -> bool:
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") is not resource.namespaced:
        return False
    for field, value in (
        ("operations", operation),
        ("apiGroups", resource.group),
        ("apiVersions", resource.version),
    ):
        if not {"*", value} & set(rule.get(field) or ()):
            return False
    for name in rule.get("resources") or ():
        plural, _, part = name.partition("/")
        if plural in ("*", resource.plural) and part in ("*", subresource):
            return True
    return False
