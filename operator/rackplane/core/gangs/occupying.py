"""What gangs with a ComputeDomain, and ComputeDomains of others, occupy of NVLink cliques; kept up to date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from rackplane.api.labels import CLIQUE_LABEL
from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.pods.channels import claim_template_of
from rackplane.core.pods.cliques import apart, key_of_gang, key_of_label, marked
from rackplane.core.pods.neighbours import Pods
from rackplane.core.pods.podterms import Term
from rackplane.core.world import World

__all__ = ["has_namesake", "keeps_apart", "occupied", "occupied_words", "occupy", "recount_labels"]

_NAMED = 3


def keeps_apart(record: GangRecord) -> tuple[Term, ...]:
    """What bars the gang's pods from cliques that others occupy; nothing if it asks for no ComputeDomain."""
    if not record.asks_for_domain():
        return ()
    # Gangs that wait have none of their own yet, and share one answer.
    return (apart(booking_key(record.key) if record.decision is not None else ""),)


def has_namesake(world: World, record: GangRecord) -> bool:
    """Whether there is something of the name of the ComputeDomain that it asks for, or of what comes with that."""
    namespace, name = record.key
    return record.asks_for_domain() and (
        record.key in world.cliques.domains or (namespace, claim_template_of(name)) in world.claim_templates
    )


def occupy(world: World, record: GangRecord) -> None:
    """Count the gang's nodes anew; its decision may be another."""
    if record.asks_for_domain() or world.neighbours.promised_to(key_of_gang(record.key)) is not None:
        world.neighbours.promise(key_of_gang(record.key), *_of_gang(world, record))
        world.cliques.gang(record.key)


def recount_labels(world: World) -> None:
    """Count the nodes of those labels anew that mean something else."""
    for uid in world.cliques.stale:
        world.neighbours.promise(key_of_label(uid), *_of_label(world, uid))
    world.cliques.stale.clear()


def occupied(world: World) -> Iterator[tuple[Key, Pods, Mapping[str, int]]]:
    """All that is counted, from the beginning: the key, what stands for the pods, and their nodes."""
    for record in world.gangs.values():
        pods, nodes = _of_gang(world, record)
        if nodes:
            yield key_of_gang(record.key), pods, nodes
    for uid in world.cliques.uids():
        pods, nodes = _of_label(world, uid)
        if nodes:
            yield key_of_label(uid), pods, nodes


def occupied_words(world: World) -> str:
    """Which cliques are left out for a gang that waits for one of its own, and for whom; "" if none is."""
    found: dict[str, str] = {}
    for (kind, name), _, nodes in occupied(world):
        who = f"gang {name}" if kind == key_of_gang(("", ""))[0] else _called(world, name)
        for node in nodes:
            clique = world.neighbours.value(node, CLIQUE_LABEL)
            if clique is not None:
                found.setdefault(clique, who)
    if not found:
        return ""
    named = ", ".join(f"{clique} ({who})" for clique, who in sorted(found.items())[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"NVLink cliques that have a ComputeDomain take no second one: {named}{more}"


def _called(world: World, uid: str) -> str:
    name = world.cliques.name_of(uid)
    return f"a ComputeDomain of uid {uid}" if name is None else f"ComputeDomain {'/'.join(name)}"


def _of_gang(world: World, record: GangRecord) -> tuple[Pods, Mapping[str, int]]:
    key = booking_key(record.key)
    if world.state is None or record.decision is None or not record.asks_for_domain():
        return marked(key), {}
    placement = record.decision.placement
    held = world.state.held(key).items()
    # What has no GPU shares no memory of one.
    return marked(key), Counter(node for slot, node in held if placement.gpus_of(slot))


def _of_label(world: World, uid: str) -> tuple[Pods, Mapping[str, int]]:
    name = world.cliques.name_of(uid)
    record = None if name is None else world.gangs.get(name)
    ours = record is not None and record.gang is not None and world.cliques.is_of(record.gang)
    if ours and record is not None and record.decision is not None and record.asks_for_domain():
        return marked(uid), {}  # counted by its slots, which a simulation can take away
    return marked(uid), dict.fromkeys(world.cliques.labelled(uid), 1)
