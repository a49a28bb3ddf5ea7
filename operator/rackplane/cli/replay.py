"""`rackplane replay`: what an operator was told, told to this version's machine: does it decide the same?"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rackplane import __version__
from rackplane.cli.errors import CommandError, Exit

if TYPE_CHECKING:  # The machine takes a while to import, and --help shall not.
    from rackplane.core.recording.replaying import Difference, Replayed

__all__ = ["add", "report"]

_CHUNK: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_MOST_FIELDS: Final = 8
_MOST_EVENTS: Final = 8
_LONGEST: Final = 300

_EXAMPLES = """\
examples:
  rackplane operator --record /var/lib/rackplane/run.jsonl.gz
  rackplane replay run.jsonl.gz

exit codes:
  0  every instruction is the same as the recorded one
  1  one is another: it is said which, and where it differs
  3  the file is no recording, or is damaged: it is said at which line
"""


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.parser`)."""
    parser = commands.add_parser(
        "replay",
        description="Reads what `rackplane operator --record FILE` wrote, tells it to a fresh machine, and compares "
        "every instruction with the recorded one. Asks no cluster and writes nothing.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the recording, compressed or not; - for standard input")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from rackplane.core.recording.replaying import Damaged, replay

    cut: list[int] = []
    try:
        found = replay(_lines(options.file, cut))
    except OSError as error:
        raise CommandError(f"{options.file}: {error.strerror or error}") from None
    except Damaged as error:
        raise CommandError(f"{options.file}: {error}") from None
    print(report(found, cut=bool(cut)))
    return Exit.YES if found.difference is None else Exit.NO


def _lines(name: str, cut: list[int]) -> Iterator[bytes]:
    """The whole lines of the file.

    Args:
        cut: the number of a last line that is not whole is put there; it is left out.
    """
    from rackplane.core.recording.replaying import Damaged

    number, rest = 0, b""
    try:
        for part in _unpacked(name):
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                number += 1
                yield line
    except zlib.error as error:
        raise Damaged(number + 1, f"cannot be unpacked: {error}") from None
    if rest:
        if not number:
            yield rest
            return
        cut.append(number + 1)


def _unpacked(name: str) -> Iterator[bytes]:
    with sys.stdin.buffer if name == "-" else Path(name).open("rb") as file:
        chunk = file.read(_CHUNK)
        # Not the gzip module: of a file that ends too early it drops what it has unpacked already.
        packed = zlib.decompressobj(zlib.MAX_WBITS | 16) if chunk.startswith(_GZIP) else None
        while chunk:
            yield chunk if packed is None else packed.decompress(chunk)
            chunk = file.read(_CHUNK)


def report(found: Replayed, *, cut: bool) -> str:
    """What came of it, for people.

    Args:
        cut: whether a last line that is not whole was left out.
    """
    head, said = found.header, []
    if head.version != __version__:
        said.append(f"Recorded by version {head.version}, replayed by {__version__}.")
    if found.unknown:
        said.append(f"Settings that this version does not have: {', '.join(found.unknown)}.")
    if cut:
        said.append("The last line is not whole and was left out.")
    if found.difference is not None:
        return "\n".join([*said, *_difference(found.difference)])
    if found.end is None:
        said.append("There is no last line: the process was killed, or still records.")
    elif found.end.why == "full":
        said.append("The recording ends where the file was as large as it may be.")
    elif found.end.why == "failed":
        said.append("The recording ends where it failed: the operator's log says why.")
    text = f"{found.events:,} events, {found.decisions:,} decisions, {found.instructions:,} instructions"
    if found.first_at:
        text += f", {_time(found.first_at)} to {_time(found.last_at)}"
    same = "all the same"
    if found.error:
        same += f", and the same error at the end: {found.error}"
    return "\n".join([*said, f"{text}: {same}"])


def _difference(found: Difference) -> Iterator[str]:
    where = f"Batch {found.batch:,}, event {found.events:,}, {_time(found.at)}"
    if found.error:
        yield f"{where}: not the same error."
        yield f"  {found.error}"
    elif found.recorded is None:
        yield f"{where}: instruction {found.place:,} was not recorded."
    elif found.now is None:
        yield f"{where}: instruction {found.place:,} does not come any more."
    else:
        yield f"{where}: instruction {found.place:,} is another one."
    if not found.error:
        yield f"  recorded: {_instruction(found.recorded)}"
        yield f"  now:      {_instruction(found.now)}"
    for path, then, now in found.fields[:_MOST_FIELDS]:
        yield f"    {path}: recorded {_short(then)}, now {_short(now)}"
    if len(found.fields) > _MOST_FIELDS:
        yield f"    and {len(found.fields) - _MOST_FIELDS:,} fields more"
    yield f"  told in this batch: {'; '.join(found.told[:_MOST_EVENTS])}"
    if len(found.told) > _MOST_EVENTS:
        yield f"    and {len(found.told) - _MOST_EVENTS:,} more"


def _instruction(found: tuple[str, dict[str, Any]] | None) -> str:
    if found is None:
        return "nothing"
    name, fields = found
    subject = "/".join(str(fields[key]) for key in ("namespace", "name") if fields.get(key))
    more = [f"{key} {fields[key]}" for key in ("decision_id", "slot", "hostname", "reason") if key in fields]
    status = fields.get("status")
    if isinstance(status, dict):
        more += [f"{key} {_short(str(status[key]))}" for key in ("phase", "message") if status.get(key)]
    elif fields.get("message"):
        more.append(_short(str(fields["message"])))
    return ", ".join([f"{name} {subject}".rstrip(), *more])


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
