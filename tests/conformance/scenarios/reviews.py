"""Whose a token is, and who may get a path that names no object: TokenReview and SubjectAccessReview.

Of a token that is known nothing is recorded: no two servers have the same.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, get, post

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PATH = "/debug/${ns}"


def _token(**spec: Any) -> Ask:
    return post(TOKENS, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec})


def _may(user: str = "", path: str = PATH, verb: str = "get", **spec: Any) -> Ask:
    attributes = {"path": path, "verb": verb}
    body = (
        {"user": user, "nonResourceAttributes": attributes, **spec}
        if user
        else {
            "nonResourceAttributes": attributes,
            **spec,
        }
    )
    return post(
        ACCESS, {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": body}
    )


def _role(name: str, *rules: dict[str, Any]) -> Ask:
    return post(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": list(rules)})


def _bound(name: str, role: str, *subjects: dict[str, Any]) -> Ask:
    body = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": list(subjects),
    }
    return post(f"{RBAC}/clusterrolebindings", body)


def _user(name: str) -> dict[str, Any]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}


def _group(name: str) -> dict[str, Any]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name}


def _account(name: str) -> dict[str, Any]:
    return {"kind": "ServiceAccount", "name": name, "namespace": "${ns}"}


#: The authorizer of RBAC hears of roles a moment after they are made.
def _until(ask: Ask, allowed: bool) -> Ask:
    return Ask(method="POST", path=ask.path, body=ask.body, until={"object.status.allowed": allowed})


READ = {"nonResourceURLs": [PATH], "verbs": ["get"]}

SCENARIOS = (
    Scenario(
        name="a token that nobody has",
        steps=(_token(token="nobody"), _token(token="a.b.c"), _token(token=""), _token()),
    ),
    Scenario(
        name="reviews of tokens that are none",
        steps=(
            post(TOKENS, {"kind": "Pod", "apiVersion": "v1", "spec": {"token": "x"}}),
            post(TOKENS, {"spec": {"token": 5}}),
            get(TOKENS),
            get(f"{TOKENS}/x"),
        ),
    ),
    Scenario(
        name="access to a path that nobody was given",
        steps=(
            _may("${ns}-ann"),
            _may(groups=["${ns}-team"]),
            _may("${ns}-ann", groups=["system:masters"]),
            _may("${ns}-ann", verb="post", groups=["system:masters"]),
        ),
    ),
    Scenario(
        name="reviews of access that are none",
        steps=(
            _may(),
            post(ACCESS, {"spec": {"user": "ann"}}),
            post(ACCESS, {"spec": {}}),
            _may("ann", resourceAttributes={"verb": "get", "resource": "pods"}),
            post(ACCESS, {"kind": "Pod", "apiVersion": "v1", "spec": {"user": "ann"}}),
            get(ACCESS),
        ),
    ),
    Scenario(
        name="access to a path by a role of a user",
        leftovers=(f"{RBAC}/clusterroles/${{ns}}-read", f"{RBAC}/clusterrolebindings/${{ns}}-ann"),
        steps=(
            _role("${ns}-read", READ),
            _bound("${ns}-ann", "${ns}-read", _user("${ns}-ann")),
            _until(_may("${ns}-ann"), True),
            _may("${ns}-bob"),
            _may("${ns}-ann", path=f"{PATH}/more"),
            _may("${ns}-ann", path=f"{PATH}/"),
            _may("${ns}-ann", verb="post"),
            _may("${ns}-ann", groups=["system:authenticated"], uid="7", extra={"scope": ["a"]}),
        ),
    ),
    Scenario(
        name="access to a path by a role of a group and of a service account",
        leftovers=(f"{RBAC}/clusterroles/${{ns}}-all", f"{RBAC}/clusterrolebindings/${{ns}}-many"),
        steps=(
            _role("${ns}-all", {"nonResourceURLs": [f"{PATH}/*"], "verbs": ["*"]}),
            _bound("${ns}-many", "${ns}-all", _group("${ns}-team"), _account("robot")),
            _until(_may("${ns}-ann", path=f"{PATH}/x/y", groups=["${ns}-team"]), True),
            _may("system:serviceaccount:${ns}:robot", path=f"{PATH}/x", verb="put"),
            _may("system:serviceaccount:${ns}:other", path=f"{PATH}/x"),
            _may("${ns}-ann", path=PATH, groups=["${ns}-team"]),
            _may("${ns}-ann", path=f"{PATH}/", groups=["${ns}-team"]),
            _may(path=f"{PATH}/x", groups=["${ns}-team"]),
        ),
    ),
    Scenario(
        name="a binding without its role, and a role without a path",
        leftovers=(
            f"{RBAC}/clusterroles/${{ns}}-pods",
            f"{RBAC}/clusterrolebindings/${{ns}}-none",
            f"{RBAC}/clusterrolebindings/${{ns}}-pods",
        ),
        steps=(
            _role("${ns}-pods", {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}),
            _bound("${ns}-pods", "${ns}-pods", _user("${ns}-ann")),
            _may("${ns}-ann"),
        ),
    ),
)
