"""HardwareProfile: what one type of node draws, and what it may be capped to."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from rackplane.api.base import (
    AGE,
    READY,
    REASON,
    ApiModel,
    Column,
    Count,
    ExtendedResource,
    Integer,
    KindInfo,
    ObjectName,
    Percent,
    PositiveWatts,
    ProfileName,
    Resource,
    Rule,
    Scope,
    Watts,
    list_map,
    unique,
)
from rackplane.api.common import Status

#: The profile a gang asks for by default: no cap below the node's maximum.
MAX_PROFILE = "MaxP"


class NVLinkScope(StrEnum):
    """How far NVLink reaches: the node, the nodes with one clique label, an NVLinkDomain object, nowhere."""

    NODE = "Node"
    LABEL = "Label"
    OBJECT = "Object"
    NONE = "None"


class SourceBasis(StrEnum):
    """How sure a figure is: a vendor says so, the press does, it is arithmetic on those, or it is a guess."""

    VENDOR = "Vendor"
    PRESS = "Press"
    DERIVED = "Derived"
    ESTIMATE = "Estimate"


class PowerProfile(ApiModel):
    """A cap that a node of this type can run at."""

    name: ProfileName = Field(description="Name that gangs ask for: MaxP, MaxQ, MaxLPS or your own.")
    node_watts: PositiveWatts = Field(
        description="Watts the whole node is held to: not a GPU, and not the sum of its GPUs only."
    )
    relative_performance_percent: Annotated[Integer, Field(ge=1, le=100)] = Field(
        description="Training speed at this cap in percent of the speed at maxWatts."
    )


class FigureSource(ApiModel):
    """Where a figure of this profile comes from."""

    field: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="The field it is about, relative to spec: idleWatts, powerProfiles[MaxQ].nodeWatts. "
        "rack.overheadWatts is a recommendation for racks of this hardware."
    )
    basis: SourceBasis = Field(
        description="Vendor: the vendor publishes it. Press: a third party does. Derived: arithmetic on "
        "published "
        "figures. Estimate: nobody publishes it, replace it by your own measurement."
    )
    text: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description="The source, or the arithmetic, in words."
    )


class HardwareProfileSpec(ApiModel):
    """A type of node. Figures are per node (for NVL72 systems: per compute tray)."""

    gpu_model: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Name of the GPU, for people: NVIDIA GB300."
    )
    gpus_per_node: Annotated[Integer, Field(ge=1, le=1024)] = Field(
        description="GPUs in one node (packages, not dies)."
    )
    resource_name: ExtendedResource = Field(
        default="nvidia.com/gpu", description="Extended resource that pods ask for to get one of these GPUs."
    )
    device_class_names: tuple[ObjectName, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra=unique(),
        description="DeviceClasses of these GPUs: of a ResourceClaim each device of one of them counts as one GPU. "
        "A class may be named by several profiles if they have one resourceName.",
    )
    nvlink_scope: NVLinkScope = Field(
        description="What forms one NVLink domain, or one domain of whatever else connects the accelerators. Node: "
        "each node its own. Label: the nodes with the same nvidia.com/gpu.clique label, or another that the operator "
        "reads for it. Object: the nodes an NVLinkDomain object names. None: nothing connects them."
    )
    idle_watts: Watts = Field(description="Watts of a powered node with no job on it.")
    max_watts: PositiveWatts = Field(
        description="Watts of a node at full load without a cap. Jobs that are not ours are counted at it."
    )
    typical_utilization_percent: Annotated[Integer, Field(ge=1, le=100)] = Field(
        default=100,
        description="u in: nominal watts = idle + u x (cap - idle). 100 counts every job at its cap.",
    )
    peak_percent: Annotated[Integer, Field(ge=100, le=300)] = Field(
        default=100,
        description="Short peaks in percent of the cap, as the feed sees them: peak = cap x peakPercent.",
    )
    liquid_heat_percent: Percent = Field(
        default=0,
        description="Part of the heat, of the rack's overhead too, that goes into the liquid loop; the rest is air.",
    )
    power_profiles: tuple[PowerProfile, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra=list_map("name"),
        description="Caps that gangs may ask for. MaxP is always there: maxWatts at 100 percent unless "
        "listed.",
    )
    sources: tuple[FigureSource, ...] = Field(
        default=(),
        max_length=64,
        json_schema_extra=list_map("field"),
        description="Where each figure comes from.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.idleWatts <= self.maxWatts",
            message="idleWatts is above maxWatts",
            remedy="Set idleWatts to at most maxWatts",
            check=lambda spec: spec.idle_watts <= spec.max_watts,
            field="idleWatts",
        ),
        Rule(
            cel="!has(self.powerProfiles) || self.powerProfiles.all(p, "
            "p.nodeWatts >= self.idleWatts && p.nodeWatts <= self.maxWatts)",
            message="a power profile caps the node below idleWatts or above maxWatts",
            remedy="Set each powerProfiles[].nodeWatts between idleWatts and maxWatts",
            check=lambda spec: all(
                spec.idle_watts <= profile.node_watts <= spec.max_watts for profile in spec.power_profiles
            ),
            field="powerProfiles",
        ),
    )

    def effective_power_profiles(self) -> tuple[PowerProfile, ...]:
        """All caps, highest watts first, with MaxP added (maxWatts, 100 percent) if it is not listed."""
        profiles = list(self.power_profiles)
        if all(profile.name != MAX_PROFILE for profile in profiles):
            profiles.append(
                PowerProfile(name=MAX_PROFILE, node_watts=self.max_watts, relative_performance_percent=100)
            )
        return tuple(sorted(profiles, key=lambda profile: (-profile.node_watts, profile.name)))


class HardwareProfileStatus(Status):
    """What uses this profile now."""

    racks: Count | None = Field(default=None, description="Racks that name this profile.")
    nodes: Count | None = Field(default=None, description="Nodes in those racks.")


class HardwareProfile(Resource):
    """HardwareProfile describes a type of node: its GPUs, how far NVLink reaches, what it draws idle, at full
    load and under each power profile, and where its heat goes."""

    info = KindInfo(
        kind="HardwareProfile",
        plural="hardwareprofiles",
        short_names=("hwp",),
        scope=Scope.CLUSTER,
        columns=(
            Column("GPU", ".spec.gpuModel", description="GPU model"),
            Column("GPUs", ".spec.gpusPerNode", "integer", "GPUs in one node"),
            Column("NVLink", ".spec.nvlinkScope", description="What forms one NVLink domain"),
            Column("Idle W", ".spec.idleWatts", "integer", "Watts of an idle node"),
            Column("Max W", ".spec.maxWatts", "integer", "Watts of a node at full load"),
            Column("Liquid %", ".spec.liquidHeatPercent", "integer", "Heat into the liquid loop", wide=True),
            Column("Racks", ".status.racks", "integer", "Racks with this profile"),
            Column("Nodes", ".status.nodes", "integer", "Nodes with this profile"),
            READY,
            REASON,
            AGE,
        ),
    )

    spec: HardwareProfileSpec = Field(description="The type of node.")
    status: HardwareProfileStatus = Field(
        default_factory=HardwareProfileStatus, description="Written by Rackplane."
    )
