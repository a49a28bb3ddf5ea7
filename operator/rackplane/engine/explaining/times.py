"""Times as people read them. The engine's clock counts seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=1_024)
def when(at: float, now: float | None = None) -> str:
    """ "17:00 UTC", or "2026-11-23 17:00 UTC" if that is not the day of ``now``; a part of a minute is rounded up.

    Rounded up, because it is read as the time from which something is possible.
    """
    moment = datetime.fromtimestamp(-(-at // 60) * 60, UTC)
    today = now is not None and datetime.fromtimestamp(now, UTC).date() == moment.date()
    return moment.strftime("%H:%M UTC" if today else "%Y-%m-%d %H:%M UTC")
