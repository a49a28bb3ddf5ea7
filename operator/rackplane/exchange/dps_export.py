"""Our power path as a topology file of NVIDIA's power service (DPS); see `exchange.dps`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rackplane.api.base import Resource
from rackplane.api.common import FeedRole, PowerFeed
from rackplane.api.power_domain import PowerDomain, PowerDomainSpec
from rackplane.api.rack import Rack
from rackplane.api.report import REPORTED_AS
from rackplane.exchange.dps import MODELS
from rackplane.exchange.leaving import Site, left_behind, on_paper, subject
from rackplane.exchange.losses import Losses

__all__ = ["usable_watts", "write"]

_SOURCES: Final = frozenset({"Utility", "Substation", "Generator"})
_NOT_IN_DPS: Final = "is not in a DPS topology"


def usable_watts(spec: PowerDomainSpec) -> int:
    """What an element may carry without end: of its rating or its modules the lesser."""
    usable = spec.rated_watts * spec.continuous_percent // 100
    modules = spec.redundancy
    return usable if modules is None else min(usable, modules.needed * modules.module_watts)


def write(site: Site, losses: Losses, *, name: str = "rackplane") -> dict[str, Any]:
    """The file's content. A Rack is an entity of its own: a PowerDistribution that feeds its nodes.

    What DPS does not say (what survives a loss, standby feeds, shares, cooling) is told as lost. No limit is wider:
    ratings are what may be used without end, with a power factor of 1.
    """
    called = _names((*site.powers.values(), *site.racks.values()))
    children: dict[str, list[str]] = {}
    entities: list[dict[str, Any]] = []
    for domain in site.powers.values():
        entities.append(_power(domain, called["PowerDomain", domain.name]))
        own = called["PowerDomain", domain.name]
        for parent in _feeds(domain, domain.spec.parents, "spec.parents", losses):
            children.setdefault(called.get(("PowerDomain", parent), parent), []).append(own)
        in_dps = (
            "type",
            "rated_watts",
            "continuous_percent",
            "base_load_watts",
            "parents",
            "feed_tag",
            "redundancy",
        )
        left_behind(domain, domain.spec, in_dps, _NOT_IN_DPS, losses)
    models = {profile: model for model, profile in reversed(list(MODELS.items()))}
    for rack in site.racks.values():
        own = called["Rack", rack.name]
        entities.append(_entity("PowerDistribution", own, rack.spec.limit_watts, rack.spec.overhead_watts))
        for parent in _feeds(rack, rack.spec.feeds, "spec.feeds", losses):
            children.setdefault(called.get(("PowerDomain", parent), parent), []).append(own)
        if any(feed.limit_watts is not None for feed in rack.spec.feeds):
            losses.warn(subject(rack), "spec.feeds[].limitWatts", _NOT_IN_DPS)
        said = ("profile", "node_selector", "overhead_watts", "limit_watts", "expected_nodes", "feeds")
        left_behind(rack, rack.spec, said, _NOT_IN_DPS, losses)
        nodes = [place.name for place in site.nodes if place.rack == rack.name]
        if not nodes:
            losses.warn(subject(rack), "spec.nodeSelector", "no node is in it")
        model = models.get(rack.spec.profile)
        if model is None:
            why = f"DPS has no model for profile {rack.spec.profile}: its nodes have none here, add it"
            losses.warn(subject(rack), "spec.profile", why)
        for node in nodes:
            children.setdefault(own, []).append(node)
            entities.append({"Type": "ComputerSystem", "Name": node, **({"Model": model} if model else {})})
    for zone in site.zones.values():
        losses.warn(subject(zone), "spec", _NOT_IN_DPS)
    on_paper(site, losses)
    tags = {called["PowerDomain", d.name]: d.spec.feed_tag for d in site.powers.values() if d.spec.feed_tag}
    places = [_place(entity["Name"], tags, children) for entity in entities]
    return {"Topology": {"Name": name, "Entities": places}, "Entities": entities}


def _names(models: Iterable[Resource]) -> dict[tuple[str, str], str]:
    """What each is called in DPS: as reports call it, or as the object; by kind and name. No name twice."""
    found: dict[tuple[str, str], str] = {}
    for model in models:
        kind = model.info.kind
        said = model.metadata.annotations.get(REPORTED_AS, "")
        name = said if re.fullmatch(r"[^\s,=/]+", said) else model.name
        if name in found.values():
            name = f"{kind.lower()}-{model.name}"
        found[kind, model.name] = name
    return found


def _power(domain: PowerDomain, name: str) -> dict[str, Any]:
    spec = domain.spec
    kind = "PowerDistribution" if spec.parents or spec.type.value not in _SOURCES else "PowerDomain"
    kind = "PowerSupply" if spec.type.value == "PowerShelf" else kind
    return _entity(kind, name, usable_watts(spec), spec.base_load_watts)


def _entity(kind: str, name: str, limit_watts: int, static_watts: int) -> dict[str, Any]:
    limit = {"PowerValue": {"Value": limit_watts, "Type": "W"}, "PowerFactor": 1.0}
    entity: dict[str, Any] = {"Type": kind, "Name": name, "OperatingLimit": limit}
    if static_watts:
        entity["StaticLoad"] = {"Value": static_watts, "Type": "W"}
    return entity


def _place(name: str, tags: Mapping[str, str], children: Mapping[str, list[str]]) -> dict[str, Any]:
    place: dict[str, Any] = {"Name": name}
    if name in tags:
        place["FeedTag"] = tags[name]
    if name in children:
        place["Children"] = children[name]
    return place


def _feeds(model: PowerDomain | Rack, feeds: Iterable[PowerFeed], where: str, losses: Losses) -> list[str]:
    active = [feed for feed in feeds if feed.role is FeedRole.ACTIVE]
    if len({feed.weight for feed in active}) > 1:
        losses.warn(subject(model), f"{where}[].weight", _NOT_IN_DPS)
    for feed in feeds:
        if feed.role is not FeedRole.ACTIVE:
            why = f"standby feed {feed.power_domain} is left out: DPS would count it as one that carries load"
            losses.warn(subject(model), f"{where}[].role", why)
    return [feed.power_domain for feed in active]
