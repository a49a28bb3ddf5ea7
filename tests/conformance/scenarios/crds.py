"""CustomResourceDefinitions, from creation to deletion: what is refused, what becomes of names, versions, columns."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, Step, delete, get, patch, post, put

from ._custom import (
    CRDS,
    GROUP,
    KEYED,
    LIST,
    MAP_LIST,
    NUMBER,
    TEXT,
    THING_CRD,
    THINGS,
    columned,
    crd,
    established,
    field,
    ruled,
    thing,
    version,
)


def refused(*bodies: dict[str, Any]) -> tuple[Ask, ...]:
    """CRDs that are not taken."""
    return tuple(post(CRDS, body, query={"dryRun": "All"}) for body in bodies)


def renamed(**names: Any) -> dict[str, Any]:
    return crd(version(), names=names)


def _without(body: dict[str, Any], *path: str) -> dict[str, Any]:
    if len(path) == 1:
        return {key: value for key, value in body.items() if key != path[0]}
    return {**body, path[0]: _without(body[path[0]], *path[1:])}


def _scenario(
    name: str, *steps: Step | tuple[Step, ...], leftovers: tuple[str, ...] = (THING_CRD,)
) -> Scenario:
    flat: list[Step] = []
    for step in steps:
        flat.extend(step if isinstance(step, tuple) else (step,))
    return Scenario(name=name, steps=tuple(flat), leftovers=leftovers)


DEFINITIONS = (
    _scenario(
        "a CRD is established with its names",
        established(crd(version()), shown=True),
        get(f"{CRDS}/things.{GROUP}/status", view="nothing"),
        post(CRDS, crd(version())),
    ),
    _scenario(
        "short names and categories are accepted",
        established(
            renamed(shortNames=["th"], categories=["all"], singular="thing", listKind="Things"), shown=True
        ),
    ),
    _scenario(
        "names that another CRD has are not granted, until it is gone",
        established(renamed(shortNames=["tt"])),
        post(
            CRDS, crd(version(), plural="others", kind="Thing", names={"shortNames": ["tt"]}), view="nothing"
        ),
        get(
            f"{CRDS}/others.{GROUP}",
            until={"object.status.conditions.1.reason": "NotAccepted"},
        ),
        get(f"/apis/{GROUP}/v1/others"),
        delete(THING_CRD, view="nothing"),
        get(f"{CRDS}/others.{GROUP}", until={"object.status.conditions.1.status": "True"}),
        leftovers=(THING_CRD, f"{CRDS}/others.{GROUP}"),
    ),
    _scenario(
        "the kind of another CRD's list is taken",
        established(crd(version())),
        post(
            CRDS,
            crd(version(), plural="others", kind="ThingList", names={"listKind": "Thing"}),
            view="nothing",
        ),
        get(
            f"{CRDS}/others.{GROUP}",
            until={"object.status.conditions.1.reason": "NotAccepted"},
        ),
        leftovers=(THING_CRD, f"{CRDS}/others.{GROUP}"),
    ),
    _scenario(
        "what a CRD must have",
        refused(
            {**crd(version()), "metadata": {"name": "things"}},
            _without(crd(version()), "spec", "group"),
            _without(crd(version()), "spec", "scope"),
            crd(version(), scope="Global"),
            _without(crd(version()), "spec", "names", "kind"),
            crd(),
            crd(version(storage=False)),
            crd(version(), version()),
            crd(_without(version(), "schema")),
            crd({**version(), "schema": {}}),
            crd(version(), preserveUnknownFields=True),
            crd(version(), conversion={"strategy": "Magic"}),
        ),
    ),
    _scenario(
        "names a CRD may not have",
        refused(
            renamed(plural="Things"),
            renamed(singular="a thing"),
            renamed(kind="My Thing"),
            renamed(kind="9Things"),
            renamed(listKind="Thing"),
            renamed(shortNames=["T"]),
            renamed(categories=["all things"]),
            crd(version(name="V1")),
            crd(version(name="1")),
            {**crd(version(), group="example"), "metadata": {"name": "things.example"}},
            {**crd(version(), group="Example.com"), "metadata": {"name": "things.Example.com"}},
            {**crd(version(), group="a.k8s.io"), "metadata": {"name": "things.a.k8s.io"}},
        ),
    ),
    _scenario(
        "schemas that are not structural",
        refused(
            field({}),
            field({"type": "text"}),
            field({"type": "null"}),
            field({"type": "array"}),
            field({"type": "array", "items": {}}),
            field({"type": "object", "properties": {"b": {}}}),
            field({"type": "object", "additionalProperties": {}}),
            field({"type": "string", "anyOf": [{"type": "string"}]}),
            field({"type": "string", "oneOf": [{"description": "x"}]}),
            field({"type": "object", "allOf": [{"properties": {"b": {"minimum": 1}}}]}),
            field({"type": "object", "not": {"required": ["b"], "additionalProperties": {"minimum": 1}}}),
            field({"type": "string", "pattern": "("}),
            field({"type": "string", "pattern": "[a-"}),
            field({"type": "string", "pattern": "*"}),
            field({"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True}),
            field({"type": "string", "x-kubernetes-int-or-string": True}),
        ),
    ),
    _scenario(
        "the root of a schema",
        refused(
            crd({**version(), "schema": {"openAPIV3Schema": {"type": "string"}}}),
            crd({**version(), "schema": {"openAPIV3Schema": {"properties": {"a": TEXT}}}}),
            crd(
                {**version(), "schema": {"openAPIV3Schema": {"type": "object", "additionalProperties": TEXT}}}
            ),
            crd({**version(), "schema": {"openAPIV3Schema": {"type": "object", "nullable": True}}}),
            crd(
                {
                    **version(),
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"metadata": {"type": "object", "required": ["labels"]}},
                        }
                    },
                }
            ),
            crd(
                {
                    **version(),
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"kind": NUMBER}}},
                }
            ),
            crd(
                {
                    **version(subresources={"status": {}}),
                    "schema": {"openAPIV3Schema": {"type": "object", "maxProperties": 5}},
                }
            ),
        ),
    ),
    _scenario(
        "what a schema may not say",
        refused(
            field({"type": "array", "items": TEXT, "uniqueItems": True}),
            field({"type": "object", "properties": {"b": TEXT}, "additionalProperties": TEXT}),
            field({"type": "object", "properties": {"b": TEXT}, "additionalProperties": False}),
            field({"type": "string", "$ref": "#/x"}),
            field({"type": "object", "x-kubernetes-preserve-unknown-fields": False}),
            field({"type": "object", "patternProperties": {"^a": TEXT}}),
        ),
    ),
    _scenario(
        "extensions that do not fit",
        refused(
            field({**TEXT, "x-kubernetes-list-type": "set"}),
            field({"type": "array", "items": TEXT, "x-kubernetes-list-type": "bag"}),
            field({**TEXT, "x-kubernetes-map-type": "atomic"}),
            field({"type": "object", "x-kubernetes-map-type": "loose"}),
            field({**LIST, "x-kubernetes-list-type": "map"}),
            field({**LIST, "x-kubernetes-list-map-keys": ["k"]}),
            field({**LIST, "x-kubernetes-list-type": "set"}),
            field({**MAP_LIST, "x-kubernetes-list-map-keys": ["x"]}),
            field({**MAP_LIST, "x-kubernetes-list-map-keys": ["k", "k"]}),
            field({**MAP_LIST, "items": {"type": "object", "properties": {"k": TEXT}}}),
            field({**MAP_LIST, "items": {**KEYED, "nullable": True}}),
            field({**MAP_LIST, "items": TEXT}),
            field({"type": "object", "x-kubernetes-embedded-resource": True}),
            field({"type": "array", "items": TEXT, "x-kubernetes-embedded-resource": True}),
        ),
    ),
    _scenario(
        "defaults that the schema itself refuses",
        refused(
            field({**NUMBER, "default": "one"}),
            field({**NUMBER, "default": 0, "minimum": 1}),
            field({**TEXT, "default": "c", "enum": ["a", "b"]}),
            field({"type": "object", "properties": {"b": TEXT}, "default": {"c": "x"}}),
            field({"type": "object", "properties": {"b": TEXT}, "required": ["b"], "default": {}}),
            field({**NUMBER, "default": 1, "x-kubernetes-validations": [{"rule": "self > 1"}]}),
        ),
    ),
    _scenario(
        "columns that cannot be printed",
        refused(
            columned(name="A", type="text", jsonPath=".spec.a"),
            columned(name="A", type="string", jsonPath="spec.a"),
            columned(name="A", type="string", jsonPath=""),
            columned(name="", type="string", jsonPath=".spec.a"),
            columned(name="A", type="string", jsonPath=".spec.a", format="percent"),
            columned(name="A", type="", jsonPath=".spec.a"),
        ),
    ),
    _scenario(
        "fields that cannot be selected by",
        refused(
            *(
                crd(
                    version(
                        {"type": "object", "properties": {"a": TEXT, "o": {"type": "object"}, "l": LIST}},
                        selectableFields=[{"jsonPath": path} for path in paths],
                    )
                )
                for paths in (
                    [".spec.b"],
                    ["spec.a"],
                    [".spec.o"],
                    [".spec.a", ".spec.a"],
                    [""],
                    [".spec.l[0].k"],
                    [".metadata.name"],
                )
            )
        ),
    ),
    _scenario(
        "an unknown format is taken, with a warning",
        post(CRDS, field({**TEXT, "format": "colour"}), query={"dryRun": "All"}, view="kind_and_message"),
        post(CRDS, field({**NUMBER, "format": "int16"}), query={"dryRun": "All"}, view="kind_and_message"),
    ),
    _scenario(
        "deprecation warnings belong to deprecated versions",
        refused(
            crd(version(deprecationWarning="gone soon")),
            crd(version(deprecated=True, deprecationWarning="")),
        ),
        established(crd(version(deprecated=True))),
        post(THINGS, thing()),
        get(f"{THINGS}/a"),
    ),
)

RULES = (
    _scenario(
        "rules that do not compile",
        refused(
            ruled("self.b > 1"),
            ruled("self.a > 's'"),
            ruled("foo > 1"),
            ruled("self.a"),
            ruled("self.a >"),
            ruled("self.a > 1)"),
            ruled("self.a > 1 &&"),
            ruled("self.a.all(x, true)"),
            ruled("self.l.all(x, x > 1)"),
            ruled("self.s.foo()"),
            ruled("self.s.size('a') > 1"),
            ruled("size(self.a) > 1"),
            ruled("has(self)"),
            ruled("!self.s"),
            ruled("self.a ? true : false"),
            ruled("self.l[0] == 1"),
            ruled("self.a in self.l"),
            ruled("self.a == self.s || self.b"),
            ruled("self.metadata.name == 'a'"),
            ruled("self.s.startsWith(1)"),
        ),
    ),
    _scenario(
        "the other fields of a rule",
        refused(
            ruled(" "),
            ruled({"rule": "self.a > 1", "message": " "}),
            ruled({"rule": "self.a > 1", "message": "a\nb"}),
            ruled({"rule": "self.a > 1\n"}),
            ruled({"rule": "self.a > 1 ||\nself.a < 0"}),
            ruled({"rule": "self.a > 1", "reason": "Bad"}),
            ruled({"rule": "self.a > 1", "fieldPath": ".b"}),
            ruled({"rule": "self.a > 1", "fieldPath": "a"}),
            ruled({"rule": "self.a > 1", "messageExpression": "self.a"}),
            ruled({"rule": "self.a > 1", "messageExpression": "'a' + self.b"}),
            ruled({"rule": "self.a > 1", "optionalOldSelf": True}),
            ruled(
                "true",
                l={
                    "type": "array",
                    "maxItems": 3,
                    "items": {
                        **TEXT,
                        "maxLength": 9,
                        "x-kubernetes-validations": [{"rule": "self == oldSelf"}],
                    },
                },
            ),
        ),
    ),
)

UPDATES = (
    _scenario(
        "a CRD gets a field, and objects have it",
        established(field(TEXT)),
        post(THINGS, thing(spec={"a": "x", "b": 1})),
        patch(THING_CRD, {"spec": {"versions": field(TEXT)["spec"]["versions"]}}, view="nothing"),
        patch(
            THING_CRD,
            {
                "spec": {
                    "versions": [
                        version({"type": "object", "properties": {"a": TEXT, "b": {**NUMBER, "default": 7}}})
                    ]
                }
            },
        ),
        get(f"{THINGS}/a", until={"object.spec.b": 7}),
        post(THINGS, thing("b", {"b": 1})),
        get(THINGS),
    ),
    _scenario(
        "what cannot be changed of a CRD",
        established(crd(version())),
        patch(THING_CRD, {"spec": {"scope": "Cluster"}}),
        patch(THING_CRD, {"spec": {"names": {"kind": "Other", "listKind": "OtherList"}}}),
        patch(THING_CRD, {"spec": {"names": {"plural": "others"}}}),
        patch(THING_CRD, {"spec": {"group": "other.example.com"}}),
        patch(THING_CRD, {"spec": {"versions": [version(name="v2")]}}),
        put(THING_CRD, crd(version())),
    ),
    _scenario(
        "a version that is not served is not there",
        established(crd(version(), version(name="v2", storage=False))),
        get(f"/apis/{GROUP}/v2/namespaces/${{ns}}/things", until={"code": 200}, view="nothing"),
        patch(
            THING_CRD, {"spec": {"versions": [version(), version(name="v2", storage=False, served=False)]}}
        ),
        get(f"/apis/{GROUP}/v2/namespaces/${{ns}}/things", until={"code": 404}),
        get(THINGS),
    ),
    _scenario(
        "an object is shown in every version",
        established(
            crd(
                version(field(TEXT)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
            )
        ),
        post(THINGS, thing(spec={"a": "x"})),
        patch(
            THING_CRD,
            {
                "spec": {
                    "versions": [
                        version({"type": "object", "properties": {"a": TEXT}}, storage=False),
                        version(
                            {"type": "object", "properties": {"a": TEXT, "b": {**TEXT, "default": "y"}}}, "v2"
                        ),
                    ]
                }
            },
        ),
        get(f"/apis/{GROUP}/v2/namespaces/${{ns}}/things/a", until={"code": 200}),
        get(f"{THINGS}/a"),
        patch(f"/apis/{GROUP}/v2/namespaces/${{ns}}/things/a", {"spec": {"b": "z"}}),
        get(f"{THINGS}/a"),
        get(f"/apis/{GROUP}/v2/namespaces/${{ns}}/things"),
    ),
    _scenario(
        "a CRD takes its objects with it",
        established(crd(version())),
        post(THINGS, thing()),
        delete(THING_CRD),
        get(THING_CRD, until={"code": 404}),
        get(f"{THINGS}/a", until={"code": 404}),
        leftovers=(),
    ),
)

SECOND_LOOK = (
    _scenario(
        "rules that do not compile, again",
        refused(
            ruled("self.s == 1"),
            ruled("self.l.size() > self.s"),
            ruled("self.a + self.s > 1"),
            ruled("self.o.b.c == 'x'", o={"type": "object", "properties": {"b": TEXT}}),
            ruled("self.m.x > 's'", m={"type": "object", "additionalProperties": NUMBER}),
            ruled("self.t > '2026'", t={**TEXT, "format": "date-time"}),
            ruled("has(self.b)"),
            ruled("self.l.exists(x, y == 'a')"),
            ruled("self.l.filter(x, x == 'a')"),
            ruled("(self.a > 1"),
            ruled("self.a >> 1"),
            ruled("self.a > 1 and true"),
            ruled("'a' + 1 == 'a1'"),
            ruled("[1, 'a'].size() == 2"),
            ruled("oldSelf.b == 1"),
        ),
    ),
    _scenario(
        "schemas that are not structural, again",
        refused(
            field(
                {
                    "type": "object",
                    "properties": {
                        "b": {"type": "array", "items": {"type": "object", "properties": {"c": {}}}}
                    },
                }
            ),
            field({"type": "string", "allOf": [{"anyOf": [{"type": "string"}]}]}),
            field({"x-kubernetes-int-or-string": True, "default": {}}),
            field({"type": "array", "items": TEXT, "default": ["a", 1]}),
            field(
                {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "default": {"any": "thing"}}
            ),
            field({"type": "integer", "default": 1.5}),
            field({"type": "object", "additionalProperties": {"type": "string", "default": "x"}}),
            field({"type": "string", "nullable": True, "default": None}),
        ),
    ),
)

SCENARIOS = (*SECOND_LOOK, *DEFINITIONS, *RULES, *UPDATES)
