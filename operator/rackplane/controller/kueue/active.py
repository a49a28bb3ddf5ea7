"""The condition Active of our AdmissionChecks: Kueue gives no quota in a ClusterQueue that has one which is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog

from rackplane.core.gangs.statuses import timestamp
from rackplane.core.workloads.kueue import AdmissionCheck, queue_of
from rackplane.kube.applying import server_side_apply
from rackplane.kube.client import ApiError, Client
from rackplane.kube.resources import Resource

__all__ = ["CheckKeeper", "judged"]

#: As whom the condition is written.
MANAGER: Final = "rackplane-admission-check"
#: Nothing is asked of the API server at a look that finds nothing new.
_SECONDS: Final = 1.0

log = structlog.stdlib.get_logger(__name__)


def judged(check: AdmissionCheck, has_queue: Callable[[str], bool]) -> tuple[bool, str, str]:
    """Whether the check can be answered, a reason in one word, and why, for people."""
    try:
        queue = queue_of(check)
    except ValueError as error:
        return False, "BadParameters", str(error)
    if not has_queue(queue):
        return (
            False,
            "QueueNotFound",
            f"there is no Queue {queue}: create it, or name another in spec.parameters",
        )
    return True, "Active", f"gangs go through Queue {queue}"


class CheckKeeper:
    """Looks until cancelled, and writes while this process leads.

    Args:
        checks: our checks as they are now.
        resource: AdmissionChecks, in the version that is served.
        has_queue: whether there is a Queue of this name.
        leading: whether this process leads.
        clock: seconds since the epoch.
        sleep: for tests.
    """

    def __init__(
        self,
        client: Client,
        *,
        checks: Callable[[], Mapping[str, AdmissionCheck]],
        resource: Callable[[], Resource],
        has_queue: Callable[[str], bool],
        leading: Callable[[], bool],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._client, self._checks, self._resource = client, checks, resource
        self._has_queue, self._leading, self._clock, self._sleep = has_queue, leading, clock, sleep

    async def run(self) -> None:
        """Look again and again. What fails is logged, and tried again."""
        while True:
            await self.look()
            await self._sleep(_SECONDS)

    async def look(self) -> None:
        """Compare once, and write what differs."""
        for check in list(self._checks().values()):
            if not self._leading():
                return
            await self._write(check)

    async def _write(self, check: AdmissionCheck) -> None:
        meta = check.metadata
        active, reason, message = judged(check, self._has_queue)
        status = "True" if active else "False"
        known = next((c for c in check.status.conditions if c.type == "Active"), None)
        if known is not None and (known.status, known.reason, known.message, known.observed_generation) == (
            status,
            reason,
            message,
            meta.generation,
        ):
            return
        same = known is not None and known.status == status and known.last_transition_time
        condition = {
            "type": "Active",
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": meta.generation,
            "lastTransitionTime": same or timestamp(self._clock()),
        }
        resource = self._resource()
        body = {
            "apiVersion": f"{resource.group}/{resource.version}",
            "kind": "AdmissionCheck",
            "metadata": {"name": meta.name, "uid": meta.uid},
            "status": {"conditions": [condition]},
        }
        try:
            await server_side_apply(
                self._client, resource, body, manager=MANAGER, subresource="status", force=True
            )
        except ApiError as error:
            log.warning("the condition of an AdmissionCheck was refused", name=meta.name, error=str(error))
        else:
            log.info("answered for an AdmissionCheck", name=meta.name, active=active, message=message)
