"""What a gang asks of the engine and of the quotas, for a start now or at a later time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rackplane.api.labels import MANAGED_TAINT
from rackplane.core.pods import slots_on
from rackplane.core.quota import QuotaRefusal, Usage, quota_refusal
from rackplane.core.record import GangRecord
from rackplane.core.world import World
from rackplane.engine.model import Placement, Request

__all__ = ["Used", "capacity_of", "capacity_without", "quota_of", "request_of"]

#: node -> resource -> thousandths that pods hold, or are promised
Used = Mapping[str, Mapping[str, int]]

_OURS = frozenset({MANAGED_TAINT})


def capacity_of(world: World, record: GangRecord, used: Used) -> dict[str, int]:
    """Pods of the gang that each node could take, by all that kube-scheduler will look at; none left out is 0."""
    assert record.template is not None
    return {
        name: slots
        for name, node in world.nodes.items()
        if (slots := slots_on(node, record.template, used=used.get(name, {}), ignored_taints=_OURS)) > 0
    }


def capacity_without(
    world: World, record: GangRecord, used: Used, capacity: Mapping[str, int], over: Iterable[GangRecord]
) -> dict[str, int]:
    """`capacity`, with the pods of these other gangs gone."""
    assert record.template is not None
    freed: dict[str, dict[str, int]] = {}
    for other in over:
        for where, amounts in world.holdings(other):
            left = freed.setdefault(where, dict(used.get(where, {})))
            for name, amount in amounts.items():
                left[name] = left.get(name, 0) - amount
    result = dict(capacity)
    for name, left in freed.items():
        node = world.nodes.get(name)
        if node is not None:
            result[name] = slots_on(node, record.template, used=left, ignored_taints=_OURS)
    return result


def request_of(
    world: World, record: GangRecord, capacity: Mapping[str, int], *, at: float | None = None
) -> Request:
    """The gang's request.

    Args:
        at: when it would start, in seconds since the epoch; None: now.
    """
    assert record.gang is not None
    spec = record.gang.spec
    return Request(
        slots=spec.slots,
        gpus_per_slot=spec.gpus_per_slot,
        resource=spec.resource_name,
        required=spec.topology.required,
        preferred=spec.topology.preferred,
        segment_slots=spec.topology.segment_slots,
        power_profile=spec.power.profile,
        strict=spec.power.strict,
        capacity=capacity,
        until=world.end_of_start(record, world.now if at is None else at),
        at=at,
    )


def quota_of(
    world: World, record: GangRecord, placement: Placement, *, at: float | None = None
) -> QuotaRefusal | None:
    """Why queues and budgets on queues and namespaces do not take the gang at that time; None if they do."""
    assert record.gang is not None
    spec = record.gang.spec
    start = world.now if at is None else at
    return quota_refusal(
        Usage(
            queue=spec.queue,
            namespace=record.key[0],
            gpus=spec.slots * spec.gpus_per_slot,
            nominal_watts=placement.nominal_watts,
            until=world.end_of_start(record, start),
        ),
        admitted=[u for u in world.usages() if at is None or u.until is None or u.until > at],
        queue=world.catalog.queue,
        budgets=world.catalog.budgets.groups(world.now),
        at=start,
    )
