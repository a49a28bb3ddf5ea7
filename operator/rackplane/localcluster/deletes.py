"""DELETE: one object or a collection, by the options of the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import errors, reads, tables
from .events import from_core
from .objects import Obj, meta, name_of, namespace_of
from .preflight import dry_run_causes
from .requests import JSON_TYPE, Call, Response
from .resources import JOBS, PODS
from .service import Service
from .store import GroupResource, Preconditions

#: Kinds that every group version of the server knows.
_UNVERSIONED = ("Status", "APIVersions", "APIGroup", "APIGroupList", "APIResourceList")
_POLICIES = ("Foreground", "Background", "Orphan")
#: Kinds whose deletion is answered with the object as it last was, not with a Status.
_ANSWERED_WHOLE: frozenset[GroupResource] = frozenset(
    {
        PODS,
        ("", "serviceaccounts"),
        ("", "services"),
        ("resource.k8s.io", "deviceclasses"),
        ("resource.k8s.io", "resourceclaims"),
        ("resource.k8s.io", "resourceclaimtemplates"),
        ("resource.k8s.io", "resourceslices"),
    }
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a `DeleteOptions` says: in the body or, where there is none, in the query."""

    propagation: str | None
    orphan: bool | None
    grace_seconds: int | None
    preconditions: Preconditions
    dry_run: bool

    @property
    def policy(self) -> str | None:
        """The propagation policy, however it is said; None leaves it to the kind and the object."""
        if self.orphan is None:
            return self.propagation
        return "Orphan" if self.orphan else "Background"


def _options(call: Call) -> Options:
    body = call.request.body
    if isinstance(body, dict):
        if body.get("kind", "DeleteOptions") != "DeleteOptions":
            if body["kind"] in _UNVERSIONED and body.get("apiVersion") == "v1":
                why = f"converting (v1.{body['kind']}) to (v1.DeleteOptions): unknown conversion"
                raise errors.bad_request(why)
            raise errors.bad_request("decoded object cannot be converted to DeleteOptions")
        given = body
    else:
        query = call.request.query
        given = {key: query[key] for key in ("propagationPolicy",) if query.get(key)}
        if query.get("orphanDependents"):
            given["orphanDependents"] = query["orphanDependents"] not in ("false", "0", "False")
        if query.get("gracePeriodSeconds"):
            given["gracePeriodSeconds"] = _seconds(query["gracePeriodSeconds"])
        if "dryRun" in query:
            given["dryRun"] = [query["dryRun"]]
    propagation, orphan = given.get("propagationPolicy"), given.get("orphanDependents")
    causes: list[errors.Cause] = []
    if orphan is not None and propagation is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        causes.append(errors.invalid_value("propagationPolicy", propagation, text))
    if propagation is not None and propagation not in _POLICIES:
        causes.append(errors.unsupported_value("propagationPolicy", propagation, [*_POLICIES, "nil"]))
    causes += dry_run_causes(given.get("dryRun") or [])
    if causes:
        raise errors.invalid("meta.k8s.io", "DeleteOptions", "", causes)
    grace = given.get("gracePeriodSeconds")
    wanted = given.get("preconditions") or {}
    return Options(
        propagation,
        orphan,
        # A negative period counts as the shortest one.
        None if grace is None else 1 if grace < 0 else int(grace),
        Preconditions(wanted.get("uid"), wanted.get("resourceVersion")),
        bool(given.get("dryRun")),
    )


def _seconds(text: str) -> int:
    try:
        return int(text)
    except ValueError as problem:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from problem


def _carry_out(service: Service, call: Call, options: Options, namespace: str, name: str) -> tuple[Obj, bool]:
    return service.delete(
        call.resource,
        namespace,
        name,
        propagation=options.policy,
        grace_seconds=options.grace_seconds,
        preconditions=options.preconditions,
        dry_run=options.dry_run,
        caller=call.caller,
    )


def delete(service: Service, call: Call) -> Response:
    """DELETE of one object."""
    options = _options(call)
    resource = call.resource
    if options.policy is None and resource.key == JOBS:
        call.warnings.append(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
            "them or set propagationPolicy=Orphan to suppress this warning"
        )
    stored, gone = _carry_out(service, call, options, call.namespace, call.name)
    if not gone or resource.key in _ANSWERED_WHOLE:
        # 202 only for those who ask in the old way that dependents go too, as upstream.
        return reads.respond(service, call, stored, 202 if not gone and options.orphan is False else 200)
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


def delete_collection(service: Service, call: Call) -> Response:
    """DELETE of what a list with the same parameters names, one by one; the answer is that list."""
    options = _options(call)
    resource = call.resource
    items, metadata = reads.listed(service, call)
    for item in items:
        try:
            _carry_out(service, call, options, namespace_of(item), name_of(item))
        except errors.ApiError as problem:
            if problem.code != 404:
                raise
    shown: list[Any] = [from_core(resource, item) for item in items]
    payload = tables.represent_list(JSON_TYPE, resource, shown, metadata, None, 0.0, "Metadata")
    return Response(200, payload)
