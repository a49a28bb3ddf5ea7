"""The largest gang that could start now, per fabric level and power profile, and what stops one more.

Exact with respect to :func:`engine.placing.placement.place`: it places the size that is named and refuses the next.
An upper bound from the candidates comes first; where `place` reaches it, the bound is also the proof.  Otherwise the
size is found by bisection.  Sizes are comparable because a gang of one slot less fits wherever a gang fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rackplane.engine.model import NVLINK, NodeType, Placement, Refusal, RefusalKind, Request
from rackplane.engine.physics.draw import find_cap
from rackplane.engine.placing.attempts import widest
from rackplane.engine.placing.bounds import most_slots
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.domains import Domains
from rackplane.engine.placing.placement import place, refuse
from rackplane.engine.state import State

_MANY = 2**30
"""Slots: more than any facility has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The largest gang of one kind: ``slots`` is 0 where none could start.

    ``level`` is one of the facility's ladder, or "" for anywhere in it.  ``domain`` is the domain of that level
    that takes the gang ("" for the facility).  Watts are what the gang adds over idle.
    """

    node_type: str
    """Its name, or the resource where pods of part of a node may go to any type that has it."""
    gpus_per_slot: int
    level: str
    profile: str
    slots: int
    gpus: int
    domain: str
    racks: tuple[str, ...]
    nominal_watts: int
    peak_watts: int
    relative_performance_percent: int
    stopped_by: Refusal
    """What `place` says to one slot more."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the slots of one question are: a pod of so many GPUs on these nodes (None: on any with the resource)."""

    name: str
    resource: str
    gpus: int
    profiles: tuple[str, ...]
    only: Mapping[str, int] | None


def capacities(
    state: State,
    *,
    gpus_per_slot: int | None = None,
    segment_slots: int | None = None,
    levels: Sequence[str] | None = None,
    profiles: Sequence[str] | None = None,
) -> list[Capacity]:
    """The largest gang for every node type, power profile and level, in that order; levels from the nearest up.

    Args:
        gpus_per_slot: GPUs of one pod; None is a whole node, of each node type apart.
        segment_slots: runs of so many slots each stay in one NVLink domain.
        levels: only these (one of the facility's ladder, "" for the facility); None is every level in use.
        profiles: only these; one that a node type does not have is left out there.

    Raises:
        ValueError: ``gpus_per_slot`` is below 1.
    """
    found = []
    used = _levels_in_use(state)
    for kind in _kinds(state, gpus_per_slot):
        for profile in kind.profiles:
            if profiles is not None and profile not in profiles:
                continue
            known: dict[bytes, Placement | None] = {}
            for level in used:
                if levels is None or level in levels:
                    request = Request(
                        slots=1,
                        gpus_per_slot=kind.gpus,
                        resource=kind.resource,
                        required=level or None,
                        segment_slots=segment_slots,
                        power_profile=profile,
                        strict=True,
                        capacity=kind.only,
                    )
                    found.append(_capacity(state, request, kind.name, known))
    return found


def largest(state: State, request: Request) -> tuple[Placement | None, Refusal]:
    """The largest placement of such a gang, whatever ``request.slots`` says, and why one slot more is refused.

    Raises:
        ValueError: its slots ask for no GPU, so that nothing bounds their number.
    """
    if request.gpus_per_slot < 1:
        raise ValueError(f"a slot of {request.gpus_per_slot} GPUs: at least 1 is needed")

    def sized(slots: int) -> Request:
        return replace(request, slots=slots)

    bound = upper_bound(state, request)
    answer = place(state, sized(bound))
    if isinstance(answer, Placement):
        return answer, refuse(state, sized(bound + 1))
    best: Placement | None = None
    lowest, refused, why = 0, bound, answer
    while refused - lowest > 1:
        middle = (lowest + refused) // 2
        answer = place(state, sized(middle))
        if isinstance(answer, Placement):
            lowest, best = middle, answer
        else:
            refused, why = middle, answer
    return best, why


def upper_bound(state: State, request: Request) -> int:
    """Slots that no placement of such a gang under its own power profile exceeds; at least 1."""
    candidates = Candidates(state, replace(request, slots=_MANY), request.power_profile)
    run, most = request.segment_slots or 1, 1
    for domain in Domains(widest(candidates)):
        # By nodes and each rack's watts alone: of a thousand domains most cannot be better than the first few.
        if sum(b.cap for b in domain.bins) > most:
            most = max(most, most_slots(candidates, domain.bins, run))
    return most


def _levels_in_use(state: State) -> list[str]:
    """From the nearest up: the levels that any node has, the NVLink domain among them, and the facility ("")."""
    inventory = state.inventory
    return [*(level for level in state.facility.ladder if (inventory.levels[level][0] >= 0).any()), ""]


def _kinds(state: State, gpus_per_slot: int | None) -> list[_Kind]:
    facility, inventory = state.facility, state.inventory
    types = {t.name: t for t in facility.rack_types if t is not None and t.gpus_per_node > 0}
    if gpus_per_slot is not None:
        by_resource: dict[str, list[NodeType]] = {}
        for t in types.values():
            by_resource.setdefault(t.resource, []).append(t)
        return [
            _Kind(resource, resource, gpus_per_slot, _profiles(group), None)
            for resource, group in sorted(by_resource.items())
        ]
    kinds = []
    for name, t in sorted(types.items()):
        of_type = np.array([r is not None and r.name == name for r in facility.rack_types], dtype=np.bool_)
        members = np.flatnonzero((inventory.rack >= 0) & of_type[inventory.rack])
        alone = len(types) == 1
        only = None if alone else {inventory.names[i]: 1 for i in members}
        kinds.append(_Kind(name, t.resource, t.gpus_per_node, _profiles([t]), only))
    return kinds


def _profiles(types: Sequence[NodeType]) -> tuple[str, ...]:
    """Highest first; every type has a MaxP."""
    watts: dict[str, int] = {}
    for t in types:
        for name in ("MaxP", *(c.name for c in t.caps)):
            cap = find_cap(t, name)
            if cap is not None:
                watts[name] = max(watts.get(name, 0), cap.node_watts)
    return tuple(sorted(watts, key=lambda name: (-watts[name], name)))


def _capacity(state: State, request: Request, name: str, known: dict[bytes, Placement | None]) -> Capacity:
    """``known`` are the answers so far: levels that part the nodes alike (a spine to each hall) have the same one."""
    parts = _parts(state, request.required)
    if parts in known:
        best = known[parts]
        why = refuse(state, replace(request, slots=1 + (0 if best is None else len(best.slots))))
    else:
        best, why = largest(state, request)
        if why.kind is RefusalKind.UNPLACEABLE:
            known[parts] = best
    level = request.required or ""
    return Capacity(
        node_type=name,
        gpus_per_slot=request.gpus_per_slot,
        level=level,
        profile=request.power_profile,
        slots=0 if best is None else len(best.slots),
        gpus=0 if best is None else len(best.slots) * request.gpus_per_slot,
        domain="" if best is None else _domain(state, best, level),
        racks=() if best is None else tuple(dict.fromkeys(g.rack for g in best.groups)),
        nominal_watts=0 if best is None else best.nominal_watts,
        peak_watts=0 if best is None else best.peak_watts,
        relative_performance_percent=100 if best is None else best.relative_performance_percent,
        stopped_by=why,
    )


def _parts(state: State, level: str | None) -> bytes:
    """How the level parts the nodes, and whether it may split a gang's bins.

    Ids are given in the nodes' order, so that equal parts have equal ids.
    """
    inventory, ladder = state.inventory, state.facility.ladder
    single = level in ladder[: ladder.index(NVLINK) + 1]
    ids = inventory.levels[level][0] if level else np.zeros(len(inventory.names), dtype=np.int64)
    return bytes([single]) + ids.tobytes()


def _domain(state: State, placement: Placement, level: str) -> str:
    """The domain of the level that the placement lies in."""
    if not level:
        return ""
    inventory = state.inventory
    node = inventory.index[placement.slots[0]]
    ids, names = inventory.levels[level]
    return names[int(ids[node])]
