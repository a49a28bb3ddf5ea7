"""What a run looks like: its figures over time in bounded memory, one page to read, and runs beside each other."""

from __future__ import annotations

__all__: list[str] = []
