"""DELETE: one object or a collection, by the options of the caller."""

from __future__ import annotations

from typing import Any

from . import errors, tables
from .events import from_core
from .objects import Obj, meta, name_of, namespace_of
from .reads import respond
from .requests import JSON_TYPE, Call, Response
from .resources import PODS
from .selectors import both, parse_fields, parse_labels
from .service import Service
from .store import Preconditions


def _options(call: Call) -> tuple[str | None, int | None, Preconditions, bool]:
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


def delete(service: Service, call: Call) -> Response:
    """DELETE of one object."""
    propagation, grace, preconditions, dry = _options(call)
    resource = call.resource
    if propagation is None and resource.group == "batch" and resource.plural == "jobs":
        call.warnings.append(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
            "them or set propagationPolicy=Orphan to suppress this warning"
        )
    stored, gone = service.delete(
        resource,
        call.namespace,
        call.name,
        propagation=propagation,
        grace_seconds=grace,
        preconditions=preconditions,
        dry_run=dry,
        caller=call.caller,
    )
    if not gone or resource.key == PODS:
        return respond(service, call, stored)
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
    """DELETE of what a collection and its selectors name, one by one; the answer lists what was there."""
    propagation, grace, preconditions, dry = _options(call)
    query, resource = call.request.query, call.resource
    predicate = both(
        parse_labels(query.get("labelSelector", "")),
        parse_fields(query.get("fieldSelector", ""), resource.key),
    )
    items = [
        i for i in service.store.items(resource.key, call.namespace) if predicate is None or predicate(i)
    ]
    deleted = [
        from_core(
            resource,
            service.delete(
                resource,
                namespace_of(item),
                name_of(item),
                propagation=propagation,
                grace_seconds=grace,
                preconditions=preconditions,
                dry_run=dry,
                caller=call.caller,
            )[0],
        )
        for item in items
    ]
    payload = tables.represent_list(
        JSON_TYPE,
        resource,
        deleted,
        {"resourceVersion": str(service.store.revision)},
        None,
        0.0,
        "Metadata",
    )
    return Response(200, payload)
