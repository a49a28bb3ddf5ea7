"""When a PowerBudget is in force. Times are in seconds since the epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from rackplane.api.power_budget import PowerBudgetSpec, ScheduleWindow, Weekday

__all__ = ["ALWAYS", "Stretch", "in_force", "next_change", "stretches"]

_WEEKDAYS: Final = tuple(Weekday)
_DAY: Final = 86_400.0
#: A window starts on one of seven days, lasts a day at most, and a clock change moves it by hours at most: whoever
#: looks a week and a day further has seen every window again, and every gap between windows.
_WEEK_AND_MORE: Final = 8 * _DAY
_DAYS_BEFORE: Final = 3


@dataclass(frozen=True, slots=True)
class Stretch:
    """A budget is in force at every time t with start <= t < end."""

    start: float
    end: float


#: Of a budget without interval and schedule.
ALWAYS: Final = Stretch(-math.inf, math.inf)


def stretches(spec: PowerBudgetSpec, now: float, horizon: float = 0.0) -> list[Stretch]:
    """When it is in force from `now` on, as disjoint stretches in order: up to the first that starts after a horizon.

    Args:
        horizon: in seconds from `now`.

    Returns:
        without those that are over, so that the first has begun if the budget is in force. A stretch that never ends,
        such as a schedule that covers the whole week, ends at infinity. The start of one that has begun may be later
        than its true start, never later than `now`.
    """
    if spec.interval is not None:
        found = [Stretch(spec.interval.start.timestamp(), spec.interval.end.timestamp())]
    elif not spec.schedule or not all(window.time_zone_known for window in spec.schedule):
        # A window that nobody can place in time holds at all times: longer than meant, never shorter.
        return [ALWAYS]
    else:
        found = _scheduled(spec, now, now + horizon + _WEEK_AND_MORE)
    left = [stretch for stretch in found if stretch.end > now]
    return left[: 1 + sum(stretch.start <= now + horizon for stretch in left)]


def in_force(spec: PowerBudgetSpec, now: float) -> bool:
    """Whether it bounds anything at `now`."""
    return any(stretch.start <= now for stretch in stretches(spec, now))


def next_change(spec: PowerBudgetSpec, now: float, horizon: float = 0.0) -> float | None:
    """When, after `now`, `stretches` next answers otherwise: one ends or starts or comes within the horizon."""
    edges = [
        edge
        for stretch in stretches(spec, now, horizon)
        for edge in (stretch.start - horizon, stretch.start, stretch.end)
        if now < edge < math.inf
    ]
    return min(edges, default=None)


def _scheduled(spec: PowerBudgetSpec, now: float, until: float) -> list[Stretch]:
    """The windows as stretches, up to `until` at least."""
    days = math.ceil((until - now) / _DAY) + 2
    merged: list[Stretch] = []
    for start, end in sorted(found for window in spec.schedule for found in _occurrences(window, now, days)):
        if merged and start <= merged[-1].end:
            merged[-1] = Stretch(merged[-1].start, max(merged[-1].end, end))
        else:
            merged.append(Stretch(start, end))
    # One window runs into the next, all week long.
    return [Stretch(s.start, math.inf) if s.end - s.start > _WEEK_AND_MORE else s for s in merged]


def _occurrences(window: ScheduleWindow, now: float, days: int) -> Iterator[tuple[float, float]]:
    zone = ZoneInfo(window.time_zone)
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    opens, closes = _minutes(window.from_), _minutes(window.to)
    while closes <= opens:
        closes += 24 * 60
    for offset in range(-_DAYS_BEFORE, days):
        day = today + timedelta(days=offset)
        if not window.days or _WEEKDAYS[day.weekday()] in window.days:
            # A local time that the clock change skips or repeats counts for the window, not against it.
            yield min(_instants(day, opens, zone)), max(_instants(day, closes, zone))


def _minutes(time_of_day: str) -> int:
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)


def _instants(day: date, minutes: int, zone: ZoneInfo) -> tuple[float, float]:
    """Both readings of a local time; they differ only around a clock change."""
    days, rest = divmod(minutes, 24 * 60)
    day += timedelta(days=days)
    local = datetime(day.year, day.month, day.day, rest // 60, rest % 60, tzinfo=zone)
    return local.timestamp(), local.replace(fold=1).timestamp()
