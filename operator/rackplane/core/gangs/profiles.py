"""What a gang gets when the power profile that it asked for did not fit, in words and percent."""

from __future__ import annotations

from dataclasses import dataclass

from rackplane.core.objects import GangStatus
from rackplane.engine.model import Placement
from rackplane.engine.physics.draw import find_cap
from rackplane.engine.state import State

__all__ = ["Lowered", "lowered", "running_words"]


@dataclass(frozen=True, slots=True)
class Lowered:
    """A gang admitted below the profile that it asked for. A gang is as fast as its slowest node."""

    asked: str
    granted: str
    node_watts: tuple[int, int]  # the lowest and the highest cap among its nodes, in watts a node
    percent: int  # speed at the granted profile, of the speed without a cap
    asked_percent: int  # the same at the profile that was asked for

    @property
    def longer_percent(self) -> int:
        """How much longer than at the profile asked for: time is the inverse of speed."""
        return round(100 * self.asked_percent / self.percent) - 100

    def __str__(self) -> str:
        low, high = self.node_watts
        watts = f"{low:,} W" if low == high else f"{low:,} to {high:,} W"
        slower = f"{self.longer_percent} % longer" if self.longer_percent > 0 else "no longer than asked"
        return (
            f"at {self.granted} instead of {self.asked}: {watts} a node; "
            f"expect about {self.percent} % of full speed, {slower}"
        )


def lowered(state: State, placement: Placement, asked: str) -> Lowered | None:
    """What to tell of a placement; None if it has the profile that was asked for, or draws nothing."""
    if placement.power_profile == asked or placement.gpus_per_slot == 0:
        return None
    types = {t.name: t for node in placement.slots if (t := state.node_type(node)) is not None}
    granted = [cap for t in types.values() if (cap := find_cap(t, placement.power_profile)) is not None]
    if not granted:
        return None
    before = [cap for t in types.values() if (cap := find_cap(t, asked)) is not None]
    return Lowered(
        asked=asked,
        granted=placement.power_profile,
        node_watts=(min(cap.node_watts for cap in granted), max(cap.node_watts for cap in granted)),
        percent=min(cap.relative_performance_percent for cap in granted),
        asked_percent=min((cap.relative_performance_percent for cap in before), default=100),
    )


def running_words(status: GangStatus) -> str:
    """What a running gang's message adds, from what its status has kept of the admission; empty if nothing."""
    learned = () if status.counts_in_full else status.learned
    counted = "".join(f", counted at {each.node_watts:,} W a node" for each in learned)
    if status.requested_power_profile in ("", status.power_profile):
        return counted
    speed = status.expected_performance_percent
    about = "" if speed is None else f", about {speed} % of full speed"
    return f" at {status.power_profile} instead of {status.requested_power_profile}{about}{counted}"
