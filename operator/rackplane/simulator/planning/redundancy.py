"""What one redundancy scheme against another costs in waiting: the same racks, jobs and installed watts, a run each.

The watts of UPS that are installed stay; the scheme decides how many of them racks may use (`facilities.rewiring`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from rackplane.core.offline.snapshot import machine_of
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.reporting.stranded import stranded
from rackplane.engine.state import State
from rackplane.figures import count, kilowatts
from rackplane.simulator.facilities.design import DesignError, parse_scheme
from rackplane.simulator.facilities.rewiring import blocks_of, rewired
from rackplane.simulator.planning.answers import Answer, Table, hours
from rackplane.simulator.planning.full import full_draws
from rackplane.simulator.planning.runs import Bars, Outcome, requests_for, run, waits_of
from rackplane.simulator.policies import Policy
from rackplane.simulator.running import Inputs, PlanError
from rackplane.simulator.site import Site
from rackplane.simulator.summary import SIZES

__all__ = ["AS_IS", "redundancy"]

AS_IS: Final = "as-is"
"""The scheme that stands for the facility as it is described."""


@dataclass(frozen=True, slots=True)
class _Scheme:
    """One of those compared.

    Args:
        racks: that fit with every node at full power, the others away.
        nodes: that may work at full power at once, with all racks there.
        needed: watts of UPS that all racks at full power would need.
    """

    name: str
    site: Site
    racks: int
    nodes: int
    needed: int


def redundancy(inputs: Inputs, *, schemes: Sequence[str], seed: int, every: int, bars: Bars) -> Answer:
    """The answer.

    Args:
        schemes: two or more, as `rackplane facility new` names them, or "as-is".

    Raises:
        PlanError: fewer than two, or one that there is not; or a rack has no UPS above it.
    """
    names = [name.strip() for name in schemes]
    if len(dict.fromkeys(names)) < 2:
        raise PlanError("--schemes: name two or more, separated by commas, such as 4N/3,2N or as-is,2N")
    try:
        blocks = blocks_of(inputs.site)
        found = [_scheme(inputs.site, name) for name in names]
    except DesignError as error:
        raise PlanError(str(error).replace("--scheme ", "--schemes ")) from error
    outcomes = []
    for of in found:
        requests = requests_for(inputs, of.site, seed=seed)
        outcomes.append(
            run(inputs, name=of.name, seed=seed, every=every, bars=bars, site=of.site, requests=requests)
        )
    return _answer(found, outcomes, sum(block.watts for block in blocks))


def _scheme(site: Site, name: str) -> _Scheme:
    other = site if name == AS_IS else rewired(site, parse_scheme(name))
    machine = machine_of(other.events(Policy()), 0.0)
    state = machine.state
    assert state is not None  # everything has been listed
    draws = full_draws(state)
    order = _dealt(state)
    fits, refused = 0, len(order) + 1
    while refused - fits > 1:
        middle = (fits + refused) // 2
        fits, refused = (middle, refused) if _holds(state, order[:middle], draws) else (fits, middle)
    return _Scheme(name, other, fits, stranded(state).filled_nodes, _needed(state, draws))


def _dealt(state: State) -> list[str]:
    """Racks in an order in which each path gets the next one in turn."""
    paths: dict[Any, list[str]] = {}
    for rack in state.facility.racks:
        paths.setdefault((rack.feeds, rack.liquid, rack.air), []).append(rack.name)
    turns = [
        (turn, path, name) for path, names in enumerate(paths.values()) for turn, name in enumerate(names)
    ]
    return [name for _, _, name in sorted(turns)]


def _holds(state: State, racks: Sequence[str], draws: dict[str, tuple[int, int]]) -> bool:
    """Whether these racks alone, at full power, keep every limit after every loss."""
    chosen = set(racks)
    spec = state.facility.spec
    alone = State(compile_facility(replace(spec, racks=tuple(r for r in spec.racks if r.name in chosen))))
    _load(alone, draws)
    return not alone.violations()


def _load(state: State, draws: dict[str, tuple[int, int]]) -> None:
    for index, rack in enumerate(state.facility.racks):
        nominal, peak = draws[rack.name]
        change = nominal - int(state.nominal[index]), peak - int(state.peak[index])
        state.add(index, (*change, *(0,) * state.facility.parts))


def _needed(state: State, draws: dict[str, tuple[int, int]]) -> int:
    """Watts of UPS that all racks need: those of today, as many times as the fullest of them is overloaded."""
    full = State(state.facility)
    _load(full, draws)
    f = full.facility
    ups = _carrying_ups(state)
    cells = np.array([row.kind is RowKind.POWER_NOMINAL and row.element in ups for row in f.rows])[
        f.cell_rows
    ]
    cells &= f.limits > 0
    worst = float((full.loads[cells] / f.limits[cells]).max(initial=0.0))
    return round(worst * sum(f.powers[name].rated_watts for name in ups))


def _carrying_ups(state: State) -> set[str]:
    """Power elements nearest to racks that may be lost or, where none may, that feed racks."""
    f = state.facility
    rows = {int(f.cell_rows[cell]) for cell in f.cells.tolist()}
    above = {f.rows[row].element for row in rows if f.rows[row].kind is RowKind.POWER_NOMINAL}
    feeds = {feed.power for rack in f.racks for feed in rack.feeds}
    return {name for name in above if name in feeds} or above


def _answer(found: Sequence[_Scheme], outcomes: Sequence[Outcome], installed: int) -> Answer:
    first, other = found[0], found[-1]
    waits = [waits_of(of.jobs) for of in outcomes]
    sentence = (
        f"{first.name} against {other.name} on {kilowatts(installed)} kW of UPS: {first.racks:,} against "
        f"{count(other.racks, 'rack')} at full power, and jobs wait {hours(waits[0].mean)} h against "
        f"{hours(waits[-1].mean)} h in the mean (p95 {hours(waits[0].p95)} against {hours(waits[-1].p95)} h)."
    )
    names = tuple(of.name.upper() for of in found)
    figures = Table(
        ("", *names),
        [
            ("racks that fit at full power", *(f"{of.racks:,}" for of in found)),
            ("nodes at full power, all racks there", *(f"{of.nodes:,}" for of in found)),
            ("kW of UPS that all racks need", *(kilowatts(of.needed) for of in found)),
            ("GPU-hours held", *(f"{of.summary['gpu_hours']['held']:,.0f}" for of in outcomes)),
            ("GPUs held, percent", *(f"{100 * of.summary['gpu_hours']['occupancy']:.1f}" for of in outcomes)),
            ("until all are over, h", *(f"{of.summary['seconds'] / 3600:,.1f}" for of in outcomes)),
            ("wait, mean, h", *(hours(of.mean) for of in waits)),
            ("wait, p95, h", *(hours(of.p95) for of in waits)),
            ("jobs that never start", *(f"{of.never:,}" for of in outcomes)),
        ],
        right=range(1, len(found) + 1),
    )
    rows, by_size = [], []
    for least, below in zip(SIZES, (*SIZES[1:], None), strict=True):
        of_size = [
            waits_of(j for j in of.jobs if j.gpus >= least and (below is None or j.gpus < below))
            for of in outcomes
        ]
        if any(of.jobs for of in of_size):
            name = f"{least}+" if below is None else f"{least}-{below - 1}"
            rows.append(
                (
                    name,
                    f"{of_size[0].jobs:,}",
                    *(cell for w in of_size for cell in (hours(w.mean), hours(w.p95))),
                )
            )
            by_size.append({"gpus": name, "waits": [w.as_data() for w in of_size]})
    sizes = Table(
        ("GPUS", "JOBS", *(heading for name in names for heading in (f"{name} WAIT H", "P95"))),
        rows,
        right=range(1, 2 + 2 * len(found)),
    )
    notes = [
        "The same racks, jobs and watts of UPS; rows are dealt to the paths of each scheme in the order of their "
        "names, and new UPS have the parents of the old ones.",
        *(
            f"{of.name}: {count(out.never, 'job')} can never start: {out.stuck}."
            for of, out in zip(found, outcomes, strict=True)
            if out.stuck
        ),
    ]
    data = {
        "upsWatts": installed,
        "schemes": [
            {
                "scheme": of.name,
                "racksAtFullPower": of.racks,
                "nodesAtFullPower": of.nodes,
                "upsWattsForAllRacks": of.needed,
                "gpuHoursHeld": out.summary["gpu_hours"]["held"],
                "occupancy": out.summary["gpu_hours"]["occupancy"],
                "secondsUntilAllAreOver": out.summary["seconds"],
                "neverStart": out.never,
                **wait.as_data(),
            }
            for of, out, wait in zip(found, outcomes, waits, strict=True)
        ],
        "bySize": by_size,
    }
    return Answer("redundancy", sentence, (figures, sizes), tuple(notes), data)
