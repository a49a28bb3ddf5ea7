"""The limits that count in what is measured: the facility's own, also where a policy keeps the machine from them."""

from __future__ import annotations

from dataclasses import replace

from rackplane.core.machine import Machine
from rackplane.core.site.facility import Catalog
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.facility import Facility
from rackplane.simulator.facilityevents import Change
from rackplane.simulator.policies import Policy
from rackplane.simulator.site import Site

__all__ = ["Truth"]


class Truth:
    """The compiled facility at any moment."""

    def __init__(self, site: Site, policy: Policy, machine: Machine, begin: int) -> None:
        self._machine, self._begin, self._policy = machine, begin, policy
        self._catalog: Catalog | None = None
        self._known: Facility | None = None
        self._until: float | None = None
        if not policy.watts:
            self._catalog = Catalog()
            for (kind, name), body in site.bodies.items():
                self._catalog.put(kind, name, body)

    def put(self, change: Change) -> None:
        """An object of the facility is another one."""
        if self._catalog is None:
            return
        if change.body is None:
            self._catalog.drop(change.kind, change.name)
        else:
            self._catalog.put(change.kind, change.name, change.body)
        self._known = None

    def facility(self, now: int) -> Facility:
        """As it is at that second: the same object while nothing has changed."""
        state = self._machine.state
        assert state is not None  # everything has been listed
        if self._catalog is None:
            return state.facility
        at = float(self._begin + now)
        if self._known is None or (self._until is not None and at >= self._until):
            spec = replace(self._catalog.spec(at), admit_after_loss=self._policy.admit_after_loss)
            self._known = compile_facility(spec)
            self._until = self._catalog.next_change(at)
        return self._known
