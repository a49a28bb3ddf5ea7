"""What a refusal says holds: its numbers follow from the state, and a relief that is done lets the gang start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.model import Placement, Refusal, Request
from rackplane.engine.physics.rows import PEAK, LimitRow, RowKind
from rackplane.engine.placing.placement import place
from rackplane.engine.reasons import ElementKind, Relief, ReliefKind
from rackplane.engine.state import State
from tests.property.engine.test_placement_properties import requests, snapshot, worlds
from tests.support.thorough import some

_KINDS = {
    RowKind.BUDGET: ElementKind.POWER_BUDGET,
    RowKind.LIQUID: ElementKind.COOLING_ZONE,
    RowKind.AIR: ElementKind.COOLING_ZONE,
    RowKind.POWER_NOMINAL: ElementKind.POWER_DOMAIN,
    RowKind.POWER_PEAK: ElementKind.POWER_DOMAIN,
}


def limits_of(state: State, kind: ElementKind, name: str, feed: str) -> list[int]:
    """Cells of everything that limits the element."""
    f = state.facility

    def of(row: LimitRow) -> bool:
        return (_KINDS.get(row.kind, ElementKind.RACK), row.element, row.detail) == (kind, name, feed)

    return [k for k in range(len(f.limits)) if of(f.describe(k)[1])]


@contextmanager
def done(state: State, relief: Relief) -> Iterator[None]:
    """The state as it is once the relief has been carried out; of the request's reliefs nothing."""
    before = state.facility
    limits = before.limits.copy()
    for e in relief.elements:
        cells = limits_of(state, e.kind, e.name, e.feed)
        if e.peak:
            cells = [k for k in cells if before.describe(k)[1].basis == PEAK]
        limits[np.array(cells, dtype=np.int64)] += e.watts
    names = {kind: {e.name for e in relief.returns if e.kind is kind} for kind in ElementKind}
    racks = tuple(
        replace(r, schedulable=r.schedulable or r.name in names[ElementKind.RACK]) for r in before.racks
    )
    with state.under(replace(before, limits=limits, racks=racks)):
        state.reload()  # and what the state keeps of the limits
        for key in relief.gangs:
            state.release(key)
        for name in names[ElementKind.NODE]:
            spec = state.node(name)
            assert spec is not None and not spec.healthy
            state.set_node(replace(spec, healthy=True))
        yield


def changed(request: Request, relief: Relief) -> Request:
    if relief.kind is ReliefKind.PROFILE:
        return replace(request, power_profile=relief.profile)
    if relief.kind is ReliefKind.LEVEL:
        return replace(request, required=relief.level or None)
    if relief.kind is ReliefKind.FEWER_SLOTS:
        assert 0 < relief.slots < request.slots
        return replace(request, slots=relief.slots)
    return request


@given(worlds(), st.lists(requests(), min_size=1, max_size=4), requests())
@settings(max_examples=some(400), deadline=None)
def test_every_relief_is_true_and_every_number_follows_from_the_state(
    state: State, gangs: list[Request], request: Request
) -> None:
    for i, gang in enumerate(gangs):
        answer = place(state, gang)
        if isinstance(answer, Placement):
            state.book(f"g{i}", answer)
    before = snapshot(state)
    refusal = place(state, request, questions=30)
    assert snapshot(state) == before
    if isinstance(refusal, Placement):
        return
    assert refusal.message and refusal.relief
    for relief in refusal.reliefs:
        if relief.now and relief.kind is not ReliefKind.NODES:
            with done(state, relief):
                assert isinstance(place(state, changed(request, relief)), Placement), (refusal, relief)
        assert snapshot(state) == before
    _check_tightest(state, refusal)


def _check_tightest(state: State, refusal: Refusal) -> None:
    tightest = refusal.tightest
    if tightest is None:
        return
    assert tightest.over_watts == tightest.load_watts - tightest.limit_watts > 0
    cells = [
        k
        for k in limits_of(state, tightest.kind, tightest.name, tightest.feed)
        if state.facility.describe(k)[0].lost == tightest.lost
        and (state.facility.describe(k)[1].basis == PEAK) == tightest.peak
    ]
    assert len(cells) == 1
    assert tightest.limit_watts == round(float(state.facility.limits[cells[0]]))
    # Whole watts: the load is that of now and what the gang adds, but for the rounding of each.
    load = float(state.loads[cells[0]]) + tightest.added_watts
    assert abs(tightest.load_watts - load) <= 1.5
    for count in refusal.counts:
        assert sum(count.failing.values()) == count.domains
