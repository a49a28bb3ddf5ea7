"""PATCH: what a patch must be, what comes of it, and server-side apply."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import bodies, decoding, errors, eventrules, patches
from .crds import Reports
from .errors import ApiError
from .events import to_core
from .gotext import formatted
from .gotypes import Mismatch
from .jsonpatches import json_patch
from .kindcheck import check_custom_kind
from .objects import Obj, meta, name_of
from .reads import as_read, respond, stored_object
from .requests import Call, Response
from .service import Service
from .strategic import strategic_merge
from .writes import tracked

#: What the server calls the list of kinds it knows.
_SCHEME = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"


def patch(service: Service, call: Call) -> Response:
    """PATCH of an object or its subresource."""
    kind = call.request.content_type.partition(";")[0].strip()
    if kind == patches.APPLY_CBOR:
        raise errors.not_implemented("CBOR")
    _check_options(call, applies=kind == patches.APPLY)
    if kind == patches.APPLY:
        return _apply(service, call)
    stored = as_read(service, call.resource, stored_object(service, call))
    result, shown = _patched(call, kind, stored)
    reader = _Reader(call, shown)
    result = reader.read(result, stored)
    _same_object(call, stored, result)
    return _update(service, call, tracked(service, call, stored, result), reader.report)


def _check_options(call: Call, *, applies: bool) -> None:
    query = call.request.query
    causes = []
    if applies and not query.get("fieldManager"):
        causes.append(errors.required("fieldManager", "is required for apply patch"))
    if not applies and "force" in query:
        causes.append(errors.forbidden_value("force", "may not be specified for non-apply patch"))
    if causes:
        raise errors.invalid("meta.k8s.io", "PatchOptions", "", causes)


def _patched(call: Call, kind: str, stored: Obj) -> tuple[Any, Callable[[], str]]:
    """The object with the patch, and how messages about it show it."""
    body = call.request.body
    strict = call.request.query.get("fieldValidation", "Warn") != "Ignore"
    if body is None:
        body = bodies.no_json("")
    if isinstance(body, bodies.Unreadable):
        prefix = "" if kind == patches.STRATEGIC else "error decoding patch: "
        raise errors.bad_request(prefix + body.why.removeprefix(bodies.NO_JSON))
    if kind == patches.JSON:
        _check_json_patch(call, body, strict=strict)
        result = json_patch(stored, body)
        return result, lambda: errors.compact(result)
    if not isinstance(body, dict):
        problem = f"json: cannot unmarshal {_json_name(body)} into Go value of type map[string]interface {{}}"
        raise errors.bad_request(f"error decoding patch: {problem}" if kind == patches.MERGE else problem)
    if strict and isinstance(body, bodies.Doubled):
        call.oddities.extend(f'duplicate field "{path}"' for path in body.paths)
    if kind == patches.MERGE:
        merged = patches.merge_patch(stored, body)
        return merged, lambda: errors.compact(merged)
    if kind == patches.STRATEGIC and not call.resource.crd:
        return strategic_merge(call.resource, stored, body), lambda: formatted(body)
    raise errors.unknown_patch_type()


def _check_json_patch(call: Call, body: Any, *, strict: bool) -> None:
    kinds = (
        ("[]handlers.jsonPatchOp", "handlers.jsonPatchOp")
        if strict
        else ("jsonpatch.Patch", "jsonpatch.Operation")
    )
    prefix = "error decoding patch: " if strict else ""
    if not isinstance(body, list):
        problem = f"{prefix}json: cannot unmarshal {_json_name(body)} into Go value of type {kinds[0]}"
        raise errors.bad_request(problem)
    for place, operation in enumerate(body):
        if not isinstance(operation, dict):
            problem = (
                f"{prefix}json: cannot unmarshal {_json_name(operation)} into Go value of type {kinds[1]}"
            )
            raise errors.bad_request(problem)
        if strict:
            known = ("op", "path", "from", "value")
            call.oddities.extend(
                f'json patch unknown field "[{place}].{key}"' for key in operation if key not in known
            )


def _json_name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "bool"}
    return names.get(type(value), "number")


class _Reader:
    """Reads a patched object as the server does. `shown` is how refusals show it."""

    def __init__(self, call: Call, shown: Callable[[], str]) -> None:
        self._call = call
        self._shown = shown
        self._mode = call.request.query.get("fieldValidation") or "Warn"
        self.report = _Report(self._unknown, call.warnings.append)

    def read(self, result: Any, stored: Obj) -> Obj:
        """The object of the call's kind that a patch made of the stored one.

        Raises:
            ApiError: 422, it is none, or has what its kind has not and that is not allowed.
        """
        resource = self._call.resource
        if not isinstance(result, dict):
            raise self._refused(
                f"json: cannot unmarshal {_json_name(result)} into Go value of type map[string]interface {{}}"
            )
        kind, version = result.get("kind"), result.get("apiVersion")
        if resource.crd and version == resource.api_version:
            check_custom_kind(resource, result)
        if (kind, version) != (resource.kind, resource.api_version):
            raise self._refused(
                f'no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"'
            )
        try:
            obj, unknown = decoding.decoded(resource, result, stored)
        except Mismatch as mismatch:
            strategic = self._call.request.content_type.startswith(patches.STRATEGIC)
            raise self._refused(
                mismatch.converted if strategic and mismatch.converted else str(mismatch)
            ) from None
        self._unknown(unknown)
        return obj

    def _unknown(self, paths: list[str]) -> None:
        texts = [*self._call.oddities, *(f'unknown field "{path}"' for path in paths)]
        self._call.oddities.clear()
        if self._mode == "Warn":
            self._call.warnings.extend(texts)
        elif self._mode == "Strict" and texts:
            raise self._refused(f"strict decoding error: {', '.join(texts)}")

    def _refused(self, why: str) -> ApiError:
        return errors.invalid("", "", "", [errors.invalid_value("patch", self._shown(), why)])


class _Report:
    """What the service tells about a custom resource: its unknown fields, and warnings."""

    def __init__(self, unknown: Callable[[list[str]], None], warn: Callable[[str], None]) -> None:
        self._unknown = unknown
        self.warn = warn

    def __call__(self, paths: list[str]) -> None:
        self._unknown(paths)


def _same_object(call: Call, stored: Obj | None, result: Obj) -> None:
    """Refuse a patch that makes another object of the one it is about; fills in the namespace."""
    metadata = result.get("metadata")
    if not isinstance(metadata, dict):
        metadata = result["metadata"] = {}
    if call.resource.namespaced:
        if metadata.get("namespace", call.namespace) != call.namespace:
            why = "the namespace of the provided object does not match the namespace sent on the request"
            raise errors.bad_request(why)
        if "namespace" not in metadata:
            metadata = result["metadata"] = {**metadata, "namespace": call.namespace}
    if not metadata.get("name"):
        why = f"the name of the object ({call.name} based on URL) was undeterminable: name must be provided"
        raise errors.bad_request(why)
    if metadata["name"] != call.name:
        why = f"the name of the object ({metadata['name']}) does not match the name on the URL ({call.name})"
        raise errors.bad_request(why)
    version, uid = metadata.get("resourceVersion"), metadata.get("uid")
    if stored is None:
        if uid:
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise errors.conflict(call.resource.group, call.resource.plural, call.name, why)
        return
    if version and not re.fullmatch("[0-9]+", str(version)):
        raise ApiError(500, "", f'strconv.ParseUint: parsing "{version}": invalid syntax')
    if version and version != meta(stored)["resourceVersion"]:
        raise errors.conflict(call.resource.group, call.resource.plural, call.name)
    for field in ("uid", "deletionTimestamp"):
        value = metadata.get(field)
        if value and value != meta(stored).get(field):
            cause = errors.invalid_value(f"metadata.{field}", value, "field is immutable")
            problem = errors.invalid(call.resource.group, call.resource.kind, call.name, [cause])
            # Both the object's metadata and the object itself are checked, and each tells of it.
            problem.details["causes"] *= 2
            raise problem


def _update(service: Service, call: Call, obj: Obj, report: Reports) -> Response:
    resource = call.resource
    if resource.stored != ("", ""):
        resource = service.need("", "v1", resource.stored[1])
    before = service.store.get(call.resource.key, call.namespace, call.name)
    eventrules.check(call.resource, obj, before)
    stored = service.update(
        resource,
        to_core(call.resource, obj),
        subresource=call.subresource,
        dry_run=call.dry_run,
        unknown=report,
        caller=call.caller,
    )
    return respond(service, call, stored)


def _apply(service: Service, call: Call) -> Response:
    resource, body, query = call.resource, call.request.body, call.request.query
    if body is None:
        body = {}
    if isinstance(body, bodies.Unreadable):
        raise errors.bad_request(f"error decoding YAML: error converting YAML to JSON: {body.why}")
    if not isinstance(body, dict):
        why = f"json: cannot unmarshal {_json_name(body)} into Go value of type map[string]interface {{}}"
        raise errors.bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}")
    version, kind = str(body.get("apiVersion") or ""), str(body.get("kind") or "")
    group, _, short = version.rpartition("/")
    named = f"{group}/{short}, Kind={kind}"
    stored = service.store.get(resource.key, call.namespace, call.name)
    live = as_read(service, resource, stored) if stored is not None else None
    if live is None and call.subresource:
        raise errors.not_found(resource.group, resource.plural, call.name)
    if (version, kind) != (resource.api_version, resource.kind):
        raise errors.bad_request(f"invalid object type: {named}")
    if meta(body).get("managedFields") is not None:
        raise errors.bad_request("metadata.managedFields must be nil")
    try:
        merged, managed = service.tracker.applied(
            resource,
            live,
            body,
            query["fieldManager"],
            call.subresource,
            force=query.get("force") in ("true", "1"),
        )
    except ValueError as problem:
        whose = f"{meta(body).get('namespace') or ''}/{name_of(body)}; {named}"
        raise ApiError(500, "", f"failed to create typed patch object ({whose}): {problem}") from problem
    merged = {**merged, "metadata": {**meta(merged), "managedFields": managed}}
    try:
        merged, _ = decoding.decoded(resource, merged, live)
    except Mismatch as problem:
        raise ApiError(
            500, "", f"failed to convert new object ({named}) to proper version: {problem}"
        ) from problem
    merged["metadata"] = {**merged["metadata"], "managedFields": managed}
    _same_object(call, live, merged)
    report = _Reader(call, lambda: errors.compact(merged)).report
    if live is not None:
        return _update(service, call, merged, report)
    for field in ("resourceVersion", "creationTimestamp"):
        merged["metadata"].pop(field, None)
    if resource.stored != ("", ""):
        resource = service.need("", "v1", resource.stored[1])
    created = service.create(
        resource, to_core(call.resource, merged), dry_run=call.dry_run, unknown=report, caller=call.caller
    )
    return respond(service, call, created, 201)
