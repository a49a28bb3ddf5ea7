"""Volcano's HyperNodes: sets of nodes in tiers, the tightest being tier 1.

https://volcano.sh/en/docs/network_topology_aware_scheduling/. HyperNodes of one tier become NVLinkDomains, those above
them the levels leaf, spine and core, in order of tier.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field

from rackplane.core.offline.documents import type_of
from rackplane.exchange.building import Builder, Imported, Origin
from rackplane.exchange.foreign import Foreign, Source, documents, parsed, path_of
from rackplane.exchange.losses import Losses

__all__ = ["read"]

_LEVELS: Final = ("leaf", "spine", "core")


class _Exact(Foreign):
    name: str


class _Regex(Foreign):
    pattern: str


class _Labels(Foreign):
    match: dict[str, str] = Field(default_factory=dict, alias="matchLabels")
    expressions: tuple[dict[str, Any], ...] = Field(default=(), alias="matchExpressions")


class _Selector(Foreign):
    type: str | None = None
    exact: _Exact | None = Field(default=None, alias="exactMatch")
    regex: _Regex | None = Field(default=None, alias="regexMatch")
    labels: _Labels | None = Field(default=None, alias="labelMatch")


class _Member(Foreign):
    type: str
    selector: _Selector


class _Spec(Foreign):
    tier: int
    members: tuple[_Member, ...] = ()


class _HyperNode(Foreign):
    api_version: str = Field(alias="apiVersion")
    kind: str
    metadata: dict[str, Any]
    status: Any = None
    spec: _Spec

    @property
    def name(self) -> str:
        return str(self.metadata.get("name", ""))


@dataclass(slots=True)
class _Found:
    hyper: _HyperNode
    origin: Origin


def read(sources: Sequence[Source], builder: Builder, losses: Losses, *, nvlink_tier: int = 1) -> Imported:
    """HyperNodes, and Nodes if members are named by patterns or labels.

    Args:
        nvlink_tier: the tier that is one NVLink domain.
    """
    found: dict[str, _Found] = {}
    nodes: dict[str, Mapping[str, str]] = {}
    for source in sources:
        for where, body in documents(source, losses):
            group, kind = type_of(body) if isinstance(body, Mapping) else ("", "")
            if kind == "HyperNode" and group == "topology.volcano.sh":
                hyper = parsed(_HyperNode, body, file=source.name, where=where, losses=losses)
                if hyper is not None:
                    found[hyper.name] = _Found(hyper, Origin(source.name, path_of(where, "spec")))
            elif (group, kind) == ("", "Node"):
                metadata = body.get("metadata") or {}
                nodes[str(metadata.get("name"))] = metadata.get("labels") or {}
            else:
                losses.warn(source.name, where or "the file", f"{kind or 'it'} is no HyperNode and no Node")
    if not found:
        losses.wrong(", ".join(s.name for s in sources), "kind", "there is no HyperNode")
        return builder.finish()
    return _Reader(builder, losses, found, nodes, nvlink_tier).read()


class _Reader:
    def __init__(
        self,
        builder: Builder,
        losses: Losses,
        found: Mapping[str, _Found],
        nodes: Mapping[str, Mapping[str, str]],
        nvlink_tier: int,
    ) -> None:
        self._builder, self._losses, self._found, self._nodes = builder, losses, found, nodes
        self._tier = nvlink_tier
        self._hosts: dict[str, list[str]] = {}

    def read(self) -> Imported:
        tiers = sorted({f.hyper.spec.tier for f in self._found.values()})
        levels = dict(zip((t for t in tiers if t > self._tier), _LEVELS, strict=False))
        if self._tier not in tiers:
            first = next(iter(self._found.values()))
            why = f"no HyperNode is of tier {self._tier} (--nvlink-tier); there are {', '.join(map(str, tiers))}"
            self._losses.wrong(first.origin.file, path_of(first.origin.field, "tier"), why)
        paths: dict[str, dict[str, str]] = {}
        for name, one in self._found.items():
            tier = one.hyper.spec.tier
            if tier == self._tier:
                continue
            level = levels.get(tier)
            if level is None:
                why = f"{name} is of tier {tier}, which is no level here, and is left out"
                self._losses.warn(one.origin.file, path_of(one.origin.field, "tier"), why)
                continue
            hosts = self._members(name)
            self._builder.level(hosts, level, name, one.origin)
            for host in hosts:
                paths.setdefault(host, {})[level] = name
        for name, one in self._found.items():
            if one.hyper.spec.tier == self._tier:
                self._domain(name, one, paths)
        return self._builder.finish()

    def _domain(self, name: str, one: _Found, paths: Mapping[str, Mapping[str, str]]) -> None:
        hosts = self._members(name)
        if not hosts:
            self._losses.warn(
                one.origin.file, one.origin.field, f"{name} has no nodes that are known, and is left out"
            )
            return
        path = [
            (level, names.pop())
            for level in _LEVELS
            if len(names := {paths.get(host, {}).get(level, "") for host in hosts}) == 1 and names != {""}
        ]
        racks = [self._builder.rack(name, hosts, {}, one.origin)] if self._builder.template else []
        self._builder.domain(name, hosts, one.origin, racks=racks, path=path)

    def _members(self, name: str, above: tuple[str, ...] = ()) -> list[str]:
        """Nodes of a HyperNode, of those below it too."""
        if name in self._hosts:
            return self._hosts[name]
        one = self._found[name]
        hosts: list[str] = []
        for index, member in enumerate(one.hyper.spec.members):
            at = Origin(one.origin.file, path_of(one.origin.field, "members", index))
            if member.type == "Node":
                hosts += self._matching(member.selector, self._nodes, at, of_nodes=True)
                continue
            inner = {n: (f.hyper.metadata.get("labels") or {}) for n, f in self._found.items()}
            for child in self._matching(member.selector, inner, at, of_nodes=False):
                if child not in self._found:
                    self._losses.warn(at.file, at.field, f"there is no HyperNode {child}")
                elif child == name or child in above:
                    self._losses.wrong(at.file, at.field, f"HyperNode {child} is a member of itself")
                else:
                    hosts += self._members(child, (*above, name))
        self._hosts[name] = found = list(dict.fromkeys(hosts))
        return found

    def _matching(
        self, selector: _Selector, known: Mapping[str, Mapping[str, str]], at: Origin, *, of_nodes: bool
    ) -> Iterable[str]:
        if selector.exact is not None:
            return [selector.exact.name]
        if selector.regex is None and selector.labels is None:
            self._losses.wrong(
                at.file, path_of(at.field, "selector"), "has no exactMatch, regexMatch or labelMatch"
            )
            return []
        if of_nodes and not known:
            why = "names nodes by what they are called or labelled: give the Nodes too (kubectl get nodes -o yaml)"
            self._losses.wrong(at.file, path_of(at.field, "selector"), why)
            return []
        if selector.labels is not None:
            if selector.labels.expressions:
                where = path_of(at.field, "selector.labelMatch.matchExpressions")
                self._losses.wrong(
                    at.file, where, "is not understood: write matchLabels, or name the members"
                )
                return []
            pairs = selector.labels.match.items()
            return [n for n, labels in known.items() if all(labels.get(k) == v for k, v in pairs)]
        assert selector.regex is not None
        try:
            pattern = re.compile(selector.regex.pattern)
        except re.error as error:
            self._losses.wrong(
                at.file, path_of(at.field, "selector.regexMatch.pattern"), f"is no pattern: {error}"
            )
            return []
        # As Go's MatchString does: anywhere in the name.
        return [name for name in known if pattern.search(name)]
