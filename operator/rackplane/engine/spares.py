"""Nodes that their NVLink domain's policy holds back: all of one that takes no gangs, and each domain's spares."""

from __future__ import annotations

from rackplane.engine.state import State


def held_back(state: State) -> list[int]:
    """Indices into the inventory, of nodes in domains that are not Active and of each domain's last idle healthy nodes.

    As many of the latter as ``spare_nodes`` says, and all nodes where that is an error.
    """
    policies = {d.name: d for d in state.facility.domains.values() if not d.schedulable or d.spare_nodes}
    if not policies:
        return []
    inventory = state.inventory
    members: dict[str, list[int]] = {}
    for i, name in enumerate(inventory.names):
        spec = state.node(name)
        if spec is not None and spec.domain in policies:
            members.setdefault(spec.domain or "", []).append(i)
    result: list[int] = []
    for domain, nodes in members.items():
        policy = policies[domain]
        if not policy.schedulable or policy.spare_nodes < 0:
            result.extend(nodes)
            continue
        left = policy.spare_nodes
        for i in reversed(nodes):
            if not left:
                break
            spec = state.node(inventory.names[i])
            node_type = state.node_type(inventory.names[i])
            if spec and spec.healthy and node_type and state.free[i] == node_type.gpus_per_node:
                result.append(i)
                left -= 1
    return result
