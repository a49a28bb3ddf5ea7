"""Typed values: what differs between two, which fields one has, one merged into another, fields taken out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .sets import EMPTY, FieldSet, Path, Shape, built
from .types import ListType, MapType, Type


@dataclass(slots=True)
class Comparison:
    """What differs: no field is in two of the sets."""

    removed: FieldSet = EMPTY
    modified: FieldSet = EMPTY
    added: FieldSet = EMPTY

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.removed or self.modified or self.added)

    def less(self, fields: FieldSet) -> Comparison:
        """The comparison without some fields and everything below them."""
        return Comparison(
            self.removed.without(fields), self.modified.without(fields), self.added.without(fields)
        )


_COMPOSITE = frozenset({dict, list})
_Parts = list[tuple[Path, Shape]]


@dataclass(slots=True)
class _Found:
    removed: _Parts = field(default_factory=list)
    modified: _Parts = field(default_factory=list)
    added: _Parts = field(default_factory=list)


def compare(type_: Type, before: Any, after: Any) -> Comparison:
    """What differs between two values of a type."""
    found = _Found()
    _compare(type_, before, after, (), found)
    return Comparison(built(tuple(found.removed)), built(tuple(found.modified)), built(tuple(found.added)))


def shape(type_: Type, value: Any) -> Shape:
    """Everything below a value that is there as a whole."""
    # Called for every part of every object created: short ways for what is common.
    if value.__class__ is dict:
        kind = type_.map
        if kind is None or kind.atomic or not value:
            return ()
        found: list[tuple[str, Shape]] = []
        known = kind.fields
        for key, part in value.items():
            step, below = known.get(key) or kind.field(key)
            found.append((step, shape(below, part) if part.__class__ in _COMPOSITE else ()))
        return tuple(found)
    if isinstance(value, list):
        entries = type_.list
        if entries is None or entries.atomic or not value:
            return ()
        element = entries.element
        try:
            items = [
                (entries.step(item), shape(element, item) if item.__class__ in _COMPOSITE else ())
                for item in value
            ]
        except ValueError:
            items = []
        if len({step for step, _ in items}) == len(value):
            return tuple(items)
        return tuple(
            [
                (step, shape(element, same[0]) if len(same) == 1 else ())
                for step, same in _steps(entries, value).items()
            ]
        )
    return ()


def _steps(kind: ListType, items: list[Any] | None) -> dict[str, list[Any]]:
    """Elements by their steps; those of a list that should not be there have none."""
    found: dict[str, list[Any]] = {}
    for item in items or ():
        try:
            found.setdefault(kind.step(item), []).append(item)
        except ValueError:
            continue
    return found


def _compare(type_: Type, before: Any, after: Any, path: Path, found: _Found) -> None:
    if before is after or (before == after and type(before) is type(after)):
        return
    if isinstance(after, dict) or (after is None and isinstance(before, dict)):
        maps = type_.map
        if maps is not None and (before is None or isinstance(before, dict)):
            _compare_maps(maps, before, after, path, found)
            return
    elif isinstance(after, list) or (after is None and isinstance(before, list)):
        lists = type_.list
        if lists is not None and (before is None or isinstance(before, list)):
            _compare_lists(lists, before, after, path, found)
            return
    # Scalars, or values of different forms: what was below the one went, what is below the other came.
    found.removed += [((*path, step), below) for step, below in shape(type_, before)]
    found.added += [((*path, step), below) for step, below in shape(type_, after)]
    if path:
        found.modified.append((path, ()))


def _compare_maps(kind: MapType, before: Any, after: Any, path: Path, found: _Found) -> None:
    if kind.atomic or not (before or after):
        if path:
            found.modified.append((path, ()))
        return
    before, after = before or {}, after or {}
    for key, value in after.items():
        step, below = kind.field(key)
        if key in before:
            _compare(below, before[key], value, (*path, step), found)
        else:
            found.added.append(((*path, step), shape(below, value)))
    for key, value in before.items():
        if key not in after:
            step, below = kind.field(key)
            found.removed.append(((*path, step), shape(below, value)))


def _compare_lists(kind: ListType, before: Any, after: Any, path: Path, found: _Found) -> None:
    if kind.atomic or not (before or after):
        found.modified.append((path, ()))
        return
    old, new = _steps(kind, before), _steps(kind, after)
    for step in old.keys() | new.keys():
        had, has = old.get(step, []), new.get(step, [])
        where = (*path, step)
        if len(had) <= 1 and len(has) <= 1:
            if not had:
                found.added.append((where, shape(kind.element, has[0])))
            elif not has:
                found.removed.append((where, shape(kind.element, had[0])))
            else:
                _compare(kind.element, had[0], has[0], where, found)
        elif len(had) >= 2 and len(has) >= 2:
            # Elements that share a step are one field together.
            if had != has:
                found.modified.append((where, ()))
        elif len(had) >= 2:
            if has:
                found.added += [((*where, below), rest) for below, rest in shape(kind.element, has[0])]
            found.removed.append((where, ()))
        else:
            if had:
                found.removed += [((*where, below), rest) for below, rest in shape(kind.element, had[0])]
            found.added.append((where, ()))


def fields_of(type_: Type, value: Any) -> FieldSet:
    """The fields a value sets: its leaves, and the elements and keys that no schema names."""
    paths: _Parts = []
    _fields(type_, value, (), paths)
    return built(tuple(paths))


def _fields(type_: Type, value: Any, path: Path, paths: _Parts) -> None:
    if isinstance(value, dict) and type_.map is not None:
        if type_.map.atomic:
            paths.append((path, ()))
            return
        for key, part in value.items():
            step, below = type_.map.field(key)
            where = (*path, step)
            _fields(below, part, where, paths)
            if part is None or part == {} or key not in type_.map.fields:
                paths.append((where, ()))
    elif isinstance(value, list) and type_.list is not None:
        if type_.list.atomic:
            paths.append((path, ()))
            return
        for step, items in _steps(type_.list, value).items():
            where = (*path, step)
            if len(items) == 1:
                _fields(type_.list.element, items[0], where, paths)
            paths.append((where, ()))
    elif value is not None or _is_leaf(type_):
        paths.append((path, ()))


def _is_leaf(type_: Type) -> bool:
    """Whether a null of this type is a field of its own: as a scalar is, or a map or list that is atomic."""
    kind = type_.map or type_.list
    return kind is None or kind.atomic


def merge(type_: Type, live: Any, config: Any) -> Any:
    """The value with another merged in, whose leaves win. Neither is changed, both are shared by the result."""
    if isinstance(config, dict) and type_.map is not None and not type_.map.atomic:
        if not isinstance(live, dict) or not live:
            return config
        if not config:
            return live
        result = dict(live)
        for key, value in config.items():
            result[key] = merge(type_.map.field(key)[1], live[key], value) if key in live else value
        return result
    if isinstance(config, list) and type_.list is not None and not type_.list.atomic:
        if not isinstance(live, list) or not live:
            return config
        return _merge_lists(type_.list, live, config) if config else live
    if config is None and isinstance(live, (dict, list)) and live:
        kind = type_.map if isinstance(live, dict) else type_.list
        # Null is an empty map or list, and merging that in changes nothing.
        return config if kind is None or kind.atomic else live
    return config


def _merge_lists(kind: ListType, live: list[Any], config: list[Any]) -> list[Any]:
    """Elements of both, in an order that keeps each list's own as far as it can."""
    left = [kind.step(item) for item in live]
    right = [kind.step(item) for item in config]
    known: dict[str, Any] = {}
    for step, item in zip(left, live, strict=True):
        # Elements that share a step are not merged with the new one.
        known[step] = ... if step in known else item
    wanted = dict(zip(right, config, strict=True))
    shared = [step for step in right if step in known]
    upcoming = shared.pop(0) if shared else None
    done: set[str] = set()
    result: list[Any] = []

    def take(step: str) -> None:
        nonlocal upcoming
        done.add(step)
        had = known.get(step, ...)
        result.append(wanted[step] if had is ... else merge(kind.element, had, wanted[step]))

    i = j = 0
    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right):
            if left[i] == right[j]:
                take(left[i])
                i, j = i + 1, j + 1
                upcoming = shared.pop(0) if shared else None
                continue
            if left[i] in wanted and upcoming is not None and upcoming != left[i]:
                # In both, but its turn is later.
                i += 1
                continue
        if i < len(left):
            if left[i] not in wanted:
                result.append(live[i])
                i += 1
                continue
            if left[i] in done:
                i += 1
        if j < len(right):
            step = right[j]
            take(step)
            j += 1
            if upcoming == step:
                upcoming = shared.pop(0) if shared else None
    return result


_GONE = object()


def without(type_: Type, value: Any, fields: FieldSet) -> Any:
    """The value less the members of a set; a map or list that loses all is left empty. The value is not changed."""
    result = _without(type_, value, fields)
    return {} if result is _GONE else result


def _without(type_: Type, value: Any, fields: FieldSet) -> Any:
    if isinstance(value, dict):
        if not value or type_.map is None or type_.map.atomic:
            return _GONE
        kept: dict[str, Any] = {}
        touched = False
        for key, part in value.items():
            step, below = type_.map.field(key)
            if step in fields.members:
                continue
            rest = fields.below(step)
            if rest:
                touched = True
                part = _emptied(part, _without(below, part, rest))
            kept[key] = part
        return kept if kept or touched else _GONE
    if isinstance(value, list):
        if not value or type_.list is None or type_.list.atomic:
            return _GONE
        items: list[Any] = []
        touched = False
        for item in value:
            try:
                step = type_.list.step(item)
            except ValueError:
                items.append(item)
                continue
            if step in fields.members:
                continue
            rest = fields.below(step)
            if rest:
                touched = True
                item = _emptied(item, _without(type_.list.element, item, rest))
            items.append(item)
        return items if items or touched else _GONE
    return value


def _emptied(before: Any, after: Any) -> Any:
    if after is not _GONE:
        return after
    return {} if isinstance(before, dict) else [] if isinstance(before, list) else None
