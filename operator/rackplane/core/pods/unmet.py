"""What of a pod nobody could honour once its node is chosen here: refused by name, with what to do instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rackplane.api.labels import GANG_LABEL, GANG_SIZE, HOSTNAME_LABEL, REQUIRED_TOPOLOGY, SEGMENT_SIZE
from rackplane.api.problems import FieldProblem
from rackplane.core.objects import Job, Pod, PodAffinity, PodAffinityTerm, PodSpec
from rackplane.core.pods.pod import gpus
from rackplane.core.pods.podterms import Term, near, spread_term, unwanted, vague

__all__ = ["differing_company", "unmet", "unused_size"]

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_Labels = Mapping[str, str]


def unmet(
    where: str,
    spec: PodSpec,
    kinds: Sequence[tuple[str, _Labels]],
    *,
    slots: int,
    resources: Sequence[str],
    level_by_node_label: Mapping[str, str],
) -> Iterator[FieldProblem]:
    """What is wrong with pods of a gang, apart from what they ask of a node by itself.

    Args:
        where: the field of the pod spec, such as "spec.template.spec".
        kinds: namespace and labels of its pods, those that differ.
        resources: accelerators that HardwareProfiles name.
        level_by_node_label: what a level that is named by a node label means.
    """
    yield from _accelerators(where, spec, resources)
    yield from _spread(where, spec, kinds, level_by_node_label)
    for kind in ("podAffinity", "podAntiAffinity"):
        yield from _affinity(where, spec, kind, kinds, slots, level_by_node_label)


def unused_size(job: Job, size: int | None, slots: int) -> FieldProblem | None:
    """What is wrong with a Job that gives its gang a size; None if it gives none, or its own."""
    if size is None or size == slots or job.metadata.labels.get(GANG_LABEL):
        return None
    return FieldProblem(
        f"metadata.annotations[{GANG_SIZE}]",
        f"is {size:,}, but the gang of a Job is the pods that it runs at a time, which are {slots:,}.",
        f"Set spec.parallelism to {size:,}, with completions at least as many, or remove the annotation: it is for "
        "bare pods.",
    )


def differing_company(pods: Sequence[Pod], where: str = "Pod {}, spec") -> FieldProblem | None:
    """What is wrong with bare pods, or templates, that ask for other company than each other; None if they do not."""
    first, *others = sorted(pods, key=lambda pod: pod.metadata.name)
    for pod in others:
        for field, mine, theirs in _company(pod.spec, first.spec):
            if mine != theirs:
                return FieldProblem(
                    f"{where.format(pod.metadata.name)}.{field}",
                    f"differs from that of {first.metadata.name} of the same gang, and any pod of a gang may get any "
                    "of its places.",
                    f"Let all its pods ask for the same, or give those that differ another {GANG_LABEL}.",
                )
    return None


def _company(a: PodSpec, b: PodSpec) -> Iterator[tuple[str, object, object]]:
    for field, read in (
        ("affinity.podAffinity", lambda s: s.affinity and s.affinity.pod_affinity),
        ("affinity.podAntiAffinity", lambda s: s.affinity and s.affinity.pod_anti_affinity),
        ("topologySpreadConstraints", lambda s: s.topology_spread_constraints),
        (
            "resourceClaims",
            lambda s: [c.resource_claim_name for c in s.resource_claims if c.resource_claim_name],
        ),
    ):
        yield field, read(a), read(b)


def _accelerators(where: str, spec: PodSpec, resources: Sequence[str]) -> Iterator[FieldProblem]:
    asked = [name for name in resources if gpus(spec, name)]
    if len(asked) > 1:
        yield FieldProblem(
            f"{where}.containers",
            f"ask for {' and for '.join(asked)}, and a node has accelerators of one kind.",
            "Ask for one of them, and start the others as pods of another Job.",
        )


def _spread(
    where: str, spec: PodSpec, kinds: Sequence[tuple[str, _Labels]], levels: Mapping[str, str]
) -> Iterator[FieldProblem]:
    for i, constraint in enumerate(spec.topology_spread_constraints):
        if constraint.when_unsatisfiable != "DoNotSchedule":
            continue
        field, key = f"{where}.topologySpreadConstraints[{i}]", constraint.topology_key
        if key != HOSTNAME_LABEL:
            yield FieldProblem(
                f"{field}.topologyKey",
                f"spreads the pods over {key}, which kube-scheduler does not hold to when the node of every pod is "
                "chosen before.",
                f"{_instead(key, levels)}, or write whenUnsatisfiable: ScheduleAnyway, which is a wish.",
            )
        elif any(spread_term(constraint, *kind).names_index() for kind in kinds):
            yield _by_index(f"{field}.labelSelector")


def _affinity(
    where: str,
    spec: PodSpec,
    kind: str,
    kinds: Sequence[tuple[str, _Labels]],
    slots: int,
    levels: Mapping[str, str],
) -> Iterator[FieldProblem]:
    if spec.affinity is None:
        return
    together = kind == "podAffinity"
    affinity: PodAffinity | None = spec.affinity.pod_affinity if together else spec.affinity.pod_anti_affinity
    if affinity is None:
        return
    for i, written in enumerate(affinity.required_during_scheduling_ignored_during_execution):
        field = f"{where}.affinity.{kind}.{_REQUIRED}[{i}]"
        if vague(written):
            yield FieldProblem(
                f"{field}.namespaceSelector",
                "chooses namespaces by labels, which Rackplane does not watch.",
                "List them in namespaces, select by kubernetes.io/metadata.name, or write {} for all namespaces.",
            )
            continue
        read = near if together else unwanted
        terms = [read(spec.affinity, *each)[i] for each in kinds]
        if any(term.names_index() for term in terms):
            yield _by_index(f"{field}.labelSelector")
        elif slots > 1 and _means_itself(terms, kinds):
            problem = _itself(field, written, levels, together=together)
            if problem is not None:
                yield problem


def _means_itself(terms: Sequence[Term], kinds: Sequence[tuple[str, _Labels]]) -> bool:
    return any(term.selects(*kind) for term in terms for kind in kinds)


def _itself(
    field: str, term: PodAffinityTerm, levels: Mapping[str, str], *, together: bool
) -> FieldProblem | None:
    key = term.topology_key
    if together:
        return FieldProblem(
            field,
            f"wants the pods of the gang on nodes with one {key}; where they lie is decided for all of them at once, "
            "before the first could draw the others.",
            f"{_instead(key, levels)}, or let the selector mean other pods only.",
        )
    if key == HOSTNAME_LABEL:
        return None
    return FieldProblem(
        field,
        f"keeps the pods of the gang apart by {key}; that is honoured for kubernetes.io/hostname only.",
        f"{_instead(key, levels)}, let the selector mean other pods only, or write topologyKey: {HOSTNAME_LABEL}.",
    )


def _by_index(field: str) -> FieldProblem:
    return FieldProblem(
        field,
        "tells the pods of one Job apart by their completion index, and any pod of a gang may get any of its places.",
        "Select by labels that all pods of the gang share.",
    )


def _instead(key: str, levels: Mapping[str, str]) -> str:
    level = levels.get(key)
    if level is not None:
        return f"Ask for one domain by the annotation {REQUIRED_TOPOLOGY}: {level}, or for parts by {SEGMENT_SIZE}"
    return (
        f"Ask for a level of the fabric by the annotation {REQUIRED_TOPOLOGY}, or for parts by {SEGMENT_SIZE}"
    )
