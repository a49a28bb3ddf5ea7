"""Whether what is booked could be placed where it is now as well."""

from __future__ import annotations

from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.state import State

__all__ = ["keeps_limits"]


def keeps_limits(state: State, key: str) -> bool:
    """Whether every limit above the racks of a booking is kept, by all that holds an admission back."""
    f, slack = state.facility, state.slack(state.until(key))
    racks = {
        f.rack_index[spec.rack] for node in state.held_gpus(key) if (spec := state.node(node)) and spec.rack
    }
    return all(bool((slack[f.cells[f.entries(rack)]] >= -TOLERANCE_WATTS).all()) for rack in racks)
