"""What a lower power profile for one queue would bring: two runs of the same jobs, with and without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rackplane.core.offline.snapshot import machine_of
from rackplane.engine.physics.draw import DEFAULT_PROFILE
from rackplane.figures import count, kilowatts
from rackplane.simulator.gangs import Request
from rackplane.simulator.planning.answers import Answer, Table, hours, percent
from rackplane.simulator.planning.runs import Bars, JobRow, Outcome, requests_for, run, waits_of
from rackplane.simulator.policies import Policy
from rackplane.simulator.running import Inputs, PlanError
from rackplane.simulator.simulation import Simulation
from rackplane.simulator.site import Site

__all__ = ["power_profile", "with_profile"]


@dataclass(slots=True)
class _Watts:
    """What all racks reserve, over the samples: nominal watts."""

    total: int = 0
    most: int = 0
    samples: int = 0

    def look(self, simulation: Simulation, _second: int) -> None:
        watts = simulation.reserved.watts
        self.total, self.most, self.samples = self.total + watts, max(self.most, watts), self.samples + 1

    @property
    def mean(self) -> float:
        return self.total / max(1, self.samples)


def with_profile(requests: Sequence[Request], queue: str, profile: str) -> list[Request]:
    """The same, but gangs of the queue ask for the profile."""
    return [
        replace(r, spec={**r.spec, "power": {**r.spec["power"], "profile": profile}})
        if r.spec["queue"] == queue
        else r
        for r in requests
    ]


def power_profile(inputs: Inputs, *, queue: str, profile: str, seed: int, every: int, bars: Bars) -> Answer:
    """The answer.

    Raises:
        PlanError: no such queue, no job for it, or no hardware of the facility has such a power profile.
    """
    site = inputs.site
    if queue not in site.queues:
        raise PlanError(f"--queue {queue}: the facility has no such Queue; it has {', '.join(site.queues)}")
    known = _profiles(site)
    if profile not in known:
        raise PlanError(
            f"--profile {profile}: no hardware of the facility has such a power profile; there are {', '.join(known)}"
        )
    requests = requests_for(inputs, site, seed=seed)
    if not any(r.spec["queue"] == queue for r in requests):
        raise PlanError(f"--queue {queue}: no job of the trace goes there")
    watts = [_Watts(), _Watts()]
    runs = [
        run(inputs, name=name, seed=seed, every=every, bars=bars, requests=asked, sampled=of.look)
        for name, asked, of in (
            ("as it is", requests, watts[0]),
            (profile, with_profile(requests, queue, profile), watts[1]),
        )
    ]
    return _answer(queue, profile, known[profile], runs, watts)


def _profiles(site: Site) -> dict[str, int]:
    """The power profiles of the facility's hardware, each with its relative performance, at the least."""
    state = machine_of(site.events(Policy()), 0.0).state
    assert state is not None  # everything has been listed
    found = {DEFAULT_PROFILE: 100}
    for of in state.facility.types:
        for cap in of.caps:
            performance = cap.relative_performance_percent
            found[cap.name] = min(found.get(cap.name, performance), performance)
    return found


@dataclass(frozen=True, slots=True)
class _Of:
    """Jobs of a queue, or of the others, in one run; all times in seconds."""

    jobs: int
    wait: float
    p95: float
    runtime: float
    turnaround: float

    @classmethod
    def these(cls, jobs: Sequence[JobRow]) -> _Of:
        waits = waits_of(jobs)
        spans = [
            (job.end - job.start, job.end - job.submit)
            for job in jobs
            if job.end is not None and job.start is not None
        ]
        among = max(1, len(spans))
        return cls(
            len(jobs),
            waits.mean,
            waits.p95,
            sum(s[0] for s in spans) / among,
            sum(s[1] for s in spans) / among,
        )


def _answer(queue: str, profile: str, performance: int, runs: list[Outcome], watts: list[_Watts]) -> Answer:
    before, after = ([job for job in of.jobs if job.queue == queue] for of in runs)
    mine = _Of.these(before), _Of.these(after)
    others = tuple(_Of.these([job for job in of.jobs if job.queue != queue]) for of in runs)
    freed = watts[0].mean - watts[1].mean
    slower = mine[1].runtime / mine[0].runtime - 1 if mine[0].runtime else 0.0
    capped = sum(job.profile == profile for job in after)
    shift = mine[0].turnaround - mine[1].turnaround
    sentence = (
        f"{profile} for queue {queue} frees {kilowatts(freed)} kW in the mean "
        f"({percent(freed, watts[0].mean)} of what is reserved); its jobs run {100 * slower:.1f} % longer, wait "
        f"{hours(mine[1].wait)} h instead of {hours(mine[0].wait)} h, and are over "
        f"{hours(abs(shift))} h {'sooner' if shift >= 0 else 'later'} in the mean."
    )
    occupancy = [of.summary["gpu_hours"]["occupancy"] for of in runs]
    held = (100 * occupancy[0], 100 * occupancy[1])
    ends = (runs[0].summary["seconds"] / 3600, runs[1].summary["seconds"] / 3600)
    names = ("AS IT IS", profile.upper(), "CHANGE")
    rows = [
        _row("reserved, mean, kW", watts[0].mean / 1000, watts[1].mean / 1000, ".1f"),
        _row("reserved, most, kW", watts[0].most / 1000, watts[1].most / 1000, ".1f"),
        *_rows(f"{queue}: ", *mine),
        *(_rows("other queues: ", *others) if others[0].jobs else ()),
        _row("GPUs held, percent", *held, ".1f"),
        _row("until all are over, h", *ends, ".1f"),
    ]
    notes = [
        f"{count(capped, 'job')} of the queue's {len(after):,} ran last at {profile}, which runs at {performance} % "
        "of full speed; a gang that asks for it and does not get it is offered the next lower one.",
    ]
    for name, of in zip(("as it is", profile), runs, strict=True):
        if of.stuck:
            notes.append(f"{name}: {count(of.never, 'job')} can never start: {of.stuck}.")
    data = {
        "queue": queue,
        "profile": profile,
        "relativePerformancePercent": performance,
        "runs": [
            {
                "profile": name,
                "reservedMeanWatts": round(w.mean),
                "reservedMostWatts": w.most,
                "queueJobs": _as_data(m),
                "otherJobs": _as_data(o),
                "secondsUntilAllAreOver": of.summary["seconds"],
                "occupancy": of.summary["gpu_hours"]["occupancy"],
                "neverStart": of.never,
            }
            for name, w, m, o, of in zip(("as it is", profile), watts, mine, others, runs, strict=True)
        ],
    }
    return Answer(
        "power-profile", sentence, (Table(("", *names), rows, right=(1, 2, 3)),), tuple(notes), data
    )


def _rows(of: str, before: _Of, after: _Of) -> list[tuple[str, ...]]:
    return [
        _row(f"{of}wait, mean, h", before.wait / 3600, after.wait / 3600, ".2f"),
        _row(f"{of}wait, p95, h", before.p95 / 3600, after.p95 / 3600, ".2f"),
        _row(f"{of}start to end, h", before.runtime / 3600, after.runtime / 3600, ".2f"),
        _row(f"{of}arrival to end, h", before.turnaround / 3600, after.turnaround / 3600, ".2f"),
    ]


def _row(what: str, before: float, after: float, form: str) -> tuple[str, ...]:
    change = f"{100 * (after / before - 1):+.1f} %" if before else "-"
    return what, f"{before:,{form}}", f"{after:,{form}}", change


def _as_data(of: _Of) -> dict[str, object]:
    return {
        "jobs": of.jobs,
        "meanWaitSeconds": round(of.wait),
        "p95WaitSeconds": round(of.p95),
        "meanStartToEndSeconds": round(of.runtime),
        "meanArrivalToEndSeconds": round(of.turnaround),
    }
