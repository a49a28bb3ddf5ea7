"""An event loop on which sleeping takes no time.

`run` works like `asyncio.run`, on a loop whose clock stands still while anything is left to do and then leaps to the
next timer. `asyncio.sleep`, `asyncio.timeout`, `loop.call_later` and aiohttp's timeouts all follow it, so a test of
hours takes milliseconds and passes the same way every time.

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

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        for _ in range(_POLLS if timeout != 0 else 1):
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


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module. Its time starts at zero."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self._virtual.threads += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, future: object) -> None:
        self._virtual.threads -= 1


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time; tasks it leaves behind are cancelled.

    Raises:
        Stuck: the coroutine waits for something that cannot come.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Decorates an async test: it runs in virtual time."""

    @functools.wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return wrapper
