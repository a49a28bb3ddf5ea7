"""The API server without sockets: `Api.handle(Request) -> Response`, synchronous and complete but for streaming."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from . import apply, discovery, errors, patches, podrules, protobuf, tables
from .events import from_core, to_core
from .objects import Obj, clone, dig, meta, name_of, namespace_of
from .resources import CORE_ELSEWHERE, CORE_SUBRESOURCES_ELSEWHERE, KNOWN_ELSEWHERE, PODS, Resource
from .selectors import Predicate, both, parse_fields, parse_labels
from .service import Service
from .store import Preconditions
from .watch import Watch

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `body` is the decoded JSON (or YAML) body; `user` who the bearer token names."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON_TYPE
    accept: str = JSON_TYPE
    user: str = "admin"

    @property
    def writes(self) -> bool:
        """Whether the request may change anything."""
        return self.method not in ("GET", "HEAD", "OPTIONS")


@dataclass(slots=True)
class Response:
    """One answer. A watch has no body: its `watch` is polled instead."""

    code: int
    payload: Any = None
    watch: Watch | None = None
    warnings: list[str] = field(default_factory=list)
    content_type: str = JSON_TYPE

    @property
    def body(self) -> Any:
        """A copy of the payload that the caller may change."""
        return clone(self.payload)


Hook = Callable[[Request], None]
AfterHook = Callable[[Request, Response], None]


@dataclass(slots=True)
class _Call:
    """A request resolved to a resource."""

    request: Request
    resource: Resource
    namespace: str
    name: str
    subresource: str
    warnings: list[str] = field(default_factory=list)

    @property
    def dry_run(self) -> bool:
        return "All" in self.request.query.get("dryRun", "")


class Api:
    """Routes requests to the service.

    `before_write` is called with every client request that may write, before it is carried out; `after_write` once
    it is, with the answer. What they raise reaches the caller: a test kills its subject there.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.before_write: Hook | None = None
        self.after_write: AfterHook | None = None

    def handle(self, request: Request) -> Response:
        """Answer a request; a refusal is a Response with a Status body. Only hooks raise."""
        if request.writes and self.before_write is not None:
            try:
                self.before_write(request)
            except errors.ApiError as problem:
                return Response(problem.code, problem.status())
        try:
            response = self._route(request)
        except errors.ApiError as problem:
            return Response(problem.code, problem.status())
        if request.writes and self.after_write is not None:
            self.after_write(request, response)
        return response

    # -- routing

    def _route(self, request: Request) -> Response:
        parts = [part for part in request.path.split("/") if part]
        if request.path in ("/healthz", "/readyz", "/livez"):
            return Response(200, "ok", content_type="text/plain")
        found = discovery.answer(self.service, request.path, request.accept)
        if found is not None:
            return Response(200, found.payload, content_type=found.content_type)
        if parts[:1] == ["api"] and len(parts) >= 3:
            group, version, rest = "", parts[1], parts[2:]
        elif parts[:1] == ["apis"] and len(parts) >= 4:
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            if parts[:1] == ["apis"] and len(parts) > 1 and parts[1] in KNOWN_ELSEWHERE:
                raise errors.not_implemented(f"the API group {parts[1]}")
            raise errors.no_such_path()
        return self._dispatch(self._resolve(request, group, version, rest))

    def _resolve(self, request: Request, group: str, version: str, rest: list[str]) -> _Call:
        namespace = ""
        if rest[0] == "watch":
            raise errors.not_implemented("the old /watch/ paths")
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
        resource = self.service.registry.find(group, version, plural)
        if resource is None:
            raise errors.no_such_path()
        if subresource and subresource not in resource.subresources:
            if subresource in CORE_SUBRESOURCES_ELSEWHERE:
                raise errors.not_implemented(f"{plural}/{subresource}")
            raise errors.no_such_path()
        if (resource.namespaced and name and not namespace) or (namespace and not resource.namespaced):
            raise errors.no_such_path()
        return _Call(request, resource, namespace, name, subresource)

    def _dispatch(self, call: _Call) -> Response:
        method = call.request.method
        if call.subresource in ("binding", "eviction"):
            if method != "POST":
                raise errors.method_not_allowed()
            return self._bind(call) if call.subresource == "binding" else self._evict(call)
        match method, bool(call.name):
            case "GET", True:
                return self._respond(call, self._stored(call))
            case "GET", False:
                return self._collection(call)
            case "POST", False:
                return self._create(call)
            case "PUT", True:
                return self._put(call)
            case "PATCH", True:
                return self._patch(call)
            case "DELETE", True if not call.subresource:
                return self._delete(call)
            case "DELETE", False:
                return self._delete_collection(call)
        raise errors.method_not_allowed()

    def _stored(self, call: _Call) -> Obj:
        resource = call.resource
        found = self.service.store.get(resource.key, call.namespace, call.name)
        if found is None:
            raise errors.not_found(resource.group, resource.plural, call.name)
        return found

    def _respond(self, call: _Call, stored: Obj, code: int = 200) -> Response:
        obj = from_core(call.resource, stored)
        rendered = tables.represent(
            call.request.accept,
            call.resource,
            obj,
            self.service.definitions.find(call.resource),
            self.service.clock(),
            call.request.query.get("includeObject", "Metadata"),
        )
        return Response(code, rendered, warnings=call.warnings)

    # -- reading collections

    def _collection(self, call: _Call) -> Response:
        query, resource, store = call.request.query, call.resource, self.service.store
        definition = self.service.definitions.find(resource)
        predicate = both(
            parse_labels(query.get("labelSelector", "")),
            parse_fields(
                query.get("fieldSelector", ""), resource.key, definition.selectable if definition else ()
            ),
        )
        if query.get("watch") in ("1", "true"):
            watch = Watch.open(
                store, resource, call.namespace, predicate, query, self._renderer(call, definition)
            )
            return Response(200, watch=watch)
        return self._list(call, predicate, definition)

    def _renderer(self, call: _Call, definition: Any) -> Callable[[Obj, bool], Any]:
        accept, include = call.request.accept, call.request.query.get("includeObject", "Metadata")

        def render(stored: Obj, first: bool) -> Any:
            obj = from_core(call.resource, stored)
            shown = tables.represent(accept, call.resource, obj, definition, self.service.clock(), include)
            if not first and isinstance(shown, dict) and shown.get("kind") == "Table":
                shown = {**shown, "columnDefinitions": None}
            return shown

        return render

    def _list(self, call: _Call, predicate: Predicate | None, definition: Any) -> Response:
        query, resource, store = call.request.query, call.resource, self.service.store
        limit = int(query.get("limit") or 0)
        revision, after = store.revision, ("", "")
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
        if revision == store.revision:
            items = store.items(resource.key, call.namespace)
        else:
            items = store.items_at(resource.key, revision, call.namespace)
        if after != ("", ""):
            items = [item for item in items if (namespace_of(item), name_of(item)) > after]
        if predicate is not None:
            items = [item for item in items if predicate(item)]
        metadata: Obj = {"resourceVersion": str(revision)}
        if limit and len(items) > limit:
            last = items[limit - 1]
            metadata["continue"] = _write_token(revision, (namespace_of(last), name_of(last)))
            metadata["remainingItemCount"] = len(items) - limit
            items = items[:limit]
        payload = tables.represent_list(
            call.request.accept,
            resource,
            [from_core(resource, item) for item in items],
            metadata,
            definition,
            self.service.clock(),
            query.get("includeObject", "Metadata"),
        )
        return Response(200, payload)

    # -- writing

    def _body(self, call: _Call, *, kinds: tuple[str, ...] = ()) -> Obj:
        body = call.request.body
        if not isinstance(body, dict):
            raise errors.bad_request("the request body is not an object of the expected kind")
        resource = call.resource
        wanted = kinds or (resource.kind,)
        kind, version = body.get("kind"), body.get("apiVersion")
        if not kind and not resource.crd and not kinds:
            kind, version = resource.kind, version or resource.api_version
        if kind not in wanted or (not kinds and version != resource.api_version):
            message = (
                f"{kind or 'the object'} in version {json.dumps(version)} cannot be handled as a {wanted[0]}: the API "
                f"version in the data ({version}) does not match the expected API version ({resource.api_version})"
            )
            raise errors.bad_request(message)
        return body

    def _named(self, call: _Call, body: Obj) -> Obj:
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

    def _unknown(self, call: _Call) -> Callable[[list[str]], None]:
        """What to do about fields no schema knows, by the fieldValidation parameter."""
        mode = call.request.query.get("fieldValidation", "Warn")

        def report(paths: list[str]) -> None:
            texts = [f'unknown field "{path}"' for path in paths]
            if mode == "Warn":
                call.warnings.extend(texts)
            elif mode == "Strict" and texts:
                raise errors.bad_request(
                    f'{call.resource.kind} in version "{call.resource.version}" cannot be handled as a '
                    f"{call.resource.kind}: strict decoding error: {', '.join(texts)}"
                )

        return report

    def _create(self, call: _Call) -> Response:
        if call.resource.namespaced and not call.namespace:
            raise errors.method_not_allowed()
        body = to_core(call.resource, self._named(call, self._body(call)))
        resource = call.resource
        if resource.stored != ("", ""):
            resource = self.service.need("", "v1", resource.stored[1])
        stored = self.service.create(resource, body, dry_run=call.dry_run, unknown=self._unknown(call))
        return self._respond(call, stored, 201)

    def _update(self, call: _Call, obj: Obj) -> Response:
        resource = call.resource
        if resource.stored != ("", ""):
            resource = self.service.need("", "v1", resource.stored[1])
        stored = self.service.update(
            resource,
            to_core(call.resource, obj),
            subresource=call.subresource,
            dry_run=call.dry_run,
            unknown=self._unknown(call),
        )
        return self._respond(call, stored)

    def _put(self, call: _Call) -> Response:
        body = self._named(call, self._body(call))
        self._stored(call)
        if call.resource.crd and not meta(body).get("resourceVersion"):
            cause = errors.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise errors.invalid(call.resource.group, call.resource.plural, call.name, [cause])
        return self._update(call, body)

    def _patch(self, call: _Call) -> Response:
        kind = call.request.content_type.partition(";")[0].strip()
        if kind == patches.APPLY_CBOR:
            raise errors.not_implemented("CBOR")
        if kind == patches.APPLY:
            return self._apply(call)
        stored = from_core(call.resource, self._stored(call))
        result = patches.apply_patch(kind, stored, call.request.body, custom=bool(call.resource.crd))
        if name_of(result) != call.name or namespace_of(result) != call.namespace:
            raise errors.bad_request("the name or namespace of an object may not be changed by a patch")
        self._same_version(call, stored, result)
        return self._update(call, result)

    def _same_version(self, call: _Call, stored: Obj, result: Obj) -> None:
        """A patch whose resourceVersion is not the stored one conflicts; the store checks it, uid included."""
        if result.get("kind", call.resource.kind) != call.resource.kind:
            raise errors.bad_request("the kind of an object may not be changed by a patch")
        uid = meta(result).get("uid")
        if uid and uid != meta(stored).get("uid"):
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {meta(stored).get('uid')}"
            raise errors.conflict(call.resource.group, call.resource.plural, call.name, why)

    def _apply(self, call: _Call) -> Response:
        query = call.request.query
        manager = query.get("fieldManager", "")
        if not manager:
            cause = errors.required("fieldManager", "is required for apply patch")
            raise errors.invalid("meta.k8s.io", "PatchOptions", "", [cause])
        body = self._named(call, self._body(call))
        resource = call.resource
        stored = self.service.store.get(resource.key, call.namespace, call.name)
        live = from_core(resource, stored) if stored is not None else None
        definition = self.service.definitions.find(resource)
        merged = apply.server_side(
            resource,
            live,
            body,
            manager=manager,
            force=query.get("force") in ("true", "1"),
            schema=definition.schema if definition else None,
            now=self.service.clock(),
            subresource=call.subresource,
        )
        if live is not None:
            return self._update(call, merged)
        if call.subresource:
            raise errors.not_found(resource.group, resource.plural, call.name)
        managed = meta(merged).get("managedFields")
        created = self.service.create(resource, merged, dry_run=call.dry_run, unknown=self._unknown(call))
        if not call.dry_run:

            def keep(obj: Obj) -> None:
                obj["metadata"]["managedFields"] = managed

            created = self.service.change(resource, created, keep) or created
        return self._respond(call, created, 201)

    # -- deleting

    def _delete_options(self, call: _Call) -> tuple[str | None, int | None, Preconditions, bool]:
        query = call.request.query
        body = call.request.body if isinstance(call.request.body, dict) else {}
        propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or None
        orphan = body.get("orphanDependents", query.get("orphanDependents"))
        if propagation is None and orphan is not None:
            propagation = "Orphan" if orphan in (True, "true") else "Background"
        if propagation not in (None, "Background", "Foreground", "Orphan"):
            known: list[Any] = ["Foreground", "Background", "Orphan"]
            cause = errors.unsupported_value("propagationPolicy", propagation, known)
            raise errors.invalid("meta.k8s.io", "DeleteOptions", "", [cause])
        grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        wanted = body.get("preconditions") or {}
        dry = bool(body.get("dryRun")) or call.dry_run
        return (
            propagation,
            None if grace is None else int(grace),
            Preconditions(wanted.get("uid"), wanted.get("resourceVersion")),
            dry,
        )

    def _delete(self, call: _Call) -> Response:
        propagation, grace, preconditions, dry = self._delete_options(call)
        resource = call.resource
        stored, gone = self.service.delete(
            resource,
            call.namespace,
            call.name,
            propagation=propagation,
            grace_seconds=grace,
            preconditions=preconditions,
            dry_run=dry,
        )
        if propagation is None and resource.group == "batch" and resource.plural == "jobs":
            call.warnings.append(
                "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
                "them or set propagationPolicy=Orphan to suppress this warning"
            )
        if not gone or resource.key == PODS:
            return self._respond(call, stored)
        details: Obj = {"name": call.name, "kind": resource.plural, "uid": meta(stored)["uid"]}
        if resource.group:
            details["group"] = resource.group
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
        return Response(200, status, warnings=call.warnings)

    def _delete_collection(self, call: _Call) -> Response:
        propagation, grace, preconditions, dry = self._delete_options(call)
        query, resource = call.request.query, call.resource
        predicate = both(
            parse_labels(query.get("labelSelector", "")),
            parse_fields(query.get("fieldSelector", ""), resource.key),
        )
        items = [
            i
            for i in self.service.store.items(resource.key, call.namespace)
            if predicate is None or predicate(i)
        ]
        deleted = [
            from_core(
                resource,
                self.service.delete(
                    resource,
                    namespace_of(item),
                    name_of(item),
                    propagation=propagation,
                    grace_seconds=grace,
                    preconditions=preconditions,
                    dry_run=dry,
                )[0],
            )
            for item in items
        ]
        payload = tables.represent_list(
            JSON_TYPE,
            resource,
            deleted,
            {"resourceVersion": str(self.service.store.revision)},
            None,
            0.0,
            "Metadata",
        )
        return Response(200, payload)

    # -- pods

    def _bind(self, call: _Call) -> Response:
        body = self._body(call, kinds=("Binding",))
        pod = self._stored(call)
        uid = dig(body, "metadata", "uid")
        self.service.store.check(PODS, pod, Preconditions(uid, None))
        node = dig(body, "target", "name")
        if not node:
            raise errors.invalid("", "Binding", call.name, [errors.required("target.name")])
        bound = podrules.bind(pod, node, self.service.clock(), dig(body, "metadata", "annotations"))
        if not call.dry_run:
            self.service.store.update(PODS, bound, bump=True)
        return Response(
            201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        )

    def _evict(self, call: _Call) -> Response:
        self._body(call, kinds=("Eviction",))
        pod = self._stored(call)
        for budget in self.service.store.items(("policy", "poddisruptionbudgets"), call.namespace):
            raise errors.not_implemented(f"eviction beside a PodDisruptionBudget ({name_of(budget)})")
        options = call.request.body.get("deleteOptions") or {}
        wanted = options.get("preconditions") or {}
        if not call.dry_run and not options.get("dryRun"):
            self.service.delete(
                call.resource,
                call.namespace,
                name_of(pod),
                propagation="Background",
                grace_seconds=options.get("gracePeriodSeconds"),
                preconditions=Preconditions(wanted.get("uid"), wanted.get("resourceVersion")),
            )
        return Response(
            201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        )


def decode_body(raw: bytes, content_type: str) -> Any:
    """Decode a request body.

    Raises:
        ApiError: 400, it does not parse; 415, it is neither JSON nor YAML.
    """
    if not raw:
        return None
    kind = content_type.partition(";")[0].strip()
    if kind == protobuf.TYPE:
        try:
            decoded = protobuf.decode(raw)
        except (ValueError, KeyError) as problem:
            raise errors.bad_request(f"the protobuf body is malformed: {problem}") from problem
        if decoded is not None:
            return decoded
    if "protobuf" in kind or "cbor" in kind:
        raise errors.unsupported_media_type(kind, [JSON_TYPE, "application/yaml"])
    try:
        if kind in ("application/yaml", patches.APPLY):
            return yaml.safe_load(raw)
        return json.loads(raw)
    except (ValueError, yaml.YAMLError) as problem:
        raise errors.bad_request(f"the object provided is unrecognized: {problem}") from problem


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
