"""How much work any rule could do until the horizon, knowing all that comes: a linear programme.

Between two moments (arrivals, and changes of the hall) each row runs any number of nodes at each power profile,
fractions too, within the limits of the hall as it is then: budget, ratings and loops, but no loss that does not come.
Jobs are pieces of work that may be split, stopped and moved at no cost, no faster than with all their GPUs at full
speed. Each of these only adds to what is possible, so that nobody can do more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from ortools.linear_solver.python import model_builder as mb

from rackplane.engine.physics.facility import Facility
from rackplane.simulator.gangs import Request

__all__ = ["most_work"]

_GPUS = 4


def most_work(requests: Sequence[Request], phases: Sequence[tuple[int, Facility]], horizon: int) -> float:
    """GPU-hours at full speed.

    Args:
        phases: the hall from a second on, in order, the first from 0.
    """
    moments = sorted(
        {0, horizon}
        | {r.job.submit for r in requests if r.job.submit < horizon}
        | {at for at, _ in phases if at < horizon}
    )
    model = mb.Model()  # type: ignore[no-untyped-call]
    done: dict[int, list[mb.Variable]] = {}
    for begin, end in pairwise(moments):
        facility = [f for at, f in phases if at <= begin][-1]
        work = []
        for number, request in enumerate(requests):
            if request.job.submit <= begin:
                # In units of an hour of all its GPUs.
                part = model.new_num_var(0, (end - begin) / 3600, f"w{number}-{begin}")
                done.setdefault(number, []).append(part)
                work.append((part, float(request.gpus)))
        nodes, speeds = _nodes(model, facility, begin)
        hours = (end - begin) / 3600
        got = [(variable, -_GPUS * speed * hours) for variable, speed in zip(nodes, speeds, strict=True)]
        terms = [*work, *got]
        model.add(mb.LinearExpr.weighted_sum([v for v, _ in terms], [c for _, c in terms]) <= 0)
    objective = []
    for number, parts in done.items():
        request = requests[number]
        model.add(mb.LinearExpr.weighted_sum(parts, [1.0] * len(parts)) <= request.job.duration / 3600)
        objective += [(part, float(request.gpus)) for part in parts]
    model.maximize(mb.LinearExpr.weighted_sum([v for v, _ in objective], [c for _, c in objective]))
    solver = mb.Solver("GLOP")
    status = solver.solve(model)
    assert status == mb.SolveStatus.OPTIMAL, status
    return float(solver.objective_value)


def _nodes(model: mb.Model, f: Facility, begin: int) -> tuple[list[mb.Variable], list[float]]:
    """Nodes at work by group of racks alike and by profile, bound by the limits of the normal state."""
    rows = len(f.rows)
    entries = np.flatnonzero(f.cells < rows)
    racks = len(f.racks)
    use = np.zeros((2, racks, rows))
    use[f.peak[entries].astype(int), f.entry_racks[entries], f.cells[entries]] = f.coefficients[entries]
    shared = (use.sum(axis=0) > 0).sum(axis=0) > 1
    keys = np.ascontiguousarray(use[:, :, shared].transpose(1, 0, 2).reshape(racks, -1))
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    counts = np.bincount(group.ravel())
    variables: list[mb.Variable] = []
    speeds: list[float] = []
    weights: list[list[float]] = [[] for _ in range(rows)]
    load = f.constant[:rows].copy()
    for g, rack in enumerate(first.tolist()):
        spec, kind = f.racks[rack], f.rack_types[rack]
        assert kind is not None
        idle = spec.overhead_watts + 18 * kind.idle_watts
        load += counts[g] * idle * use[:, rack, :].sum(axis=0)
        of_group = []
        for cap in kind.caps:
            variable = model.new_num_var(0, float(18 * counts[g]), f"n{begin}-{g}-{cap.name}")
            of_group.append(variable)
            variables.append(variable)
            speeds.append(cap.relative_performance_percent / 100)
            nominal = cap.node_watts - kind.idle_watts
            peak = cap.node_watts * kind.peak_percent // 100 - kind.idle_watts
            for row in range(rows):
                weights[row].append(float(nominal * use[0, rack, row] + peak * use[1, rack, row]))
        model.add(mb.LinearExpr.weighted_sum(of_group, [1.0] * len(of_group)) <= float(18 * counts[g]))
    for row in np.flatnonzero(shared).tolist():
        # In kW: the solver likes small numbers.
        scaled = [w / 1000 for w in weights[row]]
        model.add(mb.LinearExpr.weighted_sum(variables, scaled) <= float(f.limits[row] - load[row]) / 1000)
    return variables, speeds
