"""What `rackplane top` shows, as values: read from the status of a cluster's objects, or worked out from a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from rackplane.cli.cluster import in_namespace, list_resources
from rackplane.cli.view import share
from rackplane.core.gangs.statuses import timestamp
from rackplane.kube.client import ApiError
from rackplane.kube.resources import GANGS, LEASES, facility

if TYPE_CHECKING:
    from rackplane.core.machine import Machine
    from rackplane.kube.client import Client

__all__ = ["Board", "Draw", "Element", "Operator", "board_of_cluster", "board_of_machine"]

Body = Mapping[str, Any]
_KINDS: Final = {"PowerDomain": "powerdomains", "CoolingZone": "coolingzones", "Rack": "racks"}
_PLACED: Final = ("Admitted", "Running", "Stopping")
_NORMAL: Final = ("Online", "Active")
_OVER: Final = ("Finished", "Failed")


@dataclass(frozen=True, slots=True)
class Element:
    """An element of power or cooling, or a rack; watts by the books. None: the operator has not said it.

    ``state`` is what it is set to, "" where that is the usual. GPUs are of racks.
    """

    kind: str
    name: str
    state: str
    load_watts: int | None
    limit_watts: int | None
    headroom_watts: int | None
    observed_watts: int | None
    worst: Body | None
    gpus: int | None = None
    free_gpus: int | None = None

    @property
    def fullness(self) -> float:
        """Parts of its limit, after the loss that is worst for it; what is not known counts as empty."""
        worst = self.worst or {}
        return max(
            _part(self.load_watts, self.limit_watts), _part(worst.get("loadWatts"), worst.get("limitWatts"))
        )

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        found: dict[str, Any] = {
            "name": self.name,
            "state": self.state or None,
            "loadWatts": self.load_watts,
            "limitWatts": self.limit_watts,
            "headroomWatts": self.headroom_watts,
            "observedWatts": self.observed_watts,
            "worstContingency": None if self.worst is None else dict(self.worst),
        }
        return found | ({"gpus": self.gpus, "freeGpus": self.free_gpus} if self.kind == "Rack" else {})


@dataclass(frozen=True, slots=True)
class Draw:
    """A gang that holds a place; watts above idle by the books."""

    namespace: str
    name: str
    queue: str
    phase: str
    gpus: int
    watts: int
    peak_watts: int
    profile: str
    racks: tuple[str, ...]
    message: str

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "queue": self.queue,
            "phase": self.phase,
            "gpus": self.gpus,
            "reservedNominalWatts": self.watts,
            "reservedPeakWatts": self.peak_watts,
            "powerProfile": self.profile or None,
            "racks": list(self.racks),
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Operator:
    """Who leads, by the Lease: ``state`` is Leads, Silent (it has not renewed it in time), None or Unknown."""

    state: str
    holder: str = ""
    renewed: float | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """Everything at one moment; ``operator`` is None for a folder. Elements by fullness, gangs by watts, most first."""

    at: float
    operator: Operator | None
    powers: tuple[Element, ...]
    coolings: tuple[Element, ...]
    racks: tuple[Element, ...]
    gangs: tuple[Draw, ...]
    waiting: int

    def as_data(self) -> dict[str, Any]:
        """For programs: watts are integers, times RFC 3339."""
        who = self.operator
        return {
            "time": timestamp(self.at),
            "operator": who
            and {
                "state": who.state,
                "holder": who.holder or None,
                "renewTime": None if who.renewed is None else timestamp(who.renewed),
            },
            "totals": {
                "racks": len(self.racks),
                "gpus": sum(r.gpus or 0 for r in self.racks),
                "freeGpus": sum(r.free_gpus or 0 for r in self.racks),
                "reservedNominalWatts": sum(r.load_watts or 0 for r in self.racks),
                "gangsPlaced": len(self.gangs),
                "gangsWaiting": self.waiting,
            },
            "powerDomains": [e.as_data() for e in self.powers],
            "coolingZones": [e.as_data() for e in self.coolings],
            "racks": [e.as_data() for e in self.racks],
            "gangs": [g.as_data() for g in self.gangs],
        }


def _part(load: int | None, limit: int | None) -> float:
    return 0.0 if load is None or limit is None else share(load, limit)


# -- a cluster ---------------------------------------------------------------------------------------


async def board_of_cluster(client: Client, *, lease: str, now: float) -> Board:
    """What the operator has written into the status of its objects. Needs ``list`` on them, and ``get`` on its Lease.

    Raises:
        CommandError: a list was refused, or no answer came; or `lease` is no NAMESPACE/NAME.
    """
    resources = {kind: facility(plural) for kind, plural in _KINDS.items()}
    lists, operator = await asyncio.gather(
        list_resources(client, [*resources.values(), GANGS]), _operator(client, lease, now)
    )
    elements = {
        kind: [_element(kind, msgspec.json.decode(raw)) for raw in lists[resource]]
        for kind, resource in resources.items()
    }
    return _board(now, operator, elements, [msgspec.json.decode(raw) for raw in lists[GANGS]])


async def _operator(client: Client, lease: str, now: float) -> Operator:
    path = LEASES.path(*in_namespace("--lease", lease))
    try:
        spec = msgspec.json.decode(await client.request("GET", path)).get("spec") or {}
    except ApiError as error:
        if error.status == 404:
            return Operator("None", words=f"none: there is no Lease {lease} (--lease names another)")
        return Operator(
            "Unknown", words=f"not known: the Lease {lease} cannot be read ({error.message or error})"
        )
    holder, renewed = str(spec.get("holderIdentity") or ""), _time(spec.get("renewTime"))
    if not holder:
        return Operator("None", words="none leads: nobody holds the Lease")
    age = None if renewed is None else max(0.0, now - renewed)
    late = age is None or age > float(spec.get("leaseDurationSeconds") or 0)
    return Operator("Silent" if late else "Leads", holder, renewed)


def _time(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


# -- a folder ----------------------------------------------------------------------------------------


def board_of_machine(machine: Machine, now: float) -> Board:
    """What an operator would write of it."""
    from rackplane.api.power_domain import PowerDomain
    from rackplane.api.rack import Rack
    from rackplane.core.site.figures import figures
    from rackplane.engine.reporting.reports import facility_report
    from rackplane.engine.reporting.stranded import stranded

    assert machine.state is not None  # the source has listed everything
    report, left, catalog = facility_report(machine.state), stranded(machine.state), machine.world.catalog

    def spec_of(kind: str, name: str) -> Body:
        if kind == "Rack":
            rack = catalog.get(Rack, name)
            return {} if rack is None else {"limitWatts": rack.spec.limit_watts}
        domain = catalog.get(PowerDomain, name) if kind == "PowerDomain" else None
        return {} if domain is None else {"state": domain.spec.state.value}

    elements: dict[str, list[Element]] = {kind: [] for kind in _KINDS}
    for kind, name in catalog.objects():
        if kind in elements:
            status = figures(machine.world, report, left, kind, name)
            body = {"metadata": {"name": name}, "spec": spec_of(kind, name), "status": status}
            elements[kind].append(_element(kind, body))
    gangs = [msgspec.to_builtins(r.gang) for r in machine.gangs.values() if r.gang is not None]
    return _board(now, None, elements, gangs)


# -- both --------------------------------------------------------------------------------------------


def _board(
    now: float, operator: Operator | None, elements: Mapping[str, Sequence[Element]], gangs: Iterable[Body]
) -> Board:
    powers, coolings, racks = (
        tuple(sorted(elements[kind], key=lambda e: (-e.fullness, e.name))) for kind in _KINDS
    )
    known = list(gangs)
    phases = [str((gang.get("status") or {}).get("phase") or "Pending") for gang in known]
    draws = [_draw(gang) for gang, phase in zip(known, phases, strict=True) if phase in _PLACED]
    waiting = sum(phase not in (*_PLACED, *_OVER) for phase in phases)
    draws.sort(key=lambda draw: (-draw.watts, draw.namespace, draw.name))
    return Board(now, operator, powers, coolings, racks, tuple(draws), waiting)


def _element(kind: str, body: Body) -> Element:
    spec, status = body.get("spec") or {}, body.get("status") or {}
    load = status.get("heatWatts" if kind == "CoolingZone" else "reservedNominalWatts")
    state = str(spec.get("state") or "")
    return Element(
        kind,
        str(body["metadata"]["name"]),
        "" if state in _NORMAL else state,
        load,
        spec.get("limitWatts") if kind == "Rack" else status.get("usableWatts"),
        status.get("headroomWatts"),
        status.get("observedWatts"),
        status.get("worstContingency"),
        *((status.get("gpus"), status.get("freeGpus")) if kind == "Rack" else ()),
    )


def _draw(gang: Body) -> Draw:
    metadata, spec, status = gang["metadata"], gang.get("spec") or {}, gang.get("status") or {}
    places = status.get("assignment") or []
    per_slot = [(g.get("slots", 0), g.get("gpusPerSlot", 0)) for g in spec.get("groups") or []]
    slots = status.get("slots") or spec.get("slots") or 1
    per_slot = per_slot or [(slots, spec.get("gpusPerSlot") or 0)]
    return Draw(
        str(metadata.get("namespace") or ""),
        str(metadata["name"]),
        str(spec.get("queue") or ""),
        str(status.get("phase") or ""),
        sum(number * gpus for number, gpus in per_slot),
        int(status.get("reservedNominalWatts") or 0),
        int(status.get("reservedPeakWatts") or 0),
        str(status.get("powerProfile") or ""),
        tuple(dict.fromkeys(str(place.get("rack") or "") for place in places)),
        str(status.get("message") or ""),
    )
