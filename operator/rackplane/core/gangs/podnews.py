"""Whether a pod that has changed calls for a look at its gang.

While gangs start, most of what happens is that pods are let go, which we asked for, and bound, which they were let go
for. A gang of 512 would be looked at a thousand times for nothing.
"""

from __future__ import annotations

from rackplane.core.gangs.promises import is_unschedulable
from rackplane.core.gangs.ranks import annotated_slot, is_gated
from rackplane.core.gangs.record import GangRecord
from rackplane.core.objects import Pod

__all__ = ["changed_by_start"]


def changed_by_start(record: GangRecord, before: Pod | None, after: Pod) -> bool:
    """Whether nothing else happened to a pod of a gang with a place than that it was let go as asked, or bound.

    The next write to the gang does not depend on that, before its pods run.
    """
    decision, old, new = record.decision, before, after
    if old is None or decision is None or not decision.committed:
        return False
    if record.phase not in ("Admitted", "Running") or is_unschedulable(new):
        return False
    if is_gated(old) != is_gated(new):
        uid = new.metadata.uid
        if uid not in record.ungating or annotated_slot(new) != record.slots.get(uid):
            return False
    elif is_gated(new) or old.metadata.annotations != new.metadata.annotations:
        return False
    return (
        old.status.phase == new.status.phase
        and old.metadata.deletion_timestamp == new.metadata.deletion_timestamp
        and old.metadata.labels == new.metadata.labels
        and old.metadata.owner_references == new.metadata.owner_references
        and old.status.resource_claim_statuses == new.status.resource_claim_statuses
        and old.spec.containers == new.spec.containers
        and old.spec.init_containers == new.spec.init_containers
        and old.spec.resources == new.spec.resources
        and old.spec.affinity == new.spec.affinity
    )
