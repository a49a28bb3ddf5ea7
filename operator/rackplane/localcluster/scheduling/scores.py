"""Which of the nodes that fit is best: the scores of kube-scheduler that do not look at other pods or at images.

Preferences between pods and about spreading are not scored: any node that fits satisfies them as well as another.
"""

from __future__ import annotations

from fractions import Fraction

from rackplane.localcluster.objects import dig

from .filters import Fit
from .nodes import PREFERRED, ZERO, NodeInfo, matches_term, tolerates

_MOST = 100
_TAINTS, _AFFINITY = 3, 2
_COUNTED = ("cpu", "memory")


def best(fit: Fit, nodes: list[NodeInfo]) -> NodeInfo:
    """The node with the highest score; by name where several have it."""
    if len(nodes) == 1:
        return nodes[0]
    disliked = [_disliked_taints(fit, info) for info in nodes]
    liked = [_preferred(fit, info) for info in nodes]
    worst, most = max(disliked), max(liked)
    ranked = [
        (
            -(
                (_TAINTS * (_MOST - _MOST * bad // worst) if worst else 0)
                + (_AFFINITY * (_MOST * good // most) if most else 0)
                + _room(fit, info)
            ),
            info.name,
            info,
        )
        for info, bad, good in zip(nodes, disliked, liked, strict=True)
    ]
    return min(ranked, key=lambda entry: entry[:2])[2]


def _disliked_taints(fit: Fit, info: NodeInfo) -> int:
    tolerations = fit.spec.get("tolerations") or ()
    return sum(
        taint.get("effect") == "PreferNoSchedule" and not any(tolerates(one, taint) for one in tolerations)
        for taint in info.taints
    )


def _preferred(fit: Fit, info: NodeInfo) -> int:
    entries = dig(fit.spec, "affinity", "nodeAffinity", PREFERRED) or ()
    return sum(
        int(entry.get("weight") or 0)
        for entry in entries
        if info.node is not None and matches_term(entry.get("preference") or {}, info.node)
    )


def _room(fit: Fit, info: NodeInfo) -> Fraction:
    """Least allocated and balanced allocation: free shares of cpu and memory, and how alike they are."""
    shares = []
    for name in _COUNTED:
        room = info.room.get(name, ZERO)
        if room:
            used = info.used.get(name, ZERO) + fit.asked.get(name, ZERO)
            shares.append(min(Fraction(1), used / room))
    if not shares:
        return ZERO
    free = _MOST * sum((1 - part for part in shares), ZERO) / len(shares)
    apart = abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else ZERO
    return free + _MOST * (1 - apart)
