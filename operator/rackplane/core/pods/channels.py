"""How pods get the channel of their gang's ComputeDomain: by a claim template whose name is known before it is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rackplane.api.problems import FieldProblem
from rackplane.core.objects import PodSpec
from rackplane.core.pods.accelerators import Accelerators

__all__ = ["channel_problems", "claim_template_of", "gang_of_claim_template"]

_SUFFIX = "-channel"


def claim_template_of(gang: str) -> str:
    """The ResourceClaimTemplate that NVIDIA's DRA driver makes for the ComputeDomain of a gang of this name."""
    return f"{gang}{_SUFFIX}"


def gang_of_claim_template(name: str) -> str | None:
    """The gang whose ComputeDomain a claim template of this name would be of; None if it is of none."""
    gang = name.removesuffix(_SUFFIX)
    return gang if gang != name else None


def channel_problems(
    gang: str, namespace: str, templates: Mapping[str, PodSpec], accelerators: Accelerators
) -> Iterator[FieldProblem]:
    """What keeps the pods of a gang that asks for a ComputeDomain from using it.

    Args:
        templates: its pod specs by field.
    """
    name = claim_template_of(gang)
    using = {where: spec for where, spec in templates.items() if _names(spec, name)}
    if not using:
        asking = (where for where, spec in templates.items() if accelerators.of(namespace, spec))
        yield FieldProblem(
            f"{next(asking, next(iter(templates)))}.resourceClaims",
            f"names no claim of ResourceClaimTemplate {name}, which comes with the gang's ComputeDomain: without a "
            "channel of it the pods cannot use each other's GPU memory",
            f"Add {{name: channel, resourceClaimTemplateName: {name}}}, and {{name: channel}} to resources.claims of "
            "the container.",
        )
    for where, spec in using.items():
        resource, number = accelerators.of(namespace, spec) or ("", 0)
        whole = accelerators.whole_nodes.get(resource, 0)
        if 0 < 2 * number <= whole:
            yield FieldProblem(
                f"{where}.containers",
                f"ask for {number} of the {whole} {resource} of a node, and a node has one channel, so that a second "
                "pod of the gang could never start there",
                f"Ask for all {whole}.",
            )


def _names(spec: PodSpec, template: str) -> bool:
    return any(each.resource_claim_template_name == template for each in spec.resource_claims)
