"""Sets of fields, in the form `metadata.managedFields` has them.

A field is a path of steps, each written as in `fieldsV1`: `f:name` (a key of a map), `k:{"name":"x"}` (the element of a
list with these keys), `v:"x"` (an element of a list of scalars). Sets are immutable and operations on them remembered:
a hundred thousand pods of one template share their few sets, and tracking who manages a field costs little.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

Path = tuple[str, ...]
#: What lies under a field that is a member with everything below it: steps and their own shapes.
Shape = tuple[tuple[str, Any], ...]

_REMEMBERED = 16384
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


class FieldSet:
    """An immutable set of fields.

    `members` are the steps that are in the set themselves, `children` what is in it below a step (never empty).
    """

    __slots__ = ("_hash", "_wire", "children", "members")

    def __init__(self, members: frozenset[str] = frozenset(), children: Mapping[str, FieldSet] = {}) -> None:
        self.members = members
        self.children = children
        self._hash = hash((members, frozenset(children.items())))
        self._wire: dict[str, Any] | None = None

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, FieldSet)
            and self._hash == other._hash
            and self.members == other.members
            and self.children == other.children
        )

    def __bool__(self) -> bool:
        return bool(self.members or self.children)

    def __or__(self, other: FieldSet) -> FieldSet:
        return _union(self, other)

    def __and__(self, other: FieldSet) -> FieldSet:
        return _intersection(self, other)

    def __sub__(self, other: FieldSet) -> FieldSet:
        return _difference(self, other)

    def without(self, other: FieldSet) -> FieldSet:
        """The set less the members of another and everything below them."""
        return _without(self, other)

    def has(self, path: Path) -> bool:
        """Whether a path is a member."""
        found: FieldSet | None = self
        for step in path[:-1]:
            found = found.children.get(step) if found is not None else None
        return found is not None and bool(path) and path[-1] in found.members

    def below(self, step: str) -> FieldSet:
        """What is in the set below a step."""
        return self.children.get(step, EMPTY)

    def paths(self) -> Iterator[Path]:
        """All members; those of one level come before those below it, each level in the order of `order`."""
        for step in sorted(self.members, key=order):
            yield (step,)
        for step in sorted(self.children, key=order):
            for path in self.children[step].paths():
                yield (step, *path)

    def wire(self) -> dict[str, Any]:
        """The set as `fieldsV1`. Shared: not to be changed."""
        if self._wire is None:
            found: dict[str, Any] = {}
            for step in sorted(self.members | self.children.keys(), key=order):
                child = self.children.get(step)
                if child is None:
                    found[step] = {}
                else:
                    found[step] = {".": {}, **child.wire()} if step in self.members else child.wire()
            self._wire = found
        return self._wire

    @staticmethod
    def read(wire: Any) -> FieldSet:
        """The set that `fieldsV1` describes.

        Raises:
            ValueError: it is malformed.
        """
        if not isinstance(wire, dict):
            raise ValueError("expected object")
        members: set[str] = set()
        children: dict[str, FieldSet] = {}
        for step, below in wire.items():
            if step == ".":
                continue
            step = _checked(step)
            child = FieldSet.read(below)
            if not below or "." in below:
                members.add(step)
            if child:
                children[step] = child
        return FieldSet(frozenset(members), children)

    @staticmethod
    def of(*paths: Path) -> FieldSet:
        """The set of some paths."""
        return built(tuple((path, ()) for path in paths))


EMPTY = FieldSet()


@lru_cache(_REMEMBERED)
def whole(shape: Shape) -> FieldSet:
    """The set in which every step of a shape is a member."""
    return FieldSet(
        frozenset(step for step, _ in shape), {step: whole(below) for step, below in shape if below}
    )


@lru_cache(_REMEMBERED)
def built(parts: tuple[tuple[Path, Shape], ...]) -> FieldSet:
    """The union of the paths given and of all that their shapes say lies below them."""
    members: set[str] = set()
    below: dict[str, list[tuple[Path, Shape]]] = {}
    found: dict[str, FieldSet] = {}
    for path, shape in parts:
        if len(path) == 1:
            members.add(path[0])
            if shape:
                found[path[0]] = whole(shape)
        elif path:
            below.setdefault(path[0], []).append((path[1:], shape))
    for step, rest in below.items():
        found[step] = found.get(step, EMPTY) | built(tuple(rest))
    return FieldSet(frozenset(members), found)


@lru_cache(_REMEMBERED)
def _union(left: FieldSet, right: FieldSet) -> FieldSet:
    if not left:
        return right
    if not right or left is right:
        return left
    children = dict(left.children)
    for step, child in right.children.items():
        children[step] = children[step] | child if step in children else child
    return FieldSet(left.members | right.members, children)


@lru_cache(_REMEMBERED)
def _intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    children = {
        step: both
        for step, child in left.children.items()
        if step in right.children and (both := child & right.children[step])
    }
    return FieldSet(left.members & right.members, children)


@lru_cache(_REMEMBERED)
def _difference(left: FieldSet, right: FieldSet) -> FieldSet:
    if not right:
        return left
    children = {
        step: rest
        for step, child in left.children.items()
        if (rest := child - right.children[step] if step in right.children else child)
    }
    return FieldSet(left.members - right.members, children)


@lru_cache(_REMEMBERED)
def _without(left: FieldSet, right: FieldSet) -> FieldSet:
    if not right:
        return left
    children = {
        step: rest
        for step, child in left.children.items()
        if step not in right.members
        and (rest := child.without(right.children[step]) if step in right.children else child)
    }
    return FieldSet(left.members - right.members, children)


def text(value: Any) -> str:
    """A value as it stands in a step: JSON as Go writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_HTML)


@lru_cache(_REMEMBERED, typed=True)
def value_step(value: Any) -> str:
    """The step of a scalar in a list that is a set."""
    return f"v:{text(value)}"


@lru_cache(_REMEMBERED)
def key_step(names: tuple[str, ...], values: tuple[Any, ...]) -> str:
    """The step of an element with these keys; a value `...` is that of a key the element has not."""
    found = {name: value for name, value in sorted(zip(names, values, strict=True)) if value is not ...}
    return f"k:{text(found)}"


@lru_cache(_REMEMBERED)
def order(step: str) -> tuple[Any, ...]:
    """Where a step stands among others: fields by name, then elements by key, then by value."""
    kind, _, rest = step.partition(":")
    if kind == "f":
        return (0, rest)
    if kind == "i":
        return (3, int(rest))
    value = json.loads(rest)
    if kind == "k":
        return (1, tuple((name, _rank(part)) for name, part in value.items()))
    return (2, _rank(value))


def _rank(value: Any) -> tuple[Any, ...]:
    """Values of different types are ordered by their types: numbers, strings, booleans, lists, maps, null."""
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, (int, float)):
        return (0, value)
    if isinstance(value, str):
        return (1, value)
    return (5, "") if value is None else (4, json.dumps(value, sort_keys=True))


@lru_cache(_REMEMBERED)
def _checked(step: str) -> str:
    """A step of `fieldsV1` in the form used here.

    Raises:
        ValueError: it is none.
    """
    kind, colon, rest = step[:1], step[1:2], step[2:]
    if colon != ":":
        raise ValueError(f"missing colon: {step}")
    if kind == "f":
        return step
    if kind == "i":
        return f"i:{int(rest)}"
    value = json.loads(rest)
    if kind == "v":
        return value_step(value)
    if kind == "k" and isinstance(value, dict):
        return key_step(tuple(value), tuple(value.values()))
    raise ValueError("unknown path element type")


def shown(path: Path) -> str:
    """A path for people, as messages and the `field` of causes have it: `.spec.containers[name="x"].image`."""
    parts: list[str] = []
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            parts.append(f".{rest}")
        elif kind == "k":
            keys = ",".join(f"{name}={_shown_value(value)}" for name, value in json.loads(rest).items())
            parts.append(f"[{keys}]")
        else:
            parts.append(f"[={_shown_value(json.loads(rest))}]" if kind == "v" else f"[{rest}]")
    return "".join(parts)


def _shown_value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
