"""Events about Jobs, as many as client-go's recorder lets through: similar ones together, and not too many at all."""

from __future__ import annotations

from rackplane.localcluster.events import Recorder
from rackplane.localcluster.objects import Obj, meta
from rackplane.localcluster.service import Service

#: From so many different messages of one type and reason on, the further ones are one Event.
_SIMILAR = 10
_SIMILAR_SECONDS = 600.0
#: Events about one object: so many at once, and one more every five minutes.
_BURST = 25
_REFILL_SECONDS = 300.0

_Group = tuple[str, str, bool]


class Correlator:
    """Records Events about Jobs."""

    def __init__(self, service: Service) -> None:
        self._clock = service.clock
        self._recorder = Recorder(service.store, "job-controller", service.clock)
        self._messages: dict[_Group, tuple[set[str], float]] = {}
        self._tokens: dict[str, tuple[float, float]] = {}
        self._held_back: dict[tuple[_Group, str], int] = {}

    def forget(self, uid: str) -> None:
        """An object is gone."""
        self._tokens.pop(uid, None)
        for group in [group for group in self._messages if group[0] == uid]:
            del self._messages[group]
        for key in [key for key in self._held_back if key[0][0] == uid]:
            del self._held_back[key]

    def record(self, about: Obj, reason: str, message: str, *, warning: bool = False) -> None:
        """Write one Event about a Job, or raise the count of one, or let it be."""
        now = self._clock()
        group = (str(meta(about)["uid"]), reason, warning)
        messages, last = self._messages.get(group, (set(), now))
        if now - last > _SIMILAR_SECONDS:
            messages = set()
        messages.add(message)
        self._messages[group] = (messages, now)
        key = message
        if len(messages) >= _SIMILAR:
            messages.discard(message)
            key, message = "", f"(combined from similar events): {message}"
        times = 1 + self._held_back.pop((group, key), 0)
        if self._allowed(group[0], now):
            self._recorder.record(about, reason, message, warning=warning, key=key, times=times)
        else:
            self._held_back[group, key] = times

    def _allowed(self, uid: str, now: float) -> bool:
        tokens, last = self._tokens.get(uid, (float(_BURST), now))
        tokens = min(float(_BURST), tokens + (now - last) / _REFILL_SECONDS)
        allowed = tokens >= 1
        self._tokens[uid] = (tokens - 1 if allowed else tokens, now)
        return allowed
