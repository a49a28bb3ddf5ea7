"""Which object a source means: by our name, or by what the source calls it.

The annotation `rackplane.dev/reported-as` on an element lists what sources call it, separated by commas or spaces; for
a unit or a module `unit=` comes first: `cdu-1=/redfish/v1/ThermalEquipment/CDUs/1`. Without it the last part of a path,
in lower case, is taken for the name of the element, or of a unit of a cooling zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rackplane.api.cooling_zone import CoolingZone
from rackplane.api.power_domain import PowerDomain
from rackplane.api.rack import Rack
from rackplane.api.report import REPORTED_AS, ReportWhat
from rackplane.controller.reports.sayings import Fault, Saying
from rackplane.core.site.entries import Entry, ObjectKey

__all__ = ["Names", "Target"]

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Target:
    """An element, and a unit or module of it if that is meant."""

    kind: str
    name: str
    unit: str = ""


class Names:
    """What may be reported of.

    Args:
        elements: the objects as last seen.
    """

    def __init__(self, elements: Mapping[ObjectKey, Entry]) -> None:
        self._elements = {
            key: e for key, e in elements.items() if key[0] in ("PowerDomain", "CoolingZone", "Rack")
        }
        self._aliases: dict[str, list[Target]] = {}
        self._units: dict[str, list[Target]] = {}
        for (kind, name), entry in self._elements.items():
            for word in re.split(r"[,\s]+", entry.reported_as.strip()) if entry.reported_as else ():
                unit, _, alias = word.rpartition("=")
                self._aliases.setdefault(_plain(alias), []).append(Target(kind, name, unit))
            if isinstance(entry.model, CoolingZone):
                for each in entry.model.spec.units:
                    self._units.setdefault(each.name, []).append(Target(kind, name, each.name))

    def find(self, saying: Saying) -> Target:
        """What the saying is of.

        Raises:
            Fault: nothing of the kinds it may be of is called so, or more than one thing is.
        """
        target = self._of_rack_water(saying) or self._find(saying)
        if saying.unit and not target.unit:
            target = Target(target.kind, target.name, saying.unit)
        self._check(saying, target)
        return target

    def _find(self, saying: Saying) -> Target:
        parts = _plain(saying.name).split("/")
        for length in range(len(parts), 0, -1):
            found = self._of(saying.kinds, "/".join(parts[:length])) or self._of(
                saying.kinds, parts[length - 1].lower()
            )
            if found is not None:
                return self._below(saying, found, parts[length:])
        kinds = " or ".join(saying.kinds)
        some = ", ".join(sorted(name for kind, name in self._elements if kind in saying.kinds)[:_SHOWN])
        raise Fault(
            saying.where,
            f"no {kinds} alone is called {saying.name}",
            f"Use its name ({some or 'there is none yet'}), or name it in its annotation {REPORTED_AS}",
        )

    def _of(self, kinds: Iterable[str], word: str) -> Target | None:
        for kind in kinds:
            named = [Target(kind, word)] if (kind, word) in self._elements else []
            called = [t for t in self._aliases.get(word, ()) if t.kind == kind]
            units = [t for t in self._units.get(word, ()) if t.kind == kind]
            for found in (called, named, units):
                if len(found) == 1:
                    return found[0]
        return None

    @staticmethod
    def _below(saying: Saying, found: Target, below: list[str]) -> Target:
        """What a path means that goes on below an element: a power supply is a module, and nothing else is ours."""
        if not below:
            return found
        if found.kind == "PowerDomain" and not found.unit and below[-2:-1] == ["PowerSupplies"]:
            return Target(found.kind, found.name, below[-1])
        raise Fault(
            saying.where,
            f"{saying.name} is a part of {found.kind} {found.name}, and its state does not say whether that works",
            f"If the whole is out when this part is, name the part in the annotation {REPORTED_AS} too",
        )

    def _of_rack_water(self, saying: Saying) -> Target | None:
        """The loop that a rack's supply temperature is one of."""
        if saying.what is not ReportWhat.SUPPLY_CELSIUS or "Rack" not in saying.kinds:
            return None
        if "CoolingZone" in saying.kinds:
            zone = self._of(("CoolingZone",), _plain(saying.name).split("/")[-1].lower())
            if zone is not None:
                return zone
        rack = self._find(saying)
        entry = self._elements.get((rack.kind, rack.name))
        model = entry.model if entry is not None else None
        if not isinstance(model, Rack):
            return None
        liquid = model.spec.cooling.liquid if model.spec.cooling is not None else None
        if liquid is None or ("CoolingZone", liquid) not in self._elements:
            raise Fault(
                saying.where,
                f"rack {rack.name} has no liquid cooling zone",
                "Set spec.cooling.liquid of the Rack",
            )
        return Target("CoolingZone", liquid, rack.name)

    def _check(self, saying: Saying, target: Target) -> None:
        """Whether such a thing can be said of it."""
        entry = self._elements.get((target.kind, target.name))
        model = entry.model if entry is not None else None
        what = saying.what
        if what is ReportWhat.SUPPLY_CELSIUS and target.kind != "CoolingZone":
            raise Fault(
                saying.where, f"{target.kind} has no supply temperature", "Report it of the CoolingZone"
            )
        if what is ReportWhat.LEAK and target.kind == "PowerDomain":
            raise Fault(
                saying.where, "a power domain does not leak", "Report a leak of a Rack or a CoolingZone"
            )
        if what is ReportWhat.SUPPLY_CELSIUS or not target.unit:
            return
        if isinstance(model, CoolingZone) and target.unit not in (
            units := {u.name for u in model.spec.units}
        ):
            raise Fault(
                saying.where,
                f"CoolingZone {target.name} has no unit {target.unit}",
                f"It has {', '.join(sorted(units)[:_SHOWN])}; others can be named in the annotation {REPORTED_AS}",
            )
        if isinstance(model, PowerDomain) and model.spec.redundancy is None:
            raise Fault(
                saying.where,
                f"PowerDomain {target.name} has no modules, so what is said of {target.unit} changes nothing",
                "Set spec.redundancy, or report the element itself",
            )
        if target.kind == "Rack":
            raise Fault(saying.where, "a rack has no units", "Report the rack, or the unit's own element")


def _plain(name: str) -> str:
    return name.strip("/")
