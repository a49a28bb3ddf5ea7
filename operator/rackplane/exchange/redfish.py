"""Redfish resources of power and cooling equipment, as DMTF's schemas of 2025 have them (https://redfish.dmtf.org/).

PowerDistribution (rack and floor PDUs, switchgear, transfer switches, shelves, buses) becomes a PowerDomain, with the
Circuits of its mains for a rating and for what feeds it; a Redfish PowerDomain is a feed tag; a CoolingUnit is one of a
CoolingZone. Resources are told apart by ``@odata.type`` and found by ``@odata.id``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import Field

from rackplane.api.naming import label_value, object_name
from rackplane.exchange.building import Builder, Imported, Origin, feed
from rackplane.exchange.foreign import Foreign, Source, documents, parsed, path_of
from rackplane.exchange.losses import Losses
from rackplane.exchange.redfish_ratings import NoRating, is_figure, mains_watts

__all__ = ["read"]

_TYPES: Final[Mapping[str, str]] = {
    "RackPDU": "RackPDU",
    "FloorPDU": "FloorPDU",
    "Switchgear": "Switchgear",
    "ManualTransferSwitch": "TransferSwitch",
    "AutomaticTransferSwitch": "TransferSwitch",
    "PowerShelf": "PowerShelf",
    "Bus": "Busway",
    "BatteryShelf": "BESS",
}
#: Read here; of all other types it is told that they say nothing to us.
_READ: Final = frozenset({"PowerDistribution", "Circuit", "PowerDomain", "CoolingUnit", "CoolingLoop"})
#: What a service is made of besides: neither equipment nor limits.
_FRAME: Final = frozenset(
    {"ServiceRoot", "PowerEquipment", "ThermalEquipment", "Facility", "Outlet", "OutletGroup", "Sensor"}
    | {
        "PowerDistributionMetrics",
        "EnvironmentMetrics",
        "Pump",
        "Filter",
        "CoolantConnector",
        "LeakDetection",
    }
)
_TELLING: Final[Mapping[str, tuple[str, ...]]] = {
    "PowerDistribution": (
        "MainsRedundancy",
        "PowerSupplyRedundancy",
        "PowerDistributionRedundancy",
        "TransferCriteria",
    ),
    "Circuit": ("PowerLoadPercent", "BreakerState"),
    "CoolingUnit": ("RatedThermalLossToAirWatts", "PumpRedundancy", "CoolantConnectorRedundancy"),
    "CoolingLoop": ("RatedFlowLitersPerMinute", "RatedPressurekPa"),
}


class _Status(Foreign):
    state: str | None = Field(default=None, alias="State")


class _Reference(Foreign):
    target: str = Field(alias="@odata.id")


class _Group(Foreign):
    needed: int | None = Field(default=None, alias="MinNeededInGroup")


class _Resource(Foreign):
    """What of any resource must have the right form to be read at all."""

    path: str = Field(alias="@odata.id", min_length=1)
    id: str | None = Field(default=None, alias="Id")
    name: str | None = Field(default=None, alias="Name")
    status: _Status | None = Field(default=None, alias="Status")
    links: dict[str, list[_Reference] | _Reference | Any] | None = Field(default=None, alias="Links")
    suppliers: list[str] | None = Field(default=None, alias="SupplyEquipmentNames")
    groups: list[_Group] | None = Field(default=None, alias="CoolingUnitRedundancy")


def read(
    sources: Sequence[Source],
    builder: Builder,
    losses: Losses,
    *,
    ratings: Mapping[str, int] | None = None,
    power_factor: float | None = None,
) -> Imported:
    """Resources from any number of files: one each, as a mockup has them, or in collections with their members.

    Args:
        ratings: watts by Id, Name or `@odata.id`, of equipment whose rating is not in its resources.
        power_factor: watts of a volt-ampere. None: ratings in volt-amperes or amperes cannot be used.
    """
    reader = _Reader(builder, losses, ratings or {}, power_factor)
    for source in sources:
        for where, body in documents(source, losses):
            reader.take(body, Origin(source.name, where))
    return reader.read()


class _Reader:
    def __init__(
        self, builder: Builder, losses: Losses, ratings: Mapping[str, int], power_factor: float | None
    ) -> None:
        self._builder, self._losses, self._ratings, self._factor = builder, losses, ratings, power_factor
        #: by type and id
        self._found: dict[str, dict[str, tuple[Mapping[str, Any], Origin]]] = {kind: {} for kind in _READ}
        self._domains: dict[str, str | None] = {}

    def take(self, body: object, origin: Origin) -> None:
        if not isinstance(body, Mapping):
            self._losses.wrong(origin.file, origin.field or "the file", "is no Redfish resource")
            return
        kind = str(body.get("@odata.type", "")).lstrip("#").split(".")[0]
        members = body.get("Members")
        if isinstance(members, list):
            for index, member in enumerate(members):
                if isinstance(member, Mapping) and "@odata.type" in member:
                    self.take(member, Origin(origin.file, path_of(origin.field, "Members", index)))
            return
        if kind in _READ:
            checked = parsed(
                _Resource, body, file=origin.file, where=origin.field, losses=self._losses, tell=False
            )
            if checked is None:
                return
            name = checked.path
            if name in self._found[kind]:
                self._losses.wrong(origin.file, path_of(origin.field, "@odata.id"), f"{name} is there twice")
            self._found[kind][name] = body, origin
            for field in _TELLING.get(kind, ()):
                if body.get(field) not in (None, [], "Normal"):
                    self._losses.warn(origin.file, path_of(origin.field, field), "is not translated")
        elif kind not in _FRAME:
            why = f"{kind or 'a resource without @odata.type'} says nothing that is read here"
            self._losses.warn(origin.file, origin.field or "the file", why)

    def read(self) -> Imported:
        if not any(self._found[kind] for kind in ("PowerDistribution", "CoolingUnit")):
            self._losses.wrong("the files", "@odata.type", "there is no PowerDistribution and no CoolingUnit")
            return self._builder.finish()
        for name in self._found["PowerDistribution"]:
            self._power(name)
        self._cooling()
        if not self._builder.names("Rack"):
            first = next(iter((self._found["PowerDistribution"] or self._found["CoolingUnit"]).values()))[1]
            why = "these resources do not say which nodes a PDU feeds: make Racks with rackplane discover"
            self._losses.warn(first.file, first.field or "the file", why)
        return self._builder.finish()

    # -- power ---------------------------------------------------------------------------------------

    def _power(self, name: str, below: tuple[str, ...] = ()) -> str | None:
        if name in self._domains:
            return self._domains[name]
        body, origin = self._found["PowerDistribution"][name]
        if name in below:
            self._losses.wrong(origin.file, path_of(origin.field, "Mains"), f"{name} feeds itself")
            return None
        kind = str(body.get("EquipmentType", ""))
        if kind not in _TYPES:
            self._losses.warn(origin.file, path_of(origin.field, "EquipmentType"), f"{kind!r} is Other here")
        mains = [entry for entry in self._circuits(name) if entry[0].get("CircuitType") == "Mains"]
        rating = self._rating(name, body, origin, [circuit for circuit, _ in mains])
        parents = []
        for circuit, at in mains:
            source = self._source(circuit)
            if source is None:
                continue
            owner = self._owner(source)
            if owner is None:
                why = f"{source} is in none of the files, so what feeds {name} is not known"
                self._losses.wrong(at.file, path_of(at.field, "Links.SourceCircuit"), why)
            elif (parent := self._power(owner, (*below, name))) is not None and parent not in parents:
                parents.append(parent)
        self._domains[name] = None
        if rating is None:
            return None
        spec: dict[str, Any] = {"type": _TYPES.get(kind, "Other"), "ratedWatts": rating}
        if parents:
            spec["parents"] = [feed(parent) for parent in parents]
        if len(parents) > 1:
            why = f"{name} has {len(parents)} feeds, and nothing says how they share: equal parts are taken"
            self._losses.warn(origin.file, path_of(origin.field, "Mains"), why)
        tag = self._tag(name)
        if tag:
            spec["feedTag"] = tag
        if not _is_on(body):
            spec["state"] = "Offline"
        called = str(body.get("Name") or body.get("Id") or name)
        if self._builder.get("PowerDomain", object_name(called)) is not None:
            called = f"{called}-{body.get('Id')}"
        self._domains[name] = made = self._builder.add("PowerDomain", called, spec, origin, report=name)
        return made

    def _rating(
        self, name: str, body: Mapping[str, Any], origin: Origin, mains: Sequence[Mapping[str, Any]]
    ) -> int | None:
        for key in (name, body.get("Name"), body.get("Id")):
            if key in self._ratings:
                return self._ratings[str(key)]
        where = "PowerCapacityVA" if body.get("PowerCapacityVA") is not None else "Mains"
        try:
            if where == "PowerCapacityVA":
                apparent = body["PowerCapacityVA"]
                if not is_figure(apparent):
                    raise NoRating(f"{apparent!r} is no number of volt-amperes")
                watts: float = apparent * self._needed_factor()
            elif not mains:
                raise NoRating("there are no Circuits of its mains, and no PowerCapacityVA")
            else:
                # Of two inlets either must carry it alone, and so must what feeds each.
                sources = [self._found["Circuit"].get(self._source(circuit) or "") for circuit in mains]
                above = [
                    found[0] for found in sources if found and found[0].get("RatedCurrentAmps") is not None
                ]
                watts = min(mains_watts(circuit, self._factor) for circuit in (*mains, *above))
        except NoRating as error:
            why = f"what {name} may carry is not known: {error}; say --rating {body.get('Id', name)}=WATTS"
            self._losses.wrong(origin.file, path_of(origin.field, where), why)
            return None
        return math.floor(watts)

    def _needed_factor(self) -> float:
        if self._factor is None:
            raise NoRating("volt-amperes are no watts: say --power-factor")
        return self._factor

    def _circuits(self, name: str) -> Iterator[tuple[Mapping[str, Any], Origin]]:
        for where, found in self._found["Circuit"].items():
            if self._owner(where) == name:
                yield found

    def _owner(self, circuit: str) -> str | None:
        """The equipment that a circuit is a part of: the longest id that is the beginning of the circuit's."""
        owners = [name for name in self._found["PowerDistribution"] if circuit.startswith(f"{name}/")]
        return max(owners, key=len, default=None)

    def _source(self, circuit: Mapping[str, Any]) -> str | None:
        links = circuit.get("Links")
        return _id(links.get("SourceCircuit")) if isinstance(links, Mapping) else None

    def _tag(self, name: str) -> str | None:
        for body, _ in self._found["PowerDomain"].values():
            links = body.get("Links")
            for members in links.values() if isinstance(links, Mapping) else ():
                if isinstance(members, list) and any(_id(member) == name for member in members):
                    return label_value(str(body.get("Id") or body.get("Name") or ""))
        return None

    # -- cooling -------------------------------------------------------------------------------------

    def _cooling(self) -> None:
        loops: dict[str, list[str]] = {}
        for loop, _ in self._found["CoolingLoop"].values():
            called = str(loop.get("Name") or loop.get("Id"))
            for supplier in loop.get("SupplyEquipmentNames") or ():
                loops.setdefault(str(supplier), []).append(called)
        zones: dict[str, list[str]] = {}
        for name, (body, origin) in self._found["CoolingUnit"].items():
            called = str(body.get("Name") or body.get("Id") or name)
            of = loops.get(called, [])
            if len(of) != 1:
                why = (
                    f"{called} supplies {' and '.join(of)}: the first is taken"
                    if of
                    else f"no CoolingLoop names {called} among its SupplyEquipmentNames: a zone of its own"
                )
                self._losses.warn(origin.file, origin.field or "the file", why)
            zones.setdefault(of[0] if of else called, []).append(name)
        for zone, names in zones.items():
            self._zone(zone, names)

    def _zone(self, zone: str, names: Sequence[str]) -> None:
        units, needed = [], len(names)
        for name in names:
            body, origin = self._found["CoolingUnit"][name]
            called = str(body.get("Name") or body.get("Id") or name)
            capacity = self._ratings.get(
                name, self._ratings.get(called, self._ratings.get(str(body.get("Id")), 0))
            )
            given = body.get("CoolingCapacityWatts")
            if not capacity and is_figure(given):
                capacity = math.floor(given)
            if not capacity:
                why = f"what {called} takes is not known; say --rating {body.get('Id', name)}=WATTS"
                self._losses.wrong(origin.file, path_of(origin.field, "CoolingCapacityWatts"), why)
                return
            unit: dict[str, Any] = {"name": object_name(called), "capacityWatts": capacity}
            if not _is_on(body):
                unit["state"] = "Offline"
            units.append(unit)
            for group in body.get("CoolingUnitRedundancy") or ():
                if isinstance(group, Mapping) and type(least := group.get("MinNeededInGroup")) is int:
                    needed = min(needed, max(1, least))
            why = "what it draws and what feeds it is not in the resource: add drawWatts and feeds"
            self._losses.warn(origin.file, origin.field or "the file", why)
        spec = {"medium": "Liquid", "neededUnits": needed, "units": units}
        origin = self._found["CoolingUnit"][names[0]][1]
        called = " ".join(f"{unit['name']}={name}" for unit, name in zip(units, names, strict=True))
        self._builder.add("CoolingZone", zone, spec, origin, report=called)


def _id(value: object) -> str | None:
    found = value.get("@odata.id") if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else None


def _is_on(body: Mapping[str, Any]) -> bool:
    status = body.get("Status")
    state = status.get("State") if isinstance(status, Mapping) else None
    return (
        not isinstance(state, str)
        or re.fullmatch(r"Enabled|StandbySpare|InTest|Starting|Updating", state) is not None
    )
