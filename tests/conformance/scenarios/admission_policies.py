"""What any admission policy may say, and how it decides."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from tests.conformance.steps import Ask, Scenario, delete, get, patch, post, put

from ._policies import (
    DRY,
    FOREIGN_GATE,
    GROUP,
    MAPS,
    PODS,
    SOMEBODY,
    config,
    installed,
    mutating,
    path_of,
    paths,
    pod,
    refused_once_in_force,
    validating,
)

BROKEN = 'object.data.missing == "x"'
REASONS = validating(
    "reasons",
    [
        {"expression": '!has(object.data.plain) || object.data.plain == "ok"'},
        {
            "expression": '!has(object.data.forbidden) || object.data.forbidden == "ok"',
            "reason": "Forbidden",
            "message": "forbidden is ok or absent",
        },
        {
            "expression": '!has(object.data.large) || object.data.large == "ok"',
            "reason": "RequestEntityTooLarge",
            "messageExpression": "'large is ' + object.data.large",
            "message": "large is wrong",
        },
        {
            "expression": '!has(object.data.mute) || object.data.mute == "ok"',
            "messageExpression": "'absent is ' + object.data.absent",
            "message": "  the plain message, where the expression has no value ",
        },
        {"expression": '!has(object.data.broken) || object.data.missing == "x"'},
    ],
)
SHOWN = validating(
    "shown",
    [
        {
            "expression": "false",
            "messageExpression": " + '; ' + ".join(
                (
                    "request.operation",
                    "request.userInfo.username",
                    '("devs" in request.userInfo.groups ? "a developer" : "no developer")',
                    "string(request.dryRun)",
                    "request.resource.resource",
                    "request.kind.kind",
                    '(has(request.name) ? "a name" : "no name")',
                    '(has(request.subResource) ? request.subResource : "whole")',
                    '(namespaceObject.metadata.name == request.namespace ? "here" : "elsewhere")',
                    '(oldObject == null ? "no old" : "old")',
                    '(object == null ? "no object" : "object")',
                )
            ),
        }
    ],
    operations=("CREATE", "UPDATE", "DELETE"),
    matchConditions=[{"name": "not-setup", "expression": 'request.userInfo.username != "setup"'}],
)
VARIABLES = validating(
    "variables",
    [
        {"expression": "variables.count < 2 || variables.named", "message": "two need a name"},
        {"expression": "variables.count < 3 || variables.broken"},
    ],
    variables=[
        {"name": "count", "expression": "has(object.data) ? object.data.size() : 0"},
        {"name": "doubled", "expression": "variables.count * 2"},
        {"name": "named", "expression": 'variables.doubled > 4 || "name" in object.data'},
        {"name": "broken", "expression": "object.data.nothing == 1"},
    ],
)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="a refusal has the reason and the message of its validation",
        steps=(
            *installed(REASONS),
            refused_once_in_force("probe", {"plain": "bad"}),
            post(MAPS, config("good", {"plain": "ok", "forbidden": "ok"}), view="nothing"),
            post(MAPS, config("a", {"plain": "bad"})),
            post(MAPS, config("a", {"forbidden": "bad"})),
            post(MAPS, config("a", {"large": "bad"})),
            post(MAPS, config("a", {"mute": "bad"})),
            post(MAPS, config("a", {"broken": "bad"})),
            post(MAPS, config("a", {"plain": "bad", "forbidden": "bad"})),
            patch(f"{MAPS}/good", {"data": {"forbidden": "bad"}}),
            put(f"{MAPS}/good", config("good", {"plain": "bad"})),
        ),
        leftovers=paths(REASONS),
    ),
    Scenario(
        name="what an expression sees of a request",
        steps=(
            post(MAPS, config("old")),
            *installed(SHOWN),
            refused_once_in_force("probe", {}),
            post(MAPS, config("a")),
            post(MAPS, {"metadata": {"generateName": "made-"}}, query=DRY, view="reasons", **SOMEBODY),
            patch(f"{MAPS}/old", {"data": {"a": "b"}}, user="bob", groups=("system:masters", "devs")),
            delete(f"{MAPS}/old"),
            post(MAPS, config("a"), user="setup", groups=("system:masters",), view="nothing"),
        ),
        leftovers=paths(SHOWN),
    ),
    Scenario(
        name="variables are evaluated where they are used",
        steps=(
            *installed(VARIABLES),
            refused_once_in_force("probe", {"a": "", "b": ""}),
            post(MAPS, config("a", {"a": ""}), query=DRY, view="nothing"),
            post(MAPS, config("a", {"a": "", "b": ""})),
            post(MAPS, config("a", {"a": "", "name": ""}), query=DRY, view="nothing"),
            post(MAPS, config("a", {"a": "", "b": "", "c": ""})),
        ),
        leftovers=paths(VARIABLES),
    ),
)


def _warned(name: str, *actions: str) -> Scenario:
    policy = validating(
        "warned",
        [
            {"expression": "has(object.data.ok)", "message": "ok is missing"},
            {"expression": "!has(object.data.bad)"},
        ],
        actions=actions,
    )
    in_force = validating("marker", [{"expression": '!("probe" in object.data)'}])
    return Scenario(
        name=name,
        steps=(
            *installed([*policy, *in_force]),
            refused_once_in_force("probe", {"probe": "", "ok": ""}),
            post(MAPS, config("a", {"bad": ""})),
            post(MAPS, config("b", {"ok": ""})),
        ),
        leftovers=paths([*policy, *in_force]),
    )


SCENARIOS += (
    _warned("a warning lets the request pass", "Warn"),
    _warned("an audit action has no visible effect", "Audit"),
    _warned("warn and audit together", "Warn", "Audit"),
)
MARKER = validating("marker", [{"expression": "!has(object.data) || !has(object.data.probe)"}])


def _with_marker(name: str, policies: list[dict[str, Any]], *steps: Ask) -> Scenario:
    """The marker is created last: once it is in force, so are the others."""
    objects = [*policies, *MARKER]
    return Scenario(
        name=name,
        steps=(*installed(objects), refused_once_in_force("probe", {"probe": ""}), *steps),
        leftovers=paths(objects),
    )


def _eviction(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name},
        "deleteOptions": {"gracePeriodSeconds": 0},
    }


def _conditions(*expressions: str) -> list[dict[str, str]]:
    return [{"name": f"condition-{n}", "expression": text} for n, text in enumerate(expressions)]


def _merging(text: str, **spec: Any) -> list[dict[str, Any]]:
    return mutating("merging", [text], **spec)


SCENARIOS += (
    _with_marker(
        "an expression without a value refuses where the policy fails closed",
        validating("errors", [{"expression": BROKEN}]),
        post(MAPS, config("a", {"x": ""})),
        post(MAPS, {"metadata": {"name": "a"}}),
        post(MAPS, config("a", {"missing": "x"}), view="nothing"),
    ),
    _with_marker(
        "an expression without a value passes where the policy is to be ignored",
        validating("errors", [{"expression": BROKEN}], failurePolicy="Ignore"),
        post(MAPS, config("a", {"x": ""}), view="nothing"),
        post(MAPS, config("b", {"missing": "y"})),
    ),
    _with_marker(
        "match conditions decide first",
        validating(
            "conditions",
            [{"expression": "false", "message": "met"}],
            matchConditions=_conditions(
                "has(object.data.on)", 'object.data.on == "yes"', 'object.data.also != "no"'
            ),
        ),
        post(MAPS, config("a", {"off": ""}), query=DRY, view="nothing"),
        post(MAPS, config("a", {"on": "no"}), query=DRY, view="nothing"),
        post(MAPS, config("a", {"on": "yes"})),
        post(MAPS, config("a", {"on": "yes", "also": "no"}), query=DRY, view="nothing"),
        post(MAPS, config("a", {"on": "yes", "also": "yes"})),
    ),
    _with_marker(
        "rules may exclude, name objects, and select by label",
        validating(
            "selected",
            [{"expression": "false", "message": "selected"}],
            constraints={
                "objectSelector": {"matchLabels": {"guarded": "yes"}},
                "excludeResourceRules": [
                    {
                        "apiGroups": ["*"],
                        "apiVersions": ["*"],
                        "operations": ["*"],
                        "resources": ["configmaps"],
                        "resourceNames": ["spared"],
                    }
                ],
            },
        ),
        post(MAPS, config("a", labels={"guarded": "yes"})),
        post(MAPS, config("spared", labels={"guarded": "yes"}), view="nothing"),
        post(MAPS, config("b"), view="nothing"),
        patch(f"{MAPS}/b", {"metadata": {"labels": {"guarded": "yes"}}}),
        patch(f"{MAPS}/spared", {"metadata": {"labels": {"guarded": None}}}, view="nothing"),
    ),
    _with_marker(
        "a subresource is matched by its name only",
        validating(
            "statuses",
            [{"expression": 'object.status.message != "no"', "message": "not this message"}],
            resources=("pods/status",),
        ),
        post(PODS, pod("a", schedulingGates=[FOREIGN_GATE]), view="nothing"),
        patch(f"{PODS}/a", {"metadata": {"labels": {"a": "b"}}}, view="nothing"),
        patch(f"{PODS}/a/status", {"status": {"message": "no"}}),
        patch(f"{PODS}/a/status", {"status": {"message": "yes"}}, view="nothing"),
    ),
    _with_marker(
        "bindings and evictions are asked about as such, and an eviction not as a deletion",
        [
            *validating(
                "bindings",
                [
                    {
                        "expression": 'object.target.name != "forbidden"',
                        "messageExpression": "request.kind.kind + ' to ' + object.target.name",
                    }
                ],
                resources=("pods/binding",),
            ),
            *validating(
                "evictions",
                [
                    {
                        "expression": 'request.name != "kept"',
                        "messageExpression": "request.kind.group + ' ' + request.kind.kind",
                    }
                ],
                resources=("pods/eviction",),
            ),
            *validating("deletions", [{"expression": "false"}], resources=("pods",), operations=("DELETE",)),
        ],
        post(PODS, pod("a"), view="nothing"),
        post(PODS, pod("kept"), view="nothing"),
        post(f"{PODS}/a/binding", {"metadata": {"name": "a"}, "target": {"name": "forbidden"}}),
        post(f"{PODS}/kept/eviction", _eviction("kept")),
        delete(f"{PODS}/a"),
        post(f"{PODS}/a/eviction", _eviction("a")),
        get(f"{PODS}/a", until={"code": 404}, view="nothing"),
        delete(f"{GROUP}/validatingadmissionpolicybindings/${{ns}}-deletions", view="nothing"),
        delete(f"{PODS}/kept", {"gracePeriodSeconds": 0}, until={"code": 200}, view="nothing"),
    ),
    _with_marker(
        "mutations run in order and see what came before",
        mutating(
            "steps",
            [
                'Object{data: {"first": "1"}}',
                'Object{data: {"second": object.data.first + "2"}}',
                'Object{metadata: Object.metadata{labels: {"by": "policy"}}}',
            ],
            matchConditions=_conditions("has(object.data.on)"),
        ),
        post(MAPS, config("a", {"on": ""}, labels={"app": "x"}, finalizers=["example.com/f"])),
        post(MAPS, config("b", {"on": "", "second": "mine"})),
        post(MAPS, config("c", {"off": ""})),
        patch(f"{MAPS}/c", {"data": {"on": ""}}),
        patch(f"{MAPS}/a", {"metadata": {"finalizers": None}}, view="nothing"),
    ),
    _with_marker(
        "a policy runs again when a later one changed the object",
        [
            *mutating(
                "a-counts",
                ['Object{data: {"size": string(object.data.size())}}'],
                reinvocationPolicy="IfNeeded",
                matchConditions=_conditions("has(object.data.on)"),
            ),
            *mutating(
                "b-adds", ['Object{data: {"b": ""}}'], matchConditions=_conditions("has(object.data.on)")
            ),
        ],
        post(MAPS, config("a", {"on": ""})),
    ),
    _with_marker(
        "a mutation may not replace an atomic list",
        _merging(
            'Object{spec: Object.spec{tolerations: [Object.spec.tolerations{key: "a"}]}}', resources=("pods",)
        ),
        post(PODS, pod("a")),
    ),
    _with_marker(
        "a mutation may set what the kind knows",
        _merging('Object{spec: Object.spec{colour: "red"}}', resources=("pods",)),
        post(PODS, pod("a")),
    ),
    _with_marker(
        "a mutation may set what has the form the kind wants",
        _merging('Object{spec: Object.spec{priority: "high"}}', resources=("pods",)),
        post(PODS, pod("a")),
    ),
    _with_marker(
        "the type of an object is the path of its fields",
        _merging("Object{metadata: Object.spec{labels: {}}}"),
        post(MAPS, config("a")),
    ),
    _with_marker(
        "a mutation without a value refuses where the policy fails closed",
        _merging('Object{data: {"copy": object.data.original}}'),
        # The marker is a policy of the other kind, which the server may hear of before this one.
        post(MAPS, config("early", {"x": ""}), query=DRY, until={"code": 403}),
        post(MAPS, config("a", {"x": ""})),
        post(MAPS, config("a", {"original": "1"}), query=DRY),
        post(MAPS, {"metadata": {"generateName": "made-"}, "data": {"x": ""}}),
    ),
    _with_marker(
        "a mutation without a value is skipped where the policy is to be ignored",
        _merging('Object{data: {"copy": object.data.original}}', failurePolicy="Ignore"),
        post(MAPS, config("a", {"x": ""})),
    ),
    _with_marker(
        "a match condition without a value refuses a mutation",
        _merging('Object{data: {"a": "b"}}', matchConditions=_conditions(BROKEN)),
        post(MAPS, config("a", {"x": ""})),
    ),
)


def _bad(obj: dict[str, Any], **changes: Any) -> Ask:
    changed = deepcopy(obj)
    for key, value in changes.items():
        if value is None:
            changed["spec"].pop(key, None)
        else:
            changed["spec"][key] = value
    return post(path_of(obj), changed, query=DRY)


GOOD_POLICY, GOOD_BINDING = validating("good", [{"expression": "true"}])
GOOD_MUTATION, GOOD_MUTATION_BINDING = mutating("good", ["Object{}"])
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}

SCENARIOS += (
    Scenario(
        name="validating policies that are none",
        steps=(
            _bad(GOOD_POLICY, validations=None),
            _bad(GOOD_POLICY, validations=[{"expression": " "}]),
            _bad(GOOD_POLICY, validations=[{"expression": "true", "reason": "Conflict"}]),
            _bad(GOOD_POLICY, validations=[{"expression": "true", "message": "two\nlines"}]),
            _bad(GOOD_POLICY, validations=[{"expression": "true", "message": "  "}]),
            _bad(GOOD_POLICY, validations=[{"expression": "true", "messageExpression": "  "}]),
            _bad(GOOD_POLICY, failurePolicy="Never"),
            _bad(GOOD_POLICY, matchConstraints=None),
            _bad(GOOD_POLICY, matchConstraints={"resourceRules": []}),
            _bad(GOOD_POLICY, matchConstraints={"resourceRules": [{}]}),
            _bad(GOOD_POLICY, matchConstraints={"resourceRules": [RULE], "matchPolicy": "Similar"}),
            _bad(GOOD_POLICY, matchConstraints={"resourceRules": [{**RULE, "operations": ["PATCH"]}]}),
            _bad(GOOD_POLICY, matchConstraints={"resourceRules": [{**RULE, "operations": ["*", "CREATE"]}]}),
            _bad(GOOD_POLICY, matchConstraints={"resourceRules": [{**RULE, "apiVersions": ["*", "v1"]}]}),
            _bad(GOOD_POLICY, matchConstraints={"resourceRules": [{**RULE, "resourceNames": ["a", "a"]}]}),
            _bad(GOOD_POLICY, matchConditions=[{"name": "a"}, {"expression": "true"}]),
            _bad(GOOD_POLICY, matchConditions=[{"name": "a", "expression": "true"}] * 2),
            _bad(
                GOOD_POLICY,
                variables=[{"name": "for", "expression": "1"}, {"name": "b"}, {"expression": "1"}],
            ),
            _bad(GOOD_BINDING, policyName=None),
            _bad(GOOD_BINDING, validationActions=None),
            _bad(GOOD_BINDING, validationActions=["Deny", "Warn"]),
            _bad(GOOD_BINDING, validationActions=["Deny", "Deny"]),
            _bad(GOOD_BINDING, validationActions=["Refuse"]),
        ),
    ),
    Scenario(
        name="mutating policies that are none",
        steps=(
            _bad(GOOD_MUTATION, mutations=None),
            _bad(GOOD_MUTATION, mutations=[{}]),
            _bad(GOOD_MUTATION, mutations=[{"patchType": "Merge"}]),
            _bad(GOOD_MUTATION, mutations=[{"patchType": "ApplyConfiguration"}]),
            _bad(GOOD_MUTATION, mutations=[{"patchType": "ApplyConfiguration", "applyConfiguration": {}}]),
            _bad(GOOD_MUTATION, reinvocationPolicy=None),
            _bad(GOOD_MUTATION, reinvocationPolicy="Always"),
            _bad(GOOD_MUTATION, matchConstraints={"resourceRules": [{**RULE, "operations": ["DELETE"]}]}),
            _bad(GOOD_MUTATION_BINDING, policyName=None),
        ),
    ),
    Scenario(
        name="a policy is in force as long as it is bound",
        steps=(
            *installed(MARKER),
            refused_once_in_force("probe", {"probe": ""}),
            patch(
                paths(MARKER)[0],
                {"spec": {"validations": [{"expression": "!has(object.data.other)"}]}},
                save="changed",
                view="nothing",
            ),
            refused_once_in_force("probe", {"other": ""}),
            post(MAPS, config("a", {"probe": ""}), query=DRY, view="nothing"),
            delete(paths(MARKER)[1]),
            refused_once_in_force("probe", {"other": ""}, code=201),
            delete(paths(MARKER)[0]),
            get(paths(MARKER)[0]),
        ),
        leftovers=paths(MARKER),
    ),
)
