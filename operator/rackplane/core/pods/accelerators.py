"""Which accelerators a pod asks for, and how many: by an extended resource, or by ResourceClaims.

A claim says how many devices of a DeviceClass it wants, and a HardwareProfile which DeviceClasses are its accelerators:
so many of them kube-scheduler allocates, and so many are booked. What a claim leaves open is refused by name, because
the watts of it would be known only after the pod was let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rackplane.api.problems import FieldProblem
from rackplane.core.claims import ClaimSpec, DeviceRequest, DevicesAsked, ResourceClaim, ResourceClaimTemplate
from rackplane.core.gangs.decisions import Key
from rackplane.core.objects import ClaimReference, PodSpec
from rackplane.core.pods.pod import gpus

__all__ = ["Accelerators"]

_MAIN = "nvidia.com/gpu"
_COUNT = "ExactCount"


@dataclass(frozen=True, slots=True)
class _Claimed:
    """What one claim of a pod says."""

    name: str
    request: DeviceRequest

    @property
    def field(self) -> str:
        return f"{self.name}, request {self.request.name},"

    @property
    def asked(self) -> Iterable[DevicesAsked]:
        every = (self.request.exactly, *(self.request.first_available or ()))
        return (each for each in every if each is not None and not each.admin_access)


@dataclass(frozen=True)
class Accelerators:
    """Args:
    resources: what HardwareProfiles name as resourceName; the first that a pod asks for is its own.
    classes: DeviceClass -> the resourceNames of the HardwareProfiles that name it.
    templates: ResourceClaimTemplates by namespace and name, all that there are; so are `claims`.
    whole_nodes: accelerators of a node by resource, the most, where NVLink joins it with others.
    """

    resources: Sequence[str]
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    templates: Mapping[Key, ResourceClaimTemplate] = field(default_factory=dict)
    claims: Mapping[Key, ResourceClaim] = field(default_factory=dict)
    whole_nodes: Mapping[str, int] = field(default_factory=dict)

    @property
    def main(self) -> str:
        """What a gang that asks for none is said to have none of."""
        return self.resources[0] if self.resources else _MAIN

    def of(self, namespace: str, spec: PodSpec) -> tuple[str, int] | None:
        """The resource and the number of a pod's accelerators; None if it asks for none."""
        for resource in self.resources:
            if number := gpus(spec, resource):
                return resource, number
        found: dict[str, int] = {}
        for claimed in self._claimed(namespace, spec):
            asked = claimed.request.exactly
            if asked is not None and not asked.admin_access:
                for resource in self.classes.get(asked.device_class_name, ())[:1]:
                    found[resource] = found.get(resource, 0) + asked.count
        return next(iter(found.items()), None)

    def problems(self, where: str, namespace: str, spec: PodSpec, *, slots: int) -> Iterator[FieldProblem]:
        """What keeps the accelerators of a pod's claims from being counted.

        Args:
            where: the field of the claims.
            slots: pods of the gang.
        """
        if not spec.resource_claims:
            return
        counted = [c for c in self._claimed(namespace, spec) if self._counts(c)]
        by_resource = next((r for r in self.resources if gpus(spec, r)), None)
        if by_resource is None and not counted:
            yield from self._unknown(where, namespace, spec)
            return
        names: set[str] = set()
        for claimed in counted:
            names.update(r for each in claimed.asked for r in self.classes.get(each.device_class_name, ()))
            yield from self._open(where, claimed)
        if by_resource is not None and counted:
            yield FieldProblem(
                where,
                f"asks for accelerators by {counted[0].name} beside {by_resource} in resources, and the same device "
                "could be given twice",
                "Ask for all of them by claim, or for all of them by resource.",
            )
        elif len(names) > 1:
            yield FieldProblem(
                where,
                f"asks for {' and for '.join(sorted(names))} by claim, and a node has accelerators of one kind",
                "Ask for devices of one kind, and name a DeviceClass in HardwareProfiles of one resourceName only.",
            )
        if slots > 1:
            yield from self._shared(where, namespace, spec, slots)

    def _counts(self, claimed: _Claimed) -> bool:
        return any(each.device_class_name in self.classes for each in claimed.asked)

    def _claimed(self, namespace: str, spec: PodSpec) -> Iterator[_Claimed]:
        """The requests of its claims that are known."""
        for reference in spec.resource_claims:
            name, wanted = self._spec_of(namespace, reference)
            for request in _requests(wanted):
                yield _Claimed(name, request)

    def _spec_of(self, namespace: str, reference: ClaimReference) -> tuple[str, ClaimSpec | None]:
        if reference.resource_claim_template_name:
            key = (namespace, reference.resource_claim_template_name)
            template = self.templates.get(key)
            return f"ResourceClaimTemplate {'/'.join(key)}", None if template is None else template.spec.spec
        key = (namespace, reference.resource_claim_name or "")
        claim = self.claims.get(key)
        return f"ResourceClaim {'/'.join(key)}", None if claim is None else claim.spec

    def _unknown(self, where: str, namespace: str, spec: PodSpec) -> Iterator[FieldProblem]:
        """Claims, and not one accelerator that is known as such."""
        for reference in spec.resource_claims:
            name, wanted = self._spec_of(namespace, reference)
            if wanted is None:
                yield FieldProblem(
                    where,
                    f"names {name}, which does not exist, so what its pods will draw is not known",
                    f"Create it, or ask for {self._wanted()} in resources.limits.",
                )
                return
        classes = {each.device_class_name for c in self._claimed(namespace, spec) for each in c.asked} or {
            "none"
        }
        yield FieldProblem(
            where,
            f"asks for devices of DeviceClass {', '.join(sorted(classes))} and for no accelerator, and no "
            "HardwareProfile names that class: what its pods will draw is not known",
            f"Write it into deviceClassNames of the HardwareProfile whose accelerators these are, or ask for "
            f"{self._wanted()} in resources.limits; claims of other devices may stay beside it.",
        )

    def _wanted(self) -> str:
        return " or ".join(self.resources) or "an accelerator"

    def _open(self, where: str, claimed: _Claimed) -> Iterator[FieldProblem]:
        """What a request for accelerators leaves open."""
        asked = claimed.request.exactly
        if asked is None:
            what = "has firstAvailable, so which devices it will get is not known before a pod is bound"
            remedy = "Write exactly, with one DeviceClass and a count."
        elif asked.allocation_mode != _COUNT:
            what = f"has allocationMode {asked.allocation_mode}, so how many devices it will get is not known"
            remedy = f"Write allocationMode {_COUNT} and a count."
        elif asked.selectors:
            what = "selects among the accelerators of a node, and which of them are free is not looked at"
            remedy = "Remove its selectors, and choose the nodes by nodeSelector or node affinity."
        elif asked.capacity:
            what = "asks for a part of an accelerator, and accelerators are counted whole"
            remedy = "Remove its capacity."
        else:
            return
        yield FieldProblem(where, f"names {claimed.field} which {what}", remedy)

    def _shared(self, where: str, namespace: str, spec: PodSpec, slots: int) -> Iterator[FieldProblem]:
        for reference in spec.resource_claims:
            name, wanted = self._spec_of(namespace, reference)
            requests = _requests(wanted) if reference.resource_claim_name else ()
            if any(self._counts(_Claimed(name, request)) for request in requests):
                yield FieldProblem(
                    where,
                    f"names {name}, whose accelerators the {slots:,} pods of the gang would share",
                    "Use resourceClaimTemplateName, so that each pod gets a claim of its own.",
                )


def _requests(wanted: ClaimSpec | None) -> Iterable[DeviceRequest]:
    return () if wanted is None else wanted.devices.requests or ()
