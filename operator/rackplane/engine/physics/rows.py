"""What is limited, and under which loss: the names of the rows and contingencies of a compiled facility."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rackplane.engine.model import Cause

NOMINAL, PEAK = 0, 1


class RowKind(StrEnum):
    """What a limit row bounds."""

    POWER_NOMINAL = "continuous rating"
    POWER_PEAK = "peak limit"
    BUDGET = "budget"
    RACK_NOMINAL = "rack limit"
    RACK_PEAK = "rack peak limit"
    FEED = "feed limit"
    LIQUID = "liquid cooling"
    AIR = "air cooling"


_CAUSES = {RowKind.BUDGET: Cause.BUDGET, RowKind.LIQUID: Cause.LIQUID, RowKind.AIR: Cause.AIR}
_PEAK_KINDS = frozenset({RowKind.POWER_PEAK, RowKind.RACK_PEAK, RowKind.FEED})


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limited quantity: ``element`` is the object's name, ``detail`` the feed's power domain for a feed row.

    ``starts_at`` and ``ends_at`` are set for a coming budget only: it bounds what still runs when it starts.
    """

    kind: RowKind
    element: str
    detail: str = ""
    starts_at: float | None = None
    ends_at: float | None = None

    @property
    def cause(self) -> Cause:
        """The cause a refusal by this row is counted under."""
        return _CAUSES.get(self.kind, Cause.POWER)

    @property
    def basis(self) -> int:
        """NOMINAL or PEAK: which of a rack's two draws this row sums."""
        return PEAK if self.kind in _PEAK_KINDS else NOMINAL

    @property
    def label(self) -> str:
        """The limited thing in a reader's words."""
        if self.kind is RowKind.BUDGET:
            return f"budget {self.element}"
        if self.kind in (RowKind.LIQUID, RowKind.AIR):
            return f"cooling zone {self.element}"
        if self.kind is RowKind.FEED:
            return f"feed {self.detail} of rack {self.element}"
        if self.kind in (RowKind.RACK_NOMINAL, RowKind.RACK_PEAK):
            return f"rack {self.element}" + (" (peak)" if self.kind is RowKind.RACK_PEAK else "")
        return f"power domain {self.element}" + (" (peak)" if self.kind is RowKind.POWER_PEAK else "")


@dataclass(frozen=True, slots=True)
class Contingency:
    """The normal state (``lost`` is ""), or the loss of one element: a power domain, or a unit of a cooling zone."""

    lost: str = ""
    zone: str = ""
    """The cooling zone of a lost unit; "" for a power domain."""

    @property
    def normal(self) -> bool:
        """Whether nothing is lost, beyond what is out of service already."""
        return not self.lost

    @property
    def label(self) -> str:
        """ "normal", "ups-a", or "unit cdu-1 of cooling zone row-liquid"."""
        if self.normal:
            return "normal"
        return f"unit {self.lost} of cooling zone {self.zone}" if self.zone else self.lost


NORMAL = Contingency()
