"""A machine made from objects instead of watches: for questions about a cluster, or about a folder of YAML.

The machine is the operator's own, so every answer is what the operator would decide. It does not lead: nothing that
is asked of it writes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from rackplane.api.base import GROUP
from rackplane.api.hardware import shipped_profile_texts
from rackplane.api.hardware_profile import HardwareProfile
from rackplane.api.labels import HOSTNAME_LABEL
from rackplane.api.rack import Rack
from rackplane.core import events as e
from rackplane.core.claims import ResourceClaim, ResourceClaimTemplate
from rackplane.core.gangs.podgroups import PodGroup
from rackplane.core.machine import Machine
from rackplane.core.objects import (
    Gang,
    Job,
    Metadata,
    Node,
    NodeStatus,
    Pod,
    PriorityClass,
    State,
)
from rackplane.core.offline.documents import core_object, read_documents, type_of
from rackplane.core.pods.pod import requests
from rackplane.core.settings import MachineSettings
from rackplane.core.site.facility import FACILITY_KINDS, Catalog
from rackplane.core.site.membership import SelectorIndex

__all__ = ["events_of", "expected_nodes", "load_folder", "machine_of", "shipped_for", "snapshot"]

#: What a node that exists on paper only has of everything but GPUs: more than any pod asks for.
_AMPLE = "1P"


def load_folder(path: str | Path) -> list[dict[str, Any]]:
    """Every object of a folder of YAML files (or of one file), in order of file name.

    Objects that say nothing about a facility are left out. A HardwareProfile that ships with Rackplane is added where
    a Rack of the folder names it and no document defines it.

    Raises:
        DocumentError: files or objects that cannot be used, each with file, document, object and field.
    """
    bodies = [document.body for document in read_documents(path)]
    return [*shipped_for(bodies), *bodies]


def shipped_for(bodies: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The shipped HardwareProfiles that Racks name and no object defines, in order of name."""
    named: set[str] = set()
    defined: set[str] = set()
    for body in bodies:
        if type_of(body) == (GROUP, "Rack"):
            named.add(body["spec"]["profile"])
        elif type_of(body) == (GROUP, "HardwareProfile"):
            defined.add(body["metadata"]["name"])
    return [yaml.safe_load(text) for name, text in shipped_profile_texts().items() if name in named - defined]


def snapshot(
    objects: Iterable[Mapping[str, Any]], now: float = 0.0, *, settings: MachineSettings | None = None
) -> Machine:
    """The machine that has seen these objects, and nodes for the racks that have none.

    A Rack with expectedNodes whose selector matches no Node gets as many nodes on paper (see `expected_nodes`), so
    that a folder can be asked before there is a cluster.

    Args:
        objects: facility kinds, Queues, Gangs, Nodes, Pods, Jobs, ResourceClaims, their templates and
            PriorityClasses as `load_folder` gives them; others are ignored.
        now: seconds since the epoch, for budgets with times.

    Raises:
        msgspec.ValidationError: a Node, Pod, Job, ResourceClaim or Gang does not fit; `load_folder` lets none pass.
    """
    events = list(events_of(objects))
    return machine_of([*events, *map(e.NodeChanged, expected_nodes(events))], now, settings=settings)


def events_of(objects: Iterable[Mapping[str, Any]]) -> Iterator[e.Event]:
    """The objects as a machine hears of them; those of other kinds are left out. Raises what `snapshot` raises."""
    for body in objects:
        event = _event(body)
        if event is not None:
            yield event


def machine_of(events: Iterable[e.Event], now: float, *, settings: MachineSettings | None = None) -> Machine:
    """The machine that has seen these events and then heard that they are all.

    Args:
        now: seconds since the epoch.
    """
    machine = Machine(settings=settings)
    machine.handle(now, *events, e.Synced())
    return machine


def expected_nodes(events: Iterable[e.Event]) -> Iterator[Node]:
    """Nodes on paper for Racks with expectedNodes that match no Node: ``<rack>-01`` and so on.

    Each is Ready and has the labels of the rack's selector, the GPUs of its HardwareProfile, and enough of every
    other resource that a pod template among the events asks for.
    """
    catalog = Catalog()
    taken: set[str] = set()
    labels: list[Mapping[str, str]] = []
    asked = {"pods", "cpu", "memory", "ephemeral-storage"}
    for event in events:
        match event:
            case e.FacilityChanged(kind, name, body) if kind in ("Rack", "HardwareProfile"):
                catalog.put(kind, name, body)
            case e.NodeChanged(node):
                taken.add(node.metadata.name)
                labels.append(node.metadata.labels)
            case e.PodChanged(pod):
                asked |= requests(pod.spec).keys()
            case e.JobChanged(job):
                asked |= requests(job.spec.template.spec).keys()
    ample = dict.fromkeys(sorted(asked - set(catalog.resources())), _AMPLE)
    racks = [rack for kind, name in catalog.objects() if kind == "Rack" and (rack := catalog.get(Rack, name))]
    index = SelectorIndex({rack.name: rack.spec.node_selector for rack in racks})
    matched = {name for of_node in labels for name in index.matches(of_node)}
    for rack in racks:
        if rack.name not in matched:
            profile = catalog.get(HardwareProfile, rack.spec.profile)
            gpus = {} if profile is None else {profile.spec.resource_name: str(profile.spec.gpus_per_node)}
            yield from _on_paper(rack, {**ample, **gpus}, taken)


def _on_paper(rack: Rack, allocatable: dict[str, str], taken: set[str]) -> Iterator[Node]:
    count = rack.spec.expected_nodes or 0
    for number in range(1, count + 1):
        name = f"{rack.name}-{number:0{max(2, len(str(count)))}}"
        while name in taken:
            name += "x"
        taken.add(name)
        yield Node(
            Metadata(
                name=name, uid=f"expected/{name}", labels={HOSTNAME_LABEL: name, **rack.spec.node_selector}
            ),
            status=NodeStatus(allocatable, [State(type="Ready", status="True", reason="Expected")]),
        )


def _event(body: Mapping[str, Any]) -> e.Event | None:
    group, kind = type_of(body)
    if group == GROUP:
        if kind == "Gang":
            return e.GangChanged(msgspec.convert(_with_uid(body), type=Gang))
        return e.FacilityChanged(kind, body["metadata"]["name"], body) if kind in FACILITY_KINDS else None
    match core_object(_with_uid(body)):
        case Node() as node:
            return e.NodeChanged(node)
        case Pod() as pod:
            return e.PodChanged(pod)
        case Job() as job:
            return e.JobChanged(job)
        case ResourceClaim() as claim:
            return e.ClaimChanged(claim)
        case ResourceClaimTemplate() as template:
            return e.ClaimTemplateChanged(template)
        case PodGroup() as named:
            return e.PodGroupChanged(named)
        case PriorityClass() as found:
            return e.PriorityClassChanged(found)
    return None


def _with_uid(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object with an identity: the machine tells pods apart by it, and a file has none."""
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("uid"):
        return body
    uid = "/".join(
        str(part) for part in (body.get("kind"), metadata.get("namespace"), metadata.get("name")) if part
    )
    return {**body, "metadata": {**metadata, "uid": uid}}
