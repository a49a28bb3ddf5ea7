"""Objects come, change and go: what is known is another, and what depends on it is looked at again."""

from __future__ import annotations

from rackplane.api.labels import GANG_LABEL, POWER_OBSERVED_WATTS
from rackplane.core.claims import ComputeDomain, ResourceClaim, ResourceClaimTemplate
from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.podnews import changed_by_start
from rackplane.core.gangs.ranks import is_gated
from rackplane.core.gangs.workload import gang_name_of, gang_name_of_pod, job_outcome
from rackplane.core.objects import Job, Node, OwnerReference, Pod, PriorityClass
from rackplane.core.pods.channels import gang_of_claim_template
from rackplane.core.pods.pod import is_terminal
from rackplane.core.pods.podclass import held_by
from rackplane.core.workloads.kinds import kind_named, kind_of_gang, made_by
from rackplane.core.workloads.view import Workload
from rackplane.core.world import World

__all__ = [
    "domains_served",
    "drop_claim",
    "drop_claim_template",
    "drop_domain",
    "drop_job",
    "drop_node",
    "drop_pod",
    "drop_workload",
    "put_claim",
    "put_claim_template",
    "put_domain",
    "put_job",
    "put_node",
    "put_pod",
    "put_priority_class",
    "put_workload",
]


def put_node(world: World, node: Node) -> None:
    name = node.metadata.name
    before = world.nodes.get(name)
    world.nodes[name] = node
    world.caps.look((name,))
    world.confirmations.look(world, name)
    world.cliques.node(name, node.metadata.labels)
    # Annotations and heartbeats, our own caps among them, make no room for anybody.
    if before is None or not _same_to_placement(before, node):
        world.room.look(name)
        world.neighbours.node(name)
        world.node_touched(name)
    elif _told_anew(before, node) or world.caps.awaits(name):
        world.dirty.update(world.gangs_on(name))
        if world.state is not None and world.state.left_gpus(name):
            world.stale.nodes[name] = (
                None  # what its gangs have left behind there counts by what it is held to
            )


def _told_anew(before: Node, node: Node) -> bool:
    """Whether its annotations say something else of its caps; what it draws is written often and decides nothing."""
    old, new = before.metadata.annotations, node.metadata.annotations
    return old != new and any(
        old.get(key) != new.get(key) for key in (old.keys() | new.keys()) - {POWER_OBSERVED_WATTS}
    )


def drop_node(world: World, name: str) -> None:
    world.nodes.pop(name, None)
    world.catalog.forget_node(name)
    world.cliques.node(name, {})
    world.room.look(name)
    world.neighbours.node(name)
    world.node_touched(name)


def put_pod(world: World, pod: Pod) -> None:
    key = (pod.metadata.namespace, pod.metadata.name)
    before = world.pods.get(key)
    if before is not None and before.metadata.uid != pod.metadata.uid:
        drop_pod(world, key)
        before = None
    world.pods[key] = pod
    world.neighbours.pod(before, pod)
    claims = world.claimants.put(before, pod)
    moved = claims or before is None or before.spec != pod.spec or is_terminal(before) != is_terminal(pod)
    world.pod_groups.note(before, pod)
    name = gang_name_of_pod(pod, world.pod_groups)
    starts = False
    if name is not None:
        gang = (pod.metadata.namespace, name)
        starts = _pod_of_gang(world, world.belonging.made_for.get(gang, gang), before, pod, moved=moved)
    else:
        _pod_of_maker(world, pod, moved=moved)
    node = pod.spec.node_name
    if node and moved:
        if is_terminal(pod):
            world.room.let_go(key)
        else:
            world.room.hold(key, node, held_by(pod.spec))
        world.pods_on.setdefault(node, {})[key] = None
        if not starts or not _has_place(world, world.belonging.of_pod[key], node):
            world.pod_moved(node)


def _has_place(world: World, gang: Key, node: str) -> bool:
    """Whether the gang's pods on the node are counted already."""
    return world.state is not None and booking_key(gang) in world.state.keys_on(node)


def _pod_of_gang(world: World, gang: Key, before: Pod | None, pod: Pod, *, moved: bool) -> bool:
    """Whether it was let go or bound as the decision has it, so that nothing follows from it."""
    key = (pod.metadata.namespace, pod.metadata.name)
    other = world.belonging.of_pod.get(key, gang)
    if other != gang and other in world.gangs:
        world.record(other).drop_pod(pod.metadata.name)
        world.pods_differ(other)
    world.belonging.of_pod[key] = gang
    record = world.gangs.get(gang)
    starts = record is not None and other == gang and changed_by_start(record, before, pod)
    if record is None or not starts:
        record = world.record(gang)
    if record.put_pod(pod):
        world.stale.nodes[pod.spec.node_name] = None
    if not is_gated(pod):
        record.ungating.discard(pod.metadata.uid)
    # One that is only let go asks for what it asked for.
    if moved and (not starts or pod.spec.node_name):
        world.pods_differ(gang)
    return starts


def _pod_of_maker(world: World, pod: Pod, *, moved: bool) -> None:
    """A pod without our queue label may name the Gang that whoever starts it has made."""
    key = (pod.metadata.namespace, pod.metadata.name)
    name = pod.metadata.labels.get(GANG_LABEL)
    if name is None:
        world.belonging.of_pod.pop(key, None)
        return
    gang = world.belonging.of_pod[key] = (pod.metadata.namespace, name)
    if moved and gang in world.gangs:
        world.stale.promises[gang] = None


def drop_pod(world: World, key: Key) -> None:
    pod = world.pods.pop(key, None)
    if pod is None:
        return
    world.room.let_go(key)
    world.neighbours.pod(pod, None)
    world.claimants.put(pod, None)
    world.pod_groups.note(pod, None)
    gang = world.belonging.of_pod.pop(key, None)
    if gang is not None and gang in world.gangs:
        world.record(gang).drop_pod(pod.metadata.name)
        world.pods_differ(gang)
    node = pod.spec.node_name
    if node:
        here = world.pods_on.get(node, {})
        here.pop(key, None)
        if not here:
            world.pods_on.pop(node, None)
        world.pod_moved(node)


def put_job(world: World, job: Job) -> None:
    key = (job.metadata.namespace, job.metadata.name)
    if made_by(job.metadata) is not None:
        return  # a JobSet's, say: that is what queues, and its controller suspends and resumes its Jobs
    gang = (key[0], gang_name_of(job))
    if world.belonging.of_job.get(key, gang) != gang:
        drop_job(world, key)
    world.jobs[key], world.belonging.of_job[key] = job, gang
    world.record(gang).put_job(job)
    world.pods_differ(gang)


def drop_job(world: World, key: Key) -> None:
    job = world.jobs.pop(key, None)
    gang = world.belonging.of_job.pop(key, None)
    if job is not None and gang in world.gangs:
        how = job_outcome(job)
        if how is not None:
            world.gangs[gang].ended[job.metadata.uid] = how
        world.record(gang).jobs.pop(key[1], None)
        world.pods_differ(gang)


def put_workload(world: World, workload: Workload) -> None:
    gang = (workload.metadata.namespace, workload.gang_name)
    maker = made_by(workload.metadata)
    if maker is not None:
        _stand_for(world, gang, (gang[0], maker))
        _give_sets(world, (gang[0], maker), workload)
        return
    if any(
        owner.controller and owner.kind in workload.kind.makers
        for owner in workload.metadata.owner_references
    ):
        return
    if workload.kind.sets_of:
        workload = workload.with_sets_of(world.belonging.sets_of.get(gang))
    record = world.record(gang)
    record.workload, record.jobs = workload, workload.jobs()
    world.pods_differ(gang)


def drop_workload(world: World, kind: str, key: Key) -> None:
    gang = (key[0], f"{kind_named(kind).prefix}{key[1]}")
    maker = world.belonging.made_for.get(gang)
    if maker is not None:
        _give_sets(world, maker, None)
    if gang in world.gangs:
        record = world.record(gang)
        record.workload, record.jobs = None, {}
        world.pods_differ(gang)
        # Of what it made pods may be there for a while: these stay its gang's.
        if not record.pods:
            made = [other for other, of in world.belonging.made_for.items() if of == gang]
            for other in made:
                del world.belonging.made_for[other]


def _give_sets(world: World, maker: Key, made: Workload | None) -> None:
    """What was made for that gang's workload, or None when it is gone, may be what has its sets of pods."""
    kind = kind_of_gang(maker[1])
    if kind is None or not kind.sets_of or (made is not None and made.kind.kind != kind.sets_of):
        return
    if made is None:
        world.belonging.sets_of.pop(maker, None)
    else:
        world.belonging.sets_of[maker] = made
    record = world.gangs.get(maker)
    if record is not None and record.workload is not None:
        put_workload(world, record.workload)


def _stand_for(world: World, gang: Key, maker: Key) -> None:
    """The pods of a workload that another one's controller made are those of the gang of its maker."""
    if world.belonging.made_for.get(gang) == maker:
        return
    world.belonging.made_for[gang] = maker
    record = world.gangs.get(gang)
    if record is not None:
        record.workload, record.jobs = None, {}
        world.dirty[gang] = None
        for pod in list(record.pods.values()):
            _pod_of_gang(world, maker, pod, pod, moved=True)


def put_claim(world: World, claim: ResourceClaim) -> None:
    key = (claim.metadata.namespace, claim.metadata.name)
    before = world.claims.get(key)
    world.claims[key] = claim
    # One that was made from a template is its pod's alone, and no gang that waits can name it.
    if all(owner.kind != "Pod" for owner in claim.metadata.owner_references):
        world.rules_changed()
        if before is None or before.spec != claim.spec:
            world.judge_waiting(key[0])
    _claim_touched(world, key)


def drop_claim(world: World, key: Key) -> None:
    if world.claims.pop(key, None) is not None:
        world.rules_changed()
        world.judge_waiting(key[0])
    _claim_touched(world, key)


def put_claim_template(world: World, template: ResourceClaimTemplate) -> None:
    key = (template.metadata.namespace, template.metadata.name)
    before = world.claim_templates.get(key)
    world.claim_templates[key] = template
    if before is None or before.spec != template.spec:
        world.judge_waiting(key[0])
        _channel_touched(world, key)


def drop_claim_template(world: World, key: Key) -> None:
    if world.claim_templates.pop(key, None) is not None:
        world.judge_waiting(key[0])
        _channel_touched(world, key)


def _channel_touched(world: World, template: Key) -> None:
    """The template may be that of a gang's ComputeDomain, without which none of its pods is let go."""
    gang = gang_of_claim_template(template[1])
    if gang is not None:
        _domain_touched(world, (template[0], gang))


def put_domain(world: World, domain: ComputeDomain) -> None:
    key = (domain.metadata.namespace, domain.metadata.name)
    before = world.cliques.domains.get(key)
    world.cliques.put(domain)
    # Its status tells of every node that joins, which decides nothing.
    if before is None or _standing(before) != _standing(domain):
        _domain_touched(world, key)


def _standing(domain: ComputeDomain) -> tuple[str, str | None, list[OwnerReference]]:
    return domain.metadata.uid, domain.metadata.deletion_timestamp, domain.metadata.owner_references


def drop_domain(world: World, key: Key) -> None:
    world.cliques.drop(key)
    _domain_touched(world, key)


def domains_served(world: World, *, served: bool) -> None:
    """The cluster has the kind, or has not."""
    if world.cliques.served != served:
        world.cliques.served = served
        world.rules_changed()


def _domain_touched(world: World, gang: Key) -> None:
    record = world.gangs.get(gang)
    if record is not None:
        record.domain_write = False
        world.dirty[gang] = None
        world.rules_changed()


def put_priority_class(world: World, name: str, found: PriorityClass | None) -> None:
    """None: it is gone. Gangs that wait may have another priority than before, or a problem more or less."""
    if found is None:
        world.priority_classes.pop(name, None)
    else:
        world.priority_classes[name] = found
    world.judge_waiting()


def _claim_touched(world: World, claim: Key) -> None:
    for key in world.claimants.of(claim):
        pod = world.pods.get(key)
        if pod is not None and pod.spec.node_name:
            world.pod_moved(pod.spec.node_name)


def _same_to_placement(old: Node, new: Node) -> bool:
    return (
        old.metadata.uid == new.metadata.uid
        and old.metadata.labels == new.metadata.labels
        and old.spec == new.spec
        and old.status == new.status
    )
