"""What the machine knows: objects as last seen, gangs, and the engine's state kept in step with them.

A value, which the whole core passes around: who brings it up to date is in `arrivals.py` and `refreshing.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rackplane.core.claims import ResourceClaim, ResourceClaimTemplate
from rackplane.core.gangs.belonging import Belonging
from rackplane.core.gangs.decisions import HeldPlace, Key, QuotaHold
from rackplane.core.gangs.podgroups import PodGroups
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.telling import Telling
from rackplane.core.learning.meter import Learning
from rackplane.core.measuring import Measurements
from rackplane.core.objects import GangReservation, Job, Node, Pod, PriorityClass
from rackplane.core.pods.appetite import Appetite
from rackplane.core.pods.claimants import Claimants
from rackplane.core.pods.cliques import Cliques
from rackplane.core.pods.leftover import Leftover
from rackplane.core.pods.neighbours import Neighbours
from rackplane.core.pods.pod import is_terminal
from rackplane.core.pods.restrictions import Restrictions
from rackplane.core.pods.room import Room
from rackplane.core.queues.lateness import Lateness
from rackplane.core.queues.ledger import Ledger
from rackplane.core.queues.tally import Tally
from rackplane.core.queues.waiting import Waiting
from rackplane.core.repair.losses import Losses
from rackplane.core.settings import MachineSettings
from rackplane.core.shedding.overloads import Overloads
from rackplane.core.site.caps import Caps
from rackplane.core.site.compliance import Compliance
from rackplane.core.site.confirmations import Confirmations
from rackplane.core.site.draining import Draining
from rackplane.core.site.facility import Catalog
from rackplane.core.site.observed import Observed
from rackplane.core.site.removals import Removals
from rackplane.core.site.taints import Taints
from rackplane.core.tracing import Trace
from rackplane.engine.nodes.masks import Variant
from rackplane.engine.planning.afterwards import Afterwards
from rackplane.engine.queueing.later import QuotaLater
from rackplane.engine.queueing.reservations import Reservations
from rackplane.engine.queueing.shares import Rank
from rackplane.engine.state import State

__all__ = ["ACTIVE", "Stale", "World"]

#: phases in which a gang holds its place
ACTIVE = frozenset({"Admitted", "Running", "Stopping"})


@dataclass(slots=True)
class Stale:
    """What is worked out anew at the next refresh."""

    #: everything: the facility is another one
    facility: bool = True
    #: quotas and shares of queues
    ledger: bool = True
    nodes: dict[str, None] = field(default_factory=dict)
    #: gangs with a place of which a pod was bound, or ended, or got a slot
    promises: dict[Key, None] = field(default_factory=dict)
    #: gangs that may count something else against quotas than before
    usages: dict[Key, None] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    settings: MachineSettings
    catalog: Catalog = field(default_factory=Catalog)
    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[Key, Pod] = field(default_factory=dict)
    jobs: dict[Key, Job] = field(default_factory=dict)
    claims: dict[Key, ResourceClaim] = field(default_factory=dict)
    claim_templates: dict[Key, ResourceClaimTemplate] = field(default_factory=dict)
    priority_classes: dict[str, PriorityClass] = field(default_factory=dict)
    gangs: dict[Key, GangRecord] = field(default_factory=dict)
    state: State | None = None
    now: float = 0.0
    term: int = 0
    #: counts changes that could let a refused gang start
    version: int = 0
    #: counts those of them that were expected, at the very time: gangs that ended when they were to
    foreseen: int = 0
    #: counts changes of queues, of the facility with its nodes, and of claims: of what gangs may ask for
    rules: int = 0
    #: when it was last worked out when a gang could start
    estimated_at: float = -math.inf
    #: when it may be worked out again whom to stop, in seconds since the epoch
    clearing_due: float = -math.inf
    #: who is told how decisions come about; None: nobody
    trace: Trace | None = None
    #: gangs to look at again
    dirty: dict[Key, None] = field(default_factory=dict)
    pods_on: dict[str, dict[Key, None]] = field(default_factory=dict)
    #: nodes as they were when nothing was found on them: no pods, no reason to give them up
    bare: dict[str, Node] = field(default_factory=dict)
    waiting: Waiting = field(default_factory=Waiting)
    telling: Telling = field(default_factory=Telling)
    caps: Caps = field(default_factory=Caps)
    taints: Taints = field(default_factory=Taints)
    confirmations: Confirmations = field(default_factory=Confirmations)
    #: what racks draw by telemetry; None while that has said nothing
    observed: Observed | None = None
    #: what earlier runs drew
    learning: Learning = field(default_factory=Learning)
    #: since when elements have been over their limits
    overloads: Overloads = field(default_factory=Overloads)
    removals: Removals = field(default_factory=Removals)
    draining: Draining = field(default_factory=Draining)
    #: places held for gangs that wait, in the order in which they are asked
    reserved: Reservations = field(default_factory=Reservations)
    #: the same by gang, with the reasons
    held_places: dict[Key, HeldPlace] = field(default_factory=dict)
    #: quota held for the first gangs of queues that wait for it; and of these who was asked already in this pass
    held_quota: dict[Key, QuotaHold] = field(default_factory=dict)
    quota_ahead: dict[Key, QuotaHold] = field(default_factory=dict)
    #: the state as it will be once some gangs are over; and by `id` of a mask of pods what nodes take of them by then
    afterwards: Afterwards = field(default_factory=Afterwards)
    masks_later: dict[int, Variant] = field(default_factory=dict)
    #: when gangs are taken to be over that have run past their expected end
    lateness: Lateness = field(default_factory=Lateness)
    #: quotas at later times, and the `lateness` that they take note of
    quota_later: tuple[QuotaLater, Mapping[str, float]] | None = None
    tally: Tally = field(default_factory=Tally)
    compliance: Compliance = field(default_factory=Compliance)
    measurements: Measurements = field(default_factory=Measurements)
    #: what an earlier process held, as the Gangs say, and was not looked at yet
    remembered: dict[Key, GangReservation] = field(default_factory=dict)
    #: places that gangs held until others came to be the first, which are theirs again if they are still good
    set_aside: dict[Key, HeldPlace] = field(default_factory=dict)
    #: when no place could be found to hold, in seconds since the epoch
    sought: dict[Key, float] = field(default_factory=dict)
    #: moves of this process: when, in seconds since the epoch, and GPU-seconds lost; their Gangs may be gone since
    moved: dict[Key, tuple[float, int]] = field(default_factory=dict)
    #: gangs that were to move, by what became of them: "placed", "released", "back", "given up"
    move_results: dict[str, int] = field(default_factory=dict)
    #: when moves that free whole domains were last sought, in seconds since the epoch
    domains_sought: float = -math.inf
    #: gangs that run with fewer slots than they could, and may grow
    elastic: dict[Key, None] = field(default_factory=dict)
    #: gangs that give way, as their status says
    shed: dict[Key, None] = field(default_factory=dict)
    #: nodes that are lost to who runs there
    losses: Losses = field(default_factory=Losses)
    #: power domains for whose emergency ratings caps were too slow, and when last, in seconds since the epoch
    too_slow_at: dict[str, float] = field(default_factory=dict)
    #: gangs whose load counts at another power profile than that of their decision
    easing: dict[Key, None] = field(default_factory=dict)
    #: counts changes of what gangs hold
    placements: int = 0
    #: what nodes hold and what they still take
    room: Room = field(init=False)
    #: which pods are where, as far as affinity between pods looks at them
    neighbours: Neighbours = field(init=False)
    restrictions: Restrictions = field(init=False)
    #: what nodes have left of CPU and memory, and what GPUs need of it
    leftover: Leftover = field(init=False)
    appetite: Appetite = field(default_factory=Appetite)
    #: what gangs with a place count against quotas, and in the shares of queues
    ledger: Ledger = field(init=False)
    claimants: Claimants = field(default_factory=Claimants)
    cliques: Cliques = field(default_factory=Cliques)
    belonging: Belonging = field(default_factory=Belonging)
    #: kube-scheduler's
    pod_groups: PodGroups = field(init=False)
    #: a heap of (expected end, booking); one that is not what the state expects is out of date
    ends: list[tuple[float, str]] = field(default_factory=list)
    stale: Stale = field(default_factory=Stale)

    def __post_init__(self) -> None:
        self.pod_groups = PodGroups(read=self.settings.pod_groups)
        self.room = Room(self.nodes)
        self.leftover = Leftover(self.nodes, self.room)
        self.neighbours = Neighbours(self.nodes, self.pods)
        self.restrictions = Restrictions(self.nodes, self.neighbours)
        self.ledger = Ledger(self.settings.share_half_life_seconds)

    # -- questions ---------------------------------------------------------------------------------

    @property
    def stamp(self) -> tuple[int, int]:
        """Another one for every other content of the state."""
        return self.version, self.placements

    def rank(self, queue: str) -> Rank:
        """What the queue is compared by with others, now."""
        return self.ledger.shares.rank(queue, self.now)

    def next_change(self) -> float | None:
        return self.catalog.next_change(self.now)

    def gangs_on(self, node: str) -> Mapping[Key, None]:
        """Gangs that were given a slot on the node, in order of decision; some may have released it."""
        return self.belonging.on_node(node)

    def gang_of_job(self, key: Key) -> GangRecord | None:
        """The gang of the Job of that namespace and name; None if there is no such Job."""
        gang = self.belonging.of_job.get(key)
        return None if gang is None else self.gangs.get(gang)

    def pods_of_maker(self, record: GangRecord) -> Iterator[Pod]:
        """Pods of an external gang that run on the nodes it was given."""
        if record.decision is None:
            return
        for node in dict.fromkeys(record.decision.placement.slots):
            for key in self.pods_on.get(node, ()):
                if self.belonging.of_pod.get(key) == record.key and not is_terminal(self.pods[key]):
                    yield self.pods[key]

    # -- what is to be looked at again -------------------------------------------------------------

    def record(self, key: Key) -> GangRecord:
        """The gang's record, made if there is none, which is looked at again."""
        self.dirty[key] = None
        found = self.gangs.get(key)
        if found is None:
            found = self.gangs[key] = GangRecord(key=key)
        return found

    def rules_changed(self) -> None:
        """Even who waits for nothing that others give back may be told something else now."""
        self.version += 1
        self.rules += 1

    def facility_changed(self) -> None:
        self.stale.facility = True
        self.rules_changed()
        self.waiting.look(self.gangs)  # a queue's priority may be another

    def node_touched(self, name: str) -> None:
        """The node is another one to whoever is to be placed."""
        self.rules_changed()
        self.pod_moved(name)

    def pod_moved(self, node: str) -> None:
        """A pod came to the node or left it: whether that changes anything for anybody shows when it is counted."""
        self.stale.nodes[node] = None
        self.dirty.update(self.gangs_on(node))

    def judge_waiting(self, namespace: str | None = None) -> None:
        """What gangs without a place ask for may mean something else now: those of the namespace, or all."""
        for key, record in self.gangs.items():
            if record.decision is None and namespace in (None, key[0]):
                record.judged = False
                self.dirty[key] = None

    def pods_differ(self, gang: Key) -> None:
        """Other pods than before, or pods that ask for something else."""
        self.stale.promises[gang] = None
        self.gangs[gang].judged = False

    def slots_changed(self, record: GangRecord) -> None:
        """Other pods hold its slots than before."""
        self.stale.promises[record.key] = None

    def look_at_usage(self, gang: Key) -> None:
        """What the gang counts against quotas may be something else than before."""
        self.stale.usages[gang] = None
