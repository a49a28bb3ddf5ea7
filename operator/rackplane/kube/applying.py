"""Server-side apply: one object written as a field manager, refused where another holds a field with another value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rackplane.kube.client import APPLY_PATCH, Client
from rackplane.kube.resources import Resource

__all__ = ["server_side_apply"]


async def server_side_apply(
    client: Client,
    resource: Resource,
    body: Mapping[str, Any],
    *,
    manager: str,
    subresource: str | None = None,
    force: bool = False,
) -> None:
    """Create the object, or make its fields those of `body`; ours that `body` lacks go, unless held by others.

    Args:
        force: take fields that other managers hold with another value.

    Raises:
        ApiError: refused; with status 409 because another manager holds a field with another value.
    """
    metadata = body["metadata"]
    path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
    query = {"fieldManager": manager, **({"force": "true"} if force else {})}
    await client.request("PATCH", path, query=query, body=body, content_type=APPLY_PATCH)
