"""`matchLabelKeys` and `mismatchLabelKeys`: the pod's own labels become a part of the selectors at creation."""

from __future__ import annotations

from rackplane.localcluster.objects import Obj, dig, meta

_FIELDS = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def merge_label_keys(pod: Obj) -> None:
    """Add the pod's labels to the selectors that ask for them, in place."""
    spec, labels = pod["spec"], meta(pod).get("labels") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        for field in _FIELDS:
            for term in dig(spec, "affinity", kind, field) or ():
                target = term.get("podAffinityTerm") or {} if field == _FIELDS[1] else term
                _merge(target, "matchLabelKeys", "In", labels)
                _merge(target, "mismatchLabelKeys", "NotIn", labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _merge(constraint, "matchLabelKeys", "In", labels)


def _merge(term: Obj, field: str, operator: str, labels: Obj) -> None:
    selector = term.get("labelSelector")
    added = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for key in term.get(field) or ()
        if key in labels
    ]
    if selector is not None and added:
        selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *added]
