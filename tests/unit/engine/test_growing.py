"""Gangs that may have fewer slots: which counts, the most that fit, and bookings that grow."""

from __future__ import annotations

from random import Random

import pytest

from rackplane.engine.bookings import Reserved
from rackplane.engine.model import (
    BookingError,
    FacilitySpec,
    Group,
    NodeSpec,
    NodeType,
    Placement,
    PowerCap,
    RackSpec,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.growing import allowed_counts, enlarged, most_that_fit
from rackplane.engine.state import State


@pytest.mark.parametrize(
    ("fewest", "most", "segment", "counts"),
    [
        (2, 5, None, [2, 3, 4, 5]),
        (5, 5, None, [5]),
        (3, 11, 4, [4, 8, 11]),
        (4, 12, 4, [4, 8, 12]),
        (9, 10, 4, [10]),
        (1, 3, 4, [3]),
    ],
)
def test_with_segments_only_whole_ones_may_be_missing(
    fewest: int, most: int, segment: int | None, counts: list[int]
) -> None:
    assert list(allowed_counts(fewest, most, segment)) == counts


def test_the_most_that_fit_are_found_in_few_questions() -> None:
    random = Random(1)
    for _ in range(200):
        counts = sorted(random.sample(range(1, 5_000), random.randint(1, 600)))
        asked: list[int] = []
        room = random.randint(0, 5_000)

        def placed(count: int, room: int = room, asked: list[int] = asked) -> int | None:
            asked.append(count)
            return count if count <= room else None

        assert most_that_fit(counts, placed) == max((c for c in counts if c <= room), default=None)
        assert len(asked) <= 1 + len(counts).bit_length()
    assert most_that_fit([], lambda count: count) is None


def hall() -> State:
    kind = NodeType("t", "gpu", 4, 1_000, 5_000, caps=(PowerCap("MaxP", 5_000), PowerCap("MaxQ", 3_000, 80)))
    racks = tuple(RackSpec(name, "t", 500, 100_000, ()) for name in ("r1", "r2"))
    nodes = [NodeSpec(f"{rack.name}-{i}", rack.name) for rack in racks for i in range(3)]
    return State(compile_facility(FacilitySpec(node_types=(kind,), racks=racks)), nodes)


def placement(*slots: str, profile: str = "MaxP") -> Placement:
    return Placement(
        slots=slots,
        groups=tuple(Group("", slot[:2], (slot,)) for slot in slots),
        gpus_per_slot=4,
        power_profile=profile,
        nominal_watts=4_000 * len(slots),
        peak_watts=4_000 * len(slots),
        liquid_watts=0,
        air_watts=4_000 * len(slots),
    )


def test_a_gang_that_grows_takes_the_slots_it_gave_up_first() -> None:
    first, more = placement("r1-0", "r1-1", "r1-2"), placement("r2-0", "r2-1")
    watts = Reserved(16_000, 16_000, 0, 16_000)
    grown, slots = enlarged(first, more, [1], watts)
    assert slots == {1, 3}
    assert grown.slots == ("r1-0", "r2-0", "r1-2", "r2-1")
    assert grown.groups == (
        Group("", "r1", ("r1-0",)),
        Group("", "r2", ("r2-0",)),
        Group("", "r1", ("r1-2",)),
        Group("", "r2", ("r2-1",)),
    )
    assert (grown.nominal_watts, grown.peak_watts, grown.air_watts) == (16_000, 16_000, 16_000)


def test_a_booking_grows_and_its_watts_with_it() -> None:
    state = hall()
    state.book("a", placement("r1-0", "r1-1"), until=50.0)
    state.book("b", placement("r2-2"))
    state.release("a", [1])
    grown = placement("r1-0", "r2-0", "r2-1")
    before = state.loads.tolist()
    with state.simulation():
        state.rebook("a", grown, range(3))
        state.validate()
        assert state.reserved("a").nominal_watts == 12_000
    state.validate()
    assert state.loads.tolist() == before
    assert (state.booking("a"), dict(state.held("a"))) == (placement("r1-0", "r1-1"), {0: "r1-0"})
    state.rebook("a", grown, range(3))
    state.validate()
    assert dict(state.held("a")) == {0: "r1-0", 1: "r2-0", 2: "r2-1"}
    assert (state.until("a"), list(state.keys())) == (50.0, ["a", "b"])
    assert [state.free_gpus(f"r1-{i}") for i in range(3)] == [0, 4, 4]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (placement("r1-0", "r2-2"), "needs 4 GPUs on node r2-2, where 0 are free"),
        (placement("r1-0", "r1-0"), "needs 4 GPUs on node r1-0, where 0 are free"),
        (placement("r1-0", "r9-0"), "node r9-0 is not known"),
        (placement("r1-0", "r1-1", profile="Odd"), "node r1-1 has no power profile Odd"),
    ],
)
def test_a_booking_does_not_grow_over_what_is_there(wanted: Placement, why: str) -> None:
    state = hall()
    state.book("a", placement("r1-0"))
    state.book("b", placement("r2-2"))
    before = state.loads.tolist()
    with pytest.raises(BookingError, match=why):
        state.rebook("a", wanted, range(2))
    state.validate()
    assert (dict(state.held("a")), state.loads.tolist()) == ({0: "r1-0"}, before)


def test_a_booking_cannot_be_made_or_ended_by_growing() -> None:
    state = hall()
    state.book("a", placement("r1-0"))
    for key, slots in (("a", []), ("b", [0])):
        with pytest.raises(BookingError):
            state.rebook(key, placement("r1-0"), slots)
