"""The nodes as arrays in one natural order: rack, NVLink domain and fabric subtrees by dense integer ids."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import NVLINK, NodeSpec, NvlinkScope
from rackplane.engine.physics.facility import Facility

Ids = NDArray[np.int64]
_DIGITS = re.compile(r"(\d+)")


@lru_cache(maxsize=65_536)
def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which node-9 comes before node-10."""
    return tuple(
        (0, int(p), p) if p.isdigit() and p.isascii() else (1, 0, p) for p in _DIGITS.split(name) if p
    )


@dataclass(frozen=True, eq=False)
class Inventory:
    """Topology of the known nodes; rebuilt when a node comes, goes or moves, not when its load changes.

    Arrays are over nodes, in the order domain, part of it, rack, name; -1 means none.  ``domain`` is the NVLink domain:
    for node types whose NVLink ends in the node, the node itself; ``bin`` is what a larger gang is spread over: the
    NVLink domain where that spans nodes, else the rack.
    """

    names: tuple[str, ...]
    index: Mapping[str, int]
    rack: Ids
    domain: Ids
    domain_names: tuple[str, ...]
    stated: Ids
    """The NVLink domain that the node itself says, whatever its type makes of it."""
    stated_names: tuple[str, ...]
    bin: Ids
    bin_names: tuple[str, ...]
    group_names: tuple[str, ...]
    """Per bin: the NVLink domain's name for groups, "" if the bin is a rack."""
    levels: Mapping[str, tuple[Ids, tuple[str, ...]]]
    """Level, "nvlink" and those below it among them -> (subtree id of every node, subtree names)."""


class _Dense:
    """Dense ids in order of first use."""

    def __init__(self) -> None:
        self.ids: dict[Hashable, int] = {}
        self.names: list[str] = []

    def get(self, key: Hashable | None, name: str) -> int:
        if key is None:
            return -1
        found = self.ids.get(key)
        if found is None:
            found = self.ids[key] = len(self.names)
            self.names.append(name)
        return found


def build_inventory(facility: Facility, nodes: Iterable[NodeSpec]) -> Inventory:
    """Order and index the nodes.  A node whose rack is unknown is listed, with rack -1."""
    ordered = sorted(
        nodes,
        key=lambda n: (
            natural(n.domain or n.rack or ""),
            [natural(name) for _, name in reversed(n.inner)],
            natural(n.rack or ""),
            natural(n.name),
        ),
    )
    domains, stated, bins = _Dense(), _Dense(), _Dense()
    own_levels = (*facility.inner_levels, *facility.levels)
    subtrees = {level: _Dense() for level in own_levels}
    count = len(ordered)
    rack, domain, stated_ids, bin_ids = (np.full(count, -1, dtype=np.int64) for _ in range(4))
    level_ids = {level: np.full(count, -1, dtype=np.int64) for level in own_levels}
    group_names: list[str] = []
    for i, node in enumerate(ordered):
        r = facility.rack_index.get(node.rack, -1) if node.rack is not None else -1
        rack[i] = r
        stated_ids[i] = stated.get(node.domain, node.domain or "")
        node_type = facility.rack_types[r] if r >= 0 else None
        scope = NvlinkScope.NONE if node_type is None else node_type.nvlink_scope
        spans = node.domain is not None and scope in (NvlinkScope.LABEL, NvlinkScope.OBJECT)
        if spans:
            domain[i] = domains.get(("domain", node.domain), node.domain or "")
        elif scope == NvlinkScope.NODE:
            domain[i] = domains.get(("node", node.name), node.name)
        if r >= 0:
            key = ("domain", node.domain) if spans else ("rack", r)
            bin_ids[i] = bins.get(key, (node.domain if spans else node.rack) or "")
            if len(group_names) < len(bins.names):
                group_names.append((node.domain or "") if spans else "")
        names = dict(node.fabric)
        # A subtree is known by its whole path: two spines may each have a leaf of the same name.
        path: tuple[str, ...] = ()
        for level in reversed(facility.levels):
            own = names.get(level)
            if own is None:
                continue
            path = (own, *path)
            level_ids[level][i] = subtrees[level].get(path, own)
        if node.inner and domain[i] >= 0:
            names = dict(node.inner)
            inside: tuple[Hashable, ...] = (int(domain[i]),)
            for level in reversed(facility.inner_levels):
                own = names.get(level)
                if own is not None:
                    inside = (*inside, own)
                    level_ids[level][i] = subtrees[level].get(inside, own)
    return Inventory(
        names=tuple(n.name for n in ordered),
        index={n.name: i for i, n in enumerate(ordered)},
        rack=rack,
        domain=domain,
        domain_names=tuple(domains.names),
        stated=stated_ids,
        stated_names=tuple(stated.names),
        bin=bin_ids,
        bin_names=tuple(bins.names),
        group_names=tuple(group_names),
        levels={
            **{level: (level_ids[level], tuple(subtrees[level].names)) for level in own_levels},
            NVLINK: (domain, tuple(domains.names)),
        },
    )
