"""What the labels of nodes say of racks and NVLink domains, as objects to be written.

Labels name racks and domains and say who is in them. What a rack may draw and what feeds it they do not say: that
comes from a template, and without one no Rack is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rackplane.api.base import API_VERSION
from rackplane.api.common import NVLINK_LEVEL
from rackplane.api.decode import decode
from rackplane.api.fabric import CLIQUE_LABEL, RACK_LABELS, Fabric
from rackplane.api.hardware_profile import HardwareProfile, NVLinkScope
from rackplane.api.naming import hashed, is_label_value, object_name
from rackplane.api.nvlink_domain import NVLinkDomain
from rackplane.api.problems import FieldProblem
from rackplane.api.rack import Rack
from rackplane.core.discovery.template import Template
from rackplane.core.objects import Node
from rackplane.core.site.membership import Claim, Membership
from rackplane.engine.model import Problem

__all__ = ["MANAGED_BY", "Desired", "Discovery", "Known", "discover"]

#: Label of what is written here, and the field manager it is written as.
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
#: The model of a node's accelerators, as NVIDIA's and AMD's own labellers write it.
_PRODUCT_LABELS: Final = ("nvidia.com/gpu.product", "amd.com/gpu.product-name")
_COUNT_LABEL: Final = "nvidia.com/gpu.count"
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Desired:
    """An object as the labels have it; its spec has no field that they and the template do not fill."""

    kind: str
    name: str
    spec: Mapping[str, Any]

    def body(self, manager: str | None = None) -> dict[str, Any]:
        """The object as it is applied, by a field manager that its label names."""
        metadata: dict[str, Any] = {"name": self.name}
        if manager is not None:
            metadata["labels"] = {MANAGED_BY: manager}
        return {"apiVersion": API_VERSION, "kind": self.kind, "metadata": metadata, "spec": dict(self.spec)}


@dataclass(frozen=True, slots=True)
class Discovery:
    """What labels say: objects in order of kind and name, and what could not be made one."""

    objects: tuple[Desired, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What is there already, by name: the specs as written, and the HardwareProfiles that decode."""

    racks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    domains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    profiles: Mapping[str, HardwareProfile] = field(default_factory=dict)

    def membership(self, fabric: Fabric) -> Membership:
        racks = {n: decode(Rack, {"metadata": {"name": n}, "spec": s}) for n, s in self.racks.items()}
        domains = {
            n: decode(NVLinkDomain, {"metadata": {"name": n}, "spec": s}) for n, s in self.domains.items()
        }
        return Membership(
            racks={n: r for n, r in racks.items() if isinstance(r, Rack)},
            domains={n: d for n, d in domains.items() if isinstance(d, NVLinkDomain)},
            profiles=self.profiles,
            invalid_racks={n: self.racks[n] for n, r in racks.items() if not isinstance(r, Rack)},
            invalid_domains={
                n: self.domains[n] for n, d in domains.items() if not isinstance(d, NVLinkDomain)
            },
            fabric=fabric,
        )


def discover(
    nodes: Iterable[Node],
    known: Known,
    *,
    fabric: Fabric,
    rack_labels: Sequence[str] = RACK_LABELS,
    template: Template | None = None,
) -> Discovery:
    """Racks and NVLinkDomains by the labels of nodes. For each role the first label counts that a node has.

    A rack or domain with a node that another object claims already is left out, and so is all that would not be valid;
    the problems say why. Nothing is ever removed: of what no node names any more nothing is said.

    Args:
        rack_labels: that name racks.
        template: what labels do not say of racks. None: no Rack is written.
    """
    return _Reader(
        sorted(nodes, key=lambda node: node.metadata.name), known, fabric, rack_labels, template
    ).read()


@dataclass(frozen=True, slots=True)
class _Group:
    """Nodes with one value of one label."""

    key: str
    value: str
    nodes: list[Node]


class _Reader:
    def __init__(
        self,
        nodes: Sequence[Node],
        known: Known,
        fabric: Fabric,
        rack_labels: Sequence[str],
        template: Template | None,
    ) -> None:
        self._nodes, self._known, self._fabric = nodes, known, fabric
        self._rack_labels, self._template = rack_labels, template
        self._problems: list[Problem] = []
        membership = known.membership(fabric)
        self._claims: dict[str, Claim] = {node.metadata.name: membership.claim(node) for node in nodes}
        #: HardwareProfile by node, as far as it is known
        self._profiles: dict[str, str] = {}

    def read(self) -> Discovery:
        racks = self._racks()
        domains = self._domains()
        return Discovery((*domains, *racks), tuple(self._problems))

    # -- racks ---------------------------------------------------------------------------------------

    def _racks(self) -> list[Desired]:
        found = []
        for node in self._nodes:
            claimed = self._claims[node.metadata.name].racks
            spec = self._known.racks.get(claimed[0], {}) if len(claimed) == 1 else {}
            profile = spec.get("profile") if isinstance(spec, Mapping) else None
            self._profiles[node.metadata.name] = profile if isinstance(profile, str) else self._product(node)
        groups = [g for g in self._groups("Rack", self._rack_labels) if any(map(self._has_gpus, g.nodes))]
        groups = list(self._free("Rack", groups))
        if self._template is None:
            if groups:
                self._say(
                    "Rack",
                    "",
                    "spec.limitWatts",
                    f"labels name {_count(len(groups), 'rack')} ({_some([g.value for g in groups])}), but not what "
                    "they may draw and what feeds them, so none is written",
                    "give a template with limitWatts and feeds",
                )
            return []
        for group in groups:
            desired = self._rack(object_name(group.value), group, self._template)
            if desired is not None:
                found.append(desired)
        return found

    def _rack(self, name: str, group: _Group, template: Template) -> Desired | None:
        fields = dict(template.fields)
        if "profile" not in fields:
            profile = self._profile(name, group)
            if profile is None:
                return None
            fields["profile"] = profile
        live = self._known.racks.get(name, {}).get("expectedNodes")
        least = live if type(live) is int else 0
        # Never fewer than were seen once: a node that left is missing.
        fields.setdefault("expectedNodes", max(len(group.nodes), least))
        fields["nodeSelector"] = {group.key: group.value}
        for node in group.nodes:
            self._profiles[node.metadata.name] = fields["profile"]
        return self._valid(Desired("Rack", name, fields))

    def _profile(self, name: str, group: _Group) -> str | None:
        seen = {self._profiles[node.metadata.name] for node in group.nodes} - {""}
        if len(seen) == 1:
            return seen.pop()
        products = sorted({self._product_label(node) for node in group.nodes} - {""})
        what = (
            f"its nodes are of {_some(sorted(seen))}"
            if seen
            else f"no HardwareProfile is that of {_some(products)}"
            if products
            else f"no node of it has a label {_PRODUCT_LABELS[0]}"
        )
        self._say(
            "Rack", name, "spec.profile", f"{what}, so it is not written", "name its profile in the template"
        )
        return None

    def _product(self, node: Node) -> str:
        """The HardwareProfile of the node's accelerators by its labels; "" if none is, or several are."""
        product = _plain(self._product_label(node))
        count = node.metadata.labels.get(_COUNT_LABEL, "")
        fitting = [
            (len(model), name)
            for name, profile in sorted(self._known.profiles.items())
            if product and f"{product}-".startswith(f"{(model := _plain(profile.spec.gpu_model))}-")
            if count in ("", str(profile.spec.gpus_per_node))
        ]
        longest = max((length for length, _ in fitting), default=0)
        best = [name for length, name in fitting if length == longest]
        return best[0] if len(best) == 1 else ""

    def _product_label(self, node: Node) -> str:
        return next((node.metadata.labels[k] for k in _PRODUCT_LABELS if node.metadata.labels.get(k)), "")

    def _has_gpus(self, node: Node) -> bool:
        if self._product_label(node) or self._fabric.named(NVLINK_LEVEL, node.metadata.labels):
            return True
        resources = {p.spec.resource_name for p in self._known.profiles.values()}
        return any(node.status.allocatable.get(r, "0") != "0" for r in resources)

    # -- NVLink domains ------------------------------------------------------------------------------

    def _domains(self) -> list[Desired]:
        found = []
        groups = [
            g for g in self._groups("NVLinkDomain", self._fabric.keys[NVLINK_LEVEL]) if not self._alone(g)
        ]
        for group in self._free("NVLinkDomain", groups):
            name = object_name(group.value)
            spec: dict[str, Any] = (
                {"clique": group.value}
                if group.key == CLIQUE_LABEL
                else {"nodeSelector": {group.key: group.value}}
            )
            path = list(self._path(name, group))
            if path:
                spec["fabricPath"] = path
            desired = self._valid(Desired("NVLinkDomain", name, spec))
            if desired is not None:
                found.append(desired)
        return found

    def _alone(self, group: _Group) -> bool:
        """NVLink ends at each node, or there is none: an object would hold for nothing."""
        profiles = {self._profiles[node.metadata.name] for node in group.nodes}
        scopes = {p.spec.nvlink_scope for n in profiles if (p := self._known.profiles.get(n)) is not None}
        return bool(scopes) and scopes <= {NVLinkScope.NODE, NVLinkScope.NONE}

    def _path(self, name: str, group: _Group) -> Iterator[dict[str, str]]:
        for level in self._fabric.outer:
            names = {self._fabric.named(level, node.metadata.labels) for node in group.nodes}
            if len(names) > 1:
                self._say(
                    "NVLinkDomain",
                    name,
                    "spec.fabricPath",
                    f"its nodes are in {_some(sorted(n or 'none' for n in names))} of level {level}, so that level is "
                    "left out",
                    f"correct the labels {', '.join(self._fabric.keys[level])}",
                )
            elif (value := names.pop()) and is_label_value(value):
                yield {"level": level, "name": value}

    # -- both ----------------------------------------------------------------------------------------

    def _groups(self, kind: str, keys: Sequence[str]) -> Iterator[_Group]:
        """In order of label and value; values that no label has, and values that make one name, are left out."""
        found: dict[tuple[str, str], list[Node]] = {}
        for node in self._nodes:
            key = next((key for key in keys if node.metadata.labels.get(key)), None)
            if key is not None:
                found.setdefault((key, node.metadata.labels[key]), []).append(node)
        names: dict[str, list[str]] = {}
        for key, value in found:
            names.setdefault(object_name(value), []).append(f"{key}={value}")
        for (key, value), nodes in sorted(found.items()):
            name = object_name(value)
            if not is_label_value(value):
                self._say(
                    kind,
                    name,
                    "spec.nodeSelector",
                    f"{_nodes(nodes)} with {key}={value}, and no API server stores that value, so it is not written",
                    f"label them {key}={hashed(value)}, as Topograph does",
                )
            elif len(names[name]) == 1:
                yield _Group(key, value, nodes)
            elif f"{key}={value}" == names[name][0]:
                self._say(
                    kind,
                    name,
                    "metadata.name",
                    f"{_some(sorted(names[name]))} would have one name, so none of them is written",
                    "make the values differ in more than their spelling, or write the objects yourself",
                )

    def _free(self, kind: str, groups: Iterable[_Group]) -> Iterator[_Group]:
        """Groups of which no node is in another object of that kind."""
        for group in groups:
            name = object_name(group.value)
            others: dict[str, list[Node]] = {}
            for node in group.nodes:
                claim = self._claims[node.metadata.name]
                for other in claim.racks if kind == "Rack" else claim.domains:
                    if other != name:
                        others.setdefault(other, []).append(node)
            if not others:
                yield group
                continue
            named = "; ".join(f"{_nodes(nodes)} in {kind} {other}" for other, nodes in sorted(others.items()))
            self._say(
                kind,
                name,
                "spec.nodeSelector",
                f"{named} already, so it is not written",
                f"keep that object, or delete it and discover again ({group.key}={group.value})",
            )

    def _valid(self, desired: Desired) -> Desired | None:
        model = Rack if desired.kind == "Rack" else NVLinkDomain
        decoded = decode(model, desired.body())
        if not isinstance(decoded, list):
            return desired
        for problem in decoded:
            self._wrong(desired, problem)
        return None

    def _wrong(self, desired: Desired, problem: FieldProblem) -> None:
        what = f"{problem.where} {problem.what}, so it is not written"
        self._say(desired.kind, desired.name, problem.where, what, problem.remedy)

    def _say(self, kind: str, name: str, where: str, message: str, remedy: str) -> None:
        self._problems.append(Problem(kind, name, where, message, remedy))


def _plain(text: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "-", text.upper()).strip("-")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _nodes(nodes: Sequence[Node]) -> str:
    """ "node a is", "nodes a, b are"."""
    names = [node.metadata.name for node in nodes]
    return f"node {names[0]} is" if len(names) == 1 else f"nodes {_some(names)} are"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
