"""As `test_backfill_histories`, without Jobs and pods: many more histories, and not a second is allowed for writes."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from rackplane.core import events as e
from rackplane.core.settings import MachineSettings
from tests.property.core.sites import Site
from tests.support.harness import facility, thing
from tests.support.thorough import some


class Hall(Site):
    """Two racks of four nodes of four GPUs, and watts for seven of these eight nodes; gangs run as long as they do."""

    def __init__(self, *, reservations: int, gpus: int | None) -> None:
        #: seconds that each gang runs, which is not always what it says
        self.runs: dict[str, int] = {}
        quiet = MachineSettings(
            reservations=reservations, status_seconds=1e9, estimate_seconds=1.0, explain_gangs=0
        )
        objects = [o for o in facility(racks=2, row_watts=12_000 + 7 * 4_000) if o["kind"] != "Queue"]
        research = thing("Queue", "research", quota={} if gpus is None else {"gpus": gpus})
        super().__init__([*objects, research, thing("Queue", "other")], quiet)

    def arrival(
        self, name: str, slots: int, runs: int, *, says: int | None, near: bool = False, **more: Any
    ) -> e.Event:
        self.runs[name] = runs
        spec = {"queue": "research", "slots": slots, "gpusPerSlot": 4, "priority": 0, **more}
        if says is not None:
            spec["expectedDurationSeconds"] = says
        if near and slots <= 4:
            spec["topology"] = {"required": "nvlink"}
        return self.submit(name, spec)

    @property
    def started(self) -> dict[str, float]:
        return {name: at for at, name, _ in self.decided}

    def pass_second(self, *arrivals: e.Event) -> None:
        """Who is over by then goes, whatever comes."""
        self.now += 1.0
        over = [n for n, at in self.started.items() if n in self.bodies and self.now >= at + self.runs[n]]
        self.handle(*map(self.end, over), *arrivals, e.TimePassed())


gangs = st.lists(
    st.tuples(
        st.integers(1, 8),  # slots
        st.integers(6, 20),  # seconds that it runs, as it says
        st.booleans(),  # in one NVLink domain, if it fits one
        st.integers(0, 6),  # seconds until the next one comes
    ),
    min_size=4,
    max_size=12,
)


# The sixth is to have quota after the fourth, which had lost its place for a moment when that was worked out first.
@example(
    wanted=[
        (7, 20, False, 5),
        (2, 14, False, 5),
        (4, 11, True, 6),
        (5, 7, False, 5),
        (2, 10, False, 1),
        (2, 14, False, 5),
        (5, 10, True, 6),
    ],
    reservations=3,
    gpus=16,
)
@given(gangs, st.integers(1, 3), st.sampled_from([None, 12, 16]))
@settings(max_examples=some(40), deadline=None, suppress_health_check=list(HealthCheck))
def test_whoever_holds_a_place_or_quota_starts_by_then(
    wanted: list[tuple[int, int, bool, int]], reservations: int, gpus: int | None
) -> None:
    h = Hall(reservations=reservations, gpus=gpus)
    promised: dict[str, float] = {}

    def note() -> None:
        world = h.machine.world
        places, quota = world.held_places, world.held_quota
        for first, key in enumerate(world.waiting.order.first(world.rank)):
            if key not in places and key not in quota:
                break  # it need not mind what is held for those behind it
            if key in places:
                promised.setdefault(key[1], places[key].reservation.at)
            # Whoever waits behind a gang that is about to get a place may hold quota for a moment.
            elif not first and quota[key].share.at > world.now:
                promised.setdefault(key[1], quota[key].share.at)

    h.check = note
    for i, (slots, lasts, near, pause) in enumerate(wanted):
        # With a quota there are nodes and watts for all of it, anywhere.
        slots, near = (min(slots, 7), near) if gpus is None else (min(slots, gpus // 4), False)
        h.handle(h.arrival(f"j{i}", slots, lasts, says=lasts, near=near))
        for _ in range(pause):
            h.pass_second()
    for _ in range(20 * len(wanted)):
        if h.bodies:
            h.pass_second()
    assert not h.bodies
    event(f"{len(promised)} promises, {'quota' if gpus else 'nodes and watts'}")
    assert {name: at for name, at in promised.items() if h.started[name] > at} == {}


@given(
    st.integers(2, 7),
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(3, 15), st.sampled_from([None, 0.5, 1.0])),
        min_size=4,
        max_size=8,
    ),
    st.booleans(),
    st.sampled_from([None, 28]),
)
@settings(max_examples=some(40), deadline=None, suppress_health_check=list(HealthCheck))
def test_the_first_of_all_starts_however_many_small_ones_come(
    slots: int, small: list[tuple[int, int, float | None]], near: bool, gpus: int | None
) -> None:
    h = Hall(reservations=1, gpus=gpus)

    def fill() -> None:
        """Small ones that keep the hall full; what they say of how long they run is true, too short, or nothing."""
        while len(h.bodies) - len(h.running) < 3:
            count = len(h.runs)
            size, runs, said = small[count % len(small)]
            says = None if said is None else max(1, round(runs * said))
            h.handle(
                h.arrival(f"s{count}", size, runs, says=says, queue="other" if count % 3 else "research")
            )

    fill()
    h.handle(h.arrival("large", slots, 30, says=30, near=near, priority=9))
    # Who ran when it came runs 15 s at most, and nobody gets in its way but for so long as it is taken to run.
    for _ in range(60):
        if "large" not in h.started:
            fill()
            h.pass_second()
    assert "large" in h.started, h.bodies["large"]["status"]["message"]
