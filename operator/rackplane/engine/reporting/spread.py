"""Over how many racks and NVLink domains a gang lies, and over how many it would have to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Placement
from rackplane.engine.state import State

__all__ = ["Spread", "spread"]


@dataclass(frozen=True, slots=True)
class Spread:
    """``fewest`` are those that have as many GPUs in all, of the resource that the gang uses, used by others or not."""

    racks: int
    fewest_racks: int
    domains: int
    fewest_domains: int


def spread(state: State, placement: Placement) -> Spread | None:
    """None for a gang without GPUs, or on nodes that are not known."""
    inventory = state.inventory
    nodes = [inventory.index[name] for name in dict.fromkeys(placement.slots) if name in inventory.index]
    first = next((t for name in placement.slots if (t := state.node_type(name)) is not None), None)
    gpus = placement.gpus
    if not nodes or not gpus or first is None:
        return None
    racks, domains = state.largest_first(first.resource)
    return Spread(
        _count(inventory.rack, nodes),
        _fewest(racks, gpus),
        _count(inventory.domain, nodes),
        _fewest(domains, gpus),
    )


def _count(group: NDArray[np.int64], nodes: list[int]) -> int:
    """In how many groups these nodes are."""
    return 1 if len(nodes) == 1 else len(set(group[nodes].tolist()))


def _fewest(sums: NDArray[np.int64], wanted: int) -> int:
    """The fewest groups of nodes that have so many GPUs together; at least one."""
    return min(int(sums.searchsorted(wanted)) + 1, max(1, len(sums)))
