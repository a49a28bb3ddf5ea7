"""Which nodes planned maintenance takes away while a gang would run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Maintenance
from rackplane.engine.nodes.inventory import Inventory
from rackplane.engine.physics.facility import Facility

__all__ = ["Planned"]

_Windows = tuple[tuple[int, tuple[Maintenance, ...]], ...]


class Planned:
    """Of one facility and inventory: what is to come for racks and NVLink domains. Costs nothing where nothing is."""

    def __init__(self, facility: Facility, inventory: Inventory) -> None:
        self.facility, self.inventory = facility, inventory
        self._racks: _Windows = tuple(
            (i, r.maintenance) for i, r in enumerate(facility.racks) if r.maintenance
        )
        self._domains: _Windows = tuple(
            (i, facility.domains[name].maintenance)
            for i, name in enumerate(inventory.stated_names)
            if name in facility.domains and facility.domains[name].maintenance
        )

    def away(self, at: float | None, until: float | None) -> NDArray[np.bool_] | None:
        """The nodes that are away at some time from ``at`` (None: now) to ``until`` (None: for ever); None: no node."""
        racks = [i for i, windows in self._racks if any(w.meets(at, until) for w in windows)]
        domains = [i for i, windows in self._domains if any(w.meets(at, until) for w in windows)]
        if not racks and not domains:
            return None
        found: NDArray[np.bool_] = np.isin(self.inventory.rack, racks) | np.isin(
            self.inventory.stated, domains
        )
        return found
