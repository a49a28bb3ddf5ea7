"""The fabric as a tree: levels, NVLink domains and racks, with the nodes that gangs use and those that are free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rackplane.api.common import ServiceState
from rackplane.api.nvlink_domain import NVLinkDomain
from rackplane.api.rack import Rack
from rackplane.cli.errors import CommandError, Exit, nearest
from rackplane.cli.view import Branch, Gauge, Tree, share
from rackplane.cli.words import names
from rackplane.core.machine import Machine
from rackplane.engine.model import NVLINK
from rackplane.engine.nodes.inventory import natural
from rackplane.figures import count

__all__ = ["fabric_data", "fabric_tree"]


@dataclass(slots=True)
class _Place:
    """A subtree, an NVLink domain or a rack, and the nodes in it."""

    level: str
    name: str
    nodes: int = 0
    free: int = 0
    down: int = 0
    gpus: int = 0
    free_gpus: int = 0
    spare: int = 0
    state: ServiceState = ServiceState.ACTIVE
    parts: dict[tuple[str, str], _Place] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """Ready nodes on which something runs."""
        return self.nodes - self.free - self.down


def fabric_tree(machine: Machine, *, name: str | None) -> Tree:
    """Every level from the widest to the NVLink domains and racks; below `name` if there is one.

    A node is free if nothing holds any of its GPUs, and down if it is not Ready.

    Raises:
        CommandError: nothing is called so.
    """
    roots = [_branch(place) for place in _places(machine, name)]
    headings = ("fabric", "used, {down} down", "remarks")
    return Tree(headings, ("free", "used", "down", "nodes", "free GPUs"), roots, _without_nodes(machine))


def fabric_data(machine: Machine, *, name: str | None) -> dict[str, Any]:
    """The same for programs, nested as it stands."""
    return {"tree": "fabric", "places": [_data(place) for place in _places(machine, name)]}


def _places(machine: Machine, name: str | None) -> list[_Place]:
    assert machine.state is not None
    state = machine.state
    inventory, facility, catalog = state.inventory, state.facility, machine.world.catalog
    top = _Place("", "")
    free_gpus = state.free
    specs = {node.name: node for node in state.nodes()}
    for i, node in enumerate(inventory.names):
        rack, node_type = int(inventory.rack[i]), state.node_type(node)
        if rack < 0 or node_type is None:
            continue
        path: list[tuple[str, str]] = []
        for level in reversed(facility.levels):
            ids, subtrees = inventory.levels[level]
            if ids[i] >= 0:
                path.append((level, subtrees[int(ids[i])]))
        if inventory.bin[i] >= 0 and inventory.group_names[int(inventory.bin[i])]:
            path.append((NVLINK, inventory.group_names[int(inventory.bin[i])]))
        for level in reversed(facility.inner_levels):
            ids, subtrees = inventory.levels[level]
            if ids[i] >= 0:
                path.append((level, subtrees[int(ids[i])]))
        path.append(("rack", facility.racks[rack].name))
        place, free = top, int(free_gpus[i])
        for key in path:
            place = place.parts.setdefault(key, _Place(*key))
            place.nodes += 1
            place.gpus += node_type.gpus_per_node
            if not specs[node].healthy:
                place.down += 1
                continue
            place.free_gpus += free
            place.free += free == node_type.gpus_per_node
    for place in _all(top.parts.values()):
        if place.level == NVLINK and (domain := catalog.get(NVLinkDomain, place.name)) is not None:
            place.state, place.spare = domain.spec.state, domain.spec.spare_nodes
        elif place.level == "rack" and (of_rack := catalog.get(Rack, place.name)) is not None:
            place.state = of_rack.spec.state
    if name is None:
        return _ordered(top)
    found = [place for place in _all(top.parts.values()) if place.name == name]
    if not found:
        hint = nearest(name, {place.name for place in _all(top.parts.values())})
        raise CommandError(
            f"no part of the fabric and no rack with nodes is called {name}{hint}", code=Exit.NO
        )
    return found


def _all(places: Any) -> Iterator[_Place]:
    for place in places:
        yield place
        yield from _all(place.parts.values())


def _ordered(place: _Place) -> list[_Place]:
    return sorted(place.parts.values(), key=lambda part: (part.level, natural(part.name)))


def _branch(place: _Place) -> Branch:
    parts, name, level = _ordered(place), place.name, place.level
    if level == NVLINK:
        level = "NVLink domain"
        if len(parts) == 1 and parts[0].level == "rack":
            # The commonest case, one rack that is one domain, is one line.
            level, parts = f"NVLink domain, rack {parts[0].name}", []
    remarks = []
    racks = [part for part in (place, *place.parts.values()) if part.level in (NVLINK, "rack")]
    if place.level not in (NVLINK, "rack"):
        racks = []
    for part in racks:
        if part.state is not ServiceState.ACTIVE:
            remarks.append(f"{'' if part is place else f'rack {part.name} '}{part.state.value.lower()}")
    if place.spare:
        remarks.append(f"keeps {count(place.spare, 'node')} spare")
    return Branch(
        name,
        level,
        Gauge(share(place.used, place.nodes), down=share(place.down, place.nodes)),
        tuple(f"{n:,}" if n or i != 2 else "" for i, n in enumerate(_figures(place))),
        ", ".join(remarks),
        alarm=bool(remarks) and place.state is not ServiceState.ACTIVE,
        children=[_branch(part) for part in parts],
    )


def _figures(place: _Place) -> Sequence[int]:
    return place.free, place.used, place.down, place.nodes, place.free_gpus


def _without_nodes(machine: Machine) -> list[str]:
    assert machine.state is not None
    report = {rack.name: 0 for rack in machine.state.facility.racks}
    for node in machine.state.nodes():
        if node.rack in report:
            report[node.rack] += 1
    if not report:
        return ["There are no Racks."]
    empty = [name for name, nodes in report.items() if not nodes]
    if not empty:
        return []
    what = "rack has" if len(empty) == 1 else "racks have"
    return [f"{len(empty):,} {what} no nodes: {names(empty)}. No node's labels match spec.nodeSelector."]


def _data(place: _Place) -> dict[str, Any]:
    return {
        "level": place.level,
        "name": place.name,
        "nodes": place.nodes,
        "freeNodes": place.free,
        "usedNodes": place.used,
        "downNodes": place.down,
        "gpus": place.gpus,
        "freeGpus": place.free_gpus,
        "spareNodes": place.spare,
        "state": place.state.value,
        "parts": [_data(part) for part in _ordered(place)],
    }
