"""What the demo shows: read from the API server's objects, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rackplane.api.labels import GROUP, QUEUE_LABEL
from rackplane.cli.words import names
from rackplane.figures import count, kilowatts

__all__ = ["GangView", "RackView", "Snapshot", "changes", "queue_view", "read", "results", "screen"]

Get = Callable[[str], Any]
"""Answers a GET of a path with the decoded body."""

_API = f"/apis/{GROUP}/v1alpha1"
#: Of the racks' panel: its bars, names and figures come to that.
LEFT_WIDTH = 72
_PLACED = ("Admitted", "Running", "Stopping")
_ENDED = ("Finished", "Failed")


@dataclass(frozen=True, slots=True)
class RackView:
    """A rack, or an element of the power tree with `gpus` 0; watts are whole draws by the books."""

    name: str
    gpus: int
    used_gpus: int
    watts: int
    limit_watts: int


@dataclass(frozen=True, slots=True)
class GangView:
    """A Job with the queue label and what its Gang says of it. `phase` is "" until the Gang has a status."""

    namespace: str
    name: str
    pods: int
    gpus: int
    topology: str
    phase: str = ""
    message: str = ""
    position: int | None = None
    decision: str = ""
    domains: tuple[str, ...] = ()
    racks: tuple[str, ...] = ()
    nodes: int = 0
    watts: int = 0
    waited_seconds: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.name)

    @property
    def kilowatts(self) -> str:
        return kilowatts(self.watts)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is shown, as of one moment; gangs in the order of their Jobs."""

    racks: tuple[RackView, ...] = ()
    power: tuple[RackView, ...] = ()
    gangs: Mapping[tuple[str, str], GangView] = field(default_factory=dict)


def read(get: Get) -> Snapshot:
    """Look at the racks, the power tree, the Jobs and their Gangs."""
    gangs = {
        (str(body["metadata"]["namespace"]), str(owner["name"])): body
        for body in get(f"{_API}/gangs")["items"]
        for owner in [(body.get("spec") or {}).get("workload") or {}]
        if owner.get("kind") == "Job"
    }
    jobs = [
        body
        for body in get("/apis/batch/v1/jobs")["items"]
        if QUEUE_LABEL in (body["metadata"].get("labels") or {})
    ]
    jobs.sort(key=lambda body: (body["metadata"]["creationTimestamp"], body["metadata"]["name"]))
    views = [
        _gang(body, gangs.get((body["metadata"]["namespace"], body["metadata"]["name"]))) for body in jobs
    ]
    return Snapshot(
        racks=tuple(_rack(body) for body in get(f"{_API}/racks")["items"]),
        power=tuple(_power(body) for body in get(f"{_API}/powerdomains")["items"]),
        gangs={view.key: view for view in views},
    )


def _rack(body: Mapping[str, Any]) -> RackView:
    status = body.get("status") or {}
    total = int(status.get("gpus") or 0)
    used = total - int(status.get("freeGpus") or 0)
    watts = int(status.get("reservedNominalWatts") or 0)
    return RackView(body["metadata"]["name"], total, used, watts, int(body["spec"]["limitWatts"]))


def _power(body: Mapping[str, Any]) -> RackView:
    status = body.get("status") or {}
    watts, usable = (int(status.get(name) or 0) for name in ("reservedNominalWatts", "usableWatts"))
    return RackView(body["metadata"]["name"], 0, 0, watts, usable)


def _gang(job: Mapping[str, Any], gang: Mapping[str, Any] | None) -> GangView:
    spec, metadata = job["spec"], job["metadata"]
    limits = spec["template"]["spec"]["containers"][0]["resources"]["limits"]
    pods = int(spec["parallelism"])
    annotations = metadata.get("annotations") or {}
    topology = str(annotations.get(f"{GROUP}/required-topology", "anywhere"))
    base = (
        metadata["namespace"],
        metadata["name"],
        pods,
        pods * int(limits.get("nvidia.com/gpu", 0)),
        topology,
    )
    if gang is None:
        return GangView(*base)
    status = gang.get("status") or {}
    groups = status.get("assignment") or []
    decision = status.get("decision") or {}
    waited = None
    if decision.get("time"):
        waited = max(0.0, _seconds(decision["time"]) - _seconds(metadata["creationTimestamp"]))
    return GangView(
        *base,
        phase=str(status.get("phase") or ""),
        message=str(status.get("message") or ""),
        position=status.get("position"),
        decision=str(decision.get("id") or ""),
        domains=tuple(dict.fromkeys(str(g.get("nvlinkDomain") or g["rack"]) for g in groups)),
        racks=tuple(dict.fromkeys(str(g["rack"]) for g in groups)),
        nodes=len({node for g in groups for node in g["nodes"]}),
        watts=int(status.get("reservedNominalWatts") or 0),
        waited_seconds=waited,
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# -- plain lines


def changes(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """One line for everything that happened between two looks."""
    for key, now in after.gangs.items():
        old = before.gangs.get(key)
        if old is None:
            yield f"submitted  {now.name}: {count(now.gpus, 'GPU')} in {count(now.pods, 'pod')}, {now.topology}"
        if now.decision and (old is None or old.decision != now.decision):
            where = names(now.domains)
            yield f"placed     {now.name} on {where}: {count(now.nodes, 'node')}, {now.kilowatts} kW"
        if old is not None and old.decision and not now.decision:
            yield f"requeued   {now.name}: {now.message}"
        if now.phase == "Pending" and now.message and (old is None or not old.message):
            yield f"waiting    {now.name}: {now.message}"
        if now.phase in _ENDED and (old is None or old.phase != now.phase):
            yield f"{now.phase.lower():<10} {now.name}"


# -- the live view


def is_wide(width: int) -> bool:
    """Whether the queue fits beside the racks."""
    return width >= LEFT_WIDTH + 44


def screen(snapshot: Snapshot, *, title: str, width: int = 120, rows: int = 16) -> RenderableType:
    """The row of racks, its power, and the queue beside it (below it on a narrow terminal).

    Args:
        width: of the terminal, in characters.
        rows: most lines of the queue that are shown.
    """
    wide = is_wide(width)
    bar = 14
    racks = Table(box=None, padding=(0, 1), pad_edge=False)
    for heading in ("rack", "GPUs in use", "", "kW of limit", ""):
        racks.add_column(heading, no_wrap=True, justify="right" if not heading else "left")
    for rack in snapshot.racks:
        racks.add_row(
            rack.name,
            _bar(rack.used_gpus, rack.gpus, bar, "green"),
            f"{rack.used_gpus}/{rack.gpus}",
            _bar(rack.watts, rack.limit_watts, bar, "yellow"),
            f"{kilowatts(rack.watts)}/{kilowatts(rack.limit_watts)}",
        )
    racks.add_row("")
    for power in snapshot.power:
        if power.limit_watts:
            load = f"{kilowatts(power.watts)}/{kilowatts(power.limit_watts)}"
            racks.add_row(power.name, "", "", _bar(power.watts, power.limit_watts, bar, "cyan"), load)
    queue = Panel(queue_view(snapshot, rows=rows), title="gangs", title_align="left", border_style="dim")
    left = Panel(racks, title=title, title_align="left", border_style="dim")
    if not wide:
        return Group(left, queue)
    both = Table.grid(expand=True)
    both.add_column(width=LEFT_WIDTH)
    both.add_column(ratio=1)
    both.add_row(left, queue)
    return both


def queue_view(snapshot: Snapshot, *, rows: int) -> RenderableType:
    """Running gangs, then those that wait with their reason; ended ones as a count."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, min_width=max((len(g.name) for g in snapshot.gangs.values()), default=1))
    table.add_column(no_wrap=True, overflow="ellipsis")
    gangs = list(snapshot.gangs.values())
    placed = [g for g in gangs if g.phase in _PLACED]
    waiting = sorted(
        (g for g in gangs if g.phase not in _PLACED + _ENDED), key=lambda g: (g.position or 1_000_000, g.key)
    )
    lines = [(Text(g.name, "green"), Text(f"{g.phase.lower()} on {names(g.racks)}")) for g in placed]
    lines += [(Text(g.name, "yellow"), Text(g.message or "just submitted", "dim")) for g in waiting]
    for name, text in lines[:rows]:
        table.add_row(name, text)
    for _ in range(rows - len(lines)):
        table.add_row("", "")
    ended = sum(g.phase in _ENDED for g in gangs)
    more = f", {len(lines) - rows} not shown" if len(lines) > rows else ""
    summary = f"{len(placed)} placed, {len(waiting)} waiting, {ended} ended{more}"
    return Group(table, Text(summary, "bold"))


def _bar(used: int, total: int, width: int, style: str) -> Text:
    filled = 0 if total <= 0 else min(width, round(width * used / total))
    if used > 0:
        filled = max(filled, 1)
    return Text("█" * filled, style) + Text("░" * (width - filled), "dim")


# -- the end


def results(snapshot: Snapshot) -> Table:
    """Every gang that had a place: where, how many nodes, its watts, how long it waited."""
    table = Table(title="Placed gangs", title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for heading in ("gang", "NVLink domains", "racks"):
        table.add_column(heading, no_wrap=heading == "gang")
    for heading in ("nodes", "kW", "waited s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for gang in snapshot.gangs.values():
        if gang.decision:
            waited = "" if gang.waited_seconds is None else f"{gang.waited_seconds:.0f}"
            table.add_row(
                gang.name, names(gang.domains), names(gang.racks), str(gang.nodes), gang.kilowatts, waited
            )
    return table
