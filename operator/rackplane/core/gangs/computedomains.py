"""The ComputeDomain of a gang that asks for one: made once the gang has its place, deleted when its pods are gone.

One for the gang: pods of one template name one claim template, wherever they are put. NVIDIA's DRA driver makes of it
an IMEX domain in each clique that the gang is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.stopping import nothing_runs
from rackplane.core.gangs.workload import API_VERSION
from rackplane.core.gangs.writing import gang_event
from rackplane.core.instructions import CreateComputeDomain, DeleteComputeDomain, Instruction
from rackplane.core.pods.channels import claim_template_of
from rackplane.core.world import World

__all__ = ["keep_domain", "tell_of_domain"]

_API_VERSION: Final = "resource.nvidia.com/v1beta1"
_PATIENCE_SECONDS: Final = 20.0
"""So long after the decision the driver's controller may take before somebody is told. Seconds."""


def keep_domain(world: World, record: GangRecord) -> Iterator[Instruction]:
    """Make the gang's ComputeDomain, or delete it, as it is needed now; none while a write of ours is under way."""
    assert record.gang is not None
    domain = world.cliques.domains.get(record.key)
    placed = record.decision is not None and record.decision.committed
    if record.domain_write:
        return
    if domain is None:
        asked = record.asks_for_domain() and world.settings.compute_domains
        if placed and asked and record.phase in ("Admitted", "Running"):
            record.domain_write = True
            yield CreateComputeDomain(*record.key, _body(record))
    elif (
        record.decision is None
        and world.cliques.is_of(record.gang)
        and domain.metadata.deletion_timestamp is None
        and nothing_runs(world, record)
    ):
        record.domain_write = True
        yield DeleteComputeDomain(*record.key, domain.metadata.uid)


def tell_of_domain(world: World, record: GangRecord, why: str) -> Iterator[Instruction]:
    """Say once what it waits for when that takes longer than it should."""
    assert record.decision is not None
    if world.now - record.decision.time >= _PATIENCE_SECONDS and record.told_of_domain != why:
        record.told_of_domain = why
        yield from gang_event(record, warning=True, reason="ComputeDomainNotReady", message=why)


def _body(record: GangRecord) -> dict[str, Any]:
    assert record.gang is not None
    namespace, name = record.key
    owner = {"apiVersion": API_VERSION, "kind": "Gang", "name": name, "uid": record.gang.metadata.uid}
    return {
        "apiVersion": _API_VERSION,
        "kind": "ComputeDomain",
        "metadata": {"name": name, "namespace": namespace, "ownerReferences": [owner]},
        # Nodes join as pods start on them: how many there will be is not to be said any more.
        "spec": {"numNodes": 0, "channel": {"resourceClaimTemplate": {"name": claim_template_of(name)}}},
    }
