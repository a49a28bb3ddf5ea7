"""Server-side apply: one object written as a field manager, refused where another holds a field with another value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rackplane.kube.client import APPLY_PATCH, Client
from rackplane.kube.resources import Resource

__all__ = ["server_side_apply"]


async def server_side_apply(
    client: Client, resource: Resource, body: Mapping[str, Any], *, manager: str
) -> None:
    """Create the object, or make its fields those of `body`; ours that `body` lacks go, unless held by others.

    Raises:
        ApiError: refused; with status 409 because another manager holds a field with another value.
    """
    metadata = body["metadata"]
    path = resource.path(metadata.get("namespace"), metadata["name"])
    await client.request("PATCH", path, query={"fieldManager": manager}, body=body, content_type=APPLY_PATCH)
