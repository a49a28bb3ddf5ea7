"""Which slot each pod of a gang holds, and which slots nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rackplane.api.labels import HOSTNAME_LABEL
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.jobs import job_outcome
from rackplane.core.gangs.ranks import annotated_slot, completion_index, in_order, is_gated
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.slots import format_slots
from rackplane.core.gangs.statuses import reserved
from rackplane.core.gangs.unlike import slots_by_group
from rackplane.core.objects import Job, Pod
from rackplane.core.repair.rules import fatal_rule
from rackplane.core.world import World

__all__ = ["all_there", "assign_slots", "by_right", "ended_slots", "released"]


def assign_slots(world: World, record: GangRecord) -> bool:
    """Give every live pod a slot: its index where slots are keyed by it, else the lowest that is free.

    A pod keeps the slot that its annotation names once it is let go; of two that name one, which somebody else has
    written, only the first has it. A replacement gets its predecessor's slot only when that pod's object is gone, or
    left behind on a node that is not the slot's any more.

    Returns:
        whether anything changed.
    """
    before, live = record.slots, record.live_pods()
    known = {pod.metadata.uid for pod in live}
    record.slots = {uid: slot for uid, slot in record.slots.items() if uid in known}
    record.astray = set()
    holders: dict[int, Pod] = {}
    intruders: set[str] = set()
    for pod in live:
        slot = annotated_slot(pod)
        if is_gated(pod) or (slot is None and not _is_let_go_by_others(record, pod)):
            continue
        if slot is None or (not pod.spec.node_name and not _goes_there(world, record, pod, slot)):
            record.astray.add(pod.metadata.uid)
            record.slots.pop(pod.metadata.uid, None)
            continue
        other = holders.get(slot)
        if other is not None:
            pod, intruder = by_right((pod, other), slot)
            record.slots.pop(intruder.metadata.uid, None)
            intruders.add(intruder.metadata.uid)
        holders[slot] = pod
        record.slots[pod.metadata.uid] = slot
    waiting = [
        p
        for p in live
        if p.metadata.uid not in record.slots
        and p.metadata.uid not in record.astray
        and p.metadata.uid not in intruders
        and p.metadata.deletion_timestamp is None
    ]
    _give(record, waiting)
    if waiting and not record.ungating and not record.started() and all_there(record):
        # All are there and none is let go: from the start again, in their order. A successor, which sees them all at
        # once, would otherwise give other slots than this process, which may have seen them come one by one and whose
        # writes may still arrive then.
        record.slots = {}
        _give(record, (pod for pod in live if pod.metadata.deletion_timestamp is None))
    return record.slots != before


def all_there(record: GangRecord) -> bool:
    """Whether every slot that the workload can still use has a pod."""
    return len(record.slots) >= min(record.needed(), record.slot_count() - len(record.released))


def _give(record: GangRecord, pods: Iterable[Pod]) -> None:
    """Slots that nobody has to these pods, in their order."""
    free = set(range(record.slot_count())) - record.released - set(record.slots.values())
    of_group = slots_by_group(record.groups)
    for pod in in_order(pods):
        slot = _slot_for(record, pod, of_group, free)
        if slot is not None and slot in free:
            free.discard(slot)
            record.slots[pod.metadata.uid] = slot


def by_right(pods: Iterable[Pod], slot: int) -> list[Pod]:
    """Pods that name one slot, first the one whose it is: by its index, else by its name."""
    return sorted(in_order(pods), key=lambda pod: completion_index(pod) != slot)


def _is_let_go_by_others(record: GangRecord, pod: Pod) -> bool:
    """Whether somebody else took the gate off a pod that is not bound yet, and its Job makes it anew if it is evicted.

    One that it must not lose keeps its slot, and if kube-scheduler finds no node for it, the whole gang moves.
    """
    if pod.spec.node_name or not record.jobs:
        return False
    return not any(
        job_outcome(job) is None and fatal_rule(job, failed=job.status.failed) for job in record.jobs.values()
    )


def _goes_there(world: World, record: GangRecord, pod: Pod, slot: int) -> bool:
    """Whether the node that the pod was let go to, and is not bound to yet, is still that of its slot."""
    assert record.decision is not None
    slots = record.decision.placement.slots
    node = world.nodes.get(slots[slot]) if slot < len(slots) else None
    wanted = pod.spec.node_selector.get(HOSTNAME_LABEL)
    if node is None or wanted is None:
        return slot < len(slots)
    return wanted == node.metadata.labels.get(HOSTNAME_LABEL, node.metadata.name)


def _slot_for(record: GangRecord, pod: Pod, of_group: list[range], free: set[int]) -> int | None:
    if not of_group:
        return completion_index(pod) if record.keyed() else min(free, default=None)
    group = record.group_of_pod(pod)
    if group is None:
        return None
    job, slots = record.job_of(record.groups[group]), of_group[group]
    if job is not None and job.spec.completion_mode == "Indexed" and job.spec.completions == len(slots):
        index = record.index_of(pod, job)
        if index is not None or not record.ranked_if_told(job):
            return slots[index] if index is not None and index < len(slots) else None
    return min(free.intersection(slots), default=None)


def ended_slots(record: GangRecord) -> frozenset[int]:
    """Slots that no completion needs any more and no pod holds: as many as there are too many, highest first."""
    if not record.jobs or record.decision is None:
        return frozenset()
    finished = {
        slot
        for pod in record.pods.values()
        if pod.status.phase == "Succeeded" and (slot := annotated_slot(pod)) is not None
    }
    return frozenset(slot for job, slots in record.parts() for slot in _ended(record, job, slots, finished))


def released(world: World, record: GangRecord, ended: frozenset[int]) -> dict[str, Any]:
    """The status of a gang with a place of which these slots are over as well: what it holds is less, in watts too."""
    assert world.state is not None and record.decision is not None
    placement, left = record.decision.placement, dict[str, int]()
    for slot, node in world.state.held(booking_key(record.key)).items():
        if slot not in ended:
            left[node] = left.get(node, 0) + placement.gpus_of(slot)
    return {
        "releasedSlots": format_slots(record.released | ended),
        **reserved(world.state.increments(left, placement.power_profile, placement.metered)),
    }


def _ended(record: GangRecord, job: Job | None, slots: range, finished: set[int]) -> list[int]:
    open_slots = set(slots).intersection(range(record.slot_count())) - record.released
    excess = len(open_slots) - record.needed_of(job, len(slots) if record.several else record.target)
    if excess <= 0:
        return []
    vacant = open_slots - set(record.slots.values())
    if record.keyed() and record.target < record.slot_count():
        # Lower indexes come back, or have ended.
        vacant = {slot for slot in vacant if slot >= record.target or slot in finished}
    return sorted(vacant, key=lambda slot: (slot not in finished, -slot))[:excess]
