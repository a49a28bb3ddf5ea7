"""What becomes of a gang that has lost nodes under it: it waits, its slots there go elsewhere, or it moves as a whole.

All of it is judged from what is. The assignment with the slots on other nodes is written first, in one compare-and-swap
write; a pod that is bound where its gang has no slot for it any more is evicted then, and its Job makes it anew on the
other node. Until the API server says that it is gone, its watts count where it is (`GangRecord.left`): a node that does
not answer may draw what it drew.

A Job that one lost pod would fail is stopped and started as a whole instead, which fails nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rackplane.api.gang import NodeLoss
from rackplane.core.gangs.booking import book_changed, placement_of
from rackplane.core.gangs.elastic import shrink, shrinkable
from rackplane.core.gangs.jobs import job_outcome
from rackplane.core.gangs.reassigning import moved_slots, reassignment
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import condition
from rackplane.core.gangs.stopping import NODE_LOST, is_over, stop
from rackplane.core.gangs.writing import conditions_of, gang_event, may_write, write
from rackplane.core.instructions import EvictPod, Instruction
from rackplane.core.objects import Gang, Pod
from rackplane.core.repair.losses import NOT_READY, Loss, losses_of
from rackplane.core.repair.rules import fatal_rule
from rackplane.core.repair.search import elsewhere
from rackplane.core.world import World
from rackplane.engine.model import Placement

__all__ = ["NODES_READY", "count_repair", "evict_left", "policy_of", "repair"]

NODES_READY = "NodesReady"
"""The condition of a gang that says whether nodes are lost under it."""
REPLACED = "NodesReplaced"
_NAMED = 4


def policy_of(record: GangRecord) -> NodeLoss:
    """What its user wants to become of it; a value that is not known, of a newer version, is as none."""
    assert record.gang is not None
    asked = record.gang.spec.on_node_loss
    return next((policy for policy in NodeLoss if policy == asked), NodeLoss.SWAP)


def repair(
    world: World, record: GangRecord, broken: Sequence[tuple[int | None, str]]
) -> Iterator[Instruction] | None:
    """The writes by which a gang with a place gets over what it has lost; None if nothing is done about it here.

    Args:
        broken: slots whose pods are not bound and cannot have their nodes, for other reasons than that these are lost.
    """
    lost: Mapping[int, tuple[str, Loss]] = {}
    if not record.external() and is_over(record):
        return None
    if world.losses:
        template = record.template
        lost = losses_of(world, record.key, () if template is None else template.tolerations)
    if not lost and not broken:
        return _recovered(world, record)
    policy = policy_of(record)
    ours = bool(record.jobs) and not record.external()
    if policy is NodeLoss.WAIT or (not ours and not record.external()):
        # Bare pods that are gone are made anew by nobody.
        return None if broken else _tell(world, record, lost)
    grace = world.settings.node_loss_seconds
    cut_off = world.losses.cut_off(world)
    due = {
        slot: known
        for slot, known in lost.items()
        if world.now >= known[1].due(grace) and not (cut_off and known[1].kind == NOT_READY)
    }
    unbindable = dict(broken) if record.phase == "Running" and policy is NodeLoss.SWAP and ours else {}
    if broken and not unbindable:
        return None
    slots = _staying(record, {*due, *(slot for slot in unbindable if slot is not None)})
    if not slots:
        return None if broken else _tell(world, record, lost)
    if not may_write(record):
        return iter(())
    why = _words(due) if due else next(iter(unbindable.values()))
    if policy is NodeLoss.RESTART or not ours:
        return _move(world, record, why)
    until = max((loss.due(grace) for _, loss in due.values()), default=0.0) + world.settings.start_seconds
    damage = _Damage(sorted(slots), _bound(record, slots), why, until)
    # Slots that no pod has yet, on nodes that are not lost: whoever cannot be helped is judged as at the start.
    return _get_over(world, record, damage, last=bool(due.keys() & slots))


def evict_left(world: World, record: GangRecord) -> Iterator[Instruction]:
    """Evict pods that are, or would go, where the gang has no slot for them any more: their Job makes them anew."""
    if record.decision is not None and record.decision.committed and not record.committing:
        away = [
            pod
            for uid in sorted({*record.left, *record.astray})
            for pod in record.pods.values()
            if pod.metadata.uid == uid
        ]
        yield from _evict(world, record, away)


def count_repair(world: World, record: GangRecord, before: Gang) -> None:
    """Count that the gang has got over a loss, if that is what is new in it: for metrics."""
    gang = record.gang
    assert gang is not None
    then, now, queue = before.status, gang.status, gang.spec.queue
    if now.phase == "Stopping" and then.phase != "Stopping":
        if any(c.type == "Admitted" and c.reason == NODE_LOST for c in now.conditions):
            world.tally.repaired[queue, "moved"] += 1
    elif now.decision is not None and then.decision is not None and now.decision.id != then.decision.id:
        pairs = zip(placement_of(before).slots, placement_of(gang).slots, strict=False)
        if now.phase == then.phase and any(a != b for a, b in pairs):
            world.tally.repaired[queue, "swapped"] += 1
    elif now.slots is not None and now.slots < (then.slots or 0) and _known(before, NODES_READY) == "False":
        world.tally.repaired[queue, "shrunk"] += 1


def _known(gang: Gang, kind: str) -> str:
    return next((c.status for c in gang.status.conditions if c.type == kind), "")


# -- what is lost --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Damage:
    """What is to be got over now."""

    slots: Sequence[int]
    #: of those the ones whose pods are bound where they were lost
    bound: Mapping[int, Pod]
    why: str
    #: so long it is waited for pods to be gone, in seconds since the epoch
    until: float


def _bound(record: GangRecord, slots: Collection[int]) -> dict[int, Pod]:
    found = {
        slot: pod
        for pod in record.live_pods()
        if pod.spec.node_name and (slot := record.slots.get(pod.metadata.uid)) in slots
    }
    return {slot: pod for slot, pod in found.items() if slot is not None}


def _staying(record: GangRecord, slots: Collection[int]) -> set[int]:
    """Without those that a gang which shrinks gives up anyway."""
    leaving = record.slot_count() - len(record.released) - record.target
    if leaving <= 0:
        return set(slots)
    if record.keyed():
        return {slot for slot in slots if slot < record.target}
    ending = {slot for slot, pod in _bound(record, slots).items() if pod.metadata.deletion_timestamp}
    return set(sorted(slots, key=lambda slot: (slot not in ending, -slot))[leaving:])


def _words(lost: Mapping[int, tuple[str, Loss]]) -> str:
    """ "node a (slot 2) is not ready, node b (slots 3, 4) is gone"."""
    by_node: dict[str, list[int]] = {}
    for slot, (node, _) in sorted(lost.items()):
        by_node.setdefault(node, []).append(slot)
    why = {node: loss.why for node, loss in lost.values()}
    told = [
        f"node {node} ({'slot' if len(slots) == 1 else 'slots'} {', '.join(map(str, slots))}) {why[node]}"
        for node, slots in list(by_node.items())[:_NAMED]
    ]
    more = len(by_node) - _NAMED
    return ", ".join(told) + (f" and {more} more nodes are lost" if more > 0 else "")


def _tell(
    world: World, record: GangRecord, lost: Mapping[int, tuple[str, Loss]]
) -> Iterator[Instruction] | None:
    """Say once what is lost, and what will become of it."""
    assert record.gang is not None
    if not lost:
        return None
    seconds = f"{world.settings.node_loss_seconds:g} s"
    if world.losses.cut_off(world) and any(loss.kind == NOT_READY for _, loss in lost.values()):
        then = (
            "most nodes are not ready, which no loss of nodes explains: nothing is done before that is over"
        )
    elif record.external():
        then = f"the gang is stopped after {seconds}"
    elif not record.jobs:
        then = "its pods are in no Job, so nobody would make them anew: delete them and create them again"
    else:
        then = {
            NodeLoss.WAIT: "it waits for the node",
            NodeLoss.SWAP: f"after {seconds} another node takes its place",
            NodeLoss.RESTART: f"after {seconds} the whole gang moves",
        }[policy_of(record)]
    text = f"{_words(lost)}; {then}"
    known = _condition(record)
    if known == ("False", text) or not may_write(record):
        return None
    return _say(world, record, ready=False, reason=NODE_LOST, text=text)


def _recovered(world: World, record: GangRecord) -> Iterator[Instruction] | None:
    known = _condition(record)
    if known is None or known[0] == "True" or not may_write(record):
        return None
    return _say(world, record, ready=True, reason="Sound", text="no node is lost under the gang")


def _condition(record: GangRecord) -> tuple[str, str] | None:
    assert record.gang is not None
    known = ((c.status, c.message) for c in record.gang.status.conditions if c.type == NODES_READY)
    return next(known, None)


def _say(world: World, record: GangRecord, *, ready: bool, reason: str, text: str) -> Iterator[Instruction]:
    said = condition(NODES_READY, true=ready, reason=reason, message=text, now=world.now)
    yield from write(record, {"conditions": conditions_of(record, said)})
    yield from gang_event(record, warning=not ready, reason=reason, message=text)


# -- what is done --------------------------------------------------------------------------------------


def _get_over(
    world: World, record: GangRecord, damage: _Damage, *, last: bool
) -> Iterator[Instruction] | None:
    """Other nodes for the lost slots; else fewer slots, if it may run with fewer; else the whole gang moves.

    Args:
        last: whether the gang moves if nothing else helps.
    """
    fatal = _fatal(record, damage)
    if fatal is None:
        there = _place(world, record, damage)
        if isinstance(there, Placement):
            return _swap(world, record, damage, there)
        if there and world.now < damage.until:
            # There is a place once nothing draws on the lost nodes any more, which is for the API server to say.
            return _evict(world, record, damage.bound.values())
    fewer = _fewer(world, record, damage, may_evict=fatal is None)
    if fewer is not None or not last:
        return fewer
    none = fatal or "no other node of the NVLink domain can take that"
    return _move(world, record, f"{damage.why}; the whole gang moves: {none}")


def _place(world: World, record: GangRecord, damage: _Damage) -> Placement | bool:
    """Where the gang is with the lost slots elsewhere; or whether there is such a place once lost pods are gone."""
    question = world.version, tuple(damage.slots), tuple(damage.bound)
    if record.unrepaired is not None and record.unrepaired[0] == question:
        return record.unrepaired[1]
    found = elsewhere(world, record, damage.slots, set(damage.slots) - set(damage.bound))
    if found is not None:
        return found
    later = bool(damage.bound) and elsewhere(world, record, damage.slots, damage.slots) is not None
    record.unrepaired = question, later
    return later


def _swap(world: World, record: GangRecord, damage: _Damage, there: Placement) -> Iterator[Instruction]:
    """The assignment with the slots elsewhere, booked from here on; the pods that are left behind are evicted after."""
    assert record.gang is not None and record.decision is not None
    version = record.gang.metadata.resource_version
    swapped = replace(
        record.decision,
        id=f"{world.term}-{version}",
        term=world.term,
        placement=there,
        committed=False,
        released=record.released,
    )
    book_changed(world, record, swapped)
    record.committing, record.gang_write = True, version
    yield reassignment(world, record)
    moved = ", ".join(f"slot {slot} goes to node {node}" for slot, _, node in moved_slots(record)[:_NAMED])
    yield from gang_event(record, warning=True, reason=REPLACED, message=f"{damage.why}; {moved}")


def _fewer(
    world: World, record: GangRecord, damage: _Damage, *, may_evict: bool
) -> Iterator[Instruction] | None:
    """The writes by which a gang that may run with fewer slots goes on without those; None if it cannot.

    Of ranks the highest go, and the Job controller deletes their pods. Of others it chooses: pods that are not bound
    come first, so those that are lost are evicted before.
    """
    to = record.target - len(damage.slots)
    if len(damage.slots) > shrinkable(record):
        return None
    if record.keyed():
        return None if damage.slots[0] < to else shrink(world, record, to, why=damage.why)
    there = [pod for pod in damage.bound.values() if pod.metadata.deletion_timestamp is None]
    if there:
        return _evict(world, record, there) if may_evict else None
    return shrink(world, record, to, why=damage.why)


def _move(world: World, record: GangRecord, why: str) -> Iterator[Instruction]:
    """Stopped as a whole and queued with its age: where it is placed anew no node is lost."""
    said = condition(
        NODES_READY, true=True, reason="Moves", message="the gang moves as a whole", now=world.now
    )
    yield from stop(world, record, why, reason=NODE_LOST, also=(said,))


def _fatal(record: GangRecord, damage: _Damage) -> str | None:
    """Why a Job of the gang would fail if the lost pods were evicted; None if none would."""
    there = [pod for pod in damage.bound.values() if pod.metadata.deletion_timestamp is None]
    for job in record.jobs.values():
        own = {pod.metadata.uid for pod in record.pods_of(job)}
        count = sum(pod.metadata.uid in own for pod in there)
        if count and job_outcome(job) is None:
            why = fatal_rule(job, count, failed=job.status.failed)
            if why is not None:
                return f"its pods cannot be replaced one by one: {record.called(job)}, {why}"
    return None


def _evict(world: World, record: GangRecord, pods: Iterable[Pod]) -> Iterator[Instruction]:
    """Ask for these pods to be evicted, those that are not on their way already, each again after a while."""
    if record.refused_eviction and record.refused_eviction != record.told_of_eviction:
        record.told_of_eviction = record.refused_eviction
        text = f"a pod on a lost node cannot be evicted: {record.refused_eviction}"
        yield from gang_event(record, warning=True, reason="EvictionRefused", message=text)
    for pod in pods:
        meta = pod.metadata
        if meta.deletion_timestamp is not None:
            record.evictions.pop(meta.uid, None)
        elif world.now >= record.evictions.get(meta.uid, world.now):
            record.evictions[meta.uid] = world.now + world.settings.evict_again_seconds
            yield EvictPod(meta.namespace, meta.name, meta.uid, record.key[1], record.decision_id)
