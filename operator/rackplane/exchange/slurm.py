"""Slurm's topology.yaml and resources.yaml (hierarchical resources).

As of Slurm 25.11 and 26.11: https://slurm.schedmd.com/topology.yaml.html, https://slurm.schedmd.com/resources.yaml.html.
A block becomes an NVLinkDomain, a tree of switches the levels leaf, spine and core, a MODE_3 resource that counts watts
the power path: its leaf layers are racks, the layers above PowerDomains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pydantic import Field

from rackplane.exchange.building import Builder, Imported, Origin
from rackplane.exchange.foreign import Foreign, Source, documents, parsed, path_of
from rackplane.exchange.hostlist import HostlistError, Hostlists, expand
from rackplane.exchange.losses import Losses
from rackplane.exchange.slurm_power import Layer, PowerTree

__all__ = ["read"]

#: From the nodes outwards.
_SWITCH_LEVELS: Final = ("leaf", "spine", "core")


class _Block(Foreign):
    block: str = Field(min_length=1)
    nodes: Hostlists = ()


class _Blocks(Foreign):
    block_sizes: tuple[int, ...] = ()
    blocks: tuple[_Block, ...]


class _Switch(Foreign):
    switch: str = Field(min_length=1)
    children: Hostlists = ()
    nodes: Hostlists = ()


class _Tree(Foreign):
    switches: tuple[_Switch, ...]


class _Topology(Foreign):
    topology: str
    block: _Blocks | None = None
    tree: _Tree | None = None


class _Resource(Foreign):
    resource: str
    mode: str
    topology: str | None = None
    disable_hres: bool = False
    layers: tuple[Layer, ...]


def read(
    sources: Sequence[Source],
    builder: Builder,
    losses: Losses,
    *,
    resource: str = "power",
    watts_per_unit: int = 1,
) -> Imported:
    """Both files, or one of them.

    Args:
        resource: the hierarchical resource that counts power; others say nothing to us.
        watts_per_unit: what one of it is.
    """
    topologies: list[tuple[Origin, _Topology]] = []
    trees: list[PowerTree] = []
    others: list[tuple[Origin, str]] = []
    for source in sources:
        for where, body in documents(source, losses):
            if not isinstance(body, list):
                losses.wrong(source.name, where or "the file", "is no list of topologies or resources")
                continue
            for index, entry in enumerate(body):
                origin = Origin(source.name, path_of(where, index))
                if isinstance(entry, Mapping) and "topology" in entry and "resource" not in entry:
                    topology = parsed(_Topology, entry, file=source.name, where=origin.field, losses=losses)
                    if topology is not None:
                        topologies.append((origin, topology))
                elif isinstance(entry, Mapping) and entry.get("resource") not in (None, resource):
                    others.append((origin, str(entry["resource"])))
                elif isinstance(entry, Mapping) and "resource" in entry:
                    found = parsed(_Resource, entry, file=source.name, where=origin.field, losses=losses)
                    if found is not None:
                        trees += _power_tree(found, origin, losses, watts_per_unit)
                else:
                    losses.wrong(origin.file, origin.field, "is neither a topology nor a resource")
    for origin, name in others:
        why = f"resource {name} is not translated: {resource} is taken to count power (--resource names another)"
        losses.warn(origin.file, origin.field, why)
    racks: dict[str, list[str]] = {}
    for tree in trees:
        racks |= tree.build(builder)
    switches = _switch_levels(topologies, builder, losses)
    for origin, topology in topologies:
        if topology.block is not None:
            _blocks(topology.block, origin, builder, losses, racks, switches, alone=not trees)
    return builder.finish()


def _power_tree(found: _Resource, origin: Origin, losses: Losses, watts_per_unit: int) -> Iterator[PowerTree]:
    if found.mode != "MODE_3":
        why = (
            f"is {found.mode}, which counts jobs where MODE_3 counts nodes, so its limits cannot be kept: leave "
            "the resource out of the file, or name another with --resource"
        )
        losses.wrong(origin.file, path_of(origin.field, "mode"), why)
        return
    hosts = []
    for index, layer in enumerate(found.layers):
        hosts.append(
            _expanded(layer.nodes, path_of(origin.field, "layers", index, "nodes"), origin.file, losses)
        )
    yield PowerTree(
        found.resource, found.layers, hosts, origin, losses, watts_per_unit, disabled=found.disable_hres
    )


def _expanded(lists: Iterable[str], where: str, file: str, losses: Losses) -> list[str]:
    hosts: list[str] = []
    for text in lists:
        try:
            hosts += expand(text)
        except HostlistError as error:
            losses.wrong(file, where, str(error))
    return list(dict.fromkeys(hosts))


# -- blocks ------------------------------------------------------------------------------------------


def _blocks(
    found: _Blocks,
    origin: Origin,
    builder: Builder,
    losses: Losses,
    racks: Mapping[str, list[str]],
    switches: Mapping[str, Mapping[str, str]],
    *,
    alone: bool,
) -> None:
    at = path_of(origin.field, "block")
    if found.block_sizes:
        why = "is not translated: gangs ask for segments (rackplane.dev/segment-size), the site does not fix them"
        losses.warn(origin.file, path_of(at, "block_sizes"), why)
    for index, block in enumerate(found.blocks):
        here = Origin(origin.file, path_of(at, "blocks", index))
        nodes = _expanded(block.nodes, path_of(here.field, "nodes"), here.file, losses)
        if not nodes:
            losses.warn(here.file, here.field, f"block {block.block} has no nodes and is left out")
            continue
        inside = [name for name, hosts in racks.items() if hosts and set(hosts) <= set(nodes)]
        exact = sum(len(racks[name]) for name in inside) == len(nodes)
        if alone and builder.template:
            inside, exact = [builder.rack(block.block, nodes, {}, here)], True
        path = [
            (level, names.pop())
            for level in _SWITCH_LEVELS
            if len(names := {switches.get(node, {}).get(level, "") for node in nodes}) == 1 and names != {""}
        ]
        builder.domain(block.block, nodes, here, racks=inside if exact else (), path=path)


# -- trees of switches -------------------------------------------------------------------------------


def _switch_levels(
    topologies: Iterable[tuple[Origin, _Topology]], builder: Builder, losses: Losses
) -> dict[str, dict[str, str]]:
    """Level -> switch for each node, which are labels of the node too."""
    found: dict[str, dict[str, str]] = {}
    for origin, topology in topologies:
        if topology.tree is None:
            continue
        at = path_of(origin.field, "tree", "switches")
        parents: dict[str, str] = {}
        leaves: list[tuple[int, str, list[str]]] = []
        for index, switch in enumerate(topology.tree.switches):
            for child in _expanded(switch.children, path_of(at, index, "children"), origin.file, losses):
                if parents.setdefault(child, switch.switch) != switch.switch:
                    why = f"switch {child} hangs from {parents[child]} too; that one is taken"
                    losses.warn(origin.file, path_of(at, index, "children"), why)
            nodes = _expanded(switch.nodes, path_of(at, index, "nodes"), origin.file, losses)
            if nodes:
                leaves.append((index, switch.switch, nodes))
        for index, name, nodes in leaves:
            levels: dict[str, str] = {}
            above: str | None = name
            for level in _SWITCH_LEVELS:
                if above is None:
                    break
                levels[level] = above
                above = parents.get(above)
            if above is not None:
                why = f"switch {above} is above {', '.join(_SWITCH_LEVELS)} and is left out: label its nodes"
                losses.warn(origin.file, path_of(at, index), why)
            for level, switch_name in levels.items():
                here = Origin(origin.file, path_of(at, index))
                builder.level(nodes, level, switch_name, here)
            for node in nodes:
                if found.setdefault(node, levels) is not levels:
                    losses.warn(
                        origin.file, path_of(at, index, "nodes"), f"node {node} is below another switch too"
                    )
    return found
