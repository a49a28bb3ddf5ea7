"""Lets a placed gang's pods go, whole and after the power caps of their nodes are in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from rackplane.api.labels import HOSTNAME_LABEL, POWER_CAP_WATTS
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.jobs import job_outcome
from rackplane.core.gangs.profiles import lowered
from rackplane.core.gangs.ranks import is_gated
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.slotting import all_there
from rackplane.core.gangs.writing import gang_event
from rackplane.core.instructions import (
    Instruction,
    UngatePod,
)
from rackplane.core.pods.pod import is_terminal
from rackplane.core.world import World

__all__ = ["all_let_go", "all_running", "tell_of_place", "ungate"]


def ungate(world: World, record: GangRecord) -> Iterator[Instruction]:
    """Let go the pods that still wait: none before every slot has one and every cap of their nodes is in force."""
    decision = record.decision
    assert decision is not None
    if not record.started() and not all_there(record):
        # A gang starts whole: the first pod is let go when every slot has one.
        return
    waiting = [
        pod
        for pod in record.live_pods()
        if is_gated(pod) and pod.metadata.uid in record.slots and pod.metadata.uid not in record.ungating
    ]
    if not waiting:
        return
    capped = _capped(world, record)
    if not record.started() and not all(capped.values()):
        yield from _tell_of_caps(world, record, capped)
        return
    for pod in sorted(waiting, key=lambda p: record.slots[p.metadata.uid]):
        uid = pod.metadata.uid
        slot = record.slots[uid]
        name = decision.placement.slots[slot]
        node = world.nodes.get(name)
        if node is None or not capped.get(name, True):
            continue  # on a node that is gone no pod is let go: the slot gets another, or waits for it (`repair`)
        cap = node.metadata.annotations.get(POWER_CAP_WATTS) if name in capped else None
        record.ungating.add(uid)
        record.letting_go = True
        yield UngatePod(
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            uid=uid,
            resource_version=pod.metadata.resource_version,
            hostname=node.metadata.labels.get(HOSTNAME_LABEL, name),
            slot=slot,
            gang=record.key[1],
            power_profile=decision.placement.power_profile,
            tolerations=tuple(msgspec.to_builtins(t) for t in pod.spec.tolerations),
            cap_watts=None if cap is None else int(cap),
            decision=decision.id,
        )


def all_let_go(record: GangRecord) -> bool:
    """Whether no pod that is there waits for anything but the answer to being let go."""
    return all(pod.metadata.uid in record.ungating or not is_gated(pod) for pod in record.live_pods())


def all_running(record: GangRecord) -> bool:
    """Whether every slot that is not given back runs, or ran to its end."""
    if record.several:
        return all(
            sum(1 for pod in record.pods_of(job) if pod.status.phase == "Running" or is_terminal(pod))
            >= len(set(slots) - record.released)
            for job, slots in record.parts()
            if job is not None and job_outcome(job) is None
        )
    running = sum(1 for pod in record.pods.values() if pod.status.phase == "Running" or is_terminal(pod))
    return running >= record.slot_count() - len(record.released)


def tell_of_place(world: World, record: GangRecord) -> Iterator[Instruction]:
    """Where it starts; and who asked for more hears at once what the lower profile costs."""
    assert world.state is not None and record.gang is not None and record.decision is not None
    status = record.gang.status
    if status.phase == "Admitted":
        yield from gang_event(record, warning=False, reason="Placed", message=status.message, once=True)
    lower = lowered(world.state, record.decision.placement, record.gang.spec.power.profile)
    if lower is not None:
        yield from gang_event(record, warning=False, reason="LowerPowerProfile", message=f"admitted {lower}")


def _capped(world: World, record: GangRecord) -> dict[str, bool]:
    """By node that the gang draws watts on: whether its cap is in force, which it must be before the load is."""
    assert record.decision is not None and world.state is not None
    if record.decision.placement.gpus_per_slot == 0:
        return {}
    held = world.state.held_gpus(booking_key(record.key))
    return world.caps.in_force(world, (node for node, gpus in held.items() if gpus))


def _tell_of_caps(world: World, record: GangRecord, capped: Mapping[str, bool]) -> Iterator[Instruction]:
    """The start waits for a node whose annotations we may not write: that takes a person."""
    for name, done in capped.items():
        problem = world.caps.problem(name) or world.confirmations.problem(world, name)
        if not done and problem:
            text = f"node {name} does not take its power cap, so no pod is let go: {problem}"
            if text != record.told_of_cap:
                record.told_of_cap = text
                yield from gang_event(record, warning=True, reason="CapNotWritten", message=text)
            return
