"""Topologies of Kueue and of KAI: node labels from the outermost level to the node, and nothing else.

https://kueue.sigs.k8s.io/docs/concepts/topology_aware_scheduling/ (kueue.x-k8s.io) and KAI-Scheduler's docs/topology
(kai.scheduler): one form. As labels they become settings of the operator; with the nodes in the same file, or another,
also NVLinkDomains and Racks, as discovery makes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from pydantic import Field

from rackplane.api.common import NVLINK_LEVEL
from rackplane.api.fabric import (
    DEFAULT_LEVELS,
    MOST_LEVELS,
    PRESETS,
    RACK_LABELS,
    Fabric,
    FabricError,
    fabric_of,
)
from rackplane.api.labels import HOSTNAME_LABEL
from rackplane.api.naming import object_name
from rackplane.core.discovery.merging import known_of
from rackplane.core.discovery.reading import discover
from rackplane.core.discovery.template import Template
from rackplane.core.objects import Node
from rackplane.core.offline.documents import core_object, type_of
from rackplane.exchange.building import Builder, Imported, Origin
from rackplane.exchange.foreign import Foreign, Source, documents, parsed, path_of
from rackplane.exchange.leaving import Site, on_paper, subject
from rackplane.exchange.losses import Losses

__all__ = ["GROUPS", "read", "write"]

#: API versions by whose they are.
GROUPS: Final[Mapping[str, str]] = {"kueue": "kueue.x-k8s.io/v1beta2", "kai": "kai.scheduler/v1alpha1"}
#: Levels of a Topology at most, the host among them.
_MOST: Final = 8


class _Level(Foreign):
    label: str = Field(alias="nodeLabel", min_length=1)


class _Spec(Foreign):
    levels: tuple[_Level, ...]


class _Topology(Foreign):
    api_version: str = Field(alias="apiVersion")
    kind: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    status: Any = None
    spec: _Spec


def read(
    sources: Sequence[Source],
    builder: Builder,
    losses: Losses,
    *,
    nvlink_label: str | None = None,
) -> Imported:
    """One Topology, and the nodes if they are there.

    Args:
        nvlink_label: the label of the level that is one NVLink domain. None: one that is known to be, or else the
            innermost above the host.
    """
    found: list[tuple[Origin, _Topology]] = []
    nodes: list[Node] = []
    for source in sources:
        for where, body in documents(source, losses):
            if isinstance(body, Mapping) and body.get("kind") == "Topology":
                topology = parsed(_Topology, body, file=source.name, where=where, losses=losses)
                if topology is not None:
                    found.append((Origin(source.name, path_of(where, "spec.levels")), topology))
            elif isinstance(body, Mapping) and type_of(body) == ("", "Node"):
                try:
                    node = core_object(body)
                except msgspec.ValidationError as error:
                    losses.wrong(source.name, where or "the file", f"is no Node that can be read: {error}")
                    continue
                assert isinstance(node, Node)
                nodes.append(node)
            else:
                kind = body.get("kind") if isinstance(body, Mapping) else None
                losses.warn(source.name, where or "the file", f"{kind or 'it'} is no Topology and no Node")
    if not found:
        losses.wrong(", ".join(s.name for s in sources), "kind", "there is no Topology")
        return builder.finish()
    for origin, topology in found[1:]:
        name = topology.metadata.get("name")
        losses.warn(
            origin.file, origin.field, f"Topology {name} is left out: the operator has one set of levels"
        )
    origin, topology = found[0]
    fabric = _fabric(topology, origin, losses, nvlink_label)
    if fabric is None:
        return builder.finish()
    if not nodes:
        losses.warn(
            origin.file, origin.field, "there are no Nodes beside it, so no Rack and no NVLinkDomain is made"
        )
    racks = (*RACK_LABELS, *fabric.keys[NVLINK_LEVEL]) if builder.template else ()
    whole = {"limitWatts", "feeds"} <= builder.template.keys()
    template = Template(builder.template) if whole else None
    discovered = discover(nodes, known_of(()), fabric=fabric, rack_labels=racks, template=template)
    for desired in discovered.objects:
        builder.add(desired.kind, desired.name, desired.spec, origin)
    for problem in discovered.problems:
        losses.warn(origin.file, f"{problem.kind} {problem.name}", f"{problem.message}; {problem.remedy}")
    return builder.finish(_settings(fabric))


def _fabric(topology: _Topology, origin: Origin, losses: Losses, nvlink_label: str | None) -> Fabric | None:
    labels = [level.label for level in reversed(topology.spec.levels)]
    if labels[:1] == [HOSTNAME_LABEL]:
        labels = labels[1:]
    known = Fabric().level_by_label
    names = [known.get(label, "") for label in labels]
    if nvlink_label is not None:
        if nvlink_label not in labels:
            losses.wrong(origin.file, origin.field, f"no level has the label {nvlink_label} (--nvlink-label)")
            return None
        names = [NVLINK_LEVEL if label == nvlink_label else "" for label in labels]
    elif NVLINK_LEVEL not in names:
        if not labels:
            losses.wrong(origin.file, origin.field, "there is no level above the host")
            return None
        why = f"{labels[0]} is taken for the NVLink domain, as the innermost (--nvlink-label names another)"
        losses.warn(origin.file, origin.field, why)
        names[0] = NVLINK_LEVEL
    taken: set[str] = set(names)
    for index, name in enumerate(names):
        if name and names.index(name) == index:
            continue
        own = object_name(labels[index].rpartition("/")[2]).replace(".", "-").lstrip("-0123456789") or "level"
        while own in taken:
            own += "-x"
        taken.add(own)
        names[index] = own
    if len(names) > MOST_LEVELS + 1:
        losses.wrong(
            origin.file, origin.field, f"there are {len(names)} levels, and {MOST_LEVELS + 1} are the most"
        )
        return None
    try:
        # `row`, `hall` and `site` of the default levels are read from racks, and go on above the others.
        more = [level for level in DEFAULT_LEVELS if level in ("hall", "site") and level not in names]
        levels = [*names, *more[: MOST_LEVELS + 1 - len(names)]]
        return fabric_of(levels, {name: [label] for name, label in zip(names, labels, strict=True)})
    except FabricError as error:
        losses.wrong(origin.file, origin.field, str(error))
        return None


def _settings(fabric: Fabric) -> dict[str, Any]:
    return {
        "fabricLevels": list(fabric.levels),
        "fabricLabels": {level: list(keys) for level, keys in fabric.labels.items()},
    }


# -- the way out -------------------------------------------------------------------------------------


def write(
    site: Site, losses: Losses, *, whose: str = "kueue", name: str = "rackplane"
) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """The Topology, and labels that nodes need for it: of a level of which no label of theirs says what we say.

    Levels on which not every node is are left out, as a Topology has every node on each.
    """
    needed: dict[str, dict[str, str]] = {}
    levels: list[str] = []
    for level in reversed(site.fabric.outer):
        of = {place.name: place.above.get(level, "") for place in site.nodes}
        key = _key(level, of, site, needed, losses)
        if key is not None:
            levels.append(key)
    domains = {place.name: place.domain for place in site.nodes}
    # A node that is a domain of its own is what Kueue calls the host.
    together = any(place.domain != place.name for place in site.nodes)
    if together and (key := _key(NVLINK_LEVEL, domains, site, needed, losses)) is not None:
        levels.append(key)
    for objects in (site.racks, site.powers, site.zones):
        for model in objects.values():
            losses.warn(subject(model), "spec", "is not in a Topology, which has no watts")
    on_paper(site, losses)
    if len(levels) + 1 > _MOST:
        losses.wrong("the levels", "fabricLevels", f"a Topology has {_MOST} levels at most")
    body = {
        "apiVersion": GROUPS[whose],
        "kind": "Topology",
        "metadata": {"name": name},
        "spec": {"levels": [{"nodeLabel": key} for key in (*levels, HOSTNAME_LABEL)]},
    }
    return body, needed


def _key(
    level: str, of: Mapping[str, str], site: Site, needed: dict[str, dict[str, str]], losses: Losses
) -> str | None:
    """The label that says of every node what `of` says; our own, which nodes then need, if there is none."""
    if not any(of.values()):
        return None
    without = sorted(node for node, value in of.items() if not value)
    if without:
        why = f"{len(without)} of {len(of)} nodes are in none ({', '.join(without[:3])}), so the level is left out"
        losses.warn(f"level {level}", "nodes", why)
        return None
    for key in site.fabric.keys[level]:
        if _same(of, {place.name: place.labels.get(key, "") for place in site.nodes}):
            return key
    key = PRESETS["rackplane"].get(level, f"rackplane.dev/{level}")
    for node, value in of.items():
        needed.setdefault(node, {})[key] = value
    return key


def _same(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether both part the nodes alike, whatever the parts are called."""
    pairs = {(one[node], other[node]) for node in one}
    return all(other.values()) and len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
