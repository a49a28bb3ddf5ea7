"""The API server without sockets: `Api.handle(Request) -> Response`, synchronous and complete but for streaming."""

from __future__ import annotations

from . import deletes, errors, frontdoor, patching, podverbs, preflight, reads, reviews, writes
from .requests import Call, Request, Response
from .resources import (
    CORE_ELSEWHERE,
    CORE_SUBRESOURCES_ELSEWHERE,
    KNOWN_ELSEWHERE,
    NAMESPACES,
    OTHERS_ELSEWHERE,
)
from .service import Service


class Api:
    """Routes requests to the service."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def handle(self, request: Request) -> Response:
        """Answer a request; a refusal is a Response with a Status body."""
        try:
            return self._route(request)
        except errors.ApiError as problem:
            return Response(problem.code, problem.status())

    # -- routing

    def _route(self, request: Request) -> Response:
        parts = [part for part in request.path.split("/") if part]
        beside = frontdoor.answer(self.service, request) or reviews.answer(self.service, request)
        if beside is not None:
            return beside
        if parts[:1] == ["api"] and len(parts) >= 3:
            group, version, rest = "", parts[1], parts[2:]
        elif parts[:1] == ["apis"] and len(parts) >= 4:
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            if parts[:1] == ["apis"] and len(parts) > 1 and parts[1] in KNOWN_ELSEWHERE:
                raise errors.not_implemented(f"the API group {parts[1]}")
            known = parts[:1] == ["apis"] and len(parts) > 1 and self._serves(parts[1])
            if parts[:1] == ["api"] or (known and not self._custom(parts[1])):
                raise errors.no_such_path()
            return frontdoor.nowhere()
        if group and group not in KNOWN_ELSEWHERE and not self._serves(group):
            return frontdoor.nowhere()
        if rest[0] == "watch":
            raise errors.not_implemented("the old /watch/ paths: use ?watch=true")
        if len(rest) > (5 if rest[0] == "namespaces" else 3):
            raise errors.no_such_path()
        try:
            call = self._resolve(request, group, version, rest)
        except errors.ApiError as problem:
            # What no definition has made is a path like any other.
            if problem.code == 404 and not problem.details and self._custom(group):
                return frontdoor.nowhere()
            raise
        definition = self.service.definitions.find(call.resource)
        deprecated = [definition.warning] if definition is not None and definition.warning else []
        try:
            response = self._dispatch(call)
        except errors.ApiError as problem:
            return Response(problem.code, problem.status(), warnings=deprecated + call.warnings)
        response.warnings = deprecated + response.warnings
        return response

    def _serves(self, group: str) -> bool:
        return group == "authorization.k8s.io" or group in self.service.registry.groups()

    def _custom(self, group: str) -> bool:
        """Whether all of a group comes from definitions."""
        return all(entry.crd for entry in self.service.registry if entry.group == group)

    def _resolve(self, request: Request, group: str, version: str, rest: list[str]) -> Call:
        namespace = ""
        if (
            rest[0] == "namespaces"
            and len(rest) >= 3
            and not (group == "" and rest[2] in ("status", "finalize"))
        ):
            namespace, rest = rest[1], rest[2:]
        plural, name = rest[0], rest[1] if len(rest) > 1 else ""
        subresource = rest[2] if len(rest) > 2 else ""
        if group in KNOWN_ELSEWHERE:
            raise errors.not_implemented(f"the API group {group}")
        if group == "authorization.k8s.io":
            raise errors.not_implemented(f"{plural}.{group}: its users may do everything")
        if group == "" and plural in CORE_ELSEWHERE:
            raise errors.not_implemented(plural)
        if (group, plural) in OTHERS_ELSEWHERE:
            raise errors.not_implemented(f"{plural}.{group}")
        resource = self.service.registry.find(group, version, plural)
        if resource is None:
            raise errors.no_such_path()
        if subresource and subresource not in resource.subresources:
            if subresource in CORE_SUBRESOURCES_ELSEWHERE and not resource.crd:
                raise errors.not_implemented(f"{plural}/{subresource}")
            raise errors.not_found(group, plural, name) if resource.crd else errors.no_such_path()
        if (resource.namespaced and name and not namespace) or (namespace and not resource.namespaced):
            raise errors.no_such_path()
        return Call(request, resource, namespace, name, subresource)

    def _dispatch(self, call: Call) -> Response:
        method = call.request.method
        _check_verb(call)
        preflight.check(call)
        if call.subresource in ("binding", "eviction"):
            if method != "POST":
                raise errors.method_not_allowed()
            return (
                podverbs.bind(self.service, call)
                if call.subresource == "binding"
                else podverbs.evict(self.service, call)
            )
        match method, bool(call.name):
            case "GET", True:
                return reads.respond(self.service, call, reads.stored_object(self.service, call))
            case "GET", False:
                return reads.collection(self.service, call)
            case "POST", False:
                return writes.create(self.service, call)
            case "PUT", True:
                return writes.put(self.service, call)
            case "PATCH", True:
                return patching.patch(self.service, call)
            case "DELETE", True if not call.subresource:
                return deletes.delete(self.service, call)
            case "DELETE", False:
                return deletes.delete_collection(self.service, call)
        raise errors.method_not_allowed()


def _check_verb(call: Call) -> None:
    """Refuse a verb that the path does not have.

    Raises:
        ApiError: 405.
    """
    verbs = {"GET", "PUT", "PATCH", "DELETE"} if call.name else {"GET", "POST", "DELETE"}
    if call.subresource:
        verbs = {"finalize": {"PUT"}, "status": {"GET", "PUT", "PATCH"}}.get(
            call.subresource, verbs | {"POST"}
        )
    elif not call.name and call.resource.namespaced and not call.namespace:
        verbs = {"GET"}
    elif not call.name and call.resource.key == NAMESPACES:
        verbs = {"GET", "POST"}
    if call.request.method not in verbs:
        raise errors.method_not_allowed()
