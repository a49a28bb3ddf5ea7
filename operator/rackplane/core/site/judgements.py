"""The conditions of the facility's objects: what is wrong, what a loss would do, what reserve is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rackplane.core.gangs.statuses import condition
from rackplane.core.shedding.emergency import EMERGENCY_RATING_USED
from rackplane.core.site.budgetstatus import BUDGET_TYPES
from rackplane.core.site.draining import DRAINED
from rackplane.core.site.observed import OBSERVED_TYPES
from rackplane.core.site.planned import REFUSED
from rackplane.core.site.removals import DELETION
from rackplane.core.site.reports import REPORT_TYPES
from rackplane.engine.explaining.phrases import against
from rackplane.engine.model import Problem
from rackplane.engine.reporting.reports import FacilityReport, OwnLoss, PowerReport, RackReport, Redundancy

__all__ = ["OURS", "is_bad", "judgements"]

_READY: Final = "Ready"
_SURVIVES: Final = "Survives"
_SURVIVES_LOSS: Final = "SurvivesLoss"
_REDUNDANCY_LOST: Final = "RedundancyLost"
#: Condition types that are written here: one that no longer applies is taken away.
OURS: Final = frozenset(
    {
        *(_READY, _SURVIVES, _SURVIVES_LOSS, _REDUNDANCY_LOST, DRAINED, REFUSED, EMERGENCY_RATING_USED),
        *(*REPORT_TYPES, *BUDGET_TYPES, *OBSERVED_TYPES),
    }
)
#: Those that are bad news when they are True.
_BAD_IF_TRUE: Final = frozenset({_REDUNDANCY_LOST, REFUSED, *REPORT_TYPES, *BUDGET_TYPES, *OBSERVED_TYPES})
_SECOND_LOSS: Final = "SecondLoss"
_NAMED: Final = 5


def judgements(
    report: FacilityReport, kind: str, name: str, problems: Sequence[Problem], now: float
) -> list[dict[str, Any]]:
    """Every condition that applies to the object; those of the physics only where the engine knows it."""
    found: list[dict[str, Any] | None] = [_ready(problems, now)]
    if kind == "Rack" and (rack := report.racks.get(name)) is not None:
        found.append(_survives(rack, now))
    elif kind == "PowerDomain" and (power := report.powers.get(name)) is not None:
        found.append(_survives_loss(power, now))
        found.append(_redundancy(power.modules, "module", now))
    elif kind == "CoolingZone" and (zone := report.coolings.get(name)) is not None:
        found.append(_redundancy(zone.units, "unit", now))
    return [c for c in found if c is not None]


def is_bad(c: Mapping[str, Any]) -> bool:
    """Whether somebody should look at it."""
    if c["type"] == DRAINED:
        return False  # that it is not empty yet is what a drain is
    wanted = "False" if c["type"] in _BAD_IF_TRUE else "True"
    return c.get("reason") == _SECOND_LOSS or c["status"] != wanted


def _ready(problems: Sequence[Problem], now: float) -> dict[str, Any]:
    if not problems:
        return condition(_READY, true=True, reason="Valid", message="", now=now)
    text = "; ".join(f"{p.kind} {p.name}, {p.field}: {p.message} {p.remedy}" for p in problems)
    reason = "BeingDeleted" if any(p.field == DELETION for p in problems) else "Invalid"
    return condition(_READY, true=False, reason=reason, message=text, now=now)


def _survives(rack: RackReport, now: float) -> dict[str, Any] | None:
    """Whether the rack keeps power after any one loss.  Of one with an error nothing is known."""
    if rack.problem:
        return None
    if not rack.switched_off_by:
        text = "after the loss of any one survivable element a feed still reaches the rack"
        return condition(_SURVIVES, true=True, reason="Fed", message=text, now=now)
    losses = _names([c.label for c in rack.switched_off_by])
    text = f"without {losses} no feed reaches the rack, and what runs there is lost"
    if rack.second_to:
        text += f"; {_names(rack.second_to)} {_is(rack.second_to)} out of service"
    reason = _SECOND_LOSS if rack.second_to else "LosesPower"
    return condition(_SURVIVES, true=False, reason=reason, message=text, now=now)


def _survives_loss(power: PowerReport, now: float) -> dict[str, Any] | None:
    """Whether the loss of a survivable element that is in service would be survived."""
    loss = power.own_loss
    if loss is None:
        return None
    parts = []
    if loss.second_to:
        out = _names(loss.second_to)
        parts.append(f"{out} {_is(loss.second_to)} out of service, so that this would be a second loss")
    if loss.worst is not None and not loss.within_limits:
        worst = loss.worst
        load = against(worst.load_watts, worst.limit_watts)
        parts.append(f"losing {power.name} would put {worst.row.label} at {load}")
    if loss.switched_off:
        count = len(loss.switched_off)
        parts.append(
            f"{count} {'racks' if count > 1 else 'rack'} would lose power: {_names(loss.switched_off)}"
        )
    survived = loss.within_limits and not loss.switched_off
    if survived:
        parts.append("everything that runs would go on within its limits")
    reason = _SECOND_LOSS if loss.second_to else _reason(loss)
    return condition(_SURVIVES_LOSS, true=survived, reason=reason, message="; ".join(parts), now=now)


def _reason(loss: OwnLoss) -> str:
    if not loss.within_limits:
        return "Overload"
    return "RacksLosePower" if loss.switched_off else "WithinLimits"


def _redundancy(units: Redundancy | None, noun: str, now: float) -> dict[str, Any] | None:
    """Absent where the design has no reserve that could be lost."""
    if units is None or not units.designed:
        return None
    have = (
        f"{units.running} of {units.installed} {noun}s run and {units.needed} {_is_one(units.needed)} needed"
    )
    if not units.lost:
        return condition(_REDUNDANCY_LOST, true=False, reason="Reserve", message=have, now=now)
    reason = "NoReserve" if units.running == units.needed else "BelowNeed"
    text = f"{have}: the next one that fails lowers what can be carried"
    if units.running < units.needed:
        text = f"{have}: less can be carried than the design says"
    return condition(_REDUNDANCY_LOST, true=True, reason=reason, message=text, now=now)


def _is(names: Sequence[str]) -> str:
    return _is_one(len(names))


def _is_one(count: int) -> str:
    return "is" if count == 1 else "are"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
