"""What the server answers beside objects: health, discovery, OpenAPI, and paths that lead nowhere."""

from __future__ import annotations

import json

from . import bodies, discovery, errors, openapi
from .requests import Request, Response
from .service import Service

TEXT = "text/plain"
_CHECKS = ("ping", "log", "etcd")
_HEALTH = {
    "healthz": _CHECKS,
    "livez": _CHECKS,
    "readyz": (*_CHECKS, "informer-sync", "shutdown"),
}
_READ_ONLY = ("version", "api", "apis")
#: What a real server has at its root and this one has not.
_ELSEWHERE = {
    "metrics": "the server's own metrics",
    ".well-known": "the OpenID configuration of service accounts",
    "openid": "the keys of service accounts",
    "debug": "profiles",
    "flagz": "the server's flags",
    "statusz": "the server's status page",
}
#: Nobody can create these here. `kubectl describe namespace` asks for all of them, and there are none.
_ALWAYS_EMPTY = {"limitranges": "LimitRangeList", "resourcequotas": "ResourceQuotaList"}


def nowhere() -> Response:
    """The answer at a path that no group serves: a page, not a Status."""
    return Response(404, "404 page not found\n", content_type=TEXT)


def answer(service: Service, request: Request) -> Response | None:
    """The answer at a path that names no object of a kind served here; None at any other.

    Raises:
        ApiError: 405, 406, 501.
    """
    if "//" in request.path.rstrip("/"):
        return nowhere()
    parts = request.path.strip("/").split("/")
    if parts[0] in _HEALTH:
        return _health(parts, request)
    if parts == [""]:
        return Response(200, {"paths": _paths(service)})
    if parts[0] in _ELSEWHERE:
        raise errors.not_implemented(f"{request.path} ({_ELSEWHERE[parts[0]]})")
    if parts[0] == "openapi":
        return _openapi(service, request, parts[1:])
    if parts[0] not in _READ_ONLY:
        return nowhere()
    found = discovery.document(service.registry, parts, aggregated=False)
    if found is None:
        return _none_of(service, request, parts)
    if request.method != "GET":
        raise errors.method_not_allowed()
    form = _form(request.accept, parts)
    if form and len(parts) == 1:
        whole = discovery.document(service.registry, parts, aggregated=True)
        return Response(200, whole, content_type=discovery.AGGREGATED)
    return Response(200, found)


def _none_of(service: Service, request: Request, parts: list[str]) -> Response | None:
    match parts:
        case ["api", "v1", "namespaces", _, plural] if plural in _ALWAYS_EMPTY and request.method == "GET":
            if request.query.get("watch") in ("true", "1"):
                return None
            metadata = {"resourceVersion": str(service.store.revision)}
            listed = {"kind": _ALWAYS_EMPTY[plural], "apiVersion": "v1", "metadata": metadata, "items": []}
            return Response(200, listed)
    return None


def _form(accept: str, parts: list[str]) -> str:
    """Which form of a discovery document the client wants most: "" for the plain one.

    Raises:
        ApiError: 406, none it accepts exists; 501, a real server has it in an encoding that is not spoken here.
    """
    known = (bodies.JSON_TYPE,) if parts[0] == "version" else errors.MEDIA_TYPES
    # Lists of groups are answered by another part of a real server, which says no in other words.
    of_groups = parts[0] == "apis" and len(parts) < 3
    any_type = ("*/*", "application/*") if of_groups else ("*/*",)
    ranges = [part.strip() for part in accept.split(",") if part.strip()]
    named = [part for part in ranges if bodies.media_type(part) in (*known, *any_type)]
    if ranges and not named:
        raise errors.no_such_form() if of_groups else errors.not_acceptable(known)
    spoken = [part for part in named if bodies.media_type(part) not in known[1:]]
    if named and not spoken:
        raise errors.not_implemented(f"answers in {named[0]}: accept application/json as well")
    for part in spoken:
        parameters = dict(entry.strip().partition("=")[::2] for entry in part.split(";")[1:])
        form = parameters.get("as", "")
        if not form or (form, parameters.get("v")) == ("APIGroupDiscoveryList", "v2"):
            return form
    if spoken:
        raise errors.no_such_form()
    return ""


def _health(parts: list[str], request: Request) -> Response:
    checks = _HEALTH[parts[0]]
    if len(parts) == 2 and parts[1] in checks:
        return Response(200, "ok", content_type=TEXT)
    if len(parts) > 1:
        return nowhere()
    if "verbose" not in request.query:
        return Response(200, "ok", content_type=TEXT)
    excluded = request.query.get("exclude", "").split(",")
    lines = [f"[+]{name} excluded: ok" if name in excluded else f"[+]{name} ok" for name in checks]
    return Response(200, "\n".join([*lines, f"{parts[0]} check passed", ""]), content_type=TEXT)


def _paths(service: Service) -> list[str]:
    found = {"/api", "/api/v1", "/apis", "/apis/", "/openapi/v3", "/openapi/v3/", "/version"}
    found |= {f"/{name}" for name in _HEALTH}
    found |= {f"/{name}/{check}" for name, checks in _HEALTH.items() for check in checks}
    for group, versions in service.registry.groups().items():
        if group:
            found |= {f"/apis/{group}", *(f"/apis/{group}/{version}" for version in versions)}
    return sorted(found)


def _openapi(service: Service, request: Request, parts: list[str]) -> Response:
    if request.path.endswith("/"):
        return Response(404, "", content_type="")
    groups = service.registry.groups()
    match parts:
        case ["v2"]:
            raise errors.not_implemented("OpenAPI v2: ask for /openapi/v3")
        case ["v3"]:
            # Upstream writes it without naming its type.
            return Response(200, json.dumps(openapi.index(service)), content_type=TEXT)
        case ["v3", "api", "v1"]:
            return _document(service, request, "", "v1")
        case ["v3", "apis", group, version] if version in groups.get(group, ()):
            return _document(service, request, group, version)
        case ["v3", *_]:
            return Response(404, "", content_type="")
    return nowhere()


def _document(service: Service, request: Request, group: str, version: str) -> Response:
    if "json" not in request.accept and "*/*" not in request.accept:
        raise errors.not_implemented(f"OpenAPI as {request.accept}: ask for application/json")
    current = openapi.fingerprint(service, group, version)
    if request.query.get("hash", current) != current:
        return Response(301, "", content_type="", headers={"Location": f"{request.path}?hash={current}"})
    return Response(200, openapi.document(service, group, version), headers={"Etag": f'"{current}"'})
