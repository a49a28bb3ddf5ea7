"""What the operator watches, and what each kind's news is to the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rackplane.controller.workloads import workload_informers
from rackplane.core import events as e
from rackplane.core.claims import ComputeDomain, ResourceClaim, ResourceClaimTemplate
from rackplane.core.gangs.podgroups import PodGroup
from rackplane.core.objects import Gang, Job, Node, Pod, PriorityClass
from rackplane.core.workloads.view import WorkloadKind
from rackplane.kube.client import Client
from rackplane.kube.informer import Informer
from rackplane.kube.resources import (
    COMPUTE_DOMAINS,
    GANGS,
    JOBS,
    NODES,
    POD_GROUPS,
    PODS,
    PRIORITY_CLASSES,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
)
from rackplane.kube.sharing import Sharer

__all__ = ["core_informers"]


def core_informers(
    client: Client,
    feed: Callable[[e.Event], None],
    *,
    kinds: Iterable[WorkloadKind],
    compute_domains: bool,
    pod_groups: bool,
    **around: Any,
) -> dict[str, Informer[Any]]:
    """An informer for each kind but the facility's, by name.

    Args:
        feed: takes the events.
        kinds: of other projects' workloads that queue.
        compute_domains: NVIDIA's ComputeDomains too.
        pod_groups: kube-scheduler's PodGroups too.
        around: of the informers.
    """
    return {
        **workload_informers(client, kinds, feed, **around),
        "nodes": Informer(
            client,
            NODES,
            Node,
            on_change=lambda node: feed(e.NodeChanged(node)),
            on_delete=lambda _, name: feed(e.NodeDeleted(name)),
            share=Sharer(),
            **around,
        ),
        "pods": Informer(
            client,
            PODS,
            Pod,
            on_change=lambda pod: feed(e.PodChanged(pod)),
            on_delete=lambda namespace, name: feed(e.PodDeleted(namespace, name)),
            share=Sharer(),
            **around,
        ),
        "jobs": Informer(
            client,
            JOBS,
            Job,
            on_change=lambda job: feed(e.JobChanged(job)),
            on_delete=lambda namespace, name: feed(e.JobDeleted(namespace, name)),
            # Of every annotation: what a user mistyped is named.
            share=Sharer(annotations=("",)),
            **around,
        ),
        "gangs": Informer(
            client,
            GANGS,
            Gang,
            on_change=lambda gang: feed(e.GangChanged(gang)),
            on_delete=lambda namespace, name: feed(e.GangDeleted(namespace, name)),
            **around,
        ),
        "resourceclaims": Informer(
            client,
            RESOURCE_CLAIMS,
            ResourceClaim,
            on_change=lambda claim: feed(e.ClaimChanged(claim)),
            on_delete=lambda namespace, name: feed(e.ClaimDeleted(namespace, name)),
            optional=True,
            **around,
        ),
        "resourceclaimtemplates": Informer(
            client,
            RESOURCE_CLAIM_TEMPLATES,
            ResourceClaimTemplate,
            on_change=lambda template: feed(e.ClaimTemplateChanged(template)),
            on_delete=lambda namespace, name: feed(e.ClaimTemplateDeleted(namespace, name)),
            optional=True,
            **around,
        ),
        **(_domains(client, feed, around) if compute_domains else {}),
        **(_pod_groups(client, feed, around) if pod_groups else {}),
        "priorityclasses": Informer(
            client,
            PRIORITY_CLASSES,
            PriorityClass,
            on_change=lambda found: feed(e.PriorityClassChanged(found)),
            on_delete=lambda _, name: feed(e.PriorityClassDeleted(name)),
            **around,
        ),
    }


def _domains(
    client: Client, feed: Callable[[e.Event], None], around: dict[str, Any]
) -> dict[str, Informer[Any]]:
    informer = Informer(
        client,
        COMPUTE_DOMAINS,
        ComputeDomain,
        on_change=lambda domain: feed(e.ComputeDomainChanged(domain)),
        on_delete=lambda namespace, name: feed(e.ComputeDomainDeleted(namespace, name)),
        optional=True,
        spare=True,
        found=lambda there: feed(e.ComputeDomainsServed(there)),
        **around,
    )
    return {"computedomains": informer}


def _pod_groups(
    client: Client, feed: Callable[[e.Event], None], around: dict[str, Any]
) -> dict[str, Informer[Any]]:
    informer = Informer(
        client,
        POD_GROUPS,
        PodGroup,
        on_change=lambda group: feed(e.PodGroupChanged(group)),
        on_delete=lambda namespace, name: feed(e.PodGroupDeleted(namespace, name)),
        optional=True,
        # Few clusters have the kind: a role that lacks it must not keep the rest from being placed.
        spare=True,
        **around,
    )
    return {"podgroups": informer}
