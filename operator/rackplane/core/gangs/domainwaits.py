"""Why a gang has to wait for its ComputeDomain: before it is given a place, and before its pods start."""

from __future__ import annotations

from typing import Final

from rackplane.api.labels import COMPUTE_DOMAIN
from rackplane.core.claims import ComputeDomain
from rackplane.core.gangs.record import GangRecord
from rackplane.core.pods.channels import claim_template_of
from rackplane.core.pods.cliques import DOMAIN_LABEL
from rackplane.core.world import World

__all__ = ["missing", "waits_for_domain"]

_ASKS: Final = f"asks for a ComputeDomain ({COMPUTE_DOMAIN})"
_NOT: Final = "remove the annotation"


def waits_for_domain(world: World, record: GangRecord) -> tuple[str, bool] | None:
    """Why the gang cannot have the ComputeDomain that it asks for, and whether somebody has to do something about it;
    None if it can, or asks for none."""
    if not record.asks_for_domain() or record.gang is None:
        return None
    if not world.settings.compute_domains:
        return (
            f"{_ASKS}, and this operator makes none: set computeDomains.enabled in the chart's values, or {_NOT}",
            True,
        )
    if world.cliques.served is False:
        text = (
            f"{_ASKS}, and the cluster has no such kind (computedomains.resource.nvidia.com), or does not let the "
            f"operator list it: install NVIDIA's DRA driver for GPUs with ComputeDomains, or {_NOT}"
        )
        return text, True
    domain = world.cliques.domains.get(record.key)
    if domain is None:
        name = claim_template_of(record.key[1])
        if (record.key[0], name) not in world.claim_templates:
            return None
        there = f"ResourceClaimTemplate {record.key[0]}/{name}, which is to come with it, is there already"
        return f"{_ASKS}, and {there}: delete it, or rename the workload", True
    called = f"ComputeDomain {'/'.join(record.key)}"
    if domain.metadata.deletion_timestamp is not None or _of_former(domain):
        # Until the driver has taken it down its daemons are in the clique.
        ours = world.cliques.is_of(record.gang) and domain.metadata.deletion_timestamp is None
        return None if ours else (f"{called}, of an earlier start, is being deleted", False)
    return (
        f"{_ASKS}, and {called}, which somebody else made, has its name: delete it, or rename the workload",
        True,
    )


def missing(world: World, record: GangRecord) -> str:
    """What of its ComputeDomain is not there yet, so that no pod of it may start; "" if nothing is."""
    if not record.asks_for_domain() or record.started():
        return ""
    domain = world.cliques.domains.get(record.key)
    if domain is None:
        return f"ComputeDomain {'/'.join(record.key)} is not made yet"
    if (
        domain.metadata.deletion_timestamp is not None
        or record.gang is None
        or not world.cliques.is_of(record.gang)
    ):
        return f"ComputeDomain {'/'.join(record.key)} is not this gang's, or is being deleted"
    name = claim_template_of(record.key[1])
    template = world.claim_templates.get((record.key[0], name))
    if template is None or template.metadata.labels.get(DOMAIN_LABEL) != domain.metadata.uid:
        return (
            f"ResourceClaimTemplate {record.key[0]}/{name} of its ComputeDomain is not there yet: the controller of "
            "NVIDIA's DRA driver makes it"
        )
    return ""


def _of_former(domain: ComputeDomain) -> bool:
    """Whether it was made for a gang: this one, or one before it, with whose Gang it goes."""
    return any(owner.kind == "Gang" for owner in domain.metadata.owner_references)
