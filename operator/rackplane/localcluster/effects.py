"""What can be made to go wrong with one request or one stream. Which request it befalls is in `faults`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from .errors import ApiError

#: reason and message of a refusal that names none, by status.
_REFUSALS: dict[int, tuple[str, str]] = {
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "forbidden by a fault"),
    409: (
        "Conflict",
        "the object has been modified; please apply your changes to the latest version and try again",
    ),
    410: ("Expired", "The resourceVersion for the provided watch is too old."),
    429: ("TooManyRequests", "Too many requests, please try again later."),
    500: ("InternalError", "an error on the server has prevented the request from succeeding"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: (
        "Timeout",
        "the server was unable to return a response in the time allotted, but may still be processing it",
    ),
}


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that goes wrong."""

    #: The verbs an effect makes sense for; empty: all.
    verbs: ClassVar[frozenset[str]] = frozenset()
    #: Whether nothing else can happen to the request before the server acts on it.
    final: ClassVar[bool] = False


# -- requests, streams included until their first byte


@dataclass(frozen=True, slots=True)
class Delay(Effect):
    """Latency: seconds before the server acts, and seconds between acting and answering.

    A client that gives up meanwhile changes nothing: the server still acts when its time has come.
    """

    before: float = 0.0
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Refuse(Effect):
    """The server answers an error and does nothing. `retry_after`: whole seconds it asks the client to wait."""

    final: ClassVar[bool] = True
    code: int
    reason: str = ""
    message: str = ""
    retry_after: int | None = None

    def problem(self) -> ApiError:
        """The refusal as the Status that goes on the wire."""
        reason, message = _REFUSALS.get(self.code, ("", "refused by a fault"))
        details: dict[str, Any] = {} if self.retry_after is None else {"retryAfterSeconds": self.retry_after}
        return ApiError(self.code, self.reason or reason, self.message or message, details)


@dataclass(frozen=True, slots=True)
class Cut(Effect):
    """The connection breaks before the server acts. To the client it looks like `LoseAnswer()`."""

    final: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Hang(Effect):
    """The request arrives nowhere and nothing ever comes back: the client waits until its own timeout."""

    final: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class LoseAnswer(Effect):
    """The server acts, and the answer never comes: the connection breaks or, if `silent`, stays open for ever."""

    silent: bool = False


@dataclass(frozen=True, slots=True)
class Stale(Effect):
    """A list shows the state `revisions` writes ago, or the oldest one known: consistent, and of the past.

    That is allowed for lists with resourceVersion=0, and only they are met. `quorum` meets every list that names no
    other version: such a server breaks its promise (a lagging etcd member behind a broken read index).
    """

    verbs: ClassVar[frozenset[str]] = frozenset({"list"})
    revisions: int
    quorum: bool = False


@dataclass(frozen=True, slots=True)
class Compact(Effect):
    """The history is forgotten before the server acts: versions and pages from before it answer 410."""


@dataclass(frozen=True, slots=True)
class Jump(Effect):
    """The cluster's wall clock, which must be a `WallClock`, jumps by that many seconds before the server acts."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Act(Effect):
    """Calls the test's own functions: `before` with the request, `after` with the request and its answer.

    Before: another writer gets in between (a real conflict). What they raise reaches the client as it is in process,
    as a 500 over HTTP.
    """

    before: Callable[[Any], object] | None = None
    after: Callable[[Any, Any], object] | None = None


# -- open streams


@dataclass(frozen=True, slots=True)
class StreamEffect(Effect):
    """Happens to a watch after `events` more events (bookmarks count) and not before `seconds` have passed."""

    verbs: ClassVar[frozenset[str]] = frozenset({"watch"})
    events: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CutStream(StreamEffect):
    """The connection breaks at an event or, with `mid_line`, halfway through the next one."""

    mid_line: bool = False


@dataclass(frozen=True, slots=True)
class HalfOpen(StreamEffect):
    """The other end is gone and nobody says so: no event, no bookmark, no FIN, for ever."""


@dataclass(frozen=True, slots=True)
class StreamError(StreamEffect):
    """An ERROR event with this status ends the stream."""

    code: int = 410


@dataclass(frozen=True, slots=True)
class Lag(Effect):
    """Every event of the watch is that many seconds late. What has not come when the watch ends comes in the next."""

    verbs: ClassVar[frozenset[str]] = frozenset({"watch"})
    seconds: float


@dataclass(frozen=True, slots=True)
class Bookmarks(Effect):
    """Bookmarks come every so many seconds instead of once a minute; None: not at all."""

    verbs: ClassVar[frozenset[str]] = frozenset({"watch"})
    every: float | None = None
