"""Everything an engine's state says of limits, loads and headroom, held against the oracle."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.physics.rows import NORMAL, Contingency, LimitRow
from rackplane.engine.state import State
from tests.property.engine.oracle import Oracle
from tests.property.engine.oracle_draws import Draws, Work, draws
from tests.property.engine.oracle_world import Loss, Row

Watts = NDArray[np.float64]


def named(contingency: Contingency, row: LimitRow) -> tuple[Loss, Row]:
    """The engine's names of a cell as the oracle's."""
    return Loss(contingency.lost, contingency.zone), Row(
        row.kind.value, row.element, row.detail, row.starts_at
    )


def drawn_by(state: State, without: Collection[str] = ()) -> Draws:
    """The racks' draws by the oracle, from what the state says runs where, but for these bookings."""
    nodes, left = [], state.left_nodes()
    for node in state.nodes():
        works = [Work(state.unmanaged_gpus(node.name), None)]
        if node.name in left:
            profile, gpus = left[node.name]
            works.append(Work(gpus, profile))
        for key in list(state.keys()):
            placement = state.booking(key)
            assert placement is not None
            gpus = list(state.held(key).values()).count(node.name) * placement.gpus_per_slot
            if key not in without:
                works.append(Work(gpus, placement.power_profile, state.until(key)))
        nodes.append((node.rack or "", works))
    return draws(state.facility.spec, nodes)


def check_state(
    state: State, oracle: Oracle, drawn: Draws, *, at: float | None = None, until: float | None = None
) -> None:
    """Draws, contingencies, loads and limits of every cell, what is exceeded, and all headrooms.

    Args:
        at: also the headrooms of something that would start then,
        until: and would end then.
    """
    facility = state.facility
    assert dict(zip(facility.rack_index, state.nominal.tolist(), strict=True)) == drawn.nominal
    assert dict(zip(facility.rack_index, state.peak.tolist(), strict=True)) == drawn.peak
    assert [Loss(c.lost, c.zone) for c in facility.contingencies] == list(oracle.worlds)
    assert {Loss(facility.contingencies[c].lost): by for c, by in facility.second_loss.items()} == {
        loss: by for loss in oracle.worlds if (by := oracle.second(loss))
    }
    loads = oracle.loads(drawn)
    for cell, (load, limit) in enumerate(zip(state.loads.tolist(), facility.limits.tolist(), strict=True)):
        loss, row = named(*facility.describe(cell))
        assert abs(load - loads[loss][row]) < TOLERANCE_WATTS, (loss, row)
        assert abs(limit - oracle.worlds[loss].limit(row)) < TOLERANCE_WATTS, (loss, row)
    assert {named(NORMAL, row)[1] for row in facility.rows} == set(loads[Loss()])
    theirs = {named(v.contingency, v.row) for v in state.violations()}
    ours = oracle.violations(loads, tolerance=TOLERANCE_WATTS)
    assert theirs <= ours
    # What the engine leaves out is only exceeded when the same row is in the normal state too.
    assert all((Loss(), row) in theirs for _, row in ours - theirs)
    check_headrooms(oracle.headrooms(loads), state.headrooms())
    then = oracle.headrooms(loads, at=at, until=until, at_once=False)
    check_headrooms(then, state.headrooms_under(state.slack(until, at=at)))


def check_headrooms(ours: Mapping[str, tuple[float, float]], theirs: tuple[Watts, Watts]) -> None:
    """To 0.01 W; where a limit is exceeded already, by how much depends on what was left out, and only that it is."""
    for our, their in zip(ours.values(), zip(*theirs, strict=True), strict=True):
        for a, b in zip(our, their, strict=True):
            assert a == b or abs(a - b) < 0.01 or (a < 0 and b < 0.01), (ours, theirs)
