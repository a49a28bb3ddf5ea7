"""Lines by what they ask for and how much of it."""

from __future__ import annotations

from rackplane.engine.queueing.order import Line
from rackplane.engine.queueing.sizes import Bounds, Family, Size, Sizes


def test_families_that_differ_in_their_pods_alone_are_counted_as_their_lines_come_and_go() -> None:
    sizes, plain, large = Sizes(), Family("plain", "rack"), Family("large", "rack")
    lines = {
        Line("a", 1): Size(plain, 1, 4),
        Line("a", 2): Size(plain, 2, 4),
        Line("b", 3): Size(plain, 2, 4),
        Line("b", 4): Size(large, 2, 4),
        Line("b", 5): Size(large, 2, 1),
        Line("b", 6): Size(Family("plain", "leaf"), 2, 4),
    }
    for line, size in lines.items():
        sizes.put(line, size)
    assert [sizes.kinds(size) for size in lines.values()] == [2, 2, 2, 2, 1, 1]
    sizes.drop(Line("b", 4))
    sizes.drop(Line("a", 1))
    assert sizes.kinds(lines[Line("a", 2)]) == 1
    sizes.drop(Line("a", 2))
    assert sizes.kinds(lines[Line("b", 3)]) == 1
    sizes.put(Line("c", 7), lines[Line("b", 4)])
    assert sizes.kinds(lines[Line("b", 3)]) == 2


def test_bounds_hold_for_one_content_of_the_state() -> None:
    bounds, asked = Bounds(), (Family("plain", "rack"), 4)
    bounds.follow((1, 1))
    bounds.most[asked] = 3
    bounds.free["rack", 4] = 5
    bounds.follow((1, 1))
    assert (bounds.most, bounds.free) == ({asked: 3}, {("rack", 4): 5})
    bounds.follow((1, 2))
    assert (bounds.most, bounds.free) == ({}, {})
