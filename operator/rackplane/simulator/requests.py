"""Jobs of a trace as the gangs that a site's queues are asked for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from rackplane.api.base import MAX_SLOTS
from rackplane.api.common import NVLINK_LEVEL
from rackplane.api.hardware_profile import MAX_PROFILE
from rackplane.simulator.gangs import Request
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.policies import Policy
from rackplane.simulator.scaling import shape_of
from rackplane.simulator.site import Site

__all__ = ["RequestError", "requests_of", "segment_slots"]


class RequestError(Exception):
    """Jobs that this site cannot be asked for, in words."""


def requests_of(jobs: Sequence[TraceJob], site: Site, policy: Policy, *, seed: int) -> list[Request]:
    """In the order of the jobs, which is that of their arrival.

    Raises:
        RequestError: a queue or a level that the site does not have, or a gang that is too large for a Gang.
    """
    draw = random.Random(seed)
    width = max(5, len(str(len(jobs))))
    queues = {job.queue: _queue(job, site, policy) for job in jobs}
    found = []
    for number, job in enumerate(jobs):
        shape = shape_of(job.gpus, site.gpus_per_node)
        if shape.slots > MAX_SLOTS:
            raise RequestError(
                f"{job.name}: {shape.slots:,} pods are more than the {MAX_SLOTS:,} of a Gang: leave it out with "
                "--largest, or cut it with --cap"
            )
        spec: dict[str, Any] = {
            "queue": queues[job.queue],
            "slots": shape.slots,
            "gpusPerSlot": shape.gpus_per_slot,
            "resourceName": site.resource,
            "priority": job.priority,
            "topology": _topology(job, shape.slots, site, policy),
            "power": {"profile": policy.profile or job.profile or MAX_PROFILE, "strict": policy.strict},
            "disruption": policy.disruption.value,
        }
        fewest = -(-shape.slots * policy.fewest_percent // 100)
        if fewest < shape.slots:
            spec["minSlots"] = fewest
        found.append(Request(f"j{number:0{width}}", job, spec, _told(job, policy, draw)))
    return found


def segment_slots(slots: int, domain_nodes: int) -> int:
    """Slots of each segment of a gang that no NVLink domain holds: the largest power of two that one does."""
    return min(slots, 1 << (max(1, domain_nodes).bit_length() - 1))


def _topology(job: TraceJob, slots: int, site: Site, policy: Policy) -> dict[str, Any]:
    if policy.topology == "none":
        return {}
    if policy.topology != "auto":
        return {"required": policy.topology}
    if job.segment_gpus is not None:
        segment = shape_of(job.segment_gpus, site.gpus_per_node).slots
        return {"segmentSlots": min(slots, segment)}
    if slots <= site.domain_nodes:
        return {"required": NVLINK_LEVEL}
    if site.domain_nodes == 1:
        return {}
    return {"segmentSlots": segment_slots(slots, site.domain_nodes)}


def _queue(job: TraceJob, site: Site, policy: Policy) -> str:
    known = ", ".join(site.queues)
    if policy.queue:
        if policy.queue not in site.queues:
            raise RequestError(f"policy queue={policy.queue}: the facility has no such Queue; it has {known}")
        return policy.queue
    if job.queue in site.queues:
        return job.queue
    if len(site.queues) == 1:
        return site.queues[0]
    asked = f"queue {job.queue!r}" if job.queue else "no queue"
    raise RequestError(
        f"{job.name} names {asked}, and the facility has {known}: give it a Queue of that name, or send all jobs to "
        "one with --policy queue=NAME"
    )


def _told(job: TraceJob, policy: Policy, draw: random.Random) -> int | None:
    if policy.told == "none":
        return None
    if policy.told == "exact":
        return job.duration
    return max(1, round(job.duration * draw.lognormvariate(0.0, policy.sigma)))
