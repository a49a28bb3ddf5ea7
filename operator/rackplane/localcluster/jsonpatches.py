"""JSON patch as the API server applies it, which is laxer than RFC 6902 in places: `replace` adds what is missing.

The `jsonpatch` package follows the RFC, so the server's own rules are written down here. Why a patch does not apply is
not told to clients.
"""

from __future__ import annotations

import re
from typing import Any

from .errors import ApiError
from .objects import Obj, thawed
from .strategic import unprocessable

_MOST_OPERATIONS = 10_000


class _Problem(Exception):
    """An operation does not apply."""


def json_patch(target: Obj, patch: list[Obj]) -> Any:
    """The object patched; it is not changed itself. The result may be anything.

    Raises:
        ApiError: 413 for a patch too long, 422 for one that does not apply (a failed `test` included).
    """
    if len(patch) > _MOST_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {_MOST_OPERATIONS}, got {len(patch)}"
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")
    root: list[Any] = [thawed(target)]
    try:
        for operation in patch:
            _apply(root, operation)
    except _Problem:
        raise unprocessable() from None
    return root[0]


def _apply(root: list[Any], operation: Obj) -> None:
    match operation.get("op"):
        case "add":
            _add(*_find(root, _text(operation, "path")), thawed(operation.get("value")))
        case "remove":
            _remove(*_find(root, _text(operation, "path")))
        case "replace":
            _replace(root, operation)
        case "move":
            holder, key = _find(root, _text(operation, "from"))
            value = _get(holder, key)
            _remove(holder, key)
            _add(*_find(root, _text(operation, "path")), value)
        case "copy":
            value = thawed(_get(*_find(root, _text(operation, "from"))))
            _add(*_find(root, _text(operation, "path")), value)
        case "test":
            path = _text(operation, "path")
            found = _get(*_find(root, path)) if path else root[0]
            if not _same(found, operation.get("value")):
                raise _Problem
        case _:
            raise _Problem


def _replace(root: list[Any], operation: Obj) -> None:
    path, value = _text(operation, "path"), thawed(operation.get("value"))
    if not path:
        if not isinstance(value, (dict, list)):
            raise _Problem
        root[0] = value
        return
    holder, key = _find(root, path)
    if isinstance(holder, list):
        holder[_index(key, len(holder))] = value
    else:
        # What is not there is added.
        holder[key] = value


def _same(left: Any, right: Any) -> bool:
    """Equality of JSON, in which true is not 1 and 1 is not 1.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(part, right[key]) for key, part in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def _text(operation: Obj, key: str) -> str:
    found = operation.get(key)
    if not isinstance(found, str):
        raise _Problem
    return found


def _find(root: list[Any], path: str) -> tuple[Any, str]:
    """The map or list that a path leads to, and its last step. What stands before the first slash is ignored."""
    _, *steps = path.split("/")
    if not steps:
        raise _Problem
    holder = root[0]
    for step in steps[:-1]:
        holder = _get(holder, _decoded(step))
        if not isinstance(holder, (dict, list)):
            raise _Problem
    return holder, _decoded(steps[-1])


def _decoded(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def _index(key: str, length: int) -> int:
    """The place in a list of a length that a step means; a negative one counts from its end."""
    if not re.fullmatch("[+-]?[0-9]+", key) or not -length <= int(key) < length:
        raise _Problem
    return int(key) % length


def _get(holder: Any, key: str) -> Any:
    return holder[_index(key, len(holder))] if isinstance(holder, list) else holder.get(key)


def _add(holder: Any, key: str, value: Any) -> None:
    if not isinstance(holder, list):
        holder[key] = value
    elif key == "-":
        holder.append(value)
    else:
        holder.insert(_index(key, len(holder) + 1), value)


def _remove(holder: Any, key: str) -> None:
    if isinstance(holder, list):
        del holder[_index(key, len(holder))]
    elif key in holder:
        del holder[key]
    else:
        raise _Problem
