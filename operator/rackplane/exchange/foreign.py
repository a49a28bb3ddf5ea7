"""Reading files of other projects: text to values, values to models that keep what they do not know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from rackplane.core.offline.yamltext import NotYaml, parse_yaml
from rackplane.exchange.losses import Losses

__all__ = ["Foreign", "Source", "documents", "parsed", "path_of", "untold"]


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was read; `name` is what messages call it."""

    name: str
    text: str


class Foreign(BaseModel):
    """Base of what other projects write. Fields that a model does not name are kept, to be named as lost."""

    model_config = ConfigDict(extra="allow", frozen=True, coerce_numbers_to_str=True)


M = TypeVar("M", bound=Foreign)


def documents(source: Source, losses: Losses) -> Iterator[tuple[str, Any]]:
    """The documents of a YAML or JSON file, lists of Kubernetes objects taken apart, each with its path in the file.

    What is not YAML is an error. The path is empty where there is one document.
    """
    found = list(parse_yaml(source.text))
    for number, body in found:
        where = f"document {number}" if len(found) > 1 else ""
        if isinstance(body, NotYaml):
            losses.wrong(source.name, where or "the file", str(body))
        elif isinstance(body, dict) and body.get("kind") == "List" and isinstance(body.get("items"), list):
            for index, item in enumerate(body["items"]):
                yield f"{where} items[{index}]".strip(), item
        else:
            yield where, body
    if not found:
        losses.wrong(source.name, "the file", "is empty")


def parsed(
    model: type[M], value: object, *, file: str, where: str, losses: Losses, tell: bool = True
) -> M | None:
    """The value as a model, what that does not name told as lost if `tell`; None, an error, if it does not fit."""
    try:
        made = model.model_validate(value)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            losses.wrong(
                file, path_of(where, *problem["loc"]), problem["msg"][:1].lower() + problem["msg"][1:]
            )
        return None
    for field in untold(made) if tell else ():
        losses.warn(file, path_of(where, field), "is not translated")
    return made


def untold(model: BaseModel) -> Iterator[str]:
    """Paths of everything that was given and that no model names."""
    yield from (str(key) for key, value in (model.model_extra or {}).items() if value is not None)
    for name, info in type(model).model_fields.items():
        for place, part in _parts(getattr(model, name)):
            yield from (f"{path_of(info.alias or name, *place)}.{field}" for field in untold(part))


def _parts(value: object) -> Iterator[tuple[tuple[int | str, ...], BaseModel]]:
    if isinstance(value, BaseModel):
        yield (), value
    entries: Iterable[tuple[int | str, object]] = ()
    if isinstance(value, Mapping):
        entries = ((str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        entries = enumerate(value)
    for key, item in entries:
        for place, part in _parts(item):
            yield (key, *place), part


def path_of(*parts: int | str) -> str:
    """ "layers[2].count" of "layers", 2, "count"."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part:
            path += f".{part}" if path and not part.startswith("[") else part
    return path
