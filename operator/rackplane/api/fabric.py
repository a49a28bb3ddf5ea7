"""The levels of the fabric by name, and the node labels that say which domain of a level a node is in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from rackplane.api.base import GROUP, LEVEL_PATTERN
from rackplane.api.common import NVLINK_LEVEL

__all__ = [
    "CLIQUE_LABEL",
    "DEFAULT_LEVELS",
    "PRESETS",
    "RACK_LABELS",
    "Fabric",
    "FabricError",
    "fabric_of",
    "parse_fabric",
    "parse_rack_labels",
]

#: `ClusterUUID.CliqueID`: nodes with the same value share one NVSwitch fabric.
CLIQUE_LABEL: Final = "nvidia.com/gpu.clique"
DEFAULT_LEVELS: Final = ("leaf", "spine", "hall", "site")
#: As many as a fabricPath has steps.
MOST_LEVELS: Final = 8
_MOST_KEYS: Final = 16
_LABEL_KEY: Final = re.compile(
    r"(?=[^/]{1,253}/)[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?", re.ASCII
)

#: By who writes them: level -> node label. The order is that in which a node's labels are looked at.
PRESETS: Final[Mapping[str, Mapping[str, str]]] = {
    # For people who know better, and for `rackplane import`.
    "rackplane": {
        NVLINK_LEVEL: f"{GROUP}/nvlink-domain",
        "leaf": f"{GROUP}/leaf",
        "spine": f"{GROUP}/spine",
        "core": f"{GROUP}/core",
    },
    "nvidia": {NVLINK_LEVEL: CLIQUE_LABEL},
    # From 1.0 on.
    "topograph": {
        "sub-domain": "accelerator.topograph.run/sub-domain",
        NVLINK_LEVEL: "accelerator.topograph.run/domain",
        "leaf": "fabric.topograph.run/tier-0",
        "spine": "fabric.topograph.run/tier-1",
        "core": "fabric.topograph.run/tier-2",
    },
    "topograph-old": {
        NVLINK_LEVEL: "network.topology.nvidia.com/accelerator",
        "leaf": "network.topology.nvidia.com/leaf",
        "spine": "network.topology.nvidia.com/spine",
        "core": "network.topology.nvidia.com/core",
    },
    "gke": {
        "leaf": "cloud.google.com/gce-topology-subblock",
        "spine": "cloud.google.com/gce-topology-block",
    },
    "eks": {
        NVLINK_LEVEL: "topology.k8s.aws/ultraserver-id",
        "leaf": "topology.k8s.aws/network-node-layer-3",
        "spine": "topology.k8s.aws/network-node-layer-2",
        "core": "topology.k8s.aws/network-node-layer-1",
    },
    "oci": {
        "leaf": "oci.oraclecloud.com/rdma.local_block_id",
        "spine": "oci.oraclecloud.com/rdma.network_block_id",
        "core": "oci.oraclecloud.com/rdma.hpc_island_id",
    },
    "coreweave": {
        NVLINK_LEVEL: "ds.coreweave.com/nvlink.domain",
        "leaf": "backend.coreweave.cloud/leafgroup",
        "spine": "backend.coreweave.cloud/superpod",
        "core": "backend.coreweave.cloud/fabric",
    },
}


#: Node labels that name the rack a node is in: our own, a general one, CoreWeave's, OCI's. The first that a node has
#: counts.
RACK_LABELS: Final = (
    f"{GROUP}/rack",
    "topology.kubernetes.io/rack",
    "node.coreweave.cloud/rack",
    "oci.oraclecloud.com/host.rack_id",
)

#: Of Kueue's own documentation: one rack is one NVLink domain in NVL72.
_KUEUES_EXAMPLE: Final = {
    "cloud.provider.com/topology-rack": NVLINK_LEVEL,
    "cloud.provider.com/topology-block": "leaf",
}


class FabricError(ValueError):
    """Levels or labels that cannot be: what is wrong and what to write, for people."""


@dataclass(frozen=True)
class Fabric:
    """The levels of one cluster. Made by `fabric_of`."""

    inner: tuple[str, ...] = ()
    """Below the NVLink domain, innermost first."""
    outer: tuple[str, ...] = DEFAULT_LEVELS
    """Above it, innermost first."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Level -> node labels, where they are not those of every preset. The first that a node has counts."""

    @property
    def levels(self) -> tuple[str, ...]:
        """All of them, innermost first."""
        return (*self.inner, NVLINK_LEVEL, *self.outer)

    @cached_property
    def keys(self) -> Mapping[str, tuple[str, ...]]:
        """Level -> node labels that name its domains, the first that a node has counts."""
        return {level: self.labels.get(level, _preset_keys(level)) for level in self.levels}

    @cached_property
    def level_by_label(self) -> Mapping[str, str]:
        """Node label -> the level it names, for requests that name a level by its label.

        Labels of presets are in it where this cluster reads others, or has no such level: who names one is told.
        """
        known = {key: level for preset in PRESETS.values() for level, key in preset.items()}
        own = {key: level for level, keys in self.keys.items() for key in keys}
        return {**known, **_KUEUES_EXAMPLE, **own}

    def named(self, level: str, labels: Mapping[str, str]) -> str:
        """The domain of the level that a node with these labels is in; "" if they do not say."""
        return next((labels[key] for key in self.keys[level] if labels.get(key)), "")


def fabric_of(
    levels: Sequence[str] = DEFAULT_LEVELS, labels: Mapping[str, Sequence[str]] | None = None
) -> Fabric:
    """The fabric with these levels, innermost first.

    Args:
        levels: those before "nvlink" lie below the NVLink domain, those after it above; without "nvlink" all do.
        labels: level -> node label keys, or names of presets, that say which domain of it a node is in. A level that
            is not in it has the keys of all presets.

    Raises:
        FabricError: a level is no name, stands twice or is one too many; a label is none, or stands for two levels;
            a preset is not known or has no such level.
    """
    cut = levels.index(NVLINK_LEVEL) if NVLINK_LEVEL in levels else 0
    inner, outer = tuple(levels[:cut]), tuple(levels[cut:])
    outer = outer[1:] if outer[:1] == (NVLINK_LEVEL,) else outer
    found = Fabric(inner, outer)
    if len(found.levels) - 1 > MOST_LEVELS:
        raise FabricError(f"{len(found.levels) - 1} levels beside nvlink: name {MOST_LEVELS} at most")
    for level in found.levels:
        if len(level) > 63 or not re.match(LEVEL_PATTERN, level):
            raise FabricError(
                f"{level!r} is no name of a level: write lower-case letters, digits and hyphens, a letter first"
            )
        if found.levels.count(level) > 1:
            raise FabricError(f"level {level} is named twice: name each once, innermost first")
    own = {level: _keys(level, given, found.levels) for level, given in (labels or {}).items()}
    fabric = Fabric(inner, outer, own)
    by_key: dict[str, str] = {}
    for level, keys in fabric.keys.items():
        for key in keys:
            other = by_key.setdefault(key, level)
            if other != level:
                raise FabricError(
                    f"label {key} stands for {other} and for {level}: give each level labels of its own"
                )
    return fabric


def parse_fabric(levels: str, labels: str = "") -> Fabric:
    """As `fabric_of`, from text: "sub-domain,nvlink,leaf,spine" and "leaf=eks,example.com/tor;spine=example.com/spine".

    Raises:
        FabricError: as `fabric_of`, or the text has not this form.
    """
    by_level: dict[str, list[str]] = {}
    for part in filter(None, (p.strip() for p in labels.split(";"))):
        level, sign, keys = part.partition("=")
        level = level.strip()
        if not sign or not _words(keys) or level in by_level:
            raise FabricError(
                f"{part!r} is not level=label,label once for each level: leaf=example.com/tor;spine=eks"
            )
        by_level[level] = _words(keys)
    return fabric_of(_words(levels), by_level)


def parse_rack_labels(text: str, fabric: Fabric) -> tuple[str, ...]:
    """Node labels that name racks, from text: "example.com/rack,nvlink". A level stands for the labels that name it.

    Raises:
        FabricError: a word is neither a label nor a level, or there is none.
    """
    found: list[str] = []
    for word in _words(text):
        if word not in fabric.keys and not _LABEL_KEY.fullmatch(word):
            raise FabricError(
                f"{word!r} is neither a node label such as example.com/rack nor one of the levels "
                f"{', '.join(fabric.levels)}"
            )
        found += fabric.keys.get(word, (word,))
    if not found:
        raise FabricError("no label that names racks: write one such as example.com/rack")
    return tuple(dict.fromkeys(found))


def _words(text: str) -> list[str]:
    return [word for word in (w.strip() for w in text.split(",")) if word]


def _preset_keys(level: str) -> tuple[str, ...]:
    return tuple(keys[level] for keys in PRESETS.values() if level in keys)


def _keys(level: str, given: Sequence[str], levels: Sequence[str]) -> tuple[str, ...]:
    if level not in levels:
        raise FabricError(f"labels for level {level}, which is none of {', '.join(levels)}")
    if not 1 <= len(given) <= _MOST_KEYS:
        raise FabricError(f"{len(given)} labels for level {level}: give 1 to {_MOST_KEYS}")
    found: list[str] = []
    for word in given:
        if word in PRESETS:
            key = PRESETS[word].get(level)
            if key is None:
                raise FabricError(f"preset {word} has no level {level}; it has {', '.join(PRESETS[word])}")
        elif _LABEL_KEY.fullmatch(word):
            key = word
        else:
            raise FabricError(
                f"{word!r} is neither a node label such as example.com/tor nor one of the presets {', '.join(PRESETS)}"
            )
        found.append(key)
    return tuple(dict.fromkeys(found))
