"""Whose a token is, and who may get a path that names no object: TokenReview and SubjectAccessReview.

What servers beside the API server ask it for those who call them. Of RBAC only this is judged: ClusterRoles that name
the path in `nonResourceURLs`, by ClusterRoleBindings; the roles that a real server begins with are not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import bodies, errors
from .objects import Obj, name_of
from .requests import Request, Response
from .resources import RBAC
from .service import Service
from .users import MASTERS, TOKENS, identify

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_KINDS = {TOKEN_REVIEWS: "TokenReview", ACCESS_REVIEWS: "SubjectAccessReview"}
_FORMS = {int: "number", float: "number", bool: "bool", dict: "object", list: "array"}


def answer(service: Service, request: Request) -> Response | None:
    """The answer to a review; None at any other path.

    Raises:
        ApiError: 400, 404, 405, 422, 501.
    """
    kind = _KINDS.get(request.path)
    if kind is None:
        if request.path.rpartition("/")[0] in _KINDS:
            raise errors.no_such_path()
        return None
    if request.method != "POST":
        raise errors.method_not_allowed()
    body, group = request.body, request.path.split("/")[2]
    if isinstance(body, bodies.Unreadable):
        raise body.problem(kind)
    if not isinstance(body, dict):
        raise errors.bad_request(f"the request body is not a {kind}")
    _check_kind(body, kind, group)
    spec = body.get("spec") or {}
    status = _whose(spec) if kind == "TokenReview" else _may(service, spec)
    metadata = body.get("metadata") or {}
    whole = {"kind": kind, "apiVersion": f"{group}/v1", "metadata": metadata, "spec": spec, "status": status}
    return Response(201, whole)


def _check_kind(body: Mapping[str, Any], kind: str, group: str) -> None:
    given = body.get("kind", kind)
    if given != kind:
        version = str(body.get("apiVersion", "v1")).rpartition("/")[2]
        internal = group.partition(".")[0]
        why = f"converting ({version}.{given}) to ({internal}.{kind}): unknown conversion"
        raise errors.bad_request(f'{given} in version "{version}" cannot be handled as a {kind}: {why}')


def _whose(spec: Mapping[str, Any]) -> Obj:
    token = spec.get("token") or ""
    if not isinstance(token, str):
        field = "TokenReviewSpec.spec.token of type string"
        why = f"json: cannot unmarshal {_FORMS[type(token)]} into Go struct field {field}"
        raise errors.bad_request(f'TokenReview in version "v1" cannot be handled as a TokenReview: {why}')
    if not token:
        raise errors.bad_request("token is required for TokenReview in authentication")
    if spec.get("audiences"):
        raise errors.not_implemented("TokenReviews for audiences of their own")
    account = TOKENS.get(token)
    if account is None:
        return {"user": {}, "error": "invalid bearer token"}
    user = identify(account)
    return {"authenticated": True, "user": {"username": user.name, "groups": list(user.groups)}}


def _may(service: Service, spec: Mapping[str, Any]) -> Obj:
    asked, resource = spec.get("nonResourceAttributes") or {}, spec.get("resourceAttributes")
    name, groups = str(spec.get("user") or ""), tuple(spec.get("groups") or ())
    causes = []
    if asked and resource:
        shown = f'{{"Path":"{asked.get("path", "")}","Verb":"{asked.get("verb", "")}"}}'
        text = f"Invalid value: {shown}: cannot be specified in combination with resourceAttributes"
        causes.append(errors.Cause("spec.nonResourceAttributes", "FieldValueInvalid", text))
    elif not asked and not resource:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        causes.append(errors.invalid_value("spec.resourceAttributes", None, text))
    if not name and not groups:
        text = "at least one of user or group must be specified"
        causes.append(errors.invalid_value("spec.user", "", text))
    if causes:
        raise errors.invalid("authorization.k8s.io", "", "", causes)
    if resource:
        raise errors.not_implemented("SubjectAccessReviews of resources: it has no RBAC for them")
    if MASTERS in groups:
        return {"allowed": True}
    assert asked is not None
    path, verb = str(asked.get("path", "")), str(asked.get("verb", ""))
    reason = next(_reasons(service, name, groups, path, verb), None)
    return {"allowed": False} if reason is None else {"allowed": True, "reason": reason}


def _reasons(service: Service, name: str, groups: tuple[str, ...], path: str, verb: str) -> Iterator[str]:
    """Every binding that allows it, in words."""
    for binding in service.store.items((RBAC, "clusterrolebindings")):
        subject = next(filter(None, (_is(s, name, groups) for s in binding.get("subjects") or ())), None)
        if subject is None:
            continue
        role = service.store.get((RBAC, "clusterroles"), "", binding["roleRef"]["name"])
        if role is not None and any(_allows(rule, path, verb) for rule in role.get("rules") or ()):
            names = f'ClusterRoleBinding "{name_of(binding)}" of ClusterRole "{name_of(role)}"'
            yield f"RBAC: allowed by {names} to {subject}"


def _is(subject: Mapping[str, Any], name: str, groups: tuple[str, ...]) -> str | None:
    """The subject in words, if it is that user or one of the groups."""
    kind, own = subject.get("kind"), str(subject.get("name", ""))
    if kind == "ServiceAccount":
        namespace = subject.get("namespace", "")
        account = f"system:serviceaccount:{namespace}:{own}"
        return f'ServiceAccount "{own}/{namespace}"' if name == account else None
    if (kind == "User" and own == name) or (kind == "Group" and own in groups):
        return f'{kind} "{own}"'
    return None


def _allows(rule: Mapping[str, Any], path: str, verb: str) -> bool:
    verbs, urls = rule.get("verbs") or (), rule.get("nonResourceURLs") or ()
    return ("*" in verbs or verb in verbs) and any(
        url in ("*", path) or (url.endswith("*") and path.startswith(url.rstrip("*"))) for url in urls
    )
