"""What was written lately: the changes that a watch, or a list at an older revision, looks back on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from . import errors
from .objects import Obj

#: (group, plural): what is stored once however many versions serve it.
GroupResource = tuple[str, str]

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write. `previous` is None for ADDED; for DELETED `object` is the last state."""

    revision: int
    type: str
    resource: GroupResource
    namespace: str
    name: str
    object: Obj
    previous: Obj | None


class History:
    """Changes by resource, oldest first; at most `limit` of all resources together."""

    def __init__(self, limit: int) -> None:
        self.compacted = 0
        self._limit = limit
        self._changes: dict[GroupResource, deque[Change]] = {}
        # Whose change each is, in the order in which the limit removes them.
        self._order: deque[GroupResource] = deque()

    def add(self, change: Change) -> None:
        """Note a change; the oldest ones beyond the limit are compacted."""
        self._changes.setdefault(change.resource, deque()).append(change)
        self._order.append(change.resource)
        while len(self._order) > self._limit:
            oldest = self._changes[self._order.popleft()].popleft()
            self.compacted = max(self.compacted, oldest.revision)

    def since(self, resource: GroupResource, revision: int) -> list[Change]:
        """Changes of a resource after a revision, oldest first.

        Raises:
            ApiError: 410, the revision is compacted.
        """
        if revision < self.compacted:
            raise errors.too_old(revision, self.compacted)
        found: list[Change] = []
        for change in reversed(self._changes.get(resource, ())):
            if change.revision <= revision:
                break
            found.append(change)
        found.reverse()
        return found

    def all_since(self, revision: int) -> list[Change]:
        """Changes of all resources after a revision, oldest first.

        Raises:
            ApiError: 410, the revision is compacted.
        """
        found = [change for resource in self._changes for change in self.since(resource, revision)]
        return sorted(found, key=lambda change: change.revision)

    def compact(self, upto: int) -> None:
        """Forget all changes up to and including a revision."""
        for changes in self._changes.values():
            while changes and changes[0].revision <= upto:
                changes.popleft()
        order: deque[GroupResource] = deque()
        for resource, changes in self._changes.items():
            order.extend([resource] * len(changes))
        # Order among resources is lost here; trimming then removes a resource's oldest first, which is all it needs.
        self._order = order
        self.compacted = max(self.compacted, upto)
