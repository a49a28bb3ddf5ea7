"""Reports and the trial fill of random facilities, against a plain reading of the cells and against placement."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.model import NodeSpec, Placement, Refusal, Request
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.placing.placement import place
from rackplane.engine.reporting.reports import WorstCase
from rackplane.engine.reporting.stranded import stranded
from rackplane.engine.state import State
from tests.property.engine.facilities import Tape, case
from tests.support.thorough import some

IDLE = 3
BASES = {
    "power": (RowKind.POWER_NOMINAL, RowKind.POWER_PEAK),
    "cooling": (RowKind.LIQUID, RowKind.AIR),
    "budget": (RowKind.BUDGET,),
}


def running(data: bytes) -> State:
    """What the bytes stand for, and more nodes in each rack of which some are ill."""
    drawn = case(data)
    tape = Tape(data[::-1])
    state = State(compile_facility(drawn.spec))
    for node, jobs in drawn.nodes:
        state.set_node(node)
        for i, job in enumerate(jobs):
            if job.ours:
                state.book(f"{node.name}-{i}", job.placement(node.name), force=True, until=job.until)
            else:
                state.set_unmanaged(node.name, job.gpus)
    for rack in drawn.spec.racks:
        for i in range(IDLE):
            state.set_node(NodeSpec(f"{rack.name}-{i}", rack.name, healthy=not tape.rarely()))
    return state


def left_of(state: State, kinds: tuple[RowKind, ...], element: str, *, enforced: bool = False) -> int:
    """Least whole watts left of an element, budgets in force only."""
    f = state.facility
    found = []
    for cell in range(len(f.limits)):
        row = f.describe(cell)[1]
        counts = row.kind in kinds and row.element == element and row.starts_at is None
        if counts and (f.enforced[cell] or not enforced):
            found.append(int((f.limits[cell] - state.loads[cell] + TOLERANCE_WATTS) // 1))
    return min(found, default=0)


@settings(max_examples=some(150), deadline=None)
@given(st.binary(min_size=360, max_size=360))
def test_reports_are_what_the_cells_say(data: bytes) -> None:
    state = running(data)
    f, report = state.facility, state.report()
    exceeded = Counter(v.contingency for v in state.violations() if v.row.starts_at is None)

    def told(worst: WorstCase, kinds: tuple[RowKind, ...], element: str) -> None:
        assert worst.row.kind in kinds and worst.row.element == element
        assert worst.headroom_watts == left_of(state, kinds, element)
        [cell] = [
            k
            for k in range(len(f.limits))
            if f.describe(k) == (worst.loss, worst.row) and f.cell_windows[k] < 0
        ]
        assert (worst.load_watts, worst.limit_watts) == (round(state.loads[cell]), int(f.limits[cell]))
        assert worst.second_to == f.second_loss.get(int(f.cell_contingencies[cell]), ())

    for name, power in report.powers.items():
        told(power.worst, BASES["power"], name)
        own = power.own_loss
        losses = [c for c in f.contingencies if c.lost == name and not c.zone]
        assert (own is not None) == bool(losses)
        if own is not None:
            assert own.within_limits == (not exceeded[losses[0]])
            assert set(own.switched_off) == {
                r.name for r in report.racks.values() if losses[0] in r.switched_off_by
            }
    for name, zone in report.coolings.items():
        told(zone.worst, BASES["cooling"], name)
    for name, budget in report.budgets.items():
        told(budget.worst, BASES["budget"], name)
    for r, rack in enumerate(f.racks):
        found = report.racks[rack.name]
        if found.problem:
            assert (found.headroom_watts, found.worst) == (0, None)
            continue
        assert found.headroom_watts == int((state.headroom(r) + TOLERANCE_WATTS) // 1)
        assert found.worst is not None
        [coefficient] = [
            f.coefficients[e]
            for e in range(f.starts[r], f.starts[r + 1])
            if f.describe(int(f.cells[e])) == (found.worst.loss, found.worst.row)
            and f.cell_windows[f.cells[e]] < 0
        ]
        slack = found.worst.headroom_watts
        assert slack / coefficient <= found.headroom_watts + 1 <= (slack + 1) / coefficient + 2


@settings(max_examples=some(150), deadline=None)
@given(st.binary(min_size=360, max_size=360))
def test_the_fill_breaks_nothing_leaves_no_node_that_fits_and_accounts_for_every_watt(data: bytes) -> None:
    state = running(data)
    f = state.facility
    before = stranded(state)
    idle = Counter(
        n.rack
        for n in state.nodes()
        if n.healthy
        and (t := state.node_type(n.name)) is not None
        and state.free_gpus(n.name) == t.gpus_per_node
        and f.usable(f.rack_index[n.rack or ""])
    )
    over = (state.loads > f.limits + TOLERANCE_WATTS) & f.enforced
    for rack, count in idle.items():
        fill(state, rack or "", count - before.racks[rack or ""].nodes)
    now = (state.loads > f.limits + TOLERANCE_WATTS) & f.enforced
    assert not (now & ~over).any()
    for node_type in f.spec.node_types:
        # Part of a larger node may still fit; coming budgets are not looked at.
        request = Request(
            slots=1,
            gpus_per_slot=node_type.gpus_per_node,
            resource="gpu",
            strict=True,
            until=0.0,
            capacity={n.name: 1 for n in state.nodes() if state.node_type(n.name) == node_type},
        )
        assert isinstance(place(state, request), Refusal)
    after = stranded(state)
    assert after.filled_nodes == 0
    assert (after.racks, after.powers, after.coolings) == (before.racks, before.powers, before.coolings)
    for kind, elements in (("power", before.powers), ("cooling", before.coolings)):
        for name, found in elements.items():
            assert found.watts == max(0, left_of(state, BASES[kind], name, enforced=True))
            assert all(watts > 0 for watts in found.headroom.values())
    assert before.unfed_nodes == sum(found.nodes for found in before.racks.values())
    assert before.unfed_nodes + before.filled_nodes == idle.total()
    for found in (*before.powers.values(), *before.coolings.values()):
        assert found.nodes <= before.unfed_nodes
        assert [u.watts for u in found.unfed] == sorted((u.watts for u in found.unfed), reverse=True)


def fill(state: State, rack: str, count: int) -> None:
    """Start so many of the rack's free nodes at full power."""
    for node in list(state.nodes()):
        node_type = state.node_type(node.name)
        if not count or node.rack != rack or not node.healthy or node_type is None:
            continue
        if state.free_gpus(node.name) == node_type.gpus_per_node:
            placement = Placement(
                slots=(node.name,),
                groups=(),
                gpus_per_slot=node_type.gpus_per_node,
                power_profile="MaxP",
                nominal_watts=0,
                peak_watts=0,
                liquid_watts=0,
                air_watts=0,
            )
            state.book(f"fill-{node.name}", placement)
            count -= 1
    assert not count
