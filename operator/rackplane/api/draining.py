"""Emptying a rack or an NVLink domain: by when, and how far it is."""

from typing import Annotated

from pydantic import Field

from rackplane.api.base import ApiModel, Count, Line, Timestamp
from rackplane.api.figures import SHOWN

__all__ = ["DrainDeadline", "DrainStatus"]

DrainDeadline = Annotated[
    Timestamp | None,
    Field(
        description="While the state is Draining or Maintenance: gangs that are still there at this time are stopped, "
        "whatever they are (RFC 3339, with offset or Z). Absent: while Draining they leave at checkpoints and ends "
        "alone; in Maintenance they are stopped at once."
    ),
]


class DrainStatus(ApiModel):
    """How far the emptying is. Absent: it is not being emptied."""

    since: Timestamp = Field(description="Since when it is being emptied: a later checkpoint lets a gang go.")
    deadline: Timestamp | None = Field(
        default=None, description="When what is left is stopped. Absent: never."
    )
    gangs: Count = Field(description="Gangs that hold nodes in it.")
    waiting_for: tuple[Line, ...] = Field(
        default=(), max_length=SHOWN, description="The first of these by namespace and name."
    )
