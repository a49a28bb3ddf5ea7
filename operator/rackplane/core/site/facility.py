"""The facility as configured: custom resources in, the engine's description and the problems out.

An object that does not decode is kept with what is wrong with it and has no capacity. Where something refers to it
the engine sees a reference to nothing, which is unusable; where it would have been a bound (a PowerBudget, the
policy of an NVLinkDomain) the bound is 0. Never does an error read as "no limit".

What was valid and carries load keeps its place in the power path when it no longer decodes or is being deleted: its
capacity is 0, and what runs under it still counts on everything above.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from rackplane.api.base import Resource
from rackplane.api.common import ServiceState
from rackplane.api.cooling_zone import CoolingZone
from rackplane.api.fabric import Fabric
from rackplane.api.gang import Gang
from rackplane.api.hardware_profile import HardwareProfile, NVLinkScope
from rackplane.api.kinds import BY_KIND
from rackplane.api.nvlink_domain import NVLinkDomain
from rackplane.api.power_budget import PowerBudget
from rackplane.api.power_domain import PowerDomain
from rackplane.api.queue import Queue
from rackplane.api.rack import Rack
from rackplane.core.objects import Node
from rackplane.core.settings import MachineSettings
from rackplane.core.site.budgets import Budgets
from rackplane.core.site.draining import Service, service_of
from rackplane.core.site.entries import ELEMENTS, Entry, ObjectKey, entry_of, same
from rackplane.core.site.membership import Claim, Membership, membership_problems
from rackplane.core.site.planned import Planned, works_of
from rackplane.core.site.reports import worsened
from rackplane.core.site.translation import cooling_spec, node_type, planned, power_spec, rack_spec
from rackplane.engine.model import (
    DomainSpec,
    FacilitySpec,
    NodeSpec,
    Problem,
)
from rackplane.engine.physics.facility import Facility
from rackplane.engine.planning.works import Works, without

__all__ = ["FACILITY_KINDS", "Catalog", "ObjectKey"]

M = TypeVar("M", bound=Resource)

#: The kinds a Catalog takes: all but Gang.
FACILITY_KINDS: Final = frozenset(BY_KIND) - {Gang.info.kind}
_DEFAULTS: Final = MachineSettings()
_SHAPES_MEMBERSHIP: Final = frozenset({"HardwareProfile", "Rack", "NVLinkDomain"})
_DANGLING: Final = re.compile(r"(power domain|cooling zone|hardware profile) (\S+) does not exist$")
_KIND_BY_NOUN: Final = {
    "power domain": "PowerDomain",
    "cooling zone": "CoolingZone",
    "hardware profile": "HardwareProfile",
}


class Catalog:
    """Every facility object and Queue as last seen, and which rack each node belongs to.

    After a `put` or `drop` that returned True, `spec` is to be compiled anew and `node_spec` asked again for every
    node: which nodes are claimed twice or by nobody is known for the nodes asked for since.

    Args:
        horizon: how far ahead starts of gangs are estimated, in seconds.
        fabric: the levels there are, and the node labels that name their domains.
        lost_conditions: of a Node, type and status: one that has them takes no gang.
    """

    def __init__(
        self,
        *,
        horizon: float = _DEFAULTS.lookahead_seconds,
        fabric: Fabric = _DEFAULTS.fabric,
        lost_conditions: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._horizon = horizon
        self.fabric = fabric
        self._lost_conditions = lost_conditions
        self._entries: dict[str, dict[str, Entry]] = {kind: {} for kind in FACILITY_KINDS}
        self._budgets: Budgets | None = None
        self._maintenance: list[float] | None = None
        self._planned: Planned | None = None
        self._membership: Membership | None = None
        self._claims: dict[str, Claim] = {}
        #: by name, nodes as they were looked at last, and what the engine is told of them
        self._specs: dict[str, tuple[Node, NodeSpec | None]] = {}
        self._elements: dict[ObjectKey, Entry] = {}
        #: power domains whose emergency ratings admissions may count on
        self.emergency: frozenset[str] = frozenset()
        #: counts changes of what objects say and of which are being deleted
        self.revision = 0

    # --- what happened ------------------------------------------------------------------------------

    def put(self, kind: str, name: str, body: Mapping[str, Any]) -> bool:
        """Take an object as the API server has it. Never raises on its content.

        Returns:
            whether its spec or its validity changed, or it is being deleted now; False for another change of metadata
            or of status.

        Raises:
            KeyError: if `kind` is not one of FACILITY_KINDS.
        """
        entries = self._entries[kind]
        old = entries.get(name)
        entries[name] = entry = entry_of(kind, name, body, old)
        if kind in ELEMENTS:
            self._elements[kind, name] = entry
        if old is not None and same(old, entry):
            return False
        self._reshape(kind)
        return True

    def drop(self, kind: str, name: str) -> bool:
        """Forget an object; returns whether it was known."""
        if self._entries[kind].pop(name, None) is None:
            return False
        self._elements.pop((kind, name), None)
        self._reshape(kind)
        return True

    def forget_node(self, name: str) -> None:
        """Forget a node that is gone; unknown names are ignored."""
        self._claims.pop(name, None)
        self._specs.pop(name, None)

    def _reshape(self, kind: str) -> None:
        self.revision += 1
        self._budgets = None
        self._maintenance = None
        self._planned = None
        if kind in _SHAPES_MEMBERSHIP:
            self._membership = None
            self._claims.clear()
            self._specs.clear()

    # --- queues and objects -------------------------------------------------------------------------

    def queue(self, name: str) -> Queue | None:
        """The queue, None if there is none or it does not decode."""
        return self.get(Queue, name)

    def queues(self) -> dict[str, Queue]:
        """The valid queues by name, in order of name."""
        return self._valid(Queue)

    def get(self, model: type[M], name: str) -> M | None:
        """The object of that kind, None if there is none or it does not decode; of an element the last that did."""
        entry = self._entries[model.info.kind].get(name)
        return entry.model if entry is not None and isinstance(entry.model, model) else None

    def knows(self, kind: str, name: str) -> bool:
        """Whether there is such an object, valid or not."""
        return name in self._entries[kind]

    def generation(self, kind: str, name: str) -> int:
        """metadata.generation as last seen, for observedGeneration; 0 if the object is not known."""
        entry = self._entries[kind].get(name)
        return 0 if entry is None else entry.generation

    def uid(self, kind: str, name: str) -> str:
        """metadata.uid as last seen; empty if the object is not known."""
        entry = self._entries[kind].get(name)
        return "" if entry is None else entry.uid

    def conditions(self, kind: str, name: str) -> tuple[Mapping[str, Any], ...]:
        """status.conditions as last seen, for the times of their transitions."""
        entry = self._entries[kind].get(name)
        return () if entry is None else entry.conditions

    def status(self, kind: str, name: str) -> Mapping[str, Any]:
        """status as last seen; empty if the object is not known."""
        entry = self._entries[kind].get(name)
        return {} if entry is None else entry.status

    def resources(self) -> tuple[str, ...]:
        """Accelerators that valid HardwareProfiles name, in order of name."""
        return tuple(sorted({p.spec.resource_name for p in self._valid(HardwareProfile).values()}))

    def device_classes(self) -> dict[str, tuple[str, ...]]:
        """DeviceClasses that valid HardwareProfiles name, with the accelerators of those that do, in order of name."""
        found: dict[str, set[str]] = {}
        for profile in self._valid(HardwareProfile).values():
            for name in profile.spec.device_class_names:
                found.setdefault(name, set()).add(profile.spec.resource_name)
        return {name: tuple(sorted(resources)) for name, resources in sorted(found.items())}

    def joined_nodes(self) -> dict[str, int]:
        """Accelerators of a node by resource, the most of any profile whose NVLink domains may have several nodes."""
        found: dict[str, int] = {}
        for profile in self._valid(HardwareProfile).values():
            spec = profile.spec
            if spec.nvlink_scope in (NVLinkScope.LABEL, NVLinkScope.OBJECT):
                found[spec.resource_name] = max(found.get(spec.resource_name, 0), spec.gpus_per_node)
        return found

    def entry(self, kind: str, name: str) -> Entry | None:
        """The object as last seen, whatever it says; None if it is not known."""
        return self._entries[kind].get(name)

    def elements(self) -> Mapping[ObjectKey, Entry]:
        """Every object that carries load, as last seen."""
        return self._elements

    def objects(self) -> list[ObjectKey]:
        """Every object, the invalid ones too, sorted."""
        return sorted((kind, name) for kind, entries in self._entries.items() for name in entries)

    def _valid(self, model: type[M]) -> dict[str, M]:
        entries = sorted(self._entries[model.info.kind].items())
        return {name: entry.model for name, entry in entries if isinstance(entry.model, model)}

    def current(self, model: type[M]) -> dict[str, M]:
        """The valid objects of that kind by name, as what machines report of them makes them."""
        entries = sorted(self._entries[model.info.kind].items())
        return {n: worsened(e.model, e.effects) for n, e in entries if isinstance(e.model, model)}

    def services(self) -> dict[ObjectKey, Service]:
        """The valid racks and NVLink domains that take no gangs because of their state, and why."""
        found = (
            (key, service_of(model))
            for kind in (Rack, NVLinkDomain)
            for name, model in self.current(kind).items()
            for key in ((kind.info.kind, name),)
        )
        return {key: service for key, service in found if service is not None}

    def _invalid(self, kind: str) -> dict[str, object]:
        return {name: e.raw for name, e in sorted(self._entries[kind].items()) if e.model is None}

    def next_change(self, now: float) -> float | None:
        """When `spec` next answers otherwise by the time alone, after `now`; None if it never will."""
        maintenance, change = self.maintenance_times(now), self.budgets.next_change(now)
        if not maintenance:
            return change
        return maintenance[0] if change is None else min(maintenance[0], change)

    def maintenance_times(self, now: float) -> Sequence[float]:
        """When planned maintenance starts or ends after `now`, in seconds since the epoch, in order."""
        if self._maintenance is None:
            windows = [
                *(w for rack in self._valid(Rack).values() for w in rack.spec.maintenance),
                *(w for domain in self._valid(NVLinkDomain).values() for w in domain.spec.maintenance),
                *(w for domain in self._valid(PowerDomain).values() for w in domain.spec.maintenance),
                *(w for zone in self._valid(CoolingZone).values() for w in zone.spec.maintenance),
            ]
            self._maintenance = sorted({t.timestamp() for w in windows for t in (w.start, w.end)})
        return self._maintenance[bisect_right(self._maintenance, now) :]

    # --- the engine's description -------------------------------------------------------------------

    def spec(self, now: float) -> FacilitySpec:
        """The facility at `now` (seconds since the epoch), with budgets that are in force then or come soon."""
        return without(self._whole(now), [w for w in self.planned.works if w.starts_at <= now < w.ends_at])

    @property
    def planned(self) -> Planned:
        """Works on what feeds and cools racks, and what they take away, as of the last `put` or `drop`."""
        if self._planned is None:
            domains, zones = self._valid(PowerDomain), self._valid(CoolingZone)
            works = works_of((*domains.values(), *zones.values()))
            self._planned = Planned(works, Works(self._supplies()) if works else None)
        return self._planned

    def _supplies(self) -> FacilitySpec:
        """What feeds and cools the racks, with none of the works under way or to come."""
        return FacilitySpec(
            racks=tuple(rack_spec(r, 0.0) for r in self.current(Rack).values()),
            powers=tuple(power_spec(p) for p in self.current(PowerDomain).values()),
            coolings=tuple(cooling_spec(z) for z in self.current(CoolingZone).values()),
        )

    def _whole(self, now: float) -> FacilitySpec:
        """The facility with none of the works on power and cooling under way."""
        profiles = self._retired_profiles()
        unfed = self.planned.unfed(now)
        return FacilitySpec(
            node_types=tuple(node_type(p) for p in self._valid(HardwareProfile).values()),
            racks=tuple(
                rack_spec(
                    r,
                    now,
                    retired=self._retired(r) or r.spec.profile in profiles,
                    unfed=unfed.get(r.name, ()),
                )
                for r in self.current(Rack).values()
            ),
            powers=tuple(
                power_spec(p, retired=self._retired(p), in_emergency=p.name in self.emergency)
                for p in self.current(PowerDomain).values()
            ),
            coolings=tuple(
                cooling_spec(z, retired=self._retired(z)) for z in self.current(CoolingZone).values()
            ),
            budgets=tuple(self.budgets.rows(now)),
            domains=self.domains_at(now),
            levels=self.fabric.outer,
            inner_levels=self.fabric.inner,
        )

    def _retired(self, model: Resource) -> bool:
        return self._entries[model.info.kind][model.name].retired

    def _retired_profiles(self) -> frozenset[str]:
        return frozenset(name for name, entry in self._entries["HardwareProfile"].items() if entry.retired)

    def domains_at(self, now: float) -> tuple[DomainSpec, ...]:
        """Policy of every NVLinkDomain, in order of name; one that does not decode takes no gangs."""
        valid = []
        for name, d in self._valid(NVLinkDomain).items():
            is_out, to_come = planned(d.spec.maintenance, now)
            active = d.spec.state is ServiceState.ACTIVE and not is_out
            valid.append(DomainSpec(name, active, d.spec.spare_nodes, to_come))
        invalid = [DomainSpec(name, schedulable=False) for name in self._invalid("NVLinkDomain")]
        return tuple(sorted((*valid, *invalid), key=lambda domain: domain.name))

    @property
    def budgets(self) -> Budgets:
        """The PowerBudgets, valid or not, as of the last `put` or `drop`."""
        if self._budgets is None:
            self._budgets = Budgets(
                valid=self._valid(PowerBudget),
                broken=self._invalid("PowerBudget"),
                domains=self._valid(PowerDomain),
                known_domains=self._entries["PowerDomain"].keys(),
                known_queues=self._entries["Queue"].keys(),
                horizon=self._horizon,
            )
        return self._budgets

    # --- nodes --------------------------------------------------------------------------------------

    def node_spec(self, node: Node) -> NodeSpec | None:
        """The node as the engine takes it; None if no valid rack, or more than one rack, claims it."""
        known = self._specs.get(node.metadata.name)
        if known is not None and known[0] is node:
            return known[1]
        if self._membership is None:
            self._membership = Membership(
                racks=self._valid(Rack),
                domains=self._valid(NVLinkDomain),
                profiles=self._valid(HardwareProfile),
                invalid_racks=self._invalid("Rack"),
                invalid_domains=self._invalid("NVLinkDomain"),
                fabric=self.fabric,
                lost_conditions=self._lost_conditions,
            )
        claim = self._membership.claim(node)
        spec = self._membership.node_spec(node, claim)
        self._claims[node.metadata.name], self._specs[node.metadata.name] = claim, (node, spec)
        return spec

    @property
    def unclaimed(self) -> frozenset[str]:
        """Nodes with GPUs of a profile's resource that no rack claims: to be warned about."""
        return frozenset(name for name, claim in self._claims.items() if claim.unclaimed)

    # --- problems -----------------------------------------------------------------------------------

    def problems(self, facility: Facility) -> dict[ObjectKey, list[Problem]]:
        """Everything that is wrong, by object: with its fields, with its references, with the nodes it claims.

        Args:
            facility: compiled from this catalog's `spec`.
        """
        found: dict[ObjectKey, list[Problem]] = {}
        for problem in (
            *self._decode_problems(),
            # The engine knows the budgets in force only, and not what a broken one counts as.
            *(self._of_engine(problem) for problem in facility.problems if problem.kind != "PowerBudget"),
            *membership_problems(
                self._claims,
                domains=self._valid(NVLinkDomain),
                racks=self._entries["Rack"].keys(),
                levels=self.fabric.outer,
            ),
            *self.budgets.problems(),
            *self._queue_problems(),
            *self._profile_problems(),
        ):
            found.setdefault((problem.kind, problem.name), []).append(problem)
        return found

    def _decode_problems(self) -> Iterator[Problem]:
        for kind, name in self.objects():
            for p in self._entries[kind][name].problems:
                yield Problem(kind, name, p.where, f"{p.where} {p.what}", p.remedy)

    def _of_engine(self, problem: Problem) -> Problem:
        """The engine cannot tell what does not exist from what does not decode; a reader must."""
        matched = _DANGLING.search(problem.message)
        if matched is None:
            return problem
        kind, name = _KIND_BY_NOUN[matched[1]], matched[2]
        if name not in self._entries[kind]:
            return problem
        message = f"{problem.message[: matched.start()]}{matched[1]} {name} is not usable"
        return replace(problem, message=message, remedy=f"correct {kind} {name}")

    def _profile_problems(self) -> Iterator[Problem]:
        """Racks whose nodes' watts are known only as they once were."""
        profiles = self._entries["HardwareProfile"]
        for name, rack in self._valid(Rack).items():
            profile = rack.spec.profile
            if profile in profiles and profiles[profile].retired:
                if profiles[profile].deleting:
                    what, remedy = "is being deleted", "name another HardwareProfile"
                else:
                    what, remedy = "is not usable", f"correct HardwareProfile {profile}"
                message = f"hardware profile {profile} {what}, so the rack takes no new gangs;"
                yield Problem("Rack", name, "spec.profile", message, remedy)

    def _queue_problems(self) -> Iterator[Problem]:
        """A queue whose ancestors are not all known: what bounds it is not known either."""
        queues = self.queues()
        for name, queue in queues.items():
            parent = queue.spec.parent
            if parent is None:
                continue
            if parent not in self._entries["Queue"]:
                yield Problem(
                    "Queue",
                    name,
                    "spec.parent",
                    f"queue {parent} does not exist",
                    f"create Queue {parent} or correct the name",
                )
            elif parent not in queues:
                yield Problem(
                    "Queue", name, "spec.parent", f"queue {parent} is not usable", f"correct Queue {parent}"
                )
            elif _on_cycle(name, queues):
                yield Problem(
                    "Queue",
                    name,
                    "spec.parent",
                    f"{name} is its own ancestor (a cycle)",
                    "remove one of the parents on the cycle",
                )


def _on_cycle(name: str, queues: Mapping[str, Queue]) -> bool:
    seen: set[str] = set()
    queue = queues.get(name)
    while queue is not None and queue.spec.parent is not None and queue.spec.parent not in seen:
        if queue.spec.parent == name:
            return True
        seen.add(queue.spec.parent)
        queue = queues.get(queue.spec.parent)
    return False
