"""The facilities under examples/facilities as the operator sees them, and edits of them: YAML in, engine state out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from rackplane.core.offline.snapshot import load_folder, snapshot
from rackplane.core.settings import MachineSettings
from rackplane.core.site.judgements import judgements
from rackplane.engine.model import Refusal, Request
from rackplane.engine.physics.rows import LimitRow, RowKind
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State

ROOT = Path(__file__).resolve().parents[2]
FACILITIES = ROOT / "examples" / "facilities"
PROFILES = ROOT / "operator" / "rackplane" / "hardwareprofiles"

GPU = "nvidia.com/gpu"

Manifest = dict[str, Any]


def documents(name: str) -> list[Manifest]:
    """The objects of one example, with the shipped profiles it names."""
    return load_folder(FACILITIES / name)


def named(objects: Iterable[Manifest], kind: str) -> dict[str, Manifest]:
    """Spec by name of the objects of one kind."""
    return {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == kind}


def edited(objects: Sequence[Manifest], kind: str, name: str, **fields: Any) -> list[Manifest]:
    """A copy in which the named object has these fields in its spec."""
    copy = deepcopy(list(objects))
    named(copy, kind)[name].update(fields)
    return copy


def rewired(objects: Sequence[Manifest], zone: str, unit: str, *powers: str) -> list[Manifest]:
    """A copy in which a cooling unit is fed by these power domains."""
    copy = deepcopy(list(objects))
    units = named(copy, "CoolingZone")[zone]["units"]
    (found,) = (u for u in units if u["name"] == unit)
    found["feeds"] = [{"powerDomain": power, "weight": 1} for power in powers]
    return copy


def blind(objects: Sequence[Manifest]) -> list[Manifest]:
    """A copy that is designed to survive nothing: what a scheduler sees that only adds watts up."""
    copy = deepcopy(list(objects))
    for spec in named(copy, "PowerDomain").values():
        spec["survivable"] = False
    return copy


def with_rack(objects: Sequence[Manifest], like: str, name: str = "extra") -> list[Manifest]:
    """A copy with one more rack on the feeds and loops of ``like``.

    Its nodes draw nothing until they work, so that it is the gangs that must be refused, not the rack.
    """
    copy = deepcopy(list(objects))
    template = named(copy, "Rack")[like]
    spec = template | {
        "profile": "idles-at-nothing",
        "overheadWatts": 0,
        "nodeSelector": {"rackplane.dev/rack": name},
    }
    profile = named(copy, "HardwareProfile")[template["profile"]] | {"idleWatts": 0}
    domain = named(copy, "NVLinkDomain")[f"nvl-{like}"] | {"racks": [name]}
    return [
        *copy,
        _object("HardwareProfile", "idles-at-nothing", profile),
        _object("Rack", name, spec),
        _object("NVLinkDomain", f"nvl-{name}", domain),
    ]


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> Manifest:
    return {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": dict(spec),
    }


def state_of(objects: Iterable[Manifest], settings: MachineSettings | None = None) -> State:
    """The engine's state, made by the operator's own path; the folder must be without errors."""
    state = snapshot(objects, settings=settings).state
    assert state is not None
    assert not state.facility.problems
    return state


def booked_like(other: State, objects: Iterable[Manifest], settings: MachineSettings | None = None) -> State:
    """The state of these objects, with the bookings of ``other``."""
    state = state_of(objects, settings)
    for key in list(other.keys()):
        placement = other.booking(key)
        assert placement is not None
        state.book(key, placement)
    return state


def ask(slots: int = 1, **more: Any) -> Request:
    """Whole nodes of four GPUs at full power or not at all, unless said otherwise."""
    return Request(**{"slots": slots, "gpus_per_slot": 4, "resource": GPU, "strict": True, **more})


def nodes_of(state: State, *racks: str) -> dict[str, int]:
    """One slot on each node of these racks: a request's ``capacity``."""
    return {node.name: 1 for node in state.nodes() if node.rack in racks}


def fill(state: State, **more: Any) -> Refusal:
    """Start gangs of one rack (18 nodes), then of one node, until none fits; returns the last refusal."""
    _start(state, 18, **more)
    last = _start(state, 1, **more)
    state.validate()
    return last


def _start(state: State, size: int, **more: Any) -> Refusal:
    while True:
        answer = place(state, ask(size, required="nvlink", **more))
        if isinstance(answer, Refusal):
            return answer
        state.book(f"gang-{len(list(state.keys()))}", answer)


def busy(state: State) -> int:
    """Nodes that gangs use."""
    return sum(state.booked_gpus(node.name) > 0 for node in state.nodes())


def conditions(state: State, kind: str, name: str) -> dict[str, str]:
    """Status by type of the conditions that the operator would write on the object."""
    return {c["type"]: c["status"] for c in judgements(state.report(), kind, name, (), now=0.0)}


def watts(state: State, power: str, lost: str = "") -> float:
    """Nominal output of a power domain, normally or after the loss of one.

    A contingency has a cell where it can bind before the normal state; elsewhere the load is no larger than that.
    """
    facility = state.facility
    row = LimitRow(RowKind.POWER_NOMINAL, power)
    for cell in range(len(facility.rows), len(facility.limits)):
        contingency, of = facility.describe(cell)
        if of == row and contingency.lost == lost and not contingency.zone:
            return float(state.loads[cell])
    return float(state.loads[facility.row_index[row]])
