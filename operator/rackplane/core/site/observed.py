"""What racks and power domains draw by telemetry, as their status says it, and what is wrong with that.

Nothing is decided by these sums; from what single nodes draw is learned (:mod:`core.learning`). Meters never stand
still, so a figure in a status is replaced when it is another by more than a hundredth, or is old: else each reading
would be a write for each rack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rackplane.core.gangs.statuses import condition, seconds, timestamp
from rackplane.engine.physics.facility import Facility
from rackplane.engine.reporting.carried import Carried, carried

__all__ = ["OBSERVED_FIELDS", "OBSERVED_TYPES", "Draws", "Observed", "RackObserved", "drifts"]

_DRIFTING: Final = "Drifting"
_STALE: Final = "TelemetryStale"
#: Types of the conditions that are written here; all are bad news when they are True.
OBSERVED_TYPES: Final = frozenset({_DRIFTING, _STALE})
#: Fields of status that are written here.
OBSERVED_FIELDS: Final = frozenset({"observedWatts", "observedAt", "unobservedNodes"})
#: Another figure than that in status, in percent of it.
_ANOTHER_PERCENT: Final = 1
#: A figure in status is replaced after so long even if it is the same, in seconds.
_OLD_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class RackObserved:
    """What a rack draws, its overhead as it is set included.

    Args:
        watts: nodes without a fresh reading count at their reserved peak.
        nodes: how many there are.
        unobserved_nodes: those without a fresh reading.
        drifts: whether it has drawn more than its books allow.
        oldest_seconds: age of the oldest reading in it; None if there is none.
    """

    watts: int
    nodes: int
    unobserved_nodes: int
    drifts: bool
    oldest_seconds: float | None


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of every rack.

    Args:
        at: when, in seconds since the epoch.
        nodes: watts of the nodes that the last question was answered for, where readings are of whole nodes.
    """

    at: float
    racks: Mapping[str, RackObserved]
    nodes: Mapping[str, int] = field(default_factory=dict)

    def watts(self) -> dict[str, int]:
        """Draws of the racks of which nothing is unknown."""
        return {name: rack.watts for name, rack in self.racks.items() if not rack.unobserved_nodes}

    def read_at(self, racks: Sequence[str]) -> float | None:
        """When the oldest reading was taken of these racks, in seconds since the epoch; None if there is none."""
        ages = [age for name in racks if (age := self.racks[name].oldest_seconds) is not None]
        return self.at - max(ages) if ages else None


def drifts(conditions: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the conditions of a rack say that it does."""
    return any(c["type"] == _DRIFTING and c["status"] == "True" for c in conditions)


class Draws:
    """What status says of draws.

    Args:
        expected: whether there is telemetry. While it has said nothing yet, what an earlier process wrote stays.
        observed: what it said last.
        facility: whose elements carry what racks draw.
    """

    def __init__(self, *, expected: bool, observed: Observed | None, facility: Facility) -> None:
        self._expected, self._observed = expected, observed
        self._carried: Mapping[str, Carried] = {}
        if expected and observed is not None:
            self._carried = carried(facility, observed.watts())

    def figures(self, kind: str, name: str, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of one object; None for what is not known.

        Args:
            stored: its status as last seen.
        """
        if kind not in ("Rack", "PowerDomain"):
            return {}
        nothing: dict[str, Any] = {"observedWatts": None, "observedAt": None}
        if self._expected and self._observed is None:
            fields = nothing if kind == "PowerDomain" else OBSERVED_FIELDS
            return {field: stored.get(field) for field in fields}
        if kind == "PowerDomain":
            load = self._carried.get(name)
            return nothing if load is None else self._draw(load.watts, load.racks, stored)
        rack = self._observed.racks.get(name) if self._expected and self._observed is not None else None
        if rack is None or not rack.nodes:
            return {**nothing, "unobservedNodes": None}
        drawn = nothing if rack.unobserved_nodes else self._draw(rack.watts, (name,), stored)
        return {**drawn, "unobservedNodes": rack.unobserved_nodes}

    def _draw(self, watts: int, racks: Sequence[str], stored: Mapping[str, Any]) -> dict[str, Any]:
        assert self._observed is not None
        at = self._observed.read_at(racks)
        if at is None:
            return {"observedWatts": None, "observedAt": None}
        known, since = stored.get("observedWatts"), _time(stored.get("observedAt"))
        if (
            isinstance(known, int)
            and since is not None
            and abs(watts - known) * 100 <= known * _ANOTHER_PERCENT
            and 0 <= int(at) - since < _OLD_SECONDS
        ):
            return {"observedWatts": known, "observedAt": timestamp(since)}
        return {"observedWatts": watts, "observedAt": timestamp(at)}

    def judgements(
        self, kind: str, name: str, stored: Sequence[Mapping[str, Any]], now: float
    ) -> Iterator[dict[str, Any]]:
        """The conditions of a rack: whether it drifts, and whether its nodes are read.

        Args:
            stored: its conditions as last seen or written.
        """
        if kind != "Rack" or not self._expected:
            return
        if self._observed is None:
            yield from (dict(c) for c in stored if c["type"] in OBSERVED_TYPES)
            return
        rack = self._observed.racks.get(name)
        if rack is None or not rack.nodes:
            return
        if rack.drifts:
            text = (
                "it has drawn more than its reserved nominal watts and the margin allow: measure, and correct its "
                "HardwareProfile, or find what else runs there"
            )
            yield condition(_DRIFTING, true=True, reason="AboveBooks", message=text, now=now)
        else:
            text = "what it draws is within what is reserved for it, and the margin"
            yield condition(_DRIFTING, true=False, reason="WithinBooks", message=text, now=now)
        if rack.unobserved_nodes:
            text = (
                f"{rack.unobserved_nodes} of {rack.nodes} nodes have no reading that counts: their reserved peak does, "
                "and nothing is said of drift meanwhile"
            )
            yield condition(_STALE, true=True, reason="NodesUnread", message=text, now=now)
        else:
            yield condition(_STALE, true=False, reason="NodesRead", message="every node is read", now=now)


def _time(text: object) -> float | None:
    try:
        return seconds(text) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None
