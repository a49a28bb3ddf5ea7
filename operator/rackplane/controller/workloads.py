"""Workloads of other projects, watched in the versions that the cluster serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec
import structlog

from rackplane.core import events as e
from rackplane.core.workloads.view import Body, WorkloadKind
from rackplane.kube.client import Client
from rackplane.kube.informer import Informer
from rackplane.kube.resources import Resource

__all__ = ["workload_informers"]

log = structlog.stdlib.get_logger(__name__)


def workload_informers(
    client: Client, kinds: Iterable[WorkloadKind], feed: Callable[[e.Event], None], **around: Any
) -> dict[str, Informer[Body]]:
    """One informer for each version of each kind. Where the cluster lacks it, or does not let us list it, it is looked
    for again once a minute.

    Args:
        around: of the informers.
    """
    return {
        f"{kind.plural}.{version}": Informer(
            client,
            Resource(kind.group, version, kind.plural, namespaced=True),
            Body,
            on_change=partial(_changed, feed, kind, version),
            on_delete=partial(_deleted, feed, kind),
            optional=True,
            # All kinds are asked for by default: a role that names fewer must not keep the rest from being placed.
            spare=True,
            **around,
        )
        for kind in kinds
        for version in kind.versions
    }


def _changed(feed: Callable[[e.Event], None], kind: WorkloadKind, version: str, body: Body) -> None:
    try:
        workload = kind.view(body, version)
    except msgspec.ValidationError as error:
        meta = body.metadata
        log.error(
            "a workload does not look as its project documents it and is passed over",
            kind=kind.kind,
            namespace=meta.namespace,
            name=meta.name,
            error=str(error),
        )
        # What was known of it may not hold any more.
        _deleted(feed, kind, meta.namespace, meta.name)
        return
    feed(e.WorkloadChanged(workload))


def _deleted(feed: Callable[[e.Event], None], kind: WorkloadKind, namespace: str, name: str) -> None:
    feed(e.WorkloadDeleted(kind.kind, namespace, name))
