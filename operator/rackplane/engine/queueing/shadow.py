"""The state at a reserved time: what is over by then is gone, and what is reserved runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Placement
from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.physics.draw import Watts, find_cap
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.state import State


@dataclass(frozen=True, slots=True)
class Reservation:
    """A place held for a gang that waits, from ``at`` on; it is expected to run there until ``until``.

    ``exclusive``: it holds now, and nobody else may use the place meanwhile either, however short.  ``kept_free``: the
    same of one that holds from ``at`` on.  ``over``: bookings that make way for it, whatever their expected end.  Times
    are on the clock of ``Request.until``.
    """

    key: str
    at: float
    until: float
    placement: Placement
    exclusive: bool = False
    over: frozenset[str] = frozenset()
    kept_free: bool = False

    @property
    def blocks(self) -> bool:
        """Whether nobody else may go there before either, however short."""
        return self.exclusive or self.kept_free


def gpus_by_node(placement: Placement) -> dict[str, int]:
    """Node -> GPUs that the placement takes there; 0 for slots that have none."""
    found: dict[str, int] = {}
    for slot, node in enumerate(placement.slots):
        found[node] = found.get(node, 0) + placement.gpus_of(slot)
    return found


def slots_lost(state: State, others: Iterable[Reservation], gpus: int) -> int:
    """Slots of so many GPUs that free GPUs make now and will not once these others have their places.

    Each node by itself, and of those who are to have one node at different times the one that takes most of it.
    """
    lost: dict[str, int] = {}
    for r in others:
        for node, taken in gpus_by_node(r.placement).items():
            kind = state.node_type(node)
            there = 0 if kind is None else max(0, kind.gpus_per_node - taken) // gpus
            lost[node] = max(lost.get(node, 0), state.free_gpus(node) // gpus - there)
    return sum(lost.values())


class Shadow:
    """Loads and nodes at one time.  It answers for the state as it is; another state needs another shadow.

    Making one costs as much as the bookings that are over by then have racks; asking costs what is asked about.
    """

    def __init__(
        self,
        state: State,
        at: float,
        reserved: Iterable[Reservation],
        *,
        ends: Mapping[str, float] | None = None,
        away: Collection[str] = (),
    ) -> None:
        """What is reserved must be of gangs that hold nothing.

        Args:
            at: the time.
            reserved: what runs then.
            ends: when bookings are taken to end that the state expects no end of.
            away: bookings that are gone by then, whatever their expected end.
        """
        self.at = at
        self._state = state
        self._ends: Mapping[str, float] = {} if ends is None else ends
        self._away = away
        self._reserved = tuple(reserved)
        self._on: dict[str, list[tuple[int, str]]] = {}
        for r in self._reserved:
            for node, gpus in gpus_by_node(r.placement).items():
                self._on.setdefault(node, []).append((gpus, r.placement.power_profile))
        self._slots: dict[str, list[tuple[str, list[int]]]] | None = None
        self._loads = state.after(self._changes() if state.facility.parts else self._plain_changes())
        self._slack: NDArray[np.float64] | None = None
        self._spares = self._spared()

    def _plain_changes(self) -> dict[int, list[int]]:
        """As `_changes`, where a draw has no parts."""
        state = self._state
        found: dict[int, list[int]] = {}
        for key in state.over_by(self.at, self._ends, self._away):
            for rack, watts in state.draws_of(key).items():
                delta = found.setdefault(rack, [0, 0])
                delta[0] -= watts.nominal
                delta[1] -= watts.peak
        for r in self._reserved:
            place = r.placement
            draws_then = state.draws_by_rack(gpus_by_node(place), place.power_profile, place.metered)
            for rack, watts in draws_then.items():
                delta = found.setdefault(rack, [0, 0])
                delta[0] += watts.nominal
                delta[1] += watts.peak
        return found

    def _changes(self) -> dict[int, list[int]]:
        state, windows = self._state, self._state.facility.windows
        found: dict[int, list[int]] = {}

        def add(racks: Mapping[int, Watts], until: float | None, sign: int, taken: Mapping[int, int]) -> None:
            before = [until is not None and until <= start for start in windows]
            for rack, watts in racks.items():
                delta = found.setdefault(rack, [0] * (2 + state.facility.parts))
                delta[0] += sign * watts.nominal
                delta[1] += sign * watts.peak
                for w, counts in enumerate(before):
                    delta[2 + w] += sign * watts.nominal * counts
                if state.facility.counts_caps:
                    delta[-1] += sign * min(watts.nominal, taken.get(rack, 0))

        for key in state.over_by(self.at, self._ends, self._away):
            add(state.draws_of(key), state.until(key), -1, state.taken_by_rack(key))
        for r in self._reserved:
            place = r.placement
            draws_then = state.draws_by_rack(gpus_by_node(place), place.power_profile, place.metered)
            add(draws_then, r.until, 1, {})
        return found

    # -- nodes -------------------------------------------------------------------------------------

    @property
    def nodes(self) -> Iterable[str]:
        """The nodes on which something is reserved, or that must stay idle for it."""
        return dict.fromkeys([*self._on, *self._spares])

    def reserved_on(self, node: str) -> Sequence[tuple[str, Sequence[int]]]:
        """What is reserved on the node at that time: the gang and its slots."""
        if self._slots is None:
            self._slots = {}
            for r in self._reserved:
                mine: dict[str, list[int]] = {}
                for slot, name in enumerate(r.placement.slots):
                    mine.setdefault(name, []).append(slot)
                for name, slots in mine.items():
                    self._slots.setdefault(name, []).append((r.key, slots))
        return self._slots.get(node, ())

    def over(self, key: str) -> bool:
        """Whether the booking is gone by then."""
        end = self._state.until(key)
        if end is None:
            end = self._ends.get(key)
        return (end is not None and end <= self.at) or key in self._away

    def gpus(self, node: str, profile: str) -> int:
        """GPUs of the node that are free then for a gang of that power profile, beside what is reserved."""
        state = self._state
        node_type = state.node_type(node)
        if node_type is None or node in self._spares:
            return 0
        wanted = find_cap(node_type, profile)
        free = node_type.gpus_per_node - state.other_gpus(node)
        for gpus, theirs in self._running(node):
            there = wanted if theirs == profile else find_cap(node_type, theirs)
            if gpus and (there is None or wanted is None or there.node_watts != wanted.node_watts):
                return 0  # a node has one power profile
            free -= gpus
        return max(0, free)

    def slots(self, node: str, gpus_per_slot: int, profile: str) -> int:
        """Slots of that size that the node takes then by GPUs."""
        return self.gpus(node, profile) // gpus_per_slot if gpus_per_slot else UNLIMITED

    def _running(self, node: str) -> Iterable[tuple[int, str]]:
        """GPUs and power profile of all that is on the node then."""
        for key, gpus, profile in self._state.held_on(node):
            if not self.over(key):
                yield gpus, profile
        yield from self._on.get(node, ())

    def _idle(self, domain: int) -> list[str]:
        """The domain's healthy nodes with nothing on them at that time, in the inventory's order."""
        state = self._state
        names = state.inventory.names
        return [
            names[i]
            for i in state.holding.domains[domain][1].tolist()
            if state.table.healthy[i]
            and state.table.gpus[i] > 0
            and not state.other_gpus(names[i])
            and not any(gpus for gpus, _ in self._running(names[i]))
        ]

    def _domains(self, nodes: Iterable[str]) -> dict[int, None]:
        """The domains with a policy that these nodes are in."""
        state = self._state
        if not state.holding.domains:
            return {}
        rows = [state.inventory.index[node] for node in nodes if node in state.inventory.index]
        return dict.fromkeys(k for i in rows if (k := int(state.holding.of_node[i])) >= 0)

    def _spared(self) -> frozenset[str]:
        """Nodes that must stay idle, so that the domains of what is reserved have their spares then."""
        found: list[str] = []
        for domain in self._domains(self._on):
            idle = self._idle(domain)
            found += idle[max(0, len(idle) - self._state.holding.kept(domain, self._state.table)) :]
        return frozenset(found)

    # -- questions ---------------------------------------------------------------------------------

    def slack(self, until: float | None) -> NDArray[np.float64]:
        """Watts left by cell then, for something that ends at ``until`` (None: never); inf where it is not bound.

        Do not write to it.
        """
        if self._state.facility.windows:
            return self._loads.slack(until, at=self.at)
        if self._slack is None:  # without coming budgets it is the same for all
            self._slack = self._loads.slack(until, at=self.at)
        return self._slack

    def takes(self, placement: Placement, until: float | None) -> bool:
        """Whether the placement fits then beside all that runs and is reserved: GPUs, power profiles and all limits."""
        wanted, profile = gpus_by_node(placement), placement.power_profile
        if any(gpus > self.gpus(node, profile) for node, gpus in wanted.items() if gpus):
            return False
        f, draws = self._state.facility, self._state.draws_by_rack(wanted, profile, placement.metered)
        slack = np.maximum(self.slack(until) + TOLERANCE_WATTS / 2, 0.0)
        if len(draws) == 1:
            ((rack, watts),) = draws.items()
            cells, coefficients, of_peak = f.entries_by_rack[rack]
            return bool((coefficients * np.where(of_peak, watts.peak, watts.nominal) <= slack[cells]).all())
        added = np.zeros(len(f.limits))
        for rack, watts in draws.items():
            cells, coefficients, of_peak = f.entries_by_rack[rack]
            added[cells] += coefficients * np.where(of_peak, watts.peak, watts.nominal)
        return bool((added <= slack).all())

    def could_start(self, placement: Placement, until: float | None) -> bool:
        """As :meth:`takes`, for one that starts then: on healthy nodes that take it until it ends, spares left over."""
        state, f = self._state, self._state.facility
        away, index = state.away(self.at, until), state.inventory.index
        if away is not None and any(away[index[node]] for node in placement.slots if node in index):
            return False
        for node in dict.fromkeys(placement.slots):
            spec = state.node(node)
            if spec is None or not spec.healthy or spec.rack is None:
                return False
            rack = f.rack_index.get(spec.rack)
            if rack is None or not f.usable(rack):
                return False
        taken = set(placement.slots)
        for domain in self._domains(taken):
            policy = state.holding.domains[domain][0]
            idle = self._idle(domain)
            spares = state.holding.kept(domain, state.table)
            if not policy.schedulable or (
                taken.intersection(idle) and len(idle) - len(taken.intersection(idle)) < spares
            ):
                return False
        return self.takes(placement, until)
