"""A model of what nodes really draw (docs/simulator.md, The power model): drawn beside reserved.

A node that works draws idle + f (cap - idle). f is drawn from what eight-GPU nodes of a real cluster drew while they
worked, and what single GPUs did, for gangs on part of a node (data/README.md). The quantiles of the nodes of one gang
are correlated, by a Gaussian copula with one factor. A gang has phases, all its nodes at once: it draws little while
it loads, and in the pauses of its steps, when checkpoints and evaluations are written.
"""

from __future__ import annotations

import csv
import heapq
import math
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import NodeType
from rackplane.engine.physics.draw import find_cap
from rackplane.engine.physics.facility import Facility
from rackplane.engine.state import State
from rackplane.simulator.gangs import Live
from rackplane.simulator.limits import Meter

__all__ = ["PowerModel", "Workers", "busy_fractions"]

Floats = NDArray[np.float64]

BUSY_NODE_WATTS: Final = 2_000.0
BUSY_GPU_WATTS: Final = 120.0
"""From here on a node, or a GPU, of the measurements counts as one that works. An assumption: the published figures are
of all nodes at all times, and those without work draw 1.4 to 1.9 kW, and their GPUs 55 to 100 W."""


@cache
def busy_fractions(column: str) -> tuple[Floats, Floats]:
    """Quantiles, and at each the fraction of what lies between idle and the cap.

    Args:
        column: "node_watts" or "gpu_watts".
    """
    text = (resources.files("rackplane.simulator") / "data" / "acme_power_quantiles.csv").read_text("utf-8")
    watts = np.array([float(row[column]) for row in csv.DictReader(text.splitlines())])
    busy = watts[watts >= (BUSY_NODE_WATTS if column == "node_watts" else BUSY_GPU_WATTS)]
    # The last of a thousand values may be a meter's mistake: the 99th percentile stands for a node at its cap.
    return np.linspace(0.0, 1.0, len(busy)), np.minimum(1.0, (busy - watts[0]) / (watts[-2] - watts[0]))


@dataclass(frozen=True, slots=True)
class PowerModel:
    """What is assumed of the draw of jobs.

    Args:
        correlation: of the normal scores of two nodes of one gang, 0 to 1.
        starting: seconds in which a gang loads before its first step.
        period: seconds from one pause to the next, the median over gangs; of one gang it is always the same.
        spread: standard deviation of the logarithm of that.
        pause_percent: of the period that the pause takes, at most; of a gang between nothing and that.
        pause_quantile: in a pause a node is at this part of its own quantile.
    """

    correlation: float = 0.8
    starting: int = 300
    period: int = 3_600
    spread: float = 0.5
    pause_percent: int = 15
    pause_quantile: float = 0.1

    def quantiles(self, random: np.random.Generator, nodes: int) -> Floats:
        """Of each node of a gang, between 0 and 1."""
        common, own = random.standard_normal(), random.standard_normal(nodes)
        scores = math.sqrt(self.correlation) * common + math.sqrt(1 - self.correlation) * own
        return np.array([0.5 * (1 + math.erf(z / math.sqrt(2))) for z in scores.tolist()])


@dataclass(slots=True)
class _Drawing:
    """One gang in its place: watts over idle by rack, while it works and in a pause; and its phases in seconds."""

    busy: dict[int, int]
    pause: dict[int, int]
    works: bool = False
    at: int = 0
    working: int = 0
    pausing: int = 0
    token: int = field(default=0)


class Workers:
    """All gangs that run, as a meter of what is drawn sees them.

    Args:
        seed: with a gang's name and the number of its stops decides everything about its draw.
    """

    def __init__(self, model: PowerModel, state: State, *, seed: int) -> None:
        self.model, self._seed, self._state = model, seed, state
        self.meter = Meter(state.facility)
        self._drawing: dict[str, _Drawing] = {}
        self._phases: list[tuple[int, str, int]] = []
        self._token = 0
        self.use(0, state, state.facility)

    def use(self, now: int, state: State, facility: Facility) -> None:
        """The facility is another one from now on: other limits, or other nodes."""
        self.advance(now)
        self._state = state
        watts = np.array([max(0, rack.overhead_watts) for rack in facility.racks], dtype=np.int64)
        for node in state.nodes():
            node_type = state.node_type(node.name)
            if node_type is not None and node.rack is not None and node.rack in facility.rack_index:
                watts[facility.rack_index[node.rack]] += node_type.idle_watts
        for drawing in self._drawing.values():
            for rack, more in (drawing.busy if drawing.works else drawing.pause).items():
                watts[rack] += more
        self.meter.change_facility(now, facility, watts, watts)

    def place(self, now: int, gang: Live) -> None:
        """It runs from now on, or at another power profile."""
        self._go_on(now)
        before = self._drawing.get(gang.request.name)
        name, random = gang.request.name, self._random(gang)
        busy, pause = self._watts(gang, random)
        self._token += 1
        if before is not None:
            # The same phases go on, at another power.
            self._switch(now, before, busy, pause)
            return
        period = max(60.0, self.model.period * random.lognormal(0.0, self.model.spread))
        share = random.uniform(0.0, self.model.pause_percent / 100)
        drawing = self._drawing[name] = _Drawing(
            busy,
            pause,
            at=now,
            working=max(1, round(period * (1 - share))),
            pausing=max(1, round(period * share)),
            token=self._token,
        )
        self.meter.add(now, pause)
        heapq.heappush(self._phases, (now + self.model.starting, name, drawing.token))

    def free(self, now: int, gang: Live) -> None:
        """It does not run any more."""
        self._go_on(now)
        drawing = self._drawing.pop(gang.request.name, None)
        if drawing is not None:
            watts = drawing.busy if drawing.works else drawing.pause
            self.meter.add(now, {rack: -more for rack, more in watts.items()})

    def advance(self, now: int) -> None:
        """Go through the phases until now, and count the time until then."""
        self._go_on(now)
        self.meter.count(now)

    def _go_on(self, now: int) -> None:
        """Go through the phases until now."""
        while self._phases and self._phases[0][0] <= now:
            at, name, token = heapq.heappop(self._phases)
            drawing = self._drawing.get(name)
            if drawing is None or drawing.token != token:
                continue
            after, before = (drawing.pause, drawing.busy) if drawing.works else (drawing.busy, drawing.pause)
            drawing.works = not drawing.works
            self.meter.add(at, {rack: watts - before[rack] for rack, watts in after.items()})
            lasts = drawing.working if drawing.works else drawing.pausing
            heapq.heappush(self._phases, (at + lasts, name, token))

    def _switch(self, now: int, drawing: _Drawing, busy: dict[int, int], pause: dict[int, int]) -> None:
        before = drawing.busy if drawing.works else drawing.pause
        after = busy if drawing.works else pause
        drawing.busy, drawing.pause = busy, pause
        self.meter.add(now, {rack: after.get(rack, 0) - before.get(rack, 0) for rack in {**before, **after}})

    def _random(self, gang: Live) -> np.random.Generator:
        number = int("".join(filter(str.isdecimal, gang.request.name)) or 0)
        return np.random.default_rng([self._seed, number, gang.progress.stops])

    def _watts(self, gang: Live, random: np.random.Generator) -> tuple[dict[int, int], dict[int, int]]:
        """Watts over idle by rack, while it works and in a pause."""
        busy: dict[int, int] = {}
        pause: dict[int, int] = {}
        gpus = int(gang.request.spec["gpusPerSlot"])
        nodes = gang.nodes
        scores = self.model.quantiles(random, len(nodes))
        of_types: dict[int, tuple[list[int], list[int]]] = {}
        for i, name in enumerate(nodes):
            spec, node_type = self._state.node(name), self._state.node_type(name)
            rack = None if spec is None else self.meter.facility.rack_index.get(spec.rack or "")
            if node_type is None or rack is None:
                continue
            found = of_types.get(id(node_type))
            if found is None:
                found = of_types[id(node_type)] = self._watts_of_type(gang, node_type, gpus, scores)
            busy[rack] = busy.get(rack, 0) + found[0][i]
            pause[rack] = pause.get(rack, 0) + found[1][i]
        return busy, pause

    def _watts_of_type(
        self, gang: Live, node_type: NodeType, gpus: int, scores: Floats
    ) -> tuple[list[int], list[int]]:
        """By node of the gang, were it of that type: watts over idle while it works, and in a pause."""
        cap = find_cap(node_type, gang.profile)
        above = (node_type.max_watts if cap is None else cap.node_watts) - node_type.idle_watts
        of_node = min(1.0, gpus / max(1, node_type.gpus_per_node)) * max(0, above)
        high, low = self._fractions(gang, node_type, gpus, scores)
        return [round(part * of_node) for part in high], [round(part * of_node) for part in low]

    def _fractions(
        self, gang: Live, node_type: NodeType, gpus: int, scores: Floats
    ) -> tuple[list[float], list[float]]:
        """By node, of what lies between idle and the cap: while it works, and in a pause."""
        known = gang.request.job.node_watts
        if known is None:
            column = "node_watts" if gpus >= node_type.gpus_per_node else "gpu_watts"
            found = np.interp([scores, scores * self.model.pause_quantile], *busy_fractions(column))
            return found[0].tolist(), found[1].tolist()
        # What a trace says of a job is of the whole node, whatever its cap.
        cap = find_cap(node_type, gang.profile)
        above = max(1, (node_type.max_watts if cap is None else cap.node_watts) - node_type.idle_watts)
        peak = gang.request.job.node_peak_watts or known
        high, mean = (min(1.0, max(0.0, (watts - node_type.idle_watts) / above)) for watts in (peak, known))
        share = self.model.pause_percent / 200
        pausing = max(0.0, (mean - (1 - share) * high) / share)
        return [high] * len(scores), [pausing] * len(scores)
