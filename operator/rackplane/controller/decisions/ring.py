"""The last decisions, with what they were made from; old ones make room for new ones.

What a decision was made from is kept as the values that the core and the engine have made anyway, which nobody changes.
They become JSON when somebody asks: a pass over the queue pays for a few references alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rackplane.core.objects import GangSpec
from rackplane.core.queues.waiting import Wait
from rackplane.engine.model import Placement

__all__ = ["Entry", "Ring", "Step"]

#: Bytes of an entry without what is of different length in it, and of its parts: close to what they take in memory.
_ENTRY: Final = 1_200
_STEP: Final = 220
_NAME: Final = 60
#: Steps of one decision that are kept: the first, and the last.
_STEPS: Final = 24


@dataclass(slots=True)
class Step:
    """Something that followed from a decision, or several of the same kind in a row."""

    what: str
    at: float
    reason: str = ""
    message: str = ""
    count: int = 1
    last: float = 0.0


@dataclass(slots=True)
class Entry:
    """One decision. Times in seconds since the epoch."""

    id: str
    at: float
    gang: str
    queue: str
    result: str
    message: str = ""
    #: how long it took, in seconds; None: it was not measured
    seconds: float | None = None
    #: what was asked for
    spec: GangSpec | None = None
    placement: Placement | None = None
    #: of one that is known by its write alone: what that says
    status: Mapping[str, Any] | None = None
    #: why the gang waits, and what all who wait for the same have in common
    wait: Wait | None = None
    line: Hashable = None
    #: by rack of the placement, the watts that it may still draw after the pass
    headroom: Mapping[str, int] | None = None
    #: the same answer so many times, the last time then
    count: int = 1
    last: float = 0.0
    steps: list[Step] = field(default_factory=list)
    more: Mapping[str, Any] = field(default_factory=dict)

    def size(self) -> int:
        """About how many bytes it takes."""
        names = 0 if self.placement is None else len(self.placement.slots) + 2 * len(self.placement.groups)
        if self.status is not None:
            names += sum(len(group["nodes"]) + 2 for group in self.status.get("assignment") or ())
        refusal = None if self.wait is None else self.wait.refusal
        words = len(self.message) + sum(len(step.message) for step in self.steps)
        if refusal is not None:
            words += len(refusal.message) + sum(
                len(r.message) + _NAME * len(r.gangs) for r in refusal.reliefs
            )
        return _ENTRY + _NAME * names + words + _STEP * len(self.steps)


class Ring:
    """Bounded by count and by bytes.

    Args:
        entries: so many at most.
        size: about so many bytes at most.
    """

    def __init__(self, *, entries: int, size: int) -> None:
        self._most, self._largest = entries, size
        self._entries: OrderedDict[Hashable, tuple[Entry, int]] = OrderedDict()
        self.bytes = 0
        #: entries that have made room for others
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: Hashable, entry: Entry) -> None:
        """Keep it as the newest; what was kept under the key goes."""
        self._take(key)
        size = entry.size()
        self._entries[key] = entry, size
        self.bytes += size
        while len(self._entries) > self._most or (self.bytes > self._largest and len(self._entries) > 1):
            self._take(next(iter(self._entries)))
            self.dropped += 1

    def get(self, key: Hashable) -> Entry | None:
        found = self._entries.get(key)
        return None if found is None else found[0]

    def again(self, key: Hashable, now: float, **changes: Any) -> bool:
        """The same answer once more, with its figures as they are now; False if none is kept under the key."""
        found = self._entries.get(key)
        if found is None:
            return False
        entry = found[0]
        entry.count, entry.last = entry.count + 1, now
        for name, value in changes.items():
            setattr(entry, name, value)
        self._entries.move_to_end(key)
        return True

    def step(self, key: Hashable, step: Step, make: Callable[[], Entry]) -> None:
        """Something followed from the decision under that key; `make`: what is kept of it if it is not known."""
        if key not in self._entries:
            self.put(key, make())
        entry, size = self._entries[key]
        last = entry.steps[-1] if entry.steps else None
        if last is not None and (last.what, last.reason, last.message) == (
            step.what,
            step.reason,
            step.message,
        ):
            last.count, last.last = last.count + step.count, step.at
            return
        if len(entry.steps) >= _STEPS:
            del entry.steps[_STEPS // 2]
        entry.steps.append(step)
        now = entry.size()
        self._entries[key] = entry, now
        self.bytes += now - size

    def newest(self) -> Iterator[Entry]:
        """From the newest on."""
        return (entry for entry, _ in reversed(self._entries.values()))

    def _take(self, key: Hashable) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self.bytes -= found[1]
