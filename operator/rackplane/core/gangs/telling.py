"""How many gangs are told at one time why they wait: words wait for one another, and no decision waits for words.

A Gang is written by one write at a time. While thousands come at once, those that are still to be told are a list here
and not a queue of writes, so that one that finds a place meanwhile is committed at once, and never told that it waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from rackplane.core.gangs.decisions import Key

__all__ = ["Telling"]


@dataclass(slots=True)
class Telling:
    _under_way: dict[Key, None] = field(default_factory=dict)
    #: who is to be told when others have been, in the order in which they asked
    _later: dict[Key, None] = field(default_factory=dict)

    def begin(self, gang: Key, most: int, *, at_once: bool) -> bool:
        """Whether it may be told now; if not, it is given its turn by `turn`.

        Args:
            most: so many are told at one time.
            at_once: it need not wait for others.
        """
        if not at_once and len(self._under_way) >= most:
            self._later[gang] = None
            return False
        self._later.pop(gang, None)
        return True

    def sent(self, gang: Key) -> None:
        """It is being told."""
        self._under_way[gang] = None

    def answered(self, gang: Key) -> None:
        """It has been told, or could not be."""
        self._under_way.pop(gang, None)

    def turn(self, most: int) -> Iterator[Key]:
        """Whom to look at again, as others have been told."""
        for gang in list(islice(self._later, max(0, most - len(self._under_way)))):
            del self._later[gang]
            yield gang

    def resign(self) -> None:
        """This process no longer leads."""
        self._under_way.clear()
        self._later.clear()
