"""Emergency ratings in random facilities: the engine against the oracle, with some gangs that can be capped.

The oracle knows no capped cells.  It is asked twice: with the draws as they are, in a facility whose elements are rated
at their emergency ratings; and with those gangs at their lower profile, in the facility as it is.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from rackplane.engine.model import FacilitySpec, PowerSpec
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.state import State
from tests.property.engine.against_oracle import named
from tests.property.engine.facilities import CASES, Case, Job
from tests.property.engine.oracle import Loads, Oracle
from tests.property.engine.oracle_draws import Work, draws
from tests.property.engine.oracle_world import Loss, Row
from tests.property.engine.test_oracle import drawn, run
from tests.support.thorough import some

EXAMPLES, PARTS = some(1_200), 4
NOMINAL = RowKind.POWER_NOMINAL.value


def filled(case: Case, mask: int) -> Case:
    """The case with some of its nodes, by the bits of the mask, given to one gang whole."""
    kinds = {t.name: t for t in case.spec.node_types}
    gpus = {r.name: kinds[r.node_type].gpus_per_node for r in case.spec.racks}
    nodes = [
        (node, (Job(gpus.get(node.rack or "", 1), True, "MaxP", None),) if mask >> i & 1 else jobs)
        for i, (node, jobs) in enumerate(case.nodes)
    ]
    return replace(case, nodes=tuple(nodes))


def rated(case: Case, percents: list[int | None]) -> FacilitySpec:
    """The facility with emergency ratings of elements, in turn."""
    powers = [
        replace(p, emergency_percent=percents[i % len(percents)]) for i, p in enumerate(case.spec.powers)
    ]
    return replace(case.spec, powers=tuple(powers))


def capped(case: Case, spec: FacilitySpec, giving: set[str]) -> Loads:
    """Loads by the oracle once all these bookings, of whole nodes, run at MaxQ."""
    kinds, racks = {t.name: t for t in spec.node_types}, {r.name: r for r in spec.racks}
    nodes = []
    for node, jobs in case.nodes:
        rack = racks.get(node.rack or "")
        kind = None if rack is None else kinds.get(rack.node_type)
        works = [Work(sum(j.gpus for j in jobs if not j.ours), None)]
        for i, j in enumerate(jobs):
            if j.ours:
                whole = kind is not None and j.gpus == kind.gpus_per_node
                lower = whole and f"{node.name}-{i}" in giving
                works.append(Work(j.gpus, "MaxQ" if lower else j.profile, j.until))
        nodes.append((node.rack or "", works))
    return Oracle(spec).loads(draws(spec, nodes))


def short_time(p: PowerSpec, limit: float) -> float:
    """Watts for a while: that percent of what makes the rating, modules included; never less than for good."""
    if p.emergency_percent is None or limit <= 0:
        return limit
    modules = float("inf")
    if p.modules is not None:
        online = p.modules.installed if p.modules.online is None else p.modules.online
        modules = min(online, p.modules.needed) * p.modules.module_watts
    return max(limit, min(p.rated_watts, modules) * p.emergency_percent / 100)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_loss_may_take_an_element_to_its_emergency_rating_if_caps_bring_it_back(part: int) -> None:
    seen = {"raised": 0, "given": 0}

    @seed(part)
    @settings(max_examples=EXAMPLES // PARTS, deadline=None, database=None)
    @given(
        CASES,
        st.lists(st.sampled_from([None, 90, 110, 125, 150]), min_size=2, max_size=3),
        st.integers(0, 255),
    )
    def equal(any_case: Case, percents: list[int | None], mask: int) -> None:
        case = filled(any_case, mask >> 4)
        spec = rated(case, percents)
        state = State(compile_facility(spec))
        run(state, case)
        giving = {key for i, key in enumerate(list(state.keys())) if mask >> (i % 8) & 1}
        for key in giving:
            state.can_be_capped(key, "MaxQ")
        state.validate()
        oracle, f = Oracle(spec), state.facility
        loads, left = oracle.loads(drawn(case)), capped(case, spec, giving)
        powers = {p.name: p for p in spec.powers}

        def limit(loss: Loss, row: Row) -> float:
            watts = oracle.worlds[loss].limit(row)
            return watts if loss == Loss() or row.kind != NOMINAL else short_time(powers[row.element], watts)

        for cell, (load, bound) in enumerate(zip(state.loads.tolist(), f.limits.tolist(), strict=True)):
            loss, row = named(*f.describe(cell))
            expected = (
                (left[loss][row], oracle.worlds[loss].limit(row))
                if f.capped[cell]
                else (loads[loss][row], limit(loss, row))
            )
            assert (load, bound) == (
                pytest.approx(expected[0], abs=TOLERANCE_WATTS),
                pytest.approx(expected[1], abs=TOLERANCE_WATTS),
            ), (loss, row, bool(f.capped[cell]))
            seen["raised"] += bool(f.capped[cell])
            seen["given"] += bool(f.capped[cell]) and load < loads[loss][row] - 1
        # Nothing is missed: what the two rules refuse the engine refuses too, there or in the normal state.
        over = {named(v.contingency, v.row) for v in state.violations()}
        for loss, rows in loads.items():
            for row, load in rows.items():
                too_much = load > limit(loss, row) + TOLERANCE_WATTS
                if loss != Loss() and row.kind == NOMINAL:
                    too_much |= left[loss][row] > oracle.worlds[loss].limit(row) + TOLERANCE_WATTS
                assert not too_much or (loss, row) in over or (Loss(), row) in over, (loss, row)

    equal()
    assert seen["raised"] > some(100)
    assert seen["given"] > 0
