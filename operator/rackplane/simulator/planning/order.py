"""What an order of the grid would do: two runs, one with a PowerBudget for the time of the order.

The order asks for so many percent less than what the power domains carry, by what is reserved, when it comes. So the
first run tells how much that is. The budget of the second is an object like any other that the operator hears of, at
once or some time ahead.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from rackplane.api.base import API_VERSION
from rackplane.core.gangs.stopping import SHED
from rackplane.core.offline.snapshot import machine_of
from rackplane.core.shedding.placements import POWER_CAPPED
from rackplane.engine.physics.rows import LimitRow, RowKind
from rackplane.figures import count, kilowatts, lasting
from rackplane.simulator.facilityevents import Change
from rackplane.simulator.planning.answers import Answer, Table
from rackplane.simulator.planning.runs import Bars, Outcome, run
from rackplane.simulator.policies import Policy
from rackplane.simulator.progress import Progress
from rackplane.simulator.running import Inputs, PlanError
from rackplane.simulator.simulation import Simulation
from rackplane.simulator.site import Site

__all__ = ["Order", "budget_of", "order"]

_NAME: Final = "planned-order"
_REASONS: Final = (SHED, POWER_CAPPED)


@dataclass(frozen=True, slots=True)
class Order:
    """What is ordered.

    Args:
        targets: power domains whose watts are added up.
        percent: less than they carry when it comes.
        at: second at which it begins; ``seconds`` later it ends.
        notice: seconds before that the operator hears of it.
    """

    targets: tuple[str, ...]
    percent: float
    at: int
    seconds: int
    notice: int = 0

    @property
    def until(self) -> int:
        return self.at + self.seconds


@dataclass(slots=True)
class _Watch:
    """One run around the order.

    Args:
        carried: watts of its targets just before it begins.
        done: GPU-seconds of work of all jobs when it ends; what is done again counts once.
        busy: GPU-seconds that were held in its time.
        hit: gangs that were stopped or capped for it and do not yet run again as they did, with their profile before.
        stopped, capped: how many gangs were, each once.
        recovered: when the last of them ran again as before; None: some never did.
    """

    order: Order
    carried: int | None = None
    done: float | None = None
    busy: float = 0.0
    hit: dict[str, str] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    capped: set[str] = field(default_factory=set)
    recovered: int = 0
    _since: int = 0
    _held: int = 0
    _watts: int = 0
    _running: dict[str, str] = field(default_factory=dict)
    _progress: list[tuple[int, Progress]] = field(default_factory=list)

    def said(self, second: int, name: str, reason: str) -> None:
        """The operator published an Event of a gang."""
        of = self.order
        if reason in _REASONS and of.at - of.notice <= second < of.until:
            (self.stopped if reason == SHED else self.capped).add(name)
            self.hit.setdefault(name, self._running.get(name, ""))

    def step(self, simulation: Simulation, now: int) -> None:
        """After each moment: what held since the one before is counted, then all is looked at anew."""
        of, since = self.order, self._since
        if since <= of.at < now or now == of.at:
            self.carried = self._watts if self.carried is None else self.carried
        self.busy += max(0, min(now, of.until) - max(since, of.at)) * self._held
        if self.done is None and now >= of.until:
            self.done = self._done(simulation, of.until)
        self._since = now
        if now > of.until and not self.hit:
            return
        live = simulation.cluster.live.values()
        placed = [gang for gang in live if gang.placed is not None]
        self._held = sum(len(gang.nodes) * int(gang.request.spec["gpusPerSlot"]) for gang in placed)
        self._watts = _watts(simulation, of.targets)
        self._progress = [(gang.request.gpus, replace(gang.progress)) for gang in live]
        self._running = {gang.request.name: gang.profile for gang in placed}
        self._follow(simulation, now)

    def _done(self, simulation: Simulation, at: int) -> float:
        """By the last look before that second."""
        came = sum(r.gpus * r.job.duration for r in simulation.requests if r.job.submit <= self._since)
        left = 0.0
        for gpus, progress in self._progress:
            done = progress.done + progress.speed * max(0, at - progress.since)
            left += gpus * max(0.0, progress.work - done)
        return came - left

    def _follow(self, simulation: Simulation, now: int) -> None:
        for name, profile in list(self.hit.items()):
            gang = simulation.cluster.live.get(name)
            runs = gang is not None and gang.placed is not None and gang.progress.speed > 0
            if gang is None or (runs and gang.profile == profile):
                del self.hit[name]
                self.recovered = now


def _watts(simulation: Simulation, targets: tuple[str, ...]) -> int:
    """What the power domains carry by what is reserved."""
    meter = simulation.reserved
    index, loads = meter.facility.row_index, meter.of_rows()
    rows = (LimitRow(RowKind.POWER_NOMINAL, name) for name in targets)
    return round(sum(float(loads[index[row]]) for row in rows if row in index))


def budget_of(order: Order, limit: int, begin: int) -> list[Change]:
    """The order as the operator hears of it, and its end.

    Args:
        limit: watts that the targets may carry.
        begin: the epoch second that second 0 is.
    """
    start, end = (datetime.fromtimestamp(begin + at, UTC) for at in (order.at, order.until))
    spec = {
        "targets": {"powerDomains": list(order.targets)},
        "limitWatts": limit,
        "interval": {name: f"{at:%Y-%m-%dT%H:%M:%SZ}" for name, at in (("start", start), ("end", end))},
    }
    metadata = {"name": _NAME, "uid": f"PowerBudget/{_NAME}", "generation": 1}
    body = {"apiVersion": API_VERSION, "kind": "PowerBudget", "metadata": metadata, "spec": spec}
    words = f"PowerBudget {_NAME} is created"
    return [
        Change(order.at - order.notice, "PowerBudget", _NAME, words, body=body),
        Change(order.until, "PowerBudget", _NAME, f"PowerBudget {_NAME} is deleted"),
    ]


def order(
    inputs: Inputs,
    *,
    feed: str | None,
    percent: float,
    hours: float,
    at: int | None,
    notice: int,
    seed: int,
    every: int,
    bars: Bars,
) -> Answer:
    """The answer.

    Args:
        feed: a PowerDomain; None: all that have no parents.
        at: second at which the order begins; None: halfway to the last arrival.

    Raises:
        PlanError: there is no such domain, or the order begins before the run or before it is heard of.
    """
    powers = {
        name: body["spec"] for (kind, name), body in inputs.site.bodies.items() if kind == "PowerDomain"
    }
    if feed is not None and feed not in powers:
        raise PlanError(
            f"--feed {feed}: the facility has no such PowerDomain; it has {', '.join(sorted(powers))}"
        )
    targets = tuple(sorted(name for name, spec in powers.items() if not spec.get("parents")))
    begins = inputs.jobs[-1].submit // 2 if at is None else at
    of = Order(targets if feed is None else (feed,), percent, begins, round(hours * 3600), notice)
    if of.at < of.notice:
        raise PlanError(
            f"--notice {notice}: the order begins {of.at:,} s after the run: give less, or a later --at"
        )
    without, with_it = _Watch(of), _Watch(of)
    before = run(inputs, name="without the order", seed=seed, every=every, bars=bars, stepped=without.step)
    if without.done is None or not without.carried:
        over = before.summary["seconds"]
        raise PlanError(
            f"--at {of.at:,}: all jobs are over at second {over:,}: choose an order that ends before"
        )
    limit = int(without.carried * (100 - percent) / 100)
    after = run(
        inputs,
        name="with the order",
        seed=seed,
        every=every,
        bars=bars,
        changes=budget_of(of, limit, inputs.begin),
        stepped=with_it.step,
        said=with_it.said,
    )
    idle = _idle_watts(inputs.site, of.targets)
    return _answer(of, limit, idle, (without, with_it), (before, after))


def _idle_watts(site: Site, targets: tuple[str, ...]) -> int:
    """What the targets carry with nothing running."""
    state = machine_of(site.events(Policy()), 0.0).state
    assert state is not None  # everything has been listed
    rows = (LimitRow(RowKind.POWER_NOMINAL, name) for name in targets)
    return round(
        sum(float(state.loads[state.facility.row_index[r]]) for r in rows if r in state.facility.row_index)
    )


def _answer(
    of: Order, limit: int, idle: int, watches: tuple[_Watch, _Watch], runs: tuple[Outcome, Outcome]
) -> Answer:
    (without, with_it), (before, after) = watches, runs
    assert without.carried is not None and without.done is not None
    missing = (without.done - (with_it.done or 0.0)) / 3600
    again = after.summary["gpu_hours"]["done_again"] - before.summary["gpu_hours"]["done_again"]
    over = after.summary["reserved"]["seconds_by_limit"].get(f"budget {_NAME}", 0)
    recovery = None if with_it.hit else max(0, with_it.recovered - of.until)
    capped, stopped = len(with_it.capped - with_it.stopped), len(with_it.stopped)
    when = f"at day {of.at / 86_400:.1f}, for {of.seconds / 3600:g} h"
    back = (
        "they do not all come back"
        if recovery is None
        else f"all run as before {lasting(recovery)} after its end"
    )
    sentence = (
        f"An order of {of.percent:g} % less ({when}) caps {count(capped, 'gang')} and stops {stopped:,}, and "
        f"{missing:,.1f} GPU-hours less are done by its end; "
        + ("nobody has to give way." if not (capped or stopped) else f"{back}.")
    )
    targets = " + ".join(of.targets)
    rows = [
        (f"{targets} before it", f"{kilowatts(without.carried)} kW"),
        ("its limit", f"{kilowatts(limit)} kW"),
        ("with nothing running", f"{kilowatts(idle)} kW"),
        ("over the limit", f"{over:,} s of {of.seconds:,} s"),
        ("gangs capped, not stopped", f"{capped:,}"),
        ("gangs stopped", f"{stopped:,}"),
        ("held in its time, without it", f"{without.busy / 3600:,.1f} GPU-hours"),
        ("held in its time, with it", f"{with_it.busy / 3600:,.1f} GPU-hours"),
        ("work less by its end", f"{missing:,.1f} GPU-hours"),
        ("work done again, for stops", f"{again:,.1f} GPU-hours more"),
        ("until all run as before", "never" if recovery is None else f"{lasting(recovery)} after its end"),
        ("mean wait of all jobs", f"{_wait(before)} -> {_wait(after)} h"),
        ("until all jobs are over", f"{_end(before)} -> {_end(after)} h"),
    ]
    notes = [
        f"The limit is {100 - of.percent:g} % of what is reserved when the order begins; the operator hears of it "
        + (f"{of.notice:,} s before." if of.notice else "as it begins.")
    ]
    if idle > limit:
        notes.append("Idle racks alone carry more than the limit, so that no stop of gangs can keep it.")
    data = {
        "targets": list(of.targets),
        "percent": of.percent,
        "atSecond": of.at,
        "seconds": of.seconds,
        "noticeSeconds": of.notice,
        "carriedWatts": without.carried,
        "limitWatts": limit,
        "idleWatts": idle,
        "secondsOverLimit": over,
        "gangsCapped": capped,
        "gangsStopped": stopped,
        "gpuHoursHeldInItsTime": [round(w.busy / 3600, 1) for w in watches],
        "gpuHoursLessByItsEnd": round(missing, 1),
        "gpuHoursDoneAgain": round(again, 1),
        "recoverySeconds": recovery,
        "meanWaitSeconds": [of_run.summary["wait_seconds"]["mean"] for of_run in runs],
        "secondsUntilAllAreOver": [of_run.summary["seconds"] for of_run in runs],
    }
    return Answer("order", sentence, (Table(("", "VALUE"), rows),), tuple(notes), data)


def _wait(of: Outcome) -> str:
    return f"{of.summary['wait_seconds']['mean'] / 3600:,.2f}"


def _end(of: Outcome) -> str:
    return f"{of.summary['seconds'] / 3600:,.1f}"
