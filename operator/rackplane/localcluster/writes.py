"""POST, PUT and PATCH: what a body must say, and which object comes of it."""

from __future__ import annotations

import json

from . import decoding, errors, eventrules
from .bodies import Doubled
from .events import from_core, to_core
from .gotypes import Mismatch
from .kindcheck import check_custom_kind, check_kind
from .objects import Obj, meta, name_of
from .reads import respond, stored_object
from .requests import Call, Response
from .resources import EVENTS, LEASES, RBAC, Registry
from .service import Service


def expected_body(call: Call, *, kinds: tuple[str, ...] = (), registry: Registry | None = None) -> Obj:
    """The body as an object of the call's kind, or of one of `kinds`.

    Raises:
        ApiError: 400, it is something else.
    """
    body = call.request.body
    if not isinstance(body, dict):
        raise errors.bad_request("the request body is not an object of the expected kind")
    resource = call.resource
    if registry is not None and not resource.crd:
        check_kind(registry, resource, body)
        return body
    wanted = kinds or (resource.kind,)
    kind, version = body.get("kind"), body.get("apiVersion")
    if not kind and not resource.crd:
        kind, version = wanted[0], version or resource.api_version
    if resource.crd and not kinds:
        check_custom_kind(resource, body)
        return body
    if kind not in wanted or (not kinds and version != resource.api_version):
        message = (
            f"{kind or 'the object'} in version {json.dumps(version)} cannot be handled as a {wanted[0]}: the API "
            f"version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )
        raise errors.bad_request(message)
    return body


def _named(call: Call, body: Obj) -> Obj:
    """The body with the namespace of the path; both must agree where both are given."""
    metadata = {**meta(body)}
    given = metadata.get("namespace") or ""
    if call.resource.namespaced:
        if given and given != call.namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        metadata["namespace"] = call.namespace
    if call.name:
        if metadata.get("name", call.name) != call.name:
            raise errors.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({call.name})"
            )
        metadata["name"] = call.name
    return {**body, "metadata": metadata}


class _Unknown:
    """What is done about fields no schema knows, by the fieldValidation parameter; and warnings."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._mode = call.request.query.get("fieldValidation", "Warn")

    def __call__(self, paths: list[str]) -> None:
        body = self._call.request.body
        texts = []
        if isinstance(body, Doubled):
            # The decoder of a struct passes over what it does not know.
            passed = () if self._call.resource.crd else tuple(paths)
            texts += [f'duplicate field "{path}"' for path in body.paths if not path.startswith(passed)]
        texts += [f'unknown field "{path}"' for path in paths]
        if self._mode == "Warn":
            self._call.warnings.extend(texts)
        elif self._mode == "Strict" and texts:
            resource = self._call.resource
            raise errors.bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: strict '
                f"decoding error: {', '.join(texts)}"
            )

    def warn(self, text: str) -> None:
        self._call.warnings.append(text)


def _decoded(call: Call, body: Obj) -> Obj:
    """The body as its kind's structs hold it; what they have not is reported.

    Raises:
        ApiError: 400, a field has a value it cannot hold, or nobody knows a field and that is not allowed.
    """
    if call.resource.crd:
        # Its definition decodes it, later.
        return body
    if isinstance(body, Doubled):
        body = body.united
    try:
        found, unknown = decoding.decoded(call.resource, body)
    except Mismatch as mismatch:
        resource = call.resource
        raise errors.bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {mismatch}'
        ) from None
    _Unknown(call)(unknown)
    return found


def tracked(service: Service, call: Call, live: Obj | None, obj: Obj) -> Obj:
    """An object as it is stored; who manages its fields is noted before it gets the names of the core group."""
    if call.resource.stored == ("", ""):
        return obj
    managed = service.tracker.written(call.resource, live, obj, call.manager, call.subresource)
    return to_core(call.resource, {**obj, "metadata": {**meta(obj), "managedFields": managed}})


def create(service: Service, call: Call) -> Response:
    """POST to a collection."""
    if call.resource.namespaced and not call.namespace:
        raise errors.method_not_allowed()
    body = tracked(
        service, call, None, _named(call, _decoded(call, expected_body(call, registry=service.registry)))
    )
    if call.request.method == "PUT":
        # An update that creates has no version to replace, whatever it says.
        meta(body).pop("resourceVersion", None)
    resource = call.resource
    eventrules.check(resource, body)
    if resource.stored != ("", ""):
        resource = service.need("", "v1", resource.stored[1])
    stored = service.create(resource, body, dry_run=call.dry_run, unknown=_Unknown(call), caller=call.caller)
    return respond(service, call, stored, 201)


def _update(service: Service, call: Call, obj: Obj) -> Response:
    obj = tracked(service, call, from_core(call.resource, stored_object(service, call)), obj)
    resource = call.resource
    eventrules.check(resource, obj, service.store.get(resource.key, call.namespace, call.name))
    if resource.stored != ("", ""):
        resource = service.need("", "v1", resource.stored[1])
    stored = service.update(
        resource,
        obj,
        subresource=call.subresource,
        dry_run=call.dry_run,
        unknown=_Unknown(call),
        caller=call.caller,
    )
    return respond(service, call, stored)


def _created_by_update(call: Call) -> bool:
    """Whether a PUT of what does not exist creates it."""
    return not call.subresource and (call.resource.key in (EVENTS, LEASES) or call.resource.group == RBAC)


def put(service: Service, call: Call) -> Response:
    """PUT to an object or its subresource."""
    body = _decoded(call, expected_body(call, registry=service.registry))
    if not name_of(body):
        why = f"the name of the object ({call.name} based on URL) was undeterminable: name must be provided"
        raise errors.bad_request(why)
    body = _named(call, body)
    if service.store.get(call.resource.key, call.namespace, call.name) is None and _created_by_update(call):
        if uid := meta(body).get("uid"):
            raise errors.other_uid(call.resource.key, call.namespace, call.name, uid, "")
        return create(service, call)
    same = meta(body).get("uid") in (None, "", meta(stored_object(service, call))["uid"])
    # That it is another object comes first.
    if same and call.resource.conditional and meta(body).get("resourceVersion") in (None, "", "0"):
        cause = errors.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
        raise errors.invalid(call.resource.group, call.resource.plural, call.name, [cause])
    return _update(service, call, body)
