"""How much of what could be tried is tried: a quarter, or all of it with ``make thorough``."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["THOROUGH", "some"]

THOROUGH: Final = bool(os.environ.get("RACKPLANE_THOROUGH"))


def some(whole: int) -> int:
    """How many of so many examples are drawn."""
    return whole if THOROUGH else max(1, whole // 4)
