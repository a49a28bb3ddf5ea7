"""The eight kinds, by name."""

from typing import Final

from rackplane.api.base import Resource
from rackplane.api.cooling_zone import CoolingZone
from rackplane.api.gang import Gang
from rackplane.api.hardware_profile import HardwareProfile
from rackplane.api.nvlink_domain import NVLinkDomain
from rackplane.api.power_budget import PowerBudget
from rackplane.api.power_domain import PowerDomain
from rackplane.api.queue import Queue
from rackplane.api.rack import Rack

#: Facility first, then policy, then work: the order to apply them in.
KINDS: Final[tuple[type[Resource], ...]] = (
    HardwareProfile,
    PowerDomain,
    CoolingZone,
    Rack,
    NVLinkDomain,
    PowerBudget,
    Queue,
    Gang,
)
BY_KIND: Final[dict[str, type[Resource]]] = {model.info.kind: model for model in KINDS}
