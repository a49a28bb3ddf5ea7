"""Which pods a term of affinity between pods, or a topology spread constraint, means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rackplane.api.labels import COMPLETION_INDEX
from rackplane.core.objects import Affinity, LabelSelector, PodAffinity, PodAffinityTerm, SpreadConstraint

__all__ = ["Term", "near", "spread_term", "unwanted", "vague"]

#: The label that every namespace has with its own name.
_NAME: Final = "kubernetes.io/metadata.name"

_Requirement = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Term:
    """Pods with certain labels, in certain namespaces, counted by one label of the nodes that they are on.

    Two that mean the same pods in the same way are equal, whoever wrote them.
    """

    topology_key: str
    #: all of them must hold; None: no pod is meant
    requirements: tuple[_Requirement, ...] | None
    #: None: every namespace
    namespaces: frozenset[str] | None

    def selects(self, namespace: str, labels: Mapping[str, str], *, template: bool = False) -> bool:
        """Whether it means such a pod.

        Args:
            template: the labels are those of a Job's template. Its pods get their completion index as one more, so a
                requirement on that could hold for some of them, and is taken to.
        """
        if self.requirements is None or (self.namespaces is not None and namespace not in self.namespaces):
            return False
        # A plain loop: the first question about a term asks it of every pod.
        for key, operator, values in self.requirements:
            if not _holds(labels.get(key), operator, values) and not (template and key == COMPLETION_INDEX):
                return False
        return True

    def names_index(self) -> bool:
        """Whether it tells pods of one Indexed Job apart."""
        return any(key == COMPLETION_INDEX for key, _, _ in self.requirements or ())


def near(affinity: Affinity | None, namespace: str, labels: Mapping[str, str]) -> tuple[Term, ...]:
    """The required terms of a pod's affinity to others; such a pod's own namespace and labels complete them."""
    return _terms(None if affinity is None else affinity.pod_affinity, namespace, labels)


def unwanted(affinity: Affinity | None, namespace: str, labels: Mapping[str, str]) -> tuple[Term, ...]:
    """As `near`, of its anti-affinity."""
    return _terms(None if affinity is None else affinity.pod_anti_affinity, namespace, labels)


def spread_term(constraint: SpreadConstraint, namespace: str, labels: Mapping[str, str]) -> Term:
    """The pods that a topology spread constraint counts."""
    wanted = _requirements(constraint.label_selector, constraint.match_label_keys, (), labels)
    return Term(constraint.topology_key, wanted, frozenset((namespace,)))


def vague(term: PodAffinityTerm) -> bool:
    """Whether it chooses namespaces by labels that only the namespaces themselves tell."""
    selector = term.namespace_selector
    return selector is not None and selector != LabelSelector() and _named(selector) is None


def _terms(affinity: PodAffinity | None, namespace: str, labels: Mapping[str, str]) -> tuple[Term, ...]:
    if affinity is None:
        return ()
    return tuple(
        Term(
            term.topology_key,
            _requirements(term.label_selector, term.match_label_keys, term.mismatch_label_keys, labels),
            _namespaces(term, namespace),
        )
        for term in affinity.required_during_scheduling_ignored_during_execution
    )


def _namespaces(term: PodAffinityTerm, own: str) -> frozenset[str] | None:
    if term.namespace_selector is None:
        return frozenset(term.namespaces or (own,))
    named = _named(term.namespace_selector)
    # Labels of namespaces are not watched: a term that looks at them is taken to mean them all.
    return None if named is None else named.union(term.namespaces)


def _named(selector: LabelSelector) -> frozenset[str] | None:
    """The namespaces that a selector names; None if it does not go by name."""
    by_name = [frozenset((name,)) for key, name in selector.match_labels.items() if key == _NAME]
    by_name += [
        frozenset(e.values) for e in selector.match_expressions if (e.key, e.operator) == (_NAME, "In")
    ]
    if not by_name or len(by_name) < len(selector.match_labels) + len(selector.match_expressions):
        return None
    return frozenset.intersection(*by_name)


def _requirements(
    selector: LabelSelector | None, same: Sequence[str], other: Sequence[str], labels: Mapping[str, str]
) -> tuple[_Requirement, ...] | None:
    """A selector with matchLabelKeys and mismatchLabelKeys in it, as the API server merges them into a pod's."""
    if selector is None:
        return None
    found: set[_Requirement] = {(key, "In", (value,)) for key, value in selector.match_labels.items()}
    found.update((e.key, e.operator, tuple(sorted(e.values))) for e in selector.match_expressions)
    found.update((key, "In", (labels[key],)) for key in same if key in labels)
    found.update((key, "NotIn", (labels[key],)) for key in other if key in labels)
    return tuple(sorted(found))


def _holds(value: str | None, operator: str, values: tuple[str, ...]) -> bool:
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False
