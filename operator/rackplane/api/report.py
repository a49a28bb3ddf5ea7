"""Reports: what machines say of an element. What people say stands in its spec."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from rackplane.api.base import ApiModel, Celsius, Line, Timestamp, list_map

__all__ = [
    "MOST_REPORTS",
    "REPORTED_AS",
    "REPORTS_CLEARED",
    "Leak",
    "Report",
    "ReportWhat",
    "ReportedState",
    "Reports",
]

#: Entries of one object's list.
MOST_REPORTS: Final = 256

REPORTS_CLEARED: Final = "rackplane.dev/reports-cleared"
"""Annotation of a person on an element: an RFC 3339 time; reports of that time and before do not count any more."""

REPORTED_AS: Final = "rackplane.dev/reported-as"
"""Annotation of a person on an element: what the sources of reports call it."""

SourceName = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
]


class ReportWhat(StrEnum):
    """What a report is of: the element, one of its units or modules, its supply temperature, or a leak."""

    STATE = "State"
    UNIT = "Unit"
    SUPPLY_CELSIUS = "SupplyCelsius"
    LEAK = "Leak"


class ReportedState(StrEnum):
    """Whether it is in service. Online is no more than the absence of bad news: it mends nothing that spec says."""

    ONLINE = "Online"
    OFFLINE = "Offline"


class Leak(StrEnum):
    """What a leak detector says: Dry, Warning (let work leave), Critical (everything off)."""

    DRY = "Dry"
    WARNING = "Warning"
    CRITICAL = "Critical"


class Report(ApiModel):
    """The last word of one source on one thing."""

    source: SourceName = Field(description="Who says it: the name of a system, for example bms or redfish.")
    what: ReportWhat = Field(
        description="State of the element, Unit (one unit of a cooling zone, or one module of a power domain), "
        "SupplyCelsius, or Leak."
    )
    unit: Line = Field(description="Name of the unit or module. Empty: the element as a whole.")
    state: ReportedState | None = Field(default=None, description="For State and Unit: Online or Offline.")
    supply_celsius: Celsius | None = Field(default=None, description="For SupplyCelsius: degrees Celsius.")
    leak: Leak | None = Field(default=None, description="For Leak: Dry, Warning or Critical.")
    at: Timestamp = Field(
        description="When it was so, by the source's clock. An earlier one changes nothing."
    )
    expires: Timestamp | None = Field(
        default=None,
        description="The source promised to speak again by then. After it the report is stale: bad news goes on to "
        "count, good news counts for nothing. Absent: it reports changes alone, and its last word stands.",
    )
    id: Line = Field(description="The source's name for the report; a second one of the same id is a repeat.")
    message: Line | None = Field(default=None, description="In the source's words, for people.")


Reports = Annotated[
    tuple[Report, ...],
    Field(
        max_length=MOST_REPORTS,
        json_schema_extra=list_map("source", "what", "unit"),
        description="What machines say of it, the last word of each source. It can only make the state worse than "
        "spec has it.",
    ),
]
