"""The most GPUs of a queue that can run, bounded by CP-SAT: whole jobs in whole racks, under every shared limit.

By rack and size how many jobs run there, by hall how many segmented ones. Pods of 1 to 3 GPUs share nodes: those of 3
take one each, those of 2 go two to a node, and all of them fit if their GPUs do. Watts are rounded in the bound's
favour. The search is cut off by CP-SAT's deterministic time; its bound holds wherever it stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor

from ortools.sat.python import cp_model

from tests.benchmarks.campus import NODE_TYPE
from tests.benchmarks.packing.bound import Limits
from tests.benchmarks.packing.view import Job

GPUS = NODE_TYPE.gpus_per_node
EFFORT = 1.0
"""Of CP-SAT's deterministic time, about seconds."""
FINE = 1_000
"""Coefficients are rounded to the thousandth of a watt."""


def most_gpus(
    limits: Limits, queue: Mapping[Job, int], *, at_most: float, reached: int, effort: float = EFFORT
) -> int:
    """GPUs that no choice from the queue exceeds.

    Args:
        at_most: a bound that is known already, as from :func:`bound.most_gpus`.
        reached: what some placement runs: the search ends where it is proved to be the most.
    """
    model = cp_model.CpModel()
    racks, halls = range(len(limits.hall)), range(int(limits.hall.max()) + 1)
    segmented = [job for job in sorted(queue) if job.segmented]
    parts = sorted({part for job in segmented for part in job.parts})
    whole = [job for job in sorted(queue) if not job.segmented]
    count = {
        (job, r): model.new_int_var(0, min(queue[job], int(limits.room[r]) // job.gpus), f"{job}@{r}")
        for job in whole
        for r in racks
    }
    part_in = {
        (p, r): model.new_int_var(0, int(limits.nodes[r]) // p, f"part{p}@{r}") for p in parts for r in racks
    }
    large = {(job, h): model.new_int_var(0, queue[job], f"{job}@hall{h}") for job in segmented for h in halls}
    for job in whole:
        model.add(sum(count[job, r] for r in racks) <= queue[job])
    for job in segmented:
        model.add(sum(large[job, h] for h in halls) <= queue[job])
    for h in halls:
        for p in parts:
            wanted = sum(job.parts.count(p) * large[job, h] for job in segmented)
            model.add(wanted <= sum(part_in[p, r] for r in racks if limits.hall[r] == h))
    used = []
    for r in racks:
        shared = model.new_int_var(0, int(limits.nodes[r]), f"shared{r}")
        pairs = model.new_int_var(0, int(limits.nodes[r]), f"pairs{r}")
        of = {
            g: sum(count[job, r] for job in whole if job.pods == 1 and job.gpus == g) for g in range(1, GPUS)
        }
        model.add(2 * pairs >= of[2])
        model.add(of[3] + pairs <= shared)
        small = of[1] + 2 * of[2] + 3 * of[3]
        model.add(small <= GPUS * shared)
        nodes = cp_model.LinearExpr.sum(
            [job.pods * count[job, r] for job in whole if job.gpus_per_pod == GPUS]
            + [p * part_in[p, r] for p in parts]
        )
        model.add(nodes + shared <= int(limits.nodes[r]))
        gpus = model.new_int_var(0, int(limits.room[r]), f"gpus{r}")
        model.add(gpus == GPUS * nodes + small)
        used.append(gpus)
    for watts, slack in zip(limits.watts, limits.slack, strict=True):
        loads = [(r, floor(watts[r] * FINE)) for r in racks if watts[r] > 0]
        model.add(sum(w * used[r] for r, w in loads) <= ceil(slack * FINE))
    total = model.new_int_var(reached, floor(at_most), "gpus")
    model.add(
        total
        == sum(j.gpus * v for (j, _), v in count.items()) + sum(j.gpus * v for (j, _), v in large.items())
    )
    model.maximize(total)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = effort
    status = solver.solve(model)
    assert status in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN), solver.status_name(status)
    return min(floor(at_most), floor(solver.best_objective_bound + 1e-6))
