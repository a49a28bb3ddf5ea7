"""One watch: what changed since a revision, through a selector, as the events a client gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import listoptions
from .errors import ApiError
from .listoptions import ListOptions
from .objects import Obj
from .resources import Resource
from .selectors import Predicate
from .store import ADDED, DELETED, MODIFIED, Change, Store

Event = dict[str, Any]


class Watch:
    """Polled for events; never waits itself. `timeout` is the client's timeoutSeconds, None when it gave none."""

    def __init__(
        self,
        store: Store,
        resource: Resource,
        namespace: str,
        predicate: Predicate | None,
        render: Callable[[Obj, bool], Any],
        revision: int,
        bookmarks: bool,
        timeout: float | None,
    ) -> None:
        self.resource = resource
        self.bookmarks = bookmarks
        self.timeout = timeout
        self.closed = False
        self.revision = revision
        self._store = store
        self._namespace = namespace
        self._predicate = predicate
        self._render = render
        self._first = True
        self._pending: list[Event] = []

    @classmethod
    def open(
        cls,
        store: Store,
        resource: Resource,
        namespace: str,
        predicate: Predicate | None,
        options: ListOptions,
        render: Callable[[Obj, bool], Any],
    ) -> Watch:
        """Start a watch as the parameters ask.

        Raises:
            ApiError: 500 for a malformed resourceVersion, as upstream. One too old answers 410 inside the stream.
        """
        asked = listoptions.revision(options.version, code=500)
        bookmarks, initial = options.bookmarks, bool(options.initial)
        fresh = not asked or initial
        revision = store.revision if fresh else asked
        watch = cls(store, resource, namespace, predicate, render, revision, bookmarks, options.timeout)
        if fresh and options.initial is not False:
            for obj in store.items(resource.key, namespace):
                if predicate is None or predicate(obj):
                    watch._pending.append(watch._event(ADDED, obj))
            if initial and bookmarks:
                watch._pending.append(watch.bookmark({"k8s.io/initial-events-end": "true"}))
        return watch

    def poll(self) -> list[Event]:
        """Events since the last poll, in order. After an ERROR event the watch is closed."""
        events, self._pending = self._pending, []
        if self.closed:
            return events
        try:
            changes = self._store.since(self.resource.key, self.revision)
        except ApiError as problem:
            self.closed = True
            return [*events, {"type": "ERROR", "object": problem.status()}]
        for change in changes:
            event = self._translate(change)
            if event is not None:
                events.append(event)
        self.revision = self._store.revision if self.revision < self._store.revision else self.revision
        return events

    def passed(self, revision: int) -> None:
        """What was written last is of another resource: whoever has all before it is up to date with it."""
        if self.revision == revision - 1:
            self.revision = revision

    def bookmark(self, annotations: dict[str, str] | None = None) -> Event:
        """A BOOKMARK of where the watch is."""
        metadata: Obj = {"resourceVersion": str(self.revision), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        body = {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": metadata}
        return {"type": "BOOKMARK", "object": body}

    def _translate(self, change: Change) -> Event | None:
        """What a change looks like through the selector: entering it is ADDED, leaving it DELETED."""
        if self._namespace and change.namespace != self._namespace:
            return None
        now = self._matches(change.object) and change.type != DELETED
        before = change.previous is not None and self._matches(change.previous)
        if now:
            return self._event(MODIFIED if before else ADDED, change.object)
        if not before:
            return None
        if change.type == DELETED or change.previous is None:
            return self._event(DELETED, change.object)
        # As upstream: what left the selector is shown as it last matched, with the revision of its leaving.
        last = {
            **change.previous,
            "metadata": {**change.previous["metadata"], "resourceVersion": str(change.revision)},
        }
        return self._event(DELETED, last)

    def _matches(self, obj: Obj) -> bool:
        return self._predicate is None or self._predicate(obj)

    def _event(self, kind: str, obj: Obj) -> Event:
        event = {"type": kind, "object": self._render(obj, self._first)}
        self._first = False
        return event
