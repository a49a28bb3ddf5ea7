"""Why a gang cannot be placed: counts per level and cause, one plain sentence with numbers, and the cheapest relief."""

from __future__ import annotations

import numpy as np

from rackplane.engine.candidates import Attempt, Bar, Bin, Candidates, Subtree
from rackplane.engine.draw import find_cap
from rackplane.engine.model import (
    NVLINK,
    Cause,
    LevelCount,
    Refusal,
    RefusalKind,
    Request,
)
from rackplane.engine.search import Search
from rackplane.engine.state import State


def kilowatts(watts: float) -> str:
    """ "1,150.0 kW"; what is less than 100 W in watts, so that a shortage never reads as 0.0 kW."""
    return f"{watts:,.0f} W" if 0 < abs(watts) < 100 else f"{watts / 1000:,.1f} kW"


def level_words(level: str) -> str:
    """A level as a reader says it."""
    return {NVLINK: "NVLink domain", "": "facility"}.get(level, level)


def invalid(state: State, request: Request) -> Refusal | None:
    """A request that no facility of these levels and node types could ever take."""
    facility = state.facility
    levels = [NVLINK, *facility.levels]
    for word, level in (("required", request.required), ("preferred", request.preferred)):
        if level is not None and level not in levels:
            return _refusal(
                Cause.NODES,
                f"the {word} topology level {level} does not exist; the levels are {', '.join(levels)}",
                f"use one of {', '.join(levels)}",
            )
    if request.slots < 1 or request.gpus_per_slot < 0 or (request.segment_slots or 1) < 1:
        return _refusal(
            Cause.NODES,
            f"asks for {request.slots} slots of {request.gpus_per_slot} GPUs in segments of {request.segment_slots}",
            "ask for at least one slot, no negative GPUs and segments of at least one slot",
        )
    types = [t for t in facility.rack_types if t is not None and t.resource == request.resource]
    if not types:
        return _refusal(
            Cause.NODES,
            f"no usable rack has nodes with the resource {request.resource}",
            "correct the resource name, or add racks with a hardware profile for it",
        )
    largest = max(t.gpus_per_node for t in types)
    if request.gpus_per_slot > largest:
        return _refusal(
            Cause.NODES,
            f"needs {request.gpus_per_slot} GPUs on one node; the largest node has {largest}",
            f"ask for at most {largest} GPUs per pod",
        )
    if all(find_cap(t, request.power_profile) is None for t in types):
        known = sorted({c.name for t in types for c in t.caps} | {"MaxP"})
        return _refusal(
            Cause.PROFILE,
            f"the power profile {request.power_profile} does not exist; there are {', '.join(known)}",
            f"use one of {', '.join(known)}",
        )
    return None


def _refusal(cause: Cause, message: str, relief: str) -> Refusal:
    return Refusal(
        kind=RefusalKind.UNPLACEABLE, cause=cause, counts=(), message=message, relief=relief, misfit=True
    )


def refuse(candidates: Candidates, tries: list[Attempt], kind: RefusalKind) -> Refusal:
    """Explain a valid request that does not fit, by that domain of the widest level tried that is nearest to it."""
    counts = tuple(_count(candidates, attempt) for attempt in tries)
    domains = _domains(tries[-1])
    writer = _Writer(candidates, tries[-1])
    if not domains:
        cause, message, relief = writer.nothing()
    else:
        causes = {id(d): _cause(candidates, d, single=tries[-1].single) for d in domains}
        # Nearest: those with nodes enough first, then the one that could take most.
        nearest = max(
            domains,
            key=lambda d: (causes[id(d)] not in (Cause.NODES, Cause.PROFILE), _cap(d), _size(d)),
        )
        cause, message, relief = writer.explain(nearest, causes[id(nearest)], domains)
    misfit = bool(domains) and max(d.whole for d in domains) < candidates.request.slots
    return Refusal(kind=kind, cause=cause, counts=counts, message=message, relief=relief, misfit=misfit)


def _domains(attempt: Attempt) -> list[Subtree]:
    """What is counted at a level: its subtrees, or each NVLink domain for the innermost."""
    if attempt.single:
        return [Subtree(b.name, (b,)) for tree in attempt.subtrees for b in tree.bins]
    return list(attempt.subtrees)


def _size(domain: Subtree) -> int:
    return sum(b.size for b in domain.bins)


def _cap(domain: Subtree) -> int:
    return sum(b.cap for b in domain.bins)


def _count(candidates: Candidates, attempt: Attempt) -> LevelCount:
    domains = _domains(attempt)
    failing: dict[Cause, int] = {}
    for domain in domains:
        cause = _cause(candidates, domain, single=attempt.single)
        failing[cause] = failing.get(cause, 0) + 1
    return LevelCount(
        level_words(attempt.level), len(domains), {c: failing[c] for c in Cause if c in failing}
    )


def _runs(bins: tuple[Bin, ...], search: Search, *, by_nodes: bool) -> bool:
    """Whether the gang fits by counts: of nodes alone, or with each rack's watts."""
    sizes = [b.size if by_nodes else b.cap for b in bins]
    if search.single:
        return any(s >= search.slots for s in sizes)
    whole = sum(s // search.run for s in sizes)
    spare = [s for s in sizes if s % search.run >= search.short or s // search.run > search.units]
    return whole > search.units or (whole == search.units and (not search.short or bool(spare)))


def _cause(candidates: Candidates, domain: Subtree, *, single: bool) -> Cause:
    search = Search(candidates, domain, single=single)
    if not _runs(domain.bins, search, by_nodes=True):
        racks = _all_racks(domain)
        return Cause.PROFILE if racks and not any(candidates.has_profile[r] for r in racks) else Cause.NODES
    shortage = search.shared_shortage(by_nodes=True)
    if shortage is not None:
        return candidates.state.facility.describe(shortage.cell)[1].cause
    rack = _tightest_rack(domain)
    if rack is None:
        return Cause.POWER
    return candidates.state.facility.describe(_binding(candidates, rack))[1].cause


def _all_racks(domain: Subtree) -> list[int]:
    return list(dict.fromkeys(c.rack for b in domain.bins for c in b.cells))


def _tightest_rack(domain: Subtree) -> int | None:
    """The rack whose watts cost the domain most slots."""
    lost: dict[int, int] = {}
    for b in domain.bins:
        for c in b.cells:
            lost[c.rack] = lost.get(c.rack, 0) + c.free - c.cap
    return max(lost, key=lambda r: (lost[r], -r)) if lost else None


def _binding(candidates: Candidates, rack: int) -> int:
    """The limit (flattened index) that allows the rack the fewest slots."""
    f = candidates.state.facility
    entries = f.entries(rack)
    use = candidates.use[entries]
    cells = f.cells[entries]
    used = use > 0
    if not used.any():
        return int(cells[0])
    ratio = candidates.slack[cells][used] / use[used]
    return int(cells[used][ratio.argmin()])


class _Writer:
    """Sentences for one refused request."""

    def __init__(self, candidates: Candidates, attempt: Attempt) -> None:
        self.candidates = candidates
        self.request = candidates.request
        self.attempt = attempt
        self.facility = candidates.state.facility
        gpus = self.request.gpus_per_slot
        whole = {
            t.gpus_per_node for t in self.facility.rack_types if t and t.resource == self.request.resource
        }
        self.noun = "nodes" if whole == {gpus} else "pods"
        self.each = f" of {gpus} GPUs" if gpus else ""

    def need(self) -> str:
        """ "32 nodes of 4 GPUs in one leaf"."""
        noun = self.noun[:-1] if self.request.slots == 1 else self.noun
        place = f" in one {level_words(self.attempt.level)}" if self.attempt.level else ""
        run = self.request.segment_slots
        runs = f" in segments of {run}" if run and run > 1 else ""
        return f"{self.request.slots:,} {noun}{self.each}{runs}{place}"

    def nothing(self) -> tuple[Cause, str, str]:
        """No domain of the level has any node with the resource."""
        level = level_words(self.attempt.level)
        return (
            Cause.NODES,
            f"needs {self.need()}; no {level} with {self.request.resource} is known",
            f"label the nodes with their {level}, or ask for another level",
        )

    def explain(self, domain: Subtree, cause: Cause, domains: list[Subtree]) -> tuple[Cause, str, str]:
        """The sentence and the relief for the nearest domain."""
        if cause is Cause.PROFILE:
            return (
                cause,
                f"needs {self.need()}; no rack there has the power profile {self.request.power_profile}",
                "ask for a power profile that the racks have",
            )
        if cause is Cause.NODES:
            return (cause, *self._nodes(domain, domains))
        shortage = Search(self.candidates, domain, single=self.attempt.single).shared_shortage(by_nodes=True)
        if shortage is not None:
            cell = shortage.cell
            message = f"needs {kilowatts(shortage.needed_watts)} more on {self._limit(shortage.cell)}"
            short = shortage.short_watts
        else:
            rack = _tightest_rack(domain)
            if rack is None or _cap(domain) >= self.request.slots:
                return (
                    cause,
                    f"needs {self.need()}; {domain.name} has {_size(domain):,} free, "
                    "but limits that its racks share do not allow them together",
                    self._lower("wait for running gangs to end"),
                )
            cell = _binding(self.candidates, rack)
            message = (
                f"needs {self.need()}; {domain.name} has {_size(domain):,} free, but watts and cooling allow "
                f"{_cap(domain):,}: {self._limit(cell)}"
            )
            entries = self.facility.entries(rack)
            use = float(self.candidates.use[entries][self.facility.cells[entries] == cell][0])
            short = (self.request.slots - _cap(domain)) * use
        return cause, message, self._lower(f"free {kilowatts(short)} on {self._name(cell)}")

    def _name(self, cell: int) -> str:
        return self.facility.describe(cell)[1].label

    def _limit(self, cell: int) -> str:
        contingency, row = self.facility.describe(cell)
        load = float(self.candidates.state.loads[cell])
        limit = float(self.facility.limits[cell])
        after = "" if contingency.normal else f" after the loss of {contingency.label}"
        return f"{row.label}{after}: {kilowatts(load)} of {kilowatts(limit)} in use"

    def _nodes(self, domain: Subtree, domains: list[Subtree]) -> tuple[str, str]:
        largest = max(domains, key=lambda d: d.whole)
        free = f"{domain.name} has {_size(domain):,} free{self._barred(domain)}"
        # A wider level is advice only where what lies beside this domain would make up for what it lacks.
        wider = (
            self._wider() if sum(d.whole for d in domains) >= self.request.slots and len(domains) > 1 else ""
        )
        if largest.whole < self.request.slots:
            subject = f"the largest, {largest.name}," if self.attempt.level else largest.name
            return (
                f"needs {self.need()}; {subject} has {largest.whole:,} in all",
                f"ask for at most {largest.whole:,} {self.noun}" + wider,
            )
        if _size(domain) >= self.request.slots:
            return (
                f"needs {self.need()}; {free}, but not in whole segments of one NVLink domain",
                "ask for smaller segments" + wider,
            )
        missing = self.request.slots - _size(domain)
        noun = self.noun[:-1] if missing == 1 else self.noun
        return f"needs {self.need()}; {free}", f"free {missing:,} more {noun} in {domain.name}" + wider

    def _barred(self, domain: Subtree) -> str:
        """ " (2 more not healthy)": nodes that would be free but for something other than GPUs in use."""
        bars = np.concatenate([self.candidates.bars[b.members] for b in domain.bins])
        words = {
            Bar.RACK: "in racks that are not usable",
            Bar.UNHEALTHY: "not healthy",
            Bar.PROFILE: "under another power profile",
            Bar.CONSTRAINTS: "barred by the gang's own constraints",
            Bar.HELD: "held back as spares or drained",
        }
        found = [f"{n:,} {text}" for bar, text in words.items() if (n := int((bars == bar).sum()))]
        return f" (besides, {', '.join(found)})" if found else ""

    def _wider(self) -> str:
        if not self.attempt.level:
            return ""
        levels = [NVLINK, *self.facility.levels]
        above = levels[levels.index(self.attempt.level) + 1 :]
        return f", or require only {above[0]}" if above else ", or require no level"

    def _lower(self, first: str) -> str:
        """Watts can be had by waiting, or by a lower profile where strictness forbids one."""
        lower = [
            c.name
            for t in self.facility.rack_types
            if t is not None and t.resource == self.request.resource
            for c in t.caps
            for asked in [find_cap(t, self.request.power_profile)]
            if asked is not None and c.node_watts < asked.node_watts
        ]
        return f"{first}, or allow power profile {lower[0]}" if self.request.strict and lower else first
