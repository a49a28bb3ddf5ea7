"""The answer to `rackplane explain gang` as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from rackplane.cli.answer import Answer, Outcome, Reserve
from rackplane.cli.view import Branch, Gauge, Tree, paragraph, share, show
from rackplane.cli.words import names, nearest_limit
from rackplane.core.objects import GangSpec
from rackplane.engine.model import Cause, LevelCount, Placement
from rackplane.figures import count, kilowatts

__all__ = ["show_answer"]

_HEADLINE: Final = {
    Outcome.PLACED: ("has its place", "green"),
    Outcome.COULD_START: ("could start now", "green"),
    Outcome.WAITS: ("cannot start now", "yellow"),
    Outcome.HELD: ("is held", "yellow"),
    Outcome.FINISHED: ("has finished", ""),
    Outcome.FAILED: ("has failed", "red"),
}


#: From so many on, places are counted instead of told node by node.
_NAMED_PLACES: Final = 4


def show_answer(found: Answer, console: Console) -> None:
    """Print who asks for what, what comes of it and why, and what it holds or would hold."""
    metadata = found.gang.metadata
    words, style = _HEADLINE[found.outcome]
    phase = found.gang.status.phase
    if found.outcome is Outcome.PLACED and phase:
        words = f"is {phase}"
    heading = (
        Text("Gang ")
        .append(f"{metadata.namespace}/{metadata.name}", "bold")
        .append(f" {words}", f"bold {style}")
    )
    console.print(heading, soft_wrap=True)
    for label, text in _lines(found):
        paragraph(console, text, label=f"  {label:<12}")
    if found.refusal is not None and found.refusal.counts:
        console.print()
        for line in _levels(found.refusal.counts):
            console.print(f"  {line}", soft_wrap=True)
    if found.reserves:
        console.print()
        show(_table(found.reserves, found.outcome), console)


def _lines(found: Answer) -> Iterator[tuple[str, str]]:
    spec = found.gang.spec
    yield "asks for", _request(spec)
    place = (
        f", {found.place[0]} of {found.place[1]} that wait in all queues" if found.place is not None else ""
    )
    yield "queue", spec.queue + place
    if found.placement is not None:
        yield from _place(found.placement, spec.power.profile, found.node_watts)
    elif found.refusal is not None:
        yield "because", found.refusal.message
        for i, relief in enumerate(found.refusal.reliefs):
            yield (
                ("" if i else "would help"),
                f"{relief.message}{'' if relief.now else ' (then it would still wait)'}",
            )
        if found.estimate is not None and found.estimate.words:
            yield "when", found.estimate.words
    else:
        yield ("because" if found.outcome in (Outcome.WAITS, Outcome.HELD) else "says"), found.message
    if not found.agrees:
        yield "status", f"says otherwise: {found.status_says}"
    elif found.status_says and found.placement is None:
        yield "status", "says the same"


def _levels(counts: Sequence[LevelCount]) -> Iterator[str]:
    """How many domains of each level fail first on what, as a table."""
    causes = [cause for cause in Cause if any(cause in count.failing for count in counts)]
    after_loss = ["only after a loss"] if any(count.after_loss for count in counts) else []
    rows = [["level", "domains", *(f"fail on {cause}" for cause in causes), *after_loss]]
    for of_level in counts:
        failing = [f"{of_level.failing.get(cause, 0):,}" for cause in causes]
        rows.append([of_level.level, f"{of_level.domains:,}", *failing])
        if after_loss:
            rows[-1].append(f"{of_level.after_loss:,}")
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells])


def _request(spec: GangSpec) -> str:
    parts = [f"{count(spec.slots, 'pod')} of {spec.gpus_per_slot} {spec.resource_name}"]
    if spec.groups:
        parts = [
            f"{count(g.slots, 'pod')} of {g.gpus_per_slot} {g.resource_name} ({g.name})" for g in spec.groups
        ]
    if spec.topology.required:
        parts.append(f"all in one {_level(spec.topology.required)}")
    if spec.topology.preferred:
        parts.append(f"in one {_level(spec.topology.preferred)} if possible")
    if spec.topology.segment_slots:
        parts.append(f"segments of {spec.topology.segment_slots}")
    parts.append(spec.power.profile + (" and no lower" if spec.power.strict else ""))
    if spec.expected_duration_seconds:
        hours, seconds = divmod(spec.expected_duration_seconds, 3600)
        parts.append(
            f"for {hours} h" if not seconds else f"for {spec.expected_duration_seconds / 60:,.0f} min"
        )
    return ", ".join(parts)


def _level(level: str) -> str:
    return "NVLink domain" if level == "nvlink" else level


def _place(placement: Placement, asked: str, caps: Sequence[int]) -> Iterator[tuple[str, str]]:
    parts = list(_where(placement))
    for i, part in enumerate(parts):
        yield ("" if i else "where"), part
    profile = placement.power_profile + ("" if placement.power_profile == asked else f" instead of {asked}")
    if caps:
        profile += ", " + " or ".join(f"{cap:,} W" for cap in caps) + " a node"
    if placement.relative_performance_percent != 100:
        profile += f", {placement.relative_performance_percent} % of full speed"
    yield "profile", profile
    heat = f"{kilowatts(placement.liquid_watts)} kW to liquid and {kilowatts(placement.air_watts)} kW to air"
    yield (
        "adds",
        f"{kilowatts(placement.nominal_watts)} kW, {kilowatts(placement.peak_watts)} kW in peaks; {heat}",
    )


def _where(placement: Placement) -> Iterator[str]:
    nodes: dict[tuple[str, str], set[str]] = {}
    for group in placement.groups:
        nodes.setdefault((group.domain, group.rack), set()).update(group.nodes)
    if len(nodes) <= _NAMED_PLACES:
        for (domain, rack), members in nodes.items():
            place = f"{domain} in {rack}" if domain else rack
            yield f"{count(len(members), 'node')} of {place}: {names(sorted(members))}"
        return
    by_count: dict[int, list[str]] = {}
    for (_, rack), members in nodes.items():
        by_count.setdefault(len(members), []).append(rack)
    for number, racks in by_count.items():
        each = f"in each of {count(len(racks), 'rack')}: " if len(racks) > 1 else "in "
        yield f"{count(number, 'node')} {each}{names(racks)}"


def _table(reserves: Sequence[Reserve], outcome: Outcome) -> Tree:
    branches = [_branch([r]) for r in reserves if r.kind != "Rack"]
    # Racks that stand alike are one line: a large gang fills many.
    alike: dict[tuple[int, int, int, str], list[Reserve]] = {}
    for r in reserves:
        if r.kind == "Rack":
            alike.setdefault((r.added_watts, r.load_watts, r.limit_watts, _note(r)), []).append(r)
    branches += [_branch(racks) for racks in alike.values()]
    name = "on the way up" if outcome is Outcome.PLACED else "what it would add to"
    return Tree(
        (name, "load, {worst} worst loss", "nearest limit"), ("adds kW", "kW", "of kW", "left kW"), branches
    )


def _branch(alike: Sequence[Reserve]) -> Branch:
    first, worst = alike[0], alike[0].worst
    detail = count(len(alike), "rack") if len(alike) > 1 else first.kind
    total = len(alike)
    return Branch(
        names([r.name for r in alike], most=3),
        detail,
        Gauge(
            share(first.load_watts, first.limit_watts),
            0.0 if first.kind == "Rack" or worst is None else share(worst.load_watts, worst.limit_watts),
        ),
        (
            kilowatts(first.added_watts * total),
            kilowatts(first.load_watts * total),
            kilowatts(first.limit_watts * total),
            "" if worst is None else kilowatts(min(r.worst.headroom_watts for r in alike if r.worst)),
        ),
        _note(first),
        alarm=worst is not None and worst.headroom_watts < 0,
    )


def _note(reserve: Reserve) -> str:
    return nearest_limit(reserve.worst, of=reserve.name)
