"""When a PowerBudget is in force. Times are in seconds since the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from rackplane.api.power_budget import PowerBudgetSpec, ScheduleWindow, Weekday

__all__ = ["in_force", "next_change"]

_WEEKDAYS: Final = tuple(Weekday)
#: A window starts on one of seven days and lasts two days at most; all others of the week look the same.
_DAYS_BEFORE, _DAYS_AFTER = 3, 9


def in_force(spec: PowerBudgetSpec, now: float) -> bool:
    """Whether it bounds anything at `now`."""
    stretches = _stretches(spec, now)
    return stretches is None or any(start <= now < end for start, end in stretches)


def next_change(spec: PowerBudgetSpec, now: float) -> float | None:
    """When it next starts or ends, after `now`; None if it never will, or not within a week."""
    stretches = _stretches(spec, now) or []
    edges = [edge for stretch in stretches for edge in stretch if edge > now]
    if spec.interval is None and stretches and stretches[-1][0] <= now < stretches[-1][1]:
        return None  # one window runs into the next, all week long
    return min(edges, default=None)


def _stretches(spec: PowerBudgetSpec, now: float) -> list[tuple[float, float]] | None:
    """When it is in force, around `now`, as disjoint [start, end) in order; None: at all times."""
    if spec.interval is not None:
        return [(spec.interval.start.timestamp(), spec.interval.end.timestamp())]
    # A window that nobody can place in time holds at all times: longer than meant, never shorter.
    if not spec.schedule or not all(window.time_zone_known for window in spec.schedule):
        return None
    merged: list[tuple[float, float]] = []
    for start, end in sorted(stretch for window in spec.schedule for stretch in _occurrences(window, now)):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _occurrences(window: ScheduleWindow, now: float) -> Iterator[tuple[float, float]]:
    zone = ZoneInfo(window.time_zone)
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    opens, closes = _minutes(window.from_), _minutes(window.to)
    while closes <= opens:
        closes += 24 * 60
    for offset in range(-_DAYS_BEFORE, _DAYS_AFTER):
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
