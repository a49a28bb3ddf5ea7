"""One gang as the machine knows it: the objects it was made from, its decision, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from rackplane.api.labels import (
    FINISHED_BY_MAKER,
    PLACEMENT_GATE,
    STOPPED_BY_MAKER,
)
from rackplane.api.problems import FieldProblem
from rackplane.core.gangs.decisions import Decision, Estimate, Key
from rackplane.core.gangs.jobs import JOBS_PREFIX, job_outcome, owner_of, suspended_by_us
from rackplane.core.gangs.parallelism import follows
from rackplane.core.gangs.ranks import annotated_slot, completion_index, in_order, is_gated
from rackplane.core.gangs.slots import parse_slots
from rackplane.core.gangs.unlike import slots_by_group
from rackplane.core.objects import (
    Container,
    Gang,
    GangGroup,
    GangSpec,
    Job,
    Pod,
    PodSpec,
    PriorityClass,
    Resources,
)
from rackplane.core.pods.neighbours import Pods
from rackplane.core.pods.pod import is_terminal
from rackplane.core.pods.podclass import Amounts, PodClass, held_by
from rackplane.core.queues.priorities import never_preempts
from rackplane.core.workloads.kinds import kind_of_gang
from rackplane.core.workloads.view import Workload
from rackplane.engine.model import Metered, NodeType, Refusal

__all__ = ["GangRecord"]

#: apiVersion and kind of the workloads whose gangs we make, start and stop ourselves
_OURS = frozenset({("batch/v1", "Job"), ("batch/v1", "JobList"), ("v1", "Pod")})


@dataclass(slots=True)
class GangRecord:
    """Everything about one gang. Objects are as last seen; `decision` is what the engine has booked for it."""

    key: Key
    gang: Gang | None = None
    #: its Job, or the Jobs that name one gang, by name, in order of name; or what stands for the pods of its workload
    jobs: dict[str, Job] = field(default_factory=dict)
    #: the workload of another project's kind that it is made for
    workload: Workload | None = None
    #: how Jobs of it ended that are gone, by uid; of several Jobs
    ended: dict[str, str] = field(default_factory=dict)
    #: pods that belong to it, by name, terminal and terminating ones included
    pods: dict[str, Pod] = field(default_factory=dict)
    decision: Decision | None = None
    #: while it grows and the API server may not have that yet: what it was before
    previous: Decision | None = None
    #: when it last grew, in seconds since the epoch, and the version of the machine's state at which it could not
    grown_at: float = float("-inf")
    stays_at: int = -1
    #: pods that hold a slot or are about to: pod uid -> slot
    slots: dict[str, int] = field(default_factory=dict)
    #: pods whose gate is being removed
    ungating: set[str] = field(default_factory=set)
    #: pods, by uid, that are bound where the gang has no slot for them any more: others take their place, and what they
    #: hold of their node counts until they are gone
    left: set[str] = field(default_factory=set)
    #: pods that are evicted: pod uid -> when that is tried again, in seconds since the epoch
    evictions: dict[str, float] = field(default_factory=dict)
    #: why the API server last refused one, and what of that was told
    refused_eviction: str = ""
    told_of_eviction: str = ""
    #: pods that were let go to a node that is not that of their slot any more, or by somebody else to none, and are
    #: not bound
    astray: set[str] = field(default_factory=set)
    #: when no other nodes were found for lost slots: the version of the machine's state, the slots and those of them
    #: that pods hold still; and whether there will be some once these are gone
    unrepaired: tuple[tuple[int, tuple[int, ...], tuple[int, ...]], bool] | None = None
    #: since when kube-scheduler has been seen to call a released pod unschedulable: pod uid -> seconds since the epoch
    unschedulable: dict[str, float] = field(default_factory=dict)
    #: resourceVersion of the Gang, or by name of a Job, that a write of ours is based on: no second one on the same
    gang_write: str | None = None
    job_writes: dict[str, str] = field(default_factory=dict)
    creating: bool = False
    #: the commit has been asked for and its answer is not in
    committing: bool = False
    #: decided while another write of ours to the Gang was under way, with which the commit would only conflict
    deferred: bool = False
    #: no write before this time (seconds since the epoch), after one that failed
    not_before: float = 0.0
    failures: int = 0
    #: of one that starts, when the passing of time alone calls for a look at it, in seconds since the epoch
    due: float = float("-inf")
    #: what is wrong with what is asked for
    problems: tuple[FieldProblem, ...] = ()
    #: `problems` is of the Job and the pods as they are
    judged: bool = False
    #: why it waits, in words, and its place in the queue; written to its status when they change
    message: str = ""
    reason: str = "Waiting"
    #: waiting alone will not help it: its Ready condition is False
    misfit: bool = False
    #: the engine's answer behind the message; None if it waits for something else
    refusal: Refusal | None = None
    #: what it waits for ends by itself, as far as is known: a start can be foreseen
    foreseeable: bool = False
    estimate: Estimate | None = None
    #: what of its queue's quota is held for it
    quota_words: str = ""
    position: int | None = None
    #: the decision was committed by us and its users have not been told of it
    announce: bool = False
    #: the power profile that its booking counts at while its nodes are not sure to carry the lower cap of its
    #: decision, or while a higher one is being written; None: that of its decision
    counts_at: str | None = None
    #: with mode Observe, where it would have been placed, in words; it is not asked again
    would: str = ""
    #: a higher profile is being written
    raising: bool = False
    #: when its caps were lowered, in seconds since the epoch
    lowered_at: float = float("-inf")
    #: what was last told of a node that does not take its cap
    told_of_cap: str = ""
    #: a write of ours to its ComputeDomain is under way, or not seen yet; and what was last told of that
    domain_write: bool = False
    told_of_domain: str = ""
    #: when, in seconds since the epoch, and at which version it was last worked out whom to stop for it
    preempted_at: float = float("-inf")
    preempted_version: int = -1
    #: when that is asked again though nothing has changed, because it was not the gang's turn
    ask_again: float = float("inf")
    #: why nobody is stopped for it, in words
    no_room: str = ""
    #: moves that would let it start, in words and as gangs with their new nodes; when, and at which version, they were
    #: last sought
    proposal: str = ""
    proposed_moves: tuple[tuple[str, tuple[str, ...]], ...] = ()
    proposed_at: float = float("-inf")
    proposed_version: int = -1
    #: for metrics alone: when it was last queued again after it had a place, and when it was first told that it could
    #: start, in seconds since the epoch; and that the gates of its first pods were asked to be removed
    requeued_at: float | None = None
    told_start: float | None = None
    letting_go: bool = False
    #: the groups that its pods make now, as of the last look; its Gang's may be older
    groups_wanted: list[GangGroup] = field(default_factory=list)
    #: the priority its pods have or are to have; None: it is not known
    priority_wanted: int | None = None
    #: how many bare pods it is of; None: it is not known, or its Jobs say
    slots_wanted: int | None = None
    #: the accelerators of each of its pods: resource and number; None: it is not known
    accelerators_wanted: tuple[str, int] | None = None
    #: classes of templates, by the name of their Job, "" for bare pods
    _classed: dict[str, tuple[PodSpec, PodClass]] = field(default_factory=dict)
    #: what it counts against quotas at least, and of what that was worked out
    least: (
        tuple[GangSpec, tuple[NodeType, ...], tuple[tuple[str, Metered], ...], Mapping[str, int]] | None
    ) = None
    #: pod uid -> its spec and the digest of its class
    _digests: dict[str, tuple[PodSpec, str]] = field(default_factory=dict)
    #: of which object that was found, whether another controller made it, and what is known of its pods then
    _external: tuple[Gang, bool, PodClass | None] | None = None

    @property
    def job(self) -> Job | None:
        """Its Job, or the first of several by name."""
        return next(iter(self.jobs.values()), None)

    def put_job(self, job: Job) -> None:
        self.jobs[job.metadata.name] = job
        if len(self.jobs) > 1:
            self.jobs = dict(sorted(self.jobs.items()))

    @property
    def decision_id(self) -> str:
        """The id of the decision that it is in, or is about to be; "" if it has none."""
        if self.decision is not None:
            return self.decision.id
        shown = None if self.gang is None else self.gang.status.decision
        return "" if shown is None else shown.id

    @property
    def phase(self) -> str:
        return (self.gang.status.phase if self.gang else "") or "Pending"

    @property
    def released(self) -> frozenset[int]:
        """Slots that ended before the gang did, as the API server has them."""
        if self.gang is None:
            return frozenset()
        try:
            return parse_slots(self.gang.status.released_slots)
        except ValueError:
            return frozenset()

    @property
    def template(self) -> PodSpec | None:
        """What its pods ask for: a Job's template, or the first by name of its bare pods, of those that wait if any
        do: one that has been let go asks for the node that it was given.

        Of a gang that another controller made only the accelerators are known; of several Jobs it
        is that of the first by name that has not ended.
        """
        if self.external():
            assert self.gang is not None
            return _only_gpus(self.gang.spec.resource_name, self.gang.spec.gpus_per_slot)
        job = self._model()
        if job is not None:
            return job.spec.template.spec
        names = [name for name, pod in self.pods.items() if is_gated(pod)] or self.pods
        return self.pods[min(names)].spec if self.pods else None

    @property
    def pod_class(self) -> PodClass | None:
        """Its template's class; None if it has no template."""
        if self.external():
            assert self._external is not None
            return self._external[2]
        template, job = self.template, self._model()
        return None if template is None else self._class("" if job is None else job.metadata.name, template)

    def _model(self) -> Job | None:
        if not self.several:
            return self.job
        return next((job for job in self.jobs.values() if job_outcome(job) is None), self.job)

    def _class(self, of: str, template: PodSpec) -> PodClass:
        known = self._classed.get(of)
        if known is None or (known[0] is not template and known[0] != template):
            known = self._classed[of] = (template, PodClass(template))
        return known[1]

    def seen_by_others(self) -> tuple[Pods, ...]:
        """Its pods as terms of affinity see them, each kind once: those of its Jobs' templates, or the bare ones."""
        namespace = self.key[0]
        if self.external():
            return ()
        if self.jobs:
            templates = [job.spec.template for job in self.jobs.values()]
            return tuple(
                Pods.like(namespace, t.metadata.labels, t.spec.affinity, template=True) for t in templates
            )
        found = {frozenset(pod.metadata.labels.items()): pod for pod in self.pods.values()}
        return tuple(
            Pods.like(namespace, pod.metadata.labels, pod.spec.affinity)
            for pod in sorted(found.values(), key=lambda pod: pod.metadata.name)
        )

    def promised(self) -> Pods:
        """As `seen_by_others`, those that it will have: of bare pods or of Jobs, like the first by name."""
        if self.jobs or not self.pods:
            return self.seen_by_others()[0]
        first = self.pods[min(self.pods)]
        return Pods.like(self.key[0], first.metadata.labels, first.spec.affinity)

    @property
    def groups(self) -> list[GangGroup]:
        """Where its pods differ: its slots by kind of pod, as its Gang has them; empty if all are alike."""
        return self.gang.spec.groups if self.gang is not None else []

    def group_of_pod(self, pod: Pod) -> int | None:
        """The group that takes the pod; None if none does.

        A pod that has been let go is known by its slot, for it has got the selector of its node since.
        """
        slot = self.slots.get(pod.metadata.uid)
        if slot is None and not is_gated(pod):
            slot = annotated_slot(pod)
        if slot is not None:
            return next((g for g, slots in enumerate(slots_by_group(self.groups)) if slot in slots), None)
        if self.several:
            kind = kind_of_gang(self.key[1])
            if kind is not None:
                part = kind.set_of(pod)
                return next((g for g, group in enumerate(self.groups) if group.name == part), None)
            owner = owner_of(pod)
            return next((g for g, group in enumerate(self.groups) if group.workload.uid == owner), None)
        uid = pod.metadata.uid
        if uid not in self._digests or self._digests[uid][0] is not pod.spec:
            self._digests[uid] = (pod.spec, PodClass(pod.spec).digest)
        digest = self._digests[uid][1]
        return next((g for g, group in enumerate(self.groups) if group.pod_class == digest), None)

    def classes(self) -> list[PodClass] | None:
        """The class of each group, from its Job or from pods that wait; None if some group has none."""
        if self.several:
            jobs = [self.job_of(group) for group in self.groups]
            known = [self._class(j.metadata.name, j.spec.template.spec) for j in jobs if j is not None]
            return known if len(known) == len(jobs) else None
        found: dict[int, PodSpec] = {}
        for pod in in_order(self.live_pods()):
            group = self.group_of_pod(pod)
            if group is not None:
                found.setdefault(group, pod.spec)
        if len(found) < len(self.groups):
            return None
        return [PodClass(found[g]) for g in range(len(self.groups))]

    def held_by_slot(self) -> dict[int, Amounts]:
        """What the pod of each slot takes of its node; slots of which no pod is known are left out."""
        if not self.groups:
            template = self.template
            each = {} if template is None else held_by(template)
            # One that waits has the slots that it asks for.
            wanted = self.slot_count() or (self.gang.spec.slots if self.gang is not None else 0)
            return {} if template is None else dict.fromkeys(range(wanted), each)
        jobs = [(g, self.job_of(group)) for g, group in enumerate(self.groups)] if self.several else []
        found = {g: held_by(job.spec.template.spec) for g, job in jobs if job is not None}
        for pod in in_order(self.pods.values()):
            group = self.group_of_pod(pod)
            if group is not None:
                found.setdefault(group, held_by(pod.spec))
        return {
            slot: found[g]
            for g, slots in enumerate(slots_by_group(self.groups))
            if g in found
            for slot in slots
        }

    def of_job(self) -> bool:
        """Whether it is made of a Job, of Jobs or of a workload that suspends its pods, also when they are gone."""
        return self.key[1].startswith(("job-", JOBS_PREFIX)) or self.of_workload()

    def of_workload(self) -> bool:
        """Whether it is made of a workload of another project's kind."""
        return kind_of_gang(self.key[1]) is not None and not self.external()

    def external(self) -> bool:
        """Whether another controller made the Gang: it starts and stops the workload (docs/external-gangs.md)."""
        gang = self.gang
        if gang is None:
            return False
        known = self._external
        if known is None or known[0] is not gang:
            # Each look at it asks many times.
            theirs = self._made_by_another(gang)
            pods = _class_of_gpus(gang.spec.resource_name, gang.spec.gpus_per_slot) if theirs else None
            known = self._external = gang, theirs, pods
        return known[1]

    def _made_by_another(self, gang: Gang) -> bool:
        workload = gang.spec.workload
        if (workload.api_version, workload.kind) in _OURS:
            return False
        kind = kind_of_gang(self.key[1])
        return kind is None or (workload.kind, f"{kind.prefix}{workload.name}") != (kind.kind, self.key[1])

    def asks_for_domain(self) -> bool:
        """Whether it is to have a ComputeDomain of its own."""
        return self.gang is not None and bool(self.gang.spec.compute_domain)

    def finished_by_maker(self) -> bool:
        """Whether who made an external gang says that it is over."""
        return self.external() and FINISHED_BY_MAKER in self._annotations()

    def failed_by_maker(self) -> bool:
        return self.external() and self._annotations().get(FINISHED_BY_MAKER) == "Failed"

    def stopped_by_maker(self) -> bool:
        """Whether who made an external gang says that nothing of it runs any more where it was put."""
        if not self.external():
            return False
        assert self.gang is not None
        decision = self.gang.status.decision
        return decision is not None and self._annotations().get(STOPPED_BY_MAKER) == decision.id

    def _annotations(self) -> Mapping[str, str]:
        return {} if self.gang is None else self.gang.metadata.annotations

    def never_preempts(self, classes: Mapping[str, PriorityClass]) -> bool:
        """Whether the PriorityClass of its pods says so, by the pods or by their template."""
        specs = [pod.spec for pod in self.pods.values()]
        if self.jobs and not self.external():
            specs += [job.spec.template.spec for job in self.jobs.values()]
        elif self.template is not None:
            specs.append(self.template)
        return any(never_preempts(spec, classes) for spec in specs)

    @property
    def several(self) -> bool:
        """Whether it is made of Jobs that name a gang, or of a workload's sets of pods: each is one of its groups."""
        name = self.key[1]
        return (name.startswith(JOBS_PREFIX) or kind_of_gang(name) is not None) and not self.external()

    def job_of(self, group: GangGroup) -> Job | None:
        """The Job of the group; None if it is gone, be it that another has its name."""
        job = self.jobs.get(group.name)
        return job if job is not None and job.metadata.uid == group.workload.uid else None

    def parts(self) -> list[tuple[Job | None, range]]:
        """Its slots by Job, of several Jobs; else all slots, and the Job if there is one."""
        if not self.several:
            return [(self.job, range(self.slot_count()))]
        return [
            (self.job_of(group), slots)
            for group, slots in zip(self.groups, slots_by_group(self.groups), strict=True)
        ]

    def index_of(self, pod: Pod, job: Job) -> int | None:
        """The pod's index among those of the Job; None if it has none."""
        if self.workload is None:
            return completion_index(pod)
        found = self.workload.pod_set(job.metadata.name)
        return None if found is None else found.index_of(pod)

    def ranked_if_told(self, job: Job) -> bool:
        """Whether a pod of it that has no index may take any of its slots."""
        found = None if self.workload is None else self.workload.pod_set(job.metadata.name)
        return found is not None and found.ranked_if_told

    def called(self, job: Job) -> str:
        """What its users know the Job as: "Job lead", or of a workload "JobSet train"."""
        return f"Job {job.metadata.name}" if self.workload is None else self.workload.title

    def suspend_field(self) -> str:
        """Where its user suspends it."""
        return "spec.suspend" if self.workload is None else ".".join(self.workload.kind.suspend)

    def ungated(self) -> Job | None:
        """The first Job whose pods would not wait for their slot; by the admission policies there is none."""
        return next(
            (
                job
                for job in self.jobs.values()
                if all(gate.name != PLACEMENT_GATE for gate in job.spec.template.spec.scheduling_gates)
            ),
            None,
        )

    def suspended_by_us(self) -> bool:
        """Whether its Job is, or all of its Jobs that have not ended are."""
        return bool(self.jobs) and all(
            suspended_by_us(job) or (self.several and job_outcome(job) is not None)
            for job in self.jobs.values()
        )

    def suspended_by_user(self) -> Job | None:
        """The first Job that is suspended, and not by us."""
        return next((j for j in self.jobs.values() if j.spec.suspend and not suspended_by_us(j)), None)

    def live_pods(self) -> list[Pod]:
        """Pods that draw watts or may come to: not terminal; a terminating one lives until its object is gone.

        Without those that it has left behind.
        """
        live = [pod for pod in self.pods.values() if not is_terminal(pod)]
        return [pod for pod in live if pod.metadata.uid not in self.left] if self.left else live

    def put_pod(self, pod: Pod) -> bool:
        """Take in a pod as it is now; returns whether it is left behind, or was."""
        uid, before = pod.metadata.uid, self.pods.get(pod.metadata.name)
        was = uid in self.left
        if before is not None and before.metadata.uid != uid:
            self.left.discard(before.metadata.uid)
        self.pods[pod.metadata.name] = pod
        if self._is_left(pod):
            self.left.add(uid)
        else:
            self.left.discard(uid)
        return was or uid in self.left

    def drop_pod(self, name: str) -> None:
        pod = self.pods.pop(name, None)
        if pod is not None:
            self.left.discard(pod.metadata.uid)
            self.evictions.pop(pod.metadata.uid, None)

    def look_for_left(self) -> list[str]:
        """Judge all pods by the decision as it is now: the nodes of those for which that makes a difference."""
        before = self.left
        self.left = {pod.metadata.uid for pod in self.pods.values() if self._is_left(pod)}
        changed = before ^ self.left
        return [pod.spec.node_name for pod in self.pods.values() if pod.metadata.uid in changed]

    def _is_left(self, pod: Pod) -> bool:
        node = pod.spec.node_name
        if not node or is_terminal(pod) or not self.of_job():
            return False
        slot = annotated_slot(pod)
        if slot is None:
            return False
        if self.decision is None:
            return pod.metadata.deletion_timestamp is not None
        slots = self.decision.placement.slots
        return slot >= len(slots) or slots[slot] != node

    def started(self) -> bool:
        """Whether any pod has been let go: from here on a replacement is let go alone."""
        return self.phase == "Running" or any(not is_gated(pod) for pod in self.pods.values())

    def slot_count(self) -> int:
        return len(self.decision.placement.slots) if self.decision else 0

    @property
    def target(self) -> int:
        """How many slots it is to run with: fewer than it was given while it shrinks, and after."""
        given = None if self.gang is None else self.gang.status.slots
        return self.slot_count() if given is None else min(given, self.slot_count())

    def keyed(self) -> bool:
        """Whether an index of its Job is a slot; of several Jobs each has its own."""
        spec = None if self.job is None else self.job.spec
        return (
            spec is not None
            and self.job is not None
            and not self.several
            and spec.completion_mode == "Indexed"
            and (spec.completions == self.slot_count() or follows(self.job))
        )

    def needed(self) -> int:
        """Slots that the workload can still use."""
        if not self.jobs:
            return len(self.live_pods())
        if not self.several:
            return self.needed_of(self.job, self.target)
        return sum(self.needed_of(job, len(slots)) for job, slots in self.parts())

    def needed_of(self, job: Job | None, slots: int) -> int:
        """How many of those slots of the Job it can still use."""
        if job is None:
            return 0
        if self.several and job_outcome(job) is not None:
            return self._live_of(job)
        status, spec = job.status, job.spec
        if spec.completions is None:
            # A work queue: after the first success no pod is replaced.
            return self._live_of(job) if status.succeeded else slots
        # Completions that follow the slots are raised only after these are there.
        completions = slots if not self.several and follows(job) else spec.completions
        return max(0, min(slots, completions - status.succeeded))

    def _live_of(self, job: Job) -> int:
        return sum(1 for pod in self.pods_of(job) if not is_terminal(pod))

    def pods_of(self, job: Job) -> list[Pod]:
        """Its pods that the Job made."""
        if not self.several:
            return list(self.pods.values())
        kind = kind_of_gang(self.key[1])
        if kind is not None:
            return [pod for pod in self.pods.values() if kind.set_of(pod) == job.metadata.name]
        return [pod for pod in self.pods.values() if owner_of(pod) == job.metadata.uid]


@lru_cache(maxsize=256)
def _class_of_gpus(resource: str, gpus: int) -> PodClass:
    return PodClass(_only_gpus(resource, gpus))


@lru_cache(maxsize=256)
def _only_gpus(resource: str, gpus: int) -> PodSpec:
    return PodSpec(
        containers=[Container(resources=Resources(requests={resource: str(gpus)} if gpus else {}))]
    )
