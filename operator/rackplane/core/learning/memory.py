"""What runs of each job drew at most, by queue: kept in the status of the Queue, and so over a restart.

The bound is the highest of at least 59 runs. If runs are alike and independent, it is with 95 % confidence above what
95 of 100 further runs draw, whatever their distribution: 1 - 0.95^59 = 0.9515 (S. S. Wilks, Determination of Sample
Sizes for Setting Tolerance Limits, Annals of Mathematical Statistics 12, 1941). A mean and a deviation would need the
draw to be normally distributed, and it is not: a power cap cuts it off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rackplane.core.gangs.statuses import seconds, timestamp

__all__ = ["ENOUGH", "KEPT", "Family", "Memory", "Runs"]

ENOUGH: Final = 59
"""So many runs are needed for the bound: the least n with 1 - 0.95^n >= 0.95."""
KEPT: Final = 100
"""So many names are kept for a queue; the one that ran longest ago is forgotten."""


@dataclass(frozen=True, slots=True, order=True)
class Family:
    """Runs that are alike: of one job, on nodes of one HardwareProfile, at one power profile."""

    namespace: str
    name: str
    hardware_profile: str
    power_profile: str


@dataclass(frozen=True, slots=True)
class Runs:
    """How many there were, the most watts that a node drew, and when the last ended, in seconds since the epoch."""

    runs: int
    node_watts: int
    last: float


class Memory:
    """What was learned, by queue."""

    def __init__(self) -> None:
        self._known: dict[str, dict[Family, Runs]] = {}
        self._enough: dict[tuple[str, str, str], dict[Family, Runs]] = {}
        #: counts changes, and those that gangs may count by
        self.version = self.bounds = 0

    def add(self, queue: str, family: Family, node_watts: int, now: float) -> None:
        """One more run, and the most that a node drew in it."""
        known = self._known.setdefault(queue, {})
        before = known.get(family, Runs(0, 0, now))
        runs = known[family] = Runs(before.runs + 1, max(before.node_watts, node_watts), now)
        if runs.runs == ENOUGH or (runs.runs > ENOUGH and runs.node_watts > before.node_watts):
            self.bounds += 1
        if len(known) > KEPT:
            del known[min(known, key=lambda f: (known[f].last, f))]
        self._changed()

    def drew(self, queue: str, family: Family, node_watts: int) -> None:
        """A run that is not over has drawn more than all before: that counts at once."""
        before = self._known.get(queue, {}).get(family)
        if before is not None and node_watts > before.node_watts:
            self._known[queue][family] = Runs(before.runs, node_watts, before.last)
            self.bounds += before.runs >= ENOUGH
            self._changed()

    def enough(self, queue: str, namespace: str, name: str) -> dict[Family, Runs]:
        """What is known of the job from runs enough."""
        asked = queue, namespace, name
        found = self._enough.get(asked)
        if found is None:
            # Every gang that waits asks, in every pass over the queue.
            found = self._enough[asked] = {
                family: runs
                for family, runs in self._known.get(queue, {}).items()
                if runs.runs >= ENOUGH and (family.namespace, family.name) == (namespace, name)
            }
        return found

    def follow(self, queue: str, status: object, *, leading: bool) -> None:
        """The Queue was seen: who leads has written it, and goes by it only where nothing is known of that queue."""
        if not leading or queue not in self._known:
            self.restore(queue, status if isinstance(status, Mapping) else {})

    def forget(self, queue: str) -> None:
        """There is no such Queue any more."""
        if self._known.pop(queue, None):
            self.bounds += 1
            self._changed()

    def restore(self, queue: str, status: Mapping[str, Any]) -> None:
        """Go on from what the status of the Queue says; what does not read is left out."""
        known: dict[Family, Runs] = {}
        for each in status.get("learned") or ():
            try:
                family = Family(
                    each["namespace"], each["name"], each["hardwareProfile"], each["powerProfile"]
                )
                known[family] = Runs(int(each["runs"]), int(each["nodeWatts"]), seconds(each["lastRun"]))
            except (KeyError, TypeError, ValueError):
                continue
        before, self._known[queue] = self._known.get(queue, {}), known
        if known != before:
            self.bounds += 1
            self._changed()

    def figures(self, queue: str) -> list[dict[str, Any]]:
        """As the status of the Queue has it."""
        return [
            {
                "namespace": family.namespace,
                "name": family.name,
                "hardwareProfile": family.hardware_profile,
                "powerProfile": family.power_profile,
                "runs": runs.runs,
                "nodeWatts": runs.node_watts,
                "lastRun": timestamp(runs.last),
            }
            for family, runs in sorted(self._known.get(queue, {}).items())
        ]

    def _changed(self) -> None:
        self.version += 1
        self._enough.clear()
