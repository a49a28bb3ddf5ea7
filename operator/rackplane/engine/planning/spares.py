"""The nodes that NVLink domains keep free for the loss of others, and where there are fewer than there should be."""

from __future__ import annotations

from dataclasses import dataclass

from rackplane.engine.state import State

__all__ = ["Spares", "spares"]


@dataclass(frozen=True, slots=True)
class Spares:
    """Of one NVLink domain: how many nodes it is to keep free, and which ones it does."""

    domain: str
    wanted: int
    nodes: tuple[str, ...]

    @property
    def missing(self) -> int:
        """How many it is short of: they are in use for lost ones, lost themselves, or were never idle."""
        return max(0, self.wanted - len(self.nodes))


def spares(state: State) -> list[Spares]:
    """Of every domain that takes gangs and keeps spares, in the order of its nodes."""
    names, holding = state.inventory.names, state.holding
    return [
        Spares(
            policy.name, policy.spare_nodes, tuple(names[i] for i in holding.held(k, state.table).tolist())
        )
        for k, (policy, _) in enumerate(holding.domains)
        if policy.schedulable and policy.spare_nodes > 0
    ]
