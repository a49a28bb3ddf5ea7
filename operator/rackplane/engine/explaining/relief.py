"""What would let a refused gang start, as far as it can be told from the one domain that the refusal speaks of.

Each relief is tried: limits are raised, or nodes freed, on a copy of the domain's figures, and the search is asked
again in that domain alone.  What needs the whole facility to be asked again is in :mod:`engine.explaining.trials`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.explaining import phrases
from rackplane.engine.explaining.times import when
from rackplane.engine.model import Cause, NodeType, Placement, Request
from rackplane.engine.nodes.views import Bar
from rackplane.engine.physics import draw
from rackplane.engine.physics.draw import Watts, find_cap
from rackplane.engine.physics.rows import PEAK, LimitRow, RowKind
from rackplane.engine.placing.attempts import Bin, Cell, Subtree
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.domains import Domains
from rackplane.engine.placing.objective import Solution
from rackplane.engine.placing.search import Search
from rackplane.engine.placing.shortage import Room, shortages
from rackplane.engine.reasons import ElementKind, ElementWatts, Relief, ReliefKind, Tightest

if TYPE_CHECKING:
    from rackplane.engine.explaining.explanation import View

Floats = NDArray[np.float64]
Fits = Callable[[Request], Placement | None]
"""Where a changed request would be placed in the same state; None if nowhere."""

WIDE_BINS = 64
"""Domains of more bins are not searched again for the watts they lack: that would cost as much as the decision."""
ELEMENTS = 4
"""Elements that one relief may name."""


def sentence(reliefs: Sequence[Relief], *, misfit: bool) -> str:
    """The two cheapest, as one clause."""
    if reliefs:
        return ", or ".join(r.message for r in reliefs[:2])
    return "ask for less, or for a lower power profile" if misfit else "other gangs have to end first"


def ordered(reliefs: Sequence[Relief]) -> tuple[Relief, ...]:
    """Those that let the gang start first, and of these the cheapest first; one of each kind."""
    best: dict[ReliefKind, Relief] = {}
    for r in sorted(reliefs, key=lambda r: not r.now):
        best.setdefault(r.kind, r)
    order = list(ReliefKind)
    return tuple(sorted(best.values(), key=lambda r: (not r.now, order.index(r.kind))))


# -- limits --------------------------------------------------------------------------------------------


def for_limit(
    view: View, d: int, tightest: Tightest | None, fits: Fits | None, *, misfit: bool
) -> tuple[Relief, ...]:
    """Reliefs of a domain that has the nodes, cheapest first."""
    found: list[Relief] = []
    if fits is not None:
        found.extend(_lower_profile(view, fits))
        if tightest is not None and tightest.kind is ElementKind.POWER_BUDGET:
            found.extend(_budget_times(view.request, tightest, fits))
    found.extend(_watts(view, view.domains[d], misfit=misfit))
    return tuple(found)


def lower_profiles(candidates: Candidates) -> list[tuple[str, int]]:
    """Profiles below the one asked for, highest first, with the slowdown against it in percent."""
    lower: dict[str, tuple[int, int]] = {}
    for node_type in candidates.state.facility.rack_types:
        if node_type is None or node_type.resource != candidates.request.resource:
            continue
        asked = find_cap(node_type, candidates.request.power_profile)
        for cap in node_type.caps:
            if asked is not None and cap.node_watts < asked.node_watts:
                speed = 100 * cap.relative_performance_percent / max(1, asked.relative_performance_percent)
                watts, slower = lower.get(cap.name, (0, 0))
                lower[cap.name] = (max(watts, cap.node_watts), max(slower, 100 - math.floor(speed)))
    return [(name, lower[name][1]) for name in sorted(lower, key=lambda n: (-lower[n][0], n))]


def _lower_profile(view: View, fits: Fits) -> list[Relief]:
    """The highest lower profile that fits; only where strictness kept it from being tried."""
    if not view.request.strict:
        return []
    for profile, slower in lower_profiles(view.candidates):
        if fits(replace(view.request, power_profile=profile)) is not None:
            message = f"at {profile} it would fit now"
            if slower > 0:
                message += f" ({slower} percent slower)"
            return [
                Relief(
                    kind=ReliefKind.PROFILE, message=message, profile=profile, slowdown_percent=max(0, slower)
                )
            ]
    return []


def _budget_times(request: Request, tightest: Tightest, fits: Fits) -> list[Relief]:
    found: list[Relief] = []
    start, end = tightest.starts_at, tightest.ends_at
    earlier = start is not None and (request.until is None or request.until > start)
    if start is not None and earlier and fits(replace(request, until=start)) is not None:
        message = f"it could start now if it were expected to end by {phrases.moment(start)}"
        found.append(Relief(kind=ReliefKind.EARLIER_END, message=message, at=start))
    # How long it runs is not known here, so it has to fit for good once the budget is over.
    if end is not None and fits(replace(request, at=end, until=None)) is not None:
        message = f"wait until {when(end)}, when PowerBudget {tightest.name} ends"
        found.append(Relief(kind=ReliefKind.BUDGET_END, message=message, at=end))
    return found


def _watts(view: View, domain: Subtree, *, misfit: bool) -> list[Relief]:
    """Watts on few elements that are enough: each limit in turn is raised by what the gang lacks there at least."""
    if len(domain.bins) > WIDE_BINS:
        return []
    candidates, f = view.candidates, view.facility
    room = Room.of([[(c.rack, c.free) for b in domain.bins for c in b.cells]])
    raised: dict[LimitRow, int] = {}
    slack = candidates.slack.copy()
    while (short := shortages(candidates, room, slack=slack)[0]) is not None and len(raised) <= 2 * ELEMENTS:
        row, watts = f.describe(short.cell)[1], math.ceil(short.short_watts)
        raised[row] = raised.get(row, 0) + watts
        slack[f.cell_rows == f.row_index[row]] += watts
    if not raised or _solution(candidates, domain, slack, single=view.attempt.single) is None:
        raised = _overs(view, domain)
    elements = _elements(raised)
    if not elements or len(elements) > ELEMENTS:
        return []
    causes = {(phrases.kind_of(row), row.element): row.cause for row in raised}
    parts = []
    for e in elements:
        name = phrases.element(e.kind, e.name, feed=e.feed, cause=causes[e.kind, e.name])
        parts.append((phrases.kilowatts_up(e.watts) + (" at peak" if e.peak else ""), name))
    if misfit:
        message = "raise " + phrases.listed([f"{name} by {amount}" for amount, name in parts])
    else:
        message = "free " + phrases.listed([f"{amount} on {name}" for amount, name in parts])
    return [Relief(kind=ReliefKind.WATTS, message=message, elements=elements)]


def _elements(raised: Mapping[LimitRow, int]) -> tuple[ElementWatts, ...]:
    """By element: what it lacks at its nominal or its peak limit, whichever is more."""
    found: dict[tuple[ElementKind, str, str], ElementWatts] = {}
    for row, watts in raised.items():
        key = (phrases.kind_of(row), row.element, row.detail)
        known = found.get(key)
        peak = row.basis == PEAK and (known is None or known.peak)
        most = watts if known is None else max(known.watts, watts)
        found[key] = ElementWatts(key[0], row.element, most, row.detail, peak)
    return tuple(found.values())


def _overs(view: View, domain: Subtree) -> dict[LimitRow, int]:
    """Watts by which the gang, placed by nodes alone, would exceed limits: enough, if not always the least."""
    candidates, f = view.candidates, view.facility
    free = np.full(len(candidates.slack), np.inf)
    found = _solution(candidates, domain, free, single=view.attempt.single)
    if found is None:
        return {}
    left = candidates.slack.copy()
    for _, racks in found.parts:
        for rack, slots in racks.items():
            candidates.take(rack, slots, left)
    overs: dict[LimitRow, int] = {}
    for cell in sorted(np.flatnonzero(left < 0).tolist(), key=lambda k: float(left[k])):
        row = f.describe(cell)[1]
        overs[row] = max(overs.get(row, 0), math.ceil(-float(left[cell])))
    return overs


def _solution(candidates: Candidates, domain: Subtree, slack: Floats, *, single: bool) -> Solution | None:
    """The domain asked again under other slack."""
    other = candidates.under(slack)
    bins = tuple(_bin(b, {c.rack: c.free for c in b.cells}, other) for b in domain.bins)
    return Search(other, Subtree(domain.name, bins), single=single).solve(prove=False).solution


def _bin(b: Bin, free: dict[int, int], candidates: Candidates) -> Bin:
    """The bin with so many free slots by rack, and caps by these candidates."""
    nodes = {c.rack: c.nodes for c in b.cells}
    none = np.zeros(0, dtype=np.int64)
    cells = tuple(
        Cell(rack, nodes.get(rack, none), n, min(n, int(candidates.rack_slots[rack])))
        for rack, n in free.items()
        if n
    )
    return b.refilled(cells)


def never(candidates: Candidates, domains: Domains) -> bool:
    """Whether ratings and cooling keep even the idle facility from taking the gang at any profile it accepts.

    Proved limit by limit, and only while every element is in service: what is out may return.  Budgets do not count.
    """
    f, inventory, request = candidates.state.facility, candidates.state.inventory, candidates.request
    units = [u for z in f.coolings.values() for u in z.units]
    if not all(p.online for p in f.powers.values()) or not all(u.online for u in units):
        return False
    count = np.bincount(inventory.rack[inventory.rack >= 0], minlength=len(f.racks))
    idle = np.array(
        [
            max(0, r.overhead_watts) + (0 if t is None else t.idle_watts) * int(n)
            for r, t, n in zip(f.racks, f.rack_types, count, strict=True)
        ],
        dtype=np.float64,
    )
    least = {id(t): _least(candidates.request, t) for t in f.rack_types}
    slots = [least[id(t)] for t in f.rack_types]
    rack = np.repeat(np.arange(len(f.racks)), np.diff(f.starts))
    drawn = np.array([[w.nominal, w.peak] for w in slots], dtype=np.float64).reshape(-1, 2)
    use = f.coefficients * drawn[rack, f.peak.astype(np.int64)]
    loads = f.constant + np.bincount(f.cells, f.coefficients * idle[rack], minlength=len(f.limits))
    slack = np.where(f.enforced, f.limits - loads, np.inf) + 1.0
    budgets = np.array([row.kind is RowKind.BUDGET for row in f.rows], dtype=np.bool_)
    slack[budgets[f.cell_rows]] = np.inf
    large = domains.whole >= request.slots
    if not large.any() or not request.gpus_per_slot:
        return False
    found = shortages(candidates, domains.idle_room(large), use=use, slack=slack)
    return all(found[d] is not None for d in np.flatnonzero(large).tolist())


def _least(request: Request, node_type: NodeType | None) -> Watts:
    """What a slot adds on such a node at the lowest profile that the request accepts."""
    asked = None if node_type is None else find_cap(node_type, request.power_profile)
    if node_type is None or asked is None:
        return Watts()
    caps = (
        [asked.node_watts] if request.strict else [asked.node_watts, *(c.node_watts for c in node_type.caps)]
    )
    return draw.share(node_type, draw.full_increment(node_type, min(caps)), request.gpus_per_slot)


# -- nodes ---------------------------------------------------------------------------------------------


def for_nodes(view: View, d: int, *, misfit: bool) -> tuple[Relief, ...]:
    """Reliefs where nodes are too few, or their profile is another."""
    if view.causes[d] is Cause.PROFILE:
        message = "ask for a power profile that the racks have"
        return (Relief(kind=ReliefKind.CHANGE, message=message, now=False),)
    if misfit:
        most = view.domains.most_in_runs()
        fewer = Relief(
            kind=ReliefKind.FEWER_SLOTS,
            message=f"ask for at most {view.counted(most)}",
            now=False,
            slots=most,
        )
        smaller = Relief(kind=ReliefKind.CHANGE, message="ask for smaller segments", now=False)
        by_size = int(view.domains.whole.max(initial=0)) < view.request.slots
        return (*([fewer] if most else []), *_wider(view), *([] if by_size else [smaller]))
    missing = view.request.slots - int(view.domains.free[d])
    if missing <= 0:
        return (Relief(kind=ReliefKind.CHANGE, message="ask for smaller segments", now=False),)
    if view.domains.bin_count(d) > WIDE_BINS:
        return ()
    domain = view.domains[d]
    if not _fits_with_freed(view, domain, missing):
        return ()
    message = f"free {missing:,} more {view.counted(missing).split()[-1]} in {domain.name}"
    return (Relief(kind=ReliefKind.NODES, message=message, domain=domain.name, slots=missing),)


def wider_levels(view: View) -> list[str]:
    """Levels above the one that is required, nearest first; "" (none) last."""
    if not view.attempt.level:
        return []
    levels = view.facility.ladder
    return [*levels[levels.index(view.attempt.level) + 1 :], ""]


def level_message(level: str) -> str:
    """What to do about the required level."""
    return f"require only {level}" if level else "require no level"


def _wider(view: View) -> list[Relief]:
    """The nearest level with a domain that is large enough once it is idle."""
    inventory, request, layout = view.candidates.state.inventory, view.request, view.attempt.layout
    run = request.segment_slots or 1
    whole = view.attempt.bin_whole // run * run
    first = layout.rows[layout.part_starts[layout.bin_starts]]
    for level in wider_levels(view):
        ids = inventory.levels[level][0][first] if level else np.zeros(len(first), dtype=np.int64)
        known = ids >= 0
        most = int(np.bincount(ids[known], whole[known]).max(initial=0)) if known.any() else 0
        if most >= request.slots:
            return [Relief(kind=ReliefKind.LEVEL, message=level_message(level), now=False, level=level)]
    return []


def _fits_with_freed(view: View, domain: Subtree, missing: int) -> bool:
    """Whether the gang fits the domain once nodes for so many slots are free, those in the racks with most room."""
    candidates, f = view.candidates, view.facility
    state, request = candidates.state, view.request
    if not request.gpus_per_slot:
        return False
    slack = candidates.slack.copy()
    free = [{c.rack: c.free for c in b.cells} for b in domain.bins]
    members = np.concatenate([b.members for b in domain.bins])
    bars = candidates.view.bars(members)
    at = np.repeat(np.arange(len(domain.bins)), [len(b.members) for b in domain.bins])
    busy = bars == Bar.NONE
    held = np.bincount(at[bars == Bar.HELD], minlength=len(domain.bins))
    for i, b in enumerate(domain.bins if f.domains else ()):
        policy = int(state.holding.of_node[b.members[0]])
        if policy >= 0 and int(held[i]) < state.holding.kept(policy, state.table):
            busy &= at != i  # the next nodes that come free here are held back as spares
    members, at = members[busy], at[busy]
    order = np.lexsort((members, at, -candidates.rack_slots[state.inventory.rack[members]]))
    left, freed = missing, dict[int, Watts]()
    given: dict[tuple[int, int | None, int, int], Watts] = {}
    for i, n in zip(at[order].tolist(), members[order].tolist(), strict=True):
        name, rack = state.inventory.names[n], int(state.inventory.rack[n])
        node_type, spec = state.node_type(name), state.node(name)
        if node_type is None or spec is None or not spec.healthy:
            continue
        gained = node_type.gpus_per_node // request.gpus_per_slot - int(candidates.node_slots[n])
        if gained <= 0:
            continue
        free[i][rack] = free[i].get(rack, 0) + min(gained, left)
        left -= min(gained, left)
        use = (id(node_type), state.cap_watts(name), state.booked_gpus(name), state.unmanaged_gpus(name))
        if use not in given:
            given[use] = _given_back(node_type, *use[1:])
        freed[rack] = freed.get(rack, Watts()) + given[use]
        if not left:
            break
    if left:
        return False
    for rack, watts in freed.items():
        entries = f.entries(rack)
        drawn = np.where(f.peak[entries], watts.peak, watts.nominal)
        # A coming budget may not count what runs there now at all.
        slack[f.cells[entries]] += np.where(
            f.cell_windows[f.cells[entries]] >= 0, 0, f.coefficients[entries] * drawn
        )
    other = candidates.under(slack)
    if _fit_anyhow(other, free, single=view.attempt.single):
        return True
    bins = tuple(_bin(b, racks, other) for b, racks in zip(domain.bins, free, strict=True))
    found = Search(other, Subtree(domain.name, bins), single=view.attempt.single).solve(prove=False)
    return found.solution is not None


def _given_back(node_type: NodeType, cap: int | None, booked: int, unmanaged: int) -> Watts:
    """What a node would no longer draw if it were freed.

    Args:
        cap: watts of the profile of the gangs on it.
        booked: GPUs of gangs, and ``unmanaged`` of others.
    """
    freed = draw.unmanaged_increment(node_type, unmanaged)
    return (
        freed if cap is None else freed + draw.share(node_type, draw.full_increment(node_type, cap), booked)
    )


def _fit_anyhow(candidates: Candidates, free: Sequence[Mapping[int, int]], *, single: bool) -> bool:
    """Whether so many free slots by bin and rack take the gang, filled from the rack with most room, without a search.

    False where that is not enough, or where it matters which bins the gang is in.
    """
    request, racks = candidates.request, dict[int, int]()
    if request.segment_slots is not None or (single and len(free) > 1):
        return False
    for cells in free:
        for rack, slots in cells.items():
            racks[rack] = racks.get(rack, 0) + slots
    chosen, left = dict[int, int](), request.slots
    for rack in sorted(racks, key=lambda r: -int(candidates.rack_slots[r])):
        count = min(left, racks[rack], int(candidates.rack_slots[rack]))
        if count > 0:
            chosen[rack], left = count, left - count
    return not left and candidates.fits_together(chosen)
