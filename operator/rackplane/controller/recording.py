"""What the machine is told and asks for, kept in a file that `rackplane replay` reads."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final

import structlog

from rackplane.core.events import Event
from rackplane.core.instructions import Instruction
from rackplane.core.recording.lines import Lines
from rackplane.core.settings import MachineSettings

__all__ = ["Recording"]

#: What was written is handed to the file system so often, in seconds: so much a process that is killed loses.
_FLUSH_SECONDS: Final = 1.0
#: Fast: what is told is much the same over and over, so that more work makes it little smaller.
_LEVEL: Final = 1
_MIB: Final = 1 << 20

log = structlog.stdlib.get_logger(__name__)


class Recording:
    """The recording of one process, from its start on.

    A machine can only be followed from its first event, so that a file has no part that could be left out: when it is
    as large as it may be the recording ends, and says so, and the operator goes on. The next process begins a new
    file; the one before is kept beside it as `FILE.1`.

    Args:
        path: of the file; compressed if it ends with .gz.
        settings: of the machine.
        bound: bytes that the file may have.
        identity: of the process.
        wall: seconds since the epoch.
        monotonic: for how often it is flushed.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(
        self,
        path: str,
        settings: MachineSettings,
        *,
        bound: int,
        identity: str,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = Path(path)
        self._bound = bound
        self._monotonic = monotonic
        if self._path.exists():
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        # Who may read it reads what the API server would only tell whom it trusts with Jobs and pods.
        self._raw: IO[bytes] | None = os.fdopen(
            os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
        )
        packed = self._path.suffix == ".gz"
        self._file: IO[bytes] = (
            gzip.GzipFile("", "wb", _LEVEL, self._raw, mtime=0) if packed else self._raw  # type: ignore[assignment]
        )
        self._flushed = monotonic()
        self._lines = Lines(settings)
        self._write(self._lines.header(started=wall(), identity=identity))
        log.info("recording", file=str(self._path), mebibytes=bound // _MIB)

    def told(self, now: float, events: Sequence[Event]) -> None:
        """A batch, before it is handled."""
        self._try(lambda: self._lines.told(now, events))

    def asked(self, instructions: Sequence[Instruction]) -> None:
        """What the machine asked for after that batch."""
        self._try(lambda: self._lines.asked(instructions))

    def raised(self, error: Exception) -> None:
        """The machine could not handle that batch."""
        self._end("error", error=f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """The process stops."""
        self._end("stopped")

    def _try(self, make: Callable[[], bytes]) -> None:
        """Nothing that goes wrong here may keep the operator from its work."""
        if self._raw is None:
            return
        try:
            self._write(make())
            if self._raw.tell() >= self._bound:
                log.warning("the recording is as large as it may be and ends", file=str(self._path))
                self._end("full")
        except Exception as error:
            log.error("the recording ends", file=str(self._path), error=f"{type(error).__name__}: {error}")
            self._end("failed")

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        now = self._monotonic()
        if now - self._flushed >= _FLUSH_SECONDS:
            self._flushed = now
            self._file.flush()

    def _end(self, why: str, *, error: str = "") -> None:
        raw, self._raw = self._raw, None
        if raw is None:
            return
        try:
            self._file.write(self._lines.end(why, error=error))
            self._file.close()
            raw.close()
        except OSError as problem:
            log.error("the recording was cut short", file=str(self._path), error=str(problem))
