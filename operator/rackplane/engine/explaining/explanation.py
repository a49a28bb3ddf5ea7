"""Why a gang cannot be placed: counts per level and cause, the tightest limit, and one plain sentence with numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from rackplane.engine.explaining import phrases, relief, trials
from rackplane.engine.explaining.phrases import level_words
from rackplane.engine.model import Cause, LevelCount, Refusal, RefusalKind, Request
from rackplane.engine.nodes.podkinds import serves
from rackplane.engine.nodes.views import Bar
from rackplane.engine.physics.draw import find_cap, liquid_share
from rackplane.engine.physics.rows import PEAK, LimitRow
from rackplane.engine.placing.attempts import Attempt, Subtree, widest
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.domains import Domains
from rackplane.engine.placing.shortage import Jam, Shortage, contended, jam, shortages
from rackplane.engine.reasons import Relief, ReliefKind, Tightest
from rackplane.engine.state import State


def invalid(state: State, request: Request) -> Refusal | None:
    """A request that no facility of these levels and node types could ever take."""
    facility = state.facility
    levels = facility.ladder
    for word, level in (("required", request.required), ("preferred", request.preferred)):
        if level is not None and level not in levels:
            return refusal(
                Cause.NODES,
                f"the {word} topology level {level} does not exist; the levels are {', '.join(levels)}",
                f"use one of {', '.join(levels)}",
            )
    if request.slots < 1 or request.gpus_per_slot < 0 or (request.segment_slots or 1) < 1:
        return refusal(
            Cause.NODES,
            f"asks for {request.slots} slots of {request.gpus_per_slot} GPUs in segments of {request.segment_slots}",
            "ask for at least one slot, no negative GPUs and segments of at least one slot",
        )
    types = [t for t in facility.types if serves(t, request.resource, request.gpus_per_slot)]
    if not types:
        return refusal(
            Cause.NODES,
            f"no usable rack has nodes with the resource {request.resource}",
            "correct the resource name, or add racks with a hardware profile for it",
        )
    largest = max(t.gpus_per_node for t in types)
    if request.gpus_per_slot > largest:
        return refusal(
            Cause.NODES,
            f"needs {request.gpus_per_slot} GPUs on one node; the largest node has {largest}",
            f"ask for at most {largest} GPUs per pod",
        )
    if all(find_cap(t, request.power_profile) is None for t in types):
        known = sorted({c.name for t in types for c in t.caps} | {"MaxP"})
        return refusal(
            Cause.PROFILE,
            f"the power profile {request.power_profile} does not exist; there are {', '.join(known)}",
            f"use one of {', '.join(known)}",
        )
    return None


def may_be_too_large(state: State, request: Request) -> bool:
    """Whether a refusal of the request may say that nodes would be too few if all were idle; False: it will not.

    The same for as long as the nodes, idle or not, and the facility are.
    """
    if request.groups or invalid(state, request) is not None:
        return True
    attempt = widest(Candidates(state, request, request.power_profile))
    return not Domains(attempt).large_enough(attempt.bin_whole).any()


def refusal(cause: Cause, message: str, change: str) -> Refusal:
    """Of a request that would not fit whatever ran: it has to be changed."""
    return Refusal(
        kind=RefusalKind.UNPLACEABLE,
        cause=cause,
        counts=(),
        message=message,
        relief=change,
        misfit=True,
        reliefs=(Relief(kind=ReliefKind.CHANGE, message=change, now=False),),
    )


def refuse(
    candidates: Candidates,
    tries: Sequence[Attempt],
    kind: RefusalKind,
    fits: relief.Fits | None = None,
    *,
    questions: int = 0,
) -> Refusal:
    """Explain a valid request that does not fit, by that domain of the widest level tried that is nearest to it.

    Args:
        fits: where a changed request would be placed; without it reliefs that need that answer are left out.
        questions: how often it may be asked for reliefs that concern the whole facility.
    """
    views = [View(candidates, attempt) for attempt in tries]
    last = views[-1]
    counts = tuple(view.count() for view in views)
    if not last.domains:
        level = level_words(last.attempt.level)
        of_resource = f" with {candidates.request.resource}" if candidates.request.gpus_per_slot else ""
        message = f"needs {last.need()}; no {level}{of_resource} is known"
        change = f"label the nodes with their {level}, or ask for another level"
        reliefs: tuple[Relief, ...] = (Relief(kind=ReliefKind.CHANGE, message=change, now=False),)
        return _answer(kind, Cause.NODES, counts, message, reliefs)
    nearest = last.nearest()
    cause = last.causes[nearest]
    misfit = not last.domains.large_enough(last.attempt.bin_whole).any()
    tightest = None
    if cause in (Cause.NODES, Cause.PROFILE):
        message = last.about_nodes(nearest)
        reliefs = relief.for_nodes(last, nearest, misfit=misfit)
    else:
        message, cause, tightest = last.about_limit(nearest)
        misfit = misfit or last.never()
        reliefs = relief.for_limit(last, nearest, tightest, fits, misfit=misfit)
    if fits is not None and questions:
        reliefs = (*reliefs, *trials.tried(last, nearest, fits, questions))
    return _answer(kind, cause, counts, message, relief.ordered(reliefs), tightest=tightest, misfit=misfit)


def _answer(
    kind: RefusalKind,
    cause: Cause,
    counts: tuple[LevelCount, ...],
    message: str,
    reliefs: tuple[Relief, ...],
    *,
    tightest: Tightest | None = None,
    misfit: bool = False,
) -> Refusal:
    return Refusal(
        kind=kind,
        cause=cause,
        counts=counts,
        message=message,
        relief=relief.sentence(reliefs, misfit=misfit),
        misfit=misfit,
        tightest=tightest,
        reliefs=reliefs,
    )


class View:
    """One level that was tried: its domains, and what each of them fails on."""

    def __init__(self, candidates: Candidates, attempt: Attempt) -> None:
        self.candidates = candidates
        self.request = candidates.request
        self.attempt = attempt
        self.facility = candidates.state.facility
        self.domains = Domains(attempt)
        enough = self.domains.large_enough(attempt.bin_free)
        self.enough: list[bool] = enough.tolist()
        self.shortages: list[Shortage | None] = [None] * len(self.domains)
        self._some_enough = bool(enough.any())
        if self._some_enough:
            self.room = self.domains.room(enough)
            self.shortages = shortages(candidates, self.room)

    # -- counts ------------------------------------------------------------------------------------

    @cached_property
    def cells(self) -> list[int | None]:
        """By domain: the limit it fails on, None if nodes are too few there or no limit can be named."""
        if not self._some_enough:
            return [None] * len(self.domains)
        found = [None if s is None else s.cell for s in self.shortages]
        if any(ok and cell is None for ok, cell in zip(self.enough, found, strict=True)):
            found = [
                a if a is not None else b
                for a, b in zip(found, contended(self.candidates, self.room), strict=True)
            ]
        return [cell if ok else None for ok, cell in zip(self.enough, found, strict=True)]

    @cached_property
    def causes(self) -> list[Cause]:
        """By domain: what it fails on."""
        if self._nodes_everywhere:
            return [Cause.NODES] * len(self.domains)
        return [
            self._node_cause(d)
            if not ok
            else (Cause.POWER if cell is None else self.facility.describe(cell)[1].cause)
            for d, (ok, cell) in enumerate(zip(self.enough, self.cells, strict=True))
        ]

    def count(self) -> LevelCount:
        """How many domains fail on what."""
        level = level_words(self.attempt.level)
        if self._nodes_everywhere:
            return LevelCount(level, len(self.domains), {Cause.NODES: len(self.domains)})
        failing: dict[Cause, int] = {}
        limits: dict[str, int] = {}
        after_loss = 0
        for cause, cell in zip(self.causes, self.cells, strict=True):
            failing[cause] = failing.get(cause, 0) + 1
            if cell is None:
                continue
            contingency, row = self.facility.describe(cell)
            after_loss += not contingency.normal
            if cause is Cause.POWER:
                limits[row.kind.value] = limits.get(row.kind.value, 0) + 1
        return LevelCount(
            level,
            len(self.domains),
            {c: failing[c] for c in Cause if c in failing},
            limits,
            after_loss,
        )

    def nearest(self) -> int:
        """The domain that is nearest to taking the gang: with nodes enough, the fewest watts short, the most room."""
        if not self._some_enough:
            roomiest = np.flatnonzero(self.domains.cap == self.domains.cap.max())
            return int(roomiest[self.domains.free[roomiest].argmax()])
        usable = [d for d, cause in enumerate(self.causes) if cause not in (Cause.NODES, Cause.PROFILE)]

        def rank(d: int) -> tuple[float, int, int]:
            short = self.shortages[d]
            watts = -round(short.short_watts) if short else 0
            return (watts, int(self.domains.cap[d]), int(self.domains.free[d]))

        return max(usable or range(len(self.domains)), key=rank)

    def _node_cause(self, d: int) -> Cause:
        if self._all_have_profile:
            return Cause.NODES
        racks = {c.rack for b in self.domains[d].bins for c in b.cells}
        lacks = bool(racks) and not any(self.candidates.has_profile[r] for r in racks)
        return Cause.PROFILE if lacks else Cause.NODES

    @cached_property
    def _nodes_everywhere(self) -> bool:
        """Whether every domain, and there is one, fails on nodes."""
        return len(self.domains) > 0 and not self._some_enough and self._all_have_profile

    @cached_property
    def _all_have_profile(self) -> bool:
        return bool(self.candidates.has_profile[self.candidates.offers].all())

    def never(self) -> bool:
        """Whether limits alone keep even an idle facility from taking the gang, with everything in service."""
        return relief.never(self.candidates, self.domains)

    # -- sentences ---------------------------------------------------------------------------------

    @cached_property
    def noun(self) -> str:
        """ "nodes" where a slot takes whole nodes, else "pods"."""
        request = self.request
        kinds = [
            t for t in self.facility.rack_types if t and serves(t, request.resource, request.gpus_per_slot)
        ]
        return "nodes" if {t.gpus_per_node for t in kinds} == {request.gpus_per_slot} else "pods"

    def counted(self, slots: int) -> str:
        """ "1 node", "1,024 pods"."""
        return f"{slots:,} {self.noun[:-1] if slots == 1 else self.noun}"

    def need(self) -> str:
        """ "32 nodes of 4 GPUs in one leaf"."""
        gpus, run = self.request.gpus_per_slot, self.request.segment_slots
        each = f" of {gpus} GPUs" if gpus else ""
        runs_ = f" in segments of {run}" if run and run > 1 else ""
        place = f" in one {level_words(self.attempt.level)}" if self.attempt.level else ""
        return f"{self.counted(self.request.slots)}{each}{runs_}{place}"

    def about_nodes(self, d: int) -> str:
        """Why the nodes of the domain do not do."""
        if self.causes[d] is Cause.PROFILE:
            return f"needs {self.need()}; no rack there has the power profile {self.request.power_profile}"
        largest = int(self.domains.whole.argmax())
        if not self.domains.large_enough(self.attempt.bin_whole).any():
            name, whole = self.domains.name(largest), int(self.domains.whole[largest])
            subject = f"the largest, {name}," if self.attempt.level else name
            in_runs = self.domains.most_in_runs()
            run = self.request.segment_slots or 1
            in_all = f"needs {self.need()}; {subject} has {whole:,} in all"
            if not in_runs:
                return f"{in_all}, but no whole segment of {run} in one NVLink domain"
            return f"{in_all}, {in_runs:,} of them in whole segments of {run}" if in_runs < whole else in_all
        slots = int(self.domains.free[d])
        free = f"{self.domains.name(d)} has {slots:,} free{self._barred(d)}"
        if slots >= self.request.slots:
            return f"needs {self.need()}; {free}, but not in whole segments of one NVLink domain"
        return f"needs {self.need()}; {free}"

    def about_limit(self, d: int) -> tuple[str, Cause, Tightest | None]:
        """Which limit the domain fails on, in words and in parts."""
        domain, shortage = self.domains[d], self.shortages[d]
        cause = self.causes[d]
        if shortage is not None:
            tightest = self.tightest(domain, shortage)
            where = f" in {domain.name}" if self.attempt.level else ""
            peak = " at peak" if tightest.peak else ""
            heat = {Cause.LIQUID: " liquid cooling", Cause.AIR: " air cooling"}.get(cause, "")
            need = f"needs {phrases.kilowatts(tightest.needed_watts)} more{heat}{peak}{where}"
            return f"{need}; {phrases.held_over(tightest, cause, self.facility, who='that')}", cause, tightest
        full = self._jam(domain)
        free = f"needs {self.need()}; {domain.name} has {size(domain):,} free"
        if full is None:
            return f"{free}, but no way was found to place them within its limits", cause, None
        cause = self.facility.describe(full.shortage.cell)[1].cause
        tightest = self.tightest(domain, full.shortage)
        placed = f"with {full.placed:,} placed, " if full.placed else ""
        if tightest.lost:
            placed = f"with {full.placed:,} placed and {full.more:,} more, " if full.placed else ""
        held = phrases.held_over(
            tightest, cause, self.facility, who=f"{full.more:,} more" if full.placed else "that"
        )
        return f"{free}; {placed}{held}", cause, tightest

    def _jam(self, domain: Subtree) -> Jam | None:
        # The roomiest first, so that the limit that is named stops as much as it can.
        cells = sorted((c for b in domain.bins for c in b.cells), key=lambda c: (-c.cap, c.rack))
        return jam(self.candidates, [(c.rack, c.free) for c in cells])

    def tightest(self, domain: Subtree, shortage: Shortage) -> Tightest:
        """The shortage as parts, in whole watts."""
        f = self.facility
        contingency, row = f.describe(shortage.cell)
        limit = round(float(f.limits[shortage.cell]))
        load = max(
            limit + 1, round(float(self.candidates.state.loads[shortage.cell]) + shortage.needed_watts)
        )
        ends = float(f.cell_ends[shortage.cell])
        return Tightest(
            level=level_words(self.attempt.level),
            domain=domain.name,
            kind=phrases.kind_of(row),
            name=row.element,
            feed=row.detail,
            peak=row.basis == PEAK,
            lost=contingency.lost,
            out_of_service=f.second_loss.get(int(f.cell_contingencies[shortage.cell]), ()),
            load_watts=load,
            limit_watts=limit,
            normal_limit_watts=round(float(f.limits[f.cell_rows[shortage.cell]])),
            over_watts=load - limit,
            added_watts=round(shortage.needed_watts),
            needed_watts=self._drawn(domain, row),
            starts_at=row.starts_at,
            ends_at=None if np.isinf(ends) else ends,
        )

    def _drawn(self, domain: Subtree, row: LimitRow) -> int:
        """What the whole gang draws at least in the domain, by the row's measure: nominal, peak, or heat; watts."""
        racks = {c.rack for b in domain.bins for c in b.cells}
        # One rack for each node type speaks for all of that type.
        one_of = {id(self.facility.rack_types[rack]): rack for rack in racks}
        least: list[int] = []
        for rack in one_of.values():
            watts, node_type = self.candidates.needs.watts(rack), self.facility.rack_types[rack]
            assert node_type is not None
            if row.cause in (Cause.LIQUID, Cause.AIR):
                liquid = liquid_share(node_type, watts.nominal)
                least.append(liquid if row.cause is Cause.LIQUID else watts.nominal - liquid)
            else:
                least.append(watts.peak if row.basis == PEAK else watts.nominal)
        return self.request.slots * min(least, default=0)

    def _barred(self, d: int) -> str:
        """ " (2 more not healthy)": nodes that would be free but for something other than GPUs in use."""
        bars = self.candidates.view.bars(self.domains.nodes(d))
        words = {
            Bar.RACK: "in racks that are not usable",
            Bar.UNHEALTHY: "not healthy",
            Bar.PROFILE: "under another power profile",
            Bar.CONSTRAINTS: "barred by the gang's own constraints",
            Bar.HELD: "held back as spares or drained",
            Bar.MAINTENANCE: "that maintenance takes away before it is expected to be over",
        }
        if not bars.any():
            return ""
        found = [f"{n:,} {text}" for bar, text in words.items() if (n := int((bars == bar).sum()))]
        return f" (besides, {', '.join(found)})" if found else ""


def size(domain: Subtree) -> int:
    """Slots it has free by nodes alone."""
    return sum(b.size for b in domain.bins)
