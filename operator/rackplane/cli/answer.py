"""The answer to `rackplane explain gang`: what the operator would decide now, or what the gang holds already."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from rackplane.api.labels import QUEUE_LABEL
from rackplane.cli.errors import CommandError, Exit, nearest
from rackplane.cli.source import namespace_of, open_source, time_of
from rackplane.cli.words import names
from rackplane.core.gangs.decisions import Estimate, Key, booking_key
from rackplane.core.gangs.explaining import explanation
from rackplane.core.gangs.jobs import JOBS_PREFIX
from rackplane.core.gangs.podgroups import POD_GROUP_PREFIX
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.saying import why_it_waits
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.gangs.workload import gang_name_of, gang_name_of_job, gang_name_of_pod
from rackplane.core.machine import Machine
from rackplane.core.objects import Gang, Job, Pod
from rackplane.core.offline import rehearsal
from rackplane.core.offline.documents import DocumentError, core_object, read_documents
from rackplane.core.queues.lining_up import pending
from rackplane.core.site.figures import worst_contingency
from rackplane.engine.model import Placement, Refusal
from rackplane.engine.reporting.reports import FacilityReport, WorstCase, facility_report
from rackplane.engine.state import State

__all__ = ["Answer", "Outcome", "Reserve", "answer", "answer_for", "as_data"]


class Outcome(StrEnum):
    """What came out."""

    PLACED = "Placed"
    COULD_START = "CouldStart"
    WAITS = "Waits"
    HELD = "Held"
    FINISHED = "Finished"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Reserve:
    """What a gang adds to one element, and how the element stands with it; watts."""

    kind: str
    name: str
    added_watts: int
    load_watts: int
    limit_watts: int
    worst: WorstCase | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Everything there is to say about one gang."""

    gang: Gang
    outcome: Outcome
    #: why it is so, in words
    message: str
    #: what its status in the cluster says; empty if there is none
    status_says: str
    #: its place among those that wait, and how many these are
    place: tuple[int, int] | None = None
    #: the engine's answer behind the message; None if it waits for something else
    refusal: Refusal | None = None
    #: when it could start by what is expected now; None if that is not known
    estimate: Estimate | None = None
    placement: Placement | None = None
    #: caps of its nodes in watts
    node_watts: tuple[int, ...] = ()
    reserves: tuple[Reserve, ...] = ()

    @property
    def positive(self) -> bool:
        """It runs, could start, or has run to its end."""
        return self.outcome in (Outcome.PLACED, Outcome.COULD_START, Outcome.FINISHED)

    @property
    def agrees(self) -> bool:
        """Whether the status says the same, or there is none."""
        return not self.status_says or self.status_says == self.message


def answer(options: argparse.Namespace) -> Answer:
    """Ask the source that the options name.

    Raises:
        CommandError: it cannot be read, or there is no such gang.
    """
    more = _file(options)
    bodies = [body for body in more if body["kind"] != "PodGroup"]
    machine, now = open_source(options, more=more), time_of(options)
    unreadable = rehearsal.submit_all(machine, now) if options.facility is not None else {}
    if bodies and options.facility is None:
        unreadable = _submit(machine, bodies, now)
    key = _asked(machine, options, [_gang_of(machine, body) for body in bodies])
    if (problems := unreadable.get(key)) is not None:
        what = "; ".join(map(str, problems))
        raise CommandError(f"{key[0]}/{key[1]} asks for what cannot be read: {what}")
    return answer_for(machine, key, submitted=all(_gang_of(machine, body) != key for body in bodies))


# -- which gang --------------------------------------------------------------------------------------


def _file(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The Jobs and pods of ``-f``, and the PodGroups beside them."""
    if options.filename is None:
        if options.name is None:
            raise CommandError("name a gang, or a file with -f", code=Exit.USAGE)
        return []
    try:
        bodies = [
            document.body for document in read_documents(options.filename, namespace=namespace_of(options))
        ]
    except DocumentError as error:
        raise CommandError(str(error)) from error
    groups = [body for body in bodies if body["kind"] == "PodGroup"]
    bodies = [body for body in bodies if body["kind"] in ("Job", "Pod")]
    unlabelled = [b for b in bodies if QUEUE_LABEL not in (b["metadata"].get("labels") or {})]
    for body in unlabelled:
        raise CommandError(
            f"{options.filename}: {body['kind']} {body['metadata']['name']} has no label {QUEUE_LABEL}, so Rackplane "
            "leaves it to others; add the label with the name of a Queue"
        )
    if not bodies:
        raise CommandError(f"{options.filename} has no Job and no Pod: name a file with a workload")
    return [*bodies, *groups]


def _gang_of(machine: Machine, body: Mapping[str, Any]) -> Key:
    found = core_object(body)
    assert isinstance(found, Job | Pod)
    name = (
        gang_name_of(found) if isinstance(found, Job) else gang_name_of_pod(found, machine.world.pod_groups)
    )
    return found.metadata.namespace, name or ""


def _submit(machine: Machine, bodies: Sequence[Mapping[str, Any]], now: float) -> dict[Key, Any]:
    found = {}
    for key in dict.fromkeys(_gang_of(machine, body) for body in bodies):
        record = machine.gangs[key]
        _, problems = rehearsal.submit(machine, list(record.jobs.values()) or list(record.pods.values()), now)
        if problems:
            found[key] = problems
    return found


def _asked(machine: Machine, options: argparse.Namespace, of_file: Sequence[Key]) -> Key:
    keys = list(dict.fromkeys(of_file))
    if options.name is None:
        if len(keys) > 1:
            raise CommandError(
                f"-f has {len(keys)} gangs; name one of {', '.join(k[1] for k in keys)}", code=Exit.USAGE
            )
        return keys[0]
    space, name = namespace_of(options), options.name
    known = {key for key, record in machine.gangs.items() if record.gang is not None or record.problems}
    known |= {key for key in machine.gangs if key in keys or _labelled(machine.gangs[key])}
    called = (
        name,
        gang_name_of_job(name),
        f"{JOBS_PREFIX}{name}",
        f"pod-{name}",
        f"{POD_GROUP_PREFIX}{name}",
    )
    for candidate in called:
        if (space, candidate) in known:
            return space, candidate
    if (space, name) in machine.world.jobs:
        raise CommandError(
            f"Job {space}/{name} has no label {QUEUE_LABEL}: Rackplane leaves it to others", code=Exit.NO
        )
    elsewhere = sorted(key[0] for key in known if key[1] in called)
    if elsewhere:
        raise CommandError(
            f"there is no gang {name} in namespace {space}; there is one in {elsewhere[0]}: add -n",
            code=Exit.NO,
        )
    here = [key[1] for key in known if key[0] == space]
    hint = nearest(name, here) or nearest(gang_name_of_job(name), here)
    raise CommandError(f"there is no gang {name} in namespace {space}{hint}", code=Exit.NO)


def _labelled(record: GangRecord) -> bool:
    """A workload in the queue whose Gang the operator has not made yet, or cannot make."""
    return bool(record.pods) or (record.job is not None and QUEUE_LABEL in record.job.metadata.labels)


# -- the answer --------------------------------------------------------------------------------------


def answer_for(machine: Machine, key: Key, *, submitted: bool = True) -> Answer:
    """What there is to say about a gang of the machine; the machine is good for no other question after it.

    Args:
        submitted: False for one that is only asked about, and holds nothing before it is submitted.

    Raises:
        CommandError: it has no Gang of that key.
    """
    record = machine.gangs[key]
    gang = record.gang
    if gang is None:
        raise CommandError(f"the operator has made no Gang {key[0]}/{key[1]} yet: is it running?")
    said = gang.status.message
    queue = [waiting.key for waiting in pending(machine.world)]
    if record.decision is not None:
        return _placed(machine, record, Outcome.PLACED, said or "it has its place", said)
    if key not in queue:
        outcome = {"Finished": Outcome.FINISHED, "Failed": Outcome.FAILED, "Held": Outcome.HELD}.get(
            record.phase
        )
        message = said or record.message or _unseen(record)
        return Answer(gang=gang, outcome=outcome or Outcome.WAITS, message=message, status_says=said)
    rehearsal.decide(machine, key)
    if not submitted:
        _only_would(record)
    place = (queue.index(key) + 1, len(queue))
    if record.decision is not None:
        where = names(list(dict.fromkeys(group.rack for group in record.decision.placement.groups)))
        return _placed(machine, record, Outcome.COULD_START, f"it would be placed on {where}", said, place)
    return Answer(
        gang=gang,
        outcome=Outcome.WAITS,
        message=why_it_waits(record),
        status_says=said,
        place=place,
        refusal=record.refusal,
        estimate=record.estimate,
    )


def _only_would(record: GangRecord) -> None:
    """Say of a place and of quota that they would be held."""
    estimate = record.estimate
    if estimate is not None and estimate.held:
        words = f"would hold{estimate.words.removeprefix('holds')}"
        record.estimate = replace(estimate, words=words)
    record.quota_words = record.quota_words.replace("is held", "would be held")


def _unseen(record: GangRecord) -> str:
    """Why a gang that nobody has said anything of is not in the queue."""
    assert record.gang is not None
    workload = record.gang.spec.workload
    if record.template is None:
        return f"its {workload.kind} {workload.name} does not exist"
    return "the operator has not looked at it yet"


def _placed(
    machine: Machine,
    record: GangRecord,
    outcome: Outcome,
    message: str,
    said: str,
    place: tuple[int, int] | None = None,
) -> Answer:
    assert machine.state is not None and record.decision is not None and record.gang is not None
    placement, state = record.decision.placement, machine.state
    caps = {cap for node in placement.slots if (cap := state.cap_watts(node)) is not None}
    return Answer(
        gang=record.gang,
        outcome=outcome,
        message=message,
        status_says=said,
        place=place,
        placement=placement,
        node_watts=tuple(sorted(caps)) if placement.gpus_per_slot else (),
        reserves=tuple(_reserves(state, booking_key(record.key))),
    )


def _reserves(state: State, key: str) -> Iterator[Reserve]:
    """What the booking adds to each element, from the sources down to its racks."""
    report = facility_report(state)
    with state.simulation():
        state.release(key)
        without = facility_report(state)
    for kind, name in _order(state, report):
        now, then = _figures(report, kind, name), _figures(without, kind, name)
        # A standby element adds nothing now, and all of it after the loss that it stands by for.
        stands_by = kind == "PowerDomain" and now[2] and then[2] and now[2].load_watts != then[2].load_watts
        if now[0] != then[0] or stands_by:
            yield Reserve(kind, name, now[0] - then[0], *now)


def _order(state: State, report: FacilityReport) -> Iterator[tuple[str, str]]:
    parents = {name: [feed.power for feed in spec.parents] for name, spec in state.facility.powers.items()}
    depth: dict[str, int] = {}
    # As many rounds as the longest path: a cycle of parents ends it too.
    for _ in parents:
        deeper = {n: 1 + max((depth.get(p, 0) for p in of), default=0) for n, of in parents.items()}
        if deeper == depth:
            break
        depth = deeper
    yield from (("PowerBudget", name) for name in report.budgets)
    yield from (("PowerDomain", name) for name in sorted(report.powers, key=lambda name: depth.get(name, 0)))
    yield from (("CoolingZone", name) for name in report.coolings)
    yield from (("Rack", name) for name in report.racks)


def _figures(report: FacilityReport, kind: str, name: str) -> tuple[int, int, WorstCase | None]:
    match kind:
        case "PowerBudget":
            budget = report.budgets[name]
            return budget.nominal_watts, budget.limit_watts, budget.worst
        case "PowerDomain":
            power = report.powers[name]
            return power.nominal_watts, power.usable_watts, power.worst
        case "CoolingZone":
            zone = report.coolings[name]
            return zone.heat_watts, zone.usable_watts, zone.worst
    rack = report.racks[name]
    return rack.nominal_watts, rack.limit_watts, rack.worst


# -- for programs ------------------------------------------------------------------------------------


def as_data(found: Answer) -> dict[str, Any]:
    """The answer for programs: names as in the Gang's API, watts as integers."""
    gang, spec = found.gang, found.gang.spec
    placement, estimate = found.placement, found.estimate
    return {
        "namespace": gang.metadata.namespace,
        "name": gang.metadata.name,
        "queue": spec.queue,
        "workload": {"kind": spec.workload.kind, "name": spec.workload.name},
        "slots": spec.slots,
        "gpusPerSlot": spec.gpus_per_slot,
        "resourceName": spec.resource_name,
        "groups": [
            {
                "name": g.name,
                "slots": g.slots,
                "gpusPerSlot": g.gpus_per_slot,
                "resourceName": g.resource_name,
            }
            for g in spec.groups
        ],
        "outcome": found.outcome.value,
        "message": found.message,
        "statusSays": found.status_says or None,
        "agrees": found.agrees,
        "position": found.place and found.place[0],
        "waiting": found.place and found.place[1],
        "estimatedStart": None if estimate is None or estimate.at is None else timestamp(estimate.at),
        "explanation": None if found.refusal is None else explanation(found.refusal),
        "placement": placement
        and {
            "powerProfile": placement.power_profile,
            "relativePerformancePercent": placement.relative_performance_percent,
            "nodeWatts": list(found.node_watts),
            "nominalWatts": placement.nominal_watts,
            "peakWatts": placement.peak_watts,
            "liquidWatts": placement.liquid_watts,
            "airWatts": placement.air_watts,
            "assignment": [
                {"nvlinkDomain": group.domain, "rack": group.rack, "nodes": list(group.nodes)}
                for group in placement.groups
            ],
        },
        "reserves": [
            {
                "kind": r.kind,
                "name": r.name,
                "addedWatts": r.added_watts,
                "loadWatts": r.load_watts,
                "limitWatts": r.limit_watts,
                "worstContingency": None if r.worst is None else worst_contingency(r.worst),
            }
            for r in found.reserves
        ],
    }
