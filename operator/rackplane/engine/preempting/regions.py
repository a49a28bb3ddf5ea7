"""The domains in which a gang could start if gangs were stopped, each with what is missing there at least.

Nothing is searched for here: nodes and every limit are looked at one by one, each as if the others did not bind, and
as if the victims' nodes were the gang's to the last GPU. So what a domain is found to miss it does miss, and a set of
victims that does not give as much cannot be enough; whether one that does is enough the engine has to say.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.placing.attempts import Attempt, widest
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.domains import Domains
from rackplane.engine.placing.shortage import Room, all_shortages
from rackplane.engine.preempting.covers import Demand, Gains
from rackplane.engine.preempting.releases import Releases
from rackplane.engine.state import State

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LIMITS_KEPT = 16
"""Limits by domain that are looked at, the furthest exceeded ones; the others are left to the engine."""
_NOISE_WATTS = 0.1


@dataclass(frozen=True, slots=True)
class Segments:
    """A domain in which every run of the gang needs one bin: free slots by bin, and what victims give to each."""

    free: tuple[int, ...]
    room: tuple[int, ...]
    gains: tuple[Gains, ...]


@dataclass(slots=True)
class Region:
    """One domain under one power profile, and what is missing there."""

    survey: Survey
    domain: int
    demands: list[Demand]
    plain: int
    """So many of the demands, the first, are not of watts."""
    on_nodes: frozenset[int]
    """Victims that hold something on its nodes."""

    @property
    def name(self) -> str:
        """The domain's name on its level."""
        return self.survey.domains.name(self.domain)

    def meets(self, chosen: Collection[int]) -> bool:
        """Whether stopping these gives all that is known to be missing."""
        return all(sum(g.amounts.get(v, 0) for v in chosen) >= d for g, d in self.demands)

    @property
    def at_least(self) -> int:
        """A lower bound on the price of what is missing, by nodes and quotas alone: quickly known."""
        return self._bound(self.demands[: self.plain])

    def least(self) -> int:
        """A lower bound on the price of what is missing."""
        return self._bound(self.demands)

    def _bound(self, demands: Sequence[Demand]) -> int:
        return max((gains.least(deficit, ())[0] or 0 for gains, deficit in demands), default=0)


class Survey:
    """All domains of the level that must hold the gang, under one power profile."""

    def __init__(
        self,
        state: State,
        asked: Request,
        freed: Request,
        profile: str,
        releases: Releases,
        weights: Sequence[int],
    ) -> None:
        """``asked`` is the request as it is now, ``freed`` with the pods of all victims gone from the nodes."""
        self.state, self.releases, self.weights = state, releases, weights
        self.candidates = Candidates(state, asked, profile)
        self.attempt: Attempt = widest(self.candidates)
        self.domains = Domains(self.attempt)
        self.free, self.room = self._nodes(freed)
        layout = self.attempt.layout
        owner = np.full(len(layout.part_of_node), -1, dtype=np.int64)
        bins = layout.bin_of_node[layout.rows]
        owner[layout.rows] = bins if self.attempt.single else layout.tree_of_bin[bins]
        self.owner: Ints = owner
        """Node -> domain; -1 if it is in none."""

    def _nodes(self, freed: Request) -> tuple[Ints, Ints]:
        """Slots by node: as it is, and if every victim were stopped; the second is never too few."""
        view, table = self.candidates.view, self.state.table
        gpus, count = view.kind.gpus, len(self.state.inventory.names)
        rack = self.state.inventory.rack
        ok = (rack >= 0) & table.healthy
        ok[ok] = view.needs.fits[rack[ok]]
        room = table.free + self.releases.freed(count)
        room = np.minimum(room, table.gpus) // gpus if gpus else np.full(count, UNLIMITED, dtype=np.int64)
        room[~ok] = 0
        if freed.capacity is not None:
            mask = NodeMask.of(freed.capacity)
            allowed = np.fromiter(map(mask.get, self.state.inventory.names), dtype=np.int64, count=count)
            room = np.minimum(room, allowed)
        touched = np.zeros(count, dtype=np.bool_)
        touched[self.releases.node] = True
        free: Ints = view.slots.copy()
        is_held = np.zeros(count, dtype=np.bool_)
        is_held[view.holding.all_held(table)] = True
        room = np.where(touched, np.maximum(room, free), np.where(is_held, room, free))
        for policy, nodes in view.holding.domains:
            if not policy.schedulable or policy.spare_nodes < 0:
                free[nodes] = room[nodes] = 0
                continue
            held = nodes[is_held[nodes]]
            if int(np.ptp(room[nodes])) == 0:
                room[held] = 0  # whichever nodes are held back, as many are: all are alike
            else:
                free[held] = room[held]
        return free, room

    def regions(self, needs: Sequence[Demand]) -> list[Region]:
        """The domains whose demands all victims together could meet; ``needs`` are missing in each of them."""
        slots, domains, layout = self.candidates.request.slots, self.domains, self.attempt.layout
        if not len(domains):
            return []
        possible = domains.large_enough(layout.sum_by_bin(layout.sum_by_part(self.room)))
        free = self._by_domain(self.free)
        gains = self._gains_by_domain(possible)
        short = self._limits(possible)
        found = []
        for d in np.flatnonzero(possible).tolist():
            demands = list(needs)
            if free[d] < slots:
                demands.append((Gains(gains.get(d, {}), self.weights), slots - int(free[d])))
            plain = len(demands)
            demands.extend(short.get(d, ()))
            if all(g.total >= deficit for g, deficit in demands):
                found.append(Region(self, d, demands, plain, frozenset(gains.get(d, ()))))
        return found

    def _by_domain(self, nodes: Ints) -> Ints:
        listed = self.owner >= 0
        capped = np.minimum(nodes[listed], self.candidates.request.slots)
        return np.bincount(self.owner[listed], capped, minlength=len(self.domains)).astype(np.int64)

    @property
    def _gain(self) -> Ints:
        """Slots by row of the releases that stopping the victim can make on the node, at most."""
        r, gpus = self.releases, self.candidates.view.kind.gpus
        most = self.room[r.node] - self.free[r.node]
        if not gpus:
            return most
        plain = self.free[r.node] == self.state.table.free[r.node] // gpus
        return np.where(plain, np.minimum(most, -(-r.gpus // gpus)), most)

    def _gains_by_domain(self, possible: Bools) -> dict[int, dict[int, int]]:
        r, gain = self.releases, np.minimum(self._gain, self.candidates.request.slots)
        domain = self.owner[r.node]
        kept = (domain >= 0) & possible[domain]
        found: dict[int, dict[int, int]] = {}
        for d, v, n in zip(domain[kept].tolist(), r.victim[kept].tolist(), gain[kept].tolist(), strict=True):
            of = found.setdefault(d, {})
            of[v] = of.get(v, 0) + n
        return found

    def _limits(self, possible: Bools) -> dict[int, list[Demand]]:
        """Domain -> the limits that the gang exceeds there however it is spread, and who could give watts back."""
        domain, cell, short = all_shortages(self.candidates, self._room(possible))
        kept = short > _NOISE_WATTS
        domain, cell, short = domain[kept], cell[kept], short[kept]
        rows = self.state.facility.cell_rows
        chosen: dict[int, dict[int, tuple[int, int]]] = {}
        # Of one limit the loss under which it is exceeded furthest.
        for i in np.argsort(-short, kind="stable").tolist():
            of = chosen.setdefault(int(domain[i]), {})
            if len(of) < LIMITS_KEPT:
                of.setdefault(int(rows[cell[i]]), (int(cell[i]), ceil(short[i] - _NOISE_WATTS)))
        wanted = np.zeros(len(rows), dtype=np.bool_)
        for of in chosen.values():
            wanted[[c for c, _ in of.values()]] = True
        gains = {c: Gains(g, self.weights) for c, g in self.releases.watts(wanted).items()}
        return {d: [(gains[c], watts) for c, watts in of.values()] for d, of in chosen.items()}

    def _room(self, possible: Bools) -> Room:
        listed = np.flatnonzero((self.owner >= 0) & (self.room > 0))
        listed = listed[possible[self.owner[listed]]]
        racks = self.candidates.needs.racks
        keys, place = np.unique(
            self.owner[listed] * racks + self.state.inventory.rack[listed], return_inverse=True
        )
        slots = np.bincount(place, np.minimum(self.room[listed], UNLIMITED), minlength=len(keys))
        return Room(keys // max(1, racks), keys % max(1, racks), slots.astype(np.int64), len(self.domains))

    def helpers(self, domain: int) -> frozenset[int]:
        """Victims that take watts of a limit that the gang could exceed in this domain, if it is spread unluckily."""
        f, candidates = self.state.facility, self.candidates
        racks = np.unique(self.state.inventory.rack[(self.owner == domain) & (self.room > 0)])
        most = np.zeros(len(candidates.slack))
        for rack in racks.tolist():
            entries = f.entries(rack)
            np.maximum.at(most, f.cells[entries], candidates.use_of(rack))
        wanted = most * candidates.request.slots > np.maximum(candidates.slack, 0.0) - _NOISE_WATTS
        return frozenset(v for g in self.releases.watts(wanted & (most > 0)).values() for v in g)

    def gains(self, domain: int) -> dict[int, int]:
        """Victim -> slots that stopping it can make in the domain, at most."""
        return self._gains_by_domain(self.domains.only(domain)).get(domain, {})

    def watts(self, cell: int) -> dict[int, int]:
        """Victim -> watts that stopping it takes off a limit."""
        wanted = np.zeros(len(self.candidates.slack), dtype=np.bool_)
        wanted[cell] = True
        return self.releases.watts(wanted)[cell]

    def segments(self, domain: int) -> Segments | None:
        """The domain bin by bin; None if the gang's runs need no bin each."""
        run = self.candidates.request.segment_slots or 1
        if self.attempt.single or run == 1:
            return None
        layout, r, gain = self.attempt.layout, self.releases, self._gain
        bins = layout.bins(domain)
        bin_of = layout.bin_of_node[r.node]
        amounts: list[dict[int, int]] = [{} for _ in bins]
        inside = (bin_of >= bins.start) & (bin_of < bins.stop)
        for b, v, n in zip(
            bin_of[inside].tolist(), r.victim[inside].tolist(), gain[inside].tolist(), strict=True
        ):
            of = amounts[b - bins.start]
            of[v] = of.get(v, 0) + n
        free, room = (
            layout.sum_by_bin(layout.sum_by_part(n))[bins.start : bins.stop] for n in (self.free, self.room)
        )
        return Segments(
            tuple(free.tolist()), tuple(room.tolist()), tuple(Gains(a, self.weights) for a in amounts)
        )
