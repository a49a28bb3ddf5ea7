"""Gangs that keep to what they say, among PowerBudgets that come and go: none is ever exceeded, whoever starts when."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rackplane.core.gangs.statuses import timestamp
from rackplane.core.queues.counting import counted
from tests.support.harness import START, Harness, facility, thing
from tests.support.thorough import some

#: Idle, two racks of two nodes draw 8 kW; a node in use adds 4 kW, or 2 kW at MaxQ.
IDLE, MARGIN = 8_000, 20

minutes = st.integers(1, 12).map(lambda n: n * 60)
gangs = st.tuples(st.integers(1, 4), minutes, st.booleans(), st.integers(0, 6))
budgets = st.tuples(
    st.sampled_from(["powerDomains", "queues"]), st.integers(0, 8).map(lambda n: n * 2_000), minutes, minutes
)


@settings(max_examples=some(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(budgets, min_size=1, max_size=3), st.lists(gangs, min_size=1, max_size=4), st.integers(0, 60))
def test_no_budget_is_exceeded_by_gangs_that_end_when_they_say(
    orders: list[tuple[str, int, int, int]], work: list[tuple[int, int, bool, int]], killed: int
) -> None:
    h = Harness()
    objects = facility(nodes=2)
    for body in objects:
        if body["kind"] == "HardwareProfile":
            profile = {"name": "MaxQ", "nodeWatts": 3_000, "relativePerformancePercent": 75}
            body["spec"]["powerProfiles"] = [profile]
    h.apply(*objects)
    for index, (kind, watts, start, length) in enumerate(orders):
        target, limit = ("row", IDLE + watts) if kind == "powerDomains" else ("research", watts)
        times = {"start": timestamp(START + start), "end": timestamp(START + start + length)}
        h.apply(
            thing("PowerBudget", f"order-{index}", targets={kind: [target]}, limitWatts=limit, interval=times)
        )
    held: dict[str, dict[str, int]] = {}

    def check() -> None:
        state = h.machine.state
        if state is None:
            return
        assert state.violations() == []
        for budget in h.machine.world.catalog.budgets.groups(h.time.now):
            if budget.starts_at is None:
                used = sum(u.nominal_watts for u in counted(h.machine.world))
                assert used <= budget.limit_watts, (budget, held)

    h.check = check
    h.start_machine()
    waits = list(enumerate(work))
    for tick in range(30 * 60 // 20):
        for index, (slots, seconds, strict, after) in list(waits):
            if tick >= after * 3:
                waits.remove((index, (slots, seconds, strict, after)))
                annotations = {"rackplane.dev/expected-duration": f"{seconds + MARGIN}s"}
                if strict:
                    annotations["rackplane.dev/power-strict"] = "true"
                h.job(f"j{index}", slots=slots, run=seconds, annotations=annotations)
        if tick == killed:
            h.restart_machine()
        h.advance(20, step=20)
    # Every order is over after 24 minutes at most, and then everything may start.
    h.advance(25 * 60, step=60)
    assert set(h.gangs().values()) == {"Finished"}
