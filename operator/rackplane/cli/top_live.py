"""A screen that refreshes, in the terminal's second buffer, and the keys that are pressed meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from rackplane.cli.errors import CommandError
from rackplane.cli.top_board import Board
from rackplane.cli.top_view import PANES, screen
from rackplane.figures import lasting

__all__ = ["LEAVE", "Screen", "live", "watch"]

LEAVE = "q"
REDRAW = ""
"""Not a key: the terminal has another size."""
KEYS = " ".join(f"[{word[0]}]{word[1:]}" for word in ("quit", *PANES))


class Screen:
    """What is shown: the last board, in one pane, and why it is old if it is."""

    def __init__(self, console: Console, *, pane: str) -> None:
        self._console = console
        self.pane = pane
        self.board: Board | None = None
        self.trouble = ""

    def lines(self) -> list[Text]:
        """As many as fit, for the terminal's size of now."""
        if self.board is None:
            return [Text("rackplane top: asking the cluster ...")]
        trouble = ""
        if self.trouble:
            trouble = f"as of {lasting(time.time() - self.board.at)} ago: {self.trouble}"
        return screen(
            self.board,
            pane=self.pane,
            width=self._console.width,
            height=self._console.height,
            ascii=not self._console.encoding.startswith("utf"),
            keys=KEYS,
            trouble=trouble,
        )

    def press(self, key: str) -> None:
        """Another pane, if the key is one's."""
        self.pane = next((pane for pane in PANES if pane[0] == key.lower()), self.pane)


async def watch(
    shown: Screen,
    read: Callable[[], Awaitable[Board]],
    draw: Callable[[], None],
    keys: asyncio.Queue[str],
    *,
    seconds: float,
) -> None:
    """Read and draw until the key to leave is pressed; keys are heard while an answer is awaited.

    Raises:
        CommandError: the first answer did not come. Later ones are waited for, and what is known stays.
    """
    draw()
    while True:
        # The one after this is due so long after this was asked for, not answered.
        due = asyncio.create_task(asyncio.sleep(seconds))
        asked = asyncio.ensure_future(read())
        try:
            if await _until(asked, shown, draw, keys):
                return
            try:
                shown.board, shown.trouble = asked.result(), ""
            except CommandError as error:
                if shown.board is None:
                    raise
                shown.trouble = str(error)
            draw()
            if await _until(due, shown, draw, keys):
                return
        finally:
            for task in (due, asked):
                task.cancel()
            await asyncio.gather(due, asked, return_exceptions=True)


async def _until(
    over: asyncio.Future[Any], shown: Screen, draw: Callable[[], None], keys: asyncio.Queue[str]
) -> bool:
    """Wait for it and hear keys; whether one was to leave."""
    while True:
        key = asyncio.ensure_future(keys.get())
        try:
            await asyncio.wait((key, over), return_when=asyncio.FIRST_COMPLETED)
            if not key.done():
                return False
        finally:
            key.cancel()
        if key.result().lower() == LEAVE:
            return True
        shown.press(key.result())
        draw()


@contextlib.contextmanager
def _drawing(shown: Screen, console: Console) -> Iterator[Callable[[], None]]:
    # The second buffer leaves what stood in the terminal as it was; each draw starts at its upper left and clears
    # nothing, so that nothing flickers.
    with Live(
        console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as live:
        yield lambda: live.update(Group(*shown.lines()), refresh=True)


@contextlib.asynccontextmanager
async def _keyboard() -> AsyncIterator[asyncio.Queue[str]]:
    """Keys as they are pressed, without Return; the size of the terminal and its end come as keys too."""
    import termios
    import tty

    keys: asyncio.Queue[str] = asyncio.Queue()
    loop, file = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(file) if sys.stdin.isatty() else None
    loop.add_signal_handler(signal.SIGWINCH, keys.put_nowait, REDRAW)
    for ended in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(ended, keys.put_nowait, LEAVE)

    def pressed() -> None:
        data = os.read(file, 64)
        # An escape sequence is a key that is none of ours, and not its letters; no data: the terminal is gone.
        for key in LEAVE if not data else "" if data[0] == 0x1B else data.decode(errors="ignore"):
            keys.put_nowait(key)

    try:
        if before is not None:
            tty.setcbreak(file)
            loop.add_reader(file, pressed)
        yield keys
    finally:
        for number in (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
        if before is not None:
            loop.remove_reader(file)
            termios.tcsetattr(file, termios.TCSADRAIN, before)


async def live(read: Callable[[], Awaitable[Board]], console: Console, *, pane: str, seconds: float) -> None:
    """Show what is read until somebody leaves. Raises what `watch` raises."""
    shown = Screen(console, pane=pane)
    async with _keyboard() as keys:
        with _drawing(shown, console) as draw:
            await watch(shown, read, draw, keys, seconds=seconds)
