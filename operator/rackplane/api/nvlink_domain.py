"""NVLinkDomain: the nodes of one NVSwitch fabric, and where that fabric hangs in the scale-out network."""

from typing import Annotated, ClassVar

from pydantic import Field

from rackplane.api.base import (
    AGE,
    READY,
    REASON,
    ApiModel,
    Column,
    Count,
    Integer,
    KindInfo,
    LabelValue,
    ObjectName,
    Resource,
    Rule,
    Scope,
    unique,
)
from rackplane.api.common import NVLINK_LEVEL, FabricStep, NodeSelector, ServiceState, Status
from rackplane.api.draining import DrainDeadline, DrainStatus
from rackplane.api.maintenance import MaintenanceWindows


def _one_selector(spec: "NVLinkDomainSpec") -> bool:
    return [spec.clique is not None, spec.node_selector is not None, bool(spec.racks)].count(True) == 1


class NVLinkDomainSpec(ApiModel):
    """One NVSwitch fabric. Exactly one of clique, nodeSelector and racks says which nodes are in it."""

    clique: LabelValue | None = Field(
        default=None,
        description="Value of the node label nvidia.com/gpu.clique (ClusterUUID.CliqueID): nodes with it "
        "are in.",
    )
    node_selector: NodeSelector | None = Field(
        default=None, description="Labels: nodes that carry all of them are in."
    )
    racks: tuple[ObjectName, ...] = Field(
        default=(),
        max_length=64,
        json_schema_extra=unique(),
        description="Racks whose nodes are in: one for NVL72, two for NVL36x2.",
    )
    fabric_path: tuple[FabricStep, ...] = Field(
        default=(),
        max_length=8,
        description="Where the domain hangs in the scale-out fabric, innermost first: leaf (scalable unit), "
        "spine.",
    )
    spare_nodes: Annotated[Integer, Field(ge=0, le=4096)] = Field(
        default=0,
        description="Healthy nodes kept free to replace failed ones, less those that are away already; a gang may "
        "not take the last so many.",
    )
    state: ServiceState = Field(
        default=ServiceState.ACTIVE,
        description="Active takes new gangs. Draining takes none, and those that run leave it at their next "
        "checkpoint. Maintenance takes none and is emptied at once, or at drainDeadline.",
    )
    drain_deadline: DrainDeadline = None
    maintenance: MaintenanceWindows = ()

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.clique) ? 1 : 0) + (has(self.nodeSelector) ? 1 : 0) + "
            "(has(self.racks) && size(self.racks) > 0 ? 1 : 0) == 1",
            message="not exactly one of clique, nodeSelector and racks is set",
            remedy="Set one of spec.clique, spec.nodeSelector and spec.racks and remove the others",
            check=_one_selector,
        ),
        Rule(
            cel="!has(self.fabricPath) || self.fabricPath.all(a, self.fabricPath.exists_one(b, b.level == "
            "a.level))",
            message="a level stands twice in fabricPath",
            remedy="Name each level once, innermost first",
            check=lambda spec: len({step.level for step in spec.fabric_path}) == len(spec.fabric_path),
            field="fabricPath",
        ),
        Rule(
            cel=f"!has(self.fabricPath) || self.fabricPath.all(s, s.level != '{NVLINK_LEVEL}')",
            message=f"fabricPath names the level {NVLINK_LEVEL}, which is this domain itself",
            remedy="Start spec.fabricPath with the level above, for example leaf",
            check=lambda spec: all(step.level != NVLINK_LEVEL for step in spec.fabric_path),
            field="fabricPath",
        ),
    )


class NVLinkDomainStatus(Status):
    """What the domain holds."""

    nodes: Count | None = Field(default=None, description="Nodes in the domain.")
    free_nodes: Count | None = Field(default=None, description="Healthy nodes that nothing uses.")
    gpus: Count | None = Field(default=None, description="GPUs in the domain.")
    drain: DrainStatus | None = Field(default=None, description="How far its emptying is.")


class NVLinkDomain(Resource):
    """NVLinkDomain is the set of nodes of one NVSwitch fabric. It is not the same thing as a rack: NVL72 has
    one a rack, NVL36x2 one over two racks; for 8-GPU nodes no object is needed (nvlinkScope: Node)."""

    info = KindInfo(
        kind="NVLinkDomain",
        plural="nvlinkdomains",
        short_names=("nvd",),
        scope=Scope.CLUSTER,
        columns=(
            Column("Nodes", ".status.nodes", "integer", "Nodes in the domain"),
            Column("Free", ".status.freeNodes", "integer", "Healthy nodes that nothing uses"),
            Column("GPUs", ".status.gpus", "integer", "GPUs in the domain"),
            Column("Spare", ".spec.spareNodes", "integer", "Nodes kept free"),
            Column(
                "Fabric",
                ".spec.fabricPath[*].name",
                description="Path in the scale-out fabric, innermost first",
            ),
            Column("State", ".spec.state", description="Active, Draining or Maintenance"),
            READY,
            REASON,
            AGE,
        ),
    )

    spec: NVLinkDomainSpec = Field(description="The NVSwitch fabric.")
    status: NVLinkDomainStatus = Field(
        default_factory=NVLinkDomainStatus, description="Written by Rackplane."
    )
