"""What would let a refused gang start, asked of the whole facility: each relief is a placement that was found.

Every question costs as much as a decision, so their number is bounded, and they are asked on demand only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rackplane.engine.explaining import phrases
from rackplane.engine.explaining.relief import Fits, level_message, wider_levels
from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.reasons import Element, ElementKind, Relief, ReliefKind
from rackplane.engine.state import State

if TYPE_CHECKING:
    from rackplane.engine.explaining.explanation import View

SINGLE_GANGS = 8
"""Gangs whose end is tried alone, smallest first."""
GANGS_TOGETHER = 6
"""Gangs that one relief may name."""
GROUPS = 6
"""Racks, domains and sets of nodes whose return is tried alone."""


def tried(view: View, d: int, fits: Fits, questions: int) -> tuple[Relief, ...]:
    """Reliefs for the refused request, in no order.

    Args:
        view: the widest level that was tried.
        d: the domain of it that is nearest to taking the gang.
        fits: where a request would be placed in the view's state, as it is at that moment.
        questions: how often it may be asked.
    """
    asked = _Asked(fits, questions)
    found = [
        _level(view, asked),
        _gang_end(view, d, asked),
        _return(view, d, asked),
        _fewer_slots(view, asked),
    ]
    return tuple(r for r in found if r is not None)


class _Asked:
    """The placement search, as often as is left."""

    def __init__(self, fits: Fits, left: int) -> None:
        self._fits = fits
        self.left = left

    def __call__(self, request: Request) -> Placement | None:
        if self.left <= 0:
            return None
        self.left -= 1
        return self._fits(request)


def _level(view: View, asked: _Asked) -> Relief | None:
    """The nearest wider level at which it fits."""
    for level in wider_levels(view):
        if asked(replace(view.request, required=level or None)) is not None:
            return Relief(kind=ReliefKind.LEVEL, message=level_message(level), level=level)
    return None


def _fewer_slots(view: View, asked: _Asked) -> Relief | None:
    """Many slots that fit: the most, unless the trials end first.  Whole segments where segments are asked for."""
    request = view.request
    run = request.segment_slots or 1
    most = min(request.slots - 1, int(view.domains.cap.max(initial=0)))
    low, high = 0, most // run
    trial = high
    while low < high:
        if asked.left <= 0:
            break
        if asked(replace(request, slots=trial * run)) is not None:
            low = trial
        else:
            high = trial - 1
        trial = (low + high + 1) // 2
    if not low:
        return None
    slots = low * run
    return Relief(kind=ReliefKind.FEWER_SLOTS, message=f"ask for at most {view.counted(slots)}", slots=slots)


# -- gangs that end ------------------------------------------------------------------------------------


def _gang_end(view: View, d: int, asked: _Asked) -> Relief | None:
    """The smallest gang whose end is enough; else few gangs together that hold most of the nearest domain."""
    state = view.candidates.state
    gangs = _Gangs(view)
    single = [key for key in gangs.by_size() if gangs.could_help((key,))]
    for key in single[:SINGLE_GANGS]:
        if _fits_without(state, (key,), view.request, asked):
            return wait_for(state, (key,))
    chosen: list[str] = []
    for key in sorted(gangs.by_size(), key=lambda k: -gangs.slots(k, d)):
        if len(chosen) == GANGS_TOGETHER or not gangs.slots(key, d):
            return None
        chosen.append(key)
        if (
            len(chosen) > 1
            and gangs.could_help(chosen, d)
            and _fits_without(state, chosen, view.request, asked)
        ):
            break
    else:
        return None
    for key in list(chosen):
        fewer = [k for k in chosen if k != key]
        if len(fewer) > 1 and gangs.could_help(fewer, d) and _fits_without(state, fewer, view.request, asked):
            chosen = fewer
    return wait_for(state, chosen)


def _fits_without(state: State, keys: Collection[str], request: Request, asked: _Asked) -> bool:
    nodes = {node for key in keys for node in state.held(key).values()}
    with state.simulation():
        for key in keys:
            state.release(key)
        return asked(_with_capacity_on(state, nodes, request)) is not None


def _with_capacity_on(state: State, nodes: Collection[str], request: Request) -> Request:
    """The request with capacity on nodes that have come free: it had none there while they were in use."""
    if request.capacity is None or not request.gpus_per_slot:
        return request
    freed = {name: state.free_gpus(name) // request.gpus_per_slot for name in nodes}
    return replace(request, capacity=NodeMask.of(request.capacity).changed(freed))


def wait_for(state: State, keys: Sequence[str]) -> Relief:
    """That these gangs end."""
    ends = [state.until(key) for key in keys]
    last = None if any(end is None for end in ends) else max(end for end in ends if end is not None)
    word = "gang" if len(keys) == 1 else "gangs"
    message = f"wait for {word} {phrases.shortened(keys)} to end"
    return Relief(kind=ReliefKind.GANG_END, message=message, gangs=tuple(keys), at=last)


class _Gangs:
    """What each running gang would give back to each domain: a bound, so that few ends have to be tried."""

    def __init__(self, view: View) -> None:
        self.view = view
        state = view.candidates.state
        self.state = state
        index = state.inventory.index
        owner = np.full(len(index), -1, dtype=np.int64)
        for d, domain in enumerate(view.domains):
            for b in domain.bins:
                owner[b.members] = d
        self.size: dict[str, int] = {}
        self.gpus: dict[str, dict[int, int]] = {}
        """Key -> domain -> GPUs that come free there."""
        self.watts: dict[str, dict[int, float]] = {}
        """Key -> domain -> watts that come free on the limit that the domain fails on."""
        shares = {d: _shares(view, s.cell) for d, s in enumerate(view.shortages) if s is not None}
        for key in tuple(state.keys()):
            placement = state.booking(key)
            if placement is None:
                continue
            nodes = state.held_gpus(key)
            self.size[key] = sum(nodes.values())
            gpus, watts = self.gpus.setdefault(key, {}), self.watts.setdefault(key, {})
            for node, held in nodes.items():
                i = index.get(node)
                d = -1 if i is None else int(owner[i])
                if i is None or d < 0:
                    continue
                gpus[d] = gpus.get(d, 0) + held
                if d in shares:
                    reserved = state.increments({node: held}, placement.power_profile, placement.metered)
                    share = shares[d].get(int(state.inventory.rack[i]), 0.0)
                    watts[d] = watts.get(d, 0.0) + share * max(reserved.nominal_watts, reserved.peak_watts)

    def by_size(self) -> list[str]:
        """Keys that hold GPUs in some domain, fewest GPUs first."""
        return sorted((k for k in self.size if self.gpus[k]), key=lambda k: (self.size[k], k))

    def slots(self, key: str, d: int) -> int:
        """Slots that its end frees in the domain."""
        return self.gpus[key].get(d, 0) // max(1, self.view.request.gpus_per_slot)

    def could_help(self, keys: Sequence[str], only: int | None = None) -> bool:
        """Whether the end of these gangs might be enough in some domain, or in that one."""
        view = self.view
        gpus = max(1, view.request.gpus_per_slot)
        for d in range(len(view.domains)) if only is None else (only,):
            freed = sum(self.gpus[k].get(d, 0) for k in keys)
            short = view.shortages[d]
            watts = sum(self.watts[k].get(d, 0.0) for k in keys)
            room = int(view.domains.free[d]) + freed // gpus
            if freed and room >= view.request.slots and (short is None or watts >= short.short_watts):
                return True
        return False


def _shares(view: View, cell: int) -> Mapping[int, float]:
    """Rack -> watts on the cell for a watt drawn there."""
    f = view.facility
    at = np.flatnonzero(f.cells == cell)
    racks = np.searchsorted(f.starts, at, side="right") - 1
    return dict(zip(racks.tolist(), f.coefficients[at].tolist(), strict=True))


# -- what is out of service ----------------------------------------------------------------------------


def _return(view: View, d: int, asked: _Asked) -> Relief | None:
    """Racks, NVLink domains or nodes whose return is enough, as few as were found; the nearest domain's first."""
    state = view.candidates.state
    groups = _groups(view, d)
    everything = tuple(e for group in groups for e in group)
    if not groups or not _fits_with(state, everything, view.request, asked):
        return None
    chosen = everything
    for group in groups[:GROUPS]:
        if len(groups) > 1 and _fits_with(state, group, view.request, asked):
            chosen = group
            break
    nodes = [e for e in chosen if e.kind is ElementKind.NODE]
    others = tuple(e for e in chosen if e.kind is not ElementKind.NODE)
    missing = max(0, view.request.slots - int(view.domains.free[d]))
    for count in sorted({0, missing} & set(range(len(nodes)))):
        fewer = (*others, *nodes[:count])
        if fewer and _fits_with(state, fewer, view.request, asked):
            chosen = fewer
            break
    message = f"bring {phrases.several([(e.kind, e.name) for e in chosen])} back into service"
    return Relief(kind=ReliefKind.RETURN, message=message, returns=chosen)


def _groups(view: View, d: int) -> list[tuple[Element, ...]]:
    """What is out of service, by rack, the racks of the nearest domain first, then those with least out."""
    state, f = view.candidates.state, view.facility
    inventory = state.inventory
    by_rack: dict[int, dict[Element, None]] = {}
    for i, name in enumerate(inventory.names):
        rack, spec = int(inventory.rack[i]), state.node(name)
        if rack < 0 or spec is None or not view.candidates.offers[rack] or f.racks[rack].name in f.unusable:
            continue
        out: list[Element] = []
        if not f.racks[rack].schedulable:
            out.append(Element(ElementKind.RACK, f.racks[rack].name))
        policy = f.domains.get(spec.domain or "")
        if policy is not None and not policy.schedulable:
            out.append(Element(ElementKind.NVLINK_DOMAIN, policy.name))
        if not spec.healthy:
            out.append(Element(ElementKind.NODE, name))
        if out:
            by_rack.setdefault(rack, {}).update(dict.fromkeys(out))
    near = {int(inventory.rack[n]) for b in view.domains[d].bins for n in b.members}
    order = sorted(by_rack, key=lambda r: (r not in near, len(by_rack[r]), r))
    return [tuple(sorted(by_rack[r], key=lambda e: (e.kind is ElementKind.NODE, e.name))) for r in order]


def _fits_with(state: State, elements: Sequence[Element], request: Request, asked: _Asked) -> bool:
    nodes = {e.name for e in elements if e.kind is ElementKind.NODE}
    with _returned(state, elements):
        return asked(_with_capacity_on(state, nodes, request)) is not None


@contextmanager
def _returned(state: State, elements: Sequence[Element]) -> Iterator[None]:
    """The state with these in service."""
    names = {kind: {e.name for e in elements if e.kind is kind} for kind in ElementKind}
    before = state.facility
    racks = tuple(
        replace(r, schedulable=True) if r.name in names[ElementKind.RACK] else r for r in before.racks
    )
    domains = {
        name: replace(d, schedulable=True) if name in names[ElementKind.NVLINK_DOMAIN] else d
        for name, d in before.domains.items()
    }
    with state.under(replace(before, racks=racks, domains=domains)):
        for name in sorted(names[ElementKind.NODE]):
            spec = state.node(name)
            if spec is not None:
                state.set_node(replace(spec, healthy=True))
        yield
