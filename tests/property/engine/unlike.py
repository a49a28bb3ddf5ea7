"""Gangs of unlike slots on small halls: random requests, and by CP-SAT whether any placement holds at all.

Written down anew, from nodes and watts: slots by group and node, GPUs and CPUs of a node, limits in every contingency,
whole segments in NVLink domains, everything in one domain of the required level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from ortools.sat.python import cp_model

from rackplane.engine.model import NVLINK, Request, SlotGroup
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.state import State
from tests.property.engine.optimum import slots_by_node

SCALE = 10**6


@dataclass(frozen=True)
class Cpus:
    """CPUs of each node, and of a slot of each group."""

    of_node: tuple[tuple[str, int], ...]
    of_slot: tuple[int, ...]

    def slots(self, group: int, node: str, taken: tuple[int, ...]) -> int:
        left = dict(self.of_node).get(node, 0) - sum(
            n * each for n, each in zip(taken, self.of_slot, strict=True)
        )
        return left // self.of_slot[group] if self.of_slot[group] else 1_000


def unlike(random: Random, state: State, slots: int) -> Request:
    """Two or three groups of up to so many slots together, with CPUs that often bind."""
    count = random.choice([2, 2, 3])
    sizes = [random.randint(1, max(1, slots // count)) for _ in range(count)]
    gpus = random.sample([0, 1, 2, 4], count) if random.random() < 0.8 else [4] * count
    of_slot = tuple(random.choice([1, 2, 6, 8]) for _ in range(count))
    cpus = Cpus(tuple((n, random.choice([4, 8, 10, 16])) for n in state.inventory.names), of_slot)
    segments = random.choice([None, None, 2, 3])
    groups = tuple(
        SlotGroup(
            slots=size,
            gpus_per_slot=each,
            resource="gpu",
            name=f"g{g}",
            segment_slots=segments if each else None,
            capacity={node: most for node, _ in cpus.of_node if (most := cpus.slots(g, node, (0,) * count))},
        )
        for g, (size, each) in enumerate(zip(sizes, gpus, strict=True))
    )
    return Request(
        slots=sum(sizes),
        gpus_per_slot=max(gpus),
        resource="gpu",
        required=random.choice([None, None, "nvlink", "leaf", "hall"]),
        preferred=random.choice([None, None, "nvlink", "leaf", "hall"]),
        power_profile=random.choice(["MaxP", "MaxP", "MaxQ"]),
        strict=True,
        groups=groups,
        beside=cpus,
    )


def feasible(state: State, request: Request) -> bool:
    """Whether the gang could be placed at all."""
    cpus = request.beside
    assert isinstance(cpus, Cpus)
    model = cp_model.CpModel()
    names = state.inventory.names
    alone = [
        slots_by_node(
            state, replace(request, groups=(), gpus_per_slot=max(1, g.gpus_per_slot), slots=g.slots)
        )
        if g.gpus_per_slot
        else _without_gpus(state, request)
        for g in request.groups
    ]
    taken = {
        (g, name): model.new_int_var(0, min(group.slots, alone[g][name]), f"{g}{name}")
        for g, group in enumerate(request.groups)
        for name in names
    }
    for g, group in enumerate(request.groups):
        model.add(sum(taken[g, name] for name in names) == group.slots)
    slack = state.slack(request.until, at=request.at)
    facility = state.facility
    loads: dict[int, list[cp_model.LinearExpr]] = {}
    for name in names:
        gpus = model.new_int_var(0, state.free_gpus(name), f"gpus {name}")
        model.add(gpus == sum(taken[g, name] * group.gpus_per_slot for g, group in enumerate(request.groups)))
        model.add(
            sum(taken[g, name] * cpus.of_slot[g] for g in range(len(request.groups)))
            <= dict(cpus.of_node)[name]
        )
        node = state.node(name)
        assert node is not None
        span = facility.entries(facility.rack_index[node.rack or ""])
        by_gpus = [
            state.increments({name: n}, request.power_profile) for n in range(state.free_gpus(name) + 1)
        ]
        for cell, factor in zip(facility.cells[span].tolist(), facility.coefficients[span], strict=True):
            basis = facility.describe(cell)[1].basis
            watts = [
                round(float(factor) * (w.peak_watts if basis else w.nominal_watts) * SCALE) for w in by_gpus
            ]
            drawn = model.new_int_var(0, max(watts), f"watts {name} {cell}")
            model.add_element(gpus, watts, drawn)
            loads.setdefault(cell, []).append(drawn)
    for cell, parts in loads.items():
        model.add(sum(parts) <= max(0, int((float(slack[cell]) + TOLERANCE_WATTS / 2) * SCALE)))
    _one_domain(model, state, request, taken)
    _segments(model, state, request, taken)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    status = solver.solve(model)
    assert status in (cp_model.OPTIMAL, cp_model.INFEASIBLE)
    return status == cp_model.OPTIMAL


def _without_gpus(state: State, request: Request) -> dict[str, int]:
    """A slot without GPUs does not mind which are free, nor the node's power cap."""
    idle = State(state.facility, tuple(state.nodes()))
    for node in state.nodes():
        if state.unmanaged_gpus(node.name):  # a node in use is not held back as a spare
            idle.set_unmanaged(node.name, 1)
    of_one = slots_by_node(idle, replace(request, groups=(), gpus_per_slot=1))
    return {name: 1_000 if slots else 0 for name, slots in of_one.items()}


def _one_domain(
    model: cp_model.CpModel,
    state: State,
    request: Request,
    taken: dict[tuple[int, str], cp_model.IntVar],
) -> None:
    if request.required is None:
        return
    ids = state.inventory.levels[request.required][0]
    chosen: dict[int, cp_model.IntVar] = {}
    for i, name in enumerate(state.inventory.names):
        domain = int(ids[i])
        if domain >= 0:
            chosen.setdefault(domain, model.new_bool_var(f"domain {domain}"))
        for g, group in enumerate(request.groups):
            model.add(taken[g, name] <= (group.slots * chosen[domain] if domain >= 0 else 0))
    model.add(sum(chosen.values()) == 1)


def _segments(
    model: cp_model.CpModel,
    state: State,
    request: Request,
    taken: dict[tuple[int, str], cp_model.IntVar],
) -> None:
    ids = state.inventory.levels[NVLINK][0]
    for g, group in enumerate(request.groups):
        run = group.segment_slots or 1
        if run == 1:
            continue
        whole, short = divmod(group.slots, run)
        by_domain: dict[int, list[cp_model.IntVar]] = {}
        for i, name in enumerate(state.inventory.names):
            by_domain.setdefault(int(ids[i]), []).append(taken[g, name])
        shorts = []
        for domain, slots in by_domain.items():
            if domain < 0:
                model.add(sum(slots) == 0)
                continue
            runs = model.new_int_var(0, whole, f"runs {g} {domain}")
            last = model.new_bool_var(f"short {g} {domain}")
            model.add(sum(slots) == run * runs + short * last)
            shorts.append(last)
        model.add(sum(shorts) == (1 if short else 0))
