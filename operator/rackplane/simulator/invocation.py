"""The command line that a run was started with, as it can be shown to anybody."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from rackplane.core.gangs.statuses import timestamp
from rackplane.simulator.progress import NEVER, ON_STOP

if TYPE_CHECKING:
    from rackplane.simulator.running import Plan

__all__ = ["command_of"]

_ELSEWHERE: Final = ("out", "force")
_PATHS: Final = ("facility", "trace", "events")
_NAMED: Final[Mapping[str, Mapping[int, str]]] = {"checkpoint": {ON_STOP: "on-stop", NEVER: "never"}}
_CALLED: Final = {"begin": "start"}


def command_of(plan: Plan) -> str:
    """The words that ask for the same run, without where its results go; of paths the last part only.

    What is as the command line has it by itself is left out.
    """
    return shlex.join(["rackplane", "simulate", *_words(plan)])


def _words(plan: Plan) -> Iterator[str]:
    for known in fields(plan):
        name, value = known.name, getattr(plan, known.name)
        if name in _ELSEWHERE or value == known.default or value is None:
            continue
        if name == "draws":
            yield "--no-draws"
            continue
        yield f"--{_CALLED.get(name, name).replace('_', '-')}"
        yield PurePath(value).name if name in _PATHS else _text(name, value)


def _text(name: str, value: Any) -> str:
    if name == "begin":
        return timestamp(value)
    return _NAMED.get(name, {}).get(value, f"{value:g}" if isinstance(value, float) else str(value))
