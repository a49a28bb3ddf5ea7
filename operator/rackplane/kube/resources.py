"""Where the kinds that Rackplane reads and writes live in the API."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

__all__ = [
    "COMPUTE_DOMAINS",
    "DEPLOYMENTS",
    "EVENTS",
    "GANGS",
    "JOBS",
    "LEASES",
    "NODES",
    "PODS",
    "POD_GROUPS",
    "PRIORITY_CLASSES",
    "RESOURCE_CLAIMS",
    "Resource",
    "admission_policies",
    "facility",
]


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API: `group` is empty for the core group, `plural` the name used in paths."""

    group: str
    version: str
    plural: str
    namespaced: bool

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """The path of a collection, an object or a subresource.

        A namespaced resource without a namespace gives the collection over all namespaces. Raises ValueError
        for what cannot be addressed: a namespace on a cluster-scoped resource, a name without the namespace that
        a namespaced resource needs, a subresource without a name.
        """
        if namespace and not self.namespaced:
            raise ValueError(f"{self.plural} are cluster-scoped, but a namespace was given: {namespace}")
        if name and self.namespaced and not namespace:
            raise ValueError(f"{self.plural} are namespaced, but no namespace was given for {name}")
        if subresource and not name:
            raise ValueError(f"subresource {subresource} of {self.plural} needs a name")
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/" + "/".join(quote(part, safe="") for part in parts)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


NODES = Resource("", "v1", "nodes", namespaced=False)
PODS = Resource("", "v1", "pods", namespaced=True)
EVENTS = Resource("", "v1", "events", namespaced=True)
DEPLOYMENTS = Resource("apps", "v1", "deployments", namespaced=True)
JOBS = Resource("batch", "v1", "jobs", namespaced=True)
LEASES = Resource("coordination.k8s.io", "v1", "leases", namespaced=True)
RESOURCE_CLAIMS = Resource("resource.k8s.io", "v1", "resourceclaims", namespaced=True)
RESOURCE_CLAIM_TEMPLATES = Resource("resource.k8s.io", "v1", "resourceclaimtemplates", namespaced=True)
COMPUTE_DOMAINS = Resource("resource.nvidia.com", "v1beta1", "computedomains", namespaced=True)
POD_GROUPS = Resource("scheduling.k8s.io", "v1alpha2", "podgroups", namespaced=True)
PRIORITY_CLASSES = Resource("scheduling.k8s.io", "v1", "priorityclasses", namespaced=False)
GANGS = Resource("rackplane.dev", "v1alpha1", "gangs", namespaced=True)


def facility(plural: str) -> Resource:
    """A cluster-scoped kind of rackplane.dev/v1alpha1: racks, powerdomains, queues and so on."""
    return Resource("rackplane.dev", "v1alpha1", plural, namespaced=False)


def admission_policies(version: str) -> tuple[Resource, ...]:
    """Policies of admissionregistration.k8s.io and their bindings: bindings first, without which policies do nothing.

    version: in which MutatingAdmissionPolicies are served, "v1" or "v1beta1".
    """
    group = "admissionregistration.k8s.io"
    return tuple(
        Resource(group, served, f"{kind}{what}", namespaced=False)
        for what in ("policybindings", "policies")
        for kind, served in (("mutatingadmission", version), ("validatingadmission", "v1"))
    )
