"""What keeps pods from being placed as one gang: that they differ, or ask for devices that cannot be counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rackplane.api.labels import GANG_LABEL, SLOT_ANNOTATION
from rackplane.api.problems import FieldProblem
from rackplane.core.objects import Job, Pod, PodSpec
from rackplane.core.podclass import PodClass
from rackplane.core.pods import gpus

__all__ = ["differing", "joined", "uncounted"]

_NAMED = 3
_AMOUNTS = 3


def differing(pods: Sequence[Pod]) -> FieldProblem | None:
    """What is wrong with bare pods of one gang that are not alike to the nodes; None if they are.

    Every slot of a gang takes any of its pods, so each must fit where any other does. Pods that have been let go are
    not looked at: they have got the selector of their node since.
    """
    waiting = [p for p in pods if SLOT_ANNOTATION not in p.metadata.annotations]
    waiting.sort(key=lambda p: p.metadata.name)
    if all(p.spec == waiting[0].spec for p in waiting[1:]):
        return None
    names: dict[PodClass, list[str]] = {}
    for pod in waiting:
        names.setdefault(PodClass(pod.spec), []).append(pod.metadata.name)
    if len(names) < 2:
        return None
    usual, *others = sorted(names, key=lambda kind: (-len(names[kind]), names[kind]))
    odd = sorted(name for kind in others for name in names[kind])
    what = _difference(others[0].held, usual.held) if len(others) == 1 else "what they ask of a node"
    like = (
        names[usual][0] if len(names[usual]) == 1 else f"{names[usual][0]} and {len(names[usual]) - 1} more"
    )
    verb = "differs" if len(odd) == 1 else "differ"
    return FieldProblem(
        f"{'Pod' if len(odd) == 1 else 'Pods'} {_listed(odd)}, spec",
        f"{verb} from {like} of the same gang in {what}, and any pod of a gang may get any of its places.",
        f"Let all its pods ask for the same, or give those that differ another {GANG_LABEL}.",
    )


def joined(job: Job) -> FieldProblem | None:
    """What is wrong with a Job that names a gang; None if it does not.

    A Job is a gang by itself. Were the label passed over, Jobs that are meant to start together would not.
    """
    name = job.metadata.labels.get(GANG_LABEL)
    if not name:
        return None
    return FieldProblem(
        f"metadata.labels[{GANG_LABEL}]",
        f'says that this Job is one gang with others called "{name}", but a Job is a gang by itself.',
        "Remove the label, or write one Job with as many completions, or bare pods that carry the label.",
    )


def uncounted(where: str, spec: PodSpec, resources: Sequence[str]) -> FieldProblem | None:
    """What is wrong with a pod whose accelerators could only be its ResourceClaims'.

    What a claim will get is known when it is allocated, and that is after the pod is let go. A pod that asks for an
    accelerator by resource may have claims beside it, such as those for channels of an NVLink domain.

    Args:
        where: the field of the claims.
        resources: accelerators that HardwareProfiles name.
    """
    if not spec.resource_claims or any(gpus(spec, name) for name in resources):
        return None
    wanted = " or ".join(resources) or "an accelerator"
    return FieldProblem(
        where,
        "asks for devices by ResourceClaim and for no accelerator by resource, so what it will draw is not known "
        "before it runs.",
        f"Ask for {wanted} in resources.limits; claims of other devices may stay beside it.",
    )


def _difference(odd: Mapping[str, int], usual: Mapping[str, int]) -> str:
    amounts = [
        f"{name} ({_amount(odd.get(name, 0))}, not {_amount(usual.get(name, 0))})"
        for name in sorted({*odd, *usual})
        if odd.get(name, 0) != usual.get(name, 0)
    ]
    return ", ".join(amounts[:_AMOUNTS]) or "its node selector, node affinity or tolerations"


def _amount(milli: int) -> str:
    value = milli / 1000
    return f"{value / 2**30:.4g}Gi" if value >= 2**20 else f"{value:g}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
