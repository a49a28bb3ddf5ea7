"""The same events once more: whether a fresh machine asks for the same, and where it first does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from rackplane import __version__
from rackplane.core.events import Event, WriteFailed, WriteSucceeded
from rackplane.core.instructions import CommitGang, Instruction
from rackplane.core.machine import Machine
from rackplane.core.recording.lines import FORMAT, Asked, End, Header, Line, Told
from rackplane.core.recording.wire import UnknownEvent, event_from, instruction_data, settings_from

__all__ = ["Damaged", "Difference", "Replayed", "replay"]

_encode = msgspec.json.Encoder().encode
_header = msgspec.json.Decoder(Header)
_line = msgspec.json.Decoder(Line)

Data = tuple[str, dict[str, Any]]
"""An instruction: its name, and the fields that are not as they are by default."""


class Damaged(ValueError):
    """A line that no recording has: which one, and what is wrong with it."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"line {number:,}: {what}")


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay first goes another way.

    Args:
        batch: its number.
        events: those before it and its own.
        at: when, in seconds since the epoch.
        told: the events of the batch, in words.
        place: which instruction of the batch it is, from 1 on.
        recorded, now: None if there is none any more.
        fields: where the two differ if they are of one kind: the path of a field, and its two values as JSON.
        error: what was raised now, or was then and is not now.
    """

    batch: int
    events: int
    at: float
    told: tuple[str, ...]
    place: int = 0
    recorded: Data | None = None
    now: Data | None = None
    fields: tuple[tuple[str, str, str], ...] = ()
    error: str = ""


@dataclass(slots=True)
class Replayed:
    """How far it came."""

    header: Header
    #: settings of the recording that this version does not have
    unknown: list[str]
    batches: int = 0
    events: int = 0
    instructions: int = 0
    #: commits among them: places given, grown or changed
    decisions: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    #: None: the last line is missing
    end: End | None = None
    difference: Difference | None = None
    #: what the machine raised, then and now
    error: str = ""


def replay(lines: Iterable[bytes]) -> Replayed:
    """Feed a fresh machine what was recorded, until it asks for something else.

    Args:
        lines: of a recording, whole ones.

    Raises:
        Damaged: one cannot be read, or does not follow the one before.
    """
    numbered = enumerate(lines, 1)
    header = _read_header(numbered)
    try:
        settings, unknown = settings_from(header.settings)
    except (msgspec.ValidationError, ValueError) as error:
        raise Damaged(1, f"a setting cannot be read: {error}") from None
    found = Replayed(header, unknown)
    run = _Run(Machine(settings=settings), found)
    for number, text in numbered:
        if found.end is not None:
            raise Damaged(number, "something follows the last line")
        try:
            line = _line.decode(text)
        except msgspec.DecodeError as error:
            raise Damaged(number, f"cannot be read: {error}") from None
        match line:
            case Told():
                run.told(number, line)
            case Asked():
                run.asked(number, line)
            case End():
                found.end = line
        if found.difference is not None:
            return found
    run.finish()
    return found


def _read_header(numbered: Iterator[tuple[int, bytes]]) -> Header:
    _, text = next(numbered, (1, b""))
    try:
        header = _header.decode(text)
    except msgspec.DecodeError as error:
        raise Damaged(1, f"this is no recording of `rackplane operator --record`: {error}") from None
    if header.recording != FORMAT:
        what = (
            f"recorded in format {header.recording} by version {header.version}, and this one reads {FORMAT}"
        )
        raise Damaged(1, what)
    return header


class _Run:
    """One machine, one line after the other."""

    def __init__(self, machine: Machine, found: Replayed) -> None:
        self._machine, self._found = machine, found
        self._known: dict[int, Instruction] = {}
        #: what the machine has asked for, and was not compared yet; and what it was told before
        self._asked: list[Instruction] = []
        self._before: Told | None = None
        self._events: list[Event] = []
        self._error = ""

    def told(self, number: int, line: Told) -> None:
        found = self._found
        if line.batch != found.batches + 1:
            raise Damaged(number, f"batch {line.batch:,} follows batch {found.batches:,}: lines are missing")
        self._compare([])
        if found.difference is not None:
            return
        self._events = [self._event(number, place, *each) for place, each in enumerate(line.events, 1)]
        self._before = line
        found.batches, found.events = line.batch, found.events + len(line.events)
        found.first_at, found.last_at = found.first_at or line.at, line.at
        try:
            self._asked = self._machine.handle(line.at, *self._events)
        except Exception as error:
            # It may be what was recorded; whoever replays it wants to see that, and no traceback of ours.
            self._error = f"{type(error).__name__}: {error}"

    def asked(self, number: int, line: Asked) -> None:
        found = self._found
        if line.batch != found.batches or line.first != found.instructions + 1:
            what = f"instruction {line.first:,} of batch {line.batch:,} follows instruction {found.instructions:,} of"
            raise Damaged(number, f"{what} batch {found.batches:,}: lines are missing")
        self._compare(line.instructions)

    def finish(self) -> None:
        """After the last line."""
        found, end = self._found, self._found.end
        if end is not None and end.batches != found.batches:
            what = f"the recording says that it has {end.batches:,} batches, and there are {found.batches:,}"
            raise Damaged(found.batches + 2, what)
        if end is not None and end.error:
            found.error = self._error
            if self._error != end.error:
                now = f"now: {self._error}" if self._error else "now it is handled"
                self._differ(error=f"recorded: {end.error}; {now}")
        elif end is not None or self._error:
            # What was asked for after the last batch of a process that was killed may be what is missing.
            self._compare([])

    def _event(self, number: int, place: int, name: str, data: msgspec.Raw) -> Event:
        try:
            return event_from(name, data, self._known.pop)
        except UnknownEvent:
            what = f"event {place}: version {__version__} knows no {name}"
            raise Damaged(
                number, f"{what}, which version {self._found.header.version} has recorded"
            ) from None
        except (msgspec.DecodeError, KeyError) as error:
            raise Damaged(number, f"event {place}, {name}: cannot be read: {error}") from None

    def _compare(self, recorded: Sequence[Data]) -> None:
        """What the machine has asked for, with what it asked for then."""
        if self._before is None:
            return
        if self._error:
            self._differ(error=f"now: {self._error}")
            return
        found, asked, self._asked = self._found, self._asked, []
        for place in range(max(len(recorded), len(asked))):
            then = recorded[place] if place < len(recorded) else None
            now = _plain(asked[place]) if place < len(asked) else None
            if then is None or now is None or then[0] != now[0]:
                self._differ(place=place + 1, recorded=then, now=now)
                return
            if then[1] != now[1]:
                fields = tuple(_fields(then[1], now[1], ""))
                self._differ(place=place + 1, recorded=then, now=now, fields=fields)
                return
            found.instructions += 1
            found.decisions += isinstance(asked[place], CommitGang)
            self._known[found.instructions] = asked[place]
        self._before = None

    def _differ(self, **how: Any) -> None:
        found, before = self._found, self._before
        at = found.last_at if before is None else before.at
        told = tuple(_words(event) for event in self._events)
        found.difference = Difference(found.batches, found.events, at, told, **how)


def _plain(instruction: Instruction) -> Data:
    """As it would be read from a recording."""
    found: Data = msgspec.json.decode(_encode(instruction_data(instruction)), type=Data)
    return found


_ABSENT: Final = "(absent)"


def _fields(then: Any, now: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Where two values differ: paths, and what is there as JSON."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in [*then, *(key for key in now if key not in then)]:
            here = f"{path}.{key}" if path else str(key)
            if key not in then or key not in now:
                yield here, _shown(then, key), _shown(now, key)
            elif then[key] != now[key]:
                yield from _fields(then[key], now[key], here)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for place, (one, other) in enumerate(zip(then, now, strict=True)):
            if one != other:
                yield from _fields(one, other, f"{path}[{place}]")
    else:
        yield path, _encode(then).decode(), _encode(now).decode()


def _shown(values: dict[str, Any], key: str) -> str:
    return _encode(values[key]).decode() if key in values else _ABSENT


def _words(event: Event) -> str:
    """ "PodChanged ml/train-0"."""
    name = type(event).__name__
    if isinstance(event, WriteSucceeded | WriteFailed):
        return f"{name} {type(event.instruction).__name__} {_named(event.instruction)}".rstrip()
    told = [getattr(event, field.name) for field in dataclasses.fields(event)]
    metadata = next((each.metadata for each in told if hasattr(each, "metadata")), None)
    return f"{name} {_named(event if metadata is None else metadata)}".rstrip()


def _named(what: Any) -> str:
    parts = (getattr(what, key, "") for key in ("namespace", "name"))
    kind = getattr(what, "kind", "")
    return " ".join(filter(None, (kind, "/".join(filter(None, parts)))))
