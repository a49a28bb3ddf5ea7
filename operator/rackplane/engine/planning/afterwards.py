"""What a state holds once some of its bookings are over, as a state of its own.

To release what is over in a simulation, look, and put it back costs as much each time as that has nodes. From one
question to the next little of it differs: so a second state is kept, and only told of that.
"""

from __future__ import annotations

from collections.abc import Collection

from rackplane.engine.state import State

__all__ = ["Afterwards"]


class Afterwards:
    """The second state beside one, whichever was asked about last."""

    def __init__(self) -> None:
        self._state: State | None = None

    def of(self, state: State, over: Collection[str]) -> State:
        """A state of the same nodes that holds what this one does now but for these bookings.

        It is the same object as far as it can be, so that it answers until the next call. Whoever changes it does so in
        a simulation.

        Args:
            over: keys, each of which is booked.
        """
        if self._state is None or not self._state.follow(state, over):
            self._state = State(state.facility, tuple(state.nodes()))
            self._state.follow(state, over)
        return self._state
