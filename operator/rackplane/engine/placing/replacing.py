"""Other nodes for slots of a running gang whose nodes are lost: inside the same NVLink domain, spare nodes among them.

Where NVLink ends in the node, a node outside it takes the slot: one in the same domain of the level that the gang
requires, as near to the lost one as there is.  Slots of one segment stay on one node there.  All lost slots find
a place together or none does: they share nodes, racks and every limit in every contingency.

The search tries every way, the preferred one first: nodes of a rack that are alike count as one, a limit that is
exceeded cuts off all that lies behind it, for more slots never draw less.  So ``None`` is proved, up to ``STEPS``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import NVLINK, NvlinkScope, Placement, Request, SlotGroup
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.nodes.podkinds import PodKind
from rackplane.engine.nodes.spares import Holding
from rackplane.engine.nodes.views import View
from rackplane.engine.physics import draw
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.placing.growing import Place
from rackplane.engine.state import State

__all__ = ["STEPS", "Replacement", "replacement"]

STEPS = 5_000
"""Nodes tried for a slot, over all slots; then the search ends without a proof."""

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Replacement:
    """``places`` is where each lost slot goes; None if there is no way.  ``proved``: every way was looked at."""

    places: Mapping[int, Place] | None
    proved: bool = True


def replacement(
    state: State, placement: Placement, held: Mapping[int, str], lost: Collection[int], request: Request
) -> Replacement:
    """Other nodes for the lost slots of a gang that keeps the others; nothing is changed.

    Whatever the state has booked for the gang counts, its lost slots too: release in a simulation what is gone.

    Args:
        placement: where the gang is, or was.
        held: slot -> node, of the slots that the state has booked for it.
        request: what a slot needs, at its power profile and until its end.  ``slots`` and ``preferred`` say nothing.
    """
    index = state.inventory.index
    kept = sorted({index[node] for slot, node in held.items() if slot not in lost and node in index})
    if not lost or not kept:
        return Replacement(None)
    own: dict[int, int] = {}
    for slot, node in held.items():
        if node in index:
            own[index[node]] = own.get(index[node], 0) + placement.gpus_of(slot)
    return _Search(state, placement, kept, own, sorted(lost), request).run()


@dataclass(frozen=True, slots=True)
class _Kind:
    """Slots that are alike: their group, the first of them, their segments, GPUs of each, and pods by node."""

    group: int
    first: int
    run: int | None
    gpus: int
    slots: Ints


@dataclass(frozen=True, slots=True)
class _Piece:
    """Lost slots that go to one node, and the nodes that may take them, the preferred first."""

    slots: tuple[int, ...]
    kind: _Kind
    nodes: tuple[int, ...]


class _Search:
    """``kept``: nodes of the slots that stay, ``own``: node -> GPUs that are booked for the gang there."""

    def __init__(
        self,
        state: State,
        placement: Placement,
        kept: Sequence[int],
        own: Mapping[int, int],
        lost: Sequence[int],
        request: Request,
    ) -> None:
        self.state, self.request, self.kept, self.own = state, request, kept, own
        self.inventory, self.facility = state.inventory, state.facility
        self._metered = request.metered_at(request.power_profile)
        self.slack = state.slack(request.until) + TOLERANCE_WATTS / 2
        self.gone = [i for slot in lost if (i := self.inventory.index.get(placement.slots[slot])) is not None]
        self.domains = [g.domain for g in placement.groups for _ in g.nodes]
        self.racks = [g.rack for g in placement.groups for _ in g.nodes]
        self.pieces = sorted(self._pieces(lost), key=lambda p: (len(p.nodes), p.nodes, p.slots))
        self.node_sets = [frozenset(piece.nodes) for piece in self.pieces]
        self.steps = STEPS
        self.taken: dict[int, list[int]] = {}
        """Node -> slots that it is given, by kind."""

    # -- what there is to choose from --------------------------------------------------------------

    @cached_property
    def _kinds(self) -> list[_Kind]:
        request = self.request
        # Spares are there for this; a domain that takes no gangs takes no slots either.
        policies = {name: replace(p, spare_nodes=0) for name, p in self.facility.domains.items()}
        stated = [self.inventory.stated_names[i] if i >= 0 else None for i in self.inventory.stated.tolist()]
        holding = Holding(policies, stated)
        away = self.state.away(request.at, request.until)
        kinds: list[_Kind] = []
        first = 0
        alike: Sequence[SlotGroup | Request] = request.groups or (request,)
        for group, of in enumerate(alike):
            kind = PodKind(of.resource, of.gpus_per_slot, request.power_profile, self._metered)
            mask = None if of.capacity is None else NodeMask.of(of.capacity)
            view = View(self.inventory, self.state.table, kind, self.state.needs(kind), holding, mask)
            slots = (view if away is None else view.without(away)).slots.copy()
            slots[self.gone] = 0
            kinds.append(_Kind(group, first, of.segment_slots, of.gpus_per_slot, slots))
            first += of.slots
        return kinds

    def _kind(self, slot: int) -> _Kind:
        return next(kind for kind in reversed(self._kinds) if slot >= kind.first)

    def _pieces(self, lost: Sequence[int]) -> Iterator[_Piece]:
        together: dict[tuple[int, int], list[int]] = {}
        for slot in lost:
            kind = self._kind(slot)
            run = kind.run
            # Where NVLink ends in the node, a segment is on one node.
            of_run = (slot - kind.first) // run if run and self._ends_in_node(slot) else -1 - slot
            together.setdefault((of_run, kind.group), []).append(slot)
        for slots in together.values():
            kind = self._kind(slots[0])
            allowed = self._allowed(slots[0]) & (kind.slots >= len(slots))
            yield _Piece(tuple(slots), kind, tuple(self._in_order(slots[0], np.flatnonzero(allowed))))

    def _ends_in_node(self, slot: int) -> bool:
        r = self.facility.rack_index.get(self.racks[slot], -1)
        node_type = self.facility.rack_types[r] if r >= 0 else None
        return not self.domains[slot] and node_type is not None and node_type.nvlink_scope == NvlinkScope.NODE

    def _allowed(self, slot: int) -> Bools:
        """The nodes of the slot's NVLink domain, or those beside any; in the gang's domain of the required level."""
        bins = self.inventory.bin
        of_bin = np.array([name == self.domains[slot] for name in self.inventory.group_names], dtype=np.bool_)
        allowed: Bools = np.zeros(len(bins), dtype=np.bool_)
        allowed[bins >= 0] = of_bin[bins[bins >= 0]]
        level = self.request.required
        if level is not None and level in self.inventory.levels:
            ids = self.inventory.levels[level][0]
            own = np.unique(ids[self.kept])
            allowed &= np.isin(ids, own[own >= 0]) if level != NVLINK or self.domains[slot] else False
        return allowed

    def _in_order(self, slot: int, nodes: Ints) -> list[int]:
        """The same rack first, then racks of the gang, then the nearest; in a rack the fullest that has room.

        Where NVLink ends in the node the emptiest first, as placement has it.
        """
        racks, table = self.inventory.rack, self.state.table
        lost_rack = self.facility.rack_index.get(self.racks[slot], -1)
        own = set(racks[self.kept].tolist())
        far = np.zeros(len(racks), dtype=np.int64)
        for level in self.facility.levels:
            ids = self.inventory.levels[level][0]
            far += ~np.isin(ids, np.unique(ids[self.kept]))
        way = 1 if self.domains[slot] else -1

        def rank(i: int) -> tuple[bool, bool, int, int, int]:
            rack = int(racks[i])
            return (rack != lost_rack, rack not in own, int(far[i]), way * int(table.free[i]), i)

        return sorted(nodes.tolist(), key=rank)

    # -- the search --------------------------------------------------------------------------------

    def run(self) -> Replacement:
        chosen: list[int] = []
        found = self._descend(chosen)
        if not found:
            return Replacement(None, proved=self.steps >= 0)
        places = {}
        for piece, node in zip(self.pieces, chosen, strict=True):
            place = (
                self.inventory.group_names[int(self.inventory.bin[node])],
                self.facility.racks[int(self.inventory.rack[node])].name,
                self.inventory.names[node],
            )
            places.update(dict.fromkeys(piece.slots, place))
        return Replacement(dict(sorted(places.items())))

    def _descend(self, chosen: list[int]) -> bool:
        p = len(chosen)
        if p == len(self.pieces):
            return True
        piece = self.pieces[p]
        # Pieces that are alike go to nodes in one order: what the one before passed over is not asked again.
        start = 0
        if p and _alike(piece, self.pieces[p - 1]):
            start = piece.nodes.index(chosen[-1])
        seen: set[tuple[int, ...]] = set()
        for node in piece.nodes[start:]:
            same = self._same(piece, node)
            if same in seen:
                continue
            seen.add(same)
            self.steps -= 1
            if self.steps < 0:
                return False
            if not self._takes(piece, node):
                continue
            cells, watts = self._draw(piece, node)
            before = self.slack[cells]
            self.slack[cells] = before - watts
            if (self.slack[cells][watts > 0] >= 0).all():
                counts = self.taken.setdefault(node, [0] * len(self._kinds))
                counts[piece.kind.group] += len(piece.slots)
                chosen.append(node)
                if self._descend(chosen):
                    return True
                chosen.pop()
                counts[piece.kind.group] -= len(piece.slots)
                if not any(counts):
                    del self.taken[node]
            self.slack[cells] = before
        return False

    def _same(self, piece: _Piece, node: int) -> tuple[int, ...]:
        """Equal for nodes that are one as good as the other: by rack, room, and what the gang has there."""
        table = self.state.table
        if node in self.taken or node in self.own or self.request.beside is not None:
            return (-1, node)
        of_kinds = [int(kind.slots[node]) for kind in self._kinds]
        # Of nodes that another piece could use too, each is its own.
        shared = [q for q, other in enumerate(self.pieces) if other is not piece and not _alike(other, piece)]
        also = [int(node in self.node_sets[q]) for q in shared]
        return (int(self.inventory.rack[node]), int(table.free[node]), *of_kinds, *also)

    def _takes(self, piece: _Piece, node: int) -> bool:
        """Whether the node has room for the piece beside what it was given already."""
        counts = self.taken.get(node, [0] * len(self._kinds))
        gpus = self._gpus(counts)
        if gpus + len(piece.slots) * piece.kind.gpus > int(self.state.table.free[node]):
            return False
        beside = self.request.beside
        if beside is not None and any(counts):
            name = self.inventory.names[node]
            return beside.slots(piece.kind.group, name, tuple(counts)) >= len(piece.slots)
        return counts[piece.kind.group] + len(piece.slots) <= int(piece.kind.slots[node])

    def _draw(self, piece: _Piece, node: int) -> tuple[Ints, NDArray[np.float64]]:
        """What the piece adds on the node: the limits of its rack, by cell, and the watts on each."""
        rack, profile = int(self.inventory.rack[node]), self.request.power_profile
        before = self.own.get(node, 0) + self._gpus(self.taken.get(node, ()))
        after = before + len(piece.slots) * piece.kind.gpus
        node_type = self.facility.rack_types[rack]
        assert node_type is not None  # the view lists no others
        more = draw.gang_increment(node_type, profile, after, self._metered) - draw.gang_increment(
            node_type, profile, before, self._metered
        )
        f, entries = self.facility, self.facility.entries(rack)
        return f.cells[entries], f.coefficients[entries] * np.where(f.peak[entries], more.peak, more.nominal)

    def _gpus(self, counts: Sequence[int]) -> int:
        return sum(n * kind.gpus for n, kind in zip(counts, self._kinds, strict=False))


def _alike(one: _Piece, other: _Piece) -> bool:
    return one.kind is other.kind and len(one.slots) == len(other.slots) and one.nodes == other.nodes
