"""The machine: a synchronous object whose only mutator takes events and returns instructions."""

from __future__ import annotations

from rackplane.core import events as e
from rackplane.core.gangs.decisions import Decision, Key
from rackplane.core.gangs.explaining import CAUSES
from rackplane.core.gangs.lifecycle import reconcile
from rackplane.core.gangs.ranks import is_gated
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.gangs.stopping import unplace
from rackplane.core.instructions import (
    CapNode,
    CommitGang,
    CreateGang,
    Instruction,
    PublishEvent,
    ResizeJob,
    ResumeJob,
    SetFinalizers,
    SuspendJob,
    UngatePod,
    UpdateGangSpec,
    WriteFacilityStatus,
    WriteGangStatus,
)
from rackplane.core.objects import Gang
from rackplane.core.queues.preempting import know_holds
from rackplane.core.queues.queueing import pending, reasons, schedule, waiting_in_order
from rackplane.core.settings import MachineSettings
from rackplane.core.site.facility import Catalog
from rackplane.core.site.publishing import Publisher
from rackplane.core.world import ACTIVE, World, booking_key, placement_of
from rackplane.engine.model import InvariantViolation
from rackplane.engine.state import State

__all__ = ["Machine"]


class Machine:
    """Decides for one cluster. No I/O, no clock: time comes with each batch of events.

    A standby's machine is fed the same events and keeps the same state; it returns no instructions.
    """

    def __init__(self, *, settings: MachineSettings | None = None) -> None:
        self.settings = settings or MachineSettings()
        catalog = Catalog(horizon=self.settings.lookahead_seconds, fabric=self.settings.fabric)
        self.world = World(settings=self.settings, catalog=catalog)
        self.leading = False
        self.synced = False
        self._publisher = Publisher()
        self._published_at = float("-inf")
        self._next_change: float | None = None

    @property
    def state(self) -> State | None:
        """The engine's state; None before everything has been listed."""
        return self.world.state

    @property
    def gangs(self) -> dict[Key, GangRecord]:
        return self.world.gangs

    def pending_by_cause(self) -> dict[tuple[str, str], int]:
        """Gangs that wait for a decision, by queue and cause; the queue is "" where there is none of that name."""
        found: dict[tuple[str, str], int] = {}
        for queue, why, count in reasons(self.world):
            key = (queue if self.world.catalog.queue(queue) is not None else "", CAUSES.get(why, "other"))
            found[key] = found.get(key, 0) + count
        return found

    def handle(self, now: float, *events: e.Event) -> list[Instruction]:
        """Take in what happened and say what is to be written.

        Args:
            now: seconds since the epoch.
            events: in the order in which they were seen.
        """
        world = self.world
        world.now = now
        for event in events:
            self._apply(event)
        if not self.synced:
            return []
        if self._next_change is not None and now >= self._next_change:
            world.facility_changed()
        world.refresh()
        self._next_change = world.next_change()
        result: list[Instruction] = []
        if self.leading:
            # First: who is placed now is under elements that cannot vanish.
            result.extend(world.removals.run(world))
            result.extend(schedule(world))
            result.extend(self._reconcile_dirty())
            world.refresh()
            result.extend(world.caps.run(world))
            if now - self._published_at >= self.settings.status_seconds:
                self._published_at = now
                result.extend(self._publisher.run(world))
        if self.settings.validate:
            self.validate()
        return result

    def validate(self) -> None:
        """Recompute everything and compare.

        Raises:
            InvariantViolation: something that must always be true is not.
        """
        state = self.world.state
        if state is None:
            return
        state.validate()
        self.world.validate()
        if waiting_in_order(self.world) != pending(self.world):
            raise InvariantViolation("the queue differs from a new look at all gangs")
        booked = set(state.keys())
        for record in self.world.gangs.values():
            held = booking_key(record.key) in booked
            if record.decision is None and held:
                raise InvariantViolation(f"{record.key} has a booking and no decision")
            decision = record.decision
            if held and decision is not None and decision.committed:
                end = self.world.expected_end(record)
                if state.until(booking_key(record.key)) != end:
                    raise InvariantViolation(
                        f"{record.key} is not booked until {end}, as it is expected to run"
                    )
            slots = list(record.slots.values())
            if len(slots) != len(set(slots)):
                raise InvariantViolation(f"{record.key}: two pods hold one slot: {record.slots}")

    # -- events ------------------------------------------------------------------------------------

    def _apply(self, event: e.Event) -> None:
        world = self.world
        match event:
            case e.FacilityChanged(kind, name, body):
                if world.catalog.put(kind, name, body):
                    world.facility_changed()
                world.removals.look(kind, name)
            case e.FacilityDeleted(kind, name):
                self._publisher.forget(kind, name)
                if world.catalog.drop(kind, name):
                    world.facility_changed()
            case e.NodeChanged(node):
                world.put_node(node)
            case e.NodeDeleted(name):
                world.drop_node(name)
            case e.PodChanged(pod):
                world.put_pod(pod)
                self._pod_seen(event)
            case e.PodDeleted(namespace, name):
                world.drop_pod((namespace, name))
            case e.JobChanged(job):
                world.put_job(job)
            case e.JobDeleted(namespace, name):
                world.drop_job((namespace, name))
            case e.GangChanged(gang):
                self._gang_changed(gang)
            case e.GangDeleted(namespace, name):
                self._gang_deleted((namespace, name))
            case e.ClaimChanged(claim):
                world.put_claim(claim)
            case e.ClaimDeleted(namespace, name):
                world.drop_claim((namespace, name))
            case e.PriorityClassChanged(found):
                world.put_priority_class(found.metadata.name, found)
            case e.PriorityClassDeleted(name):
                world.put_priority_class(name, None)
            case e.Synced():
                self.synced = True
            case e.LeadershipGained(term):
                self.leading, world.term = True, term
                know_holds(world)
                world.dirty.update(dict.fromkeys(world.gangs))
                world.caps.look(world.nodes)
            case e.LeadershipLost():
                self._leadership_lost()
            case e.WriteSucceeded(instruction):
                self._succeeded(instruction)
            case e.WriteFailed(instruction, reason, message):
                self._failed(instruction, reason, message)
            case e.TimePassed():
                # Deadlines are few and gangs in these phases fewer: looking at them all is cheaper than a timer each.
                for record in world.gangs.values():
                    if record.phase in ("Admitted", "Stopping") or record.failures or record.unschedulable:
                        world.dirty[record.key] = None
                world.dirty.update(dict.fromkeys(world.holds))

    def _pod_seen(self, event: e.PodChanged) -> None:
        record = self.world.gang_of(event.pod)
        if record is not None and not is_gated(event.pod):
            record.ungating.discard(event.pod.metadata.uid)

    def _gang_changed(self, gang: Gang) -> None:
        key = (gang.metadata.namespace, gang.metadata.name)
        record = self.world.record(key)
        before, record.gang = record.gang, gang
        record.creating = False
        self.world.look_at_usage(key)
        decision, status = record.decision, gang.status
        if status.phase in ACTIVE and status.decision is not None and status.assignment:
            if decision is not None and decision.id == status.decision.id:
                if not decision.committed:
                    self.world.confirm(record)
                self.world.holds.pop(key, None)
            elif record.previous is not None and record.previous.id == status.decision.id:
                if not record.committing and record.gang_write != gang.metadata.resource_version:
                    self.world.grow_not(record)
            elif self.leading and before is not None and self._is_stray_growth(record):
                # A former leader's, after our first list: what it added does not count, and is taken back.
                return
            elif self.leading and before is not None and status.decision.term < self.world.term:
                # A former leader's commit that came after our first list: it does not count, and it is taken back.
                self.world.forget(record)
                return
            else:
                self.world.decide(
                    record,
                    Decision(
                        status.decision.id,
                        status.decision.term,
                        _seconds(status.decision.time),
                        placement_of(gang),
                        committed=True,
                    ),
                )
            self.world.expect(record)
            if before is not None and before.status.released_slots != status.released_slots:
                self.world.release(record, record.released)
            return
        if decision is None:
            return
        if decision.committed or record.previous is not None:
            if status.phase != "Failed" or not record.live_pods():
                self.world.forget(record)
        elif record.deferred and before is not None and before.spec == gang.spec:
            pass  # what it waited for has been written
        elif not record.committing and record.gang_write != gang.metadata.resource_version:
            # Our commit did not take effect, and the Gang has moved on without it.
            self.world.forget(record)

    def _gang_deleted(self, key: Key) -> None:
        record = self.world.gangs.get(key)
        if record is None:
            return
        self.world.forget(record)
        record.gang, record.creating, record.committing = None, False, False
        self.world.look_at_usage(key)
        record.gang_write = None
        if record.job is None and not record.pods:
            del self.world.gangs[key]
            self.world.dirty.pop(key, None)
            self.world.waiting.look((key,))
        else:
            self.world.dirty[key] = None

    def _leadership_lost(self) -> None:
        self.leading = False
        self.world.caps.resign()
        self.world.removals.resign()
        self.world.holds.clear()
        self.world.held_places.clear()
        for record in self.world.gangs.values():
            record.creating = record.committing = record.announce = record.recalled = False
            record.gang_write = None
            record.job_writes.clear()
            if record.decision is not None and not record.decision.committed:
                self._not_committed(record)

    # -- answers to writes -------------------------------------------------------------------------

    def _record_of(self, instruction: Instruction) -> GangRecord | None:
        match instruction:
            case SuspendJob() | ResumeJob() | ResizeJob():
                return self.world.gang_of_job((instruction.namespace, instruction.name))
            case UngatePod():
                return self.world.gangs.get((instruction.namespace, instruction.gang))
            case CreateGang() | UpdateGangSpec() | CommitGang() | WriteGangStatus():
                return self.world.gangs.get((instruction.namespace, instruction.name))
        return None

    def _succeeded(self, instruction: Instruction) -> None:
        if isinstance(instruction, SetFinalizers):
            self.world.removals.succeeded(instruction)
            return
        if isinstance(instruction, CapNode):
            self.world.caps.succeeded(self.world, instruction)
            self.world.dirty.update(dict.fromkeys(self.world.gangs_on(instruction.name)))
            return
        record = self._record_of(instruction)
        if record is None:
            return
        record.failures, record.not_before = 0, 0.0
        if isinstance(instruction, UngatePod):
            # The pod itself will be seen without its gate, and the gang looked at then: once a pod, not twice.
            return
        if isinstance(instruction, CommitGang):
            record.committing, record.announce = False, True
            self.world.caps.look(record.decision.placement.slots if record.decision else ())
        self.world.dirty[record.key] = None

    def _failed(self, instruction: Instruction, reason: e.FailureReason, message: str) -> None:
        if isinstance(instruction, SetFinalizers):
            self.world.removals.failed(self.world, instruction, reason)
            return
        if isinstance(instruction, CapNode):
            self.world.caps.failed(self.world, instruction, reason, message)
            self.world.dirty.update(dict.fromkeys(self.world.gangs_on(instruction.name)))
            return
        if isinstance(instruction, WriteFacilityStatus):
            self._publisher.failed(instruction.kind, instruction.name)
            return
        if isinstance(instruction, PublishEvent):
            return
        record = self._record_of(instruction)
        if record is None:
            return
        record.failures += 1
        if reason is not e.FailureReason.GONE:
            pause = self.settings.retry_seconds * 2 ** min(record.failures - 1, 10)
            record.not_before = self.world.now + min(pause, self.settings.longest_retry_seconds)
        self.world.dirty[record.key] = None
        match instruction:
            case CreateGang():
                record.creating = False
            case SuspendJob() | ResumeJob() | ResizeJob():
                record.job_writes.pop(instruction.name, None)
            case UngatePod(uid=uid):
                record.ungating.discard(uid)
            case CommitGang(resource_version=version):
                record.committing = False
                moved_on = record.gang is None or record.gang.metadata.resource_version != version
                if record.decision is not None and record.decision.committed:
                    record.gang_write = None
                elif record.decision is not None:
                    if reason is e.FailureReason.UNAVAILABLE:
                        # It may have happened: keep the booking and ask the same again.
                        record.gang_write = None
                    elif moved_on or reason is not e.FailureReason.CONFLICT:
                        self._not_committed(record)
                        record.gang_write = None
            case UpdateGangSpec() | WriteGangStatus():
                record.gang_write = None

    def _is_stray_growth(self, record: GangRecord) -> bool:
        """Whether the Gang has an assignment of an earlier term that holds what we know to be the gang's, and more."""
        decision, gang, state = record.decision, record.gang, self.world.state
        if decision is None or not decision.committed or gang is None or state is None:
            return False
        if gang.status.decision is None or gang.status.decision.term >= self.world.term:
            return False
        held, shown = state.held(booking_key(record.key)), dict(enumerate(placement_of(gang).slots))
        return bool(held) and all(shown.get(slot) == node for slot, node in held.items())

    def _not_committed(self, record: GangRecord) -> None:
        """What was booked and never became the gang's is given up: its place, or what it would have grown by."""
        if record.previous is not None:
            self.world.grow_not(record)
        else:
            self.world.forget(record)

    # -- acting ------------------------------------------------------------------------------------

    def _reconcile_dirty(self) -> list[Instruction]:
        result: list[Instruction] = []
        keys, self.world.dirty = list(self.world.dirty), {}
        self.world.waiting.look(keys)
        for key in keys:
            record = self.world.gangs.get(key)
            if record is None:
                continue
            if self._to_take_back(record):
                if self.world.now >= record.not_before:
                    why = "a former leader's decision was taken back"
                    result.extend(unplace(self.world, record, phase="Pending", why=why, reason="Reverted"))
                else:
                    self.world.dirty[key] = None
                continue
            result.extend(reconcile(self.world, record))
            if self.world.now < record.not_before:
                self.world.dirty[key] = None
            if record.gang is None and record.job is None and not record.pods:
                self.world.forget(record)
                del self.world.gangs[key]
        return result

    def _to_take_back(self, record: GangRecord) -> bool:
        """Whether the API server shows a former leader's decision that we did not take over."""
        decision = record.gang.status.decision if record.gang is not None else None
        return (
            record.decision is None
            and record.phase in ACTIVE
            and decision is not None
            and decision.term < self.world.term
            and (record.job is not None or bool(record.pods) or record.external())
        )


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError:
        return 0.0
