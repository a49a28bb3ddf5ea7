"""The verbs only pods have: binding to a node, and eviction."""

from __future__ import annotations

from typing import Any

from . import errors, podrules
from .admission import CREATE, Attributes
from .budgets import evictions
from .objects import Obj, dig, meta, name_of, namespace_of
from .reads import stored_object
from .requests import Call, Response
from .resources import PODS
from .service import Service
from .store import Preconditions
from .writes import expected_body

_SUCCESS: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _body(call: Call, version: str, kind: str) -> Obj:
    body: Any = call.request.body
    if isinstance(body, dict) and not body.get("kind"):
        body = {**body, "kind": kind, "apiVersion": version}
    if not isinstance(body, dict):
        body = expected_body(call, kinds=(kind,))
    if body["kind"] != kind:
        given, shown = str(body.get("apiVersion")), str(body["kind"])
        package = "policy" if kind == "Eviction" else "core"
        raise errors.bad_request(
            f'{shown} in version "{given.rpartition("/")[2]}" cannot be handled as a {kind}: converting '
            f"({given.rpartition('/')[2]}.{shown}) to ({package}.{kind}): unknown conversion"
        )
    if (dig(body, "metadata", "name") or "") != call.name:
        raise errors.bad_request(f"name in URL does not match name in {kind} object")
    found: Obj = body
    return found


def _validate(service: Service, call: Call, body: Obj, kind: tuple[str, str, str]) -> None:
    """What admission policies have to say about a Binding or an Eviction."""
    service.policies.validate(
        Attributes(
            CREATE,
            call.resource,
            call.namespace,
            call.name,
            body,
            None,
            call.caller,
            call.subresource,
            kind,
            call.dry_run,
        )
    )


def bind(service: Service, call: Call) -> Response:
    """POST to pods/binding: the decision of a scheduler."""
    body = _body(call, "v1", "Binding")
    target = body.get("target") or {}
    if target.get("kind") not in (None, "", "Node"):
        cause = errors.unsupported_value("target.kind", target["kind"], ["Node", "<empty>"])
        raise errors.ApiError(500, "", str(cause))
    if not target.get("name"):
        raise errors.ApiError(500, "", str(errors.required("target.name")))
    _validate(service, call, body, ("", "v1", "Binding"))
    pod = stored_object(service, call)
    _check_stored(pod, meta(body).get("uid"), meta(body).get("resourceVersion"))
    annotations, labels = meta(body).get("annotations"), meta(body).get("labels")
    bound = podrules.bind(pod, target["name"], service.clock(), annotations, labels)
    if not call.dry_run:
        service.store.update(PODS, bound)
    return Response(201, _SUCCESS)


def _check_stored(pod: Obj, uid: str | None, version: str | None) -> None:
    """Preconditions as the storage underneath checks them, whose words come through."""
    for label, asked, found in (
        ("UID in precondition", uid, meta(pod).get("uid")),
        ("ResourceVersion in precondition", version, meta(pod).get("resourceVersion")),
    ):
        if asked and asked != found:
            place = f"Key: /registry/pods/{namespace_of(pod)}/{name_of(pod)}, ResourceVersion: 0"
            kind = label.partition(" ")[0]
            why = f"Precondition failed: {label}: {asked}, {kind} in object meta: {found}"
            problem = f"StorageError: invalid object, Code: 4, {place}, AdditionalErrorMsg: {why}"
            raise errors.conflict("", "pods", name_of(pod), problem)


def _check_record(pod: Obj, uid: str | None, version: str | None) -> None:
    """Preconditions of an eviction."""
    for label, asked, found, fate in (
        ("UID", uid, meta(pod).get("uid"), "deleted and then recreated"),
        ("ResourceVersion", version, meta(pod).get("resourceVersion"), "modified"),
    ):
        if asked and asked != found:
            why = (
                f"the {label} in the precondition ({asked}) does not match the {label} in record ({found}). "
                f"The object might have been {fate}"
            )
            raise errors.conflict("", "Pod", name_of(pod), why)


def evict(service: Service, call: Call) -> Response:
    """POST to pods/eviction: a deletion that disruption budgets may refuse."""
    body = _body(call, "policy/v1", "Eviction")
    _validate(service, call, body, ("policy", "v1", "Eviction"))
    pod = stored_object(service, call)
    options = body.get("deleteOptions") or {}
    dry = call.dry_run or bool(options.get("dryRun"))
    evictions.check_budgets(service, pod, dry_run=dry)
    wanted = options.get("preconditions") or {}
    uid, version = wanted.get("uid"), wanted.get("resourceVersion")
    if not dry:
        _check_record(pod, uid, version)
        marked = evictions.mark(service, pod)
        service.delete(
            call.resource,
            call.namespace,
            name_of(pod),
            propagation=options.get("propagationPolicy"),
            grace_seconds=options.get("gracePeriodSeconds"),
            preconditions=Preconditions(uid, meta(marked)["resourceVersion"] if version else None),
            admitted=True,
        )
    return Response(201, _SUCCESS)
