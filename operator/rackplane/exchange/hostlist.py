"""Lists of hosts as Slurm writes them: ``tray[01-18,20],login1``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import BeforeValidator

__all__ = ["MOST_HOSTS", "HostlistError", "Hostlists", "expand"]

#: No more than these are made of one expression.
MOST_HOSTS: Final = 100_000
_RANGE: Final = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_PART: Final = re.compile(r"\[([^\[\]]*)\]|([^\[\],]+)")


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else () if value is None else value


#: One expression or a list of them; read where its place in the file is known.
Hostlists = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class HostlistError(ValueError):
    """An expression that is none; its text goes on from where it stands."""


def expand(text: str) -> list[str]:
    """The hosts of an expression in its order; several ranges in one name give every combination.

    Raises:
        HostlistError: it is none, or has more than `MOST_HOSTS`.
    """
    hosts: list[str] = []
    for word in _split(text):
        found = [""]
        end = 0
        for match in _PART.finditer(word):
            if match.start() != end:
                break
            end = match.end()
            endings = [match[2]] if match[2] is not None else list(_numbers(match[1], word))
            if len(found) * len(endings) + len(hosts) > MOST_HOSTS:
                raise HostlistError(f"{word!r} is more than {MOST_HOSTS:,} hosts")
            found = [f"{start}{ending}" for start in found for ending in endings]
        if end != len(word):
            raise HostlistError(f"{word!r} is no list of hosts such as tray[01-18]")
        hosts += found
    return hosts


def _split(text: str) -> Iterator[str]:
    """At commas outside brackets."""
    for word in re.split(r",(?![^\[]*\])", text):
        if word.strip():
            yield word.strip()


def _numbers(text: str, word: str) -> Iterator[str]:
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise HostlistError(f"{part.strip()!r} in {word!r} is no number or range such as 01-18")
        first, last = match[1], match[2] or match[1]
        if int(last) < int(first):
            raise HostlistError(f"{part.strip()} in {word!r} runs backwards")
        if int(last) - int(first) >= MOST_HOSTS:
            raise HostlistError(f"{word!r} is more than {MOST_HOSTS:,} hosts")
        for number in range(int(first), int(last) + 1):
            yield f"{number:0{len(first)}}"
