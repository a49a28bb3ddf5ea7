"""How the machine behaves where the field leaves a choice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rackplane.api.fabric import Fabric

__all__ = ["Confirmation", "Defragmentation", "MachineSettings", "Shedding", "parse_conditions"]

_USUAL: Final = Fabric()


class Defragmentation(StrEnum):
    """OFF: no moves are looked for. PROPOSE: waiting gangs are told of them, and nothing is moved. MOVE: those that
    the budget allows are carried out."""

    OFF = "Off"
    PROPOSE = "Propose"
    MOVE = "Move"


class Shedding(StrEnum):
    """OFF: nothing, it is shown. CAP: power profiles are lowered. STOP: gangs are stopped where that is not enough."""

    OFF = "Off"
    CAP = "Cap"
    STOP = "Stop"


class Confirmation(StrEnum):
    """Who says that a power cap is in force. NONE: nobody, it counts from when it is written. AGENT: the agent on the
    node, in an annotation. ENDPOINT: the endpoint that sets it, by its answer."""

    NONE = "None"
    AGENT = "Agent"
    ENDPOINT = "Endpoint"


def parse_conditions(text: str) -> tuple[tuple[str, str], ...]:
    """Type and status of conditions that are written `KernelDeadlock,GpuHealthy=False`; without a status True.

    Raises:
        ValueError: with a sentence for people.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        kind, _, status = part.partition("=")
        if not re.fullmatch(r"[A-Za-z]([-A-Za-z0-9_./]*[A-Za-z0-9])?", kind):
            raise ValueError(f"{part!r} does not begin with the type of a condition")
        if kind == "Ready":
            raise ValueError(
                "Ready need not be named: a node whose Ready condition is not True is lost anyway"
            )
        if (status or "True") not in ("True", "False", "Unknown"):
            raise ValueError(f"{part!r}: the status of a condition is True, False or Unknown")
        found.append((kind, status or "True"))
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class MachineSettings:
    start_seconds: float = 300.0
    """From commit until every pod must be bound; a gang that is later is placed again. Seconds."""

    unschedulable_seconds: float = 10.0
    """How long kube-scheduler may call a released pod unschedulable before its promise counts as broken. Seconds."""

    node_loss_seconds: float = 30.0
    """How long a node must be lost before what a gang has there is put elsewhere. Seconds."""

    evict_again_seconds: float = 10.0
    """An eviction that was refused, or whose effect is not seen, is asked for again after so long. Seconds."""

    lost_node_conditions: tuple[tuple[str, str], ...] = ()
    """Conditions of a Node, type and status, that mean it is lost to gangs: those of a node-problem-detector."""

    retry_seconds: float = 0.5
    """First pause after a write that failed; doubled with each further failure. Seconds."""

    longest_retry_seconds: float = 30.0
    """The pause grows no longer than this. Seconds."""

    status_seconds: float = 1.0
    """The facility's status is written at most this often, and looked at less often where nothing changes. Seconds."""

    telemetry: bool = False
    """Whether what racks really draw will be told: until then, status keeps what it says of that."""

    lookahead_seconds: float = 7 * 86_400.0
    """How far ahead the start of a gang that waits is looked for. Seconds."""

    assumed_duration_seconds: float = 86_400.0
    """How long a gang that does not say is taken to run, from when its pods run. Seconds."""

    reservations: int = 1
    """So many gangs at the head of the queue that cannot start hold a place, which nobody may delay; 0: none."""

    estimated_gangs: int = 10
    """For so many gangs at the head of the queue it is worked out when they could start."""

    estimate_seconds: float = 10.0
    """For one gang it is worked out at most this often; the gangs take turns, evenly spread. Seconds."""

    told_gangs: int = 10
    """So many gangs at the head of the queue are told at once when their position or their reason changes."""

    queue_seconds: float = 10.0
    """Those further back are told in turns, in rounds that begin at most this often. Seconds."""

    queue_writes: int = 64
    """So many of those further back at most are written in one `status_seconds`."""

    telling_gangs: int = 4
    """So many gangs are being told at one time why they wait, others as the answers come; the first need not wait."""

    share_half_life_seconds: float = 7 * 86_400.0
    """In the share of a queue, use counts half after so many seconds. 0: only what is held now counts."""

    resize_seconds: float = 30.0
    """A gang that runs with fewer slots than it asks for grows at most this often: its ranks start anew. Seconds."""

    growing_gangs: int = 8
    """So many gangs at most are asked in one pass over the queue whether they can grow."""

    explain_questions: int = 12
    """So many placements at most are searched for to find out what would let one refused gang start."""

    explain_gangs: int = 4
    """Of so many gangs at most this is found out in one pass over the queue."""

    explain_seconds: float = 30.0
    """For one gang, while the reason stays of the same kind, at most this often. Seconds."""

    status_writes: int = 5
    """An object whose own figures change again and again is written at once so many times; then once in each
    `status_pause_seconds`. Conditions, and limits that are exceeded, are written at once all the same."""

    status_pause_seconds: float = 10.0
    """See `status_writes`. Seconds."""

    status_refresh_seconds: float = 30.0
    """Figures that other objects' loads change (headroom, worst contingency, stranded watts) are written at most this
    often for one object. What an object carries itself, and its conditions, are written at once. Seconds."""

    status_refresh_writes: int = 64
    """So many objects at most are written in one period for the sake of such figures alone, the oldest first."""

    preempting_gangs: int = 2
    """For so many gangs at most it is worked out in one pass over the queue whom to stop."""

    preempting_seconds: float = 5.0
    """For one gang that is worked out at most this often. Seconds."""

    preempting_pause_seconds: float = 0.5
    """After a search that found nobody to stop the next one waits for so long. Seconds."""

    clearing_seconds: float = 900.0
    """How long a place is held for a gang while others are stopped for it; then it is given up. Seconds."""

    restart_seconds: float = 300.0
    """What starting again costs a gang that is stopped, beside the work since its checkpoint. Seconds."""

    defragmentation: Defragmentation = Defragmentation.OFF
    """Whether moves of running gangs are looked for that let a waiting one start."""

    most_moves: int = 4
    """Gangs that one such plan moves at most."""

    most_lost_gpu_hours: float | None = None
    """Work that one such plan loses at most, in GPU-hours; None: any."""

    proposing_gangs: int = 2
    """For so many gangs at the head of the queue moves are looked for."""

    proposing_seconds: float = 60.0
    """For one gang they are looked for at most this often. Seconds."""

    moves_per_hour: int = 4
    """Gangs that are moved at most within an hour."""

    lost_gpu_hours_per_hour: float | None = 64.0
    """Work that moves may lose within an hour, in GPU-hours; None: any."""

    least_gain: float = 2.0
    """Moves for a gang must save it so many GPU-hours of waiting for each GPU-hour that they lose."""

    domain_gpu_hours: float = 0.0
    """What one more whole free domain is worth: the GPU-hours that moves for it may lose. 0: none are freed."""

    rest_seconds: float = 14_400.0
    """A gang that was moved is not moved again for so long: an hour at least, for which its move counts. Seconds."""

    shedding: Shedding = Shedding.STOP
    """What is done to running gangs while an element is over its limit."""

    shed_protected: bool = False
    """Protected gangs give way too, after all others."""

    shed_delay_seconds: float = 2.0
    """So long a limit must have been exceeded before a gang is stopped: an edit of several objects is not a loss.
    Seconds."""

    actuation_seconds: float = 10.0
    """A power cap that is not in force after so long counts as not done. Seconds."""

    confirmation: Confirmation = Confirmation.NONE
    """Who says that a power cap is in force."""

    send_caps: bool = False
    """Caps are also sent to an endpoint that sets them."""

    emergency_admission: bool = False
    """A loss may take an element up to its emergency rating, where caps are sure to end that in time."""

    emergency_margin_seconds: float = 30.0
    """So much earlier than at the end of an emergency rating's seconds caps must be in force. Seconds."""

    restore_seconds: float = 300.0
    """So long there must have been room for a gang at its higher power profile before its cap is lifted. Seconds."""

    ramp_watts_per_second: float | None = None
    """Caps are lifted no faster than this, over the whole facility; None: at once. Watts a second."""

    cap_writes: int = 4
    """A node whose gangs come and go is written at once so many times; then what nobody waits for (a gang that is gone)
    only once in each `cap_seconds`."""

    cap_seconds: float = 30.0
    """See `cap_writes`. Seconds."""

    admit_after_loss: bool = False
    """While a survivable element is out of service, start gangs that would be over a limit only at a second loss that
    shares its redundancy. False: what the facility was designed to survive it goes on surviving."""

    observe: bool = False
    """Where gangs would be placed is worked out and told; Jobs, pods, nodes and finalizers are not touched."""

    taint_nodes: bool = False
    """Nodes of racks get the taint that keeps pods without a place off them."""

    compute_domains: bool = True
    """ComputeDomains are made for gangs that ask for one."""

    pod_groups: bool = True
    """Pods that name a PodGroup of kube-scheduler, and no gang of ours, are the gang that it says."""

    dra_drivers: tuple[str, ...] = ("gpu.nvidia.com", "gpu.amd.com")
    """DRA drivers whose devices count as GPUs that are not ours."""

    fabric: Fabric = _USUAL
    """The levels that gangs may ask for, and the node labels that name their domains."""

    validate: bool = False
    """Check every invariant after every batch of events. For tests: it costs a recomputation."""
