"""Users hear before a node is lost that their Job could not get over it: a condition of the Gang, and an Event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rackplane.api.gang import NodeLoss
from rackplane.api.labels import ON_NODE_LOSS
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import condition
from rackplane.core.gangs.writing import conditions_of, gang_event, may_write, write
from rackplane.core.instructions import Instruction
from rackplane.core.repair.rules import fatal_rules
from rackplane.core.world import World

__all__ = ["SURVIVES_POD_LOSS", "warn_of_rules"]

SURVIVES_POD_LOSS: Final = "SurvivesPodLoss"
"""The condition of a gang whose Job one lost pod would fail; True once its rules are others."""
_FATAL: Final = "OneLostPodIsFatal"


def warn_of_rules(world: World, record: GangRecord) -> Iterator[Instruction]:
    """Say what in its Jobs' rules makes one lost pod fatal, if that is news."""
    assert record.gang is not None
    conditions = record.gang.status.conditions
    known = next(((c.status, c.message) for c in conditions if c.type == SURVIVES_POD_LOSS), None)
    # A gang that is stopped and started as a whole loses no pod by its Job's rules.
    asked = record.gang.spec.on_node_loss
    found = [] if record.external() or asked == NodeLoss.RESTART else list(fatal_rules(record))
    if not found:
        if known is not None and known[0] == "False" and may_write(record):
            text = "its Jobs make a lost pod anew"
            said = condition(SURVIVES_POD_LOSS, true=True, reason="Replaced", message=text, now=world.now)
            yield from write(record, {"conditions": conditions_of(record, said)})
        return
    what = "; ".join(f"{record.called(job)}, {why}" for job, why in found[:4])
    then = "If a node is lost, the whole gang moves instead, and whoever deletes or evicts one of its pods fails it."
    remedy = (
        "Raise the limit, or let spec.podFailurePolicy ignore the pod condition DisruptionTarget; or write "
        f"{ON_NODE_LOSS}: Restart if that is what is wanted."
    )
    text = f"one lost pod is fatal: {what}. {then} {remedy}"
    if known == ("False", text) or not may_write(record):
        return
    said = condition(SURVIVES_POD_LOSS, true=False, reason=_FATAL, message=text, now=world.now)
    yield from write(record, {"conditions": conditions_of(record, said)})
    yield from gang_event(record, warning=True, reason=_FATAL, message=text)
