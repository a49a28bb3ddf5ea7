"""A job as a gang that is not over yet: what it asks for, where it is, and who is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.progress import Progress

__all__ = ["NAMESPACE", "Live", "Observer", "Request", "merged"]

NAMESPACE: Final = "trace"


def merged(have: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    old = have if isinstance(have, dict) else {}
    result = {key: value for key, value in old.items() if key not in patch}
    for key, value in patch.items():
        if value is not None:
            result[key] = merged(old.get(key), value) if isinstance(value, dict) else value
    return result


@dataclass(frozen=True, slots=True)
class Request:
    """A job as a Gang asks for it.

    Args:
        name: of the Gang: in the order of arrival.
        spec: of the Gang, without workload.
        told: seconds that it is said to run; None: nothing is said.
    """

    name: str
    job: TraceJob
    spec: Mapping[str, Any]
    told: int | None = None

    @property
    def slots(self) -> int:
        return int(self.spec["slots"])

    @property
    def gpus(self) -> int:
        return self.slots * int(self.spec["gpusPerSlot"])


@dataclass(slots=True)
class Live:
    """A gang that is not over.

    Args:
        placed: when it was given the place that it has, in seconds; None while it has none.
        first: when it started first.
        groups: its assignment, as its status has it.
        racks, domains: of its last place.
    """

    request: Request
    body: dict[str, Any]
    progress: Progress
    placed: int | None = None
    first: int | None = None
    groups: list[dict[str, Any]] = field(default_factory=list)
    profile: str = ""
    watts: int = 0
    racks: int = 0
    domains: int = 0
    failed: bool = False

    @property
    def nodes(self) -> list[str]:
        """The node of each slot."""
        return [name for group in self.groups for name in group["nodes"]]


class Observer(Protocol):
    """Who is told what happens, with the time in seconds of the simulation."""

    def placed(self, now: int, gang: Live) -> None:
        """It has a place, or another power profile in the one that it has."""

    def freed(self, now: int, gang: Live) -> None:
        """Nothing of it runs where it was."""

    def ended(self, now: int, gang: Live) -> None:
        """It is over."""

    def said(self, now: int, kind: str, name: str, reason: str, message: str) -> None:
        """The machine published an Event, or something happened to the facility."""
