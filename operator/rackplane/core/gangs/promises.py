"""Whether what was promised to a started gang's slots can still be had, and how it goes on without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.elastic import (
    shrink,
    shrinkable,
)
from rackplane.core.gangs.ranks import is_gated
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.ungating import all_running
from rackplane.core.instructions import (
    Instruction,
)
from rackplane.core.objects import Pod
from rackplane.core.pods.pod import is_ready
from rackplane.core.world import World

__all__ = ["broken_promises", "is_unschedulable", "next_deadline", "without_broken"]


def broken_promises(world: World, record: GangRecord) -> list[tuple[int | None, str]]:
    """Slots whose pods are not bound yet and can no longer have their nodes, and why; None for the gang as a whole."""
    return list(_broken(world, record))


def without_broken(
    world: World, record: GangRecord, broken: Sequence[tuple[int | None, str]]
) -> Iterator[Instruction] | None:
    """The writes by which a gang that may run with fewer slots goes on without those; None if it cannot, or need not.

    Their pods are not bound: these are the first that the Job controller deletes. Of ranks only the highest go.
    """
    lost = {slot for slot, _ in broken}
    if not broken or None in lost or record.phase != "Running":
        return None
    leaving = record.slot_count() - len(record.released) - record.target
    more = len(lost) - leaving
    if more <= 0:
        return iter(())
    to = record.target - more
    if more > shrinkable(record) or (record.keyed() and any(slot is not None and slot < to for slot in lost)):
        return None
    return shrink(world, record, to, why=broken[0][1])


def next_deadline(world: World, record: GangRecord) -> float:
    """When a promise to a gang that starts may next count as broken with nothing new; in seconds since the epoch."""
    assert record.decision is not None
    settings = world.settings
    waits = [since + settings.unschedulable_seconds for since in record.unschedulable.values()]
    return min([record.decision.time + settings.start_seconds, *waits])


def is_unschedulable(pod: Pod) -> bool:
    """Whether kube-scheduler has tried to bind the pod, which is let go, and could not."""
    # The condition's own time says nothing: it is False from the day the pod is gated, and keeps that day's time.
    return (
        not is_gated(pod)
        and not pod.spec.node_name
        and any(
            c.type == "PodScheduled" and c.status == "False" and c.reason == "Unschedulable"
            for c in pod.status.conditions
        )
    )


def _broken(world: World, record: GangRecord) -> Iterator[tuple[int | None, str]]:
    assert record.decision is not None and world.state is not None
    by_slot: dict[int, Pod] = {}
    for pod in record.live_pods():
        if pod.metadata.uid in record.slots:
            by_slot[record.slots[pod.metadata.uid]] = pod
    starting = record.phase == "Admitted"
    sound: set[str] = set()
    for slot, name in sorted(world.state.held(booking_key(record.key)).items()):
        holder = by_slot.get(slot)
        if holder is not None and holder.spec.node_name:
            continue
        if holder is None and not starting:
            continue
        if name not in sound:
            node = world.nodes.get(name)
            if not starting and (node is None or not is_ready(node)):
                continue  # it is lost, which is waited for: see core/repair
            if node is None:
                yield slot, f"node {name}, promised to slot {slot}, is gone"
                continue
            if not is_ready(node) or node.spec.unschedulable:
                state = "cordoned" if node.spec.unschedulable else "not ready"
                yield slot, f"node {name}, promised to slot {slot}, is {state}"
                continue
            if world.state.is_overbooked(name):
                yield (
                    slot,
                    f"GPUs of node {name}, promised to slot {slot}, were taken by a pod outside every gang",
                )
                continue
            sound.add(name)
        if (
            holder is not None
            and world.now - record.unschedulable.get(holder.metadata.uid, world.now)
            > world.settings.unschedulable_seconds
        ):
            name_of_pod = holder.metadata.name
            yield (
                slot,
                f"kube-scheduler cannot bind pod {name_of_pod} to node {name}, promised to slot {slot}",
            )
    if (
        starting
        and world.now - record.decision.time > world.settings.start_seconds
        and not all_running(record)
    ):
        bound = sum(1 for pod in record.live_pods() if pod.spec.node_name)
        late = f"{bound} of {record.needed()} pods were bound {world.settings.start_seconds:.0f} s after the decision"
        yield None, ": ".join(filter(None, (late, record.told_of_cap or record.told_of_domain)))
