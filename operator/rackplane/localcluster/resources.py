"""The kinds the server serves, built in and by CustomResourceDefinition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from .store import GroupResource

STATUS_VERBS = ("get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource in one version.

    `stored` names the group resource its objects live under (events.k8s.io shares the core events).
    `generation` says whether spec changes count in metadata.generation. `crd` is the definition's name, if any,
    and `storage_version` the version its objects are stored in.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    generation: bool = False
    singular: str = ""
    crd: str = ""
    stored: GroupResource = ("", "")
    storage_version: str = ""

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> GroupResource:
        """Where the store keeps its objects."""
        return self.stored if self.stored != ("", "") else (self.group, self.plural)

    @property
    def conditional(self) -> bool:
        """Whether an update must name the version it replaces."""
        return bool(self.crd) or self.key in _CONDITIONAL or self.group == ADMISSION

    @property
    def list_kind(self) -> str:
        """Kind of a collection."""
        return f"{self.kind}List"


#: Kinds whose updates must name the version they replace.
_CONDITIONAL: frozenset[GroupResource] = frozenset(
    {
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("coordination.k8s.io", "leases"),
        ("policy", "poddisruptionbudgets"),
    }
)


def _other(
    group: str,
    plural: str,
    kind: str,
    *,
    version: str = "v1",
    namespaced: bool = False,
    short: str = "",
    subresources: tuple[str, ...] = (),
    generation: bool = False,
    categories: tuple[str, ...] = (),
    stored: GroupResource = ("", ""),
) -> Resource:
    return Resource(
        group,
        version,
        plural,
        kind,
        namespaced,
        tuple(short.split()),
        categories,
        subresources,
        generation,
        kind.lower(),
        "",
        stored,
    )


_core = partial(_other, "", namespaced=True)
RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"

BUILTIN: tuple[Resource, ...] = (
    _core("configmaps", "ConfigMap", short="cm"),
    _core("events", "Event", short="ev"),
    _core("namespaces", "Namespace", namespaced=False, short="ns", subresources=("status", "finalize")),
    _core("nodes", "Node", namespaced=False, short="no", subresources=("status",)),
    _core(
        "pods",
        "Pod",
        short="po",
        subresources=("status", "binding", "eviction"),
        generation=True,
        categories=("all",),
    ),
    _core("secrets", "Secret"),
    _core("serviceaccounts", "ServiceAccount", short="sa"),
    _core("services", "Service", short="svc", subresources=("status",), categories=("all",)),
    _other(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        short="crd crds",
        subresources=("status",),
        generation=True,
        categories=("api-extensions",),
    ),
    _other(
        "batch",
        "jobs",
        "Job",
        namespaced=True,
        subresources=("status",),
        generation=True,
        categories=("all",),
    ),
    _other("coordination.k8s.io", "leases", "Lease", namespaced=True),
    _other("events.k8s.io", "events", "Event", namespaced=True, short="ev", stored=("", "events")),
    _other(
        "policy",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        namespaced=True,
        short="pdb",
        subresources=("status",),
        generation=True,
    ),
    _other(RBAC, "clusterrolebindings", "ClusterRoleBinding"),
    _other(RBAC, "clusterroles", "ClusterRole"),
    _other(RBAC, "rolebindings", "RoleBinding", namespaced=True),
    _other(RBAC, "roles", "Role", namespaced=True),
    _other("scheduling.k8s.io", "priorityclasses", "PriorityClass", short="pc", generation=True),
    _other("resource.k8s.io", "deviceclasses", "DeviceClass", generation=True),
    _other("resource.k8s.io", "resourceclaims", "ResourceClaim", namespaced=True, subresources=("status",)),
    _other("resource.k8s.io", "resourceclaimtemplates", "ResourceClaimTemplate", namespaced=True),
    _other("resource.k8s.io", "resourceslices", "ResourceSlice", generation=True),
    _other(
        ADMISSION,
        "mutatingadmissionpolicies",
        "MutatingAdmissionPolicy",
        generation=True,
        categories=("api-extensions",),
    ),
    _other(
        ADMISSION,
        "mutatingadmissionpolicybindings",
        "MutatingAdmissionPolicyBinding",
        generation=True,
        categories=("api-extensions",),
    ),
    _other(
        ADMISSION,
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        generation=True,
        categories=("api-extensions",),
    ),
    _other(
        ADMISSION,
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        generation=True,
        subresources=("status",),
        categories=("api-extensions",),
    ),
    _other(
        ADMISSION,
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        generation=True,
        categories=("api-extensions",),
    ),
    _other(
        ADMISSION,
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        generation=True,
        categories=("api-extensions",),
    ),
)

PODS: GroupResource = ("", "pods")
ACCOUNTS: GroupResource = ("", "serviceaccounts")
BUDGETS: GroupResource = ("policy", "poddisruptionbudgets")
NODES: GroupResource = ("", "nodes")
NAMESPACES: GroupResource = ("", "namespaces")
EVENTS: GroupResource = ("", "events")
JOBS: GroupResource = ("batch", "jobs")
LEASES: GroupResource = ("coordination.k8s.io", "leases")
CRDS: GroupResource = ("apiextensions.k8s.io", "customresourcedefinitions")
CLAIMS: GroupResource = ("resource.k8s.io", "resourceclaims")
PRIORITY_CLASSES: GroupResource = ("scheduling.k8s.io", "priorityclasses")

#: Groups a real cluster serves and this one does not: asked for, they answer 501 rather than 404.
KNOWN_ELSEWHERE = frozenset(
    {
        "apps",
        "autoscaling",
        "authentication.k8s.io",
        "certificates.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "storage.k8s.io",
        "discovery.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "apiregistration.k8s.io",
        "metrics.k8s.io",
    }
)
#: Core resources likewise.
CORE_ELSEWHERE = frozenset(
    {
        "endpoints",
        "limitranges",
        "persistentvolumeclaims",
        "persistentvolumes",
        "podtemplates",
        "replicationcontrollers",
        "resourcequotas",
        "componentstatuses",
        "bindings",
    }
)
#: Resources of other served groups likewise.
OTHERS_ELSEWHERE = frozenset({("batch", "cronjobs")})
CORE_SUBRESOURCES_ELSEWHERE = frozenset(
    {
        "log",
        "exec",
        "attach",
        "portforward",
        "proxy",
        "ephemeralcontainers",
        "resize",
        "scale",
        "token",
        "approval",
    }
)


class Registry:
    """Which resources are served right now. CRDs add and remove entries."""

    def __init__(self) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        # Worked out once until the next change: every request asks for it.
        self._groups: dict[str, list[str]] | None = None
        for resource in BUILTIN:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        """Serve a resource (again, with a changed description)."""
        self._by_path[resource.group, resource.version, resource.plural] = resource
        self._groups = None

    def remove_crd(self, crd: str) -> None:
        """Stop serving everything a CRD defined."""
        self._by_path = {path: entry for path, entry in self._by_path.items() if entry.crd != crd}
        self._groups = None

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at a path."""
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource for an object's apiVersion and kind; any served version of the group answers."""
        group = api_version.rpartition("/")[0]
        found = None
        for resource in self._by_path.values():
            if resource.group == group and resource.kind == kind:
                if resource.api_version == api_version:
                    return resource
                found = resource
        return found

    def stored_as(self, key: GroupResource) -> Resource | None:
        """A served resource whose objects live under `key`; its own group first."""
        matches = [resource for resource in self._by_path.values() if resource.key == key]
        matches.sort(key=lambda entry: (entry.group, entry.plural) != key)
        return matches[0] if matches else None

    def __iter__(self) -> Iterator[Resource]:
        return iter(
            sorted(self._by_path.values(), key=lambda entry: (entry.group, entry.version, entry.plural))
        )

    def groups(self) -> dict[str, list[str]]:
        """Group -> served versions, the preferred one first; the core group is ''."""
        if self._groups is not None:
            return self._groups
        found: dict[str, list[str]] = {}
        for resource in self:
            versions = found.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        for versions in found.values():
            versions.sort(key=_version_order)
        self._groups = found
        return found


def _version_order(version: str) -> tuple[int, int, int]:
    """Kubernetes' version priority: v2, v1, v1beta2, v1beta1, v1alpha1."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if found is None:
        return (3, 0, 0)
    stage = {None: 0, "beta": 1, "alpha": 2}[found[2]]
    return (stage, -int(found[1]), -int(found[3] or 0))
