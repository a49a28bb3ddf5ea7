"""The loop: from one moment at which something happens to the next, until all jobs are over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rackplane.core import events as e
from rackplane.core.gangs.statuses import timestamp
from rackplane.engine.reporting.spread import Spread, spread
from rackplane.engine.shedding.relieving import exceeded
from rackplane.simulator.cluster import Cluster
from rackplane.simulator.draws import PowerModel, Workers
from rackplane.simulator.facilityevents import Change
from rackplane.simulator.files import Output
from rackplane.simulator.floor import FloorRecording
from rackplane.simulator.gangs import NAMESPACE, Live, Request
from rackplane.simulator.limits import Meter
from rackplane.simulator.policies import Policy
from rackplane.simulator.progress import Rules
from rackplane.simulator.report.recording import Recording
from rackplane.simulator.sampling import Sampler
from rackplane.simulator.site import Site
from rackplane.simulator.summary import Summary
from rackplane.simulator.truth import Truth

__all__ = ["BEGIN", "Simulation", "Stuck"]

BEGIN: Final = 1_704_067_200
"""Second 0 unless another is asked for: 2024-01-01T00:00:00Z, a Monday."""
_EVERY_SECOND: Final = 900
_LONGEST: Final = 60
"""While something in the machine's books counts time, it is woken every second, as the operator is; after so many
seconds in which it has done nothing, every _LONGEST. The longest that it waits for by its settings is 900 s."""


class Stuck(Exception):
    """Jobs wait, and nothing that could start them is to come."""


@dataclass(slots=True)
class Simulation:
    """One run.

    Args:
        requests: in order of arrival.
        changes: of the facility, in order of time.
        output: where rows go; None: nowhere, and no samples are taken.
        every: seconds between two samples.
        floor: takes frames with the samples; None: nobody wants to see them.
        plots: the same for the plots of the report.
        model: None: draws are not modelled.
        begin: the epoch second that second 0 is.
    """

    site: Site
    requests: Sequence[Request]
    policy: Policy = field(default_factory=Policy)
    changes: Sequence[Change] = ()
    rules: Rules = field(default_factory=Rules)
    output: Output | None = None
    every: int = 3_600
    floor: FloorRecording | None = None
    plots: Recording | None = None
    model: PowerModel | None = None
    seed: int = 0
    begin: int = BEGIN
    summary: Summary = field(default_factory=Summary)
    cluster: Cluster = field(init=False)
    reserved: Meter = field(init=False)
    workers: Workers | None = field(init=False, default=None)
    broken_off: bool = field(init=False, default=False)
    """Set it, and the run ends at its next step."""
    _came: int = field(init=False, default=0)
    _changed: int = field(init=False, default=0)
    _sampled: int = field(init=False, default=0)
    _measured: tuple[int, int] | None = field(init=False, default=None)
    _sampler: Sampler | None = field(init=False, default=None)
    _truth: Truth = field(init=False)

    def __post_init__(self) -> None:
        settings = self.policy.settings(restart_seconds=self.rules.restart)
        self.cluster = Cluster(
            settings,
            self.site.events(self.policy),
            self,
            rules=self.rules,
            begin=self.begin,
            tell_checkpoints=self._may_stop_gangs(),
        )
        state = self.cluster.machine.state
        assert state is not None  # everything has been listed
        self._truth = Truth(self.site, self.policy, self.cluster.machine, self.begin)
        self.reserved = Meter(self._truth.facility(0))
        self.reserved.follow(0, state.nominal, state.peak)
        if self.model is not None:
            self.workers = Workers(self.model, state, seed=self.seed, requests=self.requests)
            self.workers.use(0, state, self._truth.facility(0))
        if self.output is not None:
            self._sampler = Sampler(self.site, self.cluster, self.reserved, self._drawn)

    # -- the loop ------------------------------------------------------------------------------------

    def run(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Until all jobs are over, or it is broken off.

        Args:
            progress: called now and then with the second of the run and the jobs that are over.

        Raises:
            Stuck: jobs wait, and nothing that could start them is to come.
        """
        while (self._came < len(self.requests) or self.cluster.live) and not self.broken_off:
            now = self._next()
            self._sample(now)
            self._go_to(now)
            if progress is not None:
                progress(now, self.summary.ended)
        self._sample(self.cluster.now + 1)

    def finish(self) -> None:
        """Count the time until now, and what is not over: after `run`, or when it was broken off."""
        now = self.cluster.now
        self.reserved.count(now)
        if self.workers is not None:
            self.workers.advance(now)
        if self.plots is not None:
            self.plots.close(now, self.summary.held, self.reserved, self._drawn)
        if self.output is not None:
            for gang in self.cluster.live.values():
                self._write_job(gang, None, self._spread(gang))

    def _next(self) -> int:
        """The next second at which something happens."""
        cluster = self.cluster
        moments: list[float] = []
        if self._may_come():
            moments.append(max(cluster.now, self.requests[self._came].job.submit))
        due = cluster.next_due()
        if due is not None:
            moments.append(due)
        if self._changed < len(self.changes):
            moments.append(max(cluster.now, self.changes[self._changed].at))
        tick = self._next_tick()
        if not moments and math.isinf(tick):
            raise Stuck(
                f"{cluster.waiting:,} jobs wait for nothing at second {cluster.now:,}: {self._first_waiting()}"
            )
        return int(min([*moments, tick]))

    def _go_to(self, now: int) -> None:
        cluster = self.cluster
        cluster.now = now
        events = cluster.happened()
        for change in self._due_changes():
            events += self._carry_out(change)
        while self._may_come() and self.requests[self._came].job.submit <= now:
            events.append(cluster.submit(self.requests[self._came]))
            self._came += 1
        cluster.feed(*(events or [e.TimePassed()]))
        self._measure()

    def _may_come(self) -> bool:
        if self._came >= len(self.requests):
            return False
        return not (self.policy.one_at_a_time and self.cluster.waiting)

    def _next_tick(self) -> float:
        """When a tick, of those that the operator has every second, next finds something to do."""
        cluster, world = self.cluster, self.cluster.machine.world
        due = world.waiting.due
        change = world.next_change()
        if change is not None:
            due = min(due, change)
        soonest = cluster.now + 1
        if not math.isinf(due):
            due = max(math.ceil(due - self.begin), soonest)
        if self._counts_time():
            idle = cluster.now - cluster.acted_at
            due = min(due, soonest if idle < _EVERY_SECOND else cluster.now + _LONGEST)
        return due

    def _counts_time(self) -> bool:
        """Whether the machine waits for time to pass, beyond what it says itself."""
        world = self.cluster.machine.world
        if world.easing or world.shed or world.losses:
            return True
        if any(held.victims or held.moves for held in world.held_places.values()):
            return True
        return world.state is not None and bool(exceeded(world.state))

    def _first_waiting(self) -> str:
        for name, gang in self.cluster.live.items():
            if gang.placed is None:
                record = self.cluster.machine.gangs.get(("trace", name))
                why = "" if record is None else record.message
                return f"{gang.request.job.name}, {gang.request.gpus:,} GPUs: {why or 'it fits nowhere'}"
        return "none of them has come"

    # -- the facility --------------------------------------------------------------------------------

    def _due_changes(self) -> Iterator[Change]:
        while self._changed < len(self.changes) and self.changes[self._changed].at <= self.cluster.now:
            yield self.changes[self._changed]
            self._changed += 1

    def _carry_out(self, change: Change) -> list[e.Event]:
        self.said(self.cluster.now, change.kind, change.name, "FacilityEvent", change.words)
        if change.ready is not None:
            return [self.cluster.set_node(change.name, ready=change.ready)]
        self._truth.put(change)
        if change.body is None:
            return [e.FacilityDeleted(change.kind, change.name)]
        return [e.FacilityChanged(change.kind, change.name, self.site.seen(change.body, self.policy))]

    def _may_stop_gangs(self) -> bool:
        """Whether the machine may come to ask what stopping a gang would cost."""
        bodies = [self.site.seen(body, self.policy) for body in self.site.bodies.values()]
        budgets = any(body["kind"] == "PowerBudget" for body in bodies)
        preemption: list[Mapping[str, Any]] = [
            body.get("spec", {}).get("preemption", {}) for body in bodies if body["kind"] == "Queue"
        ]
        stops = any(value != "Never" for said in preemption for value in said.values())
        return bool(self.changes) or budgets or stops or self.policy.defragmentation.value != "Off"

    # -- what is measured ----------------------------------------------------------------------------

    def _measure(self) -> None:
        state, now = self.cluster.machine.state, self.cluster.now
        assert state is not None
        facility, stamp = self._truth.facility(now), self.cluster.machine.world.stamp
        if facility is not self.reserved.facility:
            self.reserved.change_facility(now, facility, state.nominal, state.peak)
            if self.workers is not None:
                self.workers.use(now, state, facility)
        elif stamp != self._measured:
            self.reserved.follow(now, state.nominal, state.peak)
        self._measured = stamp

    @property
    def _drawn(self) -> Meter | None:
        return None if self.workers is None else self.workers.meter

    def _sample(self, until: int) -> None:
        """The samples before that second: nothing has changed since the last moment."""
        if self._sampler is None or self.output is None:
            return
        while self._sampled < until:
            if self.workers is not None:
                self.workers.advance(self._sampled)
            series, of_elements = self._sampler.rows(self._sampled)
            elements = list(of_elements)
            self.output.write("series.csv", series)
            for row in elements:
                self.output.write("elements.csv", row)
            if self.plots is not None:
                held, reserved = self.summary.held, self.reserved
                self.plots.sample(self._sampled, series, elements, held, reserved, self._drawn)
            self.summary.sampled(series)
            if self.floor is not None:
                self.floor.sample(self._sampled, self.cluster.machine)
            self._sampled += self.every

    # -- Observer ------------------------------------------------------------------------------------

    def placed(self, now: int, gang: Live) -> None:
        self.summary.placed(now, gang)
        if self.workers is not None:
            self.workers.place(now, gang)

    def freed(self, now: int, gang: Live) -> None:
        self.summary.freed(now, gang)
        if self.workers is not None:
            self.workers.free(now, gang)

    def ended(self, now: int, gang: Live) -> None:
        lay = self._spread(gang)
        self.summary.over(now, gang, lay)
        self._write_job(gang, now, lay)

    def said(self, now: int, kind: str, name: str, reason: str, message: str) -> None:
        self.summary.events[reason] = self.summary.events.get(reason, 0) + 1
        if self.output is not None:
            time = timestamp(self.begin + now)
            self.output.write("events.csv", [now, time, kind, name, reason, message])

    def _spread(self, gang: Live) -> Spread | None:
        """By the operator's own count of racks; None for one that has no place."""
        record = self.cluster.machine.gangs.get((NAMESPACE, gang.request.name))
        state = self.cluster.machine.state
        if record is None or record.decision is None or state is None:
            return None
        return spread(state, record.decision.placement)

    def _write_job(self, gang: Live, end: int | None, lay: Spread | None) -> None:
        if self.output is None:
            return
        job, request = gang.request.job, gang.request
        lost = round(gang.progress.lost * request.gpus)
        self.output.write(
            "jobs.csv",
            [
                *(
                    job.name,
                    request.name,
                    request.spec["queue"],
                    job.user,
                    request.spec.get("priority", 0),
                    job.submit,
                ),
                *("" if gang.first is None else gang.first, "" if end is None else end),
                "" if gang.first is None else gang.first - job.submit,
                *(
                    request.gpus,
                    request.slots,
                    len(set(gang.nodes)),
                    gang.racks,
                    "" if lay is None else lay.fewest_racks,
                ),
                *(gang.domains, gang.profile),
                *(gang.watts, gang.progress.stops, lost),
                "over" if end is not None else "running" if gang.placed is not None else "waiting",
            ],
        )
