"""Which element binds first: headroom of each in its worst contingency over a run, and whom it keeps waiting.

Read at samples, from the operator's own state. An element *binds* at a sample if what it has left under the loss that
leaves it least does not carry one idle node more at full power. GPUs that an element keeps idle are those of free
nodes that the engine's account of stranded power gives to it (docs/status.md); they count while jobs wait, for at
other times nobody misses them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rackplane.engine.physics import draw
from rackplane.engine.physics.facility import Facility
from rackplane.engine.reporting.stranded import stranded
from rackplane.engine.state import State
from rackplane.figures import count, kilowatts
from rackplane.simulator.planning.answers import Answer, Table, percent
from rackplane.simulator.planning.runs import Bars, run
from rackplane.simulator.running import Inputs
from rackplane.simulator.simulation import Simulation

__all__ = ["Element", "binding"]

_NAMED = 12
"""Elements that have a line."""


@dataclass(slots=True)
class Element:
    """A power domain, a cooling zone or a budget over a run. Watts; of a cooling zone, of heat.

    Args:
        least: its least headroom, of ``limit``, under the loss of ``loss``, at second ``at``.
        headroom: summed over samples.
        bound: samples at which it bound; the first at second ``first``.
        gpus: that it kept idle while jobs waited, summed over samples; at most ``most``.
    """

    kind: str
    name: str
    limit: int
    least: int = 2**62
    loss: str = ""
    at: int = 0
    headroom: int = 0
    samples: int = 0
    bound: int = 0
    first: int | None = None
    gpus: int = 0
    most: int = 0

    @property
    def share_left(self) -> float:
        """Of its limit, at its least."""
        return self.least / self.limit if self.limit > 0 else 0.0


@dataclass(slots=True)
class _Watch:
    """Samples of one run, added up."""

    elements: dict[tuple[str, str], Element] = field(default_factory=dict)
    others: dict[str, Element] = field(default_factory=dict)
    """Limits of racks and their feeds, which are nobody's element, by their labels."""
    samples: int = 0
    waiting: int = 0
    _known: tuple[Facility, frozenset[str]] | None = None

    def look(self, simulation: Simulation, second: int) -> None:
        state = simulation.cluster.machine.state
        assert state is not None  # everything has been listed
        self.samples += 1
        node = _smallest_node(state)
        loaded = self._above_racks(simulation.reserved.facility)
        for load in simulation.reserved.elements():
            if load.name not in loaded:
                continue  # it bounds nobody: out of service, or for cooling alone
            of = self.elements.setdefault(
                (load.kind, load.name), Element(load.kind, load.name, load.limit_watts)
            )
            of.samples += 1
            of.headroom += load.headroom_watts
            if load.headroom_watts < of.least:
                of.least, of.limit, of.loss, of.at = load.headroom_watts, load.limit_watts, load.loss, second
            if load.headroom_watts < node:
                of.bound += 1
                of.first = second if of.first is None else of.first
        if simulation.cluster.waiting:
            self.waiting += 1
            self._count_idle(state)

    def _above_racks(self, f: Facility) -> frozenset[str]:
        """Elements that racks load, now or after a loss."""
        if self._known is None or self._known[0] is not f:
            rows = np.unique(f.cell_rows[f.cells]).tolist()
            self._known = f, frozenset(f.rows[row].element for row in rows)
        return self._known[1]

    def _count_idle(self, state: State) -> None:
        found: dict[int, int] = {}
        owners: dict[int, Element] = {}
        for rack, left in stranded(state).racks.items():
            node_type = state.facility.rack_types[state.facility.rack_index[rack]]
            for unfed in left.unfed:
                kind = {"Liquid": "CoolingZone", "Air": "CoolingZone", "Budget": "PowerBudget"}.get(
                    unfed.cause.value, "PowerDomain"
                )
                of = self.elements.get((kind, unfed.row.element))
                if of is None or unfed.cause.value == "Rack":
                    of = self.others.setdefault("racks", Element("Rack", "racks and their feeds", 0))
                owners[id(of)] = of
                gpus = 0 if node_type is None else node_type.gpus_per_node
                found[id(of)] = found.get(id(of), 0) + unfed.nodes * gpus
        for key, gpus in found.items():
            owners[key].gpus += gpus
            owners[key].most = max(owners[key].most, gpus)


def _smallest_node(state: State) -> int:
    """The least that an idle node adds at full power."""
    adds = [draw.full_increment(t, t.max_watts).nominal for t in state.facility.types if t.gpus_per_node]
    return min(adds, default=1)


def binding(inputs: Inputs, *, seed: int, every: int, bars: Bars) -> Answer:
    """The answer, by one run."""
    watch = _Watch()
    outcome = run(inputs, name="as it is", seed=seed, every=every, bars=bars, sampled=watch.look)
    ranked = sorted(
        watch.elements.values(),
        key=lambda of: (-of.gpus, -of.bound, of.share_left, of.headroom / of.samples, of.name),
    )
    idle = sum(of.gpus for of in (*ranked, *watch.others.values()))
    waiting = max(1, watch.waiting)
    first = min(
        (of for of in ranked if of.first is not None),
        key=lambda of: (of.first, of.share_left, of.name),
        default=None,
    )
    rows = [_row(number, of, watch.samples, waiting) for number, of in enumerate(ranked[:_NAMED], 1)]
    rows += [
        ("", of.name, "", "", "", "", f"{of.gpus / waiting:,.0f}", f"{of.most:,}")
        for of in watch.others.values()
    ]
    table = Table(
        ("", "ELEMENT", "LEAST KW", "OF LIMIT", "LOSING", "BINDS", "GPUS IDLE", "MOST"),
        rows,
        right=(0, 2, 3, 5, 6, 7),
    )
    notes = [
        f"{count(watch.samples, 'sample')}, one every {every:,} s; at {watch.waiting:,} of them jobs waited. "
        "LEAST KW is the least headroom, in the loss named; BINDS the share of samples at which not one node more "
        "would have fitted; GPUS IDLE those of free nodes that it kept from jobs that waited, in the mean, and MOST "
        "at once."
    ]
    if len(ranked) > _NAMED:
        notes.append(f"{len(ranked) - _NAMED} more elements, with more left, are in -o json.")
    if outcome.stuck:
        notes.append(f"{count(outcome.never, 'job')} can never start: {outcome.stuck}.")
    data = {
        "firstToBind": None
        if first is None
        else {"kind": first.kind, "name": first.name, "second": first.first},
        "samples": watch.samples,
        "samplesWithWaitingJobs": watch.waiting,
        "elements": [_as_data(of, watch.samples, waiting) for of in (*ranked, *watch.others.values())],
    }
    return Answer(
        "binding", _sentence(ranked, first, idle, waiting, watch.samples), (table,), tuple(notes), data
    )


def _sentence(ranked: list[Element], first: Element | None, idle: int, waiting: int, samples: int) -> str:
    if not ranked:
        return "No power domain, cooling zone or budget bounds any rack of this facility."
    if first is None:
        least = min(ranked, key=lambda of: (of.share_left, of.name))
        return (
            f"Nothing binds: {least.name} comes nearest, with {kilowatts(least.least)} kW "
            f"({percent(least.least, least.limit)} of its limit) left{_loss(least)}."
        )
    top = ranked[0]
    said = f"{first.name} binds first, at day {(first.first or 0) / 86_400:.1f}{_loss(first)}"
    if top.gpus:
        which = "it" if top is first else top.name
        return (
            f"{said}; while jobs wait, {which} keeps {top.gpus / waiting:,.0f} GPUs idle in the mean, "
            f"{percent(top.gpus, idle)} of all that limits keep."
        )
    return f"{said}, in {percent(first.bound, samples)} of the samples; no waiting job misses what it keeps back."


def _loss(of: Element) -> str:
    return f", losing {of.loss}" if of.loss else ""


def _row(number: int, of: Element, samples: int, waiting: int) -> tuple[str, ...]:
    return (
        str(number),
        of.name,
        kilowatts(of.least),
        percent(of.least, of.limit),
        of.loss or "nothing",
        percent(of.bound, samples),
        f"{of.gpus / waiting:,.0f}",
        f"{of.most:,}",
    )


def _as_data(of: Element, samples: int, waiting: int) -> dict[str, object]:
    own = of.samples > 0
    return {
        "kind": of.kind,
        "name": of.name,
        "leastHeadroomWatts": of.least if own else None,
        "limitWatts": of.limit if own else None,
        "loss": of.loss,
        "leastAtSecond": of.at if own else None,
        "meanHeadroomWatts": round(of.headroom / of.samples) if own else None,
        "sharesOfSamplesBound": round(of.bound / samples, 4) if samples else 0.0,
        "firstBoundSecond": of.first,
        "meanIdleGpusWhileJobsWait": round(of.gpus / waiting, 1),
        "mostIdleGpus": of.most,
    }
