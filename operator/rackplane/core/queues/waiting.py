"""The gangs that wait for a place: who is asked next, what they were told last, and whose answer still holds.

Gangs of one queue and namespace that ask for the same are a line (`engine.queueing.order`): the answer to one is the
answer to all. A refusal holds until something is freed (`World.version`), and for every line that asks the engine the
same. Then those lines are asked again that may start by what there is now (:mod:`core.queues.gates`); the others are
refused as before, and nobody looks at them. So an event costs as much as the requests that it could unblock.

Budgets that are to come, and places that are held, look at how long a gang runs. Of the times at which one begins the
`stage` of a refusal is the last that the refused gang would have outlasted: whoever outlasts it too is refused as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import field, replace
from typing import Final

from rackplane.core.gangs.decisions import Key
from rackplane.core.gangs.record import GangRecord
from rackplane.engine.model import Refusal
from rackplane.engine.nodes.inventory import Inventory
from rackplane.engine.physics.facility import Facility
from rackplane.engine.queueing.order import Line, Order, Place
from rackplane.engine.queueing.quotas import QuotaTree
from rackplane.engine.queueing.shares import Rank
from rackplane.engine.queueing.sizes import Bounds, Size, Sizes
from rackplane.engine.values import dataclass

__all__ = ["PREEMPTING", "RESERVED", "Answer", "Kind", "Left", "Verdict", "Wait", "Waiting", "request_key"]


RESERVED: Final = "Reserved"
PREEMPTING: Final = "Preempting"

_LASTING: Final = frozenset({"Waiting", "QueueNotFound", "InvalidRequest", "ResourceClaim"})

#: GPUs and watts that a queue may still take; None: any
Left = tuple[int | None, int | None]

_LOOKED_AT = 1_000
"""Of those further back so many at most are looked at in one period."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What those of a line ask for: the `Line.kind` of the queue's lines."""

    namespace: str
    alone: Key | None
    """A gang that is asked by itself: what it holds is seen to at each pass."""
    shape: Hashable
    cleared: bool = False
    """Others are stopped for it: what those who ask for the same are told is not its answer."""
    size: Size | None = field(default=None, compare=False)
    """What part of the shape tells how much it is; None: nothing does."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a line is not placed now. `misfit`: waiting alone will not help, somebody has to change something."""

    message: str
    reason: str = "Waiting"
    misfit: bool = False
    foreseeable: bool = False
    """It waits for watts, nodes or quota, which others will give back."""
    refusal: Refusal | None = None
    asks: tuple[tuple[str, int], ...] = ()
    """By resource, what quotas and budgets are to take; nothing if neither refuses it."""
    budget: str = ""
    """The PowerBudget on queues or namespaces that refuses it."""
    subject: Callable[[GangRecord], str] | None = None
    """What the sentence begins with, of each gang its own: the field that is to be changed."""

    @property
    def wants_place(self) -> bool:
        """It waits for room, and for nothing that only its queue or its user can give."""
        return self.foreseeable and (self.refusal is not None or self.reason == RESERVED)

    @property
    def lasts(self) -> bool:
        """It waits for nothing that others give back: only other rules, or another request, would let it start."""
        return self.reason in _LASTING

    def words(self, record: GangRecord) -> str:
        """The message as the gang is told it."""
        return self.message if self.subject is None else f"{self.subject(record)}: {self.message}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a line was told at a version of what is free; it holds for who runs past that stage."""

    wait: Wait
    version: int
    stage: float
    rules: int = 0
    """What `World.rules` was then: who waits for nothing that others give back is told the same until that changes."""

    def holds(self, until: float, version: int, rules: int) -> bool:
        """Whether it is the answer to a gang with that expected end, at that version and by those rules."""
        lasts = self.wait.lasts and self.rules == rules
        return (lasts or self.version == version) and self.stage < until


def request_key(shape: Hashable, used_up: frozenset[str] = frozenset()) -> Hashable:
    """What is asked of the engine by those of that shape, beside when it ends.

    Args:
        used_up: hardware profiles that the queue has no more of.
    """
    return shape, used_up


@dataclass(slots=True)
class Verdict:
    """The engine's refusal of a request, whoever asks."""

    version: int
    placements: int
    """What gangs held when its numbers were counted: who is placed since takes more, and frees nothing."""
    refusal: Refusal
    explained: float = -math.inf
    """When it was last asked what would help, in seconds since the epoch."""


@dataclass(slots=True)
class Waiting:
    """Who waits, by the last look at each gang; and whether there is anything to ask them."""

    order: Order[Key] = field(default_factory=Order)
    sizes: Sizes = field(default_factory=Sizes)
    bounds: Bounds = field(default_factory=Bounds)
    #: refusals of the engine, by what was asked and the stage
    verdicts: dict[tuple[Hashable, float], Verdict] = field(default_factory=dict)
    #: when one that was passed over may be asked again, in seconds since the epoch; and of single gangs
    due: float = math.inf
    later: dict[Key, float] = field(default_factory=dict)
    #: what was refused without asking what would help, and a gang that asked for it
    unexplained: dict[tuple[Hashable, float], Key] = field(default_factory=dict)
    #: when they were told that last, and the first of the queue new numbers, in seconds since the epoch
    renewed_at: float = math.inf
    #: the first of the queue, as they were told their positions last
    ahead: list[Key] = field(default_factory=list)
    #: those that have an estimate of their start
    estimated: dict[Key, None] = field(default_factory=dict)
    #: how many gangs have been asked so far
    asked: int = 0
    #: those for whom moves of others are proposed
    proposed: dict[Key, None] = field(default_factory=dict)
    #: by queue and what is asked of its quota: the quotas, what tells whether these are as they were, and why not
    over_quota: dict[tuple[str, tuple[tuple[str, int], ...]], tuple[QuotaTree, int, Wait | None]] = field(
        default_factory=dict
    )
    #: by queue what it may still take, of which quotas, and what tells whether these are as they were
    left: dict[str, tuple[QuotaTree, int, Left]] = field(default_factory=dict)
    #: by what is asked whether nodes may be too few for it if all were idle, and where that was found
    too_large: dict[Hashable, tuple[Facility, Inventory, bool]] = field(default_factory=dict)
    #: by queue and namespace why nobody of these gets anything, and of which `Catalog.revision` that was found
    barred: dict[tuple[str, str], Wait | None] = field(default_factory=dict)
    barred_at: int = -1
    #: `Neighbours.revision` when everybody was looked at
    refusing_terms: int = 0
    _answers: dict[Line, dict[float, Answer]] = field(default_factory=dict)
    _lines: dict[Line, Line] = field(default_factory=dict)
    _stale: dict[Key, None] = field(default_factory=dict)
    #: lines with somebody who has not been asked
    _unasked: dict[Line, None] = field(default_factory=dict)
    #: version at which all lines were asked
    _asked_at: int = -1
    #: those who came since positions were told last
    _fresh: dict[Key, None] = field(default_factory=dict)
    _news: bool = True
    #: positions and reasons of those further back differ from what they were told, or may
    _behind: bool = False
    _round: Iterator[tuple[int, Key]] = field(default_factory=lambda: iter(()))
    _round_at: float = -math.inf
    _renewed_at: float = -math.inf
    #: what gangs held, and when, as the numbers of the first were counted last
    _counted: tuple[int, float] = (-1, -math.inf)

    # -- who waits ---------------------------------------------------------------------------------

    def look(self, gangs: Iterable[Key]) -> None:
        """Something about these has changed, which may have a say in whether or where they wait."""
        for key in gangs:
            self._stale[key] = None

    def refresh(self, place: Callable[[Key], Place | None]) -> None:
        """Look at what has changed.

        Args:
            place: of a gang; None if it does not wait.
        """
        for key in self._stale:
            new, old = self._as_known(place(key)), self.order.get(key)
            if self.order.put(key, new):
                self._news = True
                self._follow(old, new)
                if new is not None:
                    self._fresh[key] = None
                    if old is None or not self._same_answer(old.line, new.line):
                        self._unasked[new.line] = None
        self._stale.clear()

    def _as_known(self, place: Place | None) -> Place | None:
        """The place with the line by which it is known: equal ones that are one are told apart at a glance."""
        if place is None:
            return None
        line = self._lines.setdefault(place.line, place.line)
        return place if line is place.line else Place(line, place.priority, place.since)

    def _follow(self, old: Place | None, new: Place | None) -> None:
        """Bring the sizes in line with the lines that there are."""
        if old is not None and (new is None or new.line != old.line) and not self.order.has(old.line):
            self.sizes.drop(old.line)
        if new is not None:
            size = new.line.kind.size if isinstance(new.line.kind, Kind) else None
            self.sizes.put(new.line, size)

    def _same_answer(self, old: Line, new: Line) -> bool:
        """Whether one that changes its line, because it holds a place or does no more, has its answer already."""
        mine, other = old.kind, new.kind
        alike = (
            isinstance(mine, Kind)
            and isinstance(other, Kind)
            and replace(mine, alone=None) == replace(other, alone=None)
        )
        if old.queue != new.queue or not alike or old not in self._answers:
            return False
        self._answers.setdefault(new, dict(self._answers[old]))
        return True

    def ask_again(self, gang: Key) -> None:
        """Take back what the gang's line was told, and why: it is asked as if it were new."""
        place = self.order.get(gang)
        if place is not None:
            self._answers.pop(place.line, None)
            self._unasked[place.line] = None
            self.verdicts.clear()

    def waits(self, gang: Key) -> bool:
        """Whether it waits, by the last look."""
        return self.order.get(gang) is not None

    # -- one pass ----------------------------------------------------------------------------------

    def to_ask(self, version: int, now: float) -> bool | None:
        """Whether to ask all who may start now, or, False, those who are new; None: nobody."""
        if self._asked_at != version or now >= self.due:
            return True
        return False if self._unasked else None

    def ask_at(self, gang: Key, when: float) -> None:
        """It is asked then, though nothing may have changed."""
        if when < math.inf:
            self.later[gang] = when
            self.due = min(self.due, when)

    def verdict(self, line: Line, answer: Answer) -> Verdict | None:
        """The engine's refusal behind the answer, as it was counted last; None if it waits for something else."""
        if answer.wait.refusal is None or not isinstance(line.kind, Kind):
            return None
        return self.verdicts.get((request_key(line.kind.shape), answer.stage))

    def to_recount(self, placements: int, now: float, period: float) -> list[Key]:
        """The first of each line among the first of the queue, if others have been placed since they were told."""
        if self._counted[0] == placements or now - self._counted[1] < period:
            return []
        self._counted = (placements, now)
        firsts: dict[Line, Key] = {}
        for gang in self.ahead:
            place = self.order.get(gang)
            if place is not None:
                firsts.setdefault(place.line, gang)
        return list(firsts.values())

    def begin(self, version: int, now: float, *, whole: bool) -> tuple[list[Line], bool]:
        """A pass begins, over all who may start or over those who are new.

        Returns:
            The lines that are asked in any case, and whether anything may have been freed since the last such pass.
        """
        self._news = True
        lines, moved = list(self._unasked), whole and self._asked_at != version
        self._unasked.clear()
        if whole:
            self.due, self._asked_at = math.inf, version
            times, self.later = self.later, {}
            for gang, when in times.items():
                place = self.order.get(gang)
                if place is not None and when > now:
                    self.ask_at(gang, when)
                elif place is not None:
                    lines.append(place.line)
        return lines, moved

    def refused(self, line: Line, until: float, version: int, rules: int) -> Answer | None:
        """The answer that still holds for a gang of the line with that expected end; None: it is to be asked."""
        for answer in self._answers.get(line, {}).values():
            if answer.holds(until, version, rules):
                return answer
        return None

    def has_answer(self, line: Line, version: int) -> bool:
        """Whether there is one that may hold for a gang of the line still."""
        known = self._answers.get(line)
        return known is not None and any(a.version == version or a.wait.lasts for a in known.values())

    def is_refused(self, gang: Key, version: int) -> bool:
        """Whether the gang waits, and would be refused as things are now."""
        place = self.order.get(gang)
        return (
            place is not None
            and self._asked_at == version
            and place.line in self._answers
            and place.line not in self._unasked
        )

    def refuse(self, line: Line, answer: Answer) -> None:
        """All of the line that run past that stage wait."""
        known = self._answers.setdefault(line, {})
        for stage in [s for s, old in known.items() if old.version != answer.version]:
            del known[stage]
        known[answer.stage] = answer

    def answer(self, line: Line, until: float) -> Answer | None:
        """The last answer to a gang of the line with that expected end."""
        known = self._answers.get(line, {}).values()
        if len(known) == 1:
            return next(iter(known))
        return max(
            (a for a in known if a.stage < until), key=lambda a: a.stage, default=next(iter(known), None)
        )

    def renew(self, line: Line, answer: Answer) -> bool:
        """The same answer in other words; whether they are others."""
        known = self._answers.get(line, {})
        if known.get(answer.stage) == answer:
            return False
        known[answer.stage] = answer
        self._news = True
        return True

    # -- what they are told ------------------------------------------------------------------------

    def told(self, rank: Callable[[str], Rank], first: int) -> Iterator[tuple[Key, int | None]]:
        """Whom to tell at once of where they stand, if anything has changed: the first of the queue, and who is new.

        With each its position; None: it is not known yet.
        """
        if not self._news:
            return
        self._news, self._behind = False, True
        self.ahead = self.order.first(rank, first)
        yield from ((key, position) for position, key in enumerate(self.ahead, start=1))
        front, fresh, self._fresh = set(self.ahead), self._fresh, {}
        yield from ((key, None) for key in fresh if key not in front and self.order.get(key) is not None)

    def renewals(
        self, rank: Callable[[str], Rank], now: float, *, first: int, pause: float, period: float
    ) -> Iterator[tuple[Key, int]]:
        """Those behind the first, in turns: who is to be told next where it stands, if that has changed.

        That each event moves all of them is no reason to write ten thousand objects.

        Args:
            pause: seconds from one round over all of them to the next, at least.
            period: seconds from one call that gives any to the next, at least.
        """
        if now - self._renewed_at < period:
            return
        self._renewed_at = now
        for _ in range(_LOOKED_AT):
            found = next(self._round, None)
            if found is None:
                if not self._behind or now - self._round_at < pause:
                    return
                self._behind, self._round_at = False, now
                self._round = iter(list(enumerate(self.order.first(rank), start=1))[first:])
            elif self.order.get(found[1]) is not None:
                yield found[1], found[0]

    def prune(self) -> None:
        """Forget answers to lines in which nobody waits, and old refusals, once they are many."""
        if len(self._answers) > 2 * self.order.lines() + 64:
            self._answers = {
                line: known for line, known in self._answers.items() if any(self.order.line(line))
            }
        if len(self._lines) > 2 * self.order.lines() + 64:
            self._lines = {line: line for line in self._lines if self.order.has(line)}
        if len(self.over_quota) > 2 * self.order.lines() + 64:
            self.over_quota.clear()
        if len(self.too_large) > 2 * self.order.lines() + 64:
            self.too_large.clear()
        if len(self.verdicts) > 2 * self.order.lines() + 64:
            told = {id(a.wait.refusal) for known in self._answers.values() for a in known.values()}
            self.verdicts = {
                asked: verdict for asked, verdict in self.verdicts.items() if id(verdict.refusal) in told
            }
