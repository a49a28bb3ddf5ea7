"""What a gang asks of the engine and of the quotas, for a start now or at a later time."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from rackplane.api.labels import QUEUE_LABEL
from rackplane.api.queue import QueuePlacement
from rackplane.core.gangs.decisions import booking_key, key_of
from rackplane.core.gangs.ends import end_of_start, expected_end
from rackplane.core.gangs.holdings import holdings, holdings_of, holdings_on
from rackplane.core.gangs.occupying import has_namesake
from rackplane.core.gangs.parallelism import fewest_gpus, fewest_slots
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.workload import desired_gang, job_outcome
from rackplane.core.learning.counting import metered_of
from rackplane.core.objects import GangGroup, Job
from rackplane.core.pods.accelerators import Accelerators
from rackplane.core.pods.narrowing import leaving, narrowed
from rackplane.core.pods.podclass import Amounts, PodClass
from rackplane.core.pods.sharing import Sharing
from rackplane.core.queues.counting import count_usages, profiles_of
from rackplane.core.queues.following import share_of
from rackplane.core.queues.groupbudgets import budget_refusal, counts_anywhere, excess
from rackplane.core.queues.quota import QuotaRefusal, Usage, quota_refusal
from rackplane.core.world import World
from rackplane.engine.model import Feeding, Placement, Request, SlotGroup
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.physics.draw import at_most, full_increment
from rackplane.engine.queueing.quotas import WATTS, amounts_of
from rackplane.engine.queueing.shadow import Shadow
from rackplane.engine.queueing.sizes import Family, Size

__all__ = [
    "accelerators_of",
    "desired",
    "least_of",
    "least_there",
    "mask_of",
    "quota_of",
    "request_of",
    "shape_of",
    "shortest_alike",
    "size_of",
    "slots_beside",
    "slots_without",
    "usage_of",
]


def desired(world: World, record: GangRecord) -> dict[str, Any] | None:
    """The Gang as its Job or pods ask for it now; None if they ask for none. `record.problems` is up to date then."""
    job = record.job
    record.judged = True
    if record.external():
        record.problems, record.groups_wanted, record.priority_wanted = (), record.groups, None
        record.accelerators_wanted = record.slots_wanted = None
        return None
    jobs = [j for j in record.jobs.values() if _counts(j)] if record.several else []
    if record.several and all(job_outcome(each) for each in jobs):
        return None
    bare = [p for p in record.live_pods() if p.metadata.deletion_timestamp is None] if job is None else []
    if job is None and (not bare or record.of_job()):
        return None
    if job is not None and not record.several and (not _counts(job) or job_outcome(job)):
        return None
    body, problems = desired_gang(
        namespace=record.key[0],
        name=record.key[1],
        job=None if record.several else job,
        jobs=jobs,
        workload=record.workload,
        pods=bare,
        accelerators=accelerators_of(world),
        level_by_node_label=world.catalog.fabric.level_by_label,
        priority_classes=world.priority_classes,
        pod_groups=world.pod_groups,
    )
    record.problems = tuple(problems)
    record.priority_wanted = body["spec"]["priority"] if world.priority_classes else None
    record.slots_wanted = body["spec"]["slots"] if job is None else None
    record.accelerators_wanted = (body["spec"]["resourceName"], body["spec"]["gpusPerSlot"])
    record.groups_wanted = msgspec.convert(body["spec"].get("groups", []), type=list[GangGroup])
    return body


def accelerators_of(world: World) -> Accelerators:
    """How accelerators are counted, as profiles, claims and templates are now."""
    catalog = world.catalog
    return Accelerators(
        catalog.resources(),
        catalog.device_classes(),
        world.claim_templates,
        world.claims,
        catalog.joined_nodes(),
    )


def _counts(job: Job) -> bool:
    return QUEUE_LABEL in job.metadata.labels and job.metadata.deletion_timestamp is None


def mask_of(world: World, record: GangRecord) -> NodeMask:
    """Pods of the gang that each node could take, by all that kube-scheduler will look at, as of now."""
    return _mask(world, record, _kind(record))


def _mask(world: World, record: GangRecord, kind: PodClass) -> NodeMask:
    base, by = world.room.mask(kind), narrowed(world, record)
    return base if by is None else world.restrictions.mask(kind, base, by)


def slots_without(
    world: World,
    record: GangRecord,
    over: Iterable[GangRecord],
    fewer: Iterable[tuple[GangRecord, Collection[int]]] = (),
) -> dict[str, int]:
    """As `mask_of`, of the nodes that take another number of pods with the pods of these other gangs gone.

    Args:
        fewer: gangs of which the pods of these slots are gone. Company that those keep is not looked at.
    """
    return _slots_without(world, record, _kind(record), tuple(over), fewer)


def slots_after(
    world: World,
    record: GangRecord,
    over: Iterable[GangRecord],
    placed: Iterable[tuple[GangRecord, Placement]],
) -> dict[str, int]:
    """As `slots_without`, with the pods of yet others, alike and not there now, on these nodes.

    Company that pods keep, or keep away from, is not looked at.
    """
    more: dict[str, dict[str, int]] = {}
    for node, amounts in _freed(world, over).items():
        more[node] = {name: -amount for name, amount in amounts.items()}
    for other, placement in placed:
        for node in placement.slots:
            total = more.setdefault(node, {})
            for name, amount in _kind(other).held.items():
                total[name] = total.get(name, 0) + amount
    return {node: world.room.slots_with(_kind(record), node, amounts) for node, amounts in more.items()}


def _slots_without(
    world: World,
    record: GangRecord,
    kind: PodClass,
    over: Sequence[GangRecord],
    fewer: Iterable[tuple[GangRecord, Collection[int]]] = (),
) -> dict[str, int]:
    slots = world.room.slots_without_each(kind, _freed(world, over, fewer))
    by = narrowed(world, record)
    if by is None:
        return slots
    return world.restrictions.slots_without(kind, world.room.mask(kind), by, slots, leaving(world, over))


def _freed(
    world: World,
    over: Iterable[GangRecord],
    fewer: Iterable[tuple[GangRecord, Collection[int]]] = (),
) -> dict[str, Amounts]:
    """What nodes hold for the pods of these gangs, and of these slots of others."""
    freed: dict[str, Amounts] = {}
    gone = chain(
        chain.from_iterable(holdings(world, other) for other in over),
        chain.from_iterable(holdings_of(world, other, slots) for other, slots in fewer),
    )
    sums: dict[str, dict[str, int]] = {}
    for node, each, count in gone:
        if count == 1 and node not in freed:
            freed[node] = each  # most often there is no more
            continue
        total = sums.get(node)
        if total is None:
            freed[node] = total = sums[node] = dict(freed.get(node, {}))
        for name, amount in each.items():
            total[name] = total.get(name, 0) + amount * count
    return freed


def slots_beside(world: World, record: GangRecord, then: Shadow, node: str) -> int:
    """As `mask_of`, of one node at a later time: pods of gangs that are over by then are gone, reserved ones there."""
    freed: dict[str, int] = {}
    for key in world.gangs_on(node):
        if then.over(booking_key(key)):
            for each, count in holdings_on(world, world.gangs[key], node):
                for name, amount in each.items():
                    freed[name] = freed.get(name, 0) + amount * count
    for booking, slots in then.reserved_on(node):
        namespace, _, gang = booking.partition("/")
        other = world.gangs.get((namespace, gang))
        needs = {} if other is None else other.held_by_slot()
        for slot in slots:
            for name, amount in needs.get(slot, {}).items():
                freed[name] = freed.get(name, 0) - amount
    return world.room.slots_without(_kind(record), node, freed)


def _kind(record: GangRecord) -> PodClass:
    kind = record.pod_class
    assert kind is not None  # it waits, so it has pods or a template
    return kind


def request_of(
    world: World,
    record: GangRecord,
    mask: NodeMask | None,
    *,
    at: float | None = None,
    until: float | None = None,
    over: Iterable[GangRecord] = (),
    feeding: Feeding | None = None,
) -> Request:
    """The gang's request, for the fewest slots that it can run with.

    Args:
        mask: of its pods, if they are alike; None: as if every node took them.
        until: when it would end; None: when it is expected to.
        at: when it would start, in seconds since the epoch; None: now.
        over: gangs that are gone by then; ``mask`` has taken note of it already.
        feeding: what GPUs need beside themselves, where it is to be preferred for that.
    """
    assert record.gang is not None
    spec = record.gang.spec
    queue = world.catalog.queue(spec.queue)
    groups, sharing = _groups(world, record, over)
    return Request(
        slots=fewest_slots(spec),
        gpus_per_slot=spec.gpus_per_slot,
        resource=spec.resource_name,
        required=spec.topology.required,
        preferred=spec.topology.preferred,
        segment_slots=spec.topology.segment_slots,
        power_profile=spec.power.profile,
        strict=spec.power.strict,
        capacity=None if groups else mask,
        groups=groups,
        beside=sharing,
        until=end_of_start(world, record, world.now if at is None else at) if until is None else until,
        at=at,
        lasts=spec.expected_duration_seconds,
        spread=queue is not None and queue.spec.placement is QueuePlacement.SPREAD,
        metered=metered_of(world, record),
        feeding=feeding,
    )


def _groups(
    world: World, record: GangRecord, over: Iterable[GangRecord]
) -> tuple[tuple[SlotGroup, ...], Sharing | None]:
    """Slots by kind of pod, and what these leave each other; nothing where all are alike."""
    kinds = record.classes() if record.groups else None
    if kinds is None or len(kinds) < 2:
        # One Job of several may be all that is left: its pods are alike.
        return (), None
    assert record.gang is not None
    over = tuple(over)
    segment = record.gang.spec.topology.segment_slots
    groups = []
    for group, kind in zip(record.groups, kinds, strict=True):
        mask = _mask(world, record, kind)
        if over:
            mask = mask.changed(_slots_without(world, record, kind, over))
        groups.append(
            SlotGroup(
                slots=group.slots,
                gpus_per_slot=group.gpus_per_slot,
                resource=group.resource_name,
                name=group.name,
                # Segments are for what the NVLink domain carries between GPUs.
                segment_slots=segment if group.gpus_per_slot else None,
                capacity=mask,
            )
        )
    # Where pods keep away from each other, or are spread, a node's bound is one for all of them.
    by = narrowed(world, record)
    shared = by is not None and by.bounds_own
    bounds = tuple(NodeMask.of(g.capacity or {}) for g in groups) if shared else ()
    return tuple(groups), Sharing(world.room, tuple(kinds), _freed(world, over), bounds)


def shape_of(world: World, record: GangRecord) -> Hashable:
    """All that its request is made of, but for when it ends: two gangs of a queue with equal shapes are told the same.

    Of how long it runs only the order of magnitude, so that those of one line outlast nearly the same.
    """
    assert record.gang is not None
    spec = record.gang.spec
    queue = world.catalog.queue(spec.queue)
    template = record.template
    assert template is not None  # it waits, so it has pods or a template
    named = any(claim.resource_claim_name for claim in template.resource_claims)
    return (
        _kind(record),
        tuple(spec.groups),
        narrowed(world, record),
        # A claim that is allocated meanwhile is not shared, nor what has the name of its ComputeDomain.
        record.key if named or has_namesake(world, record) else None,
        record.never_preempts(world.priority_classes),
        spec.slots,
        spec.min_slots,
        spec.gpus_per_slot,
        spec.resource_name,
        spec.topology,
        spec.power,
        queue is not None and queue.spec.placement is QueuePlacement.SPREAD,
        _magnitude(world, record),
        metered_of(world, record),
    )


def size_of(world: World, record: GangRecord) -> Size | None:
    """How many slots it asks for at least, and of what kind; None if its pods differ, which no number tells."""
    assert record.gang is not None
    spec = record.gang.spec
    if spec.groups:
        return None
    pods = _kind(record), narrowed(world, record)
    level = spec.topology.required, spec.topology.segment_slots
    family = Family(pods, (spec.resource_name, *level, spec.power))
    return Size(family, fewest_slots(spec), spec.gpus_per_slot)


def _magnitude(world: World, record: GangRecord) -> int:
    return round(end_of_start(world, record, 0.0)).bit_length() // 2


def shortest_alike(world: World, record: GangRecord) -> float:
    """The least time, in seconds, that a gang of the same shape can be expected to run."""
    return 2.0 ** (2 * _magnitude(world, record) - 1)


def least_of(world: World, record: GangRecord) -> Mapping[str, int]:
    """What the gang counts against quotas at least, wherever it is placed."""
    assert world.state is not None and record.gang is not None
    spec, types, known = record.gang.spec, world.state.facility.types, metered_of(world, record)
    if record.least is not None and record.least[0] is spec and record.least[1:3] == (types, known):
        return record.least[3]
    gpus, metered = fewest_gpus(spec), dict(known)
    draws = [
        at_most(
            kind, full_increment(kind, cap.node_watts), kind.gpus_per_node, metered.get(cap.name, ())
        ).nominal
        * gpus
        // kind.gpus_per_node
        for kind in types
        if spec.groups or kind.resource == spec.resource_name
        for cap in kind.caps
        if not spec.power.strict or cap.name == spec.power.profile
    ]
    least = amounts_of(gpus, min(draws, default=0))
    record.least = spec, types, known, least
    return least


def usage_of(
    world: World, record: GangRecord, placement: Placement, *, at: float | None = None, goes_on: bool = False
) -> Usage:
    """What the gang would count against quotas there.

    Args:
        at: when it would start, in seconds since the epoch; None: now.
        goes_on: it runs already, and ends when it was to end.
    """
    assert record.gang is not None
    held = [(node, placement.gpus_of(slot)) for slot, node in enumerate(placement.slots)]
    start = world.now if at is None else at
    return Usage(
        queue=record.gang.spec.queue,
        namespace=record.key[0],
        gpus=sum(count for _, count in held),
        nominal_watts=placement.nominal_watts,
        until=expected_end(world, record) if goes_on else end_of_start(world, record, start),
        profiles=profiles_of(world, held),
    )


def least_there(world: World, record: GangRecord, placement: Placement) -> dict[str, int]:
    """What the gang would count against quotas on these nodes at the power profile that draws least there."""
    state = world.state
    assert state is not None and record.gang is not None
    amounts = usage_of(world, record, placement).amounts()
    gpus: dict[str, int] = {}
    for slot, node in enumerate(placement.slots):
        gpus[node] = gpus.get(node, 0) + placement.gpus_of(slot)
    kinds = [kind for node in gpus if (kind := state.node_type(node)) is not None]
    lower = set.intersection(*({cap.name for cap in kind.caps} for kind in kinds)) if kinds else set()
    strict = record.gang.spec.power.strict
    draws = [] if strict else [state.increments(gpus, profile).nominal_watts for profile in sorted(lower)]
    return {**amounts, WATTS: min([placement.nominal_watts, *draws])}


def quota_of(
    world: World,
    record: GangRecord,
    placement: Placement,
    *,
    without: Collection[str] = (),
    plus: Iterable[tuple[str, Usage]] = (),
    goes_on: bool = False,
) -> QuotaRefusal | None:
    """Why queues and budgets on queues and namespaces do not take the gang now; None if they do.

    Args:
        without: bookings that do not count.
        plus: what counts beside those that do, by booking.
        goes_on: it runs already, and ends when it was to end.
    """
    count_usages(world)
    assert record.gang is not None
    if not counts_anywhere(world, record.gang.spec.queue):
        return None
    asked, plus = usage_of(world, record, placement, goes_on=goes_on), tuple(plus)
    gone = [usage for key in without if (usage := world.ledger.get(key_of(key))) is not None]
    with world.ledger.changed(gone, (usage for _, usage in plus)) as tree:
        refusal = quota_refusal(asked, tree)
    if refusal is not None:
        return refusal
    others = [share_of(key, usage) for key, usage in plus]
    found = excess(world, share_of(booking_key(record.key), asked), gone=without, plus=others)
    return None if found is None else budget_refusal(found, world.now)
