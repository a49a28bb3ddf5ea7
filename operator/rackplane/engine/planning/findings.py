"""What a check of a facility has to say: one finding for each thing that is wrong, however many objects it concerns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum


class Severity(IntEnum):
    """ERROR: something cannot be used, or is over its limit with nothing running.  WARNING: a loss, or a full hall, is
    worse than was meant, in all likelihood.  INFO: what a planner should know."""

    ERROR = 0
    WARNING = 1
    INFO = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.  ``rule`` names it for programs; the sentence is true of each of the objects."""

    severity: Severity
    rule: str
    kind: str
    names: tuple[str, ...]
    field: str
    message: str
    remedy: str


def grouped(found: Iterable[Finding]) -> list[Finding]:
    """Findings that differ in their objects only as one, the most severe first, otherwise in order of appearance."""
    groups: dict[Finding, list[str]] = {}
    for finding in found:
        groups.setdefault(replace(finding, names=()), []).extend(finding.names)
    joined = [replace(f, names=tuple(dict.fromkeys(names))) for f, names in groups.items()]
    return sorted(joined, key=lambda f: f.severity)


def named(names: Iterable[str], most: int = 4) -> str:
    """ "a, b and c"; "a, b, c and 45 more"."""
    listed = list(names)
    if len(listed) > most:
        return f"{', '.join(listed[: most - 1])} and {len(listed) - most + 1:,} more"
    return " and ".join(filter(None, (", ".join(listed[:-1]), listed[-1] if listed else "")))
