"""YAML as kubectl reads it.

PyYAML's own reading makes times of texts such as 2026-11-21T17:00:00Z, numbers of 18:00 and one entry of two that have
the same key: what kubectl would send is another object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import yaml

from rackplane.api.problems import show

__all__ = ["NotYaml", "parse_yaml"]


#: Collections in each other; a Kubernetes object has about ten.
_DEEPEST: Final = 200


class NotYaml(ValueError):
    """What a document says instead of YAML; its text goes on from the document's name."""


def parse_yaml(text: str) -> Iterator[tuple[int, Any]]:
    """The documents of a file by number, empty ones left out; a `NotYaml` ends what cannot be read."""
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        # JSON may hold what YAML does not take: tabs, for one.
        try:
            yield 1, msgspec.json.decode(text.lstrip("\ufeff"))
            return
        except msgspec.DecodeError:
            pass  # Several documents, or YAML's own braces.
    number = 0
    try:
        _check_depth(text)
        for body in yaml.load_all(text, _Loader):
            number += 1
            if body is not None:
                yield number, body
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}" if mark is not None else ""
        yield number + 1, NotYaml(f"is not YAML: {error.problem or error.context}{where}")
    except (yaml.YAMLError, ValueError) as error:
        yield number + 1, NotYaml(f"is not YAML: {str(error).splitlines()[0]}")
    except RecursionError:
        yield number + 1, NotYaml("is nested too deeply")


def _check_depth(text: str) -> None:
    """Raise RecursionError for what would overflow libyaml's stack, which ends the process."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise RecursionError
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's loader with kubectl's understanding of scalars and keys."""


_Loader.yaml_implicit_resolvers = {
    letter: [
        (tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int", ":float"))
    ]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("int", r"[-+]?(?:[0-9][0-9_]*|0x[0-9a-fA-F]+|0o[0-7]+)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    written: set[str] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
            continue
        if key_node.value in written:
            raise yaml.constructor.ConstructorError(
                None, None, f'"{key_node.value}" is written twice', key_node.start_mark
            )
        written.add(key_node.value)
    loader.flatten_mapping(node)  # What is merged in comes first: the object's own entries go over it.
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if type(key) is int:
            key = str(key)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {show(key)} is not text", key_node.start_mark
            )
        result[key] = loader.construct_object(value_node, deep=True)
    return result


def _integer(loader: Any, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).lower().replace("_", "")
    digits = text.lstrip("+-")
    octal = len(digits) > 1 and digits.isdecimal() and digits[0] == "0" and not set(digits) & {"8", "9"}
    value = int(digits, 8) if octal else int(digits, 10 if digits.isdecimal() else 0)
    return -value if text.startswith("-") else value


def _float(loader: Any, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
