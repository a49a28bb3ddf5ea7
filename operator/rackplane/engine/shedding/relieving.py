"""Which gangs to cap or stop so that every limit is kept again.

Few gangs: the cheapest plan there is (:mod:`engine.shedding.exact`), which :attr:`Plan.proved` says. Many: one that is
near it (:mod:`engine.shedding.cover`); no measure of it can be left out. What costs what is in
:mod:`engine.shedding.costs`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.physics.loads import TOLERANCE_WATTS, Violation
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.shedding.clusters import Part, parts_of
from rackplane.engine.shedding.costs import stage_of, weights
from rackplane.engine.shedding.cover import choose
from rackplane.engine.shedding.exact import Choices
from rackplane.engine.shedding.levels import ABSENT, Offers
from rackplane.engine.shedding.offers import Candidates, candidates
from rackplane.engine.shedding.terms import Measure, Plan, Terms
from rackplane.engine.state import State

__all__ = ["exceeded", "relieve"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOTHING: Mapping[str, str] = MappingProxyType({})
STEPS = 30_000
"""Steps of bounds in one search for the cheapest plan."""
FEW = 64
"""Among at most so many gangs, which share limits, the cheapest plan is looked for."""
_PER_WATT = 1_000_000
"""The exact search counts in so many parts of a watt."""


def relieve(
    state: State,
    terms: Mapping[str, Terms],
    *,
    coming: Mapping[str, str] = NOTHING,
    spare_protected: bool = False,
    may_stop: bool = True,
    best_effort: Collection[str] = (),
    steps: int = STEPS,
) -> Plan:
    """The gangs to cap or stop so that no limit of the normal state is exceeded.  Changes nothing.

    What nothing can bring down enough is brought down as far as it goes.

    Args:
        terms: by booking key; a gang without any counts as Checkpointable, of priority 0.
        coming: what is on its way, by booking key: the profile at which a gang will run, or "" for one that ends.
        spare_protected: leave Protected gangs alone, whatever stays exceeded.
        may_stop: gangs are stopped where caps are not enough.
        best_effort: names of budgets for whose sake gangs are capped and never stopped.
        steps: how far the cheapest plan is looked for.
    """
    with state.simulation():
        for key, profile in coming.items():
            _run_at(state, key, profile)
        over = exceeded(state)
        soft = [v for v in over if v.row.kind is RowKind.BUDGET and v.row.element in best_effort]
        hard = [v for v in over if v not in soft]
        plan = _cheapest(state, terms, hard, spare_protected, may_stop=may_stop, steps=steps)
        if not soft:
            return plan
        for measure in plan.measures:
            _run_at(state, measure.gang, measure.profile)
        # What was done for the others may have helped.
        soft = [v for v in exceeded(state) if v.row in {s.row for s in soft}]
        more = _cheapest(state, terms, soft, spare_protected, may_stop=False, steps=steps)
    return _both(plan, more)


def _both(first: Plan, second: Plan) -> Plan:
    """Two plans, of which the second goes on where the first ends, as one."""
    measures = {m.gang: m for m in first.measures}
    for m in second.measures:
        before = measures.get(m.gang)
        freed = m.frees_watts + (0 if before is None else before.frees_watts)
        measures[m.gang] = replace(m, frees_watts=freed)
    remaining = (*first.remaining, *second.remaining)
    return Plan(_mildest_first(measures.values()), remaining, first.proved and second.proved)


def exceeded(state: State) -> list[Violation]:
    """The limits of the state as it is that are exceeded now."""
    return [v for v in state.violations(normal=True) if v.row.starts_at is None]


def _cheapest(
    state: State,
    terms: Mapping[str, Terms],
    over: Sequence[Violation],
    spare_protected: bool,
    *,
    may_stop: bool,
    steps: int,
) -> Plan:
    """The plan for these limits alone."""
    if not over:
        return Plan((), ())
    cells = [state.facility.row_index[v.row] for v in over]
    able = candidates(state, terms, cells, may_stop=may_stop, spare_protected=spare_protected)
    if not len(able):
        return Plan((), tuple(over))
    offers = _offers(able)
    excess = state.loads[cells] - state.facility.limits[cells]
    missing = np.minimum(excess, offers.given(offers.within(ABSENT - 1)))
    levels, certain = np.zeros(len(able), dtype=np.int64), True
    parts = parts_of(offers.touches())
    for part in parts:
        levels[part.gangs], proved = _solved(
            able, offers.part(part.gangs, part.limits), missing[part.limits], part, steps // len(parts)
        )
        certain = certain and proved
    left = excess - offers.given(levels)
    remaining = [
        replace(v, load_watts=v.limit_watts + watts)
        for v, watts in zip(over, left.tolist(), strict=True)
        if watts > TOLERANCE_WATTS
    ]
    return Plan(_mildest_first(able.measures(levels)), tuple(remaining), certain)


def _solved(able: Candidates, offers: Offers, missing: Floats, part: Part, steps: int) -> tuple[Ints, bool]:
    """Levels of the part's gangs that are enough, and whether nothing is cheaper."""
    levels, limits = choose(offers, missing, part.clusters), part.limits
    if len(part.gangs) > FEW or steps <= 0:
        return levels, False
    here = [able[gang] for gang in part.gangs.tolist()]
    enough = np.floor((missing - TOLERANCE_WATTS / 2) * _PER_WATT).astype(np.int64)
    gives = [np.rint(c.gives[:, limits] * _PER_WATT).astype(np.int64).tolist() for c in here]
    search = Choices(
        weights=[[0, *own] for own in weights([c.stages for c in here], [c.losses for c in here])],
        gives=[[[0] * len(limits), *own] for own in gives],
        missing=enough.tolist(),
        steps=steps,
    )
    certain = search.solve(levels.tolist())
    return np.array(search.best, dtype=np.int64), certain


def _offers(able: Candidates) -> Offers:
    counts = able.counts
    gang = np.repeat(np.arange(len(able)), counts)
    level = 1 + np.arange(len(gang)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = len(able), 1 + int(counts.max())
    gives, losses = np.zeros((*shape, able.gives.shape[1])), np.zeros(shape)
    numbers = np.full(shape, ABSENT, dtype=np.int64)
    numbers[:, 0] = -1
    gives[gang, level], losses[gang, level] = able.gives, able.losses
    # Without the stages that no measure is in.
    used = np.bincount(able.stages, minlength=len(able.stages_by_number)) > 0
    numbers[gang, level] = (np.cumsum(used) - 1)[able.stages]
    return Offers(gives, able.limits, able.limit_count, losses, numbers)


def _mildest_first(measures: Collection[Measure]) -> tuple[Measure, ...]:
    return tuple(sorted(measures, key=lambda m: (_kind(m), m.terms.priority, m.gang)))


def _kind(measure: Measure) -> int:
    return stage_of(measure.terms, stops=measure.stops)[0]


def _run_at(state: State, key: str, profile: str) -> None:
    """Let a gang run at that profile; "": not at all."""
    placement, held, until = state.booking(key), state.held(key), state.until(key)
    state.release(key)
    if placement is None or not profile:
        return
    state.book(key, replace(placement, power_profile=profile), force=True, until=until)
    state.release(key, [slot for slot in range(len(placement.slots)) if slot not in held])
