"""Topology files of NVIDIA's power service (DPS), as of 0.8 to 0.10.

https://docs.nvidia.com/datacenter/dps/versions/latest/guides/concepts/topologies/ and .../entities.html. An entity with
children becomes a PowerDomain; one whose children are compute nodes that nothing else feeds is their Rack. Nodes that
several entities feed are one Rack for each set of feeds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import AliasChoices, Field

from rackplane.api.naming import label_value
from rackplane.exchange.building import Builder, Imported, Origin, feed
from rackplane.exchange.foreign import Foreign, Source, documents, parsed, path_of
from rackplane.exchange.losses import Losses

__all__ = ["MODELS", "read"]

#: HardwareProfile by the model of a compute node; DPS 0.10 lists these.
MODELS: Final[Mapping[str, str]] = {
    "DGX_H100": "dgx-h100",
    "DGX_B200": "dgx-b200",
    "DGX_B200EM": "dgx-b200",
    "DGX_B300": "dgx-b300",
    "DGX_B300EM": "dgx-b300",
    "DGX_GB200": "gb200-nvl72",
    "DGX_GB300": "gb300-nvl72",
    "DGX_VR_NVL72": "vera-rubin-nvl72",
}
_NODE: Final = "ComputerSystem"
_TYPES: Final[Mapping[str, str]] = {
    "PowerDomain": "Utility",
    "PowerDistribution": "PDU",
    "PowerSupply": "PowerShelf",
}
#: Watts in one of these; VA are watts once multiplied by the power factor.
_UNITS: Final[Mapping[str, int]] = {
    "W": 1,
    "kW": 1_000,
    "MW": 1_000_000,
    "VA": 1,
    "kVA": 1_000,
    "MVA": 1_000_000,
}


class _Power(Foreign):
    value: float = Field(alias="Value", ge=0, allow_inf_nan=False)
    unit: str = Field(default="W", alias="Type")


class _Limit(Foreign):
    power: _Power = Field(alias="PowerValue")
    factor: float = Field(default=1.0, alias="PowerFactor", gt=0, le=1)


class _Entity(Foreign):
    name: str = Field(alias="Name", min_length=1)
    type: str = Field(alias="Type")
    model: str | None = Field(default=None, alias="Model")
    # Constraints until 0.8, OperatingLimit since.
    limit: _Limit | None = Field(default=None, validation_alias=AliasChoices("OperatingLimit", "Constraints"))
    static: _Power | float | None = Field(default=None, alias="StaticLoad")


class _Place(Foreign):
    name: str = Field(alias="Name", min_length=1)
    tag: str | None = Field(default=None, alias="FeedTag")
    children: tuple[str, ...] = Field(default=(), alias="Children")


class _Topology(Foreign):
    name: str = Field(default="", alias="Name")
    entities: tuple[_Place, ...] = Field(default=(), alias="Entities")


class _File(Foreign):
    entities: tuple[_Entity, ...] = Field(default=(), alias="Entities")
    topology: _Topology | None = Field(default=None, alias="Topology")


def read(
    sources: Sequence[Source],
    builder: Builder,
    losses: Losses,
    *,
    ratings: Mapping[str, int] | None = None,
    rack_pattern: str | None = None,
) -> Imported:
    """Entities and one topology, in one file or several.

    Args:
        ratings: watts by name or model, of entities that have no OperatingLimit: theirs is that of the device
            specification, which is no part of the file.
        rack_pattern: with one group, which names the rack that a node of that name is in.

    Raises:
        re.error: the pattern is none.
    """
    return _Reader(builder, losses, ratings or {}, rack_pattern).read(sources)


class _Reader:
    def __init__(
        self, builder: Builder, losses: Losses, ratings: Mapping[str, int], rack_pattern: str | None
    ) -> None:
        self._builder, self._losses, self._ratings = builder, losses, ratings
        self._pattern = re.compile(rack_pattern) if rack_pattern is not None else None
        self._entities: dict[str, tuple[_Entity, Origin]] = {}
        self._places: dict[str, tuple[_Place, Origin]] = {}
        #: who feeds it, in the order of the file
        self._parents: dict[str, list[str]] = {}
        #: the PowerDomain of an entity, once it is made
        self._domains: dict[str, str | None] = {}

    def read(self, sources: Sequence[Source]) -> Imported:
        for source in sources:
            for where, body in documents(source, self._losses):
                found = parsed(_File, body, file=source.name, where=where, losses=self._losses)
                if found is not None:
                    self._take(found, source.name, where)
        if not self._places:
            names = ", ".join(source.name for source in sources)
            self._losses.wrong(names, "Topology", "there is none: nothing says what feeds what")
            return self._builder.finish()
        for name in [name for name in self._places if name not in self._entities]:
            origin = self._places.pop(name)[1]
            self._losses.wrong(origin.file, origin.field, f"there is no entity {name}: name its file too")
        for name, (place, origin) in self._places.items():
            for index, child in enumerate(place.children):
                if child not in self._entities:
                    why = f"there is no entity {child}"
                    self._losses.wrong(origin.file, path_of(origin.field, "Children", index), why)
                elif name not in self._parents.setdefault(child, []):
                    self._parents[child].append(name)
        for name, (entity, origin) in self._entities.items():
            if entity.type in _TYPES or entity.type == _NODE:
                continue
            if name in self._places and self._places[name][0].children:
                why = f"{entity.type} {name} feeds others, so its limit would be lost: make it a PowerDistribution"
                self._losses.wrong(origin.file, path_of(origin.field, "Type"), why)
            else:
                why = f"{entity.type} {name} is neither what feeds nor a compute node, and is left out"
                self._losses.warn(origin.file, path_of(origin.field, "Type"), why)
        if self._is_circular():
            return self._builder.finish()
        self._several_parents()
        self._racks()
        for name in self._places:
            if not self._is_node(name):
                self._domain(name)
        return self._builder.finish()

    def _take(self, found: _File, file: str, where: str) -> None:
        for index, entity in enumerate(found.entities):
            origin = Origin(file, path_of(where, "Entities", index))
            if entity.name in self._entities:
                self._losses.wrong(file, origin.field, f"entity {entity.name} is there twice")
            if entity.type == _NODE and entity.limit is not None:
                why = (
                    "is a limit of one node, which there is not here: use a HardwareProfile of your own with that "
                    "maxWatts, and take it out of the file"
                )
                self._losses.wrong(file, path_of(origin.field, "OperatingLimit"), why)
            if entity.type == _NODE and entity.static is not None:
                self._losses.warn(
                    file, path_of(origin.field, "StaticLoad"), "is part of the HardwareProfile's idleWatts"
                )
            self._entities[entity.name] = entity, origin
        for index, place in enumerate(found.topology.entities if found.topology is not None else ()):
            origin = Origin(file, path_of(where, "Topology", "Entities", index))
            if place.name in self._places:
                self._losses.wrong(
                    file, origin.field, f"{place.name} is in a topology twice: import one at a time"
                )
            self._places[place.name] = place, origin

    def _is_node(self, name: str) -> bool:
        return self._entities[name][0].type == _NODE

    def _is_circular(self) -> bool:
        for start in self._places:
            seen: set[str] = set()
            ahead = list(self._parents.get(start, ()))
            while ahead:
                name = ahead.pop()
                if name == start:
                    origin = self._places[start][1]
                    self._losses.wrong(
                        origin.file, path_of(origin.field, "Children"), f"{start} feeds itself"
                    )
                    return True
                if name not in seen:
                    seen.add(name)
                    ahead += self._parents.get(name, ())
        return False

    def _several_parents(self) -> None:
        for name, parents in self._parents.items():
            if len(parents) > 1 and not self._is_node(name):
                origin = self._entities[name][1]
                why = (
                    f"{name} has {len(parents)} feeds, and nothing says how they share: equal parts are taken"
                )
                self._losses.warn(origin.file, origin.field, why)

    # -- racks ---------------------------------------------------------------------------------------

    def _racks(self) -> None:
        groups: dict[tuple[tuple[str, ...], str], list[str]] = {}
        for name, (entity, origin) in self._entities.items():
            if entity.type != _NODE:
                continue
            parents = tuple(self._parents.get(name, ()))
            if not parents:
                self._losses.warn(origin.file, origin.field, f"nothing feeds {name}, so it is left out")
                continue
            groups.setdefault((parents, self._rack_by_name(name)), []).append(name)
        for (parents, called), nodes in groups.items():
            self._rack(parents, called, nodes)

    def _rack_by_name(self, node: str) -> str:
        if self._pattern is None:
            return ""
        match = self._pattern.search(node)
        if match is None or not match.groups() or not match[1]:
            origin = self._entities[node][1]
            self._losses.warn(
                origin.file, origin.field, f"--rack-pattern names no rack for {node}: by its feeds then"
            )
            return ""
        return str(match[1])

    def _rack(self, parents: tuple[str, ...], called: str, nodes: list[str]) -> None:
        origin = self._entities[nodes[0]][1]
        spec: dict[str, Any] = {}
        models = sorted({self._entities[node][0].model or "" for node in nodes})
        profiles = {MODELS.get(model) for model in models}
        if "profile" not in self._builder.template:
            if len(profiles) != 1 or None in profiles:
                what = ", ".join(model or "none" for model in models)
                why = f"no one HardwareProfile is that of {what}: name it in --rack-template"
                self._losses.wrong(origin.file, path_of(origin.field, "Model"), why)
                return
            spec["profile"] = profiles.pop()
        else:
            spec["profile"] = self._builder.template["profile"]
        only = parents[0] if len(parents) == 1 else None
        if only is not None and set(self._places[only][0].children) == set(nodes):
            # Nothing else hangs from it: it is the rack.
            place, at = self._places[only]
            limit = self._rating(only)
            if limit is None:
                return
            spec["limitWatts"] = limit
            if static := self._static(only):
                spec["overheadWatts"] = static
            above = [name for p in self._parents.get(only, ()) if (name := self._domain(p)) is not None]
            if above:
                self._domains[only] = None
                if place.tag is not None:
                    self._losses.warn(
                        at.file, path_of(at.field, "FeedTag"), f"{only} is a Rack here, which has none"
                    )
            else:
                own = self._domain(only)
                above = [own] if own is not None else []
                spec.pop("overheadWatts", None)  # it is the domain's base load
            spec["feeds"] = [feed(name) for name in above]
            called = called or only
        else:
            spec["feeds"] = [feed(name) for p in parents if (name := self._domain(p)) is not None]
            if "limitWatts" not in self._builder.template:
                rated = [rating for p in parents if (rating := self._rating(p)) is not None]
                if not rated:
                    return
                spec["limitWatts"] = min(rated)
                why = f"nothing says what rack {called or '-'.join(parents)} may draw: the least of its feeds is taken"
                self._losses.warn(origin.file, origin.field, why)
            called = called or "-".join(parents)
        self._builder.rack(called, nodes, spec, origin)

    # -- what feeds ----------------------------------------------------------------------------------

    def _domain(self, name: str) -> str | None:
        if name in self._domains:
            return self._domains[name]
        entity, origin = self._entities[name]
        parents = [domain for p in self._parents.get(name, ()) if (domain := self._domain(p)) is not None]
        rating = self._rating(name)
        if rating is None or entity.type not in _TYPES:
            self._domains[name] = None
            return None
        spec: dict[str, Any] = {"type": self._type(entity), "ratedWatts": rating}
        if static := self._static(name):
            spec["baseLoadWatts"] = static
        if parents:
            spec["parents"] = [feed(parent) for parent in parents]
        tag = self._places[name][0].tag if name in self._places else None
        if tag:
            spec["feedTag"] = label_value(tag)
            if label_value(tag) != tag:
                self._losses.warn(origin.file, origin.field, f"feed tag {tag!r} is {label_value(tag)} here")
        self._domains[name] = made = self._builder.add("PowerDomain", name, spec, origin)
        return made

    def _type(self, entity: _Entity) -> str:
        said = re.sub(r"[^a-z]", "", f"{entity.model or ''}{entity.name}".lower())
        for word, kind in (
            ("floorpdu", "FloorPDU"),
            ("rackpdu", "RackPDU"),
            ("rpdu", "RackPDU"),
            ("ups", "UPS"),
        ):
            if word in said and entity.type == "PowerDistribution":
                return kind
        return _TYPES[entity.type]

    def _rating(self, name: str) -> int | None:
        """Watts that may be used, rounded down; None, which was told, if nothing says it."""
        entity, origin = self._entities[name]
        if entity.limit is None:
            given = self._ratings.get(name, self._ratings.get(entity.model or ""))
            if given is None:
                said = entity.model or name
                why = (
                    f"{name} has none, so what it may carry is not known: add it, or --rating {said}=WATTS from its "
                    "device specification"
                )
                self._wrong_once(origin, "OperatingLimit", why)
            return given
        watts = self._watts(
            entity.limit.power, path_of(origin.field, "OperatingLimit.PowerValue"), origin.file
        )
        if watts is None:
            return None
        rating = math.floor(round(watts * entity.limit.factor, 6))
        if rating < 1:
            self._wrong_once(
                origin, "OperatingLimit", f"{name} may carry nothing: leave it out, with what it feeds"
            )
            return None
        return rating

    def _static(self, name: str) -> int:
        """Watts that are always drawn, rounded up."""
        entity, origin = self._entities[name]
        if entity.static is None:
            return 0
        power = entity.static if isinstance(entity.static, _Power) else _Power(Value=entity.static)
        watts = self._watts(power, path_of(origin.field, "StaticLoad"), origin.file)
        return 0 if watts is None else math.ceil(round(watts, 6))

    def _watts(self, power: _Power, where: str, file: str) -> float | None:
        if power.unit not in _UNITS:
            why = f"{power.unit!r} is no unit of power: write one of {', '.join(_UNITS)}"
            if not any(loss.field == f"{where}.Type" and loss.file == file for loss in self._losses.found):
                self._losses.wrong(file, f"{where}.Type", why)
            return None
        return power.value * _UNITS[power.unit]

    def _wrong_once(self, origin: Origin, field: str, why: str) -> None:
        where = path_of(origin.field, field)
        if not any(loss.file == origin.file and loss.field == where for loss in self._losses.found):
            self._losses.wrong(origin.file, where, why)
