"""One machine and the Gangs of another controller, as an API server has them, in virtual time: no Jobs and no pods.

Cheaper by far than the embedded cluster, where only the queue is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from rackplane.core import events as e
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.instructions import CommitGang, Instruction, WriteGangStatus
from rackplane.core.machine import Machine
from rackplane.core.objects import Gang, Node
from rackplane.core.settings import MachineSettings
from rackplane.simulator.gangs import merged
from tests.support.harness import START

__all__ = ["Site"]


class Site:
    """What is written is seen at once; a gang with a place runs until it is taken away (:meth:`end`)."""

    def __init__(self, objects: Iterable[dict[str, Any]], settings: MachineSettings) -> None:
        self.machine = Machine(settings=settings)
        self.bodies: dict[str, dict[str, Any]] = {}
        self.version, self.now = 0, START
        #: when each gang was given which nodes
        self.decided: list[tuple[float, str, tuple[str, ...]]] = []
        #: called after whatever the machine has done
        self.check: Callable[[], None] = lambda: None
        events: list[e.Event] = []
        for body in objects:
            if body["kind"] == "Node":
                events.append(e.NodeChanged(msgspec.convert(body, Node)))
            else:
                events.append(self.facility(body))
        self.handle(*events, e.Synced(), e.LeadershipGained(1))

    def facility(self, body: dict[str, Any]) -> e.Event:
        name = body["metadata"]["name"]
        whole = {**body, "metadata": {**body["metadata"], "uid": name, "generation": 1}}
        return e.FacilityChanged(body["kind"], name, whole)

    def changed(self, name: str) -> e.Event:
        self.version += 1
        body = self.bodies[name]
        body["metadata"]["resourceVersion"] = str(self.version)
        return e.GangChanged(msgspec.convert(body, type=Gang))

    def submit(self, name: str, spec: dict[str, Any]) -> e.Event:
        workload = {"apiVersion": "bench/v1", "kind": "Run", "name": name, "uid": name}
        meta = {"name": name, "namespace": "ns", "uid": name, "creationTimestamp": timestamp(self.now)}
        self.bodies[name] = {"metadata": meta, "spec": {"workload": workload, **spec}}
        return self.changed(name)

    def end(self, name: str) -> e.Event:
        del self.bodies[name]
        return e.GangDeleted("ns", name)

    def handle(self, *events: e.Event) -> None:
        """Until nothing is written any more, and nothing is due that one pass had no searches for."""
        todo = list(events)
        while todo or self.machine.world.waiting.due <= self.now:
            instructions = self.machine.handle(self.now, *todo)
            self.check()
            todo = [event for each in instructions for event in self._answer(each)]

    def _answer(self, instruction: Instruction) -> list[e.Event]:
        if not isinstance(instruction, CommitGang | WriteGangStatus):
            return []
        body = self.bodies[instruction.name]
        body["status"] = merged(body.get("status"), instruction.status)
        if isinstance(instruction, CommitGang):
            slots = tuple(n for group in instruction.status["assignment"] for n in group["nodes"])
            self.decided.append((self.now, instruction.name, slots))
        return [e.WriteSucceeded(instruction), self.changed(instruction.name)]

    @property
    def running(self) -> list[str]:
        """Gangs with a place, by name."""
        return sorted(n for n, b in self.bodies.items() if b.get("status", {}).get("phase") == "Admitted")
