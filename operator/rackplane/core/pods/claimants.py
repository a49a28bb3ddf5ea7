"""Which pods use which ResourceClaim, so that a claim that changes is not looked for among all pods."""

from __future__ import annotations

from collections.abc import Iterator

from rackplane.core.objects import Pod

__all__ = ["Claimants"]

Key = tuple[str, str]


class Claimants:
    """Pods by the claims that they name, or that were made for them from a template."""

    def __init__(self) -> None:
        self._pods: dict[Key, dict[Key, None]] = {}

    def put(self, before: Pod | None, after: Pod | None) -> bool:
        """A pod is as it is ``after``; None: there was none, or is none any more. Whether its claims differ."""
        old, new = _claims(before), _claims(after)
        if old == new:
            return False
        if before is not None:
            key = (before.metadata.namespace, before.metadata.name)
            for claim in old - new:
                here = self._pods[claim]
                del here[key]
                if not here:
                    del self._pods[claim]
        if after is not None:
            key = (after.metadata.namespace, after.metadata.name)
            for claim in new - old:
                self._pods.setdefault(claim, {})[key] = None
        return True

    def of(self, claim: Key) -> Iterator[Key]:
        """The pods that use the claim."""
        return iter(self._pods.get(claim, ()))


_NONE: frozenset[Key] = frozenset()


def _claims(pod: Pod | None) -> frozenset[Key]:
    if pod is None or not pod.spec.resource_claims:
        return _NONE
    names = [reference.resource_claim_name for reference in pod.spec.resource_claims]
    names += [status.resource_claim_name for status in pod.status.resource_claim_statuses]
    return frozenset((pod.metadata.namespace, name) for name in names if name)
