"""The one owner of the `Machine`: events come in here and nowhere else, instructions go out."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from rackplane.controller.metrics import Metrics
from rackplane.core.events import Event, TimePassed
from rackplane.core.instructions import Instruction
from rackplane.core.measuring import Measurement

__all__ = ["ClockSetBack", "Listener", "Recorder", "Runtime"]

#: The most events in one call of the machine. The first list of a large cluster comes in several, so that probes
#: are answered in between.
_LARGEST_BATCH: Final = 5_000
#: The longest pause after a turn, in seconds: nobody notices it in the start of a job.
_LONGEST_PAUSE: Final = 0.05
#: The same where turns are longer, as a long queue makes them: so many times as long as the turn, and up to so many
#: seconds. Most of such a turn is looking again at those who wait, however little has happened since the one before.
_PAUSE_OF_TURN: Final = 2.0
_LONGEST_PAUSE_OF_TURN: Final = 0.2
#: The shortest that a turn counts for, in seconds, where the next one follows at once.
_SHORTEST_TURN: Final = 0.001


#: The wall clock may be set back by so many seconds: no deadline is put off by more.
_LONGEST_WAY_BACK: Final = 5.0


class ClockSetBack(RuntimeError):
    """The wall clock was set back so far that what was to be done by some time would be done too late.

    A new process works out its deadlines anew, from the times that the API server holds.
    """


class Decider(Protocol):
    """`rackplane.core.machine.Machine`, as far as running it goes."""

    def handle(self, now: float, *events: Event) -> list[Instruction]: ...


class Recorder(Protocol):
    """`rackplane.controller.recording.Recording`, as far as running it goes."""

    def told(self, now: float, events: Sequence[Event]) -> None: ...

    def asked(self, instructions: Sequence[Instruction]) -> None: ...

    def raised(self, error: Exception) -> None: ...


class Listener(Protocol):
    """`rackplane.controller.decisions.journal.Journal`, as far as running it goes."""

    def told(self, now: float, events: Sequence[Event]) -> None: ...


class Runtime:
    """Feeds a machine everything that happens, in batches, and submits what it asks for.

    The machine is synchronous and is only ever called from `run`, so it needs no lock.

    Args:
        machine: the state machine.
        submit: carries out an instruction; must not block.
        metrics: where decision times go.
        tick: seconds between `TimePassed` events.
        clock: seconds since the epoch.
        monotonic, sleep: for tests.
        measured: called after every batch: what the machine measured of its own doing.
    """

    def __init__(
        self,
        *,
        machine: Decider,
        submit: Callable[[Instruction], None],
        metrics: Metrics,
        tick: float = 1.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        measured: Callable[[], Iterable[Measurement]] = tuple,
    ) -> None:
        self._machine = machine
        self._submit = submit
        self._metrics = metrics
        self._tick = tick
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._measured = measured
        #: Keeps what the machine is told and asks for, so that it can be replayed; set before it runs.
        self.record: Recorder | None = None
        #: Hears what the machine is told, before it does; set before it runs.
        self.journal: Listener | None = None
        self._events: deque[Event] = deque()
        #: how far the wall clock is ahead of the monotonic one
        self._ahead = clock() - monotonic()
        self._wake = asyncio.Event()
        #: Monotonic seconds at which the machine last answered; stays behind if it hangs.
        self.last_turn = monotonic()

    def feed(self, *events: Event) -> None:
        """Queue events, in this order; only from the event loop's own thread."""
        self._events.extend(events)
        self._wake.set()

    async def run(self) -> None:
        """Handle events until cancelled.

        Whatever the machine raises ends this, and with it the process: its state can no longer be trusted, and a
        new process builds a new one from the API server.

        Raises:
            ClockSetBack: likewise.
        """
        due = self._monotonic() + self._tick
        pause = 0.0
        while True:
            passed = False
            if not self._events:
                pause = 0.0
                self._wake.clear()
                try:
                    async with asyncio.timeout(max(0.0, due - self._monotonic())):
                        await self._wake.wait()
                except TimeoutError:
                    # Timers fire up to their resolution early, and then no time might pass before the next.
                    passed = True
            if passed or self._monotonic() >= due:
                due = self._monotonic() + self._tick
                self._events.append(TimePassed())
            began = self._monotonic()
            self.turn()
            # At least half of the time is for the requests, the watches and the probes. What comes meanwhile shares the
            # next turn: a gang of 512 is looked at once for many of its pods, not once for each. So while news keeps
            # coming the pauses grow, and where little happens nothing waits.
            took = self._monotonic() - began
            longest = max(_LONGEST_PAUSE, min(_PAUSE_OF_TURN * took, _LONGEST_PAUSE_OF_TURN))
            pause = min(max(took, 2 * pause), longest)
            await self._sleep(pause)
            pause = max(pause, _SHORTEST_TURN)

    def turn(self) -> None:
        """Let the machine handle what is queued now, up to one batch."""
        batch = [self._events.popleft() for _ in range(min(len(self._events), _LARGEST_BATCH))]
        if not batch:
            return
        now = self._clock()
        before, self._ahead = self._ahead, now - self._monotonic()
        if before - self._ahead > _LONGEST_WAY_BACK:
            raise ClockSetBack(f"the clock was set back by {before - self._ahead:.0f} s: starting anew")
        if self.journal is not None:
            self.journal.told(now, batch)
        started = time.perf_counter()
        instructions = self._handle(now, batch)
        self._metrics.count_turn(len(batch), time.perf_counter() - started)
        self._metrics.measure(self._measured())
        self.last_turn = self._monotonic()
        for instruction in instructions:
            self._submit(instruction)

    def _handle(self, now: float, batch: list[Event]) -> list[Instruction]:
        if self.record is None:
            return self._machine.handle(now, *batch)
        self.record.told(now, batch)
        try:
            instructions = self._machine.handle(now, *batch)
        except Exception as error:
            self.record.raised(error)
            raise
        self.record.asked(instructions)
        return instructions
