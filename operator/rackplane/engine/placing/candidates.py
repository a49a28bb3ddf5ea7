"""What each node and rack could take of one request, all else equal: the arrays the search works on."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.nodes.podkinds import PodKind
from rackplane.engine.nodes.views import UNLIMITED, View
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.state import State

Ints = NDArray[np.int64]

_FEW_NODES = 16


class Later(Protocol):
    """A later time with what will run then."""

    def slack(self, until: float | None) -> NDArray[np.float64]:
        """Watts left by cell then, for something that ends at ``until``."""


def view_for(state: State, request: Request, profile: str) -> View:
    """Slots by node for the request's pods under that power profile, as of now."""
    mask = None if request.capacity is None else NodeMask.of(request.capacity)
    metered = request.metered_at(profile)
    return state.view(PodKind(request.resource, request.gpus_per_slot, profile, metered), mask)


def too_few_nodes(state: State, request: Request) -> bool:
    """Whether the nodes that have any room are so few that it takes no search to see that they do not suffice.

    By free GPUs and the mask alone; False where that is not looked at, as of pods that differ or have no GPUs.
    """
    each = request.gpus_per_slot
    if request.groups or each <= 0:
        return False
    rows = (state.free >= each).nonzero()[0].tolist()
    if len(rows) > _FEW_NODES:
        return False
    names, free, capacity = state.inventory.names, state.free, request.capacity
    slots = 0
    for row in rows:
        here = int(free[row]) // each
        slots += here if capacity is None else min(here, max(0, capacity.get(names[row]) or 0))
    return slots < request.slots


class Candidates:
    """Per node, rack and limit: what one request under one power profile may use.

    Watts per slot are rounded up for each slot, so what fits here fits exactly; ``exact`` is False when that
    rounding could hide a fit by a watt (several slots on one node), in which case nothing is proved by it.
    """

    def __init__(self, state: State, request: Request, profile: str, *, later: Sequence[Later] = ()) -> None:
        """``later``: times at which it must fit as well, beside what is reserved for others then."""
        self.state = state
        self.request = request
        self.profile = profile
        self.metered = request.metered_at(profile)
        self.view = view_for(state, request, profile)
        away = state.away(request.at, request.until)
        if away is not None:
            self.view = self.view.without(away)
        needs = self.view.needs
        self.needs = needs
        self.exact = needs.exact
        self.offers, self.has_profile, self.performance = needs.offers, needs.has_profile, needs.performance
        self.node_slots = self.view.slots
        self.slack = state.slack(request.until, at=request.at)
        self.slack += TOLERANCE_WATTS / 2
        for then in later:
            # What it adds to a limit is the same then as now, so the lesser slack of the two bounds it.
            self.slack = np.minimum(self.slack, then.slack(request.until) + TOLERANCE_WATTS / 2)
        if state.facility.windows or request.at is not None or later:
            headroom = np.concatenate(state.headrooms_under(self.slack))
        else:
            headroom = state.tolerant_headrooms()
        self.nominal_headroom = headroom[: needs.racks]
        """Watts each rack could still draw, taken alone."""
        self.rack_slots = needs.slots_within(headroom, UNLIMITED)
        """Slots each rack could take by watts and heat, taken alone."""
        self.names = state.inventory.names

    @cached_property
    def use(self) -> NDArray[np.float64]:
        """Entry -> watts on its limit for one slot in its rack."""
        f = self.state.facility
        return f.coefficients * self.needs.increments[f.draw_index]

    def under(self, slack: NDArray[np.float64]) -> Candidates:
        """The same request with other watts left by cell: what if limits were higher."""
        other = copy.copy(self)
        other.slack = slack
        headroom = np.concatenate(self.state.headrooms_under(slack))
        other.nominal_headroom = headroom[: self.needs.racks]
        other.rack_slots = self.needs.slots_within(headroom, UNLIMITED)
        return other

    def only(self, allowed: Ints) -> Candidates:
        """The same request with at most so many slots by node."""
        other = copy.copy(self)
        other.__dict__.pop("_room", None)
        other.view = self.view.only(allowed)
        other.node_slots = other.view.slots
        return other

    def limited(self, allowed: Ints) -> Candidates:
        """The same request with at most so many slots by node, which counts as having as many free as it has."""
        other = copy.copy(self)
        other.node_slots = np.minimum(self.node_slots, allowed)
        return other

    @cached_property
    def _room(self) -> Ints:
        """Free slots by rack, by nodes alone."""
        rack, room = self.state.inventory.rack, np.zeros(len(self.rack_slots), dtype=np.int64)
        np.add.at(room, rack[rack >= 0], self.view.slots[rack >= 0])
        return room

    def stranded_watts(self, rack: int, slots: int) -> int:
        """Watts that so many slots strand in a rack: what of its headroom no free slot of it can use at full power.

        The rack's own headroom counts, the least over all limits and losses, as if nothing else changed; and as the
        difference to what is stranded there already, so that racks compare.  Slots at full power strand nothing.
        """
        full, one = int(self.needs.full[rack]), int(self.needs.increments[rack])
        if one == full:
            return 0
        headroom = max(0, int(np.floor(min(float(self.nominal_headroom[rack]), float(UNLIMITED)))))
        free = int(self._room[rack])

        def unusable(taken: int) -> int:
            left = headroom - taken * one
            return left - full * min(free - taken, left // full)

        return unusable(slots) - unusable(0)

    def use_of(self, rack: int) -> NDArray[np.float64]:
        """As ``use``, for one rack's entries."""
        f = self.state.facility
        entries = f.entries(rack)
        increments: NDArray[np.float64] = self.needs.increments[f.draw_index[entries]]
        return f.coefficients[entries] * increments

    def rack_limit(self, rack: int, slack: NDArray[np.float64]) -> int:
        """Slots the rack can take by watts under this slack."""
        cells, watts = self.needs.loads(rack)
        if not len(cells):
            return UNLIMITED
        return math.floor(min(max(float((slack[cells] / watts).min()), 0.0), float(UNLIMITED)))

    def fits_together(self, slots: Mapping[int, int]) -> bool:
        """Whether so many slots by rack hold under every limit together."""
        if len(slots) == 1:
            ((rack, n),) = slots.items()
            alone, one = self.needs.loads(rack)
            return bool((one * n <= np.maximum(self.slack[alone], 0.0)).all())
        f = self.state.facility
        racks = np.fromiter(slots, dtype=np.int64, count=len(slots))
        entries, counts = f.entries_of_racks(racks)
        taken = np.repeat(np.fromiter(slots.values(), dtype=np.float64, count=len(slots)), counts)
        watts = f.coefficients[entries] * self.needs.increments[f.draw_index[entries]] * taken
        cells = f.cells[entries]
        total = np.bincount(cells, watts)
        return bool((total[cells] <= np.maximum(self.slack[cells], 0.0)).all())

    def take(self, rack: int, slots: int, slack: NDArray[np.float64]) -> None:
        """Lower the slack by so many slots in the rack."""
        cells, watts = self.needs.loads(rack)
        slack[cells] -= watts * slots
