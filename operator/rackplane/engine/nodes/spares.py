"""Nodes that their NVLink domain's policy holds back: all of one that takes no gangs, and each domain's spares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import DomainSpec
from rackplane.engine.nodes.nodetable import NodeTable

Ints = NDArray[np.int64]


class Holding:
    """The NVLink domains that hold nodes back, and which nodes those are."""

    def __init__(self, policies: Mapping[str, DomainSpec], domains: Sequence[str | None]) -> None:
        """``domains``: the name of each node's NVLink domain object or label, in the inventory's order."""
        strict = {name: p for name, p in policies.items() if not p.schedulable or p.spare_nodes}
        members: dict[str, list[int]] = {}
        for i, domain in enumerate(domains) if strict else ():
            if domain in strict:
                members.setdefault(domain, []).append(i)
        self.domains = [(strict[name], np.array(nodes, dtype=np.int64)) for name, nodes in members.items()]
        """Each with its nodes."""
        self.of_node = np.full(len(domains), -1, dtype=np.int64)
        """Node -> index into ``domains``; -1 if its domain holds nothing back."""
        for k, (_, nodes) in enumerate(self.domains):
            self.of_node[nodes] = k

    def held(self, domain: int, table: NodeTable) -> Ints:
        """What one domain holds back: its last idle healthy nodes, as many as :meth:`kept` says.

        All of its nodes if it is not Active, or if that number is an error.
        """
        policy, nodes = self.domains[domain]
        if not policy.schedulable or policy.spare_nodes < 0:
            return nodes
        idle = nodes[
            table.healthy[nodes] & (table.gpus[nodes] > 0) & (table.free[nodes] == table.gpus[nodes])
        ]
        spares: Ints = idle[max(0, len(idle) - self.kept(domain, table)) :]
        return spares

    def kept(self, domain: int, table: NodeTable) -> int:
        """How many nodes one domain is to hold back now: ``spare_nodes``, less those that are away already.

        A spare stands for a node that is away, so that as many as are not spares can be placed on until more are away.
        One that a gang is on is not away yet: the spare is still wanted for that. What gangs have left behind there, or
        others run, needs none.
        """
        policy, nodes = self.domains[domain]
        lost = nodes[~table.healthy[nodes]]
        away = np.count_nonzero((table.gpus[lost] > 0) & (table.booked[lost] == 0))
        return max(0, policy.spare_nodes - int(away))

    def all_held(self, table: NodeTable) -> list[int]:
        """What all domains hold back."""
        return [int(i) for domain in range(len(self.domains)) for i in self.held(domain, table)]
