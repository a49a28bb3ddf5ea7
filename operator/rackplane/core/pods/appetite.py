"""What a GPU needs of CPU and memory: the mean over the gangs that take only parts of nodes and have a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rackplane.core.gangs.decisions import Key
from rackplane.engine.model import InvariantViolation

__all__ = ["FED", "Appetite", "Takes"]

FED: Final = ("cpu", "memory")
"""What GPUs need beside themselves, as pods name it."""

#: GPUs, and of each resource of FED what is asked for with them, in thousandths
Takes = tuple[int, int, int]


class Appetite:
    """Sums, kept in step gang by gang: nothing is remembered that is not in the API server."""

    def __init__(self) -> None:
        self._takes: dict[Key, Mapping[str, Takes]] = {}
        self._total: dict[str, Takes] = {}

    def put(self, gang: Key, takes: Mapping[str, Takes]) -> None:
        """What its slots take from now on, by accelerator resource, of which it is one at least; nothing: no place."""
        before = self._takes.get(gang, {})
        if before == takes:
            return
        for resource, (gpus, cpu, memory) in before.items():
            total = self._total[resource]
            left = total[0] - gpus, total[1] - cpu, total[2] - memory
            if any(left):
                self._total[resource] = left
            else:
                del self._total[resource]
        for resource, (gpus, cpu, memory) in takes.items():
            total = self._total.get(resource, (0, 0, 0))
            self._total[resource] = total[0] + gpus, total[1] + cpu, total[2] + memory
        if takes:
            self._takes[gang] = takes
        else:
            self._takes.pop(gang, None)

    def needs(self, also: Mapping[str, Takes]) -> dict[str, tuple[float, float]]:
        """By accelerator resource, what a GPU needs of each resource of FED in the mean, in thousandths.

        Args:
            also: what the gang that asks would take.
        """
        found = {}
        for resource in {**self._total, **also}:
            (gpus, cpu, memory), more = self._total.get(resource, (0, 0, 0)), also.get(resource, (0, 0, 0))
            gpus += more[0]
            found[resource] = (cpu + more[1]) / gpus, (memory + more[2]) / gpus
        return found

    def validate(self, takes: Mapping[Key, Mapping[str, Takes]]) -> None:
        """Compare with a new count.

        Raises:
            InvariantViolation: something differs.
        """
        fresh = Appetite()
        for gang, each in takes.items():
            fresh.put(gang, each)
        if fresh._takes != self._takes or fresh._total != self._total:
            raise InvariantViolation("what GPUs need of CPU and memory differs from a new count")
