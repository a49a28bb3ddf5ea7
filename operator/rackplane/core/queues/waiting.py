"""The gangs that wait for a place: who is asked next, what they were told last, and whose answer still holds.

Gangs of one queue and namespace that ask for the same are a line (`engine.queueing.order`): the answer to one is the
answer to all. A refusal holds until something is freed (`World.version`), and for every line that asks the engine the
same. So an event costs at most one question for each different request, and a look at each line.

Budgets that are to come, and places that are held, look at how long a gang runs. Of the times at which one begins the
`stage` of a refusal is the last that the refused gang would have outlasted: whoever outlasts it too is refused as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from rackplane.core.gangs.decisions import Key
from rackplane.core.gangs.record import GangRecord
from rackplane.engine.model import Refusal
from rackplane.engine.queueing.order import Line, Order, Place
from rackplane.engine.queueing.shares import Rank

__all__ = ["RESERVED", "Answer", "Kind", "Verdict", "Wait", "Waiting"]


RESERVED: Final = "Reserved"

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
    """By resource of the quotas, what they are to take; nothing if it is not quota that is lacking."""
    subject: Callable[[GangRecord], str] | None = None
    """What the sentence begins with, of each gang its own: the field that is to be changed."""

    @property
    def wants_place(self) -> bool:
        """It waits for room, and for nothing that only its queue or its user can give."""
        return self.foreseeable and (self.refusal is not None or self.reason == RESERVED)

    def words(self, record: GangRecord) -> str:
        """The message as the gang is told it."""
        return self.message if self.subject is None else f"{self.subject(record)}: {self.message}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a line was told at a version of what is free; it holds for who runs past that stage."""

    wait: Wait
    version: int
    stage: float

    def holds(self, until: float, version: int) -> bool:
        """Whether it is the answer to a gang with that expected end, at that version."""
        return self.version == version and self.stage < until


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
    #: refusals of the engine, by what was asked and the stage
    verdicts: dict[tuple[Hashable, float], Verdict] = field(default_factory=dict)
    #: when one that was passed over may be asked again, in seconds since the epoch
    due: float = math.inf
    #: the first of the queue, as they were told their positions last
    ahead: list[Key] = field(default_factory=list)
    #: those that have an estimate of their start
    estimated: dict[Key, None] = field(default_factory=dict)
    #: `Neighbours.revision` when everybody was looked at
    refusing_terms: int = 0
    _answers: dict[Line, dict[float, Answer]] = field(default_factory=dict)
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
        self._stale.update(dict.fromkeys(gangs))

    def refresh(self, place: Callable[[Key], Place | None]) -> None:
        """Look at what has changed.

        Args:
            place: of a gang; None if it does not wait.
        """
        for key in self._stale:
            new, old = place(key), self.order.get(key)
            if self.order.put(key, new):
                self._news = True
                if new is not None:
                    self._fresh[key] = None
                    if old is None or not self._same_answer(old.line, new.line):
                        self._unasked[new.line] = None
        self._stale.clear()

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

    def to_ask(self, version: int, now: float) -> list[Line] | None:
        """The lines that have to be asked, the others are refused as before; None: all."""
        if self._asked_at != version or now >= self.due:
            return None
        return list(self._unasked)

    def to_recount(self, placements: int, now: float, period: float) -> list[Line]:
        """The lines of the first of the queue, if others have been placed since they were told with what numbers."""
        if self._counted[0] == placements or now - self._counted[1] < period:
            return []
        self._counted = (placements, now)
        places = (self.order.get(key) for key in self.ahead)
        return list(dict.fromkeys(place.line for place in places if place is not None))

    def begin(self, version: int, *, whole: bool) -> None:
        """A pass begins, over all lines or not."""
        self._news = True
        self._unasked.clear()
        if whole:
            self.due = math.inf
            self._asked_at = version

    def refused(self, line: Line, until: float, version: int) -> Answer | None:
        """The answer that still holds for a gang of the line with that expected end; None: it is to be asked."""
        return next((a for a in self._answers.get(line, {}).values() if a.holds(until, version)), None)

    def is_refused(self, gang: Key, version: int) -> bool:
        """Whether the gang waits, and its line has been told so as things are now."""
        place = self.order.get(gang)
        return place is not None and any(
            a.version == version for a in self._answers.get(place.line, {}).values()
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
        return max(
            (a for a in known if a.stage < until), key=lambda a: a.stage, default=next(iter(known), None)
        )

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
        if len(self.verdicts) > 2 * self.order.lines() + 64:
            now = self._asked_at
            self.verdicts = {
                asked: verdict for asked, verdict in self.verdicts.items() if verdict.version == now
            }
