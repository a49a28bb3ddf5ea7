"""A test that goes on from each write as if the operator had been killed there, without beginning anew each time.

At each write that is wanted the process is copied (`os.fork`): in the copy the operator is killed and the test goes on
to its end; in the original it goes on undisturbed. What comes before a write is so run once for all of them. After one
write and before the next a successor often finds the same: that is one kill and not two.
"""

from __future__ import annotations

import gc
import os
import signal
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from tests.support.thorough import THOROUGH

__all__ = ["Branching", "Kill", "Restarting", "killed_at"]

EVERY: Final = 1 if THOROUGH else 4
"""Of so many kills one is tried."""

Kill = Callable[[int, str], bool]
"""What a `Harness` asks at each write: its number (from 1), and "before" or "after"."""


class Restarting(Protocol):
    """What counts how often the operator was started anew: a `Harness`."""

    @property
    def restarts(self) -> int: ...


def killed_at(wanted: Kill, run: Callable[[Kill], Restarting]) -> int:
    """Run undisturbed, and to the end from each wanted write on at which the operator is killed.

    Args:
        wanted: at which writes.
        run: the whole test, on a harness that is made with the kill it gets.

    Returns: at how many writes it could be killed, those not counted where a successor finds what it found at the one
        before. It is at every fourth of them, and at all with `make thorough`.

    Raises:
        AssertionError: of the run, or of one that was killed; it names the write.
    """
    kill = Branching(wanted)
    try:
        restarts = run(kill).restarts
        assert restarts == int(kill.is_copy), f"the operator started anew {restarts} times"
    except BaseException:
        if kill.is_copy:
            kill.end(traceback.format_exc())
        raise
    if kill.is_copy:
        kill.end("")
    return kill.count


class Branching:
    """The `Kill` of `killed_at`.

    Attributes:
        found: all that a successor would start from, set by the harness; kills at equal values are one.
    """

    def __init__(self, wanted: Kill) -> None:
        self.found: Callable[[], object] | None = None
        self._wanted = wanted
        self._last: object = None
        self._answer = -1
        self.is_copy = False
        self.count = 0

    def __call__(self, number: int, moment: str) -> bool:
        if self.is_copy or not self._wanted(number, moment):
            return False
        if self.found is not None:
            last, self._last = self._last, self.found()
            if last == self._last:
                return False
        self.count += 1
        if self.count % EVERY:
            return False
        reading, self._answer = os.pipe()
        with warnings.catch_warnings():
            # The threads of pytest-xdist are not needed in the copy.
            warnings.simplefilter("ignore", DeprecationWarning)
            copy = os.fork()
        if not copy:
            self.is_copy = True
            # It would look at all there is, and so copy it; and the copy is soon over.
            gc.disable()
            return True
        os.close(self._answer)
        try:
            with os.fdopen(reading, encoding="utf-8") as answer:
                problem = answer.read()
        finally:
            with suppress(ProcessLookupError):
                os.kill(copy, signal.SIGKILL)
            _, status = os.waitpid(copy, 0)
        if problem != "ok":
            raise AssertionError(f"killed {moment} write {number}: {problem or f'it died: {status}'}")
        return False

    def end(self, problem: str) -> None:
        """The copy says how it went, and is no more."""
        with os.fdopen(self._answer, "w", encoding="utf-8") as answer:
            answer.write(problem or "ok")
        os._exit(0)
