"""ResourceClaims, their templates, and ComputeDomains: the few fields that decisions need, as in `objects.py`."""

from __future__ import annotations

from typing import Any

import msgspec

from rackplane.core.objects import Metadata, RequiredNodeAffinity

__all__ = [
    "ClaimAllocation",
    "ClaimSpec",
    "ComputeDomain",
    "DeviceRequest",
    "DevicesAsked",
    "ResourceClaim",
    "ResourceClaimTemplate",
]


class _Object(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    pass


class DevicesAsked(_Object, frozen=True):
    """Devices of one class: of `exactly`, or an entry of `firstAvailable`."""

    device_class_name: str = ""
    #: ExactCount, which a missing one means, or All
    allocation_mode: str = "ExactCount"
    count: int = 1
    #: looks at devices that others hold, and takes none
    admin_access: bool = False
    #: conditions on single devices, and on what is left of a device that claims share: only whether there are any
    selectors: tuple[Any, ...] | None = None
    capacity: dict[str, Any] | None = None


class DeviceRequest(_Object, frozen=True):
    name: str = ""
    exactly: DevicesAsked | None = None
    first_available: tuple[DevicesAsked, ...] | None = None


class DevicesWanted(_Object, frozen=True):
    #: null where there are none: the API server writes it so
    requests: tuple[DeviceRequest, ...] | None = None


class ClaimSpec(_Object, frozen=True):
    devices: DevicesWanted = DevicesWanted()


class ClaimDevice(_Object, frozen=True):
    driver: str = ""
    pool: str = ""
    device: str = ""
    admin_access: bool = False


class ClaimDevices(_Object, frozen=True):
    results: list[ClaimDevice] = []


class ClaimAllocation(_Object, frozen=True):
    devices: ClaimDevices = ClaimDevices()
    #: nodes that can use what is allocated; None: all
    node_selector: RequiredNodeAffinity | None = None


class ResourceClaimStatus(_Object, frozen=True):
    allocation: ClaimAllocation | None = None


class ResourceClaim(_Object, frozen=True):
    metadata: Metadata
    spec: ClaimSpec = ClaimSpec()
    status: ResourceClaimStatus = ResourceClaimStatus()


class ClaimTemplateSpec(_Object, frozen=True):
    spec: ClaimSpec = ClaimSpec()


class ResourceClaimTemplate(_Object, frozen=True):
    metadata: Metadata
    spec: ClaimTemplateSpec = ClaimTemplateSpec()


class ComputeDomain(_Object, frozen=True):
    """Of resource.nvidia.com/v1beta1: nodes whose GPUs may use each other's memory over NVLink."""

    metadata: Metadata
