"""Tells the log what follows from each decision, under its id, and keeps the last decisions for who asks.

A step is told when its write has succeeded, not when it was asked for. Steps that there are many of (pods of a gang
that are let go) are told once for each gang in a turn.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import structlog

from rackplane.controller.decisions.ring import Entry, Ring, Step
from rackplane.controller.decisions.steps import Done, done
from rackplane.core.events import Event, WriteFailed, WriteSucceeded
from rackplane.core.gangs.explaining import topic
from rackplane.core.gangs.record import GangRecord
from rackplane.core.instructions import CommitGang, WriteGangStatus
from rackplane.core.queues.planned import MOVING
from rackplane.core.queues.waiting import PREEMPTING, Kind, Wait
from rackplane.core.world import World
from rackplane.engine.queueing.order import Line

__all__ = ["Journal", "alike"]


log = structlog.stdlib.get_logger(__name__)


class Journal:
    """A `rackplane.core.tracing.Trace`, if there is a ring to keep entries in.

    Args:
        ring: None: only the log is told.
        world: of the machine; read for the queue of a gang and the leader's term.
        clock: seconds, of which only differences count.
    """

    def __init__(
        self, ring: Ring | None, world: World, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.ring = ring
        self._world = world
        self._clock = clock
        self._began = 0.0
        #: placed in the pass that is under way
        self._placed: list[Entry] = []

    # -- how decisions come about ------------------------------------------------------------------

    def begin(self) -> None:
        """A gang is asked next."""
        self._began = self._clock()

    def placed(self, world: World, record: GangRecord) -> None:
        """It got the place that is its decision now."""
        if self.ring is None or record.decision is None or record.gang is None:
            return
        decision, spec = record.decision, record.gang.spec
        entry = Entry(
            decision.id,
            world.now,
            _name(record.key),
            spec.queue,
            "Placed",
            seconds=self._clock() - self._began,
            spec=spec,
            placement=decision.placement,
            last=world.now,
        )
        self.ring.put((entry.gang, decision.id), entry)
        self._placed.append(entry)

    def refused(self, world: World, record: GangRecord, line: Line, wait: Wait) -> None:
        """It waits; the same answer once more is not kept twice."""
        if self.ring is None or record.gang is None or wait.reason in (PREEMPTING, MOVING):
            return  # it waits for what was decided for it: that is the decision
        gang, spec = _name(record.key), record.gang.spec
        limit = None if wait.refusal is None else wait.refusal.tightest
        # The same limit with other figures is the same answer.
        named = () if limit is None else (limit.kind, limit.name, limit.feed, limit.lost)
        key = (gang, topic(wait.reason, wait.message, None), named)
        changes: dict[str, Any] = {"wait": wait, "line": alike(line), "seconds": self._clock() - self._began}
        known = self.ring.get(key)
        if known is not None and known.spec == spec:
            self.ring.again(key, world.now, **changes)
            return
        identity = f"{world.term}-{record.gang.metadata.resource_version}"
        entry = Entry(
            identity, world.now, gang, spec.queue, wait.reason, spec=spec, last=world.now, **changes
        )
        self.ring.put(key, entry)

    def passed(self, world: World) -> None:
        """The pass is over: what racks may still draw is what its decisions leave."""
        if not self._placed or world.state is None:
            return
        index, nominal = world.state.facility.rack_index, world.state.both_headrooms()
        for entry in self._placed:
            assert entry.placement is not None
            racks = dict.fromkeys(group.rack for group in entry.placement.groups)
            watts = {rack: float(nominal[index[rack]]) for rack in racks if rack in index}
            entry.headroom = {rack: int(left) for rack, left in watts.items() if math.isfinite(left)}
        self._placed.clear()

    # -- what follows from them --------------------------------------------------------------------

    def told(self, now: float, events: Iterable[Event]) -> None:
        """Look for outcomes among what the machine is told. Args: ``now``: seconds since the epoch."""
        many: dict[tuple[str, str, str], list[Any]] = {}
        for event in events:
            kind = type(event)
            if kind is WriteSucceeded:
                step = done(event.instruction)  # type: ignore[union-attr]
                if step is None:
                    self._plan(now, event)
                elif step.many:
                    found = many.setdefault((step.gang, step.decision, step.what), [step, 0])
                    found[1] += 1
                else:
                    self._step(now, step, status=getattr(event.instruction, "status", None))  # type: ignore[union-attr]
            elif kind is WriteFailed:
                self._failed(now, event)
        for step, count in many.values():
            self._step(now, step, pods=count)

    def _step(
        self, now: float, step: Done, *, pods: int = 0, status: Mapping[str, Any] | None = None
    ) -> None:
        more = dict(step.more)
        if pods:
            more["pods"] = pods
        for name in ("reason", "message"):
            if getattr(step, name):
                more[name] = getattr(step, name)
        log.info(f"gang: {step.what}", gang=step.gang, decision=step.decision, **more)
        if self.ring is None:
            return
        kept = Step(step.what, now, step.reason, step.message, max(1, pods), now)
        self.ring.step((step.gang, step.decision), kept, lambda: self._unknown(now, step, status))

    def _unknown(self, now: float, step: Done, status: Mapping[str, Any] | None = None) -> Entry:
        """A decision of which nobody told how it came about: a change of a gang that runs, or an earlier process's."""
        queue = self._queue(step.gang)
        result = {"placed": "Placed", "grown": "Grown", "slots moved": "SlotsMoved"}.get(step.what, "Earlier")
        shown = None if result == "Earlier" else status
        return Entry(step.decision, now, step.gang, queue, result, step.message, status=shown, last=now)

    def _plan(self, now: float, event: Event) -> None:
        """Others are stopped or moved for a gang: that is a decision too, of which its status tells."""
        if not isinstance(event, WriteSucceeded) or not isinstance(event.instruction, WriteGangStatus):
            return
        write = event.instruction
        held = write.status.get("reservation")
        if not held or not (held.get("victims") or held.get("shrunk") or held.get("moves")):
            return
        gang = f"{write.namespace}/{write.name}"
        plan = {name: held[name] for name in ("victims", "shrunk", "moves", "assignment") if held.get(name)}
        key = (gang, "plan", repr(sorted(plan.items())))
        if self.ring is not None and self.ring.again(key, now):
            return
        identity, result = f"{self._world.term}-{write.resource_version}", "MakesRoom"
        why = str(held.get("why", ""))
        log.info(
            "gang: others make room",
            gang=gang,
            decision=identity,
            message=why,
            victims=[*(held.get("victims") or ()), *(each["gang"] for each in held.get("shrunk") or ())],
            moves=[each["gang"] for each in held.get("moves") or ()],
        )
        if self.ring is not None:
            entry = Entry(identity, now, gang, self._queue(gang), result, why, last=now, more=plan)
            self.ring.put(key, entry)

    def _failed(self, now: float, event: Event) -> None:
        """A commit that was refused is a decision that did not come about."""
        if not isinstance(event, WriteFailed) or not isinstance(event.instruction, CommitGang):
            return
        write = event.instruction
        gang, reason = f"{write.namespace}/{write.name}", event.reason.value
        log.warning(
            "gang: commit refused",
            gang=gang,
            decision=write.decision_id,
            reason=reason,
            message=event.message,
        )
        if self.ring is not None:
            step = Step("commit refused", now, reason, event.message, 1, now)
            known = Done("placed", gang, write.decision_id)
            self.ring.step((gang, write.decision_id), step, lambda: self._unknown(now, known))

    def _queue(self, gang: str) -> str:
        namespace, _, name = gang.partition("/")
        record = self._world.gangs.get((namespace, name))
        return "" if record is None or record.gang is None else record.gang.spec.queue


def alike(line: Line) -> Hashable:
    """The same for gangs that are told the same: one that holds a place stands in a line of its own."""
    kind = line.kind
    return (line.queue, kind.namespace, kind.shape) if isinstance(kind, Kind) else line


def _name(key: tuple[str, str]) -> str:
    return f"{key[0]}/{key[1]}"
