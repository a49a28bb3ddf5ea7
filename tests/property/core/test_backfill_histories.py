"""Random work on a small hall through the whole machine: who holds a place or quota is not kept from it by others.

By Jobs, pods and all writes of some histories; `test_backfill_promises` looks at many more without these.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from rackplane.core.gangs.statuses import seconds
from rackplane.core.settings import MachineSettings
from tests.support.harness import Harness, facility, thing

LASTS = "rackplane.dev/expected-duration"
WRITES = 2.0
"""Seconds from the end of one gang to the start of the next that the objects on the way may take."""

gangs = st.lists(
    st.tuples(
        st.integers(1, 8),  # slots
        # Seconds that it runs, as it says: more than the 5 s for which a gang that is due is waited for.
        st.integers(6, 20),
        st.booleans(),  # in one NVLink domain, if it fits one
        st.integers(0, 6),  # seconds until the next one comes
    ),
    min_size=4,
    max_size=7,
)


def hall(*, reservations: int, gpus: int | None = None) -> Harness:
    """Two racks of four nodes of four GPUs, and watts for seven of these eight nodes."""
    quiet = MachineSettings(
        validate=True, status_seconds=1e9, reservations=reservations, estimate_seconds=1.0, explain_gangs=0
    )
    h = Harness(settings=quiet)
    h.apply(*facility(racks=2, row_watts=12_000 + 7 * 4_000))
    h.apply(thing("Queue", "research", quota={} if gpus is None else {"gpus": gpus}), thing("Queue", "other"))
    h.start_machine()
    h.settle()
    return h


def submit(h: Harness, name: str, slots: int, lasts: int | None, *, runs: float, **more: Any) -> None:
    notes = {} if lasts is None else {LASTS: f"{lasts}s"}
    if more.pop("near", False) and slots <= 4:
        notes["rackplane.dev/required-topology"] = "nvlink"
    h.job(name, slots=slots, run=runs, annotations=notes, **more)


def began(h: Harness, gang: str) -> float | None:
    at = h.gang(gang)["status"].get("startedAt")
    return None if at is None else seconds(at)


@given(gangs, st.integers(1, 3), st.sampled_from([None, 12, 16]))
@settings(max_examples=8, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_gang_starts_when_it_was_promised_to_while_durations_are_kept(
    wanted: list[tuple[int, int, bool, int]], reservations: int, gpus: int | None
) -> None:
    h = hall(reservations=reservations, gpus=gpus)
    #: by gang: the first time at which it was to start, by the place or the quota that was held for it
    promised: dict[str, float] = {}

    def note() -> None:
        world = h.machine.world
        # In one queue the oldest is asked first, so whoever holds anything is overtaken by the rule alone.
        for (_, name), held in world.held_places.items():
            promised.setdefault(name, held.reservation.at)
        for (_, name), quota in world.held_quota.items():
            # Whoever waits behind a gang that is about to get a place may hold it for a moment.
            if quota.share.at > world.now and [key[1] for key in world.waiting.ahead[:1]] == [name]:
                promised.setdefault(name, quota.share.at)

    h.check = note
    for i, (slots, lasts, near, pause) in enumerate(wanted):
        if gpus is None:
            submit(h, f"j{i}", min(slots, 7), lasts, runs=lasts, near=near)
        else:  # there are nodes and watts for the whole quota, anywhere
            submit(h, f"j{i}", min(slots, gpus // 4), lasts, runs=lasts)
        h.advance(pause)
    h.until(lambda: set(h.gangs().values()) <= {"Finished"}, seconds=300)
    event(f"{len(promised)} promises, {'quota' if gpus else 'nodes and watts'}")
    for name, at in promised.items():
        start = began(h, name)
        assert start is not None and start <= at + WRITES, (name, start, at)


@given(
    st.integers(2, 7),
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(3, 15), st.sampled_from([None, 0.5, 1.0])),
        min_size=4,
        max_size=4,
    ),
    st.booleans(),
    st.sampled_from([None, 28]),
)
@settings(max_examples=4, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_gang_of_the_highest_priority_starts_however_many_small_ones_come(
    slots: int, small: list[tuple[int, int, float | None]], near: bool, gpus: int | None
) -> None:
    h = hall(reservations=1, gpus=gpus)
    meta = {"name": "high"}
    h.apply({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": meta, "value": 9})
    count = 0

    def more() -> None:
        """Small gangs that keep the hall full; what they say of how long they run is true, too short, or nothing."""
        nonlocal count
        while list(h.gangs().values()).count("Pending") < 3 and count < 400:
            size, runs, said = small[count % len(small)]
            lasts = None if said is None else max(1, round(runs * said))
            submit(h, f"s{count}", size, lasts, runs=runs, queue="other" if count % 3 else "research")
            count += 1
            h.settle()

    more()
    submit(
        h, "large", slots, 30, runs=30, near=near, queue="research",
        template={"priorityClassName": "high", "priority": 9},
    )  # fmt: skip
    # Who ran when it came runs 15 s at most, and nobody gets in its way but for so long as it is taken to run.
    for _ in range(30):
        more()
        h.advance(2)
        if h.phase("job-large") in ("Running", "Finished"):
            break
    assert h.phase("job-large") in ("Running", "Finished"), h.gang("job-large")["status"]["message"]
