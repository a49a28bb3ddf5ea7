"""The bodies of requests: JSON, YAML or protobuf made objects, and what is said of those that are none of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from . import errors, jsonsyntax, protobuf

JSON_TYPE = "application/json"
#: How the reason begins where a text is no JSON.
NO_JSON = "couldn't get version/kind; json parse error: "
#: How much of a text that is no JSON is shown.
_SHOWN_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A body that does not parse. Which kind was expected is known only once the path is resolved."""

    why: str
    shown: str

    def problem(self, kind: str) -> errors.ApiError:
        """The refusal, where an object of that kind was expected."""
        return errors.bad_request(
            f"the object provided is unrecognized (must be of type {kind}): {self.why} ({self.shown})"
        )


def media_type(content_type: str) -> str:
    """A content type without its parameters."""
    return content_type.partition(";")[0].strip()


def decode(raw: bytes, content_type: str) -> Any:
    """The object a body says, None for an empty one, or `Unreadable`.

    Raises:
        ApiError: 400, malformed protobuf; 415, CBOR and other forms of protobuf.
    """
    if not raw:
        return None
    kind = media_type(content_type)
    if kind == protobuf.TYPE:
        try:
            decoded = protobuf.decode(raw)
        except (ValueError, KeyError) as problem:
            raise errors.bad_request(f"the protobuf body is malformed: {problem}") from problem
        # Where the path says no anyway, as for kinds that are not served, that is the answer.
        return decoded or Unreadable(
            "protobuf of a kind that is not read here: send application/json", "<binary>"
        )
    if "protobuf" in kind or "cbor" in kind:
        raise errors.unknown_body_type()
    return _yaml(raw) if kind.endswith("yaml") else _json(raw)


class Doubled(dict[str, Any]):
    """An object some of whose fields were given twice; the last one counts. `paths` are those fields."""

    paths: tuple[str, ...] = ()


def _json(raw: bytes) -> Any:
    doubled = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        made = dict(found)
        doubled = doubled or len(made) < len(found)
        return made

    try:
        parsed = json.loads(raw, object_pairs_hook=pairs)
    except ValueError:
        return no_json(raw.decode(errors="replace"))
    if doubled and isinstance(parsed, dict):
        parsed = Doubled(parsed)
        parsed.paths = tuple(_doubled(json.loads(raw, object_pairs_hook=_Pairs), ""))
    return {} if parsed is None else parsed


class _Pairs(list[Any]):
    """The fields of an object in the order they were given."""


def _doubled(value: Any, path: str) -> Iterator[str]:
    """The paths of fields given twice, in order."""
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for name, item in value:
            where = f"{path}.{name}" if path else name
            if name in seen:
                yield where
            seen.add(name)
            yield from _doubled(item, where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _doubled(item, f"{path}[{index}]")


def no_json(text: str) -> Unreadable:
    """What is said of a text that is no JSON."""
    why = jsonsyntax.problem(text) or "unexpected end of JSON input"
    return Unreadable(f"{NO_JSON}{why}", _summary(text))


def _yaml(raw: bytes) -> Any:
    try:
        return yaml.load(raw, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as problem:
        marks = (problem.context_mark, problem.problem_mark)
        line = next((mark.line for mark in marks if mark is not None and mark.line), 0)
        if line and isinstance(problem, yaml.scanner.ScannerError):
            line += 1
        why = f"yaml: line {line}: {problem.problem}" if line else f"yaml: {problem.problem}"
    except yaml.YAMLError as problem:
        why = f"yaml: {problem}"
    return Unreadable(why, _summary(raw.decode(errors="replace")))


def not_an_object(body: Any) -> Unreadable:
    """What is said of JSON that is a list, a string, a number or a truth value."""
    kind = {list: "array", str: "string", bool: "bool"}.get(type(body), "number")
    target = (
        r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
    )
    why = f"{NO_JSON}json: cannot unmarshal {kind} into Go value of type {target}"
    return Unreadable(why, _summary(json.dumps(body, separators=(",", ":"), ensure_ascii=False)))


def _summary(text: str) -> str:
    data = text.encode()
    if not data:
        return "<empty>"
    if data.startswith(b"{"):
        return text if len(data) <= _SHOWN_BYTES else data[:_SHOWN_BYTES].decode(errors="ignore") + " ..."
    return data.hex() if len(data) <= _SHOWN_BYTES else data[:_SHOWN_BYTES].hex() + " ..."
