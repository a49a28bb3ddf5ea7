"""Lists in pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from rackplane.kube.client import ApiError, Client
from rackplane.kube.resources import Resource

__all__ = ["PAGE", "list_all"]

PAGE = 500
"""Objects in one page of a list."""


T = TypeVar("T")


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct):
    metadata: _ListMeta
    # Raw, decoded one by one: an object that does not fit must not hide the others.
    items: list[msgspec.Raw] | None = None


_page = msgspec.json.Decoder(_Page)


async def list_all(
    client: Client,
    resource: Resource,
    *,
    each: Callable[[msgspec.Raw], T],
    query: Mapping[str, str] | None = None,
    heard: Callable[[], None] = lambda: None,
) -> tuple[str, list[T]]:
    """The list's version and what `each` makes of every object, over all namespaces, in the server's latest state.

    each: called page by page, so that no more than one page of JSON is held at a time. query: beside the paging, a
    label selector for instance. heard: called after each answer.
    Raises ApiError, and msgspec.DecodeError for an answer that is no list.
    """
    items: list[T] = []
    asked = {**(query or {}), "limit": str(PAGE)}
    while True:
        try:
            # No resourceVersion: the server answers with the latest state, not with one it has cached.
            answer = await client.request("GET", resource.path(), query=asked)
        except ApiError as error:
            if error.status == 410 and "continue" in asked:
                # The list took longer than etcd keeps its version. Once more, in one piece.
                items = []
                asked = dict(query or {})
                continue
            raise
        heard()
        page = _page.decode(answer)
        items += map(each, page.items or ())
        if not page.metadata.continue_:
            return page.metadata.resource_version, items
        asked = {**(query or {}), "limit": str(PAGE), "continue": page.metadata.continue_}
