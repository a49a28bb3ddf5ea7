"""An event loop on which sleeping takes no time.

`run` works like `asyncio.run`, on a loop whose clock stands still while anything is left to do and then leaps to the
next timer. `asyncio.sleep`, `asyncio.timeout`, `loop.call_later` and aiohttp's timeouts all follow it, so a test of
hours takes milliseconds and passes the same way every time.

What is started with ``replayable`` passes the same way in another process too, with the same PYTHONHASHSEED: tasks come
in the order in which they were made where a set holds them (a `TaskGroup` that is left, `asyncio.wait`), not in that of
their addresses; and what would go to a thread is done at once.

Sockets of this process work too: what is sent over loopback can be read at once, so the clock leaps only when nothing
is on its way, nor in one of the loop's own threads. Other processes have no part in this time; a test that waits for
one must not use this loop.
(looptime, the kept library for this, patches the loop of every test and leaves one open under our pytest-asyncio.)
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

__all__ = ["Stuck", "VirtualTimeLoop", "run", "virtual"]

P = ParamSpec("P")
T = TypeVar("T")

#: Polls that must find nothing before the clock leaps: sockets of this process answer within one.
_POLLS = 3
#: Real seconds after which a thread's answer, or anything at all, is no longer waited for.
_PATIENCE = 10.0


class Stuck(RuntimeError):
    """Nothing is ready, no timer is set and no socket has anything: this would wait for ever."""


class _Selector(selectors.DefaultSelector):
    """Polls, and where the loop wants to wait, moves its clock instead."""

    def __init__(self, *, alone: bool) -> None:
        """Args: ``alone``: no thread ever wakes the loop; where it has no sockets, it need not poll."""
        super().__init__()
        self.now = 0.0
        self.threads = 0
        self.alone = alone

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # One is the loop's own, by which threads wake it.
        deaf = self.alone and len(self.get_map()) <= 1 and timeout is not None
        for _ in range(0 if deaf else _POLLS if timeout != 0 else 1):
            ready = super().select(0)
            if ready:
                return ready
        if timeout == 0:
            return []
        if self.threads or timeout is None:
            ready = super().select(_PATIENCE)
            if ready:
                return ready
            raise Stuck("nothing is left to do and nothing is going to happen")
        self.now += timeout
        return []


class _Numbered:
    """Hashed by a number, so that sets of them have the same order in every process."""

    number: int

    def __hash__(self) -> int:
        return self.number


class _Task(_Numbered, asyncio.Task[Any]):
    pass


class _Future(_Numbered, asyncio.Future[Any]):
    pass


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module. Its time starts at zero."""

    def __init__(self, *, replayable: bool = False) -> None:
        self._virtual = _Selector(alone=replayable)
        self._replayable = replayable
        self._made = 0
        super().__init__(self._virtual)
        if replayable:
            self.set_task_factory(self._task)

    def time(self) -> float:
        return self._virtual.now

    def _task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> _Task:
        task = _Task.__new__(_Task)
        self._made += 1
        task.number = self._made
        task.__init__(coro, loop=loop, **options)  # type: ignore[misc]
        return task

    def create_future(self) -> asyncio.Future[Any]:
        if not self._replayable:
            return super().create_future()
        future = _Future(loop=self)
        self._made += 1
        future.number = self._made
        return future

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        if self._replayable:
            done = self.create_future()
            try:
                done.set_result(func(*args))
            except Exception as problem:  # whoever waits is told, as of a thread
                done.set_exception(problem)
            return done
        future = super().run_in_executor(executor, func, *args)
        self._virtual.threads += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, future: object) -> None:
        self._virtual.threads -= 1


def run(main: Coroutine[Any, Any, T], *, replayable: bool = False) -> T:
    """Run a coroutine to its end in virtual time; tasks it leaves behind are cancelled.

    Args:
        replayable: see the module; nothing may then be left to a thread that waits for the loop.

    Raises:
        Stuck: the coroutine waits for something that cannot come.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(replayable=replayable)) as runner:
        return runner.run(main)


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Decorates an async test: it runs in virtual time."""

    @functools.wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return wrapper
