"""What in a cluster is not as its Gangs say: each difference, and what comes of it.

Asked of a machine that has seen everything once and does not lead. While an operator leads, most differences are steps
that it is just taking, and gone at a second look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rackplane.api.labels import (
    HOSTNAME_LABEL,
    NODE_GANGS,
    POWER_CAP_WATTS,
    POWER_PROFILE,
    QUEUE_LABEL,
    SLOT_ANNOTATION,
)
from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.jobs import job_outcome, suspended_by_us
from rackplane.core.gangs.ranks import annotated_slot, completion_index, is_gated
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.slotting import by_right
from rackplane.core.gangs.workload import gang_name_of_pod
from rackplane.core.machine import Machine
from rackplane.core.objects import Pod
from rackplane.core.pods.pod import is_terminal
from rackplane.core.world import ACTIVE, World
from rackplane.engine.state import State

__all__ = ["Difference", "differences"]

#: how many slots are named
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be."""

    kind: str
    """A word for programs, such as WithoutGang."""
    subject: str
    """The object: "Job ml/train"."""
    what: str
    """What is, and what should be."""
    then: str
    """What the operator does about it, or a person has to."""


def differences(machine: Machine) -> list[Difference]:
    """All there are, in order of their subjects; none of a cluster in which an operator has nothing left to do."""
    world = machine.world
    found = [*_without_gang(world), *_stray_pods(world), *_caps(world), *_sums(world)]
    for record in machine.gangs.values():
        if record.gang is not None:
            found += _of_gang(world, record)
    return sorted(found, key=lambda each: (each.subject, each.kind, each.what))


def _without_gang(world: World) -> Iterator[Difference]:
    for (namespace, name), job in world.jobs.items():
        gang = world.gang_of_job((namespace, name))
        if (gang is not None and gang.gang is not None) or job_outcome(job) is not None:
            continue
        if suspended_by_us(job):
            then = "the operator makes one, or says on the Job why it cannot"
            if QUEUE_LABEL not in job.metadata.labels:
                then = "its queue label is gone: put it back, or start the Job with rackplane release"
            yield Difference(
                "WithoutGang", f"Job {namespace}/{name}", "is suspended by Rackplane and has no Gang", then
            )
    for key, pod in world.pods.items():
        if not is_gated(pod) or is_terminal(pod):
            continue
        gang_key = world.belonging.of_pod.get(key)
        record = None if gang_key is None else world.gangs.get(gang_key)
        if record is None or record.gang is None:
            then = "the operator makes one once all pods of the gang exist"
            if gang_name_of_pod(pod) is None:
                then = f"it has no label {QUEUE_LABEL}: put it on, or let it go with rackplane release"
            yield Difference("WithoutGang", _pod(pod), "waits at our scheduling gate and has no Gang", then)


def _stray_pods(world: World) -> Iterator[Difference]:
    """Labelled pods that run though their gang has no place."""
    for key, pod in world.pods.items():
        gang_key = world.belonging.of_pod.get(key)
        record = None if gang_key is None else world.gangs.get(gang_key)
        if record is None or record.external() or is_terminal(pod) or not pod.spec.node_name:
            continue
        if record.gang is not None and record.phase in ACTIVE:
            continue
        if pod.metadata.uid in record.left:
            yield Difference(
                "Elsewhere",
                _pod(pod),
                f"was left on {pod.spec.node_name} by gang {_name(record.key)}, which holds nothing there",
                "its watts count there, under the power cap of the node, until it is gone; if the machine is off, "
                f"kubectl taint node {pod.spec.node_name} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
            )
            continue
        yield Difference(
            "RunsWithoutPlace",
            _pod(pod),
            f"runs on {pod.spec.node_name}, and gang {_name(record.key)} has no place",
            "its watts count as those of a stranger until it ends; delete it, or wait for it",
        )


def _of_gang(world: World, record: GangRecord) -> Iterator[Difference]:
    subject = f"Gang {_name(record.key)}"
    awake = [job for job in record.jobs.values() if not job.spec.suspend and job_outcome(job) is None]
    if record.phase == "Pending" and awake and not record.external():
        yield Difference(
            "AwakeWithoutPlace",
            f"Job {record.key[0]}/{awake[0].metadata.name}",
            f"is not suspended, and {subject} waits",
            "the operator suspends it",
        )
    if record.phase not in ACTIVE:
        return
    if record.decision is None:
        yield Difference(
            "NoAssignment",
            subject,
            f"is {record.phase}, and its status names no nodes",
            "the operator stops it, and places it again when its pods are gone",
        )
        return
    if not record.external() and not record.jobs and not record.live_pods():
        kind = "Jobs are" if record.several else "Job or pods are"
        yield Difference(
            "WithoutWorkload", subject, f"holds its place, and its {kind} gone", "its place is given up"
        )
        return
    yield from _slots(world, record, subject)
    if record.phase == "Running" and any(suspended_by_us(job) for job in record.jobs.values()):
        yield Difference(
            "Asleep", subject, "is Running, and Rackplane has suspended its Job", "it is resumed"
        )


def _slots(world: World, record: GangRecord, subject: str) -> Iterator[Difference]:
    decision = record.decision
    assert decision is not None
    nodes = decision.placement.slots
    for name in dict.fromkeys(nodes):
        if name not in world.nodes:
            yield Difference(
                "NodeGone",
                subject,
                f"was given node {name}, which does not exist",
                "the slots on it are lost",
            )
    if record.external():
        return
    left = set[int]()
    for pod in record.pods.values():
        slot = annotated_slot(pod) if pod.metadata.uid in record.left else None
        if slot is not None:
            left.add(slot)
            given = f"on {nodes[slot]}" if slot < len(nodes) else "given up"
            yield Difference(
                "Elsewhere",
                _pod(pod),
                f"is on {pod.spec.node_name}, and slot {slot} of {subject} is {given}",
                "the operator evicts it, and its Job makes another; its watts count until it is gone",
            )
    yield from _names(record)
    there = dict[int, Pod]()
    for pod in record.live_pods():
        slot = annotated_slot(pod)
        if slot is None:
            continue
        there[slot] = pod
        node = world.nodes.get(nodes[slot]) if slot < len(nodes) else None
        wanted = None if node is None else node.metadata.labels.get(HOSTNAME_LABEL, node.metadata.name)
        has = pod.spec.node_selector.get(HOSTNAME_LABEL)
        if wanted is not None and (has != wanted or pod.spec.node_name not in ("", nodes[slot])):
            where = pod.spec.node_name or has
            yield Difference(
                "Elsewhere",
                _pod(pod),
                f"is on {where}, and slot {slot} of {subject} on {nodes[slot]}",
                "a pod's node cannot be changed: delete it, and its owner makes another",
            )
    if record.phase == "Running":
        empty = [
            s for s in range(len(nodes)) if s not in there and s not in left and s not in record.released
        ]
        waiting = sum(1 for pod in record.live_pods() if annotated_slot(pod) is None)
        if len(empty) > waiting:
            yield _without_pods(record, subject, empty)


def _names(record: GangRecord) -> Iterator[Difference]:
    """Pods that somebody else let go, and those that name the slot of another."""
    named: dict[int, list[Pod]] = {}
    for pod in record.live_pods():
        slot = annotated_slot(pod)
        if slot is None and is_gated(pod):
            slot = completion_index(pod) if record.keyed() else None
        elif slot is None:
            what = f"has no gate and no annotation {SLOT_ANNOTATION}: somebody else let it go"
            yield Difference("NotLetGoByUs", _pod(pod), what, _of_strays(record, pod))
        if slot is not None:
            named.setdefault(slot, []).append(pod)
    for slot, pods in named.items():
        first, *others = by_right(pods, slot)
        for pod in others:
            yield Difference(
                "SlotTwice",
                _pod(pod),
                f"has the annotation {SLOT_ANNOTATION}={slot}, and slot {slot} is that of {_pod(first)}",
                _anew(pod),
            )


def _of_strays(record: GangRecord, pod: Pod) -> str:
    node, decision = pod.spec.node_name, record.decision
    if not node and record.jobs:
        return "the operator evicts it, and its Job makes another; if that would fail the Job, the whole gang moves"
    if not node:
        return _anew(pod)
    if decision is not None and node in decision.placement.slots:
        return f"it is on {node}, where its gang has a place, which counts for it; {_anew(pod)}"
    return f"its watts count on {node} as those of a pod outside every gang; {_anew(pod)}"


def _without_pods(record: GangRecord, subject: str, empty: list[int]) -> Difference:
    shown = ", ".join(map(str, empty[:_SHOWN])) + (", ..." if len(empty) > _SHOWN else "")
    what = f"holds slot {shown}, which has no pod"
    if len(empty) > 1:
        what = f"holds {len(empty)} slots that have no pods: {shown}"
    job = record.job
    then = "it stays booked" if len(empty) == 1 else "they stay booked"
    if job is not None:
        name, namespace = job.metadata.name, job.metadata.namespace
        then += (
            f" until its Job makes a pod anew or needs it no more: kubectl describe job {name} -n {namespace}"
        )
        then += " says what keeps it"
    else:
        then += ": nobody makes such pods anew; delete the others, and the gang is over"
    return Difference("BookedWithoutPod", subject, what, then)


def _caps(world: World) -> Iterator[Difference]:
    """Nodes that do not carry the power cap of their gangs, and nodes that carry one of nobody's."""
    for name, node in world.nodes.items():
        have = node.metadata.annotations
        gangs = [
            world.gangs[key]
            for key in world.gangs_on(name)
            if world.gangs[key].decision is not None and world.gangs[key].phase in ACTIVE
        ]
        drawing = world.state is not None and any(
            world.state.held_gpus(booking_key(record.key)).get(name) for record in gangs
        )
        if drawing and not world.caps.in_force(world, (name,))[name]:
            cap = have.get(POWER_CAP_WATTS, "none")
            yield Difference(
                "OtherCap",
                f"Node {name}",
                f"carries the power cap {cap} ({have.get(POWER_PROFILE, 'no profile')}), and gang "
                f"{_name(gangs[0].key)} was given another",
                "the operator writes it; until then no pod of the gang is let go there",
            )
        elif not gangs and have.get(NODE_GANGS) and not (world.state and world.state.left_gpus(name)):
            yield Difference(
                "CapOfNobody",
                f"Node {name}",
                f"carries the power cap of {have[NODE_GANGS]}, which holds nothing there",
                "the operator takes it away",
            )


def _sums(world: World) -> Iterator[Difference]:
    state = world.state
    if state is None:
        return
    for name in state.overbooked():
        yield _booked_twice(world, state, name)
    for violation in state.violations():
        if violation.contingency.normal:
            yield Difference(
                "OverLimit",
                violation.row.label,
                f"carries {violation.load_watts:,.0f} of {violation.limit_watts:,.0f} W",
                "running gangs give way, as docs/shedding.md says",
            )


def _booked_twice(world: World, state: State, name: str) -> Difference:
    there = state.node_type(name)
    assert there is not None
    held = {key: state.held_gpus(booking_key(key)).get(name, 0) for key in world.gangs_on(name)}
    by = [f"{gpus} by Gang {_name(key)}" for key, gpus in sorted(held.items()) if gpus]
    if left := state.left_gpus(name):
        by.append(f"{left} by pods that their gangs have left behind")
    if strangers := state.unmanaged_gpus(name):
        by.append(f"{strangers} by pods outside every gang")
    return Difference(
        "BookedTwice",
        f"Node {name}",
        f"has {there.gpus_per_node} GPUs, and {state.booked_gpus(name) + state.other_gpus(name)} are booked: "
        f"{', '.join(by)}",
        "suspend the Job of one of these gangs"
        + (", or delete the pods outside every gang" if strangers else ""),
    )


def _anew(pod: Pod) -> str:
    """What to do about a pod that is not as it should be."""
    if pod.metadata.owner_references:
        return f"kubectl delete pod {pod.metadata.name} -n {pod.metadata.namespace}: its owner makes another"
    return "nobody makes it anew: delete all pods of the gang, and create them again"


def _pod(pod: Pod) -> str:
    return f"Pod {pod.metadata.namespace}/{pod.metadata.name}"


def _name(key: Key) -> str:
    return f"{key[0]}/{key[1]}"
