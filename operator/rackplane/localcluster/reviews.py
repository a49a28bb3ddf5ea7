"""What a user may do, and who a user is: `kubectl auth can-i` and `kubectl auth whoami`.

Nobody is refused anything here (there is no RBAC), so the answer to the one is always yes.
"""

from __future__ import annotations

from . import accessreviews, bodies, errors
from .objects import timestamp
from .requests import Request, Response
from .service import Service
from .users import identify

ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
IDENTITY = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def answer(service: Service, request: Request) -> Response | None:
    """The answer to a review; None at any other path.

    Raises:
        ApiError: 400, 404, 405, 422, 501.
    """
    if request.path not in (ACCESS, IDENTITY):
        return accessreviews.answer(service, request)
    if request.method != "POST":
        raise errors.method_not_allowed()
    kind = "SelfSubjectAccessReview" if request.path == ACCESS else "SelfSubjectReview"
    body = request.body
    if isinstance(body, bodies.Unreadable):
        raise body.problem(kind)
    version = request.path.removeprefix("/apis/").rpartition("/")[0]
    if not isinstance(body, dict) or body.get("kind", kind) != kind:
        raise errors.bad_request(f"the request body is not a {kind}")
    if request.path == ACCESS:
        spec = body.get("spec") or {}
        if bool(spec.get("resourceAttributes")) == bool(spec.get("nonResourceAttributes")):
            cause = errors.invalid_value(
                "spec.resourceAttributes",
                spec.get("resourceAttributes"),
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            )
            raise errors.invalid("authorization.k8s.io", kind, "", [cause])
        said = {"spec": spec, "status": {"allowed": True}}
        metadata = body.get("metadata") or {}
    else:
        user = identify(request.user, request.groups)
        said = {"status": {"userInfo": {"username": user.name, "groups": list(user.groups)}}}
        metadata = {"creationTimestamp": timestamp(service.clock())}
    return Response(201, {"kind": kind, "apiVersion": version, "metadata": metadata, **said})
