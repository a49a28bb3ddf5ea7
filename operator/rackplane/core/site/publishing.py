"""The facility's status as its people read it: what is carried, what is left, and what is wrong with an object."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rackplane.core.gangs.statuses import merged_conditions
from rackplane.core.gangs.workload import API_VERSION
from rackplane.core.instructions import Instruction, PublishEvent, WriteFacilityStatus
from rackplane.core.pacing import Pace
from rackplane.core.queues.queuefigures import NO_QUEUE, queue_figures
from rackplane.core.shedding.emergency import emergency_judgement
from rackplane.core.site.budgetstatus import budget_figures, budget_judgements, budget_sums
from rackplane.core.site.draining import drain_judgements
from rackplane.core.site.entries import ObjectKey
from rackplane.core.site.figures import OF_OTHERS, figures
from rackplane.core.site.judgements import OURS, is_bad, judgements
from rackplane.core.site.membership import node_without_rack
from rackplane.core.site.observed import OBSERVED_TYPES, Draws
from rackplane.core.site.planned import work_judgements
from rackplane.core.site.removals import deletion_problems
from rackplane.core.site.reports import report_judgements
from rackplane.core.world import World
from rackplane.engine.reporting.stranded import stranded

__all__ = ["Publisher"]

#: Of so many periods in which nothing has changed there is a look in one.
_QUIET_PERIODS: Final = 5


@dataclass(slots=True)
class _Published:
    """What was last written of an object, or found written, and when."""

    at: float
    status: Mapping[str, Any]
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Told:
    """What the Events of an object have said, by type of condition."""

    uid: str
    words: Mapping[str, tuple[str, ...]]


class Publisher:
    """Writes a status when it differs from what was last written or seen.

    A gang that starts changes the headroom of everything that shares a limit with it: of a whole hall, each second. So
    what an object carries itself is written at once, and so are its conditions and a headroom that falls below zero or
    comes back; what it is left by others, and what meters say, waits for `MachineSettings.status_refresh_seconds`, and
    of the objects whose wait is over, those that waited longest come first, `status_refresh_writes` in one period.
    Where gangs come and go all the time, what an object carries waits too, for `status_pause_seconds` at most.

    An object is written again once the last write to it is answered: a slow server gets fewer writes, not older ones.

    A look reads every figure of the facility. So there is one in a period only if something has changed that statuses
    are made of, and else one in a few, for what time alone changes: shares, and whose wait is over.
    """

    def __init__(self) -> None:
        self._published: dict[ObjectKey, _Published] = {}
        self._told: dict[ObjectKey, _Told] = {}
        self._under_way: set[ObjectKey] = set()
        self._pace: Pace[ObjectKey] = Pace()
        #: when the first of the objects that wait for their pace may be written
        self._due = math.inf
        self._looked_at = -math.inf
        self._stamp: tuple[int, ...] = ()

    def due(self, world: World) -> bool:
        """Whether it is time to look at every status."""
        passed, period = world.now - self._looked_at, world.settings.status_seconds
        return passed >= period and (
            world.now >= self._due or _stamp(world) != self._stamp or passed >= _QUIET_PERIODS * period
        )

    def succeeded(self, kind: str, name: str) -> None:
        """The last write took effect."""
        self._under_way.discard((kind, name))

    def failed(self, kind: str, name: str) -> None:
        """The last write did not take effect: ask for it again, with the times of transition that it had."""
        self._under_way.discard((kind, name))
        last = self._published.get((kind, name))
        if last is not None:
            last.status, last.failed = {"conditions": last.status["conditions"]}, True
        self._stamp = ()

    def forget(self, kind: str, name: str) -> None:
        """The object went."""
        self._published.pop((kind, name), None)
        self._under_way.discard((kind, name))
        self._pace.forget((kind, name))

    def resign(self) -> None:
        """This process no longer leads: no answer is waited for."""
        self._under_way.clear()
        self._stamp = ()

    def run(self, world: World) -> Iterator[Instruction]:
        assert world.state is not None
        self._looked_at, self._stamp, self._due = world.now, _stamp(world), math.inf
        problems = world.catalog.problems(world.state.facility)
        for waits in deletion_problems(world):
            problems.setdefault((waits.kind, waits.name), []).append(waits)
        report, left = world.state.report(), stranded(world.state)
        sums, queues = budget_sums(world, report.budgets), queue_figures(world)
        draws = Draws(
            expected=world.settings.telemetry, observed=world.observed, facility=world.state.facility
        )
        waiting: list[tuple[float, ObjectKey, dict[str, Any], list[dict[str, Any]]]] = []
        for kind, name in world.catalog.objects():
            if (kind, name) in self._under_way:
                self._stamp = ()  # its turn is in the next period
                continue
            found = problems.get((kind, name), [])
            if kind == "PowerBudget":
                numbers = budget_figures(world, sums.get(name, ()), name)
            elif kind == "Queue":
                numbers = queues.get(name) or dict(NO_QUEUE)
                # Of one that does not decode too: what took months to learn must not go by a slip of the pen.
                numbers["learned"] = world.learning.memory.figures(name) or None
            else:
                numbers = figures(world, report, left, kind, name)
                numbers.update(draws.figures(kind, name, world.catalog.status(kind, name)))
                if kind in ("PowerDomain", "CoolingZone"):
                    numbers.update(world.overloads.figures(kind, name))
            last = self._published.get((kind, name))
            old = last.status["conditions"] if last else world.catalog.conditions(kind, name)
            wanted = judgements(report, kind, name, found, world.now)
            if kind == "PowerBudget":
                wanted.extend(budget_judgements(world, sums.get(name, ()), name))
            wanted.extend(_of_the_day(world, kind, name))
            wanted.extend(draws.judgements(kind, name, old, world.now))
            kept = {c["type"] for c in wanted} | {c["type"] for c in old if c["type"] not in OURS}
            status = {
                **numbers,
                "observedGeneration": world.catalog.generation(kind, name),
                "conditions": merged_conditions([c for c in old if c["type"] in kept], wanted),
            }
            if last is not None and last.status == status:
                continue
            if last is not None and _carried(last.status) == _carried(status):
                if world.now - last.at >= world.settings.status_refresh_seconds:
                    waiting.append((last.at, (kind, name), status, wanted))
                continue
            if last is not None and self._waits(world, (kind, name), last, status):
                continue
            # A predecessor may have written it: a restart repeats nothing.
            if last is None and _stored(world.catalog.status(kind, name), status):
                self._published[kind, name] = _Published(world.now, status)
                continue
            yield self._write(world, (kind, name), status)
            yield from self._tell(world, (kind, name), old, wanted)
        waiting.sort(key=lambda item: item[:2])
        if len(waiting) > world.settings.status_refresh_writes:
            self._stamp = ()  # the others in the next period
        for _, (kind, name), status, wanted in waiting[: world.settings.status_refresh_writes]:
            old = self._published[kind, name].status["conditions"]
            yield self._write(world, (kind, name), status)
            # Of telemetry: where it fails every rack has something to tell.
            yield from self._tell(world, (kind, name), old, wanted)
        yield from self._tell_unclaimed(world)

    def _waits(self, world: World, key: ObjectKey, last: _Published, status: Mapping[str, Any]) -> bool:
        """Whether figures alone have changed, of an object of which they change all the time."""
        if last.failed or _judged(last.status) != _judged(status):
            return False
        settings = world.settings
        due = self._pace.due(key, most=settings.status_writes, seconds=settings.status_pause_seconds)
        if due <= world.now:
            return False
        self._due = min(self._due, due)
        return True

    def _write(self, world: World, key: ObjectKey, status: Mapping[str, Any]) -> WriteFacilityStatus:
        settings = world.settings
        self._pace.spend(key, world.now, most=settings.status_writes, seconds=settings.status_pause_seconds)
        self._published[key] = _Published(world.now, status)
        self._under_way.add(key)
        return WriteFacilityStatus(*key, status)

    def _tell(
        self,
        world: World,
        key: ObjectKey,
        old: Sequence[Mapping[str, Any]],
        new: Sequence[Mapping[str, Any]],
    ) -> Iterator[PublishEvent]:
        """One Event for each condition that changed, and one for each new reason why an object is not ready.

        That all is well is said only where something else was said before.
        """
        kind, name = key
        uid = world.catalog.uid(kind, name)
        told = self._told.get(key)
        # What was told is kept apart from what was written: a write that fails is repeated, the words are not.
        before = told.words if told is not None and told.uid == uid else {c["type"]: _words(c) for c in old}
        self._told[key] = _Told(uid, {c["type"]: _words(c) for c in new})
        for c in new:
            changed = before.get(c["type"]) != _words(c)
            news = is_bad(c) or (c["type"] in before and c["type"] != "Ready")
            if changed and news:
                yield PublishEvent(API_VERSION, kind, "", name, uid, is_bad(c), c["reason"], c["message"])

    def _tell_unclaimed(self, world: World) -> Iterator[PublishEvent]:
        """GPU nodes that no rack claims hold no gang and no limit: their owner hears of it once."""
        for name in sorted(world.catalog.unclaimed):
            node = world.nodes.get(name)
            if node is None or ("Node", name) in self._told:
                continue
            problem = node_without_rack(name)
            text = f"Node {name}, {problem.field}: {problem.message}; {problem.remedy}"
            self._told["Node", name] = _Told(node.metadata.uid, {})
            yield PublishEvent("v1", "Node", "", name, node.metadata.uid, True, "NoRack", text)


def _of_the_day(world: World, kind: str, name: str) -> Iterator[dict[str, Any]]:
    """What people and machines have done to an element or measured of it: reports, its emptying, how quick caps are."""
    entry = world.catalog.entry(kind, name)
    if entry is not None and entry.reports:
        yield from report_judgements(entry.reports, entry.reports_cleared, world.now)
    yield from work_judgements(world.catalog.planned, kind, name, world.now)
    yield from drain_judgements(world.draining.drains.get((kind, name)), world.now)
    if kind == "PowerDomain":
        yield from emergency_judgement(world, name)


def _stamp(world: World) -> tuple[int, ...]:
    """Another one after every change that statuses are made of, but for that of time."""
    return (*world.stamp, world.catalog.revision, len(world.waiting.order), world.learning.memory.version)


def _words(c: Mapping[str, Any]) -> tuple[str, ...]:
    """What makes a condition news: its figures change too often, but of an error every word counts."""
    if c["type"] == "Ready":
        return (c["status"], c.get("message", "")) if is_bad(c) else (c["status"],)
    return (c["status"], c.get("reason", ""))


def _stored(seen: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the API server already has this status, but for when a condition last changed."""
    if any(seen.get(key) != _kept(value) for key, value in wanted.items() if key != "conditions"):
        return False
    known = {c.get("type"): c for c in seen.get("conditions") or ()}
    parts = ("status", "reason", "message")
    return {c["type"] for c in wanted["conditions"]} == set(known) and all(
        known[c["type"]].get(part, "") == c[part] for c in wanted["conditions"] for part in parts
    )


def _kept(value: Any) -> Any:
    """What a merge patch leaves of a value: nothing that is None."""
    if isinstance(value, Mapping):
        return {key: _kept(part) for key, part in value.items() if part is not None}
    return value


def _carried(status: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a status that does not change with what others carry."""
    return {
        **{key: value for key, value in status.items() if key not in OF_OTHERS},
        "conditions": _judged(status),
    }


def _judged(status: Mapping[str, Any]) -> tuple[Any, ...]:
    """The part that is written as soon as it changes, however often."""
    worst = status.get("worstContingency")
    return (
        [(c["type"], _words(c)) for c in status["conditions"] if c["type"] not in OBSERVED_TYPES],
        (status.get("headroomWatts") or 0) < 0,
        worst is not None and worst["headroomWatts"] < 0,
    )
