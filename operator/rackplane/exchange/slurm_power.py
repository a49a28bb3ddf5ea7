"""A hierarchical resource of Slurm that counts power, as PowerDomains and Racks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rackplane.api.base import Integer
from rackplane.exchange.building import Builder, Origin, feed
from rackplane.exchange.foreign import Foreign, path_of
from rackplane.exchange.hostlist import Hostlists
from rackplane.exchange.losses import Losses

__all__ = ["Layer", "PowerTree"]


class Base(Foreign):
    """What draws beside jobs, always."""

    name: str
    value: Integer


class Layer(Foreign):
    """One layer; before names were there (25.11) a layer lay in the smallest one that has all its nodes."""

    layer_name: str | None = None
    parent_name: str | None = None
    nodes: Hostlists = ()
    count: Integer = 0
    base: tuple[Base, ...] = ()
    disable_layer: bool = False


class PowerTree:
    """The layers of one MODE_3 resource.

    Args:
        hosts: of each layer, by its place in the list.
        disabled: Slurm gives nothing of it to jobs: its racks drain.
    """

    def __init__(
        self,
        resource: str,
        layers: Sequence[Layer],
        hosts: Sequence[Sequence[str]],
        origin: Origin,
        losses: Losses,
        watts_per_unit: int,
        *,
        disabled: bool,
    ) -> None:
        self._layers, self._hosts, self._origin, self._losses = layers, hosts, origin, losses
        self._watts = watts_per_unit
        self._disabled = disabled
        self._called = [layer.layer_name or f"{resource}-{i + 1}" for i, layer in enumerate(layers)]
        self._parents = self._find_parents()

    def build(self, builder: Builder) -> dict[str, list[str]]:
        """Adds the objects; nodes by the name of each Rack."""
        inner = {parent for parent in self._parents if parent is not None}
        domains: dict[int, str] = {}
        for index in range(len(self._layers)):
            if index in inner:
                self._domain(index, builder, domains)
        racks: dict[str, list[str]] = {}
        for index in range(len(self._layers)):
            if index not in inner:
                name = self._rack(index, builder, domains)
                racks[name] = list(self._hosts[index])
        return racks

    def _domain(self, index: int, builder: Builder, made: dict[int, str]) -> str | None:
        """The PowerDomain of a layer, made with those above it; None for one without a limit that nothing feeds."""
        if index in made:
            return made[index]
        parent = self._parents[index]
        above = None if parent is None else self._domain(parent, builder, made)
        layer, origin = self._layers[index], self._at(index)
        if layer.count < 0:
            self._losses.warn(
                origin.file, f"{origin.field}.count", "is infinite: it is no limit, and is left out"
            )
            if above is not None:
                made[index] = above
            return above
        spec: dict[str, Any] = {"type": "Other", "ratedWatts": self._limit(index)}
        base = sum(part.value for part in layer.base) * self._watts
        if base:
            spec["baseLoadWatts"] = base
        if above is not None:
            spec["parents"] = [feed(above)]
        made[index] = builder.add("PowerDomain", self._called[index], spec, origin)
        return made[index]

    def _rack(self, index: int, builder: Builder, domains: dict[int, str]) -> str:
        layer, origin = self._layers[index], self._at(index)
        parent = self._parents[index]
        above = None if parent is None else domains.get(parent)
        spec: dict[str, Any] = {}
        if layer.count >= 0:
            spec["limitWatts"] = self._limit(index)
        base = sum(part.value for part in layer.base) * self._watts
        if base:
            spec["overheadWatts"] = base
        if above is None and layer.count >= 0 and "feeds" not in builder.template:
            # The layer is all there is of the power path: what its rack may draw comes from somewhere.
            above = self._domain_of_root(index, builder)
        if above is not None:
            spec["feeds"] = [feed(above)]
        if self._off(index):
            spec["state"] = "Draining"
        if not self._hosts[index]:
            self._losses.warn(
                origin.file, f"{origin.field}.nodes", "there are none, so it is no rack and is left out"
            )
            return ""
        return builder.rack(self._called[index], self._hosts[index], spec, origin)

    def _domain_of_root(self, index: int, builder: Builder) -> str:
        spec = {"type": "Other", "ratedWatts": self._limit(index)}
        return builder.add("PowerDomain", self._called[index], spec, self._at(index))

    def _limit(self, index: int) -> int:
        count = self._layers[index].count
        if count == 0:
            origin = self._at(index)
            self._losses.wrong(
                origin.file,
                f"{origin.field}.count",
                f"is 0: nothing may draw from {self._called[index]}, leave it out",
            )
        return count * self._watts

    def _off(self, index: int) -> bool:
        at: int | None = index
        while at is not None:
            if self._disabled or self._layers[at].disable_layer:
                return True
            at = self._parents[at]
        return False

    def _at(self, index: int) -> Origin:
        return Origin(self._origin.file, path_of(self._origin.field, "layers", index))

    def _find_parents(self) -> list[int | None]:
        by_name = {name.lower(): i for i, name in enumerate(self._called)}
        named = any(layer.layer_name for layer in self._layers)
        parents: list[int | None] = []
        for index, layer in enumerate(self._layers):
            if layer.parent_name is not None:
                parent = by_name.get(layer.parent_name.lower())
                if parent is None:
                    where = f"{self._at(index).field}.parent_name"
                    self._losses.wrong(self._origin.file, where, f"there is no layer {layer.parent_name}")
                parents.append(parent)
            else:
                parents.append(None if named else self._smallest_around(index))
        for index in range(len(parents)):
            seen = {index}
            at: int | None = parents[index]
            while at is not None:
                if at in seen:
                    where = f"{self._at(index).field}.parent_name"
                    self._losses.wrong(
                        self._origin.file, where, f"layer {self._called[index]} is above itself"
                    )
                    parents[index] = None
                    break
                seen.add(at)
                at = parents[at]
        return parents

    def _smallest_around(self, index: int) -> int | None:
        mine = set(self._hosts[index])
        around = [i for i, hosts in enumerate(self._hosts) if i != index and mine < set(hosts)]
        return min(around, key=lambda i: len(self._hosts[i]), default=None)
