"""What the fields of other projects' kinds have in common: how they are declared, and how an end is told."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rackplane.core.objects import Condition

__all__ = ["Fields", "outcome_of"]


class Fields(msgspec.Struct, frozen=True, rename="camel"):
    """A part of an object; what is not declared is passed over."""


def outcome_of(conditions: Iterable[Condition], *, done: str) -> str | None:
    """How the object has ended, "Complete" or "Failed"; None if it has not.

    Args:
        done: the type of the condition that says it ended well.
    """
    ends = {c.type for c in conditions if c.status == "True"}
    return "Failed" if "Failed" in ends else "Complete" if done in ends else None
