"""From what a user asks for to a run, and run.json: everything that the command line does not do."""

from __future__ import annotations

import gc
import hashlib
import json
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from rackplane import __version__
from rackplane.simulator.draws import PowerModel
from rackplane.simulator.facilityevents import Change, EventsError, read_events
from rackplane.simulator.files import FLOOR_PLAN, PLOTS, REPORT, RUN_FORMAT, Files, OutputError
from rackplane.simulator.floor import FloorRecording
from rackplane.simulator.invocation import command_of
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.policies import Policy, PolicyError, parse_policies
from rackplane.simulator.progress import Rules
from rackplane.simulator.provenance import commit
from rackplane.simulator.report.page import report
from rackplane.simulator.report.recording import Recording
from rackplane.simulator.report.runs import Run
from rackplane.simulator.requests import RequestError, requests_of
from rackplane.simulator.sampling import full_watts
from rackplane.simulator.scaling import Scaling, Sizes
from rackplane.simulator.simulation import BEGIN, Simulation, Stuck
from rackplane.simulator.site import Site, SiteError, load_site
from rackplane.simulator.traces.reading import Trace, TraceError, read_trace

__all__ = ["Inputs", "Plan", "PlanError", "Prepared", "notes_of", "prepare", "read"]

_NEW_OBJECTS: Final = 20_000
"""So many objects are made before the young are looked through: the default, 700, is reached with every second job."""


class PlanError(Exception):
    """What a user asked for that cannot be done, in words."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run as it is asked for; None is the default. Paths are as the user wrote them.

    Args:
        policy: as `parse_policies` takes it.
        begin: the epoch second that second 0 is.
        every: seconds between two samples.
        bad_lines: percent of the trace's lines that may be bad.
        checkpoint, restart, stop: see `Rules`.
    """

    facility: str
    trace: str
    out: str
    force: bool = False
    policy: str = ""
    events: str | None = None
    seed: int = 0
    begin: int | None = None
    every: int | None = None
    draws: bool = True
    format: str = "auto"
    bad_lines: float = 1.0
    days: float | None = None
    first: int | None = None
    load: float | None = None
    faster: float | None = None
    largest: int | None = None
    cap: int | None = None
    sizes: str = "gpus"
    source_gpus: int | None = None
    checkpoint: int = 3_600
    restart: int = 300
    stop: int = 30


@dataclass(slots=True)
class Prepared:
    """A run that can begin.

    Args:
        notes: what was found about trace and facility, in words.
    """

    plan: Plan
    simulation: Simulation
    files: Files
    notes: list[str]
    _inputs: dict[str, Any]

    def run(self, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
        """Run it, and write what there is, also if it is broken off; returns what run.json has.

        Raises:
            PlanError: jobs wait, and nothing that could start them is to come; what there is is written.
        """
        simulation, stuck = self.simulation, ""
        with _collected_less_often():
            try:
                simulation.run(progress)
            except Stuck as error:
                stuck = str(error)
        simulation.finish()
        found = self._found(stuck)
        self.files.finish(found, dict(self._pages(found)))
        if stuck:
            raise PlanError(f"{stuck}. What there is is written to {self.plan.out}")
        return found

    def _pages(self, found: dict[str, Any]) -> Iterator[tuple[str, str]]:
        simulation = self.simulation
        if simulation.plots is not None:
            plots = simulation.plots.as_data(simulation.cluster.now, simulation.summary)
            yield PLOTS, json.dumps(plots, separators=(",", ":")) + "\n"
            yield REPORT, report(Run("run", found, plots))
        title = f"{simulation.site.name}, jobs of {Path(self.plan.trace).name}"
        floor = None if simulation.floor is None else simulation.floor.page(title)
        if floor is not None:
            yield FLOOR_PLAN, floor

    def _found(self, stuck: str) -> dict[str, Any]:
        simulation = self.simulation
        drawn = None if simulation.workers is None else simulation.workers.meter
        return {
            "format": RUN_FORMAT,
            **self._inputs,
            "interrupted": simulation.broken_off,
            "stuck": stuck,
            "summary": simulation.summary.as_data(
                simulation.cluster.now, simulation.site.gpus, simulation.reserved, drawn
            ),
        }


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a plan names, as it was read.

    Args:
        jobs: of the trace, scaled, in order of arrival.
        left_out: how many jobs were left out in scaling, by reason.
        changes: of the facility, in order of time.
        model: None: draws are not modelled.
        begin: the epoch second that second 0 is.
    """

    site: Site
    trace: Trace
    jobs: list[TraceJob]
    left_out: Counter[str]
    policy: Policy
    changes: list[Change]
    rules: Rules
    model: PowerModel | None
    begin: int


def read(plan: Plan) -> Inputs:
    """Read all that the plan names; nothing is written.

    Raises:
        PlanError: with what is wrong where, and what to do.
    """
    try:
        policy = parse_policies(plan.policy)
        site = load_site(plan.facility)
        trace = read_trace(plan.trace, format=plan.format, most_bad_percent=plan.bad_lines)
        scaling = Scaling(
            days=plan.days,
            sizes=Sizes(plan.sizes),
            source_gpus=plan.source_gpus,
            largest=plan.largest,
            cap=plan.cap,
            first=plan.first,
            load=plan.load,
            faster=plan.faster or 1.0,
        )
        if scaling.sizes is Sizes.SAME_NODES and plan.source_gpus is None:
            raise PlanError(
                "--sizes same-nodes needs --source-gpus: the GPUs of a node where the trace is from"
            )
        if scaling.load is not None and plan.faster is not None:
            raise PlanError("--load and --faster both say how close together jobs come: give one")
        jobs, left_out = scaling.scaled(trace.jobs, gpus=site.gpus, gpus_per_node=site.gpus_per_node)
        if not jobs:
            reasons = "; ".join(f"{count:,} {why}" for why, count in left_out.items())
            raise PlanError(f"{plan.trace}: no job is left to run: {reasons}")
        begin = BEGIN if plan.begin is None else plan.begin
        changes = [] if plan.events is None else read_events(plan.events, site, begin=begin)
    except (PolicyError, SiteError, TraceError, EventsError) as error:
        raise PlanError(str(error)) from error
    rules = Rules(plan.checkpoint, plan.restart, plan.stop)
    model = PowerModel() if plan.draws else None
    return Inputs(site, trace, jobs, left_out, policy, changes, rules, model, begin)


def prepare(plan: Plan) -> Prepared:
    """Read all that the plan names, and open the files to write.

    Raises:
        PlanError: with what is wrong where, and what to do.
    """
    found = read(plan)
    site = found.site
    try:
        requests = requests_of(found.jobs, site, found.policy, seed=plan.seed)
        files = Files(plan.out, force=plan.force)
    except (RequestError, OutputError) as error:
        raise PlanError(str(error)) from error
    every = plan.every or 3_600
    simulation = Simulation(
        site=site,
        requests=requests,
        policy=found.policy,
        changes=found.changes,
        rules=found.rules,
        output=files,
        every=every,
        floor=FloorRecording(found.begin),
        plots=Recording(every, _types(site, found.changes)),
        model=found.model,
        seed=plan.seed,
        begin=found.begin,
    )
    inputs = _inputs(plan, found)
    state = simulation.cluster.machine.state
    assert state is not None  # everything has been listed
    inputs["facility"]["full_watts"] = full_watts(state)
    return Prepared(plan, simulation, files, notes_of(found), inputs)


@contextmanager
def _collected_less_often() -> Iterator[None]:
    """Python's cyclic collector: the facility stays, and of what a run makes hardly anything is in cycles."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def notes_of(found: Inputs) -> list[str]:
    """What was found about trace and facility, in words."""
    site, trace, jobs = found.site, found.trace, found.jobs
    days = (jobs[-1].submit - jobs[0].submit) / 86_400
    of = f"{trace.file} ({trace.format}): {trace.rows:,} lines"
    notes = [
        f"{site.name}: {site.gpus:,} GPUs, {site.gpus_per_node} a node, queues {', '.join(site.queues)}",
        f"{of}, {len(jobs):,} jobs to run, within {days:,.1f} days",
    ]
    left_out = trace.left_out + found.left_out
    notes += [f"  left out: {count:,} {why}" for why, count in sorted(left_out.items())]
    if trace.bad_lines:
        notes.append(f"  bad lines: {trace.bad_lines:,}")
        notes += [f"    {trace.file}:{bad}" for bad in trace.bad]
    return notes


def _types(site: Site, changes: Sequence[Change]) -> dict[tuple[str, str], str]:
    """What people call the elements, by kind and name: UPS, Busway, Liquid cooling."""
    bodies = dict(site.bodies)
    for change in changes:
        if change.body is not None:
            bodies.setdefault((change.kind, change.name), change.body)
    found = {}
    for (kind, name), body in bodies.items():
        spec: Mapping[str, Any] = body.get("spec", {})
        if kind == "PowerDomain":
            found[kind, name] = str(spec.get("type") or "Power domain")
        elif kind == "CoolingZone":
            found[kind, name] = f"{spec.get('medium', 'Liquid')} cooling"
        elif kind == "PowerBudget":
            found[kind, name] = "Budget"
    return found


def _inputs(plan: Plan, found: Inputs) -> dict[str, Any]:
    """What the run was made from. No path and no time of today: the same input gives the same bytes."""
    site, trace, jobs = found.site, found.trace, found.jobs
    files = {"trace": plan.trace, "events": plan.events}
    objects = json.dumps([list(site.bodies.values()), sorted(site.nodes)], sort_keys=True, default=str)
    return {
        "command": command_of(plan),
        "facility": {
            "name": site.name,
            "gpus": site.gpus,
            "gpus_per_node": site.gpus_per_node,
            "nodes": len(site.nodes),
            "racks": sum(kind == "Rack" for kind, _ in site.bodies),
            "queues": list(site.queues),
        },
        "trace": {
            "file": trace.file,
            "format": trace.format,
            "lines": trace.rows,
            "jobs": len(jobs),
            "left_out": dict(sorted((trace.left_out + found.left_out).items())),
            "bad_lines": trace.bad_lines,
            "gpu_hours": round(sum(job.gpu_seconds for job in jobs) / 3600, 1),
            "last_arrival": jobs[-1].submit,
            "scaling": {
                name: getattr(plan, name)
                for name in ("days", "sizes", "source_gpus", "largest", "cap", "first", "load", "faster")
            },
        },
        "policy": {name: getattr(value, "value", value) for name, value in asdict(found.policy).items()},
        "rules": {"checkpoint": plan.checkpoint, "restart": plan.restart, "stop": plan.stop},
        "draws": None if found.model is None else asdict(found.model),
        "seed": plan.seed,
        "begin": found.begin,
        "every": plan.every or 3_600,
        "sha256": {
            "facility": hashlib.sha256(objects.encode()).hexdigest(),
            **{name: _digest(path) for name, path in files.items() if path is not None},
        },
        "versions": {
            "rackplane": __version__,
            **({} if (built := commit()) is None else {"commit": built}),
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    }


def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
