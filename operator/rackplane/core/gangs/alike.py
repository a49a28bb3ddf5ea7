"""What keeps pods from being placed as one gang: a name that no Gang can have, devices that cannot be counted."""

from __future__ import annotations

from collections.abc import Sequence

from rackplane.api.labels import GANG_LABEL
from rackplane.api.problems import FieldProblem
from rackplane.core.objects import Job, PodSpec
from rackplane.core.pods.pod import gpus

__all__ = ["joined", "uncounted"]


def joined(job: Job) -> FieldProblem | None:
    """What is wrong with a Job that names a gang no Gang could be called after; None if it names none.

    Were the label passed over, Jobs that are meant to start together would not.
    """
    name = job.metadata.labels.get(GANG_LABEL)
    if not name:
        return None
    return FieldProblem(
        f"metadata.labels[{GANG_LABEL}]",
        f'is "{name}", which cannot be in the name of an object.',
        "Write lower case letters, digits and - only, on all Jobs that are to start together.",
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
