"""An API server and a maker of gangs in one, in virtual time: what the machine writes is seen at once.

All jobs are gangs of another controller (docs/external-gangs.md): the machine decides where and when they run and who
stops, and this is the controller that starts and stops them. So there are no pods, and nothing between a decision and
its start. A gang that is told to stop is gone after `Rules.stop` seconds and waits again, with its age; on a node that
is lost it stands still until the machine has it stopped, or the node is back.

Annotations of nodes (caps) are answered when the machine waits for them, and not before: nobody else reads them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final

import msgspec

from rackplane.api.labels import LAST_CHECKPOINT, STOPPED_BY_MAKER
from rackplane.core import events as e
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.instructions import CapNode, CommitGang, Instruction, PublishEvent, WriteGangStatus
from rackplane.core.machine import Machine
from rackplane.core.objects import Gang, Node
from rackplane.core.settings import MachineSettings
from rackplane.simulator.gangs import NAMESPACE, Live, Observer, Request, merged
from rackplane.simulator.progress import Progress, Rules

__all__ = ["Cluster"]

_FULL: Final = 100


class _Due(IntEnum):
    """What is to happen; at one moment in this order."""

    END = 0
    GONE = 1
    SAVED = 2


class Cluster:
    """Who keeps the objects, and makes, starts and stops gangs.

    Args:
        begin: the epoch second that second 0 of the simulation is.
        tell_checkpoints: whether the machine is to know of them: only who may stop gangs asks.
    """

    def __init__(
        self,
        settings: MachineSettings,
        events: Iterable[e.Event],
        observer: Observer,
        *,
        rules: Rules | None = None,
        begin: int = 0,
        tell_checkpoints: bool = False,
    ) -> None:
        self.machine = Machine(settings=settings, measures=False)
        self.now = 0
        self.live: dict[str, Live] = {}
        self.waiting = 0
        self.acted_at = 0
        self._observer, self._rules, self._begin = observer, rules or Rules(), begin
        self._tell_checkpoints = tell_checkpoints
        self._version = 0
        self._due: list[tuple[int, int, str, str]] = []
        self._nodes: dict[str, Node] = {}
        self._caps: dict[str, CapNode] = {}
        found = list(events)
        for event in found:
            if isinstance(event, e.NodeChanged):
                self._nodes[event.node.metadata.name] = event.node
        self.feed(*found, e.Synced(), e.LeadershipGained(1))

    def time(self, second: float) -> float:
        """Seconds since the epoch."""
        return self._begin + second

    def next_due(self) -> int | None:
        """When something of what runs happens next; None if nothing runs."""
        while self._due:
            at, kind, name, token = self._due[0]
            if kind == _Due.SAVED or self._counts(kind, name, token):
                return at
            heapq.heappop(self._due)
        return None

    # -- what happens --------------------------------------------------------------------------------

    def feed(self, *events: e.Event) -> None:
        """Let the machine hear of these, and carry out what it asks for until it asks for nothing more."""
        batch = list(events)
        while batch:
            answers = self.machine.handle(self.time(self.now), *batch)
            batch = [event for instruction in answers for event in self._carry_out(instruction)]
            if batch:
                self.acted_at = self.now
            if not batch and self._caps and self.machine.world.easing:
                batch = self._write_caps()

    def happened(self) -> list[e.Event]:
        """What has become of gangs by now."""
        found: list[e.Event] = []
        while self._due and self._due[0][0] <= self.now:
            _, kind, name, token = heapq.heappop(self._due)
            if not self._counts(kind, name, token):
                continue
            gang = self.live[name]
            if kind == _Due.END:
                found.append(self._over(gang))
            elif kind == _Due.GONE:
                self._free(gang)
                gang.body["metadata"]["annotations"][STOPPED_BY_MAKER] = gang.body["status"]["decision"]["id"]
                if gang.request.told is not None:
                    left = gang.progress.left() * gang.request.told / max(1, gang.request.job.duration)
                    gang.body["spec"]["expectedDurationSeconds"] = max(1, round(left))
                found.append(self._changed(gang))
            else:
                gang.body["metadata"]["annotations"][LAST_CHECKPOINT] = timestamp(self.time(self.now))
                found.append(self._changed(gang))
                self._watch_checkpoint(gang)
        return found

    def submit(self, request: Request) -> e.Event:
        """A job that has come: at its own time, though it may be heard of later."""
        workload = {"apiVersion": "trace/v1", "kind": "Job", "name": request.name, "uid": request.name}
        metadata = {
            "name": request.name,
            "namespace": NAMESPACE,
            "uid": request.name,
            "creationTimestamp": timestamp(self.time(request.job.submit)),
            "annotations": {},
        }
        spec: dict[str, Any] = {**request.spec, "workload": workload}
        if request.told is not None:
            spec["expectedDurationSeconds"] = request.told
        progress = Progress(request.job.duration, self._rules)
        gang = self.live[request.name] = Live(request, {"metadata": metadata, "spec": spec}, progress)
        self.waiting += 1
        return self._changed(gang)

    def set_node(self, name: str, *, ready: bool) -> e.Event:
        """A node is lost, or is back.

        Raises:
            KeyError: there is none of that name.
        """
        node = self._nodes[name]
        conditions = [
            msgspec.structs.replace(c, status="True" if ready else "False") if c.type == "Ready" else c
            for c in node.status.conditions
        ]
        status = msgspec.structs.replace(node.status, conditions=conditions)
        self._nodes[name] = msgspec.structs.replace(self._renewed(node), status=status)
        for gang in self.live.values():
            if gang.placed is None or gang.body["status"]["phase"] != "Admitted" or name not in gang.nodes:
                continue
            if not ready:
                gang.progress.stop(self.now, asked=False)
                gang.failed = True
            elif gang.failed and all(self._ready(other) for other in gang.nodes):
                gang.failed = False
                self._run(gang)
        return e.NodeChanged(self._nodes[name])

    # -- what the machine writes ---------------------------------------------------------------------

    def _carry_out(self, instruction: Instruction) -> list[e.Event]:
        match instruction:
            case CommitGang() | WriteGangStatus():
                gang = self.live[instruction.name]
                if gang.body["metadata"]["resourceVersion"] != instruction.resource_version:
                    reason = e.FailureReason.CONFLICT
                    return [e.WriteFailed(instruction, reason, "the object was changed meanwhile")]
                gang.body["status"] = merged(gang.body.get("status"), instruction.status)
                self._follow(gang)
                return [e.WriteSucceeded(instruction), self._changed(gang)]
            case CapNode():
                self._caps[instruction.name] = instruction
            case PublishEvent():
                self._observer.said(
                    self.now, instruction.kind, instruction.name, instruction.reason, instruction.message
                )
        return []

    def _follow(self, gang: Live) -> None:
        """Start, slow down or stop what the status of its Gang says is to."""
        status, was = gang.body["status"], gang.placed is not None
        phase = status.get("phase")
        if phase == "Admitted":
            groups, profile = status["assignment"], status["powerProfile"]
            if not was or groups != gang.groups:
                if was:
                    self._free(gang)
                self._place(gang)
                self._run(gang)
            elif profile != gang.profile:
                gang.profile, gang.watts = profile, status["reservedNominalWatts"]
                gang.progress.change(self.now, self._speed(gang) if gang.progress.speed else 0.0)
                self._watch_end(gang)
                self._observer.placed(self.now, gang)
        elif phase == "Stopping" and was:
            gang.progress.stop(self.now, asked=not gang.failed)
            at = self.now + self._rules.stop
            heapq.heappush(self._due, (at, _Due.GONE, gang.request.name, status["decision"]["id"]))

    def _place(self, gang: Live) -> None:
        status = gang.body["status"]
        gang.groups, gang.profile = status["assignment"], status["powerProfile"]
        gang.watts = status["reservedNominalWatts"]
        gang.racks = len({group["rack"] for group in gang.groups})
        gang.domains = len({group["nvlinkDomain"] or group["rack"] for group in gang.groups})
        gang.placed, gang.failed = self.now, False
        gang.first = self.now if gang.first is None else gang.first
        self.waiting -= 1
        self._observer.placed(self.now, gang)

    def _run(self, gang: Live) -> None:
        gang.progress.start(self.now, self._speed(gang))
        self._watch_end(gang)
        self._watch_checkpoint(gang)

    def _free(self, gang: Live) -> None:
        self._observer.freed(self.now, gang)
        gang.placed, gang.failed = None, False
        self.waiting += 1

    def _over(self, gang: Live) -> e.Event:
        # It did all of its work, in one go since its last start.
        self._observer.freed(self.now, gang)
        self._observer.ended(self.now, gang)
        del self.live[gang.request.name]
        return e.GangDeleted(NAMESPACE, gang.request.name)

    def _speed(self, gang: Live) -> float:
        """Of all slots at full power: linear in slots, and what the power profile says of itself."""
        performance = gang.body["status"].get("expectedPerformancePercent") or _FULL
        return float(performance * len(gang.nodes) / (_FULL * gang.request.slots))

    # -- what is to happen ---------------------------------------------------------------------------

    def _watch_end(self, gang: Live) -> None:
        at = gang.progress.ends()
        if at is not None:
            heapq.heappush(self._due, (at, _Due.END, gang.request.name, str(gang.progress.token)))

    def _watch_checkpoint(self, gang: Live) -> None:
        every, ends = self._rules.checkpoint, gang.progress.ends()
        if not self._tell_checkpoints or every <= 0 or ends is None:
            return
        at = (self._rules.last(gang.progress.began, self.now) or gang.progress.began) + every
        if at < ends:
            # A run's checkpoints are known by its beginning: its speed may change between them.
            heapq.heappush(self._due, (at, _Due.SAVED, gang.request.name, str(gang.progress.began)))

    def _counts(self, kind: int, name: str, token: str) -> bool:
        gang = self.live.get(name)
        if gang is None:
            return False
        if kind == _Due.END:
            return token == str(gang.progress.token)
        if kind == _Due.SAVED:
            return bool(gang.progress.speed) and token == str(gang.progress.began)
        status = gang.body.get("status", {})
        return bool(status.get("phase") == "Stopping" and status["decision"]["id"] == token)

    # -- objects -------------------------------------------------------------------------------------

    def _changed(self, gang: Live) -> e.GangChanged:
        self._version += 1
        gang.body["metadata"]["resourceVersion"] = str(self._version)
        return e.GangChanged(msgspec.convert(gang.body, type=Gang))

    def _renewed(self, node: Node) -> Node:
        self._version += 1
        metadata = msgspec.structs.replace(node.metadata, resource_version=f"n{self._version}")
        return msgspec.structs.replace(node, metadata=metadata)

    def _ready(self, name: str) -> bool:
        return all(c.status == "True" for c in self._nodes[name].status.conditions if c.type == "Ready")

    def _write_caps(self) -> list[e.Event]:
        """The annotations of nodes that were asked for, as they are seen: those of an older node are refused."""
        found: list[e.Event] = []
        asked, self._caps = self._caps, {}
        for name, instruction in asked.items():
            node = self._nodes[name]
            if node.metadata.resource_version != instruction.resource_version:
                found += [
                    e.WriteFailed(instruction, e.FailureReason.CONFLICT, "the object was changed meanwhile"),
                    e.NodeChanged(node),
                ]
                continue
            kept = {**node.metadata.annotations, **instruction.annotations}
            annotations = {key: value for key, value in kept.items() if value is not None}
            node = self._renewed(node)
            metadata = msgspec.structs.replace(node.metadata, annotations=annotations)
            self._nodes[name] = msgspec.structs.replace(node, metadata=metadata)
            found += [e.WriteSucceeded(instruction), e.NodeChanged(self._nodes[name])]
        return found
