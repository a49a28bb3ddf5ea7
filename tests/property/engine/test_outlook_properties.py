"""Budgets that come and go, and when a gang could start, against plain arithmetic on every second of a small day."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from rackplane.engine.model import (
    BudgetSpec,
    FacilitySpec,
    Feed,
    Group,
    NodeSpec,
    NodeType,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.placing.placement import find
from rackplane.engine.planning.afterwards import Afterwards
from rackplane.engine.planning.outlook import earliest_start
from rackplane.engine.state import State
from tests.support.thorough import some

IDLE, OVERHEAD, DAY = 1_000, 500, 30
#: what a node in use adds to its idle draw, by power profile
ADDED = {"MaxP": 4_000, "MaxQ": 2_000}
NODE = NodeType("node", "gpu", 4, IDLE, 5_000, caps=(PowerCap("MaxQ", 3_000, 80),))


@dataclass(frozen=True)
class Window:
    start: int | None
    end: int | None
    limit: int


@dataclass(frozen=True)
class Booked:
    nodes: range
    profile: str
    until: int | None


@dataclass(frozen=True)
class Case:
    """Nodes of one rack each under one feed; watts that a gang adds are the same wherever it goes."""

    nodes: int
    rating: int
    windows: dict[str, list[Window]]
    booked: list[Booked]
    slots: int
    duration: int
    strict: bool

    def runs(self, b: Booked, t: float) -> bool:
        return b.until is None or b.until > t

    def load(self, t: float) -> int:
        """What the bookings that are expected to run at `t` draw, with all that is always on."""
        drawn = sum(len(b.nodes) * ADDED[b.profile] for b in self.booked if self.runs(b, t))
        return self.nodes * (IDLE + OVERHEAD) + drawn

    def fits(self, t: float, profile: str) -> bool:
        free = self.nodes - sum(len(b.nodes) for b in self.booked if self.runs(b, t))
        added = self.slots * ADDED[profile]
        if free < self.slots or self.load(t) + added > self.rating:
            return False
        for windows in self.windows.values():
            for w in windows:
                start = t if w.start is None else max(t, w.start)
                overlaps = (w.end is None or t < w.end) and (w.start is None or t + self.duration > w.start)
                if overlaps and self.load(start) + added > w.limit:
                    return False
        return True

    def profile(self, t: float) -> str | None:
        return next((p for p in (["MaxP"] if self.strict else ADDED) if self.fits(t, p)), None)

    def state(self) -> State:
        budgets = tuple(
            BudgetSpec(name, ("top",), (), w.limit, starts_at=w.start, ends_at=w.end)
            for name, windows in self.windows.items()
            for w in windows
        )
        racks = tuple(
            RackSpec(f"r{i:02}", "node", OVERHEAD, 100_000, (Feed("top"),)) for i in range(self.nodes)
        )
        spec = FacilitySpec((NODE,), racks, (PowerSpec("top", self.rating),), budgets=budgets)
        state = State(
            compile_facility(spec), [NodeSpec(f"n{i:02}", f"r{i:02}", None) for i in range(self.nodes)]
        )
        for index, b in enumerate(self.booked):
            names = tuple(f"n{i:02}" for i in b.nodes)
            groups = tuple(Group("", f"r{i:02}", (f"n{i:02}",)) for i in b.nodes)
            state.book(
                f"g{index}", Placement(
                    slots=names, groups=groups, gpus_per_slot=4, power_profile=b.profile, nominal_watts=0, peak_watts=0,
                    liquid_watts=0, air_watts=0,
                ), force=True, until=b.until,
            )  # fmt: skip
        return state

    def request(self, t: float, _: frozenset[str] = frozenset()) -> Request:
        until = t + self.duration
        return Request(
            slots=self.slots, gpus_per_slot=4, resource="gpu", strict=self.strict, until=until, at=t
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    nodes = draw(st.integers(2, 10))
    idle = nodes * (IDLE + OVERHEAD)
    watts = st.integers(0, nodes * 2).map(lambda n: idle + n * 2_000)
    windows: dict[str, list[Window]] = {}
    for name in draw(st.lists(st.sampled_from(["east", "west"]), unique=True)):
        edges = sorted(draw(st.lists(st.integers(1, DAY), unique=True, min_size=2, max_size=6)))
        limit = draw(watts)
        pairs = [
            Window(start, end, limit)
            for start, end in zip(edges[::2], edges[1::2], strict=False)
            if start < end
        ]
        if draw(st.booleans()):
            pairs[0] = replace(pairs[0], start=None)
        if draw(st.integers(0, 4)) == 0:
            pairs[-1] = replace(pairs[-1], end=None)
        windows[name] = pairs
    booked, first = [], 0
    while first < nodes and draw(st.integers(0, 9)):
        size = min(nodes - first, draw(st.sampled_from([1, 1, 1, 2, 4])))
        until = draw(st.one_of(st.none(), *[st.integers(1, DAY)] * 5))
        booked.append(Booked(range(first, first + size), draw(st.sampled_from(sorted(ADDED))), until))
        first += size
    return Case(
        nodes, draw(watts) + 8_000, windows, booked, draw(st.integers(1, nodes)), draw(st.integers(1, DAY)),
        draw(st.booleans()),
    )  # fmt: skip


def everything(state: State) -> tuple[object, ...]:
    held = {key: (dict(state.held(key)), state.until(key)) for key in tuple(state.keys())}
    return (state.loads.tobytes(), state.nominal.tobytes(), state.free.tolist(), held, list(state.keys()))


@settings(max_examples=some(500), deadline=None)
@given(cases())
def test_the_earliest_start_is_the_first_second_at_which_the_gang_fits(case: Case) -> None:
    state = case.state()
    assume(case.profile(0) is None)
    assert find(state, case.request(0)) is None
    before = everything(state)
    outlook = earliest_start(
        state, now=0, horizon=DAY, duration=case.duration, request=case.request, admits=lambda *_: True
    )
    assert everything(state) == before
    kept = Afterwards()
    kept.of(state, [key for i, key in enumerate(state.keys()) if i % 2])  # as another question left it
    again = earliest_start(
        state, now=0, horizon=DAY, duration=case.duration, request=case.request, afterwards=kept
    )
    assert again == outlook
    assert everything(state) == before
    state.validate()
    expected = next((t for t in range(1, DAY + 1) if case.profile(t) is not None), None)
    event("an opening" if expected else "none")
    assert outlook.certain
    if expected is None:
        assert outlook.opening is None
        return
    assert outlook.opening is not None
    assert outlook.opening.at == expected
    assert outlook.opening.placement.power_profile == case.profile(expected)
    ends = {(f"g{i}", False) for i, b in enumerate(case.booked) if b.until == expected}
    ends |= {(name, True) for name, ws in case.windows.items() for w in ws if w.end == expected}
    assert {(e.name, e.of_budget) for e in outlook.opening.endings} == ends


@settings(max_examples=some(400), deadline=None)
@given(cases())
def test_an_admission_is_judged_by_the_stretch_in_force_or_the_next_one(case: Case) -> None:
    """What `core.budgets.Budgets.rows` says of the later ones, whatever the books hold."""
    now = case.profile(0)
    answer = find(case.state(), case.request(0))
    assert (answer and answer.power_profile) == now
    first = replace(case, windows={name: ws[:1] for name, ws in case.windows.items()})
    if all(ws[0].start is None or ws[0].start > 0 for ws in case.windows.values()):
        alone = find(first.state(), first.request(0))
        assert (alone and alone.power_profile) == now


@settings(max_examples=some(300), deadline=None)
@given(cases(), st.integers(0, 5), st.one_of(st.none(), st.integers(1, DAY)))
def test_the_load_of_a_coming_budget_is_that_of_what_is_expected_to_run_then(
    case: Case, which: int, until: int | None
) -> None:
    state = case.state()
    if which < len(case.booked):
        state.expect(f"g{which}", until)
        booked = list(case.booked)
        booked[which] = replace(booked[which], until=until)
        case = replace(case, booked=booked)
    state.validate()
    for row, cell in state.facility.row_index.items():
        if row.kind is RowKind.BUDGET:
            always_on = case.nodes * (IDLE + OVERHEAD)
            everybody = always_on + sum(len(b.nodes) * ADDED[b.profile] for b in case.booked)
            expected = everybody if row.starts_at is None else case.load(row.starts_at)
            assert state.loads[cell] == expected
