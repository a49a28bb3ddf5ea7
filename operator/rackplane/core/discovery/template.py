"""What labels do not say of a rack: its limit, its feeds, its cooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rackplane.api.base import MAX_WATTS
from rackplane.api.decode import decode
from rackplane.api.problems import FieldProblem, show
from rackplane.api.rack import Rack, RackSpec
from rackplane.core.offline.yamltext import NotYaml, parse_yaml

__all__ = ["Template", "TemplateError", "read_template"]

_OF_LABELS: Final = "nodeSelector"
_STAND_IN: Final[Mapping[str, Any]] = {"profile": "any", _OF_LABELS: {"any": "any"}}

_SAID_ELSEWHERE: Final[Mapping[str, Any]] = {
    "limitWatts": MAX_WATTS,
    "feeds": [{"powerDomain": "any", "weight": 1}],
}


class TemplateError(ValueError):
    """A template that is none; its text is for people."""


@dataclass(frozen=True, slots=True)
class Template:
    """Fields of a Rack's spec, by their names in the API, complete as the API server would hold them."""

    fields: Mapping[str, Any] = field(default_factory=dict)


def read_template(text: str, *, partial: bool = False) -> Template:
    """A template from YAML or JSON: a Rack, or its spec alone. `limitWatts` and `feeds` must be there; `profile` may
    be left to labels; `nodeSelector` always comes from them.

    Args:
        partial: `limitWatts` and `feeds` may be left out too, where something else says them.

    Raises:
        TemplateError: it is none of these, or a field does not fit.
    """
    documents = [body for _, body in parse_yaml(text)]
    if len(documents) != 1:
        raise TemplateError(f"{len(documents)} documents: write one Rack, or its spec")
    body = documents[0]
    if isinstance(body, NotYaml):
        raise TemplateError(str(body))
    if isinstance(body, Mapping) and "spec" in body:
        if body.get("kind", "Rack") != "Rack":
            raise TemplateError(f"kind is {show(body['kind'])}: write a Rack, or its spec")
        body = body["spec"]
    if not isinstance(body, Mapping):
        raise TemplateError(f"it is {show(body)}: write a Rack, or its spec")
    if _OF_LABELS in body:
        raise TemplateError(f"{_OF_LABELS} comes from labels: leave it out")
    unknown = sorted(set(body) - {str(info.alias) for info in RackSpec.model_fields.values()})
    if unknown:
        raise TemplateError(f"a Rack's spec has no field {', '.join(unknown)}")
    stand_in = {**_STAND_IN, **(_SAID_ELSEWHERE if partial else {})}
    if partial and "peakLimitWatts" in body:
        stand_in["limitWatts"] = body["peakLimitWatts"]
    decoded = decode(Rack, {"metadata": {"name": "any"}, "spec": {**stand_in, **body}})
    if isinstance(decoded, list):
        raise TemplateError("; ".join(map(_said, decoded)))
    complete = decoded.spec.to_dict()
    return Template({key: complete[key] for key in body if key in complete})


def _said(problem: FieldProblem) -> str:
    return str(problem).removeprefix("spec.").rstrip(".")
