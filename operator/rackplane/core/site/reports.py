"""What machines report of an element, and what it comes to: its spec, made worse.

A report can take capacity away and never give any. What a source said last goes on to count when the source falls
silent: only its own later word, or a person (annotation `REPORTS_CLEARED`), takes bad news back. So nothing here asks
for the time: what a report expires for is that people hear of the silence.

Two reports of one source on one thing are told apart by when they were made. The later one counts, and of two of the
same time the worse: so repeats change nothing, and every order of arrival comes to the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from rackplane.api.base import Resource
from rackplane.api.common import ServiceState
from rackplane.api.cooling_zone import CoolingZone, CoolingZoneSpec, UnitState
from rackplane.api.power_domain import PowerDomain, PowerState
from rackplane.api.rack import Rack
from rackplane.api.report import REPORTS_CLEARED, Leak, ReportedState, ReportWhat
from rackplane.core.gangs.statuses import condition, seconds, timestamp

__all__ = [
    "NO_EFFECTS",
    "REPORT_TYPES",
    "Effects",
    "Heard",
    "cleared_at",
    "effects",
    "heard",
    "is_bad_news",
    "replaces",
    "report_judgements",
    "worsened",
]

M = TypeVar("M", bound=Resource)

REPORTED: Final = "Reported"
REPORTS_STALE: Final = "ReportsStale"
#: Types of the conditions that `report_judgements` writes.
REPORT_TYPES: Final = frozenset({REPORTED, REPORTS_STALE})
_NAMED: Final = 4
_BADNESS: Final[Mapping[object, int]] = {
    ReportedState.ONLINE.value: 0,
    Leak.DRY.value: 0,
    Leak.WARNING.value: 1,
}
_WORST: Final = 2


@dataclass(frozen=True, slots=True)
class Heard:
    """A report as it stands in status. Times in seconds since the epoch."""

    source: str
    what: str
    unit: str
    #: Online, Offline; Dry, Warning, Critical; or degrees Celsius. Of what a newer version wrote: whatever it says.
    value: object
    at: float
    expires: float | None = None
    id: str = ""
    message: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """Of two reports with the same one, one replaces the other."""
        return self.source, self.what, self.unit

    def is_stale(self, now: float) -> bool:
        """Whether its source promised to speak again before `now`, and did not."""
        return self.expires is not None and self.expires <= now


@dataclass(frozen=True, slots=True)
class Effects:
    """What all reports of one element come to."""

    #: it is out of service as a whole
    out: bool = False
    #: units or modules that are out
    units_out: frozenset[str] = frozenset()
    #: the highest supply temperature that any source gave last, and the lowest, in degrees Celsius
    hottest: int | None = None
    coldest: int | None = None
    leak: Leak | None = None


NO_EFFECTS: Final = Effects()


def heard(status: object) -> tuple[Heard, ...]:
    """The reports in a status. Never raises on its content.

    One that cannot be read as a whole is read as far as it can be: what is not known to be good is bad news.
    """
    entries = status.get("reports") if isinstance(status, Mapping) else None
    return tuple(_entry(e) for e in entries if isinstance(e, Mapping)) if isinstance(entries, list) else ()


def _entry(entry: Mapping[str, Any]) -> Heard:
    what = _text(entry.get("what"))
    field = {ReportWhat.SUPPLY_CELSIUS: "supplyCelsius", ReportWhat.LEAK: "leak"}
    value = entry.get(next((name for of, name in field.items() if of.value == what), "state"))
    return Heard(
        source=_text(entry.get("source")),
        what=what,
        unit=_text(entry.get("unit")),
        value=value,
        at=_time(entry.get("at")) or 0.0,
        expires=_time(entry.get("expires")),
        id=_text(entry.get("id")),
        message=_text(entry.get("message")),
    )


def cleared_at(annotations: object) -> float:
    """Up to when a person has taken the reports of an element back, in seconds since the epoch; -inf: never."""
    text = annotations.get(REPORTS_CLEARED) if isinstance(annotations, Mapping) else None
    at = _time(text)
    return -math.inf if at is None else at


def replaces(new: Heard, old: Heard | None) -> bool:
    """Whether `new` takes the place of what the same source said of the same thing before."""
    return old is None or (new.at, _badness(new)) > (old.at, _badness(old))


def is_bad_news(report: Heard) -> bool:
    """Whether it takes something out of service; a temperature is no news by itself."""
    return report.what != ReportWhat.SUPPLY_CELSIUS.value and _badness(report) > 0


def _badness(report: Heard) -> int:
    if report.what == ReportWhat.SUPPLY_CELSIUS.value:
        # Of two temperatures at one time the higher one; one that cannot be read says nothing.
        return report.value if isinstance(report.value, int) else -1_000
    return _BADNESS.get(report.value, _WORST)


def effects(reports: Iterable[Heard], cleared: float = -math.inf) -> Effects:
    """What the reports come to that were made after `cleared`, in seconds since the epoch."""
    out, units, celsius, leaks = False, set(), [], set()
    for report in reports:
        if report.at <= cleared:
            continue
        if report.what == ReportWhat.SUPPLY_CELSIUS.value:
            if isinstance(report.value, int):
                celsius.append(report.value)
        elif not is_bad_news(report):
            continue
        elif report.unit:
            # A drip below a unit takes nothing away yet.
            if report.what != ReportWhat.LEAK.value or _badness(report) == _WORST:
                units.add(report.unit)
        elif report.what == ReportWhat.LEAK.value:
            leaks.add(Leak.WARNING if _badness(report) < _WORST else Leak.CRITICAL)
        else:
            out = True
    return Effects(
        out=out,
        units_out=frozenset(units),
        hottest=max(celsius, default=None),
        coldest=min(celsius, default=None),
        leak=Leak.CRITICAL if Leak.CRITICAL in leaks else Leak.WARNING if leaks else None,
    )


# -- the element as it is ------------------------------------------------------------------------------


def worsened(model: M, found: Effects) -> M:
    """The object with its spec as the reports make it; never with more capacity than it had."""
    if found == NO_EFFECTS:
        return model
    match model:
        case PowerDomain():
            return _with_spec(model, _power(model, found))
        case CoolingZone():
            return _with_spec(model, _cooling(model.spec, found))
        case Rack():
            return _with_spec(model, _rack(model, found))
    return model


def _with_spec(model: M, update: Mapping[str, Any]) -> M:
    if not update:
        return model
    spec = model.spec.model_copy(update=update)  # type: ignore[attr-defined]
    return model.model_copy(update={"spec": spec})


def _power(domain: PowerDomain, found: Effects) -> dict[str, Any]:
    spec, update = domain.spec, dict[str, Any]()
    if (found.out or found.leak is Leak.CRITICAL) and spec.state is PowerState.ONLINE:
        update["state"] = PowerState.OFFLINE
    modules = spec.redundancy
    if modules is not None and found.units_out:
        here = modules.installed if modules.online is None else modules.online
        left = max(0, min(here, modules.installed - len(found.units_out)))
        update["redundancy"] = modules.model_copy(update={"online": left})
    return update


def _cooling(spec: CoolingZoneSpec, found: Effects) -> dict[str, Any]:
    update: dict[str, Any] = {}
    everything = found.out or found.leak is Leak.CRITICAL
    if everything or found.units_out:
        update["units"] = tuple(
            u.model_copy(update={"state": UnitState.OFFLINE})
            if everything or u.name in found.units_out
            else u
            for u in spec.units
        )
    if spec.derating_curve and spec.supply_celsius is not None:
        # A curve need not fall everywhere: of all that is said, what leaves least.
        said = [t for t in (found.hottest, found.coldest) if t is not None]
        tried = [spec.model_copy(update={"supply_celsius": t}) for t in said]
        least = min([spec, *tried], key=lambda s: s.derating_percent())
        if least is not spec:
            update["supply_celsius"] = least.supply_celsius
    return update


def _rack(rack: Rack, found: Effects) -> dict[str, Any]:
    if found.out or found.leak is Leak.CRITICAL:
        # At once: whatever deadline its owner has set was for a dry rack.
        return {"state": ServiceState.MAINTENANCE, "drain_deadline": None}
    if found.leak is Leak.WARNING and rack.spec.state is ServiceState.ACTIVE:
        return {"state": ServiceState.DRAINING}
    return {}


# -- what people are told --------------------------------------------------------------------------------


def report_judgements(reports: Sequence[Heard], cleared: float, now: float) -> Iterator[dict[str, Any]]:
    """The conditions of an element of which there are reports: what they take away, and who is silent."""
    if not reports:
        return
    bad = [r for r in reports if r.at > cleared and is_bad_news(r)]
    if bad:
        said = "; ".join(map(_words, bad[:_NAMED]))
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        yield condition(REPORTED, true=True, reason=_reason(bad), message=f"{said}{more}", now=now)
    else:
        text = "no report takes anything out of service"
        yield condition(REPORTED, true=False, reason="NothingBad", message=text, now=now)
    silent = [r for r in reports if r.at > cleared and r.is_stale(now)]
    if silent:
        names = sorted({r.source for r in silent})
        last = max(r.at for r in silent)
        text = (
            f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} fallen silent: last heard "
            f"{timestamp(last)}; what was said last goes on to count, and nothing good is taken for granted"
        )
        yield condition(REPORTS_STALE, true=True, reason="Silent", message=text, now=now)
    else:
        text = "every source has been heard in time"
        yield condition(REPORTS_STALE, true=False, reason="Heard", message=text, now=now)


def _reason(bad: Sequence[Heard]) -> str:
    if any(r.what == ReportWhat.LEAK.value for r in bad):
        return "Leak"
    return "OutOfService" if any(not r.unit for r in bad) else "UnitsOut"


def _words(report: Heard) -> str:
    what = "leak: " if report.what == ReportWhat.LEAK.value else ""
    unit = f"{report.unit} " if report.unit else ""
    message = f" ({report.message})" if report.message else ""
    value = report.value or "something that cannot be read"
    return f"{report.source} says since {timestamp(report.at)}: {unit}{what}{value}{message}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(value: object) -> float | None:
    try:
        return seconds(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
