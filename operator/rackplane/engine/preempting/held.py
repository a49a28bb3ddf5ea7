"""What a gang holds, remembered so that it can be given back while others are tried without it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rackplane.engine.model import Placement
from rackplane.engine.state import State


@dataclass(frozen=True, slots=True)
class Held:
    """A booking as it was, to be made again."""

    key: str
    placement: Placement
    slots: Collection[int]
    until: float | None

    @staticmethod
    def of(state: State, key: str) -> Held:
        placement = state.booking(key)
        assert placement is not None
        return Held(key, placement, state.held(key).keys(), state.until(key))

    def book(self, state: State) -> None:
        if state.booking(self.key) is not None:
            state.rebook(self.key, self.placement, self.slots, force=True)
            return
        state.book(self.key, self.placement, force=True, until=self.until)
        state.release(self.key, [s for s in range(len(self.placement.slots)) if s not in self.slots])
