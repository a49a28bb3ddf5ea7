"""Which rack, NVLink domain and fabric subtrees a node belongs to, by its labels.

Selectors are found by an index on label pairs, so that a node costs what its own labels cost, however many racks
there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from rackplane.api.common import NVLINK_LEVEL
from rackplane.api.fabric import CLIQUE_LABEL, Fabric
from rackplane.api.hardware_profile import HardwareProfile, NVLinkScope
from rackplane.api.nvlink_domain import NVLinkDomain
from rackplane.api.rack import Rack
from rackplane.core.objects import Node
from rackplane.core.pods.pod import has_condition, is_ready
from rackplane.core.pods.quantity import milli
from rackplane.engine.model import NodeSpec, Problem

__all__ = ["Claim", "Membership", "SelectorIndex", "membership_problems", "node_without_rack"]

_NAMED_NODES: Final = 3


class SelectorIndex:
    """Finds the selectors that a set of labels matches. Each stands under the pair that fewest others use."""

    def __init__(self, selectors: Mapping[str, Mapping[str, str]]) -> None:
        uses = Counter(pair for selector in selectors.values() for pair in selector.items())
        self._by_pair: dict[tuple[str, str], list[tuple[str, Mapping[str, str]]]] = {}
        for name, selector in selectors.items():
            if selector:  # an empty one would claim every node
                rarest = min(selector.items(), key=lambda pair: (uses[pair], pair))
                self._by_pair.setdefault(rarest, []).append((name, selector))

    def matches(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Names of the selectors of which `labels` holds every pair, sorted."""
        return tuple(
            sorted(
                name
                for pair in labels.items()
                for name, selector in self._by_pair.get(pair, ())
                if all(labels.get(key) == value for key, value in selector.items())
            )
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """What claims one node. More than one rack, or more than one domain, is an error and gives it none."""

    racks: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    #: it has GPUs of a known profile
    gpus: bool = False
    #: nvlinkScope of its rack's profile, where an NVLinkDomain claims it that this scope does not look at
    ignored_by: NVLinkScope | None = None

    @property
    def unclaimed(self) -> bool:
        """A GPU node in no rack: nothing is placed on it, which nobody may have meant."""
        return self.gpus and not self.racks


class Membership:
    """The claims of one configuration.

    Args:
        racks: the valid ones by name.
        domains: the valid ones by name.
        profiles: the valid ones by name.
        invalid_racks: specs, as written, of racks that do not decode. Their nodes are theirs still: another rack
            that matches them is in conflict.
        invalid_domains: the same for NVLinkDomains, so that their nodes do not pass for nodes without policy.
        fabric: the levels there are, and the node labels that name their domains.
        lost_conditions: of a Node, type and status: one that has them is not healthy.
    """

    def __init__(
        self,
        *,
        racks: Mapping[str, Rack],
        domains: Mapping[str, NVLinkDomain],
        profiles: Mapping[str, HardwareProfile],
        invalid_racks: Mapping[str, object],
        invalid_domains: Mapping[str, object],
        fabric: Fabric,
        lost_conditions: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._fabric = fabric
        self._lost_conditions = lost_conditions
        self._racks = racks
        self._domains = domains
        self._profiles = profiles
        self._known_domains = frozenset((*domains, *invalid_domains))
        self._resources = frozenset(profile.spec.resource_name for profile in profiles.values())
        rack_selectors = {name: _selector(_field(raw, "nodeSelector")) for name, raw in invalid_racks.items()}
        rack_selectors |= {name: rack.spec.node_selector for name, rack in racks.items()}
        self._rack_index = SelectorIndex(rack_selectors)
        self._by_clique: dict[str, list[str]] = {}
        self._by_rack: dict[str, list[str]] = {}
        selectors: dict[str, Mapping[str, str]] = {}
        for name, raw in invalid_domains.items():
            selectors[name] = _selector(_field(raw, "nodeSelector"))
            self._index_domain(name, clique=_field(raw, "clique"), racks=_strings(_field(raw, "racks")))
        for name, domain in domains.items():
            selectors[name] = domain.spec.node_selector or {}
            self._index_domain(name, clique=domain.spec.clique, racks=domain.spec.racks)
        self._domain_index = SelectorIndex(selectors)

    def _index_domain(self, name: str, *, clique: object, racks: Iterable[str]) -> None:
        if isinstance(clique, str):
            self._by_clique.setdefault(clique, []).append(name)
        for rack in racks:
            self._by_rack.setdefault(rack, []).append(name)

    def claim(self, node: Node) -> Claim:
        """Everything whose selector matches the node."""
        labels = node.metadata.labels
        racks = self._rack_index.matches(labels)
        domains = {
            *self._by_clique.get(labels.get(CLIQUE_LABEL, ""), ()),
            *self._domain_index.matches(labels),
        }
        for rack in racks:
            domains.update(self._by_rack.get(rack, ()))
        scope = self._scope(racks)
        ignored = domains and scope in (NVLinkScope.NODE, NVLinkScope.NONE)
        return Claim(racks, tuple(sorted(domains)), self._has_gpus(node), scope if ignored else None)

    def node_spec(self, node: Node, claim: Claim) -> NodeSpec | None:
        """The node as the engine takes it; None unless exactly one rack, a valid one, claims it."""
        rack = self._racks.get(claim.racks[0]) if len(claim.racks) == 1 else None
        if rack is None:
            return None
        name = node.metadata.name
        own = claim.domains[0] if len(claim.domains) == 1 else None
        return NodeSpec(
            name=name,
            rack=rack.name,
            domain=own or self._domain_by_profile(node, claim),
            fabric=self._above(node, rack, self._domains.get(own) if own else None),
            healthy=is_ready(node) and not any(has_condition(node, *c) for c in self._lost_conditions),
            inner=self._by_label(node, self._fabric.inner),
        )

    def _scope(self, racks: Sequence[str]) -> NVLinkScope | None:
        rack = self._racks.get(racks[0]) if len(racks) == 1 else None
        profile = self._profiles.get(rack.spec.profile) if rack is not None else None
        return None if profile is None else profile.spec.nvlink_scope

    def _domain_by_profile(self, node: Node, claim: Claim) -> str:
        """Of a node that no NVLinkDomain has for itself: at most as large as what is sure to be one fabric."""
        clique = self._fabric.named(NVLINK_LEVEL, node.metadata.labels)
        by_label = self._scope(claim.racks) is NVLinkScope.LABEL and not claim.domains
        # A clique that is called as an object is called, but is not it, must not join the object's nodes.
        if by_label and clique and clique not in self._known_domains:
            return clique
        return node.metadata.name

    def _above(self, node: Node, rack: Rack, domain: NVLinkDomain | None) -> tuple[tuple[str, str], ...]:
        if domain is not None and domain.spec.fabric_path:
            names = {step.level: step.name for step in domain.spec.fabric_path}
        else:
            names = dict(self._by_label(node, self._fabric.outer))
        place = rack.spec.location
        if place is not None:
            for level, name in (("row", place.row), ("hall", place.hall), ("site", place.site)):
                names[level] = names.get(level) or name or ""
        return tuple((level, names[level]) for level in self._fabric.outer if names.get(level))

    def _by_label(self, node: Node, levels: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        labels = node.metadata.labels
        found = ((level, self._fabric.named(level, labels)) for level in levels)
        return tuple((level, name) for level, name in found if name)

    def _has_gpus(self, node: Node) -> bool:
        allocatable = node.status.allocatable
        return any(_some(allocatable[resource]) for resource in self._resources & allocatable.keys())


def membership_problems(
    claims: Mapping[str, Claim],
    *,
    domains: Mapping[str, NVLinkDomain],
    racks: Collection[str],
    levels: Sequence[str],
) -> list[Problem]:
    """What is wrong with who claims which node, in order of kind and name.

    Args:
        claims: by node name.
        domains: the valid NVLinkDomains.
        racks: names of all racks, invalid ones too.
        levels: those above the NVLink domain.
    """
    shared: dict[tuple[str, str, str], list[str]] = {}
    ignored: dict[tuple[str, NVLinkScope], list[str]] = {}
    disputed = {n: c for n, c in claims.items() if len(c.racks) > 1 or len(c.domains) > 1 or c.ignored_by}
    for node, claim in sorted(disputed.items(), key=itemgetter(0)):
        for kind, names in (("NVLinkDomain", claim.domains), ("Rack", claim.racks)):
            for name in names:
                for other in names:
                    if name != other:
                        shared.setdefault((kind, name, other), []).append(node)
        if claim.ignored_by is not None:
            for name in claim.domains:
                ignored.setdefault((name, claim.ignored_by), []).append(node)
    found = [_claimed_twice(*key, nodes) for key, nodes in sorted(shared.items())]
    for (name, scope), nodes in sorted(ignored.items()):
        found.append(
            Problem(
                "NVLinkDomain",
                name,
                "spec",
                f"{_listed(nodes)} in a rack whose profile has nvlinkScope {scope.value}, so the domain does not hold",
                "set nvlinkScope Label or Object in the HardwareProfile, or remove the NVLinkDomain",
            )
        )
    for name, domain in sorted(domains.items()):
        found += [
            Problem(
                "NVLinkDomain",
                name,
                "spec.racks",
                f"rack {rack} does not exist",
                f"create Rack {rack} or correct the name",
            )
            for rack in domain.spec.racks
            if rack not in racks
        ]
        found += [
            Problem(
                "NVLinkDomain",
                name,
                f"spec.fabricPath[{index}].level",
                f"level {step.level} is not one of {', '.join(levels)}",
                "write one of these levels",
            )
            for index, step in enumerate(domain.spec.fabric_path)
            if step.level not in levels
        ]
    return found


def node_without_rack(node: str) -> Problem:
    """A GPU node that no rack's selector matches."""
    return Problem(
        "Node",
        node,
        "metadata.labels",
        f"node {node} belongs to no rack, so its power is not known; it is not used for placement",
        "label the node so that one rack's nodeSelector matches it, or add a Rack",
    )


def _claimed_twice(kind: str, name: str, other: str, nodes: Sequence[str]) -> Problem:
    if kind == "Rack":
        outcome = "so it belongs to neither and nothing is placed on it"
        remedy = f"make spec.nodeSelector of {name} and {other} disjoint, so that every node matches one rack"
    else:
        outcome = "so it counts as a domain of its own"
        remedy = f"make {name} and {other} name different nodes"
    if len(nodes) > 1:
        outcome = outcome.replace("it belongs", "they belong").replace("on it", "on them")
        outcome = outcome.replace("it counts as a domain", "each counts as a domain")
    where = "spec.nodeSelector" if kind == "Rack" else "spec"
    return Problem(kind, name, where, f"{_listed(nodes)} also claimed by {kind} {other}, {outcome}", remedy)


def _listed(nodes: Sequence[str]) -> str:
    """ "node a is", "nodes a, b are", "nodes a, b, c and 15 more are"."""
    if len(nodes) == 1:
        return f"node {nodes[0]} is"
    more = f" and {len(nodes) - _NAMED_NODES} more" if len(nodes) > _NAMED_NODES else ""
    return f"nodes {', '.join(nodes[:_NAMED_NODES])}{more} are"


def _some(quantity: str) -> bool:
    try:
        return milli(quantity) > 0
    except ValueError:
        return True


def _field(raw: object, name: str) -> Any:
    return raw.get(name) if isinstance(raw, Mapping) else None


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def _selector(value: object) -> Mapping[str, str]:
    """A selector as written, or none at all: with a pair left out it would claim more than was meant."""
    if not isinstance(value, Mapping) or not all(isinstance(x, str) for pair in value.items() for x in pair):
        return {}
    return dict(value)
