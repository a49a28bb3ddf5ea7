"""Runs for questions: the simulator on what was read, with what the question changes; nothing is written to files."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rackplane.simulator.facilityevents import Change
from rackplane.simulator.files import EVENTS, JOBS
from rackplane.simulator.gangs import Request
from rackplane.simulator.requests import RequestError, requests_of
from rackplane.simulator.running import Inputs, PlanError
from rackplane.simulator.simulation import Simulation, Stuck
from rackplane.simulator.site import Site

__all__ = ["Bars", "JobRow", "Outcome", "Waits", "requests_for", "run", "waits_of"]

Bars = Callable[[str, int], AbstractContextManager[Callable[[int, int], None]]]
"""Shows how far a run is: by the run's name and its number of jobs, what is told of second and jobs that are over."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job of a run. Seconds of the run; ``start`` and ``end`` are None where it has not come to that.

    ``watts`` are reserved, nominal, over idle, in its last place.
    """

    name: str
    queue: str
    submit: int
    start: int | None
    end: int | None
    gpus: int
    profile: str
    watts: int
    stops: int
    lost_gpu_seconds: int

    @property
    def wait(self) -> int:
        """Until it started first; of one that never did 0, so ask for those that did."""
        return 0 if self.start is None else self.start - self.submit


@dataclass(slots=True)
class Outcome:
    """What came of a run.

    Args:
        events: seconds, kind, name, reason and message of what happened to the facility and what the operator said.
        stuck: why jobs wait for ever; "": none does.
    """

    site: Site
    jobs: list[JobRow]
    events: list[tuple[int, str, str, str, str]]
    summary: dict[str, Any]
    stuck: str = ""

    @property
    def never(self) -> int:
        """Jobs that never start."""
        return sum(job.start is None for job in self.jobs)


@dataclass(slots=True)
class _Kept:
    """The rows that questions are answered from; a sample is an occasion to look at the machine."""

    sampled: Callable[[int], None] | None = None
    said: Callable[[int, str, str], None] | None = None
    jobs: list[JobRow] = field(default_factory=list)
    events: list[tuple[int, str, str, str, str]] = field(default_factory=list)

    def write(self, table: str, row: Sequence[Any]) -> None:
        if table == "series.csv" and self.sampled is not None:
            self.sampled(int(row[0]))
        elif table == "jobs.csv":
            of = dict(zip(JOBS, row, strict=True))
            self.jobs.append(
                JobRow(
                    *(of["gang"], of["queue"], of["submit"]),
                    None if of["start"] == "" else of["start"],
                    None if of["end"] == "" else of["end"],
                    *(of["gpus"], of["profile"], of["watts"], of["stops"], of["lost_gpu_seconds"]),
                )
            )
        elif table == "events.csv":
            of = dict(zip(EVENTS, row, strict=True))
            self.events.append((of["seconds"], of["kind"], of["name"], of["reason"], of["message"]))
            if self.said is not None:
                self.said(of["seconds"], of["name"], of["reason"])


def requests_for(inputs: Inputs, site: Site, *, seed: int) -> list[Request]:
    """The jobs as this site's queues are asked for them.

    Raises:
        PlanError: the site has no such queue, or a gang is too large.
    """
    try:
        return requests_of(inputs.jobs, site, inputs.policy, seed=seed)
    except RequestError as error:
        raise PlanError(str(error)) from error


def run(
    inputs: Inputs,
    *,
    name: str,
    seed: int,
    every: int,
    bars: Bars,
    site: Site | None = None,
    requests: Sequence[Request] | None = None,
    changes: Iterable[Change] = (),
    sampled: Callable[[Simulation, int], None] | None = None,
    stepped: Callable[[Simulation, int], None] | None = None,
    said: Callable[[int, str, str], None] | None = None,
) -> Outcome:
    """One run to its end.

    Args:
        name: for people, while it runs.
        every: seconds between two samples.
        site: another one than was read.
        requests: other ones than the jobs make.
        changes: of the facility, beside those that were read.
        sampled: called at each sample, with its second: the machine is as it was since the last moment before.
        stepped: called after each moment at which something happened, with its second.
        said: called with second, name and reason of whatever the operator says, or happens to the facility.
    """
    site = site or inputs.site
    kept = _Kept(said=said)
    simulation = Simulation(
        site=site,
        requests=requests_for(inputs, site, seed=seed) if requests is None else requests,
        policy=inputs.policy,
        changes=sorted([*inputs.changes, *changes], key=lambda change: change.at),
        rules=inputs.rules,
        output=kept,
        every=every,
        model=inputs.model,
        seed=seed,
        begin=inputs.begin,
    )
    if sampled is not None:
        kept.sampled = lambda second: sampled(simulation, second)
    stuck = ""
    with bars(name, len(simulation.requests)) as advance:

        def progress(now: int, over: int) -> None:
            advance(now, over)
            if stepped is not None:
                stepped(simulation, now)

        # The facility stays: a collector that goes through it each time takes a tenth of the run.
        gc.collect()
        gc.freeze()
        try:
            simulation.run(progress)
        except Stuck as error:
            stuck = str(error)
        finally:
            gc.unfreeze()
    simulation.finish()
    drawn = None if simulation.workers is None else simulation.workers.meter
    summary = simulation.summary.as_data(simulation.cluster.now, site.gpus, simulation.reserved, drawn)
    return Outcome(site, sorted(kept.jobs, key=lambda job: job.name), kept.events, summary, stuck)


@dataclass(frozen=True, slots=True)
class Waits:
    """Of jobs that started: how many, and the mean and the 95th percentile of their waits in seconds."""

    jobs: int
    mean: float
    p95: float

    def as_data(self) -> dict[str, Any]:
        return {"jobs": self.jobs, "meanWaitSeconds": round(self.mean), "p95WaitSeconds": round(self.p95)}


def waits_of(jobs: Iterable[JobRow]) -> Waits:
    """Of those of them that started."""
    waits = np.array([job.wait for job in jobs if job.start is not None], dtype=np.int64)
    if not len(waits):
        return Waits(0, 0.0, 0.0)
    return Waits(len(waits), float(waits.mean()), float(np.percentile(waits, 95)))
