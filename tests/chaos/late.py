"""Commits of a leader whose time was over: they count for nobody, and who leads by then has to take them back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rackplane.localcluster import LocalCluster

__all__ = ["RETRY_SECONDS", "LateCommits"]

LEASES = ("coordination.k8s.io", "leases")
#: The longest pause after a write that failed.
RETRY_SECONDS = 35.0


@dataclass(frozen=True)
class _Late:
    """One such commit.

    Args:
        at: when it landed, in seconds.
        leader: whoever had begun to lead by then, and has to take it back; empty: a list was still to come, and who is
            to lead may find it there.
    """

    at: float
    leader: str


class LateCommits:
    """Those that stand, by gang.

    Args:
        stint: who has begun to lead in a term, and since which list of the Gangs; empty: nobody.
    """

    def __init__(self, cluster: LocalCluster, stint: Callable[[int], str]) -> None:
        self._store = cluster.store
        self._stint = stint
        self._found: dict[str, _Late] = {}

    def __contains__(self, gang: str) -> bool:
        return gang in self._found

    @property
    def disputed(self) -> bool:
        """Whether one stands that who leads does not count."""
        return bool(self._found) and self._stint(self._term()) in {
            late.leader for late in self._found.values()
        }

    def is_void(self, gang: str) -> bool:
        """Whether what stands of the gang is one that who leads does not count: for as long as `look` allows that."""
        late = self._found.get(gang)
        return late is not None and bool(late.leader) and self._stint(self._term()) == late.leader

    def committed(self, gang: str, term: int, now: float) -> bool:
        """Take note of a commit; whether it came too late."""
        found = self._term()
        if term >= found:
            self.forget(gang)
            return False
        self._found[gang] = _Late(now, self._stint(found))
        return True

    def forget(self, gang: str) -> None:
        """It has no place any more, or another one."""
        self._found.pop(gang, None)

    def acts(self, gang: str, writer: str, what: str) -> None:
        """A process carries out what was decided of a gang: not after an old leader's commit."""
        late = self._found.get(gang)
        if late is None or not writer:
            return
        assert not late.leader or self._stint(self._term()) != late.leader, (
            f"{writer} {what} of {gang}, which an old leader placed"
        )
        holder = self.holder()
        assert holder.startswith(f"{writer}_"), f"{writer} {what} of {gang}, and {holder} holds the Lease"

    def look(self, now: float, disturbed_at: float) -> None:
        """Who led when one came has taken it back, once there was time to."""
        for gang, late in self._found.items():
            waited = now - max(late.at, disturbed_at)
            if late.leader and waited > RETRY_SECONDS:
                assert self._stint(self._term()) != late.leader, (
                    f"{late.leader} leaves {gang} for {waited:.0f} s where an old leader placed it"
                )

    def holder(self) -> str:
        """Who holds the Lease; empty: nobody."""
        lease = self._store.get(LEASES, "rackplane-system", "rackplane")
        return "" if lease is None else lease["spec"].get("holderIdentity") or ""

    def _term(self) -> int:
        lease = self._store.get(LEASES, "rackplane-system", "rackplane")
        return 0 if lease is None else int(lease["spec"].get("leaseTransitions") or 0)
