"""Our objects, made from what another format says: names that Kubernetes takes, labels for nodes, and no guesses.

A Rack needs a profile, a limit and feeds. What a format does not say of them comes from the template that a person
gives, and where that does not say it either, it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rackplane.api.base import API_VERSION
from rackplane.api.common import NVLINK_LEVEL
from rackplane.api.decode import decode_any
from rackplane.api.fabric import PRESETS, RACK_LABELS, Fabric
from rackplane.api.naming import is_label_value, label_value, object_name
from rackplane.api.report import REPORTED_AS
from rackplane.core.discovery.template import Template
from rackplane.exchange.losses import Losses

__all__ = ["DOMAIN_LABEL", "RACK_LABEL", "Builder", "Imported", "Origin", "feed"]

RACK_LABEL: Final = RACK_LABELS[0]
DOMAIN_LABEL: Final = PRESETS["rackplane"][NVLINK_LEVEL]
_ORDER: Final = ("PowerDomain", "CoolingZone", "Rack", "NVLinkDomain")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was read."""

    file: str
    field: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of it: objects in an order that can be applied, labels that nodes need, settings."""

    objects: tuple[dict[str, Any], ...]
    #: node -> label -> value
    labels: Mapping[str, Mapping[str, str]]
    #: values of the chart: {"fabricLevels": [...]}
    settings: Mapping[str, Any] = field(default_factory=dict)


def feed(power_domain: str) -> dict[str, Any]:
    """A feed by the name of its object, with the same share as every other."""
    return {"powerDomain": power_domain, "weight": 1}


class Builder:
    """Collects objects of one import.

    Args:
        template: what the format does not say of racks. What it says goes before.
        fabric: the levels that the operator was given.
    """

    def __init__(
        self, losses: Losses, template: Template | None = None, fabric: Fabric | None = None
    ) -> None:
        self._losses = losses
        self.fabric = fabric or Fabric()
        self.template = dict(template.fields) if template is not None else {}
        self._given = {called for _, called in _references("Rack", self.template)}
        self._made: dict[tuple[str, str], tuple[str, dict[str, Any], Origin]] = {}
        self._labels: dict[str, dict[str, str]] = {}
        self._nodes: dict[str, Origin] = {}

    def add(
        self, kind: str, called: str, spec: Mapping[str, Any], origin: Origin, *, report: str | None = None
    ) -> str:
        """An object of that kind for a thing that is called so; returns the object's name.

        Args:
            report: what the sources of facility events call it or its units, where that is not its name.
        """
        name = object_name(called)
        other = self._made.get((kind, name))
        if other is not None:
            self._losses.wrong(
                origin.file,
                origin.field,
                f"{called} would be {kind} {name}, as {other[0]} of {other[2].file} {other[2].field} is: rename one",
            )
            return name
        metadata: dict[str, Any] = {"name": name}
        said = report or called
        # Words of that annotation are names of their own.
        if said != name and (report or not re.search(r"[\s,=]", said)):
            metadata["annotations"] = {REPORTED_AS: said}
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}
        self._made[kind, name] = (called, body, origin)
        return name

    def rack(
        self,
        called: str,
        nodes: Sequence[str],
        spec: Mapping[str, Any],
        origin: Origin,
        *,
        count: int | None = None,
    ) -> str:
        """A Rack of these nodes, which are to be labelled with its name; returns the object's name.

        Args:
            count: how many, where they are not named.
        """
        value = self.label(nodes, RACK_LABEL, called, origin)
        whole: dict[str, Any] = {
            **self.template,
            **spec,
            "nodeSelector": {RACK_LABEL: value},
        }
        if not nodes:
            why = f"nodes of rack {called} are not named: label them {RACK_LABEL}={value}"
            self._losses.warn(origin.file, origin.field, why)
        if nodes or count:
            whole["expectedNodes"] = len(nodes) or count
        for needed, remedy in (
            ("profile", "name the HardwareProfile in --rack-template"),
            ("limitWatts", "say in --rack-template what a rack may draw"),
            ("feeds", "say in --rack-template what feeds a rack"),
        ):
            if needed not in whole:
                self._losses.wrong(
                    origin.file, origin.field, f"nothing says the {needed} of rack {called}: {remedy}"
                )
                return object_name(called)
        return self.add("Rack", called, whole, origin)

    def domain(
        self,
        called: str,
        nodes: Sequence[str],
        origin: Origin,
        *,
        racks: Iterable[str] = (),
        path: Iterable[tuple[str, str]] = (),
    ) -> str:
        """An NVLinkDomain: of these racks, by the names of their objects, or else of these nodes, which are labelled.

        Args:
            path: level and what it is called there, innermost first.
        """
        racks = list(racks)
        spec: dict[str, Any] = (
            {"racks": racks}
            if racks
            else {"nodeSelector": {DOMAIN_LABEL: self.label(nodes, DOMAIN_LABEL, called, origin)}}
        )
        steps = [
            {"level": level, "name": self._value(name, origin)}
            for level, name in path
            if self._known(level, origin)
        ]
        if steps:
            spec["fabricPath"] = steps
        return self.add("NVLinkDomain", called, spec, origin)

    def level(self, nodes: Iterable[str], level: str, called: str, origin: Origin) -> None:
        """These nodes are in the domain of a level that is called so: they are to be labelled with it."""
        key = PRESETS["rackplane"].get(level)
        if key is not None and self._known(level, origin):
            self.label(nodes, key, called, origin)

    def _known(self, level: str, origin: Origin) -> bool:
        if level not in self.fabric.outer:
            why = f"level {level} is left out: the operator has {', '.join(self.fabric.outer)} (--fabric-levels)"
            self._losses.warn(origin.file, origin.field, why)
        return level in self.fabric.outer

    def label(self, nodes: Iterable[str], key: str, value: str, origin: Origin) -> str:
        """Have these nodes labelled; returns the value as a label takes it."""
        taken = label_value(value)
        for node in nodes:
            self._labels.setdefault(node, {})[key] = taken
            self._nodes.setdefault(node, origin)
        return taken

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The object that was added under this name."""
        found = self._made.get((kind, name))
        return None if found is None else found[1]

    def names(self, kind: str) -> list[str]:
        """Names of the objects of that kind, in the order in which they were added."""
        return [name for k, name in self._made if k == kind]

    def finish(self, settings: Mapping[str, Any] | None = None) -> Imported:
        """All of it, checked as the API server will check it; what it would refuse is an error."""
        made = sorted(self._made.items(), key=lambda entry: (_ORDER.index(entry[0][0]), entry[0][1]))
        for (kind, name), (_, body, origin) in made:
            decoded = decode_any(body)
            for problem in decoded if isinstance(decoded, list) else ():
                self._losses.wrong(origin.file, origin.field, f"{kind} {name} would not be valid: {problem}")
        for (kind, name), (_, body, origin) in made:
            for other, called in _references(kind, body["spec"]):
                if (other, called) not in self._made and called not in self._given:
                    why = f"{kind} {name} names {other} {called}, which is in none of the files"
                    self._losses.warn(origin.file, origin.field, why)
        for node, origin in self._nodes.items():
            if object_name(node) != node:
                self._losses.warn(
                    origin.file,
                    origin.field,
                    f"{node} is no name of a Kubernetes node: correct the labels' commands",
                )
        objects = tuple(body for _, (_, body, _) in made)
        return Imported(objects, {n: self._labels[n] for n in sorted(self._labels)}, settings or {})

    def _value(self, text: str, origin: Origin) -> str:
        if not is_label_value(text):
            self._losses.warn(
                origin.file, origin.field, f"{text!r} is no label's value, so it is {label_value(text)}"
            )
        return label_value(text)


def _references(kind: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and name of every object that this one names."""
    feeds = [
        *spec.get("feeds", ()),
        *(feed for unit in spec.get("units", ()) for feed in unit.get("feeds", ())),
    ]
    if kind == "PowerDomain":
        feeds += spec.get("parents", ())
    yield from (("PowerDomain", entry["powerDomain"]) for entry in feeds)
    yield from (("CoolingZone", zone) for zone in spec.get("cooling", {}).values())
    yield from (("Rack", rack) for rack in spec.get("racks", ()))
