"""A recording, line by line: a header, then of each batch what was told and what was asked for, then how it ended.

A batch that nothing was asked for has no second line, and one that the machine could not handle has none either: its
first line is written before it is handled.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy

from rackplane import __version__
from rackplane.core.events import Event
from rackplane.core.instructions import Instruction, SendCap
from rackplane.core.recording.wire import event_data, instruction_data, settings_data
from rackplane.core.settings import MachineSettings

__all__ = ["FORMAT", "Asked", "End", "Header", "Line", "Lines", "Told"]

FORMAT: Final = 1
"""Of the recording. Another number: the lines mean something else."""

_encode = msgspec.json.Encoder().encode


class Header(msgspec.Struct, frozen=True, rename="camel"):
    """The first line: what was running, and how."""

    recording: int
    version: str
    settings: dict[str, Any]
    started: float = 0.0
    identity: str = ""
    python: str = ""
    numpy: str = ""
    #: PYTHONHASHSEED of the process; "" if it was drawn
    hash_seed: str = ""


class Told(msgspec.Struct, frozen=True, tag="told", tag_field="line"):
    """A batch of events: its number, from 1 on, and when, in seconds since the epoch."""

    batch: int
    at: float
    events: list[tuple[str, msgspec.Raw]]


class Asked(msgspec.Struct, frozen=True, tag="asked", tag_field="line"):
    """What the machine asked for after that batch: instructions, of which the first has this number."""

    batch: int
    first: int
    instructions: list[tuple[str, dict[str, Any]]]


class End(msgspec.Struct, frozen=True, tag="end", tag_field="line"):
    """The last line: why it ends, and how much there is. ``error``: what the machine raised."""

    why: str
    batches: int = 0
    error: str = ""


Line = Told | Asked | End


class _ToldNow(msgspec.Struct, frozen=True, tag="told", tag_field="line"):
    batch: int
    at: float
    events: list[tuple[str, Any]]


class Lines:
    """Makes the lines of one recording, each with its line break.

    Args:
        settings: of the machine, which must be fresh: what it was told before is in no line.
    """

    def __init__(self, settings: MachineSettings) -> None:
        self._settings = settings
        self._batches = 0
        self._asked = 0
        #: Instructions whose outcome has not been told, by identity: the value keeps them alive, and so their identity.
        self._open: dict[int, tuple[int, Instruction]] = {}
        #: Caps for the endpoint by node: one that another follows before it is sent is never answered.
        self._caps: dict[str, list[int]] = {}

    def header(self, *, started: float, identity: str) -> bytes:
        """Args: ``started``: seconds since the epoch; ``identity``: of the process."""
        return _line(
            Header(
                FORMAT,
                __version__,
                settings_data(self._settings),
                started,
                identity,
                platform.python_version(),
                numpy.__version__,
                os.environ.get("PYTHONHASHSEED", "").replace("random", ""),
            )
        )

    def told(self, now: float, events: Sequence[Event]) -> bytes:
        """A batch, before it is handled.

        Raises:
            KeyError: it tells of an instruction that was not recorded.
        """
        line = _line(_ToldNow(self._batches + 1, now, [event_data(event, self._close) for event in events]))
        self._batches += 1
        return line

    def asked(self, instructions: Sequence[Instruction]) -> bytes:
        """What was asked for after that batch; nothing if nothing was."""
        if not instructions:
            return b""
        first = self._asked + 1
        for instruction in instructions:
            self._asked += 1
            self._open[id(instruction)] = (self._asked, instruction)
            if isinstance(instruction, SendCap):
                self._caps.setdefault(instruction.name, []).append(id(instruction))
        return _line(Asked(self._batches, first, [instruction_data(each) for each in instructions]))

    def end(self, why: str, *, error: str = "") -> bytes:
        """The last line. Args: ``error``: what the machine raised over the last batch."""
        return _line(End(why, self._batches, error))

    def _close(self, instruction: Instruction) -> int:
        if isinstance(instruction, SendCap):
            waiting = self._caps.pop(instruction.name)
            place = waiting.index(id(instruction))
            for passed_over in waiting[:place]:
                del self._open[passed_over]
            if waiting[place + 1 :]:
                self._caps[instruction.name] = waiting[place + 1 :]
        return self._open.pop(id(instruction))[0]


def _line(value: Any) -> bytes:
    return _encode(value) + b"\n"
