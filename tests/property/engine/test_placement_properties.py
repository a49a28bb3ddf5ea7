"""Placement against brute force on small facilities, and invariants over random histories."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    CoolingUnit,
    DomainSpec,
    FacilitySpec,
    Feed,
    Medium,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Refusal,
    RefusalKind,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.physics.rows import LimitRow
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State
from tests.support.thorough import some

LABEL = NodeType("label", "gpu", 4, 1000, 5000, 90, 120, 75, NvlinkScope.LABEL, (PowerCap("MaxQ", 3000, 80),))
NODE = NodeType("node", "gpu", 4, 1000, 5000, 100, 100, 0, NvlinkScope.NODE)


#: Parts of an NVLink domain: two names that every domain may have, so that a part is one only within its domain.
INNER = st.sampled_from(
    [
        (),
        (("part", "p0"),),
        (("tray", "t0"), ("part", "p0")),
        (("tray", "t1"), ("part", "p0")),
        (("tray", "t0"), ("part", "p1")),
    ]
)


@st.composite
def worlds(draw: st.DrawFn, *, scopes: bool = True) -> State:
    """Up to five racks over two feeds and two levels, with limits that often bind."""
    count = draw(st.integers(1, 5))
    watts = st.integers(4, 60).map(lambda n: n * 1000)
    racks, nodes = [], []
    for r in range(count):
        kind = draw(st.sampled_from(["label", "label", "node"])) if scopes else "label"
        feeds = draw(st.sampled_from([("a",), ("b",), ("a", "b")]))
        racks.append(
            RackSpec(
                f"r{r}",
                kind,
                500,
                draw(watts),
                tuple(Feed(f, draw(st.integers(1, 2))) for f in feeds),
                "loop",
                None,
                schedulable=draw(st.integers(0, 9)) > 0,
            )
        )
        shared = draw(st.booleans())
        for i in range(draw(st.integers(1, 4))):
            domain = f"d{r // 2 if shared else r + 10}"
            fabric = (("leaf", f"leaf{r % 2}"), ("spine", "s"))
            healthy = draw(st.integers(0, 7)) > 0
            nodes.append(NodeSpec(f"r{r}n{i}", f"r{r}", domain, fabric, healthy, draw(INNER)))
    spec = FacilitySpec(
        (LABEL, NODE),
        tuple(racks),
        (
            PowerSpec("top", draw(watts), efficiency_basis_points=9_500),
            PowerSpec("a", draw(watts), parents=(Feed("top"),)),
            PowerSpec("b", draw(watts), parents=(Feed("top"),)),
        ),
        (CoolingSpec("loop", Medium.LIQUID, (CoolingUnit("u", 200_000), CoolingUnit("v", draw(watts)))),),
        (BudgetSpec("order", ("a",), (), draw(watts)),),
        (DomainSpec("d0", spare_nodes=draw(st.integers(0, 1))),),
        ("leaf", "spine"),
        inner_levels=("tray", "part"),
    )
    return State(compile_facility(spec), nodes)


LEVELS = st.sampled_from([None, "tray", "part", "nvlink", "leaf", "spine"])


@st.composite
def requests(draw: st.DrawFn) -> Request:
    return Request(
        slots=draw(st.integers(1, 8)),
        gpus_per_slot=draw(st.sampled_from([4, 4, 4, 2, 1, 3, 0])),
        resource="gpu",
        required=draw(LEVELS),
        preferred=draw(LEVELS),
        segment_slots=draw(st.sampled_from([None, None, 2, 3])),
        power_profile=draw(st.sampled_from(["MaxP", "MaxP", "MaxQ"])),
        strict=draw(st.booleans()),
    )


def snapshot(state: State) -> tuple[object, ...]:
    return (
        state.loads.tobytes(),
        state.nominal.tobytes(),
        state.peak.tobytes(),
        state.free.tolist(),
        {key: (dict(state.held(key)), state.booking(key)) for key in list(state.keys())},
        list(state.nodes()),
        [state.unmanaged_gpus(n.name) for n in state.nodes()],
    )


def check_placement(state: State, request: Request, placement: Placement) -> None:
    """What every offer promises, checked from the nodes alone."""
    nodes = {n.name: n for n in state.nodes()}
    assert len(placement.slots) == request.slots
    assert placement.slots == tuple(n for g in placement.groups for n in g.nodes)
    for group in placement.groups:
        assert {nodes[n].rack for n in group.nodes} == {group.rack}
        assert all(nodes[n].healthy for n in group.nodes)
    for name in set(placement.slots):
        assert placement.slots.count(name) * request.gpus_per_slot <= state.free_gpus(name)

    def domain(name: str) -> str:
        node_type = state.node_type(name)
        assert node_type is not None
        return name if node_type.nvlink_scope is NvlinkScope.NODE else nodes[name].domain or ""

    if request.required in ("tray", "part"):
        assert len({domain(n) for n in placement.slots}) == 1
        assert len({nodes[n].inner[-1] for n in placement.slots}) == 1
        assert len({dict(nodes[n].inner)[request.required] for n in placement.slots}) == 1
    elif request.required == "nvlink":
        assert len({domain(n) for n in placement.slots}) == 1
    elif request.required is not None:
        assert len({dict(nodes[n].fabric)[request.required] for n in placement.slots}) == 1
    if request.segment_slots:
        for start in range(0, request.slots, request.segment_slots):
            assert len({domain(n) for n in placement.slots[start : start + request.segment_slots]}) == 1
    if request.strict:
        assert placement.power_profile == request.power_profile


@given(worlds(), st.data())
@settings(max_examples=some(150), deadline=None)
def test_random_histories_keep_every_promise(state: State, data: st.DataObject) -> None:
    gangs = 0
    for _ in range(data.draw(st.integers(1, 12))):
        names = [n.name for n in state.nodes()]
        action = data.draw(st.sampled_from(["place", "place", "place", "release", "node", "drop", "others"]))
        if action == "place":
            request = data.draw(requests())
            before = snapshot(state)
            answer = place(state, request)
            assert snapshot(state) == before
            if isinstance(answer, Refusal):
                assert answer.message
                assert answer.relief
                continue
            check_placement(state, request, answer)
            already = {(v.contingency, v.row): v.load_watts for v in state.violations()}
            with state.simulation():
                state.book("try", answer)
                state.validate()
            assert snapshot(state) == before
            state.book(f"g{gangs}", answer)
            gangs += 1
            for violation in state.violations():
                cell = (violation.contingency, violation.row)
                assert violation.load_watts <= already.get(cell, 0.0) + TOLERANCE_WATTS, violation
            reserved = state.reserved(f"g{gangs - 1}")
            assert (reserved.nominal_watts, reserved.peak_watts) == (answer.nominal_watts, answer.peak_watts)
            assert (reserved.liquid_watts, reserved.air_watts) == (answer.liquid_watts, answer.air_watts)
        elif action == "release" and list(state.keys()):
            key = data.draw(st.sampled_from(list(state.keys())))
            slots = data.draw(st.none() | st.lists(st.integers(0, 8), max_size=3))
            before = snapshot(state)
            with state.simulation():
                state.release(key, slots)
                state.validate()
            assert snapshot(state) == before
            state.release(key, slots)
        elif names and action in ("node", "drop", "others"):
            name = data.draw(st.sampled_from(names))
            old = state.node(name)
            assert old is not None
            before = snapshot(state)
            rack = data.draw(st.sampled_from([old.rack, old.rack, "r0", "nowhere", None]))
            changed = NodeSpec(name, rack, old.domain, old.fabric, data.draw(st.booleans()), data.draw(INNER))
            gpus = data.draw(st.integers(0, 4))
            for trial in (True, False):
                if trial:
                    with state.simulation():
                        _change(state, action, changed, gpus)
                        state.validate()
                    assert snapshot(state) == before
                else:
                    _change(state, action, changed, gpus)
        state.validate()
        for node in state.nodes():
            node_type = state.node_type(node.name)
            if node_type is not None:
                assert state.booked_gpus(node.name) <= node_type.gpus_per_node


def _change(state: State, action: str, node: NodeSpec, gpus: int) -> None:
    if action == "node":
        state.set_node(node)
    elif action == "drop":
        state.remove_node(node.name)
    else:
        state.set_unmanaged(node.name, gpus)


def brute_force(
    state: State, slots: int, required: str | None, run: int
) -> tuple[tuple[int, int] | None, bool]:
    """The fewest (domains, racks) of any feasible choice of whole nodes, by trying all counts per domain and rack.

    And whether limits are so loose that every free node could be taken at once.
    """
    facility = state.facility
    cells: dict[tuple[str, str, str], int] = {}
    spares = {name: d.spare_nodes for name, d in facility.domains.items()}
    for each in state.nodes():
        if not each.healthy and each.domain in spares:
            spares[each.domain] -= 1
    for node in reversed(state.inventory.names):
        spec = state.node(node)
        assert spec is not None and spec.rack is not None and spec.domain is not None
        if not spec.healthy:
            continue
        if spares.get(spec.domain, 0) > 0:
            spares[spec.domain] -= 1
            continue
        if not facility.usable(facility.rack_index[spec.rack]):
            continue
        inner = dict(spec.inner)
        if required in ("tray", "part"):
            if required not in inner:
                continue
            parts = (inner["part"], inner["tray"]) if required == "tray" else (inner["part"],)
            tree = "/".join((spec.domain, *parts))
        else:
            tree = spec.domain if required == "nvlink" else dict(spec.fabric)[required] if required else ""
        cells[tree, spec.domain, spec.rack] = cells.get((tree, spec.domain, spec.rack), 0) + 1
    best: tuple[int, int] | None = None
    for tree in {key[0] for key in cells}:
        mine = [key for key in cells if key[0] == tree]
        for counts in product(*(range(cells[key] + 1) for key in mine)):
            if sum(counts) != slots:
                continue
            sums: dict[str, int] = {}
            for key, n in zip(mine, counts, strict=True):
                sums[key[1]] = sums.get(key[1], 0) + n
            broken = [n % run for n in sums.values() if n % run]
            if required not in ("tray", "part", "nvlink") and broken not in ([], [slots % run]):
                continue
            chosen = [key for key, n in zip(mine, counts, strict=True) if n]
            score = (len({k[1] for k in chosen}), len({k[2] for k in chosen}))
            if best is not None and score >= best:
                continue
            if _holds(state, {k: n for k, n in zip(mine, counts, strict=True) if n}):
                best = score
    return best, _holds(state, cells)


def _holds(state: State, counts: dict[tuple[str, str, str], int]) -> bool:
    facility = state.facility
    extra: dict[LimitRow, float] = {}
    for (_, _, rack), n in counts.items():
        entries = facility.entries(facility.rack_index[rack])
        for cell, factor in zip(facility.cells[entries], facility.coefficients[entries], strict=True):
            row = facility.rows[int(cell)]
            extra[row] = extra.get(row, 0.0) + factor * n * (5000 if row.basis else 3600)
    return all(
        float(state.loads[facility.row_index[row]]) + watts
        <= float(facility.limits[facility.row_index[row]]) + TOLERANCE_WATTS / 2
        for row, watts in extra.items()
    )


@given(worlds(scopes=False), st.integers(1, 9), LEVELS, st.sampled_from([1, 1, 2, 3]))
@settings(max_examples=some(200), deadline=None)
def test_whole_node_gangs_are_placed_exactly_when_brute_force_can(
    state: State, slots: int, required: str | None, run: int
) -> None:
    best, loose = brute_force(state, slots, required, run)
    answer = place(
        state,
        Request(
            slots=slots, gpus_per_slot=4, resource="gpu", required=required, segment_slots=run, strict=True
        ),
    )
    if best is None:
        assert isinstance(answer, Refusal)
        assert answer.kind is RefusalKind.UNPLACEABLE
        return
    assert isinstance(answer, Placement)
    assert len({g.domain for g in answer.groups}) == best[0]
    # Where limits that racks share bind, and with segments, few racks is sought but not promised.
    racks = len({g.rack for g in answer.groups})
    assert racks == best[1] if loose and run == 1 else racks >= best[1]
