"""The verbs only pods have: binding to a node, and eviction."""

from __future__ import annotations

from . import errors, podrules
from .admission import CREATE, Attributes
from .objects import Obj, dig, name_of
from .reads import stored_object
from .requests import Call, Response
from .resources import PODS
from .service import Service
from .store import Preconditions
from .writes import expected_body


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
    body = expected_body(call, kinds=("Binding",))
    node = dig(body, "target", "name")
    if not node:
        raise errors.invalid("", "Binding", call.name, [errors.required("target.name")])
    _validate(service, call, body, ("", "v1", "Binding"))
    pod = stored_object(service, call)
    uid = dig(body, "metadata", "uid")
    service.store.check(PODS, pod, Preconditions(uid, None))
    bound = podrules.bind(pod, node, service.clock(), dig(body, "metadata", "annotations"))
    if not call.dry_run:
        service.store.update(PODS, bound, bump=True)
    return Response(
        201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    )


def evict(service: Service, call: Call) -> Response:
    """POST to pods/eviction: a deletion that disruption budgets may refuse."""
    body = expected_body(call, kinds=("Eviction",))
    _validate(service, call, body, ("policy", "v1", "Eviction"))
    pod = stored_object(service, call)
    for budget in service.store.items(("policy", "poddisruptionbudgets"), call.namespace):
        raise errors.not_implemented(f"eviction beside a PodDisruptionBudget ({name_of(budget)})")
    options = call.request.body.get("deleteOptions") or {}
    wanted = options.get("preconditions") or {}
    if not call.dry_run and not options.get("dryRun"):
        service.delete(
            call.resource,
            call.namespace,
            name_of(pod),
            propagation="Background",
            grace_seconds=options.get("gracePeriodSeconds"),
            preconditions=Preconditions(wanted.get("uid"), wanted.get("resourceVersion")),
            admitted=True,
        )
    return Response(
        201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    )
