"""What we answer Kueue for a gang that it queues: where its pods fit, or why it waits.

The pods are held to their nodes as those of every gang are, one by one, by our scheduling gate. An answer puts on them
what makes them the gang's: the labels by which they are gated and known. Its node selector narrows them to the smallest
domain that holds the whole set, and so keeps what an answer promises also where a gate is taken off by hand; a node has
one value per label, so a set that lies in several domains of every level gets none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rackplane.api.fabric import RACK_LABELS
from rackplane.api.labels import QUEUE_LABEL, WORKLOAD_ANNOTATION
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.unlike import slots_by_group
from rackplane.core.gangs.writing import may_write, may_write_version
from rackplane.core.instructions import AnswerCheck
from rackplane.core.workloads.view import Workload
from rackplane.core.world import World

__all__ = ["pass_check", "retry_check", "tell_check"]

_HOPELESS_SECONDS: Final = 300
"""A gang that waiting alone does not help gives its quota back, and is tried again after so long."""


def pass_check(world: World, record: GangRecord, workload: Workload) -> Iterator[AnswerCheck]:
    """The gang has its place: Kueue may admit it."""
    assert record.gang is not None
    updates = tuple(pod_set_updates(world, record, workload))
    yield from _answer(record, workload, "Ready", record.gang.status.message, updates=updates)


def retry_check(record: GangRecord, workload: Workload) -> Iterator[AnswerCheck]:
    """The gang gives its place up, or has none: Kueue stops it, and asks again once it has quota for it again."""
    assert record.gang is not None
    yield from _answer(record, workload, "Retry", record.gang.status.message)


def tell_check(record: GangRecord) -> Iterator[AnswerCheck]:
    """Why the gang waits, as its status has it; where waiting does not help, its quota goes to others meanwhile."""
    gang, workload = record.gang, record.workload
    if gang is None or workload is None or workload.check is None:
        return
    check, status = workload.check, gang.status
    # Not what it said before a write that is under way, nor before Kueue asked us.
    if check.held or check.state != "Pending" or status.phase != "Pending" or not may_write(record):
        return
    if any(c.type == "Ready" and c.status == "False" for c in status.conditions):
        yield from _answer(record, workload, "Retry", status.message, requeue_seconds=_HOPELESS_SECONDS)
    elif check.message != status.message:
        yield from _answer(record, workload, "Pending", status.message)


def _answer(
    record: GangRecord,
    workload: Workload,
    state: str,
    message: str,
    *,
    updates: tuple[Mapping[str, Any], ...] = (),
    requeue_seconds: int | None = None,
) -> Iterator[AnswerCheck]:
    meta, check = workload.metadata, workload.check
    assert check is not None
    if meta.deletion_timestamp is None and may_write_version(record, meta.name, meta.resource_version):
        yield AnswerCheck(
            workload.api_version,
            meta.namespace,
            meta.name,
            meta.uid,
            meta.resource_version,
            record.key[1],
            check.name,
            state,
            check.since if check.state == state else None,
            message,
            updates,
            requeue_seconds,
            record.decision_id,
        )


def pod_set_updates(world: World, record: GangRecord, workload: Workload) -> Iterator[dict[str, Any]]:
    """What Kueue puts on the pods of each set of a gang that has a place."""
    decision = record.decision
    assert decision is not None
    queue, nodes = workload.metadata.labels[QUEUE_LABEL], decision.placement.slots
    for group, slots in zip(record.groups, slots_by_group(record.groups), strict=True):
        each = workload.pod_set(group.name)
        if each is None:
            continue
        update: dict[str, Any] = {
            "name": group.name,
            "labels": {QUEUE_LABEL: queue},
            "annotations": {WORKLOAD_ANNOTATION: workload.metadata.name},
        }
        # A key that is there already may not be given twice: Kueue would refuse to start the Workload.
        selector = narrowest(world, {nodes[slot] for slot in slots}, without=each.template.spec.node_selector)
        yield {**update, "nodeSelector": selector} if selector else update


def narrowest(world: World, nodes: set[str], *, without: Mapping[str, str]) -> dict[str, str]:
    """The label of a rack or a level that all these nodes have with one value, and the fewest others; or none."""
    keys = [*RACK_LABELS, *(key for keys in world.catalog.fabric.keys.values() for key in keys)]
    labels = [world.nodes[name].metadata.labels for name in nodes if name in world.nodes]
    if len(labels) < len(nodes):
        return {}
    common = {
        key: labels[0][key]
        for key in keys
        if key not in without and labels[0].get(key) and all(own.get(key) == labels[0][key] for own in labels)
    }
    if not common:
        return {}
    count = Counter(
        key
        for node in world.nodes.values()
        for key, value in common.items()
        if node.metadata.labels.get(key) == value
    )
    best = min(common, key=lambda key: count[key])
    return {best: common[best]}
