"""The machine: a synchronous object whose only mutator takes events and returns instructions."""

from __future__ import annotations

from collections.abc import Callable

from rackplane.core import answers, arrivals, grouping
from rackplane.core import events as e
from rackplane.core.gangs.booking import unbook, unbook_uncommitted
from rackplane.core.gangs.decisions import Key
from rackplane.core.gangs.emptying import Emptying
from rackplane.core.gangs.lifecycle import reconcile
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.seen import gang_changed, gang_deleted
from rackplane.core.gangs.stopping import unplace
from rackplane.core.instructions import Instruction, WriteFacilityStatus
from rackplane.core.learning.changing import follow_verdicts
from rackplane.core.measuring import Measurement
from rackplane.core.observing import observe
from rackplane.core.queues.holds import know_held
from rackplane.core.queues.queueing import schedule
from rackplane.core.queues.tally import Tally
from rackplane.core.refreshing import refresh
from rackplane.core.settings import Confirmation, MachineSettings
from rackplane.core.shedding.emergency import follow_measurements
from rackplane.core.shedding.overloads import Overloads
from rackplane.core.shedding.relief import Relief
from rackplane.core.site.actuation import ActuationTimes
from rackplane.core.site.facility import Catalog
from rackplane.core.site.publishing import Publisher
from rackplane.core.validating import validate
from rackplane.core.world import ACTIVE, World
from rackplane.engine.state import State

__all__ = ["Machine"]


class Machine:
    """Decides for one cluster. No I/O, no clock: time comes with each batch of events.

    A standby's machine is fed the same events and keeps the same state; it returns no instructions.
    """

    def __init__(
        self, *, settings: MachineSettings | None = None, stopwatch: Callable[[], float] | None = None
    ) -> None:
        """Args:
        stopwatch: seconds from any beginning: by it is measured how long decisions take, and nothing is decided.
        """
        self.settings = settings or MachineSettings()
        catalog = Catalog(
            horizon=self.settings.lookahead_seconds,
            fabric=self.settings.fabric,
            lost_conditions=self.settings.lost_node_conditions,
        )
        self.world = World(settings=self.settings, catalog=catalog)
        if stopwatch is not None:
            self.world.measurements.stopwatch = stopwatch
        self.leading = False
        self.synced = False
        self._relief = Relief()
        self._emptying = Emptying()
        self._publisher = Publisher()
        self._next_change: float | None = None

    @property
    def state(self) -> State | None:
        """The engine's state; None before everything has been listed."""
        return self.world.state

    @property
    def gangs(self) -> dict[Key, GangRecord]:
        return self.world.gangs

    @property
    def tally(self) -> Tally:
        """What was stopped for others since this process began to lead."""
        return self.world.tally

    def measured(self) -> list[Measurement]:
        """What was measured since this was last asked."""
        return self.world.measurements.take()

    @property
    def move_results(self) -> dict[str, int]:
        """Gangs that were to be moved since this process began, by what became of them (`MOVE_RESULTS`)."""
        return self.world.move_results

    @property
    def actuation(self) -> ActuationTimes | None:
        """How long caps took until they were confirmed; None if nobody confirms them."""
        confirmed = self.settings.confirmation is not Confirmation.NONE
        return self.world.confirmations.times if confirmed else None

    @property
    def emergency_ratings_used(self) -> int:
        """Power domains that a loss may take up to their emergency ratings."""
        return len(self.world.catalog.emergency)

    @property
    def gangs_on_lost_nodes(self) -> int:
        """Gangs with slots on nodes that are lost."""
        return len({key for name in self.world.losses.nodes() for key in self.world.gangs_on(name)})

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
        follow_measurements(world)
        refresh(world)
        self._next_change = world.next_change()
        result: list[Instruction] = []
        if self.leading and self.settings.observe:
            result.extend(observe(world))
            refresh(world)
        elif self.leading:
            # First: who is placed now is under elements that cannot vanish.
            result.extend(world.removals.run(world))
            result.extend(follow_verdicts(world))
            # Before anybody is placed: whoever waits gets what is left when those who run have given way.
            result.extend(self._relief.run(world))
            result.extend(self._emptying.run(world))
            result.extend(schedule(world))
            result.extend(self._reconcile_dirty())
            refresh(world)
            result.extend(world.caps.run(world))
            result.extend(world.taints.run(world))
        if self.leading and self._publisher.due(world):
            result.extend(self._publisher.run(world))
        if self.settings.validate:
            self.validate()
        return result

    def validate(self) -> None:
        """Recompute everything and compare.

        Raises:
            InvariantViolation: something that must always be true is not.
        """
        validate(self.world)

    # -- events ------------------------------------------------------------------------------------

    def _apply(self, event: e.Event) -> None:
        world = self.world
        match event:
            case e.FacilityChanged(kind, name, body):
                if world.catalog.put(kind, name, body):
                    world.facility_changed()
                world.removals.look(kind, name)
                if kind == "Queue":
                    world.learning.memory.follow(name, body.get("status"), leading=self.leading)
            case e.FacilityDeleted(kind, name):
                if kind == "Queue":
                    world.learning.memory.forget(name)
                self._publisher.forget(kind, name)
                if world.catalog.drop(kind, name):
                    world.facility_changed()
            case e.NodeChanged(node):
                arrivals.put_node(world, node)
            case e.NodeDeleted(name):
                arrivals.drop_node(world, name)
            case e.PodChanged(pod):
                arrivals.put_pod(world, pod)
            case e.PodDeleted(namespace, name):
                arrivals.drop_pod(world, (namespace, name))
            case e.JobChanged(job):
                arrivals.put_job(world, job)
            case e.JobDeleted(namespace, name):
                arrivals.drop_job(world, (namespace, name))
            case e.WorkloadChanged(workload):
                arrivals.put_workload(world, workload)
            case e.WorkloadDeleted(kind, namespace, name):
                arrivals.drop_workload(world, kind, (namespace, name))
            case e.GangChanged(gang):
                gang_changed(world, gang, leading=self.leading)
            case e.GangDeleted(namespace, name):
                gang_deleted(world, (namespace, name))
            case e.ClaimChanged(claim):
                arrivals.put_claim(world, claim)
            case e.ClaimDeleted(namespace, name):
                arrivals.drop_claim(world, (namespace, name))
            case e.ClaimTemplateChanged(template):
                arrivals.put_claim_template(world, template)
            case e.ClaimTemplateDeleted(namespace, name):
                arrivals.drop_claim_template(world, (namespace, name))
            case e.ComputeDomainChanged(domain):
                arrivals.put_domain(world, domain)
            case e.ComputeDomainDeleted(namespace, name):
                arrivals.drop_domain(world, (namespace, name))
            case e.ComputeDomainsServed(served):
                arrivals.domains_served(world, served=served)
            case e.PodGroupChanged(group):
                grouping.put_pod_group(world, group)
            case e.PodGroupDeleted(namespace, name):
                grouping.drop_pod_group(world, (namespace, name))
            case e.PriorityClassChanged(found):
                arrivals.put_priority_class(world, found.metadata.name, found)
            case e.PriorityClassDeleted(name):
                arrivals.put_priority_class(world, name, None)
            case e.DrawsObserved(observed):
                world.observed = observed
                world.learning.look(world, leading=self.leading)
            case e.Synced():
                self.synced = True
            case e.LeadershipGained(term):
                self.leading, world.term = True, term
                know_held(world)
                world.dirty.update(dict.fromkeys(world.gangs))
                world.caps.look(world.nodes)
                if self.settings.taint_nodes:
                    world.taints.look(world.nodes)
            case e.LeadershipLost():
                self._leadership_lost()
            case e.WriteSucceeded(WriteFacilityStatus(kind, name)):
                self._publisher.succeeded(kind, name)
            case e.WriteSucceeded(instruction):
                answers.succeeded(world, instruction)
            case e.WriteFailed(WriteFacilityStatus(kind, name)):
                self._publisher.failed(kind, name)
            case e.WriteFailed(instruction, reason, message):
                answers.failed(world, instruction, reason, message)
            case e.TimePassed():
                world.learning.time_passed(world)
                if self.leading:
                    world.compliance.time_passed(world)
                # Deadlines are few: asking all gangs for theirs is cheaper than a timer each.
                for record in world.gangs.values():
                    if record.failures or record.unschedulable or _time_counts(record, world.now):
                        world.dirty[record.key] = None
                for name in world.losses.nodes():
                    world.dirty.update(world.gangs_on(name))
                world.dirty.update(
                    (key, None) for key, held in world.held_places.items() if held.victims or held.moves
                )

    def _leadership_lost(self) -> None:
        self.leading = False
        self._relief, self.world.overloads = Relief(), Overloads()
        self._emptying.resign()
        self.world.draining.resign()
        self.world.caps.resign()
        self.world.taints.resign()
        self.world.compliance.resign()
        self.world.confirmations.resign()
        self.world.removals.resign()
        self.world.telling.resign()
        self._publisher.resign()
        self.world.held_places.clear()
        self.world.set_aside.clear()
        self.world.held_quota.clear()
        self.world.quota_ahead.clear()
        self.world.remembered.clear()
        for record in self.world.gangs.values():
            record.creating = record.committing = record.announce = False
            record.gang_write = None
            record.job_writes.clear()
            record.domain_write = False
            if record.decision is not None and not record.decision.committed:
                unbook_uncommitted(self.world, record)

    # -- acting ------------------------------------------------------------------------------------

    def _reconcile_dirty(self) -> list[Instruction]:
        result: list[Instruction] = []
        self.world.dirty.update(dict.fromkeys(self.world.telling.turn(self.settings.telling_gangs)))
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
                unbook(self.world, record)
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


def _time_counts(record: GangRecord, now: float) -> bool:
    """Whether the gang is in a phase that may not last, and may have been in it for too long.

    A gang of another controller may stay Admitted: its maker starts the pods, and may never say that they run.
    """
    return (
        record.phase == "Stopping"
        or (record.phase == "Admitted" and now >= record.due and not record.external())
        or bool(record.evictions)
    )
