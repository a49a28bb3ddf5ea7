"""What could not be translated: file, field, why. Nothing is lost without a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rackplane.api.kinds import BY_KIND

__all__ = ["Loss", "Losses"]


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that was in and is not out; with an error what is out would say something else."""

    #: of an export the object: "Rack r1"
    file: str
    #: its path in the file: "resources[0].layers[2].count"
    field: str
    reason: str
    is_error: bool = False
    #: so many others of the same kind, in the same file and for the same reason
    more: int = 0

    def __str__(self) -> str:
        more = f" (and {self.more} more like it)" if self.more else ""
        return f"{self.file}: {self.field}: {self.reason}{more}"


@dataclass(slots=True)
class Losses:
    """Collects them."""

    found: list[Loss] = field(default_factory=list)

    def warn(self, file: str, where: str, reason: str) -> None:
        """Something is left out, and no limit is wider for it."""
        self.found.append(Loss(file, where, reason))

    def wrong(self, file: str, where: str, reason: str) -> None:
        """Something cannot be read, or would make a limit wider: nothing is to be written."""
        self.found.append(Loss(file, where, reason, is_error=True))

    @property
    def failed(self) -> bool:
        return any(loss.is_error for loss in self.found)

    def told(self) -> Iterator[Loss]:
        """Errors first, each in the order found; warnings that differ in an index only are told once."""
        yield from (loss for loss in self.found if loss.is_error)
        groups: dict[tuple[str, str, str], list[Loss]] = {}
        for loss in self.found:
            if not loss.is_error:
                # Of an export the objects are what files are of an import.
                kind = loss.file.partition(" ")[0]
                file = kind if kind in BY_KIND else loss.file
                key = (file, re.sub(r"\[[^\]]*\]|row [0-9]+", "[]", loss.field), loss.reason)
                groups.setdefault(key, []).append(loss)
        for losses in groups.values():
            first = losses[0]
            yield Loss(first.file, first.field, first.reason, more=len(losses) - 1)
