"""The bodies of requests: JSON, YAML or protobuf made objects, and what is said of those that are none of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from . import errors, jsonsyntax, protobuf

JSON_TYPE = "application/json"
#: How the reason begins where a text is no JSON.
NO_JSON = "couldn't get version/kind; json parse error: "
#: How much of a text that is no JSON is shown.
_SHOWN_BYTES = 30
#: Halves of characters beyond 16 bits, which a string of UTF-8 has no place for.
_HALVES = re.compile("[\ud800-\udfff]")


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
    """An object some of whose fields were given twice; the last one counts. `paths` are those fields.

    `united` is what structs make of it, which read the second of two objects into the first.
    """

    paths: tuple[str, ...] = ()
    united: dict[str, Any]


def _json(raw: bytes) -> Any:
    doubled = False
    text = raw.decode(errors="replace")

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        made = dict(found)
        doubled = doubled or len(made) < len(found)
        return made

    try:
        parsed = json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant)
    except ValueError:
        return no_json(text)
    halves = "\\ud" in text or "\\uD" in text
    if halves:
        parsed = _whole(parsed)
    if doubled and isinstance(parsed, dict):
        given = json.loads(text, object_pairs_hook=_Pairs)
        parsed = Doubled(parsed)
        parsed.paths = tuple(_doubled(given, ""))
        parsed.united = _whole(_united(given)) if halves else _united(given)
    return {} if parsed is None else parsed


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _whole(value: Any) -> Any:
    """A value with the halves of characters in its strings replaced, as the server's decoder does."""
    if isinstance(value, dict):
        return {_whole(key): _whole(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return _HALVES.sub("\ufffd", value) if isinstance(value, str) else value


def _united(value: Any) -> Any:
    """A value each of whose objects has its fields once; of two objects in one place, both have theirs."""
    if isinstance(value, _Pairs):
        made: dict[str, Any] = {}
        for name, part in value:
            part = _united(part)
            before = made.get(name)
            made[name] = {**before, **part} if isinstance(before, dict) and isinstance(part, dict) else part
        return made
    return [_united(part) for part in value] if isinstance(value, list) else value


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


class _Loader(yaml.CSafeLoader):
    """Reads y and n as truth values too, as YAML 1.1 has it."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[yYnN]$"), list("yYnN"))
_Loader.add_constructor(
    "tag:yaml.org,2002:bool",
    lambda _, node: node.value.lower() in ("y", "yes", "true", "on"),
)


def _yaml(raw: bytes) -> Any:
    try:
        return yaml.load(raw, Loader=_Loader)
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
