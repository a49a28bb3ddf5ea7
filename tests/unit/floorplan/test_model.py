"""What a page is told: a frame, then whole rows that changed."""

from __future__ import annotations

import msgspec

from rackplane.floorplan import model as m
from tests.support.floors import campus


def test_a_change_holds_the_rows_that_differ_and_nothing_else() -> None:
    before = m.Frame(
        at=1.0,
        layout="x",
        racks={"r1": m.Rack(used=1), "r2": m.Rack(used=2), "r3": m.Rack()},
        gangs={"a/b": m.Gang(namespace="a", name="b")},
    )
    after = m.Frame(
        at=2.0,
        layout="x",
        leading=True,
        totals=m.Totals(used=7),
        racks={"r1": m.Rack(used=1), "r2": m.Rack(used=6), "r4": m.Rack(used=3)},
    )
    delta = m.changes(before, after)
    assert msgspec.json.decode(m.encode(delta)) == {
        "at": 2.0,
        "layout": "x",
        "leading": True,
        "totals": {"used": 7},
        "racks": {"r2": {"used": 6}, "r4": {"used": 3}, "r3": None},
        "gangs": {"a/b": None},
    }
    assert m.applied(before, delta) == after


def test_what_is_gone_is_named_in_the_order_in_which_it_stood() -> None:
    names = [f"r{number}" for number in range(40)]
    before = m.Frame(at=1.0, layout="x", racks=dict.fromkeys(names, m.Rack()))
    delta = m.changes(before, m.Frame(at=2.0, layout="x"))
    assert list(delta.racks) == names


def test_a_frame_is_read_back_as_it_was_written() -> None:
    _, frame = campus(1)
    assert msgspec.json.decode(m.encode(frame), type=m.Frame) == frame


def test_a_layout_is_known_by_its_content() -> None:
    one, _ = campus(1)
    other, _ = campus(2)
    assert m.identified(one) == one
    assert one.id != other.id and m.identified(msgspec.structs.replace(one, id="else")).id == one.id
