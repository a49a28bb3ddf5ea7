"""When those are taken to be over that run past their expected end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rackplane.core.queues.lateness import Lateness
from rackplane.engine.queueing.reservations import extended_end

NAMES = ("a", "b", "c")
steps = st.lists(
    st.tuples(st.sampled_from(NAMES), st.none() | st.integers(0, 30), st.integers(0, 15)), max_size=20
)


@given(steps)
def test_each_is_taken_to_end_as_if_it_were_worked_out_anew(
    history: list[tuple[str, int | None, int]],
) -> None:
    lateness, planned, now = Lateness(), dict[str, float](), 0.0
    for name, before, pause in history:
        end = None if before is None else now - before
        lateness.put(name, end)
        if end is None:
            planned.pop(name, None)
        else:
            planned[name] = end
        now += pause
        expected = {key: extended_end(at, now) for key, at in planned.items()}
        assert lateness.ends(now) == expected


def test_what_was_told_does_not_change_afterwards() -> None:
    lateness = Lateness()
    lateness.put("a", 0.0)
    first = lateness.ends(1.0)
    lateness.put("b", 1.0)
    lateness.put("a", None)
    assert lateness.ends(2.0) is not first
    assert first == {"a": 5.0}
    assert lateness.ends(2.0) is lateness.ends(3.0), "nothing differs: nobody has to look again"
