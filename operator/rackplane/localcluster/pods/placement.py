"""What may be wrong with the parts of a pod spec that say where it may run, and when."""

from __future__ import annotations

from rackplane.localcluster import names
from rackplane.localcluster.errors import Cause, duplicate_value, invalid_value, required, unsupported_value
from rackplane.localcluster.gojson import internal
from rackplane.localcluster.objects import Obj

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
#: What a taint may do.
EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"]
_SPREAD_ACTIONS = ["DoNotSchedule", "ScheduleAnyway"]
_VALUES_NEEDED = "must be specified when `operator` is 'In' or 'NotIn'"
_VALUES_FORBIDDEN = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
_UNKNOWN_OPERATOR = "not a valid selector operator"


def label_causes(labels: Obj, path: str) -> list[Cause]:
    """Of a map of labels, as `nodeSelector` is one."""
    causes: list[Cause] = []
    for key, value in labels.items():
        causes += [invalid_value(path, key, text) for text in names.qualified_name(key)]
        causes += [invalid_value(path, value, text) for text in names.label_value(value)]
    return causes


def selector_causes(selector: Obj | None, path: str) -> list[Cause]:
    """Of a label selector."""
    if not selector:
        return []
    causes = label_causes(selector.get("matchLabels") or {}, f"{path}.matchLabels")
    for index, entry in enumerate(selector.get("matchExpressions") or ()):
        where, operator, values = (
            f"{path}.matchExpressions[{index}]",
            entry.get("operator"),
            entry.get("values") or [],
        )
        if operator in ("In", "NotIn"):
            if not values:
                causes.append(required(f"{where}.values", _VALUES_NEEDED))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                causes.append(
                    Cause(f"{where}.values", "FieldValueForbidden", f"Forbidden: {_VALUES_FORBIDDEN}")
                )
        else:
            causes.append(invalid_value(f"{where}.operator", operator or "", _UNKNOWN_OPERATOR))
        causes += _key_and_values(entry, where)
    return causes


def _key_and_values(entry: Obj, where: str, *, values: bool = True) -> list[Cause]:
    key = entry.get("key") or ""
    causes = [invalid_value(f"{where}.key", key, text) for text in names.qualified_name(key)]
    for index, value in enumerate(entry.get("values") or () if values else ()):
        causes += [
            invalid_value(f"{where}.values[{index}]", value, text) for text in names.label_value(value)
        ]
    return causes


def affinity_causes(affinity: Obj, path: str) -> list[Cause]:
    """Of affinity to nodes and to pods."""
    causes: list[Cause] = []
    if affinity.get("nodeAffinity"):
        causes += _node_affinity(affinity["nodeAffinity"], f"{path}.nodeAffinity")
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        for index, term in enumerate(terms.get(_REQUIRED) or ()):
            causes += _pod_term(term, f"{path}.{kind}.{_REQUIRED}[{index}]")
        for index, weighted in enumerate(terms.get(_PREFERRED) or ()):
            where = f"{path}.{kind}.{_PREFERRED}[{index}]"
            causes += _weight(weighted, where)
            causes += _pod_term(weighted.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")
    return causes


def _node_affinity(affinity: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    needed = affinity.get(_REQUIRED)
    if needed is not None:
        where = f"{path}.{_REQUIRED}.nodeSelectorTerms"
        terms = needed.get("nodeSelectorTerms") or []
        if not terms:
            causes.append(required(where, "must have at least one node selector term"))
        for index, term in enumerate(terms):
            causes += _node_term(term, f"{where}[{index}]")
    for index, entry in enumerate(affinity.get(_PREFERRED) or ()):
        where = f"{path}.{_PREFERRED}[{index}]"
        causes += _weight(entry, where)
        # Values that no label can have are let through here: they only fail to match.
        causes += _node_term(entry.get("preference") or {}, f"{where}.preference", values=False)
    return causes


def _weight(entry: Obj, where: str) -> list[Cause]:
    weight = entry.get("weight") or 0
    return (
        [] if 1 <= weight <= 100 else [invalid_value(f"{where}.weight", weight, "must be in the range 1-100")]
    )


def _node_term(term: Obj, path: str, *, values: bool = True) -> list[Cause]:
    causes: list[Cause] = []
    for index, entry in enumerate(term.get("matchExpressions") or ()):
        where, operator, given = (
            f"{path}.matchExpressions[{index}]",
            entry.get("operator"),
            entry.get("values") or [],
        )
        if operator in ("In", "NotIn"):
            if not given:
                causes.append(required(f"{where}.values", _VALUES_NEEDED))
        elif operator in ("Exists", "DoesNotExist"):
            if given:
                causes.append(
                    Cause(f"{where}.values", "FieldValueForbidden", f"Forbidden: {_VALUES_FORBIDDEN}")
                )
        elif operator in ("Gt", "Lt"):
            if len(given) != 1:
                detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                causes.append(required(f"{where}.values", detail))
        else:
            causes.append(invalid_value(f"{where}.operator", operator or "", _UNKNOWN_OPERATOR))
        causes += _key_and_values(entry, where, values=values)
    for index, entry in enumerate(term.get("matchFields") or ()):
        causes += _node_field(entry, f"{path}.matchFields[{index}]")
    return causes


def _node_field(entry: Obj, where: str) -> list[Cause]:
    causes: list[Cause] = []
    key, values = entry.get("key") or "", entry.get("values") or []
    if entry.get("operator") not in ("In", "NotIn"):
        causes.append(invalid_value(f"{where}.operator", entry.get("operator") or "", _UNKNOWN_OPERATOR))
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        causes.append(required(f"{where}.values", detail))
    if key != "metadata.name":
        return [*causes, invalid_value(f"{where}.key", key, "not a valid field selector key")]
    for index, value in enumerate(values):
        causes += [
            invalid_value(f"{where}.values[{index}]", value, text) for text in names.dns_subdomain(value)
        ]
    return causes


def _pod_term(term: Obj, where: str) -> list[Cause]:
    causes = selector_causes(term.get("labelSelector"), f"{where}.labelSelector")
    causes += selector_causes(term.get("namespaceSelector"), f"{where}.namespaceSelector")
    for name in term.get("namespaces") or ():
        causes += [invalid_value(f"{where}.namespace", name, text) for text in names.dns_label(name)]
    causes += _label_keys(term, where)
    key = term.get("topologyKey") or ""
    if not key:
        causes.append(required(f"{where}.topologyKey", "can not be empty"))
    return causes + [invalid_value(f"{where}.topologyKey", key, text) for text in names.qualified_name(key)]


def _label_keys(term: Obj, where: str) -> list[Cause]:
    """Of the keys whose values are taken from the pod itself. They are in the selector by now, once if all is right."""
    causes: list[Cause] = []
    selector = term.get("labelSelector")
    same, other = term.get("matchLabelKeys") or [], term.get("mismatchLabelKeys") or []
    for field, keys in (("matchLabelKeys", same), ("mismatchLabelKeys", other)):
        if keys and selector is None:
            detail = "must not be specified when labelSelector is not set"
            causes.append(Cause(f"{where}.{field}", "FieldValueForbidden", f"Forbidden: {detail}"))
        for index, key in enumerate(keys):
            causes += [
                invalid_value(f"{where}.{field}[{index}]", key, text) for text in names.qualified_name(key)
            ]
    if selector is not None:
        seen = set(selector.get("matchLabels") or {})
        for entry in selector.get("matchExpressions") or ():
            key = entry.get("key")
            if key in same and key in seen:
                detail = "exists in both matchLabelKeys and labelSelector"
                causes.append(invalid_value(f"{where}[{same.index(key)}]", key, detail))
            seen.add(key)
    for index, key in enumerate(same):
        if key in other:
            detail = "exists in both matchLabelKeys and mismatchLabelKeys"
            causes.append(invalid_value(f"{where}.matchLabelKeys[{index}]", key, detail))
    return causes


def spread_causes(constraints: list[Obj], path: str) -> list[Cause]:
    """Of topology spread constraints."""
    causes: list[Cause] = []
    for index, entry in enumerate(constraints):
        where = f"{path}[{index}]"
        skew, key, action = (
            entry.get("maxSkew") or 0,
            entry.get("topologyKey") or "",
            entry.get("whenUnsatisfiable"),
        )
        if skew <= 0:
            causes.append(invalid_value(f"{where}.maxSkew", skew, "must be greater than zero"))
        if not key:
            causes.append(required(f"{where}.topologyKey", "can not be empty"))
        if action not in _SPREAD_ACTIONS:
            causes.append(
                unsupported_value(f"{where}.whenUnsatisfiable", action or "", list(_SPREAD_ACTIONS))
            )
        for later in constraints[index + 1 :]:
            if (later.get("topologyKey") or "", later.get("whenUnsatisfiable")) == (key, action):
                both = f"{{{key}, {action or ''}}}"
                causes.append(duplicate_value(f"{where}.{{topologyKey, whenUnsatisfiable}}", both))
                break
        domains = entry.get("minDomains")
        if domains is not None:
            if domains <= 0:
                causes.append(invalid_value(f"{where}.minDomains", domains, "must be greater than zero"))
            if action != "DoNotSchedule":
                detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                causes.append(invalid_value(f"{where}.minDomains", domains, detail))
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if entry.get(field) not in (None, "Honor", "Ignore"):
                causes.append(unsupported_value(f"{where}.{field}", entry[field], ["Honor", "Ignore"]))
        causes += _label_keys(entry, where)
        causes += selector_causes(entry.get("labelSelector"), f"{where}.labelSelector")
    return causes


def gate_causes(gates: list[Obj], path: str) -> list[Cause]:
    """Of scheduling gates."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, gate in enumerate(gates):
        name = gate.get("name") or ""
        causes += [invalid_value(f"{path}[{index}]", name, text) for text in names.qualified_name(name)]
        if name in seen:
            causes.append(duplicate_value(f"{path}[{index}]", name))
        seen.add(name)
    return causes


def toleration_causes(tolerations: list[Obj], path: str) -> list[Cause]:
    """Of tolerations."""
    causes: list[Cause] = []
    for index, entry in enumerate(tolerations):
        where = f"{path}[{index}]"
        key, operator = entry.get("key") or "", entry.get("operator") or ""
        value, effect = entry.get("value") or "", entry.get("effect") or ""
        if key:
            causes += [invalid_value(f"{where}.key", key, text) for text in names.qualified_name(key)]
        elif operator != "Exists":
            detail = (
                'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            )
            causes.append(invalid_value(f"{where}.operator", operator, detail))
        if entry.get("tolerationSeconds") is not None and effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            causes.append(invalid_value(f"{where}.effect", effect, detail))
        if operator in ("Equal", ""):
            wrong = names.label_value(value)
            if wrong:
                causes.append(invalid_value(f"{where}.operator", value, ";".join(wrong)))
        elif operator == "Exists":
            if value:
                detail = "value must be empty when `operator` is 'Exists'"
                causes.append(invalid_value(f"{where}.operator", value, detail))
        elif operator in ("Lt", "Gt"):
            causes.append(unsupported_value(f"{where}.operator", operator, ["Equal", "Exists", "Lt", "Gt"]))
        else:
            causes.append(unsupported_value(f"{where}.operator", operator, ["Equal", "Exists"]))
        if effect and effect not in EFFECTS:
            causes.append(unsupported_value(f"{where}.effect", effect, list(EFFECTS)))
    return causes


def claim_causes(claims: list[Obj], path: str) -> list[Cause]:
    """Of the resource claims a pod names."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        where, name = f"{path}[{index}]", claim.get("name") or ""
        if not name:
            causes.append(required(f"{where}.name"))
        elif name in seen:
            causes.append(duplicate_value(f"{where}.name", name))
        else:
            causes += [invalid_value(f"{where}.name", name, text) for text in names.dns_label(name)]
            seen.add(name)
        one, template = claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName")
        if one is not None and template is not None:
            detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            causes.append(invalid_value(where, internal(claim, "PodResourceClaim"), detail))
        if one is None and template is None:
            detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            causes.append(invalid_value(where, internal(claim, "PodResourceClaim"), detail))
        for field, value in (("resourceClaimName", one), ("resourceClaimTemplateName", template)):
            if value is not None:
                causes += [
                    invalid_value(f"{where}.{field}", value, text) for text in names.dns_subdomain(value)
                ]
    return causes
