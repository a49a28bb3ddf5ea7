"""What is checked of a request before anybody looks at its object: media types, options, whether the body parses."""

from __future__ import annotations

from typing import Any

from . import bodies, errors, patches
from .errors import Cause
from .requests import Call

_WRITTEN = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_STREAMED = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
_FORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_OPTIONS = {
    "POST": "CreateOptions",
    "PUT": "UpdateOptions",
    "PATCH": "PatchOptions",
}
#: Characters of a field manager's name.
MANAGER_LIMIT = 128
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_PATCH_TYPES = frozenset({patches.JSON, patches.MERGE, patches.STRATEGIC, patches.APPLY, patches.APPLY_CBOR})


def check(call: Call) -> None:
    """Refuse what the server would refuse before it decodes the object.

    Raises:
        ApiError: 400, 406, 415, 422; 501 for encodings of a real server that are not spoken here.
    """
    method, request = call.request.method, call.request
    kind = bodies.media_type(request.content_type)
    if method == "PATCH" and kind not in _PATCH_TYPES:
        raise errors.unknown_patch_type() if call.resource.crd else errors.unsupported_media_type()
    _acceptable(call)
    written = method in ("POST", "PUT") or (method == "DELETE" and request.body is not None)
    if written and kind not in errors.MEDIA_TYPES:
        raise errors.unknown_body_type()
    if method not in ("GET", "DELETE"):
        _options(call)
    body = request.body
    if method in ("POST", "PUT") and not isinstance(body, (dict, bodies.Unreadable)):
        body = bodies.no_json("") if body is None else bodies.not_an_object(body)
    # What is wrong with a patch is told after what is wrong with its target.
    if isinstance(body, bodies.Unreadable) and method != "PATCH":
        raise errors.bad_request(body.why) if method == "DELETE" else body.problem(call.resource.kind)


def _acceptable(call: Call) -> None:
    ranges = [part.strip() for part in call.request.accept.split(",") if part.strip()]
    names = [bodies.media_type(part) for part in ranges]
    if not ranges or "*/*" in names:
        return
    listing = call.request.method == "GET" and not call.name
    if not any(name in errors.MEDIA_TYPES for name in names):
        raise errors.not_acceptable(_WRITTEN + _STREAMED if listing else _WRITTEN)
    if bodies.JSON_TYPE not in names:
        raise errors.not_implemented(f"answers in {names[0]}")
    for part, name in zip(ranges, names, strict=True):
        if name == bodies.JSON_TYPE and _form(part) in ("", *_FORMS):
            return
    raise errors.no_such_form()


def _form(media_range: str) -> str:
    parameters = dict(part.strip().partition("=")[::2] for part in media_range.split(";")[1:])
    return str(parameters.get("as", ""))


def dry_run_causes(values: list[Any]) -> list[Cause]:
    """What is wrong with the values of dryRun, of which there is only one."""
    if all(value == "All" for value in values):
        return []
    return [errors.unsupported_value("dryRun", values, ["All"])]


def _options(call: Call) -> None:
    query, method = call.request.query, call.request.method
    causes: list[Cause] = []
    causes += _manager_causes(query.get("fieldManager", ""))
    if "dryRun" in query:
        causes += dry_run_causes([query["dryRun"]])
    if query.get("fieldValidation", "") not in _VALIDATIONS:
        causes.append(
            errors.unsupported_value("fieldValidation", query["fieldValidation"], list(_VALIDATIONS))
        )
    if causes:
        raise errors.invalid("meta.k8s.io", _OPTIONS[method], "", causes)


def _manager_causes(name: str) -> list[Cause]:
    causes: list[Cause] = []
    if len(name.encode()) > MANAGER_LIMIT:
        causes.append(errors.too_long("fieldManager", MANAGER_LIMIT))
    for index, char in enumerate(name):
        if not char.isprintable():
            place = len(name[:index].encode())
            text = f"invalid character U+{ord(char):04X} (at position {place})"
            causes.append(errors.invalid_value("fieldManager", name, text))
    return causes
