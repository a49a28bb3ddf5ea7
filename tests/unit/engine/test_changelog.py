"""Who reads a log of changes sees all that it has not seen, but for what came to nothing while it was away."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rackplane.engine.nodes.changelog import ChangeLog


def test_who_stood_before_a_stretch_that_was_undone_does_not_see_it() -> None:
    log: ChangeLog[str] = ChangeLog()
    log.extend(["a", "b"])
    begin = log.position
    log.extend(["c", "d", "c"])
    middle = log.position
    log.extend(["c", "d"])
    log.undone(begin)
    log.add("e")
    assert list(log.since(0) or ()) == ["a", "b", "e"]
    assert list(log.since(begin) or ()) == ["e"]
    assert list(log.since(middle) or ()) == ["c", "d", "e"]


def test_a_stretch_that_is_forgotten_leaves_what_came_after() -> None:
    log: ChangeLog[int] = ChangeLog(kept=8)
    log.extend(range(4))
    log.undone(0)
    log.extend(range(10, 16))
    assert log.since(0) is None
    assert list(log.since(log.position - 4) or ()) == [12, 13, 14, 15]


Steps = st.lists(st.tuples(st.sampled_from(["set", "open", "close", "read"]), st.integers(0, 4)), max_size=60)


@given(Steps, st.sampled_from([6, 8_192]))
def test_a_reader_that_follows_the_log_knows_every_value(steps: list[tuple[str, int]], kept: int) -> None:
    """Values that are set, some of them in stretches at whose end all are set back, one stretch in another."""
    log: ChangeLog[int] = ChangeLog(kept)
    values, opened = [0] * 5, list[tuple[int, list[int]]]()
    readers = [([0] * 5, 0) for _ in range(5)]
    for number, (step, i) in enumerate(steps, start=1):
        if step == "set":
            values[i] = number
            log.add(i)
        elif step == "open":
            opened.append((log.position, list(values)))
        elif step == "close" and opened:
            begin, before = opened.pop()
            log.extend([k for k in range(5) if values[k] != before[k]])
            values = before
            log.undone(begin)
        elif step == "read":
            known, position = readers[i]
            changed = log.since(position)
            for k in range(5) if changed is None else changed:
                known[k] = values[k]
            assert known == values
            readers[i] = (known, log.position)
