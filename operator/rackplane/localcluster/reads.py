"""GET: one object, a collection in pages, or the start of a watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import errors, listoptions, tables
from .events import from_core
from .listoptions import ListOptions
from .objects import Obj, name_of, namespace_of
from .requests import Call, Response
from .resources import Resource
from .selectors import Predicate, both, parse_fields, parse_labels
from .service import Service
from .store import GroupResource, Store
from .watch import Watch


def stored_object(service: Service, call: Call) -> Obj:
    """The stored object a call names.

    Raises:
        ApiError: 404.
    """
    resource = call.resource
    asked = listoptions.revision(call.request.query.get("resourceVersion", ""), code=500)
    if asked > service.store.revision:
        raise errors.too_large(asked, service.store.revision)
    found = service.store.get(resource.key, call.namespace, call.name)
    if found is None:
        raise errors.not_found(resource.group, resource.plural, call.name)
    return found


def as_read(service: Service, resource: Resource, stored: Obj) -> Obj:
    """A stored object as a change of it begins: in the resource's version."""
    definition = service.definitions.find(resource)
    return definition.shown(stored) if definition is not None else from_core(resource, stored)


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
    options = listoptions.read(call.request.query)
    definition = service.definitions.find(call.resource)
    if options.watch:
        predicate = _selected(service, call, options)
        render = _renderer(service, call, definition)
        watch = Watch.open(service.store, call.resource, call.namespace, predicate, options, render)
        return Response(200, watch=watch)
    return _list(service, call, options, definition)


def _renderer(service: Service, call: Call, definition: Any) -> Callable[[Obj, bool], Any]:
    accept, include = call.request.accept, call.request.query.get("includeObject", "Metadata")

    def render(stored: Obj, first: bool) -> Any:
        obj = from_core(call.resource, stored)
        shown = tables.represent(accept, call.resource, obj, definition, service.clock(), include)
        if not first and isinstance(shown, dict) and shown.get("kind") == "Table":
            shown = {**shown, "columnDefinitions": None}
        return shown

    return render


def _list(service: Service, call: Call, options: ListOptions, definition: Any) -> Response:
    items, metadata = _page(service, call, options)
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
    return _page(service, call, listoptions.read(call.request.query))


def _selected(service: Service, call: Call, options: ListOptions) -> Predicate | None:
    definition = service.definitions.find(call.resource)
    selectable = definition.selectable if definition else None
    return both(parse_labels(options.labels), parse_fields(options.fields, call.resource, selectable))


def _page(service: Service, call: Call, options: ListOptions) -> tuple[list[Obj], Obj]:
    resource, store, namespace = call.resource, service.store, call.namespace
    predicate = _selected(service, call, options)
    number, after = _starting_point(service, call, options)
    if number == store.revision and predicate is None:
        items = store.items(resource.key, namespace, after, options.limit or None)
        total = store.count(resource.key, namespace, after) if options.limit else len(items)
    else:
        if number == store.revision:
            items = store.items(resource.key, namespace, after)
        else:
            items = _past(store, resource.key, number, namespace, after)
        total = len(items)
        if predicate is not None:
            items, total = _matching(items, predicate, options.limit)
    metadata: Obj = {"resourceVersion": str(number)}
    if options.limit and total > options.limit:
        items = items[: options.limit]
        last = items[-1]
        metadata["continue"] = listoptions.write_token(number, (namespace_of(last), name_of(last)))
        if predicate is None:
            metadata["remainingItemCount"] = total - options.limit
    return items, metadata


def _matching(items: list[Obj], predicate: Predicate, limit: int) -> tuple[list[Obj], int]:
    """What matches, up to a limit; and a number above the limit if anything at all comes after the last one.

    As upstream: whether more matches is not known before the next page is read.
    """
    found: list[Obj] = []
    for item in items:
        if limit and len(found) == limit:
            return found, limit + 1
        if predicate(item):
            found.append(item)
    return found, len(found)


def _starting_point(service: Service, call: Call, options: ListOptions) -> tuple[int, tuple[str, str] | None]:
    """The revision whose state is listed, and the object after which the page begins."""
    store = service.store
    if options.token:
        number, after = listoptions.read_token(
            options.token, call.namespace, namespaced=call.resource.namespaced
        )
        if options.version not in ("", "0"):
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        if number == listoptions.PRESENT:
            return store.revision, after
        if number < store.compacted:
            raise errors.page_expired(listoptions.write_token(listoptions.PRESENT, after))
        return number, after
    asked = listoptions.revision(options.version)
    if asked > store.revision:
        raise errors.too_large(asked, store.revision, exact=options.exact)
    return (asked if options.exact else store.revision), None


def _past(
    store: Store, key: GroupResource, number: int, namespace: str, after: tuple[str, str] | None
) -> list[Obj]:
    if number < store.compacted:
        raise errors.expired("The resourceVersion for the provided list is too old.")
    return store.items_at(key, number, namespace, after)
