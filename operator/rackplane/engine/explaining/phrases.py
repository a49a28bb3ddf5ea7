"""A reason in plain words: amounts with their units, the limited element, the loss, and times in UTC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from rackplane.engine.model import NVLINK, Cause
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.rows import LimitRow, RowKind
from rackplane.engine.reasons import ElementKind, Tightest

MOST_NAMED = 4
"""Objects that a sentence names; of more it says how many."""

_KINDS = {
    RowKind.POWER_NOMINAL: ElementKind.POWER_DOMAIN,
    RowKind.POWER_PEAK: ElementKind.POWER_DOMAIN,
    RowKind.BUDGET: ElementKind.POWER_BUDGET,
    RowKind.RACK_NOMINAL: ElementKind.RACK,
    RowKind.RACK_PEAK: ElementKind.RACK,
    RowKind.FEED: ElementKind.RACK,
    RowKind.LIQUID: ElementKind.COOLING_ZONE,
    RowKind.AIR: ElementKind.COOLING_ZONE,
}


def kilowatts(watts: float) -> str:
    """ "1,150 kW", "100.8 kW"; what is less than 100 W in watts, so that a shortage never reads as 0 kW."""
    if 0 < abs(watts) < 100:
        return f"{watts:,.0f} W"
    return f"{watts / 1000:,.1f}".removesuffix(".0") + " kW"


def kilowatts_up(watts: float) -> str:
    """As :func:`kilowatts`, rounded up: what is asked for is enough."""
    return kilowatts(math.ceil(watts) if watts < 100 else math.ceil(watts / 100) * 100)


def against(load: int, limit: int) -> str:
    """ "2,501 kW of 2,400 kW (101 kW over)"."""
    shown, bound, over = _sum(load, limit)
    return f"{shown} of {bound} ({over} over)"


def _sum(load: int, limit: int) -> tuple[str, str, str]:
    """Load, limit and difference: no more decimals than they need, and the sum comes out."""
    over = load - limit
    for decimals in range(4):
        shown, bound, rest = (round(w / 1000, decimals) for w in (load, limit, over))
        near = abs(shown * 1000 - load) <= load / 100 and abs(rest * 1000 - over) <= over / 20
        if near and math.isclose(shown - bound, rest, abs_tol=1e-9):
            break
    beyond = kilowatts(over) if over < 100 else f"{over / 1000:,.{decimals}f} kW"
    return f"{load / 1000:,.{decimals}f} kW", f"{limit / 1000:,.{decimals}f} kW", beyond


def moment(seconds: float) -> str:
    """ "2026-11-21 14:00 UTC"."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def span(start: float | None, end: float | None) -> str:
    """ " from 2026-11-21 14:00 to 17:00 UTC"; "" without times."""
    if start is None:
        return "" if end is None else f" until {moment(end)}"
    begin = datetime.fromtimestamp(start, UTC)
    if end is None:
        return f" from {moment(start)}"
    finish = datetime.fromtimestamp(end, UTC)
    last = f"{finish:%H:%M}" if finish.date() == begin.date() else f"{finish:%Y-%m-%d %H:%M}"
    return f" from {begin:%Y-%m-%d %H:%M} to {last} UTC"


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def level_words(level: str) -> str:
    """A level as a reader says it."""
    return {NVLINK: "NVLink domain", "": "facility"}.get(level, level)


def rack_name(name: str) -> str:
    """ "rack r1", and "rack-1" where the name says so itself."""
    return name if name.startswith("rack") else f"rack {name}"


def element(kind: ElementKind, name: str, *, feed: str = "", cause: Cause | None = None) -> str:
    """ "power domain row", "cooling zone cdu (liquid)", "the feed of rack r1 from ups-a", "PowerBudget night"."""
    if feed:
        return f"the feed of {rack_name(name)} from {feed}"
    match kind:
        case ElementKind.RACK:
            return rack_name(name)
        case ElementKind.POWER_DOMAIN:
            return f"power domain {name}"
        case ElementKind.COOLING_ZONE:
            medium = {Cause.LIQUID: "liquid", Cause.AIR: "air"}.get(cause) if cause else None
            return f"cooling zone {name}" + (f" ({medium})" if medium and medium not in name else "")
        case ElementKind.NVLINK_DOMAIN:
            return f"NVLink domain {name}"
        case ElementKind.NODE:
            return f"node {name}"
    return f"{kind.value} {name}"


def several(elements: Sequence[tuple[ElementKind, str]]) -> str:
    """ "rack r1", "nodes n1 and n2", "rack r1, node n1 and 7 more"."""
    kinds = {kind for kind, _ in elements}
    if len(elements) > 1 and kinds == {ElementKind.NODE}:
        names, noun = [name for _, name in elements], "nodes "
    else:
        names, noun = [element(kind, name) for kind, name in elements], ""
    return noun + shortened(names)


def shortened(names: Sequence[str]) -> str:
    """ "a, b and c", "a, b, c and 7 more"."""
    if len(names) <= MOST_NAMED:
        return listed(names)
    return listed([*names[: MOST_NAMED - 1], f"{len(names) - MOST_NAMED + 1} more"])


def kind_of(row: LimitRow) -> ElementKind:
    """The kind of the object that the row limits."""
    return _KINDS[row.kind]


def held_over(tightest: Tightest, cause: Cause, facility: Facility, *, who: str) -> str:
    """What the limit would be at, as a clause of its own.

    "that would put power domain row at 1,230 kW of 1,200 kW (30 kW over)"; "losing ups-a would put ups-b at ...".

    Args:
        who: what is placed there: "that", or "the other 24".
    """
    t = tightest
    sums = against(t.load_watts, t.limit_watts)
    level = "a peak of " if t.peak else ""
    name = element(t.kind, t.name, feed=t.feed, cause=cause)
    if t.starts_at is not None:
        when = f"losing {t.lost} then would put it" if t.lost else f"{who} would put it"
        return f"{_budget(t, facility)}; {when} at {sums}"
    if not t.lost:
        return f"{who} would put {name} at {level}{sums}"
    if t.kind is ElementKind.POWER_DOMAIN:
        name = t.name
    losing, too = f"losing {t.lost}", ""
    if t.out_of_service:
        verb = "is" if len(t.out_of_service) == 1 else "are"
        losing = f"{listed(t.out_of_service)} {verb} out of service; {losing}"
        too = " too"
    if t.kind is ElementKind.COOLING_ZONE and t.limit_watts < t.normal_limit_watts:
        load, limit, over = _sum(t.load_watts, t.limit_watts)
        return f"{losing}{too} leaves {name} {limit}; it would have {load} ({over} over)"
    return f"{losing}{too} would put {name} at {level}{sums}"


def _budget(tightest: Tightest, facility: Facility) -> str:
    targets = [
        name
        for b in facility.spec.budgets
        if b.name == tightest.name and b.starts_at == tightest.starts_at
        for name in (*b.powers, *b.feed_tags)
    ]
    held = f" {listed(list(dict.fromkeys(targets)))}" if targets else " its targets"
    when = span(tightest.starts_at, tightest.ends_at)
    return f"PowerBudget {tightest.name} holds{held} to {kilowatts(tightest.limit_watts)}{when}"
