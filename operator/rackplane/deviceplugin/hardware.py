"""What the GPUs of a node are, by what the operator decides by: its Rack, HardwareProfile and NVLinkDomain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from rackplane.api.decode import decode
from rackplane.api.fabric import CLIQUE_LABEL, Fabric
from rackplane.api.hardware_profile import HardwareProfile, NVLinkScope
from rackplane.api.nvlink_domain import NVLinkDomain
from rackplane.api.rack import Rack
from rackplane.core.objects import Metadata
from rackplane.core.objects import Node as CoreNode
from rackplane.core.site.membership import Claim, Membership
from rackplane.nodeagent.node import Meta

__all__ = ["COUNT_LABEL", "KINDS", "PRODUCT_LABEL", "Facility", "Hardware", "Written", "labels_of"]

KINDS: Final[Mapping[str, type[Rack] | type[HardwareProfile] | type[NVLinkDomain]]] = {
    "Rack": Rack,
    "HardwareProfile": HardwareProfile,
    "NVLinkDomain": NVLinkDomain,
}
"""Those that are read."""
_NVIDIA: Final = "nvidia.com/"
PRODUCT_LABEL: Final = "nvidia.com/gpu.product"
COUNT_LABEL: Final = "nvidia.com/gpu.count"


class Written(msgspec.Struct):
    """One of these objects, as it is written."""

    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: dict[str, Any] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hardware:
    """The GPUs of one node. All watts of a GPU but `host_watts`, which is what the rest of the node draws, always."""

    model: str
    resource: str
    count: int
    host_watts: int
    idle_watts: int
    most_watts: int
    busy_percent: int
    clique: str = ""
    """Value of the label that names its NVLink domain; empty: it has none, or the label comes from elsewhere."""


class Facility:
    """Racks, HardwareProfiles and NVLinkDomains, kept as they come."""

    def __init__(self) -> None:
        self._written: dict[str, dict[str, Written]] = {kind: {} for kind in KINDS}

    def put(self, kind: str, it: Written) -> None:
        self._written[kind][it.metadata.name] = it

    def drop(self, kind: str, name: str) -> None:
        self._written[kind].pop(name, None)

    def hardware(
        self, node: str, labels: Mapping[str, str], *, host_watts: int | None = None
    ) -> Hardware | str:
        """The node's GPUs, or why it has none, for people.

        The draw of all of them and the host is then that of the HardwareProfile, idle and at work.

        Args:
            labels: of the node.
            host_watts: what the node draws beside its GPUs. None: half of its idle watts.
        """
        valid: dict[str, dict[str, Any]] = {}
        invalid: dict[str, dict[str, object]] = {}
        for kind, model in KINDS.items():
            valid[kind], invalid[kind] = {}, {}
            for name, it in self._written[kind].items():
                found = decode(model, msgspec.to_builtins(it))
                if isinstance(found, list):
                    invalid[kind][name] = it.spec
                else:
                    valid[kind][name] = found
        claim = Membership(
            racks=valid["Rack"],
            domains=valid["NVLinkDomain"],
            profiles=valid["HardwareProfile"],
            invalid_racks=invalid["Rack"],
            invalid_domains=invalid["NVLinkDomain"],
            fabric=Fabric(),
        ).claim(CoreNode(metadata=Metadata(name=node, labels=dict(labels))))
        if len(claim.racks) != 1:
            named = " and ".join(claim.racks)
            return (
                f"Racks {named} both claim the node" if named else "no Rack's nodeSelector matches the node"
            )
        rack: Rack | None = valid["Rack"].get(claim.racks[0])
        if rack is None:
            return f"Rack {claim.racks[0]} is not valid"
        profile: HardwareProfile | None = valid["HardwareProfile"].get(rack.spec.profile)
        if profile is None:
            return f"HardwareProfile {rack.spec.profile} of Rack {rack.name} does not exist or is not valid"
        clique = _clique(claim, rack, profile, valid["NVLinkDomain"])
        return _of(profile, clique, host_watts)


def _of(profile: HardwareProfile, clique: str, host_watts: int | None) -> Hardware | str:
    spec = profile.spec
    host = spec.idle_watts // 2 if host_watts is None else host_watts
    most = (spec.max_watts - host) // spec.gpus_per_node
    if most < 1:
        return (
            f"{host} W for the host leave nothing of the {spec.max_watts} W of HardwareProfile {profile.name}"
        )
    return Hardware(
        model=spec.gpu_model,
        resource=spec.resource_name,
        count=spec.gpus_per_node,
        host_watts=host,
        idle_watts=max(0, spec.idle_watts - host) // spec.gpus_per_node,
        most_watts=most,
        busy_percent=spec.typical_utilization_percent,
        clique=clique,
    )


def _clique(claim: Claim, rack: Rack, profile: HardwareProfile, domains: Mapping[str, NVLinkDomain]) -> str:
    """As NVIDIA's labels have it: the UUID of the fabric, here the object's own, and a number within it."""
    domain = domains.get(claim.domains[0]) if len(claim.domains) == 1 else None
    if domain is not None:
        # One that is found by the label already has nothing to say of it.
        return "" if domain.spec.clique else f"{domain.metadata.uid}.0"
    if profile.spec.nvlink_scope is NVLinkScope.LABEL and not claim.domains:
        return f"{rack.metadata.uid}.0"
    return ""


def labels_of(hardware: Hardware | None) -> dict[str, str | None]:
    """The labels that say what the GPUs are, as NVIDIA's feature discovery writes them; None: not there."""
    product = count = clique = None
    if hardware is not None:
        clique = hardware.clique or None
        if hardware.resource.startswith(_NVIDIA):
            product, count = hardware.model.replace(" ", "-")[:63], str(hardware.count)
    return {
        PRODUCT_LABEL: product,
        COUNT_LABEL: count,
        CLIQUE_LABEL: clique,
    }
