"""What is watched of Kueue, in the newest version that the cluster serves."""

from __future__ import annotations

from typing import Any

from rackplane.controller.kueue.join import KueueJoin
from rackplane.core.workloads.kueue import KUEUE_GROUP, WORKLOAD, AdmissionCheck, ResourceFlavor
from rackplane.core.workloads.view import Body
from rackplane.kube.client import Client
from rackplane.kube.informer import Informer
from rackplane.kube.resources import Resource

__all__ = ["kueue_informers", "kueue_resources"]


def kueue_resources(plural: str, *, namespaced: bool = False) -> list[Resource]:
    """A kind of Kueue's in the versions that are read, the preferred one first."""
    return [Resource(KUEUE_GROUP, version, plural, namespaced=namespaced) for version in WORKLOAD.versions]


def kueue_informers(client: Client, join: KueueJoin, **around: Any) -> dict[str, Informer[Any]]:
    """Where the cluster lacks Kueue, or does not let us list its kinds, they are looked for again once a minute.

    Args:
        around: of the informers.
    """

    def informer(plural: str, type_: type, *, namespaced: bool = False, **calls: Any) -> Informer[Any]:
        first, *others = kueue_resources(plural, namespaced=namespaced)
        # Who queues elsewhere is to be placed whatever Kueue's kinds allow us.
        return Informer(client, first, type_, others=others, optional=True, spare=True, **calls, **around)

    workloads: Informer[Body] = informer(
        WORKLOAD.plural,
        Body,
        namespaced=True,
        on_change=lambda body: join.put(body, workloads.resource.version),
        on_delete=join.drop,
    )
    return {
        "kueue workloads": workloads,
        "kueue admissionchecks": informer(
            "admissionchecks",
            AdmissionCheck,
            on_change=join.put_check,
            on_delete=lambda _, name: join.drop_check(name),
        ),
        "kueue resourceflavors": informer(
            "resourceflavors",
            ResourceFlavor,
            on_change=join.put_flavor,
            on_delete=lambda _, name: join.drop_flavor(name),
        ),
    }
