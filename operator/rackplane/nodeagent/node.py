"""The agent's own Node: what it reads of it, and the watch on it alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rackplane.kube.client import Client
from rackplane.kube.informer import Informer
from rackplane.kube.resources import NODES

__all__ = ["Meta", "Node", "NodeStatus", "watch"]


class Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class NodeStatus(msgspec.Struct):
    allocatable: dict[str, str] = msgspec.field(default_factory=dict)


class Node(msgspec.Struct):
    metadata: Meta = msgspec.field(default_factory=Meta)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


def watch(
    client: Client,
    node: str,
    *,
    on_change: Callable[[Node], None],
    on_delete: Callable[[], None],
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> Informer[Node]:
    """An informer of one Node."""
    return Informer(
        client,
        NODES,
        Node,
        on_change=on_change,
        on_delete=lambda _, __: on_delete(),
        field_selector=f"metadata.name={node}",
        sleep=sleep,
    )
