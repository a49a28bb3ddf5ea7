"""Which NVLink cliques have a ComputeDomain: of a second one in the same clique the memory accesses of both fail.

NVIDIA's DRA driver starts an IMEX domain for every ComputeDomain in each clique that its pods are in, and labels their
nodes with its uid. Who is in a clique is counted as pods with a mark are that a term of anti-affinity means
(core/pods/neighbours.py): the slots of gangs with a ComputeDomain from the decision on, and the nodes that the driver
has labelled for others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from rackplane.api.labels import CLIQUE_LABEL
from rackplane.core.claims import ComputeDomain
from rackplane.core.objects import Gang
from rackplane.core.pods.neighbours import Key, Pods
from rackplane.core.pods.podterms import Term

__all__ = ["DOMAIN_LABEL", "Cliques", "apart", "key_of_gang", "key_of_label", "marked"]

DOMAIN_LABEL: Final = "resource.nvidia.com/computeDomain"
"""Label on a node, and on a ResourceClaimTemplate, by the driver: the uid of the ComputeDomain that it is of."""

#: No pod has a label of this name: it begins with a character that is not allowed in one.
_MARK: Final = "=compute-domain"


def marked(of: str) -> Pods:
    """What stands for pods of a ComputeDomain.

    Args:
        of: the booking key of its gang, or the uid of one that no gang of ours has.
    """
    return Pods("", {_MARK: of}, promised=True)


def apart(but: str = "") -> Term:
    """All cliques with a ComputeDomain; but those where it is of the gang with this booking key."""
    own = ((_MARK, "NotIn", (but,)),) if but else ()
    return Term(CLIQUE_LABEL, ((_MARK, "Exists", ()), *own), None)


def key_of_gang(gang: Key) -> Key:
    """Under which key a gang's nodes are counted: no gang has it."""
    return ("=gang", "/".join(gang))


def key_of_label(uid: str) -> Key:
    """The same of the nodes with a label."""
    return ("=label", uid)


@dataclass(slots=True)
class Cliques:
    """ComputeDomains, and the nodes that they are on by their labels."""

    #: whether the cluster has the kind; None: nobody has looked
    served: bool | None = None
    domains: dict[Key, ComputeDomain] = field(default_factory=dict)
    #: uids of labels that mean other nodes, or another gang, than when they were counted last
    stale: dict[str, None] = field(default_factory=dict)
    _by_uid: dict[str, Key] = field(default_factory=dict)
    _labels: dict[str, str] = field(default_factory=dict)
    _nodes: dict[str, dict[str, None]] = field(default_factory=dict)

    def put(self, domain: ComputeDomain) -> None:
        key = (domain.metadata.namespace, domain.metadata.name)
        self.drop(key)
        self.domains[key] = domain
        self._by_uid[domain.metadata.uid] = key
        self.stale[domain.metadata.uid] = None

    def drop(self, key: Key) -> None:
        before = self.domains.pop(key, None)
        if before is not None:
            del self._by_uid[before.metadata.uid]
            self.stale[before.metadata.uid] = None

    def is_of(self, gang: Gang) -> bool:
        """Whether the ComputeDomain of the gang's name is its own, and not one that somebody else made."""
        domain = self.domains.get((gang.metadata.namespace, gang.metadata.name))
        return domain is not None and any(
            owner.uid == gang.metadata.uid for owner in domain.metadata.owner_references
        )

    def node(self, name: str, labels: Mapping[str, str]) -> None:
        """The node has these labels now; none: it is gone."""
        old, new = self._labels.get(name, ""), labels.get(DOMAIN_LABEL, "")
        if old == new:
            return
        if old:
            del self._labels[name]
            del self._nodes[old][name]
            if not self._nodes[old]:
                del self._nodes[old]
        if new:
            self._labels[name] = new
            self._nodes.setdefault(new, {})[name] = None
        self.stale.update(dict.fromkeys(uid for uid in (old, new) if uid))

    def gang(self, key: Key) -> None:
        """The gang has got a place, or has lost it."""
        domain = self.domains.get(key)
        if domain is not None:
            self.stale[domain.metadata.uid] = None

    def name_of(self, uid: str) -> Key | None:
        """The ComputeDomain with that uid; None if it is gone."""
        return self._by_uid.get(uid)

    def labelled(self, uid: str) -> Iterable[str]:
        """Nodes that are labelled with it."""
        return self._nodes.get(uid, ())

    def uids(self) -> Iterable[str]:
        """Of all labels."""
        return self._nodes
