"""Objects of the facility that are not counted on, and sources that have fallen silent, as their status says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from rackplane.controller.metrics.families import Section, gauge
from rackplane.core.world import World

__all__ = ["TROUBLE", "trouble_metrics"]

_REPORTED: Final = ("Rack", "PowerDomain", "CoolingZone")
_KINDS: Final = (
    *("HardwareProfile", "Rack", "NVLinkDomain", "PowerDomain"),
    *("CoolingZone", "PowerBudget", "Queue"),
)

INVALID: Final = gauge(
    "invalid_objects", "Objects with `Ready=False`: they count as having no capacity.", "kind"
)
STALE: Final = gauge(
    "stale_reports",
    "Elements of which a source of facility events has fallen silent (condition `ReportsStale`).",
    "kind",
)

TROUBLE: Final = Section("Objects in trouble", "", (INVALID, STALE))


def trouble_metrics(world: World) -> Iterator[Metric]:
    """All of the section."""
    invalid = Counter[str](dict.fromkeys(_KINDS, 0))
    stale = Counter[str](dict.fromkeys(_REPORTED, 0))
    for kind, name in world.catalog.objects():
        for condition in world.catalog.conditions(kind, name):
            what = (condition.get("type"), condition.get("status"))
            if what == ("Ready", "False"):
                invalid[kind] += 1
            elif what == ("ReportsStale", "True"):
                stale[kind] += 1
    yield INVALID.of(([kind], count) for kind, count in invalid.items())
    yield STALE.of(([kind], count) for kind, count in stale.items())
