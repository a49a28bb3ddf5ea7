"""Values made quickly compare and hash as frozen dataclasses do."""

from dataclasses import field, replace

from rackplane.engine.values import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    x: int


@dataclass(frozen=True, slots=True)
class Known:
    x: int

    def __hash__(self) -> int:
        return 7


def test_equal_values_are_one_key() -> None:
    assert {Point(1, 2, "a"): "first"}[Point(1, 2, "b")] == "first"
    assert Point(1, 2) != Point(1, 3)


def test_a_changed_copy_leaves_the_value_as_it_was() -> None:
    point = Point(1, 2, "a")
    assert replace(point, y=5) == Point(1, 5)
    assert point == Point(1, 2)


def test_without_equality_each_is_its_own_key() -> None:
    assert len({Thing(1), Thing(1)}) == 2


def test_an_own_hash_is_kept() -> None:
    assert hash(Known(3)) == 7
    assert Known(3) == Known(3)
