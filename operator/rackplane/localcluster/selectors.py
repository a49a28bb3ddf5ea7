"""Label and field selectors, as query parameters and as `metav1.LabelSelector`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from . import labelsyntax
from .errors import ApiError, bad_request
from .objects import Obj, dig, meta
from .resources import Resource

Predicate = Callable[[Obj], bool]


def _requirement(key: str, operator: str, values: list[str]) -> Callable[[Mapping[str, Any]], bool]:
    wanted = frozenset(values)
    match operator:
        case "In":
            return lambda labels: key in labels and labels[key] in wanted
        case "NotIn":
            return lambda labels: labels.get(key) not in wanted
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
        case "Gt":
            return lambda labels: _number(labels.get(key)) is not None and _int(labels[key]) > int(values[0])
        case "Lt":
            return lambda labels: _number(labels.get(key)) is not None and _int(labels[key]) < int(values[0])
    raise bad_request(f'"{operator}" is not a valid label selector operator')


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _int(value: Any) -> int:
    return int(value)


def parse_labels(text: str) -> Predicate | None:
    """A predicate for a `labelSelector` parameter; None selects everything.

    Raises:
        ApiError: 400, the selector does not parse.
    """
    requirements = labelsyntax.parse(text) if text else []
    if not requirements:
        return None
    checks = [_requirement(*requirement) for requirement in requirements]
    return lambda obj: all(check(meta(obj).get("labels") or {}) for check in checks)


def match_requirements(expressions: list[Obj], labels: Mapping[str, Any]) -> bool:
    """Whether `labels` satisfy a list of {key, operator, values}, as node affinity and selectors write them."""
    return all(
        _requirement(str(e.get("key")), str(e.get("operator")), [str(v) for v in e.get("values") or ()])(
            labels
        )
        for e in expressions
    )


def match_selector(selector: Obj | None, labels: Mapping[str, Any]) -> bool:
    """Whether `labels` satisfy a `metav1.LabelSelector`; None matches nothing, an empty one everything."""
    if selector is None:
        return False
    exact = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in exact.items()):
        return False
    return match_requirements(selector.get("matchExpressions") or [], labels)


#: Field selectors per group resource, and what an object without the field counts as.
FIELDS: dict[tuple[str, str], dict[str, str]] = {
    ("", "pods"): {
        "metadata.name": "",
        "metadata.namespace": "",
        "spec.nodeName": "",
        "spec.restartPolicy": "",
        "spec.schedulerName": "",
        "spec.serviceAccountName": "",
        "spec.hostNetwork": "false",
        "status.phase": "",
        "status.podIP": "",
        "status.nominatedNodeName": "",
    },
    ("", "nodes"): {"metadata.name": "", "spec.unschedulable": "false"},
    ("", "namespaces"): {"metadata.name": "", "status.phase": ""},
    ("", "secrets"): {"metadata.name": "", "metadata.namespace": "", "type": ""},
    ("", "services"): {
        "metadata.name": "",
        "metadata.namespace": "",
        "spec.clusterIP": "",
        "spec.type": "",
    },
    ("", "events"): {
        "metadata.name": "",
        "metadata.namespace": "",
        "involvedObject.kind": "",
        "involvedObject.namespace": "",
        "involvedObject.name": "",
        "involvedObject.uid": "",
        "involvedObject.apiVersion": "",
        "involvedObject.resourceVersion": "",
        "involvedObject.fieldPath": "",
        "reason": "",
        "reportingComponent": "",
        "source": "",
        "type": "",
    },
    ("batch", "jobs"): {"metadata.name": "", "metadata.namespace": "", "status.successful": "0"},
}
_COMMON = {"metadata.name": "", "metadata.namespace": ""}


def _field_text(obj: Obj, path: str, default: str) -> str:
    if path == "status.successful":
        return str(dig(obj, "status", "succeeded") or 0)
    if path == "source":
        return str(dig(obj, "source", "component") or obj.get("reportingComponent") or "")
    value = dig(obj, *path.split("."))
    if isinstance(value, bool):
        return "true" if value else "false"
    return default if value is None else str(value)


def _stored_path(resource: Resource, path: str) -> str:
    """The path in a stored object that a path in a selector means; events.k8s.io has names of its own."""
    if resource.group != "events.k8s.io":
        return path
    if path.startswith("regarding."):
        return f"involvedObject.{path.removeprefix('regarding.')}"
    names = {"reportingController": "reportingComponent", "reason": "reason", "type": "type"}
    return path if path in _COMMON else names.get(path, "")


def _unknown(resource: Resource, path: str) -> ApiError:
    if resource.key == ("batch", "jobs"):
        return bad_request(f'field label "{path}" not supported for Job')
    if resource.key in FIELDS or resource.crd:
        return bad_request(f"field label not supported: {path}")
    return bad_request(f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"')


def _terms(text: str) -> list[tuple[str, str, bool]]:
    """Path, value and whether they shall be equal, of each term; a backslash takes `,`, `=` and itself literally."""
    found: list[tuple[str, str, bool]] = []
    for part in sorted(re.findall(r"(?:\\.|[^,\\])+", text, re.DOTALL)):
        term = re.match(r"(?P<path>.*?)(?P<op>!=|==|=)(?P<value>.*)$", part, re.DOTALL)
        if term is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        plain = re.sub(r"\\[\\,=]", "", term["value"])
        if "=" in plain:
            raise bad_request("invalid field selector: unescaped character in value: =")
        if "\\" in plain:
            escape = re.search(r"\\.?", plain)
            raise bad_request(
                f"invalid field selector: invalid escape sequence: {escape[0] if escape else ''}"
            )
        found.append((term["path"], re.sub(r"\\(.)", r"\1", term["value"]), term["op"] != "!="))
    return found


def parse_fields(
    text: str, resource: Resource, selectable: tuple[str, ...] | None = None
) -> Predicate | None:
    """A predicate for a `fieldSelector` parameter; None selects everything.

    `selectable` are a CRD's own `selectableFields`, as dotted paths.

    Raises:
        ApiError: 400, the field is not selectable for this resource or the selector does not parse.
    """
    terms = _terms(text)
    if not terms:
        return None
    known = {**FIELDS.get(resource.key, _COMMON), **dict.fromkeys(selectable or (), "")}
    checks: list[tuple[str, str, str, bool]] = []
    for path, value, equal in terms:
        stored = _stored_path(resource, path)
        if stored not in known:
            raise _unknown(resource, path)
        checks.append((stored, value, known[stored], equal))
    return lambda obj: all(
        (_field_text(obj, path, default) == value) is equal for path, value, default, equal in checks
    )


def both(first: Predicate | None, second: Predicate | None) -> Predicate | None:
    """The conjunction of two optional predicates."""
    if first is None or second is None:
        return first or second
    left, right = first, second
    return lambda obj: left(obj) and right(obj)
