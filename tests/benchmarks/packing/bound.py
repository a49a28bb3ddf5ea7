"""How many GPUs can run at most, whatever the rule: a linear programme over rack patterns, by column generation.

A pattern is what one rack runs: whole jobs and segments, with the rack's nodes and its own watts as its room. Racks
that load the shared limits alike and have equal room are one group. The programme chooses how many racks of each group
run each pattern, and how many of the segmented jobs run in each hall, under the number of jobs of each size and every
shared limit in every contingency. Fractions are allowed: that makes it a bound, for a queue and for any mean over time.

(Gilmore and Gomory's method: new patterns come from a knapsack under the present prices. It may stop at any time, for
the value plus what every rack could still gain at those prices is a bound too: Lagrange.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from ortools.linear_solver.python import model_builder as mb

from tests.benchmarks.campus import NODE_TYPE
from tests.benchmarks.packing.cluster import GPU_WATTS
from tests.benchmarks.packing.room import Room
from tests.benchmarks.packing.view import Job

Floats = NDArray[np.float64]
ROUNDS = 200
GAP = 1e-4
"""Of the value: where column generation stops."""


@dataclass(frozen=True)
class Limits:
    """The physics of an empty cluster as the bounds need it: by rack its hall and room in GPUs, and the shared limits.

    Room is the healthy nodes' GPUs, or what every limit that only this rack is under leaves, if less. A shared limit is
    watts of slack, and by rack the watts on it for one GPU in use there.
    """

    hall: NDArray[np.int64]
    room: NDArray[np.int64]
    nodes: NDArray[np.int64]
    slack: Floats
    watts: Floats

    @classmethod
    def of(cls, room: Room) -> Limits:
        """Read from the compiled facility and the loads of the idle state, not from what the engine decides."""
        f = room.state.facility
        slack = room.state.slack()
        watts = np.zeros((len(slack), room.racks))
        np.maximum.at(watts, (f.cells, f.entry_racks), f.coefficients * GPU_WATTS)
        bound = np.isfinite(slack) & (watts > 0).any(axis=1)
        slack, watts = slack[bound], watts[bound]
        alone = (watts > 0).sum(axis=1) == 1
        most = room.size.copy()
        for left, costs in zip(slack[alone], watts[alone], strict=True):
            rack = int(costs.argmax())
            most[rack] = min(most[rack], int((left + 0.01) // costs[rack]))
        shared = np.unique(np.column_stack((slack, watts))[~alone], axis=0)
        return cls(room.hall, most, room.size // NODE_TYPE.gpus_per_node, shared[:, 0] + 0.01, shared[:, 1:])


@dataclass
class _Programme:
    """The master programme: rows are fixed, columns are patterns."""

    limits: Limits
    supply: Mapping[Job, float]
    groups: list[NDArray[np.int64]] = field(default_factory=list)
    items: list[tuple[int, Job | None]] = field(default_factory=list)
    """GPUs, and the job that one of them is; None for a part of a segmented job."""
    patterns: list[tuple[int, NDArray[np.int64]]] = field(default_factory=list)
    """Group, and how many of each item."""

    def __post_init__(self) -> None:
        keys = np.column_stack((self.limits.hall, self.limits.room, np.round(self.limits.watts.T, 6)))
        _, group = np.unique(keys, axis=0, return_inverse=True)
        self.groups = [np.flatnonzero(group.ravel() == g) for g in range(int(group.max()) + 1)]
        whole = [job for job in sorted(self.supply) if not job.segmented]
        parts = sorted({part for job in self.supply if job.segmented for part in job.parts})
        self.items = [(job.gpus, job) for job in whole]
        self.items += [(part * NODE_TYPE.gpus_per_node, None) for part in parts]
        self.gpus = np.array([gpus for gpus, _ in self.items], dtype=np.int64)
        self.large = [job for job in sorted(self.supply) if job.segmented]
        first = np.array([racks[0] for racks in self.groups])
        self.room = self.limits.room[first]
        self.hall = self.limits.hall[first]
        self.watts = self.limits.watts[:, first]
        self.known: set[tuple[int, ...]] = set()

    def add(self, group: int, counts: NDArray[np.int64]) -> None:
        key = (group, *counts.tolist())
        if counts.any() and key not in self.known:
            self.known.add(key)
            self.patterns.append((group, counts))

    def solve(self) -> tuple[float, Floats, Floats, Floats]:
        """Value, prices of each item by hall, prices of a GPU by group, and prices of a rack by group."""
        model = mb.Model()  # type: ignore[no-untyped-call]
        x = [model.new_num_var(0, np.inf, f"x{i}") for i in range(len(self.patterns))]
        halls = int(self.hall.max()) + 1
        y = [
            [model.new_num_var(0, np.inf, f"y{j}-{h}") for h in range(halls)] for j in range(len(self.large))
        ]
        worth = [
            int(sum(g * n for (g, job), n in zip(self.items, c, strict=True) if job))
            for _, c in self.patterns
        ]
        by_hall = [job.gpus for job in self.large for _ in range(halls)]
        flat = [v for line in y for v in line]
        model.maximize(mb.LinearExpr.weighted_sum([*x, *flat], [*worth, *by_hall]))

        def most(
            variables: list[mb.Variable], weights: list[float], bound: float
        ) -> mb.LinearConstraint | None:
            if not variables:
                return None
            return model.add(mb.LinearExpr.weighted_sum(variables, weights) <= bound)

        demand: dict[tuple[int, int], mb.LinearConstraint | None] = {}
        for t, (gpus, job) in enumerate(self.items):
            users = [(i, g, int(c[t])) for i, (g, c) in enumerate(self.patterns) if c[t]]
            if job is not None:
                row = most([x[i] for i, _, _ in users], [n for _, _, n in users], self.supply[job])
                demand.update({(t, h): row for h in range(halls)})
                continue
            part = gpus // NODE_TYPE.gpus_per_node
            for h in range(halls):
                need = [(y[j][h], job.parts.count(part)) for j, job in enumerate(self.large)]
                got = [(x[i], -n) for i, g, n in users if self.hall[g] == h]
                terms = [(v, n) for v, n in [*need, *got] if n]
                demand[t, h] = most([v for v, _ in terms], [n for _, n in terms], 0.0)
        for j, job in enumerate(self.large):
            most(y[j], [1.0] * halls, self.supply[job])
        of_group: list[list[int]] = [[] for _ in self.groups]
        for i, (g, _) in enumerate(self.patterns):
            of_group[g].append(i)
        racks = [
            most([x[i] for i in of], [1.0] * len(of), float(len(self.groups[g])))
            for g, of in enumerate(of_group)
        ]
        used = np.array([int((self.gpus * c).sum()) for _, c in self.patterns])
        group_of = np.array([g for g, _ in self.patterns], dtype=np.int64)
        cells = []
        for watts, slack in zip(self.watts, self.limits.slack, strict=True):
            loaded = np.flatnonzero(watts[group_of] > 0)
            cells.append(
                most(
                    [x[i] for i in loaded],
                    (watts[group_of[loaded]] * used[loaded] / 1000).tolist(),
                    slack / 1000,
                )
            )
        solver = mb.Solver("GLOP")
        status = solver.solve(model)
        assert status == mb.SolveStatus.OPTIMAL, status

        def price(row: mb.LinearConstraint | None) -> float:
            return 0.0 if row is None else float(solver.dual_value(row))

        items = np.zeros((len(self.items), halls))
        for (t, h), row in demand.items():
            own = self.items[t][1]
            items[t, h] = own.gpus - price(row) if own is not None else price(row)
        gpu = np.array([price(row) for row in cells]) / 1000 @ self.watts
        return float(solver.objective_value), items, gpu, np.array([price(row) for row in racks])


def most_gpus(limits: Limits, supply: Mapping[Job, float]) -> float:
    """GPUs that can run at most, if no more than ``supply`` of each job run at once (a mean: so is the answer)."""
    programme = _Programme(limits, supply)
    for g in range(len(programme.groups)):
        for t in range(len(programme.items)):
            alone = np.zeros(len(programme.items), dtype=np.int64)
            alone[t] = programme.room[g] // programme.gpus[t]
            programme.add(g, alone)
    best = float("inf")
    for _ in range(ROUNDS):
        value, items, gpu, rack = programme.solve()
        gains, counts = _knapsacks(programme, items, gpu)
        over = np.maximum(0.0, gains - rack)
        best = min(best, value + float(sum(len(r) * o for r, o in zip(programme.groups, over, strict=True))))
        if best - value <= GAP * value:
            break
        for g in np.flatnonzero(over > 1e-9).tolist():
            programme.add(g, counts[g])
    return best


def _knapsacks(programme: _Programme, items: Floats, gpu: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """For every group at once the best pattern at these prices, and its worth."""
    groups = len(programme.groups)
    worth = items[:, programme.hall] - programme.gpus[:, None] * gpu[None, :]
    largest = int(programme.room.max())
    best = np.zeros((largest + 1, groups))
    last = np.full((largest + 1, groups), -1, dtype=np.int64)
    for space in range(1, largest + 1):
        best[space] = best[space - 1]
        for t, size in enumerate(programme.gpus.tolist()):
            if size <= space:
                value = best[space - size] + worth[t]
                better = value > best[space] + 1e-12
                best[space] = np.where(better, value, best[space])
                last[space] = np.where(better, t, last[space])
    counts = np.zeros((groups, len(programme.items)), dtype=np.int64)
    for g in range(groups):
        space = int(programme.room[g])
        while space > 0:
            t = int(last[space, g])
            if t < 0:
                space -= 1
                continue
            counts[g, t] += 1
            space -= int(programme.gpus[t])
    return best[programme.room, np.arange(groups)], counts
