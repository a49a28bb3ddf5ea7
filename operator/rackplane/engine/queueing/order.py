"""Who is asked next of those who wait: by priority, then by the shares of their queues, then by age, then by name.

Those of one queue that ask for the same are a line. Who is refused is refused for all behind it in its line, so that a
pass over the queue costs as much as there are lines, however many wait in them.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, Generic, TypeVar

from rackplane.engine.queueing.shares import Rank

__all__ = ["Line", "Order", "Place", "Turn"]

Member = TypeVar("Member", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Line:
    """A queue, and what those in the line ask for: any value that is equal for equal requests."""

    queue: str
    kind: Hashable
    #: counted once: lines are looked up far more often than made, and a kind is a large value
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.queue, self.kind)))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, slots=True)
class Place:
    """Where one stands by itself: higher priorities first, then the smaller `since`."""

    line: Line
    priority: int
    since: str | float


#: within a line: (-priority, since, member)
_Entry = tuple[int, Any, Any]
#: of the lines of a queue: (-priority, since, member, the line)
_Front = tuple[int, Any, Any, Line]
#: among those who may be next: (-priority, rank of the queue, since, member, where it came from)
_Head = tuple[int, Rank, Any, Any, int]


class Order(Generic[Member]):
    """Those who wait, by line; members need an order of their own, which decides last."""

    def __init__(self) -> None:
        self._places: dict[Member, Place] = {}
        self._lines: dict[Line, list[_Entry]] = {}
        #: per queue the first of each line, sorted
        self._fronts: dict[str, list[_Front]] = {}
        #: per queue and -priority a sorted list of (since, member): only these change places as shares change
        self._blocks: dict[str, dict[int, list[tuple[Any, Any]]]] = {}

    def put(self, member: Member, place: Place | None) -> bool:
        """Where the member stands now, None: it waits no more. Returns whether that is news."""
        old = self._places.get(member)
        if old == place:
            return False
        if old is not None:
            self._leave(member, old)
            del self._places[member]
        if place is not None:
            self._enter(member, place)
            self._places[member] = place
        return True

    def _enter(self, member: Member, place: Place) -> None:
        line, entry = place.line, (-place.priority, place.since, member)
        entries = self._lines.setdefault(line, [])
        before = entries[0] if entries else None
        insort(entries, entry)
        self._new_front(line, before)
        blocks = self._blocks.setdefault(line.queue, {})
        insort(blocks.setdefault(-place.priority, []), (place.since, member))

    def _leave(self, member: Member, place: Place) -> None:
        line = place.line
        entries = self._lines[line]
        before = entries[0]
        del entries[bisect_left(entries, (-place.priority, place.since, member))]
        self._new_front(line, before)
        if not entries:
            del self._lines[line]
        blocks = self._blocks[line.queue]
        block = blocks[-place.priority]
        del block[bisect_left(block, (place.since, member))]
        if not block:
            del blocks[-place.priority]
            if not blocks:
                del self._blocks[line.queue]

    def _new_front(self, line: Line, before: _Entry | None) -> None:
        """Another may be the first of its line than the one before."""
        entries = self._lines[line]
        now = entries[0] if entries else None
        if now == before:
            return
        fronts = self._fronts.setdefault(line.queue, [])
        if before is not None:
            del fronts[bisect_left(fronts, before)]
        if now is not None:
            insort(fronts, (*now, line))
        if not fronts:
            del self._fronts[line.queue]

    def get(self, member: Member) -> Place | None:
        """Where the member stands; None if it does not wait."""
        return self._places.get(member)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._places)

    def count(self, queue: str) -> int:
        """How many wait in the queue itself."""
        return sum(map(len, self._blocks.get(queue, {}).values()))

    def oldest(self, queue: str) -> Any | None:
        """The smallest `since` of those who wait in the queue itself."""
        return min((block[0][0] for block in self._blocks.get(queue, {}).values()), default=None)

    def has(self, line: Line) -> bool:
        """Whether anybody waits in the line."""
        return line in self._lines

    def queues(self) -> Iterable[str]:
        """Those in which anybody waits."""
        return self._blocks.keys()

    def line(self, line: Line) -> Iterator[Member]:
        """Those in a line, first come first."""
        return (entry[-1] for entry in self._lines.get(line, ()))

    def first(self, rank: Callable[[str], Rank], count: int | None = None) -> list[Member]:
        """The members in order, or the first so many, with the shares as they are now.

        What is sorted for that are the queues, by priority, and not those who wait in them.

        Args:
            rank: of a queue.
        """
        if count == 0:
            return []
        blocks = [
            ((minus, standing), block)
            for queue, of_queue in self._blocks.items()
            for standing in (rank(queue),)
            for minus, block in of_queue.items()
        ]
        blocks.sort(key=itemgetter(0))
        found: list[Member] = []
        for _, alike in groupby(blocks, key=itemgetter(0)):
            left = None if count is None else count - len(found)
            several = [block[:left] for _, block in alike]
            members = several[0] if len(several) == 1 else sorted(chain.from_iterable(several))
            found += [member for _, member in members[:left]]
            if count is not None and len(found) >= count:
                break
        return found

    def lines(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    def turn(self, rank: Callable[[str], Rank], among: Iterable[Line] | None = None) -> Turn[Member]:
        """One pass over the lines, all or those. Nobody may be put meanwhile."""
        lines = None if among is None else [line for line in among if line in self._lines]
        return Turn(self._lines, self._fronts, rank, lines)


class Turn(Generic[Member]):
    """One pass: :meth:`next` gives the first of those that have not been asked, by the shares as they are by then.

    Shares may grow during a pass, by those who are let go, and must not fall.
    """

    def __init__(
        self,
        lines: Mapping[Line, list[_Entry]],
        fronts: Mapping[str, list[_Front]],
        rank: Callable[[str], Rank],
        among: Iterable[Line] | None,
    ) -> None:
        """``among``: only these lines, and others as far as :meth:`next` is asked for them; None: all."""
        self._entries = lines
        self._fronts = fronts
        self._rank = rank
        self._lines: list[Line] = []
        self._waiting: list[list[_Entry]] = []
        self._position: list[int] = []
        self._entered: set[Line] = set()
        self._heap: list[_Head] = []
        self._at: int | None = None
        #: who was asked last, and by queue how many of its lines had their turn before shares grew last
        self._last: _Head | None = None
        self._passed: dict[str, int] = {}
        #: the first lines of each queue that have not entered: how far one has got, and a heap of them
        self._reached: dict[str, int] = {}
        self._others: list[tuple[int, Rank, Any, Any, str]] | None = None
        numbers = [self._number(line) for line in (lines if among is None else among)]
        ranks = {queue: rank(queue) for queue in dict.fromkeys(line.queue for line in self._lines)}
        self._heap = [self._head(number, ranks[self._lines[number].queue]) for number in numbers]
        heapq.heapify(self._heap)

    def _number(self, line: Line) -> int:
        """Let the line in, but not yet among those who may be next."""
        number = len(self._lines)
        self._entered.add(line)
        self._lines.append(line)
        self._waiting.append(self._entries[line])
        self._position.append(0)
        return number

    def _enter(self, line: Line) -> None:
        self._push(self._number(line))

    def next(
        self, *, others: bool = False, shut: Callable[[Line, Member], bool] | None = None
    ) -> tuple[Line, Member] | None:
        """Whom to ask now; None when all have been, or were passed over.

        Args:
            others: also of the lines that the pass is not over, if it is their turn.
            shut: whether a line is closed, by whom it would give next: it may be told so before its turn.
        """
        if self._at is not None:
            self._position[self._at] += 1
            self._push(self._at)
            self._at = None
        self._refresh(shut)
        if others:
            self._let_in()
        if not self._heap:
            return None
        head = self._last = heapq.heappop(self._heap)
        self._at = head[-1]
        return self._lines[head[-1]], head[-2]

    def _refresh(self, shut: Callable[[Line, Member], bool] | None) -> None:
        """Bring the first that is not shut to where its queue stands now, which may have got something since."""
        while self._heap:
            head = self._heap[0]
            line = self._lines[head[-1]]
            rank = self._rank(line.queue)
            if head[1] != rank:
                heapq.heapreplace(self._heap, (head[0], rank, *head[2:]))
            elif shut is not None and shut(line, head[-2]):
                heapq.heappop(self._heap)
            else:
                return

    def _let_in(self) -> None:
        """Let the first of the other lines enter, if it is before all that have."""
        if self._others is None:
            self._others = []
            for queue in self._fronts:
                self._reached[queue] = -1
                self._go_on(queue)
        while self._others:
            head = self._others[0]
            rank = self._rank(head[-1])
            if head[1] != rank:
                heapq.heapreplace(self._others, (head[0], rank, *head[2:]))
                continue
            line = self._fronts[head[-1]][self._reached[head[-1]]][-1]
            if line not in self._entered:
                if self._heap and self._heap[0][:4] < head[:4]:
                    return
                self._enter(line)
            heapq.heappop(self._others)
            self._go_on(head[-1])

    def _go_on(self, queue: str) -> None:
        """The next line of the queue that has not entered."""
        assert self._others is not None
        fronts, at = self._fronts[queue], self._reached[queue] + 1
        while at < len(fronts) and fronts[at][-1] in self._entered:
            at += 1
        self._reached[queue] = at
        if at < len(fronts):
            minus, since, member, _ = fronts[at]
            heapq.heappush(self._others, (minus, self._rank(queue), since, member, queue))

    def add(self, line: Line) -> None:
        """Let a line of those that the pass is not over enter; one that has entered is left alone."""
        if line not in self._entered:
            self._enter(line)

    def behind(self, queue: str) -> Iterator[Line]:
        """The lines of the queue that have not entered and whose turn is still to come, in order of their first."""
        fronts = self._fronts.get(queue, ())
        left = (fronts[i][-1] for i in range(self._past(queue), len(fronts)))
        return (line for line in left if line not in self._entered)

    def shares_grow(self, queues: Iterable[str]) -> None:
        """To be told before who was asked last is let go: whose turn has been by then is not `behind` any more.

        Args:
            queues: those that come later in the order for that.
        """
        self._passed.update((queue, self._past(queue)) for queue in queues)

    def _past(self, queue: str) -> int:
        """How many lines of the queue, entered or not, had their turn when the one who was asked last had its own."""
        before = self._passed.get(queue, 0)
        if self._last is None:
            return before
        minus, rank, since, member, _ = self._last
        own, fronts = self._rank(queue), self._fronts.get(queue, ())
        first = (minus, since, member) if own == rank else (minus + (own < rank),)
        return max(before, bisect_left(fronts, first))

    def close(self) -> None:
        """Who was asked last speaks for all behind it in its line."""
        self._at = None

    def rest(self) -> Iterator[Member]:
        """Those behind the one who was asked last, in its line."""
        assert self._at is not None
        entries = self._waiting[self._at]
        return (entry[-1] for entry in islice(entries, self._position[self._at] + 1, None))

    def _push(self, number: int) -> None:
        if self._position[number] < len(self._waiting[number]):
            heapq.heappush(self._heap, self._head(number, self._rank(self._lines[number].queue)))

    def _head(self, number: int, rank: Rank) -> _Head:
        minus, since, member = self._waiting[number][self._position[number]]
        return minus, rank, since, member, number
