"""The rules every object's metadata obeys: names, labels, annotations, owners, finalizers."""

from __future__ import annotations

import re

from . import errors
from .objects import Obj, meta, name_of
from .resources import Resource

_DNS_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def metadata_causes(resource: Resource, obj: Obj, before: Obj | None = None) -> list[errors.Cause]:
    """What is wrong with the metadata of an object to be created, or to replace `before`."""
    causes: list[errors.Cause] = []
    metadata = meta(obj)
    name = name_of(obj)
    loose = resource.group == "rbac.authorization.k8s.io"
    if before is None:
        if not name:
            causes.append(errors.required("metadata.name", "name or generateName is required"))
        elif loose:
            if "/" in name or "%" in name or name in (".", ".."):
                causes.append(errors.invalid_value("metadata.name", name, "may not contain '/'"))
        elif resource.plural in ("namespaces", "services"):
            if not _DNS_LABEL.match(name) or len(name) > 63:
                causes.append(
                    errors.invalid_value("metadata.name", name, "must be a lowercase RFC 1123 label")
                )
        elif not _DNS_SUBDOMAIN.match(name) or len(name) > 253:
            causes.append(errors.invalid_value("metadata.name", name, _SUBDOMAIN_TEXT))
    for key, value in (metadata.get("labels") or {}).items():
        text = str(value)
        if not isinstance(value, str):
            raise errors.bad_request(
                f"cannot convert metadata.labels[{key}] to string: got {type(value).__name__}"
            )
        if not _LABEL_VALUE.match(text) or len(text) > 63:
            causes.append(errors.invalid_value("metadata.labels", text, _LABEL_TEXT))
    for key, value in (metadata.get("annotations") or {}).items():
        if not isinstance(value, str):
            raise errors.bad_request(
                f"cannot convert metadata.annotations[{key}] to string: got {type(value).__name__}"
            )
    for index, reference in enumerate(metadata.get("ownerReferences") or ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not reference.get(field):
                where = f"metadata.ownerReferences[{index}].{field}"
                causes.append(
                    errors.invalid_value(where, reference.get(field) or "", f"{field} must not be empty")
                )
    if before is not None and meta(before).get("deletionTimestamp"):
        added = sorted(set(metadata.get("finalizers") or ()) - set(meta(before).get("finalizers") or ()))
        if added:
            detail = (
                f"no new finalizers can be added if the object is being deleted, found new finalizers {added}"
            )
            causes.append(errors.forbidden_value("metadata.finalizers", detail))
    return causes
