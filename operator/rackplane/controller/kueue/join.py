"""Kueue's Workloads joined with the AdmissionChecks and ResourceFlavors that they name, as these come and go."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from rackplane.core import events as e
from rackplane.core.workloads.kueue import (
    CONTROLLER,
    WORKLOAD,
    AdmissionCheck,
    ResourceFlavor,
    queue_of,
    view,
)
from rackplane.core.workloads.view import Body

__all__ = ["KueueJoin"]

log = structlog.stdlib.get_logger(__name__)

Key = tuple[str, str]


class KueueJoin:
    """Tells of every Workload that our checks are asked of as it is with its checks and flavors.

    Args:
        feed: takes the events.
    """

    def __init__(self, feed: Callable[[e.Event], None]) -> None:
        self._feed = feed
        self._bodies: dict[Key, tuple[Body, str]] = {}
        self._flavors: dict[str, ResourceFlavor] = {}
        #: those of this controller, by name
        self.checks: dict[str, AdmissionCheck] = {}
        self._usable: dict[str, AdmissionCheck] = {}

    def put(self, body: Body, version: str) -> None:
        """A Workload as it is now, in the version it was read in."""
        self._bodies[body.metadata.namespace, body.metadata.name] = (body, version)
        self._tell(body, version)

    def drop(self, namespace: str, name: str) -> None:
        self._bodies.pop((namespace, name), None)
        self._feed(e.WorkloadDeleted(WORKLOAD.kind, namespace, name))

    def put_check(self, check: AdmissionCheck) -> None:
        name, before = check.metadata.name, self._usable.get(check.metadata.name)
        if check.spec.controller_name != CONTROLLER:
            self.drop_check(name)
            return
        self.checks[name] = check
        try:
            queue_of(check)
        except ValueError:
            self._usable.pop(name, None)
        else:
            self._usable[name] = check
        now = self._usable.get(name)
        if (now and now.spec) != (before and before.spec):
            self._tell_all()

    def drop_check(self, name: str) -> None:
        self.checks.pop(name, None)
        if self._usable.pop(name, None) is not None:
            self._tell_all()

    def put_flavor(self, flavor: ResourceFlavor) -> None:
        before = self._flavors.get(flavor.metadata.name)
        self._flavors[flavor.metadata.name] = flavor
        if before is None or before.spec != flavor.spec:
            self._tell_all()

    def drop_flavor(self, name: str) -> None:
        if self._flavors.pop(name, None) is not None:
            self._tell_all()

    def _tell_all(self) -> None:
        # Checks and flavors change when an administrator changes them.
        for body, version in self._bodies.values():
            self._tell(body, version)

    def _tell(self, body: Body, version: str) -> None:
        meta = body.metadata
        try:
            found = view(body, version, self._usable, self._flavors)
        except msgspec.ValidationError as error:
            log.error(
                "a Workload does not look as Kueue documents it and is passed over",
                namespace=meta.namespace,
                name=meta.name,
                error=str(error),
            )
            found = None
        if found is None:
            # One of others, or not ours any more: what was known of it does not hold.
            self._feed(e.WorkloadDeleted(WORKLOAD.kind, meta.namespace, meta.name))
        else:
            self._feed(e.WorkloadChanged(found))
