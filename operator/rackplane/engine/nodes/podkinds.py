"""What one kind of pod takes from each rack: fixed while the facility stays as it is."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Metered, NodeType
from rackplane.engine.physics import draw
from rackplane.engine.physics.draw import Watts
from rackplane.engine.physics.facility import Facility
from rackplane.engine.values import dataclass


@dataclass(frozen=True, slots=True)
class PodKind:
    """Pods that every node is alike for: the resource, GPUs of one pod, and the power profile it runs under."""

    resource: str
    gpus: int
    profile: str
    metered: Metered = ()


def serves(node_type: NodeType | None, resource: str, gpus: int) -> bool:
    """Whether nodes of the type are there for pods of so many GPUs; a pod without any may go to every type."""
    return node_type is not None and (node_type.resource == resource or not gpus)


Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class RackNeeds:
    """Per rack: whether it serves the kind of pod at all, and the watts of one pod.  Do not write to the arrays."""

    def __init__(self, facility: Facility, kind: PodKind) -> None:
        racks = len(facility.racks)
        self._facility = facility
        self._bound: dict[int, tuple[Ints, Floats]] = {}
        self.offers = np.zeros(racks, dtype=np.bool_)
        """The rack's node type is one for such pods, whatever the rack's state."""
        self.has_profile = np.zeros(racks, dtype=np.bool_)
        self.fits = np.zeros(racks, dtype=np.bool_)
        """It has the profile too, and may take gangs."""
        self.caps = np.zeros(racks, dtype=np.int64)
        """Watts of the profile's cap of a node."""
        self.performance = np.full(racks, 100, dtype=np.int64)
        """Percent of full speed under the profile."""
        self.whole = np.zeros(racks, dtype=np.int64)
        """Pods an idle node takes; 0 for a pod without GPUs, which any number fits of."""
        self.increments = np.zeros(2 * racks, dtype=np.float64)
        """Watts of one pod over idle: nominal by rack, then peak by rack.  Rounded up for each pod."""
        self.full = np.zeros(racks, dtype=np.int64)
        """Nominal watts of one pod over idle at full power."""
        self._asked: tuple[Floats, Ints] = np.zeros(0), np.zeros(0, dtype=np.int64)
        self.exact = True
        """False if that rounding could hide a fit by a watt (several pods on one node)."""
        for r, node_type in enumerate(facility.rack_types):
            if node_type is None:
                continue
            self.whole[r] = node_type.gpus_per_node // kind.gpus if kind.gpus else 0
            if not serves(node_type, kind.resource, kind.gpus):
                continue
            self.offers[r] = True
            if not kind.gpus:
                # It draws nothing of its own, so that no profile binds it.
                self.has_profile[r], self.fits[r] = True, facility.usable(r)
                continue
            cap = draw.find_cap(node_type, kind.profile)
            if cap is None:
                continue
            self.has_profile[r] = True
            self.fits[r] = facility.usable(r)
            self.caps[r] = cap.node_watts
            self.performance[r] = cap.relative_performance_percent
            full = draw.full_increment(node_type, cap.node_watts)
            full = draw.at_most(node_type, full, kind.gpus, kind.metered)
            one = draw.share(node_type, full, kind.gpus)
            self.increments[r], self.increments[racks + r] = one.nominal, one.peak
            pods = int(self.whole[r])
            fastest = draw.find_cap(node_type, draw.DEFAULT_PROFILE) or cap
            at_most = draw.full_increment(node_type, fastest.node_watts)
            self.full[r] = draw.share(node_type, at_most, kind.gpus).nominal
            all_of_them = draw.share(node_type, full, pods * kind.gpus)
            if Watts(one.nominal * pods, one.peak * pods) != all_of_them:
                self.exact = False

    @cached_property
    def slowed(self) -> bool:
        """Whether a pod takes less than full power anywhere: only then does one place strand more than another."""
        return bool((self.increments[: self.racks] < self.full).any())

    def watts(self, rack: int) -> Watts:
        """Watts of one pod over idle in the rack."""
        return Watts(int(self.increments[rack]), int(self.increments[self.racks + rack]))

    def loads(self, rack: int) -> tuple[Ints, Floats]:
        """The cells that one pod in the rack adds to, and its watts on each. Worked out once for each rack."""
        found = self._bound.get(rack)
        if found is None:
            f = self._facility
            entries = f.entries(rack)
            watts = f.coefficients[entries] * self.increments[f.draw_index[entries]]
            drawn = watts > 0
            found = self._bound[rack] = f.cells[entries][drawn], watts[drawn]
        return found

    @property
    def racks(self) -> int:
        """How many racks there are."""
        return len(self.offers)

    def slots_within(self, headroom: Floats, most: int) -> NDArray[np.int64]:
        """Pods each rack could take by watts alone: the fewer of what nominal and what peak headroom allow.

        Args:
            headroom: watts, nominal by rack, then peak by rack.  Not to be changed afterwards.
            most: the answer where nothing bounds.
        """
        if self._asked[0] is not headroom:
            if self._all_draw:
                slots = headroom / self.increments
            else:
                slots = np.full(len(headroom), float(most))
                np.divide(headroom, self.increments, out=slots, where=self.increments > 0)
            fewest = np.minimum(slots[: self.racks], slots[self.racks :])
            # As `np.clip` does, which takes three times as long for few racks.
            self._asked = headroom, np.minimum(np.maximum(fewest, 0), most).astype(np.int64)
        return self._asked[1]

    @cached_property
    def _all_draw(self) -> bool:
        return bool((self.increments > 0).all())
