"""What other pods, and the claims it names, leave to one gang: from its record to its restriction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rackplane.core.claims import ClaimAllocation, ResourceClaim
from rackplane.core.gangs.occupying import keeps_apart
from rackplane.core.gangs.record import GangRecord
from rackplane.core.pods.cliques import key_of_gang
from rackplane.core.pods.neighbours import Pods
from rackplane.core.pods.restrictions import Restriction, restriction
from rackplane.core.world import World

__all__ = ["MOST_CONSUMERS", "leaving", "narrowed", "waits_for_claim"]

MOST_CONSUMERS = 256
"""Pods that may use one ResourceClaim (ResourceClaimReservedForMaxSize of the API)."""


def narrowed(world: World, record: GangRecord) -> Restriction | None:
    """What narrows the nodes of the gang's pods; None where nothing does."""
    if record.external() and not record.asks_for_domain():
        return None  # nothing is known of its pods but their accelerators
    template = record.template
    assert template is not None  # it waits, so it has pods or a template
    allocations = (allocation for _, allocation in _named(world, record) if allocation is not None)
    return restriction(
        world.neighbours,
        template,
        record.seen_by_others(),
        [a.node_selector for a in allocations if a.node_selector is not None],
        keeps_apart(record),
    )


def leaving(world: World, over: Iterable[GangRecord]) -> Iterator[tuple[Pods, str, int]]:
    """The pods of gangs that are taken to be gone: as others see them, the node, and how many."""
    for record in over:
        for pod in record.live_pods():
            if pod.spec.node_name:
                yield Pods.of(pod), pod.spec.node_name, 1
        for key in (record.key, key_of_gang(record.key)):
            promised = world.neighbours.promised_to(key)
            if promised is not None:
                for node, number in promised[1].items():
                    yield promised[0], node, number


def waits_for_claim(world: World, record: GangRecord) -> str | None:
    """Why the gang cannot start for a ResourceClaim that its pods share; None if it can."""
    assert record.gang is not None
    slots = record.gang.spec.slots
    for claim, allocation in _named(world, record):
        name = claim if isinstance(claim, str) else claim.metadata.name
        field = f"ResourceClaim {record.key[0]}/{name}, which its pods name in spec.resourceClaims,"
        if isinstance(claim, str):
            return f"{field} does not exist: create it"
        if claim.metadata.deletion_timestamp is not None:
            return f"{field} is being deleted: create it anew, or name another"
        if slots > MOST_CONSUMERS:
            return (
                f"{field} can be used by {MOST_CONSUMERS} pods and not by {slots:,}: "
                "use resourceClaimTemplateName, so that each pod gets a claim of its own"
            )
        if allocation is None and slots > 1:
            return (
                f"{field} is shared by its {slots:,} pods and not allocated yet, so that it is not known which nodes "
                "can use it: use resourceClaimTemplateName, so that each pod gets a claim of its own, or have it "
                "allocated by a pod of its own first"
            )
    return None


def _named(world: World, record: GangRecord) -> Iterator[tuple[ResourceClaim | str, ClaimAllocation | None]]:
    """The claims that the pods name directly, and what they have been allocated; of one that is unknown, the name."""
    template = record.template
    for reference in () if template is None else template.resource_claims:
        if reference.resource_claim_name:
            claim = world.claims.get((record.key[0], reference.resource_claim_name))
            found = None if claim is None else claim.status.allocation
            yield claim or reference.resource_claim_name, found
