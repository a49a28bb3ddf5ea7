"""GET: one object, a collection in pages, or the start of a watch."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from . import errors, tables
from .events import from_core
from .objects import Obj, name_of, namespace_of
from .requests import Call, Response
from .selectors import Predicate, both, parse_fields, parse_labels
from .service import Service
from .watch import Watch


def stored_object(service: Service, call: Call) -> Obj:
    """The stored object a call names.

    Raises:
        ApiError: 404.
    """
    resource = call.resource
    found = service.store.get(resource.key, call.namespace, call.name)
    if found is None:
        raise errors.not_found(resource.group, resource.plural, call.name)
    return found


def respond(service: Service, call: Call, stored: Obj, code: int = 200) -> Response:
    """The answer that shows one object, in the form the client asked for."""
    obj = from_core(call.resource, stored)
    rendered = tables.represent(
        call.request.accept,
        call.resource,
        obj,
        service.definitions.find(call.resource),
        service.clock(),
        call.request.query.get("includeObject", "Metadata"),
    )
    return Response(code, rendered, warnings=call.warnings)


def collection(service: Service, call: Call) -> Response:
    """A list, or with `watch=true` the start of a watch.

    Raises:
        ApiError: 400 for a malformed selector or version, 410 for a page or version too old.
    """
    query, resource, store = call.request.query, call.resource, service.store
    definition = service.definitions.find(resource)
    predicate = _predicate(service, call)
    if query.get("watch") in ("1", "true"):
        watch = Watch.open(
            store, resource, call.namespace, predicate, query, _renderer(service, call, definition)
        )
        return Response(200, watch=watch)
    return _list(service, call, predicate, definition)


def _renderer(service: Service, call: Call, definition: Any) -> Callable[[Obj, bool], Any]:
    accept, include = call.request.accept, call.request.query.get("includeObject", "Metadata")

    def render(stored: Obj, first: bool) -> Any:
        obj = from_core(call.resource, stored)
        shown = tables.represent(accept, call.resource, obj, definition, service.clock(), include)
        if not first and isinstance(shown, dict) and shown.get("kind") == "Table":
            shown = {**shown, "columnDefinitions": None}
        return shown

    return render


def _list(service: Service, call: Call, predicate: Predicate | None, definition: Any) -> Response:
    items, metadata = _page(service, call, predicate)
    payload = tables.represent_list(
        call.request.accept,
        call.resource,
        [from_core(call.resource, item) for item in items],
        metadata,
        definition,
        service.clock(),
        call.request.query.get("includeObject", "Metadata"),
    )
    return Response(200, payload)


def listed(service: Service, call: Call) -> tuple[list[Obj], Obj]:
    """The stored objects a list with the call's parameters shows, and the list's metadata.

    Raises:
        ApiError: 400, 410, 504.
    """
    return _page(service, call, _predicate(service, call))


def _predicate(service: Service, call: Call) -> Predicate | None:
    query, definition = call.request.query, service.definitions.find(call.resource)
    return both(
        parse_labels(query.get("labelSelector", "")),
        parse_fields(
            query.get("fieldSelector", ""), call.resource.key, definition.selectable if definition else ()
        ),
    )


def _page(service: Service, call: Call, predicate: Predicate | None) -> tuple[list[Obj], Obj]:
    query, resource, store = call.request.query, call.resource, service.store
    limit = int(query.get("limit") or 0)
    revision = store.revision
    after: tuple[str, str] | None = None
    asked = query.get("resourceVersion", "")
    if token := query.get("continue"):
        revision, after = _read_token(token)
        if revision < store.compacted:
            raise errors.expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a "
                "new list without the continue parameter."
            )
    elif asked not in ("", "0"):
        number = _revision(asked)
        if number > store.revision:
            message = f"Too large resource version: {number}, current: {store.revision}"
            causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
            raise errors.ApiError(504, "Timeout", message, {"causes": causes, "retryAfterSeconds": 1})
        if query.get("resourceVersionMatch") == "Exact":
            revision = number
    namespace = call.namespace
    if revision == store.revision and predicate is None:
        total = store.count(resource.key, namespace, after)
        items = store.items(resource.key, namespace, after, limit or None)
    else:
        if revision == store.revision:
            items = store.items(resource.key, namespace, after)
        else:
            items = store.items_at(resource.key, revision, namespace, after)
        items = [item for item in items if predicate is None or predicate(item)]
        total = len(items)
    metadata: Obj = {"resourceVersion": str(revision)}
    if limit and total > limit:
        last = items[limit - 1]
        metadata["continue"] = _write_token(revision, (namespace_of(last), name_of(last)))
        metadata["remainingItemCount"] = total - limit
        items = items[:limit]
    return items, metadata


def _revision(text: str) -> int:
    try:
        return int(text)
    except ValueError as problem:
        raise errors.bad_request(f"Invalid value: {json.dumps(text)}: invalid resource version") from problem


def _write_token(revision: int, after: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([revision, *after]).encode()).decode()


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        revision, namespace, name = json.loads(base64.urlsafe_b64decode(token))
        return int(revision), (str(namespace), str(name))
    except ValueError as problem:
        raise errors.bad_request("continue key is not valid") from problem
