"""Quota of a tree of queues: nominal, borrowed and lent, by resource, kept up to date as gangs come and go.

A resource is "gpus", "watts", or the GPUs on nodes of one hardware profile; each is counted on its own:

- A queue's quota N is its own figure or, without one, the sum of its children's; without those either it has none, and
  where no queue of a tree has a figure nothing is bounded.
- A queue without a parent holds at most N. One with a parent holds at most N plus its borrowing limit (no limit: any
  amount), within what the queues above it may hold.
- What a queue lends at most is bounded by its lending limit: the rest of its quota, `kept`, counts as used to everybody
  above it, whether it uses it or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count as numbers

from rackplane.engine.model import InvariantViolation

__all__ = [
    "GPUS",
    "WATTS",
    "Amounts",
    "Change",
    "Limit",
    "QueueSpec",
    "QuotaTree",
    "Shortfall",
    "amounts_of",
    "profile_of",
    "profile_resource",
]

GPUS = "gpus"
WATTS = "watts"
_PROFILE = "gpus/"

#: by resource
Amounts = Mapping[str, int]
#: what a queue's gangs hold more, and how many times
Change = tuple[str, Amounts, int]


def amounts_of(gpus: int, watts: int = 0, profiles: Mapping[str, int] | None = None) -> dict[str, int]:
    """What one gang holds: GPUs, nominal watts over idle, and the GPUs by hardware profile."""
    found = {GPUS: gpus, WATTS: watts}
    for name, count in (profiles or {}).items():
        found[profile_resource(name)] = count
    return {resource: amount for resource, amount in found.items() if amount}


def profile_of(resource: str) -> str | None:
    """The hardware profile whose GPUs the resource counts; None if it is another resource."""
    return resource.removeprefix(_PROFILE) if resource.startswith(_PROFILE) else None


def profile_resource(name: str) -> str:
    """The resource that counts the GPUs on nodes of a hardware profile."""
    return _PROFILE + name


@dataclass(frozen=True, slots=True)
class Limit:
    """A queue's figures for one resource."""

    nominal: int | None = None
    """None: the sum of its children's, or none of its own."""
    borrowing: int | None = None
    """None: as much as the queues above it allow."""
    lending: int | None = None
    """None: all of it."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue as quotas and shares take it."""

    name: str
    parent: str | None = None
    """A name that no queue has counts as None: the caller refuses gangs of such a queue."""
    limits: Mapping[str, Limit] = field(default_factory=dict)
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Which queue lacks how much of what."""

    resource: str
    queue: str
    """Of the path from the gang's queue upwards, the nearest that does not take it."""
    asked: int
    used: int
    """What the gangs of that queue and of those below it hold."""
    nominal: int
    may_borrow: int
    """How much above its quota it may hold at most; 0 also if it has nobody above it."""
    left: int
    """What it could still take from this gang."""
    kept: int
    """How much less that is because queues below it keep what they do not lend."""
    own: str
    """The gang's queue."""
    own_nominal: int | None
    """That queue's own quota; None if it has none."""
    own_left: int
    """What is left of that."""

    @property
    def missing(self) -> int:
        """By how much too little is left."""
        return self.asked - self.left


class _Queue:
    """One queue of the tree, by resource; what a resource has no entry for is 0, or no bound."""

    __slots__ = ("bound", "charged", "keeps", "kept", "nominal", "parent", "path", "spec", "stamp", "used")

    def __init__(self, spec: QueueSpec) -> None:
        self.spec = spec
        self.parent: _Queue | None = None
        #: itself and those above it, nearest first
        self.path: tuple[_Queue, ...] = (self,)
        self.nominal: dict[str, int] = {}
        #: the most it may hold
        self.bound: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        #: whether it or any queue below it keeps something
        self.keeps = False
        self.used: dict[str, int] = {}
        #: what it has used and what queues below it keep
        self.charged: dict[str, int] = {}
        #: what it and those below it have used goes by this number; no other state of theirs has it
        self.stamp = 0

    def left(self, resource: str, kept_below: int) -> int:
        """What it may still take of a gang of a queue below it, for which queues on the way keep ``kept_below`` unused.

        That much is charged here already; the gang's queue uses what was kept for it.
        """
        bound = self.bound[resource]
        uncharged = max(0, bound - self.charged.get(resource, 0))
        return max(0, min(bound - self.used.get(resource, 0), kept_below + uncharged))

    def kept_unused(self, resource: str) -> int:
        kept = self.kept.get(resource, 0)
        return kept and max(0, kept - self.charged.get(resource, 0))

    def borrowed(self, resource: str) -> int:
        """What it holds above its quota."""
        if self.parent is None or resource not in self.path[-1].nominal:
            return 0
        return max(0, self.used.get(resource, 0) - self.nominal.get(resource, 0))


class QuotaTree:
    """Quotas of queues and what is held of them. A change costs the depth of the tree.

    A gang may be in a queue that is not known: it counts there, where nothing is bounded.
    """

    def __init__(self, queues: Iterable[QueueSpec] = ()) -> None:
        self._specs = tuple(queues)
        self._queues = {spec.name: _Queue(spec) for spec in self._specs}
        self._order: list[_Queue] = []
        self._stamps = numbers(1)
        self._build()

    def _build(self) -> None:
        """Parents, then from the leaves up what each has, and what is charged while nobody uses anything."""
        children: dict[str, list[_Queue]] = {name: [] for name in self._queues}
        # by name: which link of a circle is left out must not depend on the order in which queues are read
        for _, queue in sorted(self._queues.items()):
            above = queue.spec.parent
            if above is not None and above in self._queues and not self._closes_a_circle(queue):
                queue.parent = self._queues[above]
                children[above].append(queue)
        roots = [queue for queue in self._queues.values() if queue.parent is None]
        for queue in roots:
            self._order.append(queue)
            self._order[len(self._order) :] = _below(queue, children)
        for queue in self._order:
            if queue.parent is not None:
                queue.path = (queue, *queue.parent.path)
        for queue in reversed(self._order):
            self._settle(queue, children[queue.spec.name])

    def _closes_a_circle(self, queue: _Queue) -> bool:
        """Whether its parent's way up, as far as it is linked, comes back to the queue: that link is left out."""
        above: _Queue | None = self._queues[queue.spec.parent or ""]
        while above is not None:
            if above is queue:
                return True
            above = above.parent
        return False

    def _settle(self, queue: _Queue, children: list[_Queue]) -> None:
        resources = dict.fromkeys(queue.spec.limits)
        for child in children:
            queue.keeps = queue.keeps or child.keeps
            resources.update(dict.fromkeys([*child.nominal, *child.kept, *child.charged]))
        for resource in resources:
            limit = queue.spec.limits.get(resource, Limit())
            figures = [child.nominal[resource] for child in children if resource in child.nominal]
            nominal = limit.nominal if limit.nominal is not None else sum(figures) if figures else None
            if nominal is not None:
                queue.nominal[resource] = nominal
            if queue.parent is None:
                if nominal is not None:
                    queue.bound[resource] = nominal
            elif limit.borrowing is not None:
                queue.bound[resource] = (nominal or 0) + limit.borrowing
            if nominal is not None and limit.lending is not None and limit.lending < nominal:
                queue.kept[resource] = nominal - limit.lending
                queue.keeps = True
            charged = sum(max(c.charged.get(resource, 0), c.kept.get(resource, 0)) for c in children)
            if charged:
                queue.charged[resource] = charged

    # -- what is held ------------------------------------------------------------------------------

    def add(self, queue: str, amounts: Amounts, times: int = 1) -> None:
        """A gang of the queue holds these; with ``times`` -1 it does no more."""
        found = self._queues.get(queue)
        if found is None:
            found = self._queues[queue] = _Queue(QueueSpec(queue))
            self._order.append(found)
        path = found.path
        path[-1].stamp = next(self._stamps)
        for resource, amount in amounts.items():
            whole = change = amount * times
            for level in path:
                used, charged, kept = level.used, level.charged, level.kept.get(resource, 0)
                used[resource] = used.get(resource, 0) + whole
                before = charged.get(resource, 0)
                after = charged[resource] = before + change
                if before < kept or after < kept:
                    change = max(after, kept) - max(before, kept)

    def remove(self, queue: str, amounts: Amounts) -> None:
        """The gang does not hold them any more."""
        self.add(queue, amounts, -1)

    @contextmanager
    def changed(self, changes: Iterable[Change]) -> Iterator[None]:
        """As if these had been added, each so many times, for as long as the block lasts.

        What one queue gives back in many parts counts as given back at once: only the sums matter.
        """
        made = list(changes)
        roots = {found.path[-1] for queue, _, _ in made if (found := self._queues.get(queue)) is not None}
        stamps = [(root, root.stamp) for root in roots]
        for queue, amounts, times in made:
            self.add(queue, amounts, times)
        try:
            yield
        finally:
            for queue, amounts, times in reversed(made):
                self.add(queue, amounts, -times)
            for root, stamp in stamps:
                root.stamp = stamp

    def used(self, queue: str) -> Amounts:
        """What the gangs of the queue and of those below it hold."""
        found = self._queues.get(queue)
        return {} if found is None else {resource: n for resource, n in found.used.items() if n}

    # -- questions ---------------------------------------------------------------------------------

    def check_beside(self, queue: str, amounts: Amounts, changes: Iterable[Change]) -> Shortfall | None:
        """As :meth:`check` says meanwhile such a change (:meth:`changed`)."""
        found = self._queues.get(queue)
        if found is None:
            return None
        root = found.path[-1]
        if root.keeps:
            with self.changed(changes):
                return self.check(queue, amounts)
        # Where nobody keeps what it does not lend, only what is held on the way up has a say.
        asked = [
            (r, n) for r, n in amounts.items() if n > 0 and any(r in level.bound for level in found.path)
        ]
        if not asked:
            return None
        more = [(level, {resource: 0 for resource, _ in asked}) for level in reversed(found.path)]
        for name, given, times in changes:
            other = self._queues.get(name)
            if other is None or other.path[-1] is not root:
                continue
            for theirs, (level, sums) in zip(reversed(other.path), more, strict=False):
                if theirs is not level:
                    break
                for resource in sums:
                    sums[resource] += given.get(resource, 0) * times
        more.reverse()
        for resource, amount in asked:
            for level, sums in more:
                if resource in level.bound:
                    used = level.used.get(resource, 0) + sums[resource]
                    left = max(0, level.bound[resource] - used)
                    if amount > left:
                        own = found.used.get(resource, 0) + more[0][1][resource]
                        return _shortfall(found, level, resource, amount, left, used, own)
        return None

    def check(self, queue: str, amounts: Amounts) -> Shortfall | None:
        """Whether the queue may take a gang that holds these: None, or the first queue upwards that may not."""
        found = self._queues.get(queue)
        if found is None:
            return None
        for resource, amount in amounts.items():
            kept_below = 0
            for level in found.path:
                if resource in level.bound and amount > 0:
                    left = level.left(resource, kept_below)
                    if amount > left:
                        used, own = level.used.get(resource, 0), found.used.get(resource, 0)
                        return _shortfall(found, level, resource, amount, left, used, own)
                kept_below += level.kept_unused(resource)
        return None

    def left(self, queue: str, resource: str) -> int | None:
        """The most of one resource that the queue may take now; None if nothing bounds it."""
        return min((left for _, left in self.rooms(queue, resource)), default=None)

    def rooms(self, queue: str, resource: str) -> list[tuple[str, int]]:
        """The queue and those above it that are bounded, nearest first, and the most that each may take for it."""
        found = self._queues.get(queue)
        rooms, kept_below = [], 0
        for level in () if found is None else found.path:
            if resource in level.bound:
                rooms.append((level.spec.name, level.left(resource, kept_below)))
            kept_below += level.kept_unused(resource)
        return rooms

    def borrowed(self, queue: str) -> Amounts:
        """What the queue, with those below it, holds above its quota, of what is bounded in its tree."""
        found = self._queues.get(queue)
        if found is None:
            return {}
        return {resource: n for resource in found.used if (n := found.borrowed(resource))}

    def nominal(self, queue: str, resource: str) -> int | None:
        """The queue's quota: its own figure, or the sum of those below it; None if there is none."""
        found = self._queues.get(queue)
        return None if found is None else found.nominal.get(resource)

    def stamp(self, queue: str) -> int:
        """Another number whenever what the queue may take may be another, by what anybody of its tree holds."""
        found = self._queues.get(queue)
        return 0 if found is None else found.path[-1].stamp

    def takes_all(self, queue: str) -> bool:
        """Whether nothing bounds the queue, nor any above it, whatever anybody holds: `check` finds nothing."""
        found = self._queues.get(queue)
        return found is None or not any(level.bound for level in found.path)

    def bounded(self, queue: str) -> list[str]:
        """Resources for which some queue of the queue's tree has a figure."""
        found = self._queues.get(queue)
        return [] if found is None else sorted(found.path[-1].nominal)

    def is_bounded(self, queue: str) -> bool:
        """Whether there is any such resource."""
        found = self._queues.get(queue)
        return found is not None and bool(found.path[-1].nominal)

    def path(self, queue: str) -> list[str]:
        """The queue and those above it, nearest first; an unknown one alone."""
        found = self._queues.get(queue)
        return [queue] if found is None else [level.spec.name for level in found.path]

    def root(self, queue: str) -> str:
        """The last of its `path`: of two queues with different ones neither has any say in what the other may take."""
        found = self._queues.get(queue)
        return queue if found is None else found.path[-1].spec.name

    def __iter__(self) -> Iterator[QueueSpec]:
        """All queues, each after its parent."""
        return (queue.spec for queue in self._order)

    # -- check -------------------------------------------------------------------------------------

    def validate(self, held: Iterable[tuple[str, Amounts]]) -> None:
        """Compare with a new count of what gangs hold.

        Raises:
            InvariantViolation: a figure differs.
        """
        fresh = QuotaTree(self._specs)
        for name, amounts in held:
            fresh.add(name, amounts)
        for name, queue in self._queues.items():
            other = fresh._queues.get(name) or _Queue(queue.spec)
            for mine, theirs, what in (
                (queue.used, other.used, "held"),
                (queue.charged, other.charged, "charged"),
            ):
                if _positive(mine) != _positive(theirs):
                    raise InvariantViolation(f"queue {name}: {what} {mine}, by a new count {theirs}")


def _shortfall(
    own: _Queue, level: _Queue, resource: str, asked: int, left: int, used: int, own_used: int
) -> Shortfall:
    nominal, mine = level.nominal.get(resource, 0), own.nominal.get(resource)
    return Shortfall(
        resource=resource,
        queue=level.spec.name,
        asked=asked,
        used=used,
        nominal=nominal,
        may_borrow=level.bound[resource] - nominal,
        left=left,
        kept=max(0, level.bound[resource] - used) - left,
        own=own.spec.name,
        own_nominal=mine,
        own_left=0 if mine is None else max(0, mine - own_used),
    )


def _positive(amounts: Amounts) -> dict[str, int]:
    return {resource: n for resource, n in amounts.items() if n}


def _below(queue: _Queue, children: Mapping[str, list[_Queue]]) -> Iterator[_Queue]:
    todo = list(children[queue.spec.name])
    while todo:
        found = todo.pop(0)
        yield found
        todo.extend(children[found.spec.name])
