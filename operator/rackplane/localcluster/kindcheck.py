"""Whether the body of a request is an object of the kind that its path takes."""

from __future__ import annotations

import json

from . import errors
from .objects import Obj, name_of
from .resources import KNOWN_ELSEWHERE, Registry, Resource

#: What the server calls the list of kinds it knows.
_SCHEME = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"


def check_custom_kind(resource: Resource, body: Obj) -> None:
    """Refuse an object of another kind than the custom one, or of another version.

    Raises:
        ApiError: 400 or, since the decoder takes any kind of the right version, 422.
    """
    kind, version = body.get("kind"), body.get("apiVersion")
    if not kind:
        text = json.dumps(body)
        what = f"Object 'Kind' is missing in '{text}' ({text})"
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {resource.kind}): {what}"
        )
    if version != resource.api_version:
        raise errors.bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )
    if kind != resource.kind:
        cause = errors.invalid_value("kind", kind, f"must be {resource.kind}")
        raise errors.invalid(resource.group, str(kind), name_of(body), [cause])


def check_kind(registry: Registry, resource: Resource, body: Obj) -> None:
    """Refuse an object of another kind. A built-in kind is assumed where the body names none, or no version.

    Raises:
        ApiError: 400.
    """
    kind, version = body.get("kind") or resource.kind, body.get("apiVersion") or resource.api_version
    if (kind, version) == (resource.kind, resource.api_version):
        return
    found = registry.of_kind(str(version), str(kind))
    known = found is not None and found.api_version == version and not found.crd
    group, _, short = str(version).rpartition("/")
    if known and found is not None and found.key == resource.key:
        raise errors.bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )
    if known or group in KNOWN_ELSEWHERE:
        internal = resource.group.partition(".")[0] or "core"
        why = f"converting ({short}.{kind}) to ({internal}.{resource.kind}): unknown conversion"
    else:
        why = f'no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"'
    raise errors.bad_request(f'{kind} in version "{short}" cannot be handled as a {resource.kind}: {why}')
