"""A decision whose write had to wait, or was not answered, and which the facility does not carry any more.

The same write may be asked for again only while there is room for what it gives. And it may have happened: so what is
decided is not dropped but outrun, by another write to the same version of the Gang, of which the API server takes one.
If it is the commit, the gang has its place; if not, that is given up when the Gang is seen at its next version.
"""

from __future__ import annotations

from collections.abc import Iterator

from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.writing import write
from rackplane.core.instructions import Instruction
from rackplane.core.world import World
from rackplane.engine.placing.keeping import keeps_limits

__all__ = ["has_room", "withdraw"]


def has_room(world: World, record: GangRecord) -> bool:
    """Whether what is booked for the gang would be given to it now as well."""
    return world.state is None or keeps_limits(world.state, booking_key(record.key))


def withdraw(record: GangRecord) -> Iterator[Instruction]:
    """The write that outruns the one that gives the gang what is booked; it says what the version did not."""
    assert record.gang is not None and record.decision is not None
    record.deferred = False
    phase = record.phase or "Pending"
    text = f"decision {record.decision.id} was not written before the room for it was gone; it is looked for anew"
    yield from write(record, {"phase": phase, "message": text})
