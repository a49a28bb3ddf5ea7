"""Planned work on power and cooling: what is out when, which racks it leaves dark, and which works are refused.

While a work goes on, its elements are out of service. Before it, a rack that it will leave without power takes no gang
that would run into it, as with planned maintenance of the rack itself. Works that take both sides of a pair together
are refused: by `rackplane validate` and `rackplane drill` before they are applied, and by a condition after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from rackplane.api.cooling_zone import CoolingZone
from rackplane.api.maintenance import UnitWindow
from rackplane.api.power_domain import PowerDomain
from rackplane.core.gangs.statuses import condition
from rackplane.engine.model import Maintenance
from rackplane.engine.planning.works import Conflict, Work, Works

__all__ = ["REFUSED", "Planned", "work_judgements", "works_of"]

#: Type of the condition of an element with a work that is refused.
REFUSED: Final = "MaintenanceRefused"


def works_of(models: Iterable[PowerDomain | CoolingZone]) -> tuple[Work, ...]:
    """Every planned work on these, in order of time."""
    found = [
        Work(
            model.info.kind,
            model.name,
            window.start.timestamp(),
            window.end.timestamp(),
            window.reason or "",
            window.units if isinstance(window, UnitWindow) else (),
        )
        for model in models
        for window in model.spec.maintenance
    ]
    return tuple(sorted(found, key=lambda w: (w.starts_at, w.kind, w.name)))


class Planned:
    """The works of one version of the facility.

    Args:
        works: in order of time.
        site: what they do to it; None without works.
    """

    def __init__(self, works: Sequence[Work], site: Works | None) -> None:
        self.works = tuple(works)
        self.site = site

    @cached_property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Works that are refused, in order of time."""
        return () if self.site is None else tuple(self.site.conflicts(self.works))

    @cached_property
    def _dark(self) -> tuple[tuple[Work, tuple[str, ...]], ...]:
        return () if self.site is None else tuple((work, self.site.dark(work)) for work in self.works)

    def unfed(self, now: float) -> Mapping[str, list[Maintenance]]:
        """Rack -> when works to come leave it without power."""
        found: dict[str, list[Maintenance]] = {}
        for work, racks in self._dark:
            if work.starts_at > now:
                reason = f"work on {work.label}" + (f": {work.reason}" if work.reason else "")
                for rack in racks:
                    found.setdefault(rack, []).append(Maintenance(work.starts_at, work.ends_at, reason))
        return found

    def refused(self, kind: str, name: str, now: float) -> list[Conflict]:
        """Conflicts of the element's works that are not over."""
        return [
            conflict
            for conflict in self.conflicts
            if conflict.ends_at > now and any((w.kind, w.name) == (kind, name) for w in conflict.works)
        ]


def work_judgements(planned: Planned, kind: str, name: str, now: float) -> Iterator[dict[str, Any]]:
    """The condition of an element that has work to come: whether that is refused."""
    if not any((w.kind, w.name) == (kind, name) and w.ends_at > now for w in planned.works):
        return
    found = planned.refused(kind, name, now)
    if not found:
        text = "no other work takes away the other side of what it is one side of"
        yield condition(REFUSED, true=False, reason="Apart", message=text, now=now)
        return
    text = "; ".join(f"{conflict.words()}; move one of them" for conflict in found)
    yield condition(REFUSED, true=True, reason="BothSides", message=text, now=now)
