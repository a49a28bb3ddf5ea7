"""The facility of a run: a folder of YAML, with nodes on paper for racks that have none."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from rackplane.api.base import API_VERSION, GROUP
from rackplane.core import events as e
from rackplane.core.objects import Node
from rackplane.core.offline.documents import DocumentError, type_of
from rackplane.core.offline.snapshot import events_of, expected_nodes, load_folder, machine_of
from rackplane.core.site.facility import FACILITY_KINDS
from rackplane.engine.state import State
from rackplane.simulator.policies import Policy

__all__ = ["Site", "SiteError", "load_site", "site_of"]

_AMPLE_WATTS: Final = 10**10
"""What an element carries that is to hold nobody back: more than any facility draws, and below the API's largest."""


class SiteError(Exception):
    """A facility that no job can run on, in words."""


@dataclass(frozen=True, slots=True)
class Site:
    """What a run needs to know of its facility.

    Args:
        bodies: the objects of the facility by kind and name, as they are at the start.
        nodes: by name, those on paper among them.
        gpus: of all nodes.
        gpus_per_node: of the nodes of the one type that there is most of.
        resource: what its nodes call their GPUs.
        domain_nodes: of the largest NVLink domain.
        queues: by name.
    """

    name: str
    bodies: Mapping[tuple[str, str], Mapping[str, Any]]
    nodes: Mapping[str, Node]
    gpus: int
    gpus_per_node: int
    resource: str
    domain_nodes: int
    queues: tuple[str, ...]

    def events(self, policy: Policy) -> list[e.Event]:
        """The facility as the machine of this run hears of it."""
        found: list[e.Event] = [
            e.FacilityChanged(*key, self.seen(body, policy)) for key, body in self.bodies.items()
        ]
        return [*found, *(e.NodeChanged(node) for node in self.nodes.values())]

    @staticmethod
    def seen(body: Mapping[str, Any], policy: Policy) -> Mapping[str, Any]:
        """An object as the machine of this run sees it."""
        if body["kind"] == "Queue":
            return policy.of_queue(body)
        return body if policy.watts else _unbounded(body)


def load_site(path: str | Path) -> Site:
    """Read a folder (or one file).

    Raises:
        SiteError: what cannot be used, with file, object and field; or there are no GPUs.
    """
    try:
        return site_of(Path(path).resolve().name, load_folder(path))
    except DocumentError as error:
        raise SiteError(str(error)) from error


def site_of(name: str, objects: Iterable[Mapping[str, Any]]) -> Site:
    """The site of these objects; Gangs, Jobs and pods among them are left out: a run begins with an empty facility.

    Raises:
        SiteError: there are no GPUs.
    """
    kept = [
        body
        for body in objects
        if type_of(body) == ("", "Node") or (type_of(body)[0] == GROUP and type_of(body)[1] in FACILITY_KINDS)
    ]
    if not any(type_of(body) == (GROUP, "Queue") for body in kept):
        kept.append({"apiVersion": API_VERSION, "kind": "Queue", "metadata": {"name": "default"}, "spec": {}})
    events = list(events_of(kept))
    events += [e.NodeChanged(node) for node in list(expected_nodes(events))]
    bodies = {
        (event.kind, event.name): _stored(event.body)
        for event in events
        if isinstance(event, e.FacilityChanged)
    }
    nodes = {event.node.metadata.name: event.node for event in events if isinstance(event, e.NodeChanged)}
    nodes = {
        key: msgspec.structs.replace(
            node, metadata=msgspec.structs.replace(node.metadata, resource_version="1")
        )
        for key, node in nodes.items()
    }
    state = machine_of(events, 0.0).state
    assert state is not None  # everything has been listed
    kinds = Counter(
        (t.gpus_per_node, t.resource)
        for node in state.nodes()
        if (t := state.node_type(node.name)) is not None and t.gpus_per_node > 0
    )
    if not kinds:
        raise SiteError(
            f"{name}: has no GPUs. Racks need expectedNodes, or nodes, and a HardwareProfile with gpusPerNode; "
            "`rackplane validate` says more"
        )
    (gpus_per_node, resource), _ = max(kinds.items(), key=lambda kind: (kind[1] * kind[0][0], kind[0]))
    return Site(
        name=name,
        bodies=bodies,
        nodes=nodes,
        gpus=sum(per_node * count for (per_node, of), count in kinds.items() if of == resource),
        gpus_per_node=gpus_per_node,
        resource=resource,
        domain_nodes=_largest_domain(state),
        queues=tuple(sorted(key[1] for key in bodies if key[0] == "Queue")),
    )


def _largest_domain(state: State) -> int:
    counts = Counter(domain for node in state.nodes() if (domain := node.domain))
    return max(counts.values(), default=1)


def _stored(body: Mapping[str, Any]) -> dict[str, Any]:
    """The object as an API server holds it: with an identity, and without a status of another time."""
    kept = {key: value for key, value in copy.deepcopy(dict(body)).items() if key != "status"}
    kept["metadata"] = {
        "uid": f"{body['kind']}/{body['metadata']['name']}",
        "generation": 1,
        **kept["metadata"],
    }
    return kept


def _unbounded(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object with limits that hold nobody back; a PowerBudget is for queues nobody names."""
    spec = dict(body.get("spec", {}))
    match body["kind"]:
        case "PowerDomain":
            kept = ("type", "parents", "feedTag", "baseLoadWatts", "efficiencyBasisPoints")
            spec = {k: v for k, v in spec.items() if k in kept} | {"ratedWatts": _AMPLE_WATTS}
        case "Rack":
            feeds = [{k: v for k, v in feed.items() if k != "limitWatts"} for feed in spec.get("feeds", ())]
            spec = spec | {"limitWatts": _AMPLE_WATTS, "feeds": feeds}
        case "CoolingZone":
            units = [
                {**unit, "capacityWatts": _AMPLE_WATTS, "state": "Online"} for unit in spec.get("units", ())
            ]
            spec = {k: v for k, v in spec.items() if k in ("medium", "neededUnits")} | {"units": units}
        case "PowerBudget":
            spec = spec | {"limitWatts": _AMPLE_WATTS}
    return {**body, "spec": spec}
