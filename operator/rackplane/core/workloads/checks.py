"""What a Workload of Kueue says of our admission check."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Check"]


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    #: Pending, Ready, Retry or Rejected
    state: str
    message: str
    #: when it came to be in that state, as the API writes times
    since: str | None
    #: why nothing is asked of us, in words: Kueue has not given it quota, or has taken it back; "" if we are asked
    held: str
