"""What the API server says when it says no: exceptions that are Status objects.

Reasons, codes and wording are Kubernetes' own (apimachinery `pkg/api/errors`), because clients branch on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

#: The encodings a real server reads and writes.
MEDIA_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of `details.causes`: a field path and what is wrong with it."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def required(path: str, detail: str = "") -> Cause:
    """A field that must be present is not."""
    return Cause(path, "FieldValueRequired", "Required value" + (f": {detail}" if detail else ""))


def invalid_value(path: str, value: Any, detail: str) -> Cause:
    """A value that breaks a rule; `value` is shown the way Kubernetes prints it."""
    return Cause(path, "FieldValueInvalid", f"Invalid value: {show(value)}: {detail}")


def forbidden_value(path: str, detail: str) -> Cause:
    """A field that may not be set or changed here."""
    return Cause(path, "FieldValueForbidden", f"Forbidden: {detail}")


def unsupported_value(path: str, value: Any, supported: list[Any]) -> Cause:
    """A value outside an enumeration."""
    listed = ", ".join(show(item) for item in supported)
    return Cause(
        path, "FieldValueNotSupported", f"Unsupported value: {show(value)}: supported values: {listed}"
    )


def duplicate_value(path: str, value: Any) -> Cause:
    """A second element with the same key in a list that is a map or a set."""
    return Cause(path, "FieldValueDuplicate", f"Duplicate value: {show(value)}")


def too_long(path: str, limit: int) -> Cause:
    """A value of more than `limit` bytes."""
    return Cause(path, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def not_found_value(path: str, value: Any, detail: str = "") -> Cause:
    """A value that names nothing there is."""
    return Cause(path, "FieldValueNotFound", f"Not found: {show(value)}" + (f": {detail}" if detail else ""))


def show(value: Any) -> str:
    """Print a value as field.Error does: strings quoted, containers as JSON."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value is None:
        return "null"
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def compact(value: Any) -> str:
    """A value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@dataclass(slots=True)
class ApiError(Exception):
    """An answer with a Status body. `details` follows `metav1.StatusDetails`."""

    code: int
    reason: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    #: Some refusals carry details even where these are empty.
    detailed: bool = False
    #: A continue token that goes with the refusal.
    token: str = ""

    def __post_init__(self) -> None:
        Exception.__init__(self, self.message)

    def __str__(self) -> str:
        return self.message

    def status(self) -> dict[str, Any]:
        """The Status object that goes on the wire."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.token} if self.token else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details or self.detailed:
            body["details"] = self.details
        body["code"] = self.code
        return body


def _details(group: str, plural: str, name: str) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if plural:
        details["kind"] = plural
    return details


def _qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> ApiError:
    """404: no such object."""
    message = f'{_qualified(group, plural)} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(group, plural, name))


def no_such_path() -> ApiError:
    """404: the server serves nothing at this path (an unknown group, version or resource)."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", detailed=True)


def already_exists(group: str, plural: str, name: str, *, leaving: bool = False) -> ApiError:
    """409 on create; `leaving`: what exists is under deletion."""
    message = "object is being deleted: " if leaving else ""
    message += f'{_qualified(group, plural)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(group, plural, name))


STALE = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(group: str, plural: str, name: str, why: str = STALE) -> ApiError:
    """409 on update: a precondition (resourceVersion, uid, field ownership) does not hold."""
    message = f'Operation cannot be fulfilled on {_qualified(group, plural)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(group, plural, name))


def other_uid(key: tuple[str, str], namespace: str, name: str, wanted: str, found: str) -> ApiError:
    """409 on update: the object has another uid, as it is another one; none if there is none."""
    group, plural = key
    # Where a real server keeps the object, which it tells.
    prefix = {"nodes": "minions", "services": "services/specs"}.get(plural, plural)
    builtin = group in ("", "batch", "policy") or group.endswith(".k8s.io")
    if group == "apiextensions.k8s.io" or not builtin:
        prefix = f"{group}/{plural}"
    path = "/".join(part for part in ("/registry", prefix, namespace, name) if part)
    why = (
        f"StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: "
        f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
    )
    return conflict(group, plural, name, why)


def invalid(group: str, kind: str, name: str, causes: list[Cause]) -> ApiError:
    """422: the object breaks its schema or a rule; every broken field is listed."""
    # A finding made twice is told once, and listed twice.
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = _details(group, kind, name)
    details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return ApiError(422, "Invalid", f'{_qualified(group, kind)} "{name}" is invalid: {joined}', details)


def bad_request(message: str) -> ApiError:
    """400: the request itself cannot be understood."""
    return ApiError(400, "BadRequest", message)


def forbidden(group: str, plural: str, name: str, why: str) -> ApiError:
    """403: understood and refused."""
    message = f'{_qualified(group, plural)} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", message, _details(group, plural, name))


def unauthorized() -> ApiError:
    """401: no or an unknown bearer token."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def expired(message: str) -> ApiError:
    """410: the asked resourceVersion or continue token is older than the watch history."""
    return ApiError(410, "Expired", message)


def page_expired(token: str) -> ApiError:
    """410 of a page whose list is compacted; `token` goes on with the present state instead."""
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    return ApiError(410, "Expired", message, token=token)


def too_large(asked: int, current: int, *, exact: bool = False) -> ApiError:
    """504: a version the server has not reached. It waits for one in vain, but not for an exact one."""
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    details: dict[str, Any] = {"causes": causes}
    return ApiError(504, "Timeout", message, details if exact else {**details, "retryAfterSeconds": 1})


def too_old(asked: int, oldest: int) -> ApiError:
    """410 of a watch that starts before the oldest revision still known."""
    return expired(f"too old resource version: {asked} ({oldest})")


def method_not_allowed() -> ApiError:
    """405: the resource exists and has no such verb."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, detailed=True)


def unsupported_media_type() -> ApiError:
    """415: the verb takes no body, or no patch, of this type."""
    return ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", detailed=True)


def unknown_body_type() -> ApiError:
    """415: a body in no encoding the server reads."""
    listed = ", ".join(MEDIA_TYPES)
    message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return ApiError(415, "UnsupportedMediaType", message)


def unknown_patch_type() -> ApiError:
    """415: a patch of a type that custom resources do not take."""
    listed = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return ApiError(415, "UnsupportedMediaType", message)


def not_acceptable(available: Iterable[str]) -> ApiError:
    """406: the client accepts no encoding the path speaks."""
    message = f"406: Not Acceptable\n\nAvailable representations: {', '.join(available)}"
    return ApiError(406, "NotAcceptable", message, detailed=True)


def no_such_form() -> ApiError:
    """406: the client accepts only a form of the object that the server does not have, such as an unknown `as=`."""
    message = f"only the following media types are accepted: {', '.join(MEDIA_TYPES)}"
    return ApiError(406, "NotAcceptable", message)


def not_implemented(what: str) -> ApiError:
    """501: Kubernetes has it and the embedded cluster does not; said plainly rather than half done."""
    message = (
        f"the embedded cluster of Rackplane does not implement {what}; use a real Kubernetes cluster for this"
    )
    return ApiError(501, "NotImplemented", message)
