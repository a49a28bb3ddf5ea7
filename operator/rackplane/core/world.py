"""What the machine knows: objects as last seen, gangs, and the engine's state kept in step with them."""

from __future__ import annotations

import contextlib
import heapq
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from rackplane.api.labels import GANG_LABEL
from rackplane.core.gangs.decisions import Decision, HeldPlace, Hold, Key, booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.gangs.unlike import slot_gpus, slots_by_group
from rackplane.core.gangs.workload import gang_name_of, gang_name_of_pod, job_outcome
from rackplane.core.objects import Gang, Job, Node, Pod, PriorityClass, ResourceClaim
from rackplane.core.pods.claimants import Claimants
from rackplane.core.pods.neighbours import Neighbours, Pods
from rackplane.core.pods.pod import gpus, is_terminal
from rackplane.core.pods.podclass import Amounts, held_by
from rackplane.core.pods.restrictions import Restrictions
from rackplane.core.pods.room import Room
from rackplane.core.pods.usage import unmanaged_gpus
from rackplane.core.queues.ledger import Ledger
from rackplane.core.queues.quota import Usage
from rackplane.core.queues.waiting import Waiting
from rackplane.core.settings import MachineSettings
from rackplane.core.site.caps import Caps
from rackplane.core.site.facility import Catalog
from rackplane.core.site.removals import Removals
from rackplane.engine.model import Group, Placement
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.draw import full_increment
from rackplane.engine.queueing.quotas import GPUS, WATTS
from rackplane.engine.queueing.reservations import Reservations
from rackplane.engine.queueing.shares import Rank
from rackplane.engine.state import State

__all__ = ["ACTIVE", "World", "booking_key", "placement_of"]

#: phases in which a gang holds its place
ACTIVE = frozenset({"Admitted", "Running", "Stopping"})


@dataclass(slots=True)
class World:
    settings: MachineSettings
    catalog: Catalog = field(default_factory=Catalog)
    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[Key, Pod] = field(default_factory=dict)
    jobs: dict[Key, Job] = field(default_factory=dict)
    claims: dict[Key, ResourceClaim] = field(default_factory=dict)
    priority_classes: dict[str, PriorityClass] = field(default_factory=dict)
    gangs: dict[Key, GangRecord] = field(default_factory=dict)
    state: State | None = None
    now: float = 0.0
    term: int = 0
    #: counts changes that could let a refused gang start
    version: int = 0
    #: when it was last worked out when a gang could start
    estimated_at: float = -math.inf
    #: places that are being cleared, by the gang that gets them
    holds: dict[Key, Hold] = field(default_factory=dict)
    #: when it may be worked out again whom to stop, in seconds since the epoch
    clearing_due: float = -math.inf
    #: gangs to look at again
    dirty: dict[Key, None] = field(default_factory=dict)
    pods_on: dict[str, dict[Key, None]] = field(default_factory=dict)
    waiting: Waiting = field(default_factory=Waiting)
    caps: Caps = field(default_factory=Caps)
    removals: Removals = field(default_factory=Removals)
    #: places held for gangs that wait, in the order in which they are asked
    reserved: Reservations = field(default_factory=Reservations)
    #: the same by gang, with the reasons
    held_places: dict[Key, HeldPlace] = field(default_factory=dict)
    #: when no place could be found to hold, in seconds since the epoch
    sought: dict[Key, float] = field(default_factory=dict)
    #: gangs that run with fewer slots than they could, and may grow
    elastic: dict[Key, None] = field(default_factory=dict)
    #: counts changes of what gangs hold
    placements: int = 0
    #: what nodes hold and what they still take
    room: Room = field(init=False)
    #: which pods are where, as far as affinity between pods looks at them
    neighbours: Neighbours = field(init=False)
    restrictions: Restrictions = field(init=False)
    _claimants: Claimants = field(default_factory=Claimants)
    _gangs_on: dict[str, dict[Key, None]] = field(default_factory=dict)
    _gang_of: dict[Key, Key] = field(default_factory=dict)
    _gang_of_job: dict[Key, Key] = field(default_factory=dict)
    _stale_nodes: dict[str, None] = field(default_factory=dict)
    #: gangs with a place of which a pod was bound, or ended, or got a slot
    _stale_promises: dict[Key, None] = field(default_factory=dict)
    #: what gangs with a place count against quotas, and in the shares of queues
    ledger: Ledger = field(init=False)
    _stale_usages: dict[Key, None] = field(default_factory=dict)
    #: a heap of (expected end, booking); one that is not what the state expects is out of date
    _ends: list[tuple[float, str]] = field(default_factory=list)
    _facility_stale: bool = True
    _ledger_stale: bool = True

    def __post_init__(self) -> None:
        self.room = Room(self.nodes)
        self.neighbours = Neighbours(self.nodes, self.pods)
        self.restrictions = Restrictions(self.nodes, self.neighbours)
        self.ledger = Ledger(self.settings.share_half_life_seconds)

    # -- upkeep ------------------------------------------------------------------------------------

    def record(self, key: Key) -> GangRecord:
        self.dirty[key] = None
        return self.gangs.setdefault(key, GangRecord(key=key))

    def facility_changed(self) -> None:
        self._facility_stale = True
        self.version += 1
        self.waiting.look(self.gangs)  # a queue's priority may be another

    def put_node(self, node: Node) -> None:
        name = node.metadata.name
        before = self.nodes.get(name)
        self.nodes[name] = node
        self.caps.look((name,))
        # Annotations and heartbeats, our own caps among them, make no room for anybody.
        if before is None or not _same_to_placement(before, node):
            self.room.look(name)
            self.neighbours.node(name)
            self._node_touched(name)
        elif before.metadata.annotations != node.metadata.annotations or self.caps.awaits(name):
            self.dirty.update(self._gangs_on.get(name, {}))

    def drop_node(self, name: str) -> None:
        self.nodes.pop(name, None)
        self.catalog.forget_node(name)
        self.room.look(name)
        self.neighbours.node(name)
        self._node_touched(name)

    def put_pod(self, pod: Pod) -> None:
        key = (pod.metadata.namespace, pod.metadata.name)
        before = self.pods.get(key)
        if before is not None and before.metadata.uid != pod.metadata.uid:
            self.drop_pod(key)
            before = None
        self.pods[key] = pod
        self.neighbours.pod(before, pod)
        claims = self._claimants.put(before, pod)
        moved = claims or before is None or before.spec != pod.spec or is_terminal(before) != is_terminal(pod)
        name = gang_name_of_pod(pod)
        if name is not None:
            gang = (pod.metadata.namespace, name)
            other = self._gang_of.get(key, gang)
            if other != gang and other in self.gangs:
                self.record(other).pods.pop(pod.metadata.name, None)
                self._pods_differ(other)
            self._gang_of[key] = gang
            self.record(gang).pods[pod.metadata.name] = pod
            if moved:
                self._pods_differ(gang)
        else:
            self._pod_of_maker(pod, moved=moved)
        node = pod.spec.node_name
        if node and moved:
            if is_terminal(pod):
                self.room.let_go(key)
            else:
                self.room.hold(key, node, held_by(pod.spec))
            self.pods_on.setdefault(node, {})[key] = None
            self._pod_moved(node)

    def drop_pod(self, key: Key) -> None:
        pod = self.pods.pop(key, None)
        if pod is None:
            return
        self.room.let_go(key)
        self.neighbours.pod(pod, None)
        self._claimants.put(pod, None)
        gang = self._gang_of.pop(key, None)
        if gang is not None and gang in self.gangs:
            self.record(gang).pods.pop(pod.metadata.name, None)
            self._pods_differ(gang)
        node = pod.spec.node_name
        if node:
            here = self.pods_on.get(node, {})
            here.pop(key, None)
            if not here:
                self.pods_on.pop(node, None)
            self._pod_moved(node)

    def put_job(self, job: Job) -> None:
        key = (job.metadata.namespace, job.metadata.name)
        gang = (key[0], gang_name_of(job))
        if self._gang_of_job.get(key, gang) != gang:
            self.drop_job(key)
        self.jobs[key], self._gang_of_job[key] = job, gang
        self.record(gang).put_job(job)
        self._pods_differ(gang)

    def drop_job(self, key: Key) -> None:
        job = self.jobs.pop(key, None)
        gang = self._gang_of_job.pop(key, None)
        if job is not None and gang in self.gangs:
            how = job_outcome(job)
            if how is not None:
                self.gangs[gang].ended[job.metadata.uid] = how
            self.record(gang).jobs.pop(key[1], None)
            self._pods_differ(gang)

    def put_claim(self, claim: ResourceClaim) -> None:
        self.claims[claim.metadata.namespace, claim.metadata.name] = claim
        # One that was made from a template is its pod's alone, and no gang that waits can name it.
        self.version += all(owner.kind != "Pod" for owner in claim.metadata.owner_references)
        self._claim_touched((claim.metadata.namespace, claim.metadata.name))

    def put_priority_class(self, name: str, found: PriorityClass | None) -> None:
        """None: it is gone. Gangs that wait may have another priority than before, or a problem more or less."""
        if found is None:
            self.priority_classes.pop(name, None)
        else:
            self.priority_classes[name] = found
        for key, record in self.gangs.items():
            if record.decision is None:
                record.judged = False
                self.dirty[key] = None

    def drop_claim(self, key: Key) -> None:
        self.version += self.claims.pop(key, None) is not None
        self._claim_touched(key)

    def refresh(self) -> None:
        """Bring the engine's state up to what has been seen."""
        if self._facility_stale or self.state is None:
            self._facility_stale = False
            facility = replace(self.catalog.spec(self.now), admit_after_loss=self.settings.admit_after_loss)
            self.state = State(compile_facility(facility))
            for node in self.nodes.values():
                spec = self.catalog.node_spec(node)
                if spec is not None:
                    self.state.set_node(spec)
            self._ends.clear()
            for record in self.gangs.values():
                if record.decision is not None:
                    self._book(record, known=True)
            self._stale_nodes.update(dict.fromkeys(self.nodes))
            self.dirty.update(dict.fromkeys(self.gangs))
            # A profile's watts may have changed.
            self.caps.look(self._gangs_on)
            self._stale_promises.update(dict.fromkeys(self.gangs))
            self._stale_usages.update(dict.fromkeys(self.gangs))
            self._ledger_stale = True
        for name in self._stale_nodes:
            self._refresh_node(name)
        self._stale_nodes.clear()
        for key in self._stale_promises:
            if key in self.gangs:
                self._promise(self.gangs[key])
        self._stale_promises.clear()
        # A pod that takes the slot it was promised changes nothing for anybody else.
        self.version += self.room.settle()
        self.version += self.neighbours.settle()
        self._overrun()
        if self._ledger_stale:
            self._shape_ledger()
        self.usages()

    def next_change(self) -> float | None:
        return self.catalog.budgets.next_change(self.now)

    # -- bookings ----------------------------------------------------------------------------------

    def decide(self, record: GangRecord, decision: Decision) -> None:
        """Book a decision from this moment; one that is committed is booked whatever the state says."""
        self.forget(record)
        record.decision = decision
        for node in decision.placement.slots:
            self._gangs_on.setdefault(node, {})[record.key] = None
        self._book(record)
        self._decision_changed(record, decision)  # which takes, and frees nothing for anybody

    def confirm(self, record: GangRecord) -> None:
        """The API server has the decision that is booked: from here on it is carried out."""
        if record.decision is not None:
            record.decision = replace(record.decision, committed=True, released=None)
            record.previous = None
            self.caps.look(record.decision.placement.slots)

    def forget(self, record: GangRecord) -> None:
        """Give up what is booked for the gang."""
        decision, record.decision = record.decision, None
        record.deferred = False
        record.previous, record.slots, record.ungating = None, {}, set()
        self.elastic.pop(record.key, None)
        if decision is None:
            return
        for node in set(decision.placement.slots):
            here = self._gangs_on[node]
            del here[record.key]
            if not here:
                del self._gangs_on[node]
        if self.state is not None:
            self.state.release(booking_key(record.key))
        self.version += 1
        self._decision_changed(record, decision)

    def grow(self, record: GangRecord, decision: Decision) -> None:
        """Book a larger assignment of a gang that keeps what it has; undone by `grow_not`, or final by `confirm`."""
        assert self.state is not None and decision.released is not None
        record.previous, record.decision = record.decision, decision
        self._rebook(record, decision, decision.released)

    def grow_not(self, record: GangRecord) -> None:
        """The larger assignment did not come about."""
        decision, record.decision, record.previous = record.decision, record.previous, None
        assert decision is not None and record.decision is not None
        for node in set(decision.placement.slots) - set(record.decision.placement.slots):
            del self._gangs_on[node][record.key]
            if not self._gangs_on[node]:
                del self._gangs_on[node]
        self.version += 1
        self._rebook(record, record.decision, record.released)
        self._decision_changed(record, decision)

    def _rebook(self, record: GangRecord, decision: Decision, released: frozenset[int]) -> None:
        for node in decision.placement.slots:
            self._gangs_on.setdefault(node, {})[record.key] = None
        if self.state is not None:
            held = sorted(set(range(len(decision.placement.slots))) - released)
            self.state.rebook(booking_key(record.key), decision.placement, held, force=True)
        self._decision_changed(record, decision)

    def release(self, record: GangRecord, slots: frozenset[int]) -> None:
        """Free slots that are over."""
        if self.state is not None and record.decision is not None:
            self.state.release(booking_key(record.key), slots)
            self.version += 1
            self._decision_changed(record, record.decision)

    def give_up(self, key: Key) -> None:
        """Hold no place any more for the gang."""
        if self.holds.pop(key, None) is not None:
            self.dirty[key] = None
            self.version += 1

    def _book(self, record: GangRecord, *, known: bool = False) -> None:
        """Book its decision; one that was ``known`` before may be on its way: it counts, whatever has become of it."""
        if self.state is None or record.decision is None:
            return
        key = booking_key(record.key)
        until = self.expected_end(record)
        force = known or record.decision.committed
        self.state.book(key, record.decision.placement, force=force, until=until)
        self._watch_end(key, until)
        released = record.released if record.decision.released is None else record.decision.released
        if released:
            self.state.release(key, released)

    def _pods_differ(self, gang: Key) -> None:
        """Other pods than before, or pods that ask for something else."""
        self._stale_promises[gang] = None
        record = self.gangs[gang]
        record.judged = False

    def slots_changed(self, record: GangRecord) -> None:
        """Other pods hold its slots than before."""
        self._stale_promises[record.key] = None

    def _promise(self, record: GangRecord) -> None:
        """Note what the slots will need whose pods are not bound yet."""
        template = record.template
        if record.decision is None or template is None or self.state is None:
            self.room.promise(record.key)
            self.neighbours.promise(record.key, None, {})
            return
        waiting = self._unbound(record)
        count = Counter(node for _, node in waiting)
        if not record.external():  # of whose pods nothing is known that others would look at
            self.neighbours.promise(record.key, record.promised(), count)
        if not record.groups:
            self.room.promise(record.key, (held_by(template), count))
            return
        held = record.held_by_slot()
        self.room.promise(
            record.key,
            *(
                (held[slots[0]], Counter(node for slot, node in waiting if slot in slots))
                for slots in slots_by_group(record.groups)
                if slots and slots[0] in held
            ),
        )

    def _unbound(self, record: GangRecord) -> list[tuple[int, str]]:
        """Slots whose pods are not bound yet, with the node of each."""
        assert self.state is not None
        held = self.state.held(booking_key(record.key)).items()
        if record.external():
            there = Counter(pod.spec.node_name for pod in self.pods_of_maker(record))
            waiting = []
            for slot, node in held:
                if there[node] > 0:
                    there[node] -= 1
                else:
                    waiting.append((slot, node))
            return waiting
        bound = {record.slots.get(p.metadata.uid) for p in record.live_pods() if p.spec.node_name}
        return [(slot, node) for slot, node in held if slot not in bound]

    # -- pods of gangs that others made --------------------------------------------------------------

    def _pod_of_maker(self, pod: Pod, *, moved: bool) -> None:
        """A pod without our queue label may name the Gang that whoever starts it has made."""
        key = (pod.metadata.namespace, pod.metadata.name)
        name = pod.metadata.labels.get(GANG_LABEL)
        if name is None:
            self._gang_of.pop(key, None)
            return
        gang = self._gang_of[key] = (pod.metadata.namespace, name)
        if moved and gang in self.gangs:
            self._stale_promises[gang] = None

    def pods_of_maker(self, record: GangRecord) -> Iterator[Pod]:
        """Pods of an external gang that run on the nodes it was given."""
        if record.decision is None:
            return
        for node in dict.fromkeys(record.decision.placement.slots):
            for key in self.pods_on.get(node, ()):
                if self._gang_of.get(key) == record.key and not is_terminal(self.pods[key]):
                    yield self.pods[key]

    # -- expected ends -----------------------------------------------------------------------------

    def end_of_start(self, record: GangRecord, at: float) -> float:
        """When the gang is expected to end if it starts at `at`; both in seconds since the epoch.

        A gang that does not say how long it runs is taken to run for the assumed duration.
        """
        assert record.gang is not None
        # The API keeps whole seconds, and a restart must come to the same end.
        return math.floor(at) + (
            record.gang.spec.expected_duration_seconds or self.settings.assumed_duration_seconds
        )

    def expect(self, record: GangRecord) -> None:
        """Take note of when the gang is expected to end, as its Gang has it now."""
        if self.state is None or record.decision is None:
            return
        key, until = booking_key(record.key), self.expected_end(record)
        if until != self.state.until(key):
            self.state.expect(key, until)
            self._watch_end(key, until)
            self.look_at_usage(record.key)
            self.version += 1

    def expected_end(self, record: GangRecord) -> float | None:
        """When the gang with a place is expected to end; None once it has run for longer, which tells nothing more."""
        end = self.planned_end(record)
        return end if end is not None and end > self.now else None

    def planned_end(self, record: GangRecord) -> float | None:
        """When the gang with a place was expected to end, whether it has or not; None if it is not known."""
        if record.decision is None or record.gang is None:
            return None
        start = record.decision.time
        if record.gang.status.started_at:
            with contextlib.suppress(ValueError):
                start = seconds(record.gang.status.started_at)
        return self.end_of_start(record, start)

    def _watch_end(self, key: str, until: float | None) -> None:
        if until is not None:
            heapq.heappush(self._ends, (until, key))

    def _overrun(self) -> None:
        """Bookings whose expected end has come, and which are still there, count as running on."""
        assert self.state is not None
        while self._ends and self._ends[0][0] <= self.now:
            until, key = heapq.heappop(self._ends)
            if self.state.until(key) == until:
                self.state.expect(key, None)
                namespace, _, name = key.partition("/")
                self.look_at_usage((namespace, name))
                self.version += 1

    def _decision_changed(self, record: GangRecord, decision: Decision) -> None:
        self.placements += 1
        self.dirty[record.key] = None
        self._stale_nodes.update(dict.fromkeys(decision.placement.slots))
        self.look_at_usage(record.key)
        self._promise(record)
        self.room.settle()
        self.caps.look(decision.placement.slots)

    # -- questions ---------------------------------------------------------------------------------

    def gangs_on(self, node: str) -> Iterator[Key]:
        """Gangs that were given a slot on the node, in order of decision; some may have released it."""
        return iter(self._gangs_on.get(node, ()))

    def gang_of_job(self, key: Key) -> GangRecord | None:
        """The gang of the Job of that namespace and name; None if there is no such Job."""
        gang = self._gang_of_job.get(key)
        return None if gang is None else self.gangs.get(gang)

    def gang_of(self, pod: Pod) -> GangRecord | None:
        """The gang that the pod belongs to; None if it is none of ours."""
        gang = self._gang_of.get((pod.metadata.namespace, pod.metadata.name))
        return None if gang is None else self.gangs.get(gang)

    def usages(self) -> Collection[Usage]:
        """What every gang with a place counts against quotas, whatever is simulated meanwhile.

        Whoever asks in a simulation has asked before it, so that nothing simulated is kept.
        """
        for key in self._stale_usages:
            self.ledger.put(key, self._usage(key), self.now)
        self._stale_usages.clear()
        return self.ledger.usages()

    def usages_by_gang(self) -> Iterable[tuple[Key, Usage]]:
        """As `usages`, with whose each is."""
        self.usages()
        return self.ledger.by_gang()

    def parted(
        self, without: Collection[str], *, over_by: float | None
    ) -> tuple[list[Usage], Collection[Usage]]:
        """The usages of these bookings and of what is expected to be over by then; and all others."""
        gone: list[Usage] = []
        left: list[Usage] = []
        for key, usage in self.usages_by_gang():
            over = over_by is not None and usage.until is not None and usage.until <= over_by
            (gone if over or booking_key(key) in without else left).append(usage)
        return gone, left

    def _usage(self, gang: Key) -> Usage | None:
        record = self.gangs.get(gang)
        if self.state is None or record is None or record.decision is None or record.gang is None:
            return None
        key = booking_key(gang)
        held = self.state.held_gpus(key)
        return Usage(
            queue=record.gang.spec.queue,
            namespace=gang[0],
            gpus=sum(held.values()),
            nominal_watts=self.state.reserved(key).nominal_watts,
            until=self.state.until(key),
            profiles=self.profiles_of(held.items()),
        )

    def profiles_of(self, gpus: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
        """GPUs on nodes, by HardwareProfile; nodes that are not known count for none."""
        assert self.state is not None
        found: dict[str, int] = {}
        for node, count in gpus:
            kind = self.state.node_type(node)
            if kind is not None and count:
                found[kind.name] = found.get(kind.name, 0) + count
        return tuple(sorted(found.items()))

    @property
    def stamp(self) -> tuple[int, int]:
        """Another one for every other content of the state."""
        return self.version, self.placements

    def rank(self, queue: str) -> Rank:
        """What the queue is compared by with others, now."""
        return self.ledger.rank(queue, self.now)

    def _shape_ledger(self) -> None:
        """Quotas and shares as the Queues and the facility are now."""
        assert self.state is not None
        self._ledger_stale = False
        everything = {GPUS: 0, WATTS: 0}
        for spec in self.state.nodes():
            kind = self.state.node_type(spec.name)
            if kind is not None:
                everything[GPUS] += kind.gpus_per_node
                everything[WATTS] += full_increment(kind, kind.max_watts).nominal
        queues = self.catalog.queues()
        statuses = {name: self.catalog.status("Queue", name) for name in queues}
        self.usages()
        self.ledger.shape(queues, everything, statuses, self.now)

    def look_at_usage(self, gang: Key) -> None:
        """What the gang counts against quotas may be something else than before."""
        self._stale_usages[gang] = None

    def holdings(self, record: GangRecord) -> Iterator[tuple[str, Amounts, int]]:
        """What the gang takes of nodes: the node, what one pod holds there, and how many such pods."""
        for pod in self.pods_of_maker(record) if record.external() else record.live_pods():
            found = self.room.of_pod((pod.metadata.namespace, pod.metadata.name))
            if found is not None:
                yield *found, 1
        for each, pods in self.room.of_gang(record.key):
            for node, count in pods.items():
                yield node, each, count

    def holdings_on(self, record: GangRecord, node: str) -> Iterator[tuple[Amounts, int]]:
        """As `holdings`, of one node that the gang was given."""
        for key in self.pods_on.get(node, ()):
            if self._gang_of.get(key) == record.key and not is_terminal(self.pods[key]):
                found = self.room.of_pod(key)
                if found is not None:
                    yield found[1], 1
        for each, pods in self.room.of_gang(record.key):
            if pods.get(node):
                yield each, pods[node]

    def validate(self) -> None:
        """Compare what nodes hold and still take, and what counts against quotas, with a count of everything anew.

        Raises:
            InvariantViolation: something differs.
        """
        if self.state is None:
            return
        used: dict[str, dict[str, int]] = {}
        promised: dict[Key, tuple[Pods, dict[str, int]]] = {}
        for pod in self.pods.values():
            if pod.spec.node_name and not is_terminal(pod):
                _add_pod(used, pod.spec.node_name, held_by(pod.spec))
        for record in self.gangs.values():
            if record.decision is None:
                continue
            needs = record.held_by_slot()
            for slot, node in self._unbound(record):
                if slot in needs:
                    _add_pod(used, node, needs[slot])
                if record.template is not None and not record.external():
                    there = promised.setdefault(record.key, (record.promised(), {}))[1]
                    there[node] = there.get(node, 0) + 1
        self.room.validate(used)
        self.neighbours.validate(promised)
        self.restrictions.validate(self.room.masks())
        self.usages()
        self.ledger.validate([usage for key in self.gangs if (usage := self._usage(key)) is not None])

    def _refresh_node(self, name: str) -> None:
        assert self.state is not None
        node = self.nodes.get(name)
        spec = self.catalog.node_spec(node) if node is not None else None
        if self.state.node(name) != spec:
            self._ledger_stale = self._ledger_stale or (self.state.node(name) is None) != (spec is None)
            self._stale_usages.update(self._gangs_on.get(name, {}))
            if spec is not None:
                self.state.set_node(spec)
            else:
                self.state.remove_node(name)
        if spec is None:
            return
        node_type = self.state.node_type(name)
        if node_type is None:
            return
        others = list(self._outside(name, node_type.resource))
        count = unmanaged_gpus(
            others,
            resource=node_type.resource,
            gpus_per_node=node_type.gpus_per_node,
            drivers=self.settings.dra_drivers,
            claim=lambda namespace, claim: self.claims.get((namespace, claim)),
        )
        if count != self.state.unmanaged_gpus(name):
            self.version += 1
            self.state.set_unmanaged(name, count)
            self.dirty.update(self._gangs_on.get(name, {}))

    def _outside(self, node: str, resource: str) -> Iterator[Pod]:
        """Pods on the node that no booking of a gang counts already."""
        assert self.state is not None
        left: dict[Key, int] = {}
        for key in self.pods_on.get(node, ()):
            pod, gang = self.pods[key], self._gang_of.get(key)
            record = self.gangs.get(gang) if gang is not None else None
            if record is None or record.decision is None:
                yield pod
            elif record.external():
                # Anybody may put a label on a pod: no more counts as the gang's than what it was given here.
                free = left.get(record.key)
                if free is None:
                    free = self.state.held_gpus(booking_key(record.key)).get(node, 0)
                asked = 0 if is_terminal(pod) else gpus(pod.spec, resource)
                left[record.key] = free - asked if asked <= free else free
                if asked > free:
                    yield pod
            elif node not in self.state.held(booking_key(record.key)).values():
                yield pod

    def _node_touched(self, name: str) -> None:
        self.version += 1
        self._stale_nodes[name] = None
        self.dirty.update(self._gangs_on.get(name, {}))

    def _pod_moved(self, node: str) -> None:
        """Whether that changes anything for anybody shows when it is counted."""
        self._stale_nodes[node] = None
        self.dirty.update(self._gangs_on.get(node, {}))

    def _claim_touched(self, claim: Key) -> None:
        for key in self._claimants.of(claim):
            pod = self.pods.get(key)
            if pod is not None and pod.spec.node_name:
                self._pod_moved(pod.spec.node_name)


def _same_to_placement(old: Node, new: Node) -> bool:
    return (
        old.metadata.uid == new.metadata.uid
        and old.metadata.labels == new.metadata.labels
        and old.spec == new.spec
        and old.status == new.status
    )


def _add_pod(used: dict[str, dict[str, int]], node: str, each: Amounts) -> None:
    held = used.setdefault(node, {})
    for name, amount in each.items():
        held[name] = held.get(name, 0) + amount


def placement_of(gang: Gang) -> Placement:
    """The placement that a Gang's status records."""
    status = gang.status
    groups = tuple(Group(a.nvlink_domain, a.rack, tuple(a.nodes)) for a in status.assignment)
    slots = tuple(node for group in groups for node in group.nodes)
    return Placement(
        slots=slots,
        groups=groups,
        gpus_per_slot=gang.spec.gpus_per_slot,
        power_profile=status.power_profile,
        nominal_watts=status.reserved_nominal_watts,
        peak_watts=status.reserved_peak_watts,
        liquid_watts=status.heat.liquid_watts,
        air_watts=status.heat.air_watts,
        relative_performance_percent=status.expected_performance_percent or 100,
        slot_gpus=slot_gpus(gang.spec, len(slots)),
    )
