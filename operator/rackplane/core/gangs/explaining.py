"""A refusal as a Gang's status has it: reason, sentence and parts; and when it is worth another Event."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any

from rackplane.core.gangs.statuses import timestamp
from rackplane.core.queues.waiting import RESERVED, Verdict
from rackplane.core.world import World
from rackplane.engine.model import Cause, LevelCount, Placement, Refusal, Request
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.placing.placement import find, place
from rackplane.engine.reasons import Relief, Tightest

__all__ = [
    "CAUSES",
    "OVER_BUDGET",
    "OVER_QUOTA",
    "Explainer",
    "Renewal",
    "as_patch",
    "explanation",
    "reason",
    "topic",
]

OVER_BUDGET = "OverBudget"
OVER_QUOTA = "OverQuota"

_REASONS = {
    Cause.NODES: "InsufficientNodes",
    Cause.POWER: "InsufficientPower",
    Cause.BUDGET: OVER_BUDGET,
    Cause.LIQUID: "InsufficientLiquidCooling",
    Cause.AIR: "InsufficientAirCooling",
    Cause.PROFILE: "PowerProfileUnavailable",
}
MISFIT = "DoesNotFit"

#: Reason of the condition Admitted -> the cause that pending gangs are counted under; all others are "other".
CAUSES: Mapping[str, str] = {
    **{reason: cause.value for cause, reason in _REASONS.items()},
    MISFIT: "misfit",
    OVER_QUOTA: "quota",
    RESERVED: "reserved",
}

_LIMITS = {
    RowKind.POWER_NOMINAL: "continuous",
    RowKind.POWER_PEAK: "peak",
    RowKind.RACK_NOMINAL: "rack",
    RowKind.RACK_PEAK: "rackPeak",
    RowKind.FEED: "feed",
}
_TIGHTEST = (
    "level",
    "domain",
    "kind",
    "name",
    "feed",
    "peak",
    "lost",
    "outOfService",
    "loadWatts",
    "limitWatts",
    "overWatts",
    "neededWatts",
    "addedWatts",
    "startsAt",
    "endsAt",
)
_LONGEST_LINE = 253
_MOST_NAMED = 256


class Explainer:
    """Asks the engine to place gangs in one pass over the queue.

    Of requests that are alike one is refused for all; far back in the queue only whether it still is refused is asked,
    not with what numbers.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._counted = world.settings.told_gangs
        #: requests that would find a place, and when that was so
        self._fit: dict[tuple[Hashable, float], tuple[int, int]] = {}
        #: requests that were refused, and what would help was not asked, or not lately
        self.unexplained: dict[tuple[Hashable, float], None] = {}

    def place(
        self, asked: tuple[Hashable, float], request: Callable[[], Request], *, is_refused: bool = False
    ) -> Placement | Refusal:
        """The placement, or the refusal that those who ask so are told of.

        Args:
            asked: what is asked for, and the stage: the same for equal requests.
            request: makes the request.
            is_refused: that it is, is known; only of the first in the queue the numbers are still to be counted.
        """
        world = self._world
        assert world.state is not None
        known = world.waiting.verdicts.get(asked)
        if known is None:
            return self._plain(asked, request(), None)
        if known.version == world.version:
            return known.refusal
        if not self._counted:
            found = None if is_refused else find(world.state, request())
            if found is not None:
                return found
            known.version = world.version
            self._may_be_told_more(asked, known)
            return known.refusal
        self._counted -= 1
        return self._plain(asked, request(), known)

    def refuses(self, asked: tuple[Hashable, float], request: Callable[[], Request]) -> bool:
        """Whether the engine refuses what has found no quota: asked once for all who ask the same."""
        stamp = self._world.stamp
        if self._fit.get(asked) == stamp:
            return False
        if isinstance(self.place(asked, request), Refusal):
            return True
        self._fit[asked] = stamp
        return False

    def _plain(
        self, asked: tuple[Hashable, float], request: Request, known: Verdict | None
    ) -> Placement | Refusal:
        world = self._world
        assert world.state is not None
        answer = place(world.state, request)
        if isinstance(answer, Placement):
            return answer
        verdict = _noted(world, asked, answer, known)
        self._may_be_told_more(asked, verdict)
        return verdict.refusal

    def _may_be_told_more(self, asked: tuple[Hashable, float], verdict: Verdict) -> None:
        if self._world.now - verdict.explained >= self._world.settings.explain_seconds:
            self.unexplained[asked] = None


def _noted(world: World, asked: tuple[Hashable, float], answer: Refusal, known: Verdict | None) -> Verdict:
    """What they are told from now on: what was told before, if it says the same and more."""
    if known is not None and _same_reason(known.refusal, answer) and _still_hold(world, known.refusal):
        known.version, known.placements = world.stamp
        found = known
    else:
        is_new = known is None or _limit(known.refusal) != _limit(answer)
        found = Verdict(*world.stamp, answer, -math.inf if known is None or is_new else known.explained)
    world.waiting.verdicts[asked] = found
    return found


class Renewal:
    """Tells few of those who were refused the numbers as they are now, and what would help.

    What would help takes more searches than the decision, so that it is asked after all have been decided on: when a
    reason is new or of another kind, and now and then while its numbers change. In between the answer is the plain one,
    and one that still holds is kept.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._left = world.settings.explain_gangs

    @property
    def may_explain(self) -> bool:
        """Whether it may be asked for another one."""
        return self._left > 0

    def renewed(self, asked: tuple[Hashable, float], request: Callable[[], Request]) -> Refusal | None:
        """The refusal as it is to be told now; None if the engine refuses that no more.

        Args:
            asked: as `Explainer.place` takes it.
        """
        world = self._world
        assert world.state is not None
        known = world.waiting.verdicts.get(asked)
        due = known is None or world.now - known.explained >= world.settings.explain_seconds
        is_new = known is not None and (known.version, known.placements) == world.stamp
        if known is not None and is_new and not (due and self._left):
            return known.refusal
        wanted = request()
        if not self._left or (known is not None and known.explained > -math.inf):
            answer = place(world.state, wanted)
            if isinstance(answer, Placement):
                return None
            verdict = _noted(world, asked, answer, known)
            if not self._left or not (verdict.explained == -math.inf or (due and verdict is not known)):
                return verdict.refusal
        # What nobody was told of before comes here at once: one search gives the numbers, and what would help.
        told = place(world.state, wanted, questions=world.settings.explain_questions)
        if isinstance(told, Placement):
            return None
        self._left -= 1
        world.waiting.verdicts[asked] = Verdict(*world.stamp, told, world.now)
        return told


def _same_reason(a: Refusal, b: Refusal) -> bool:
    return replace(a, relief="", reliefs=()) == replace(b, relief="", reliefs=())


def _still_hold(world: World, refusal: Refusal) -> bool:
    """Whether every gang that the reliefs name is still there."""
    assert world.state is not None
    return all(world.state.held(key) for r in refusal.reliefs for key in r.gangs)


def _limit(refusal: Refusal) -> tuple[object, ...]:
    t = refusal.tightest
    return (refusal.cause, refusal.misfit, t and (t.kind, t.name, t.feed, t.lost))


def reason(refusal: Refusal) -> str:
    """The refusal as one word."""
    return MISFIT if refusal.misfit else _REASONS[refusal.cause]


def topic(reason: str, message: str, parts: Mapping[str, Any] | None) -> tuple[object, ...]:
    """What an Event is written for once: the reason and the limit, and not each number of the sentence."""
    if reason not in CAUSES or reason == MISFIT:
        return (reason, message)
    tightest = (parts or {}).get("tightest") or {}
    return (reason, *(tightest.get(key) for key in ("kind", "name", "feed", "lost")))


def explanation(refusal: Refusal) -> dict[str, Any]:
    """The parts as `status.explanation` has them."""
    return {
        "cause": refusal.cause.value,
        "levels": [_level(count) for count in refusal.counts],
        **({} if refusal.tightest is None else {"tightest": _tightest(refusal.tightest)}),
        "reliefs": [_relief(r) for r in refusal.reliefs],
    }


def as_patch(parts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The parts as a merge patch: what was written before and is not among them is removed."""
    if parts is None:
        return None
    tightest = parts.get("tightest")
    whole = None if tightest is None else {key: tightest.get(key) for key in _TIGHTEST}
    return {**parts, "tightest": whole}


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, "", [], False)}


def _level(count: LevelCount) -> dict[str, Any]:
    limits = {_LIMITS[RowKind(kind)]: number for kind, number in count.limits.items()}
    return {
        "level": count.level,
        "domains": count.domains,
        "failing": {cause.value: number for cause, number in count.failing.items()},
        **({"powerLimits": limits} if limits else {}),
        **({"afterLoss": count.after_loss} if count.after_loss else {}),
    }


def _tightest(t: Tightest) -> dict[str, Any]:
    values = (
        t.level,
        t.domain[:_LONGEST_LINE],
        t.kind.value,
        t.name,
        t.feed or None,
        t.peak or None,
        t.lost or None,
        list(t.out_of_service[:64]) or None,
        t.load_watts,
        t.limit_watts,
        t.over_watts,
        t.needed_watts,
        t.added_watts,
        None if t.starts_at is None else timestamp(t.starts_at),
        None if t.ends_at is None else timestamp(t.ends_at),
    )
    return {key: value for key, value in zip(_TIGHTEST, values, strict=True) if value is not None}


def _relief(r: Relief) -> dict[str, Any]:
    optional = {
        "elements": [
            _present({"kind": e.kind.value, "name": e.name, "feed": e.feed, "watts": e.watts, "peak": e.peak})
            for e in r.elements
        ],
        "profile": r.profile,
        "slowdownPercent": r.slowdown_percent or None,
        "gangs": [key[:_LONGEST_LINE] for key in r.gangs],
        "returns": [{"kind": e.kind.value, "name": e.name} for e in r.returns[:_MOST_NAMED]],
        "domain": r.domain[:_LONGEST_LINE],
        "level": r.level,
        "slots": r.slots or None,
        "at": None if r.at is None else timestamp(r.at),
    }
    return {"type": r.kind.value, "message": r.message[:4096], "now": r.now, **_present(optional)}
