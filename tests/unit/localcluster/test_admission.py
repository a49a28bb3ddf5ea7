"""Admission policies: what is evaluated and for whom, and what is refused because it would not be.

How a real server answers is recorded in tests/conformance; here is what no recording shows.
"""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession
from multidict import CIMultiDict

from rackplane.api.admission import shipped_policies
from rackplane.localcluster import ApiError, LocalCluster, Request, users
from rackplane.localcluster.admission.expressions import compile_expression
from rackplane.localcluster.admission.extracts import extract

GROUP = "/apis/admissionregistration.k8s.io/v1"
MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
QUEUED = {"rackplane.dev/queue": "research"}
OURS = [{"name": "rackplane.dev/placement"}]
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
WIDGET = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "size": {"type": "integer", "default": 1},
                                    "ports": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["number"],
                                        "items": {
                                            "type": "object",
                                            "required": ["number"],
                                            "properties": {
                                                "number": {"type": "integer"},
                                                "name": {"type": "string"},
                                            },
                                        },
                                    },
                                    "tags": {"type": "array", "items": {"type": "string"}},
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


SHOWN_USER = "request.userInfo.username + ' of ' + request.userInfo.groups[0]"


def policy(kind: str, name: str, rule: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    constraints = {"resourceRules": [{**RULE, **(rule or {})}]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}AdmissionPolicy",
        "metadata": {"name": name},
        "spec": {"matchConstraints": constraints, **spec},
    }


def bound(policy: dict[str, Any], **spec: Any) -> list[dict[str, Any]]:
    name = policy["metadata"]["name"]
    binding = {
        "apiVersion": policy["apiVersion"],
        "kind": f"{policy['kind']}Binding",
        "metadata": {"name": name},
        "spec": {"policyName": name, **spec},
    }
    return [policy, binding]


def validating(*validations: dict[str, Any], rule: dict[str, Any] | None = None, **spec: Any) -> Any:
    made = policy("Validating", "checks", rule, validations=list(validations), **spec)
    return bound(made, validationActions=["Deny"])


def mutating(*expressions: str, rule: dict[str, Any] | None = None, **spec: Any) -> Any:
    mutations = [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": text}}
        for text in expressions
    ]
    rule = {"operations": ["CREATE", "UPDATE"], **(rule or {})}
    return bound(policy("Mutating", "changes", rule, mutations=mutations, reinvocationPolicy="Never", **spec))


def install(driver: Any, objects: list[dict[str, Any]]) -> None:
    for obj in objects:
        driver.cluster.apply(obj)


def config(name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def refusal(driver: Any, method: str, path: str, body: Any = None, **options: Any) -> ApiError:
    with pytest.raises(ApiError) as refused:
        driver.cluster.request(method, path, body, **options)
    return refused.value


# The chart's policies --


def test_without_its_policies_the_cluster_leaves_labelled_workloads_alone(driver: Any) -> None:
    assert driver.job("j", labels=QUEUED)["spec"]["suspend"] is False
    assert "schedulingGates" not in driver.pod("p", labels=QUEUED)["spec"]


@pytest.mark.parametrize(
    ("suspended", "marked"), [pytest.param(False, True, id="ours"), pytest.param(True, False, id="the-users")]
)
def test_a_labelled_job_queues_suspended_and_its_pods_gated(
    driver: Any, suspended: bool, marked: bool
) -> None:
    install(driver, shipped_policies())
    job = driver.job("j", labels=QUEUED, suspend=suspended)
    assert job["spec"]["suspend"] is True
    annotations = job["metadata"].get("annotations", {})
    assert (annotations.get("rackplane.dev/suspended-by") == "rackplane") is marked
    assert job["spec"]["template"]["metadata"]["labels"]["rackplane.dev/queue"] == "research"
    resumed = {"spec": {"suspend": False}}
    codes = [
        driver.cluster.handle(
            Request("PATCH", f"{JOBS}/j", {}, resumed, "application/merge-patch+json", user=user)
        ).code
        for user in ("admin", "operator")
    ]
    assert codes == [403 if marked else 200, 200]
    driver.cluster.settle()
    assert [pod["spec"]["schedulingGates"] for pod in driver.pods()] == [OURS]


def test_a_labelled_pod_is_gated_once_and_only_the_operator_opens_it(driver: Any) -> None:
    install(driver, shipped_policies())
    assert driver.pod("p", labels=QUEUED)["spec"]["schedulingGates"] == OURS
    assert driver.pod("q", labels=QUEUED, schedulingGates=OURS)["spec"]["schedulingGates"] == OURS
    opened = {"spec": {"schedulingGates": None}}
    for user in ("admin", "node-agents", "system:serviceaccount:default:rackplane"):
        denied = refusal(
            driver, "PATCH", f"{PODS}/p", opened, content_type="application/merge-patch+json", user=user
        )
        assert (denied.code, denied.reason) == (403, "Forbidden")
    for user in ("operator", "system:serviceaccount:rackplane-system:rackplane"):
        request = Request(
            "PATCH", f"{PODS}/p", {"dryRun": "All"}, opened, "application/merge-patch+json", user=user
        )
        assert driver.cluster.handle(request).code == 200


# Who is asked about --


def test_accounts_have_the_groups_of_their_kind() -> None:
    assert users.identify("admin") == users.User("admin", ("system:masters", "system:authenticated"))
    assert users.identify("operator") == users.identify("system:serviceaccount:rackplane-system:rackplane")
    assert users.identify("operator").groups == (
        "system:serviceaccounts",
        "system:serviceaccounts:rackplane-system",
        "system:authenticated",
    )


@pytest.mark.parametrize(
    ("name", "groups", "become"),
    [
        pytest.param("alice", [], ("system:authenticated",), id="user"),
        pytest.param("alice", ["devs"], ("devs", "system:authenticated"), id="user-with-groups"),
        pytest.param(
            "system:serviceaccount:a:b",
            [],
            ("system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"),
            id="service-account",
        ),
        pytest.param(
            "system:serviceaccount:a:b", ["devs"], ("devs", "system:authenticated"), id="account-with-groups"
        ),
        pytest.param("alice", ["system:unauthenticated"], ("system:unauthenticated",), id="unauthenticated"),
        pytest.param("system:anonymous", [], ("system:unauthenticated",), id="anonymous"),
    ],
)
def test_an_administrator_acts_as_another(name: str, groups: list[str], become: tuple[str, ...]) -> None:
    assert users.impersonate(users.identify("admin"), name, groups) == users.User(name, become)


def test_acting_as_another_takes_a_name_and_an_administrator() -> None:
    with pytest.raises(ApiError, match="without impersonating a user name") as refused:
        users.impersonate(users.identify("admin"), "", ["devs"])
    assert refused.value.code == 400
    with pytest.raises(ApiError, match="impersonation by anybody but its administrator") as refused:
        users.impersonate(users.identify("operator"), "alice", [])
    assert refused.value.code == 501


async def test_headers_say_whom_the_administrator_acts_as() -> None:
    made = validating({"expression": "false", "messageExpression": SHOWN_USER})
    body = config()
    async with LocalCluster() as cluster, ClientSession(cluster.url) as session:
        for obj in made:
            cluster.apply(obj)

        async def told(*headers: tuple[str, str]) -> tuple[int, str]:
            async with session.post(MAPS, json=body, headers=CIMultiDict(headers)) as answer:
                return answer.status, (await answer.json())["message"].rpartition(": ")[2]

        alice = ("Impersonate-User", "alice")
        assert await told() == (422, "admin of system:masters")
        assert await told(("Authorization", "Bearer operator-token")) == (
            422,
            "system:serviceaccount:rackplane-system:rackplane of system:serviceaccounts",
        )
        assert await told(alice) == (422, "alice of system:authenticated")
        assert await told(alice, ("Impersonate-Group", "a"), ("Impersonate-Group", "b")) == (
            422,
            "alice of a",
        )
        assert (await told(("Impersonate-Group", "a")))[0] == 400
        assert (await told(alice, ("Impersonate-Uid", "1")))[0] == 501
        assert (await told(alice, ("Impersonate-Extra-Team", "a")))[0] == 501
        assert (await told(alice, ("Authorization", "Bearer operator-token")))[0] == 501


def test_the_clusters_own_controllers_are_asked_about_too(driver: Any) -> None:
    rule = {"resources": ["pods"], "operations": ["CREATE"]}
    text = "request.userInfo.username != 'system:kube-controller-manager'"
    install(driver, validating({"expression": text}, rule=rule))
    driver.pod("by-the-administrator")
    driver.job("j")
    assert [pod["metadata"]["name"] for pod in driver.pods()] == ["by-the-administrator"]
    events = driver.do("GET", "/api/v1/namespaces/default/events")["items"]
    failed = [event["message"] for event in events if event["reason"] == "FailedCreate"]
    assert failed
    assert all(message.endswith(f"denied request: failed expression: {text}") for message in failed)


# What a policy sees and does --


def test_a_policy_is_in_force_with_its_binding_and_no_longer(driver: Any) -> None:
    made, binding = validating({"expression": "false", "message": "no"})
    driver.cluster.apply(made)
    driver.do("POST", MAPS, config("a"))
    driver.cluster.apply(binding)
    assert "denied request: no" in refusal(driver, "POST", MAPS, config("b")).message
    driver.do("DELETE", f"{GROUP}/validatingadmissionpolicybindings/checks")
    driver.do("POST", MAPS, config("b"))


def test_no_policy_locks_out_its_own_repair(driver: Any) -> None:
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    install(driver, validating({"expression": "false"}, rule=everything))
    assert refusal(driver, "POST", MAPS, config()).code == 422
    driver.do("DELETE", f"{GROUP}/validatingadmissionpolicies/checks")
    driver.do("POST", MAPS, config())


def test_every_item_of_a_deleted_collection_is_asked_about(driver: Any) -> None:
    for name in "ab":
        driver.do("POST", MAPS, config(name))
    rule = {"operations": ["DELETE"]}
    install(driver, validating({"expression": 'oldObject.metadata.name != "b"'}, rule=rule))
    assert refusal(driver, "DELETE", MAPS).code == 422
    assert [item["metadata"]["name"] for item in driver.do("GET", MAPS)["items"]] == ["b"]


def test_a_namespace_is_selected_by_its_own_labels(driver: Any) -> None:
    rule = {"resources": ["namespaces"], "operations": ["CREATE"]}
    made, binding = validating({"expression": "false"}, rule=rule)
    binding["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {"team": "a"}}}
    install(driver, [made, binding])
    namespace = {"apiVersion": "v1", "kind": "Namespace"}
    driver.do("POST", "/api/v1/namespaces", {**namespace, "metadata": {"name": "free"}})
    labelled = {**namespace, "metadata": {"name": "held", "labels": {"team": "a"}}}
    assert refusal(driver, "POST", "/api/v1/namespaces", labelled).reason == "Invalid"


def test_strings_are_made_of_values_as_cel_makes_them(driver: Any) -> None:
    text = (
        "string(true) + ' ' + string(3) + ' ' + string(2.0) + ' ' + string(0.5) + ' ' + string(b'x') + ' ' + "
        "string(timestamp('2020-01-02T03:04:05Z')) + ' ' + string(duration('90s')) + ' ' + string('é'.size())"
    )
    install(driver, validating({"expression": "false", "messageExpression": text}))
    shown = refusal(driver, "POST", MAPS, config()).message
    assert shown.endswith("denied request: true 3 2 0.5 x 2020-01-02T03:04:05Z 90s 1")


def test_braces_colons_and_comments_inside_strings_are_left_alone(driver: Any) -> None:
    install(
        driver,
        mutating(
            """Object{ // a comment: {with} braces
              data: {"x": "Object{a: variables.b}", 'y': r'\\{', "z": true ? "yes: {" : "no"}
            }"""
        ),
    )
    assert driver.do("POST", MAPS, config())["data"] == {
        "x": "Object{a: variables.b}",
        "y": "\\{",
        "z": "yes: {",
    }


def test_custom_resources_are_merged_by_their_schema(driver: Any) -> None:
    rule = {"apiGroups": ["example.com"], "resources": ["widgets"]}
    text = 'Object{spec: Object.spec{size: object.spec.size + 1, ports: [Object.spec.ports{number: 80, name: "http"}]}}'
    install(driver, [WIDGET, *mutating(text, rule=rule)])
    widgets = "/apis/example.com/v1/namespaces/default/widgets"
    widget = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"ports": [{"number": 22}, {"number": 80}]},
    }
    stored = driver.do("POST", widgets, widget)
    assert stored["spec"] == {"size": 2, "ports": [{"number": 22}, {"number": 80, "name": "http"}]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param('Object{spec: Object.spec{tags: ["a"]}}', "structs: .spec.tags", id="atomic"),
        pytest.param(
            "Object{spec: Object.spec{ports: [Object.spec.ports{}]}}",
            'omits all key fields ["number"]',
            id="no-key",
        ),
        pytest.param("Object{spec: Object.other{}}", 'expected "Object.spec"', id="wrong-type"),
        pytest.param(
            "Object{spec: Object.spec{colour: 1}}", ".spec.colour: field not declared", id="no-field"
        ),
        pytest.param('Object{spec: Object.spec{size: "x"}}', ".spec.size: expected numeric", id="wrong-form"),
        pytest.param("dyn({})", "must evaluate to Object", id="no-object"),
    ],
)
def test_a_mutation_that_cannot_be_merged_refuses_the_object(driver: Any, text: str, why: str) -> None:
    rule = {"apiGroups": ["example.com"], "resources": ["widgets"]}
    install(driver, [WIDGET, *mutating(text, rule=rule)])
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {}}
    refused = refusal(driver, "POST", "/apis/example.com/v1/namespaces/default/widgets", widget)
    assert (refused.code, refused.reason) == (403, "Invalid")
    assert why in refused.message


# What is not implemented --


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        pytest.param("object.?data.hasValue()", "unsupported syntax '.?'", id="optional-fields"),
        pytest.param('quantity("1").isGreaterThan(quantity("2"))', "is missing", id="libraries"),
        pytest.param('authorizer.group("").resource("pods").check("get").allowed()', "", id="authorizer"),
        pytest.param("params.limit == 1", "'params' is unknown", id="params"),
        pytest.param("request.options == null", "request.options is missing", id="request-options"),
        pytest.param("Object{} == null", "objects of type Object are missing", id="objects"),
        pytest.param("variables.x", "variables.x is not defined", id="unknown-variable"),
        pytest.param('variables["x"]', "by variables.name only", id="indexed-variables"),
        pytest.param("object.data.size( == 1", "", id="no-expression"),
    ],
)
def test_an_expression_that_would_not_be_evaluated_is_refused(driver: Any, expression: str, why: str) -> None:
    made, _ = validating({"expression": expression})
    refused = refusal(driver, "POST", f"{GROUP}/validatingadmissionpolicies", made)
    assert (refused.code, refused.reason) == (501, "NotImplemented")
    assert why in refused.message


def test_a_variable_may_use_those_before_it_only(driver: Any) -> None:
    first = {"name": "a", "expression": "variables.b"}
    second = {"name": "b", "expression": "1"}
    made, _ = validating({"expression": "true"}, variables=[first, second])
    assert refusal(driver, "POST", f"{GROUP}/validatingadmissionpolicies", made).code == 501


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}, id="parameters"),
        pytest.param(
            {"mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}]}, id="json-patch"
        ),
        pytest.param(
            {"matchConstraints": {"resourceRules": [{**RULE, "resources": ["pods/binding"]}]}}, id="binding"
        ),
    ],
)
def test_a_mutating_policy_with_more_than_is_implemented_is_refused(
    driver: Any, spec: dict[str, Any]
) -> None:
    made, _ = mutating("Object{}")
    made["spec"] |= spec
    assert refusal(driver, "POST", f"{GROUP}/mutatingadmissionpolicies", made).code == 501


def test_a_binding_with_parameters_is_refused(driver: Any) -> None:
    _, binding = validating({"expression": "true"})
    binding["spec"]["paramRef"] = {"name": "x", "parameterNotFoundAction": "Deny"}
    assert refusal(driver, "POST", f"{GROUP}/validatingadmissionpolicybindings", binding).code == 501


# What is converted for an expression --


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        pytest.param([()], {"a": {"b": {"c": 1}, "d": 2}, "e": [3], "f": None}, id="whole"),
        pytest.param([("a", "d")], {"a": {"d": 2}}, id="leaf"),
        pytest.param([("a", "d"), ("e",)], {"a": {"d": 2}, "e": [3]}, id="two"),
        pytest.param([("a", "b", "c"), ("a", "b")], {"a": {"b": {"c": 1}}}, id="one-within-the-other"),
        pytest.param([("a", "x", "y")], {"a": {}}, id="absent"),
        pytest.param([("x", "y")], {}, id="absent-from-the-root"),
        pytest.param([("a", "d", "z"), ("f", "z")], {"a": {"d": 2}, "f": None}, id="ends-early"),
    ],
)
def test_of_an_object_what_expressions_name_is_extracted(paths: list[tuple[str, ...]], left: Any) -> None:
    whole = {"a": {"b": {"c": 1}, "d": 2}, "e": [3], "f": None}
    assert extract(whole, paths) == left
    assert whole == {"a": {"b": {"c": 1}, "d": 2}, "e": [3], "f": None}
    assert extract(None, paths) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("object.spec.a.exists(x, x.b == 1)", {"object": {("spec", "a")}}, id="method"),
        pytest.param('has(object.a.b) && object.c["d"].e', {"object": {("a", "b"), ("c",)}}, id="index"),
        pytest.param(
            "oldObject != null && object.a == 1", {"oldObject": set(), "object": {("a",)}}, id="null"
        ),
        pytest.param("null == oldObject", {"oldObject": {()}}, id="null-first"),
        pytest.param("object == oldObject", {"object": {()}, "oldObject": {()}}, id="whole"),
        pytest.param(
            'request.userInfo.username == "object.x"', {"request": {("userInfo", "username")}}, id="text"
        ),
        pytest.param("{'a': object.a}.object.b", {"object": {("a",)}}, id="field-of-the-name"),
    ],
)
def test_an_expression_knows_what_it_names(text: str, named: dict[str, set[tuple[str, ...]]]) -> None:
    assert compile_expression(text, frozenset()).paths == named
