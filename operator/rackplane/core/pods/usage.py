"""What pods that are not ours hold on our nodes, and what is left of the other resources."""

from __future__ import annotations

from collections.abc import Callable, Collection

from rackplane.core.claims import ResourceClaim
from rackplane.core.objects import Pod
from rackplane.core.pods.pod import gpus, is_terminal

__all__ = ["unmanaged_gpus"]


def unmanaged_gpus(
    pods: Collection[Pod],
    *,
    resource: str,
    gpus_per_node: int,
    drivers: Collection[str],
    claim: Callable[[str, str], ResourceClaim | None],
) -> int:
    """GPUs that pods outside every gang hold on one node, by extended resource or by allocated ResourceClaims.

    A claim that cannot be read may hold any number: the node then counts as full. Never more than the node has.

    Args:
        pods: those bound to the node that hold no slot of a gang.
        resource: the accelerator's resource name on this node.
        gpus_per_node: from its HardwareProfile.
        drivers: DRA drivers whose devices are accelerators.
        claim: looks a ResourceClaim up by namespace and name.
    """
    total = 0
    shared: set[tuple[str, str]] = set()
    for pod in pods:
        if is_terminal(pod):
            continue
        total += gpus(pod.spec, resource)
        named = {s.name: s.resource_claim_name for s in pod.status.resource_claim_statuses}
        for reference in pod.spec.resource_claims:
            name = reference.resource_claim_name or named.get(reference.name)
            found = claim(pod.metadata.namespace, name) if name else None
            if name is None or found is None or found.status.allocation is None:
                return gpus_per_node
            if (pod.metadata.namespace, name) in shared:
                continue
            shared.add((pod.metadata.namespace, name))
            total += sum(
                d.driver in drivers and not d.admin_access for d in found.status.allocation.devices.results
            )
    return min(total, gpus_per_node)
