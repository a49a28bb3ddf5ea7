"""Odd but likely applies and patches: lists emptied, keys renamed, one manager in two hats, two at once."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import APPLY, JSON_PATCH, MERGE, STRATEGIC, Ask, Scenario, get, patch, post, put

MAPS = "/api/v1/namespaces/${ns}/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/${ns}/leases"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/roles"
ACCOUNTS = "/api/v1/namespaces/${ns}/serviceaccounts"
BUDGETS = "/apis/policy/v1/namespaces/${ns}/poddisruptionbudgets"
SECRETS = "/api/v1/namespaces/${ns}/secrets"


def apply(path: str, api: str, kind: str, body: Any, manager: str = "m", **more: Any) -> Ask:
    """An apply of the object `a`."""
    whole = {"apiVersion": api, "kind": kind, **body, "metadata": {"name": "a", **body.get("metadata", {})}}
    query = {"fieldManager": manager, **more.pop("query", {})}
    return patch(f"{path}/a", whole, APPLY, query=query, managed=True, **more)


SCENARIOS = (
    Scenario(
        name="an applier that also updates has two entries",
        steps=(
            apply(MAPS, "v1", "ConfigMap", {"data": {"k": "1"}}),
            patch(f"{MAPS}/a", {"data": {"l": "1"}}, MERGE, query={"fieldManager": "m"}, managed=True),
            apply(MAPS, "v1", "ConfigMap", {"data": {"l": "2"}}),
            apply(MAPS, "v1", "ConfigMap", {"data": {"l": "2"}}, query={"force": "true"}),
            patch(f"{MAPS}/a", {"data": None}, MERGE, query={"fieldManager": "m"}, managed=True),
        ),
    ),
    Scenario(
        name="rules of a role are one field",
        steps=(
            apply(
                ROLES,
                "rbac.authorization.k8s.io/v1",
                "Role",
                {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
            ),
            apply(ROLES, "rbac.authorization.k8s.io/v1", "Role", {"rules": []}, "other"),
            apply(ROLES, "rbac.authorization.k8s.io/v1", "Role", {"rules": []}),
            apply(ROLES, "rbac.authorization.k8s.io/v1", "Role", {}),
            patch(f"{ROLES}/a", [{"op": "add", "path": "/rules", "value": [{"verbs": ["get"]}]}], JSON_PATCH),
        ),
    ),
    Scenario(
        name="a lease taken over by apply",
        steps=(
            apply(
                LEASES,
                "coordination.k8s.io/v1",
                "Lease",
                {"spec": {"holderIdentity": "one", "leaseDurationSeconds": 15}},
                "one",
            ),
            apply(LEASES, "coordination.k8s.io/v1", "Lease", {"spec": {"holderIdentity": "two"}}, "two"),
            apply(
                LEASES,
                "coordination.k8s.io/v1",
                "Lease",
                {"spec": {"holderIdentity": "two", "renewTime": "2020-01-01T00:00:00.000000Z"}},
                "two",
                query={"force": "true"},
            ),
            apply(LEASES, "coordination.k8s.io/v1", "Lease", {"spec": {"leaseDurationSeconds": 0}}, "one"),
            apply(LEASES, "coordination.k8s.io/v1", "Lease", {}, "one"),
        ),
    ),
    Scenario(
        name="secrets of an account applied by two, one of whom leaves",
        steps=(
            apply(ACCOUNTS, "v1", "ServiceAccount", {"secrets": [{"name": "x"}, {"name": "y"}]}, "one"),
            apply(ACCOUNTS, "v1", "ServiceAccount", {"secrets": [{"name": "z"}, {"name": "y"}]}, "two"),
            apply(ACCOUNTS, "v1", "ServiceAccount", {"secrets": [{"name": "y"}]}, "one"),
            apply(ACCOUNTS, "v1", "ServiceAccount", {}, "two"),
            patch(
                f"{ACCOUNTS}/a",
                {"secrets": [{"name": "n"}, {"name": "y", "$patch": "delete"}]},
                STRATEGIC,
                managed=True,
            ),
            patch(
                f"{ACCOUNTS}/a",
                {"secrets": [{"$patch": "replace"}, {"name": "only"}]},
                STRATEGIC,
                managed=True,
            ),
        ),
    ),
    Scenario(
        name="the selector of a budget is one field, its numbers may be percentages",
        steps=(
            apply(
                BUDGETS,
                "policy/v1",
                "PodDisruptionBudget",
                {"spec": {"minAvailable": "50%", "selector": {"matchLabels": {"a": "b"}}}},
                "one",
                view="ownership",
            ),
            apply(
                BUDGETS,
                "policy/v1",
                "PodDisruptionBudget",
                {"spec": {"minAvailable": 1}},
                "two",
                view="ownership",
            ),
            apply(
                BUDGETS,
                "policy/v1",
                "PodDisruptionBudget",
                {"spec": {"selector": {"matchLabels": {"c": "d"}}}},
                "two",
                view="ownership",
            ),
            apply(
                BUDGETS,
                "policy/v1",
                "PodDisruptionBudget",
                {"spec": {"selector": {"matchLabels": {"a": "b"}}}},
                "two",
                view="ownership",
            ),
        ),
    ),
    Scenario(
        name="an immutable secret and its managers",
        steps=(
            apply(SECRETS, "v1", "Secret", {"stringData": {"k": "v"}, "immutable": True}),
            apply(SECRETS, "v1", "Secret", {"stringData": {"k": "w"}, "immutable": True}),
            apply(SECRETS, "v1", "Secret", {"data": {"k": "dg=="}}),
            put(
                f"{SECRETS}/a",
                {"metadata": {"name": "a"}, "data": {"k": "dg=="}, "immutable": True},
                managed=True,
            ),
        ),
    ),
    Scenario(
        name="owners and finalizers applied and patched",
        steps=(
            post(MAPS, {"metadata": {"name": "o"}}, save="o"),
            apply(
                MAPS,
                "v1",
                "ConfigMap",
                {
                    "metadata": {
                        "finalizers": ["example.com/a"],
                        "ownerReferences": [
                            {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "${o.metadata.uid}"}
                        ],
                    }
                },
            ),
            patch(f"{MAPS}/a", {"metadata": {"finalizers": ["example.com/b"]}}, STRATEGIC, managed=True),
            apply(MAPS, "v1", "ConfigMap", {"metadata": {"finalizers": ["example.com/c", "example.com/b"]}}),
            apply(MAPS, "v1", "ConfigMap", {"metadata": {"finalizers": ["example.com/b"]}}),
            patch(
                f"{MAPS}/a",
                {"metadata": {"ownerReferences": [{"$patch": "replace"}]}},
                STRATEGIC,
                managed=True,
            ),
            get(f"{MAPS}/a", managed=True),
        ),
    ),
    Scenario(
        name="rules of roles that make no sense",
        steps=(
            post(ROLES, {"metadata": {"name": "a"}, "rules": [{}]}),
            post(
                ROLES,
                {
                    "metadata": {"name": "a"},
                    "rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"], "resources": ["pods"]}],
                },
            ),
            post(
                ROLES,
                {
                    "metadata": {"name": "a"},
                    "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, {"verbs": ["*"]}],
                },
            ),
            post(ROLES, {"metadata": {"name": "a"}, "rules": None}),
            patch(f"{ROLES}/a", {"rules": []}, MERGE),
        ),
    ),
)
