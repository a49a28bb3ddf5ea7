"""One run of the power benchmark: jobs on the hall until the horizon, and what is exceeded meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rackplane.engine.physics.rows import LimitRow, RowKind
from rackplane.engine.reporting.stranded import stranded
from rackplane.simulator.draws import PowerModel
from rackplane.simulator.facilityevents import Change
from rackplane.simulator.gangs import Request
from rackplane.simulator.limits import Exceeded
from rackplane.simulator.simulation import Simulation
from rackplane.simulator.site import Site
from tests.benchmarks.power.admission import Rule
from tests.benchmarks.power.hall import RACK

__all__ = ["Found", "run"]

_EVERY = 3_600
_NODE = (RACK - 13_200) // 18 - 1_000
"""What one more node at MaxP adds, in watts."""


@dataclass(slots=True)
class Found:
    """What came of a run until the horizon.

    Args:
        work: GPU-hours at full speed; what is done again counts once.
        reserved, drawn: what was exceeded, by the books (nominal watts of who runs) and by the model of draws.
        unused: watt-seconds of the budget that nobody had while jobs waited, over those of the budget then.
        stranded: mean share of the budget that no free node could use, at samples at which jobs waited.
    """

    work: float = 0.0
    reserved: Exceeded = field(default_factory=Exceeded)
    drawn: Exceeded = field(default_factory=Exceeded)
    unused: float = 0.0
    stranded: float = 0.0
    events: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Watch:
    """What is integrated over the time in which jobs wait."""

    simulation: Simulation
    budget: int
    horizon: int
    seconds: int = 0
    left: float = 0.0
    samples: list[float] = field(default_factory=list)
    _since: int = 0
    _waits: bool = False
    _carried: float = 0.0
    _sampled: int = 0

    def step(self, now: int, _over: int) -> None:
        if self._waits:
            self.seconds += now - self._since
            self.left += (now - self._since) * max(0.0, self.budget - self._carried)
        self._since = now
        simulation = self.simulation
        meter = simulation.reserved
        self._waits = simulation.cluster.waiting > 0
        self._carried = float(
            meter.of_rows()[meter.facility.row_index[LimitRow(RowKind.POWER_NOMINAL, "utility")]]
        )
        if self._waits and now >= self._sampled:
            self._sampled = now + _EVERY
            state = simulation.cluster.machine.state
            assert state is not None
            after = self.budget - self._carried - stranded(state).filled_nodes * _NODE
            self.samples.append(max(0.0, after) / self.budget)
        if now >= self.horizon:
            simulation.broken_off = True


def run(
    rule: Rule,
    site: Site,
    requests: Sequence[Request],
    changes: Sequence[Change],
    *,
    budget: int,
    horizon: int,
    seed: int,
) -> Found:
    """The jobs under a rule until the horizon.

    Args:
        site: as it is.
        changes: of the facility, in order of time.
    """
    queue = site.bodies["Queue", "research"]
    end: Any = Change(horizon, "Queue", "research", "the horizon", body=queue)
    simulation = Simulation(
        site=rule.sees(site, budget),
        requests=requests,
        policy=rule.policy,
        changes=[*changes, end],
        model=PowerModel(),
        seed=seed,
    )
    watch = _Watch(simulation, budget, horizon)
    simulation.run(watch.step)
    simulation.finish()
    assert simulation.cluster.now == horizon and simulation.workers is not None
    left = sum(
        gang.request.gpus * (gang.progress.work - _done(gang.progress, horizon))
        for gang in simulation.cluster.live.values()
    )
    came = sum(r.gpus * r.job.duration for r in requests if r.job.submit <= horizon)
    return Found(
        work=(came - left) / 3600,
        reserved=simulation.reserved.exceeded,
        drawn=simulation.workers.meter.exceeded,
        unused=watch.left / (watch.budget * watch.seconds) if watch.seconds else 0.0,
        stranded=sum(watch.samples) / len(watch.samples) if watch.samples else 0.0,
        events=dict(simulation.summary.events),
    )


def _done(progress: Any, now: int) -> float:
    return float(progress.done + progress.speed * max(0, now - progress.since))
