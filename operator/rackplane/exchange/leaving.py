"""A facility on its way out: what every export is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rackplane.api.base import ApiModel, Resource
from rackplane.api.cooling_zone import CoolingZone
from rackplane.api.fabric import Fabric
from rackplane.api.nvlink_domain import NVLinkDomain
from rackplane.api.power_domain import PowerDomain
from rackplane.api.rack import Rack
from rackplane.exchange.losses import Losses

__all__ = ["Place", "Site", "left_behind", "on_paper", "subject"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one node is, by the rules of the operator."""

    name: str
    rack: str
    domain: str
    #: level -> domain, innermost first
    above: Mapping[str, str]
    labels: Mapping[str, str]
    #: one that a Rack expects, and that no Node is
    on_paper: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """Valid objects by name, and the nodes that are in a rack."""

    fabric: Fabric
    racks: Mapping[str, Rack] = field(default_factory=dict)
    powers: Mapping[str, PowerDomain] = field(default_factory=dict)
    domains: Mapping[str, NVLinkDomain] = field(default_factory=dict)
    zones: Mapping[str, CoolingZone] = field(default_factory=dict)
    nodes: tuple[Place, ...] = ()


def subject(model: Resource) -> str:
    """ "Rack r1"."""
    return f"{model.info.kind} {model.name}"


def on_paper(site: Site, losses: Losses) -> None:
    """Tell of nodes that are only expected: their names are made up."""
    names = [place.name for place in site.nodes if place.on_paper]
    if names:
        why = f"{len(names)} nodes are only expected, and their names ({names[0]} ...) are made up: give the Nodes too"
        losses.warn("the nodes", "expectedNodes", why)


def left_behind(model: Resource, spec: ApiModel, said: Iterable[str], why: str, losses: Losses) -> None:
    """Tell of every field that is set, and not to its default, and is not among those that were said."""
    known = frozenset(said)
    for name in sorted(spec.model_fields_set - known):
        info = type(spec).model_fields[name]
        value = getattr(spec, name)
        if value is not None and value != info.default and value != ():
            losses.warn(subject(model), f"spec.{info.alias or name}", why)
