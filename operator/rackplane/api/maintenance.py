"""Planned maintenance: when something is taken out of service, and why."""

from typing import Annotated, ClassVar

from pydantic import Field

from rackplane.api.base import ApiModel, Line, ObjectName, Rule, Timestamp, unique

__all__ = ["MaintenanceWindow", "MaintenanceWindows", "UnitWindow", "UnitWindows"]


class MaintenanceWindow(ApiModel):
    """One stretch of time in which it is out of service."""

    start: Timestamp = Field(description="From this instant on (RFC 3339, with offset or Z).")
    end: Timestamp = Field(description="Up to this instant, which is no longer in it.")
    reason: Line | None = Field(default=None, description="What is done then, for people.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="timestamp(self.start) < timestamp(self.end)",
            message="the maintenance ends before it starts",
            remedy="Set end to a later time than start",
            check=lambda window: window.start < window.end,
            field="end",
        ),
    )


MaintenanceWindows = Annotated[
    tuple[MaintenanceWindow, ...],
    Field(
        max_length=16,
        description="Planned maintenance: no gang is placed there that is expected to run into it, and none in it.",
    ),
]


class UnitWindow(MaintenanceWindow):
    """One stretch of time in which units of a cooling zone are out of service."""

    units: tuple[ObjectName, ...] = Field(
        default=(),
        max_length=64,
        json_schema_extra=unique(),
        description="Units that are out then. Empty: all of them.",
    )


UnitWindows = Annotated[
    tuple[UnitWindow, ...],
    Field(max_length=16, description="Planned maintenance of the whole zone, or of some of its units."),
]
