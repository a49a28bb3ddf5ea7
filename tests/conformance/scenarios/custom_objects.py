"""Custom objects whole: defaults, unknown fields, metadata, status, selection."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import JSON_PATCH, STRATEGIC, delete, get, patch, post, put, watch

from ._custom import CRDS, GROUP, LIST, NUMBER, TEXT, THINGS, crd, field, kind, ruled, thing, tried, version


def _status_crd(schema: dict[str, Any]) -> dict[str, Any]:
    part = version({"type": "object", "properties": {"a": NUMBER}}, subresources={"status": {}})
    part["schema"]["openAPIV3Schema"]["properties"]["status"] = schema
    return crd(part)


NESTED = {
    "type": "object",
    "properties": {
        "a": {**NUMBER, "default": 1},
        "o": {"type": "object", "default": {}, "properties": {"b": {**TEXT, "default": "x"}}},
        "p": {"type": "object", "properties": {"c": {**TEXT, "default": "y"}}},
        "l": {"type": "array", "items": {"type": "object", "properties": {"d": {**NUMBER, "default": 2}}}},
        "m": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {"e": {"type": "boolean", "default": True}},
            },
        },
        "n": {**TEXT, "nullable": True, "default": "z"},
        "q": {**TEXT, "nullable": True},
        "r": TEXT,
    },
}
KEEP = {
    "type": "object",
    "properties": {
        "any": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {"a": {"type": "object"}},
        },
        "anything": {"x-kubernetes-preserve-unknown-fields": True},
        "closed": {"type": "object", "properties": {"a": TEXT}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": TEXT}}},
        "open": {"type": "object", "additionalProperties": True},
    },
}
OBJECTS = (
    kind(
        "defaults come where they are declared",
        crd(version(NESTED)),
        *tried(
            {},
            {"a": None, "p": {}, "l": [{}, {"d": 5}], "m": {"k": {}}},
            {"n": None, "q": None, "r": None, "o": None},
            {"l": [None]},
            {"o": {"b": None}},
        ),
    ),
    kind(
        "unknown fields go, unless they are to be kept",
        crd(version(KEEP)),
        *tried(
            {"any": {"a": {"x": 1}, "b": {"c": [{"d": 1}]}}, "unknown": 1},
            {"anything": {"x": 1}, "closed": {"a": "x", "b": 1}},
            {"map": {"k": {"a": "x", "b": 1}}, "open": {"k": {"b": 1}}},
        ),
    ),
    kind(
        "unknown fields are warned of, refused, or ignored",
        crd(version({"type": "object", "properties": {"a": TEXT, "l": LIST}})),
        post(
            THINGS,
            thing(spec={"a": "x", "b": 1, "l": [{"k": "x", "z": 1}]}),
            query={"dryRun": "All"},
            view="spec_or_causes",
        ),
        *(
            post(
                THINGS,
                thing(spec={"a": "x", "b": 1, "l": [{"k": "x", "z": 1}]}),
                query={"dryRun": "All", "fieldValidation": mode},
                view="spec_or_causes",
            )
            for mode in ("Warn", "Strict", "Ignore")
        ),
        post(THINGS, {**thing(spec={"a": "x"}), "extra": 1}, query={"fieldValidation": "Strict"}),
        post(THINGS, thing(spec={"a": "x"}), view="nothing"),
        patch(f"{THINGS}/a", {"spec": {"c": 1}}, query={"fieldValidation": "Strict"}, view="nothing"),
        patch(f"{THINGS}/a", {"spec": {"c": 1}}, view="spec_or_causes"),
        patch(
            f"{THINGS}/a",
            [{"op": "add", "path": "/spec/c", "value": 1}],
            JSON_PATCH,
            query={"fieldValidation": "Strict"},
            view="nothing",
        ),
    ),
    kind(
        "duplicate fields",
        field(NUMBER),
        *(
            post(
                THINGS,
                raw='{"apiVersion": "${ns}.example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, '
                '"spec": {"a": 1, "a": 2}}',
                query={"dryRun": "All", "fieldValidation": mode},
                view="spec_or_causes",
            )
            for mode in ("Warn", "Strict", "Ignore")
        ),
    ),
    kind(
        "names, kinds and versions of objects",
        crd(version()),
        post(THINGS, {**thing(), "kind": "Other"}),
        post(THINGS, {**thing(), "apiVersion": "v1"}),
        post(THINGS, {"metadata": {"name": "a"}}),
        post(THINGS, thing("A b")),
        post(THINGS, {**thing(), "metadata": {}}),
        post(THINGS, {**thing(), "metadata": {"generateName": "a-"}}, query={"dryRun": "All"}),
        post(THINGS, {**thing(), "metadata": {"name": "a", "labels": {"a": 1}}}),
        post(THINGS, {**thing(), "metadata": {"name": "a", "colour": "red"}}),
        put(f"{THINGS}/a", thing(spec={})),
        put(f"{THINGS}/b", thing("b", {})),
        patch(f"{THINGS}/a", {"kind": "Other"}),
    ),
    kind(
        "a finalizer without a domain is warned of",
        crd(version()),
        post(THINGS, {**thing(), "metadata": {"name": "a", "finalizers": ["hold", "example.com/hold"]}}),
        patch(f"{THINGS}/a", {"metadata": {"finalizers": ["hold"]}}),
        patch(f"{THINGS}/a", {"metadata": {"finalizers": ["hold", "a.b"]}}),
    ),
    kind(
        "what breaks the schema is told with the rules left out",
        ruled("self.a > 1", "self.s == 'x'", a=NUMBER, s={**TEXT, "maxLength": 3}),
        *tried({"a": "x", "s": "x"}, {"a": 1, "s": "y"}, {"a": 1, "s": "long"}, {"a": 1}),
    ),
)

STATUS = (
    kind(
        "status and spec are written apart",
        _status_crd({"type": "object", "properties": {"b": NUMBER}}),
        post(THINGS, {**thing(spec={"a": 1}), "status": {"b": 1}}),
        patch(f"{THINGS}/a", {"status": {"b": 2}}),
        patch(
            f"{THINGS}/a/status", {"spec": {"a": 5}, "status": {"b": 2}, "metadata": {"labels": {"x": "y"}}}
        ),
        patch(f"{THINGS}/a", {"spec": {"a": 3}}),
        patch(f"{THINGS}/a/status", {"status": {"b": "x"}}),
        patch(f"{THINGS}/a/status", {"status": {"c": 1}}),
        patch(f"{THINGS}/a/status", {"status": None}),
        get(f"{THINGS}/a/status"),
        patch(f"{THINGS}/a", {"metadata": {"labels": {"x": "z"}}}),
    ),
    kind(
        "without the status subresource all is one",
        crd(
            {
                **version(),
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ),
        post(THINGS, {**thing(spec={"a": 1}), "status": {"b": 1}}),
        patch(f"{THINGS}/a", {"status": {"b": 2}}),
        patch(f"{THINGS}/a", {"metadata": {"labels": {"x": "y"}}}),
        get(f"{THINGS}/a/status", view="nothing"),
    ),
    kind(
        "a rule of the whole object sees a change of status",
        crd(
            {
                **version(subresources={"status": {}}),
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"a": NUMBER}},
                            "status": {"type": "object", "properties": {"b": NUMBER}},
                        },
                        "x-kubernetes-validations": [
                            {
                                "rule": "!has(self.status) || self.status.b <= self.spec.a",
                                "message": "too much",
                            },
                            {"rule": "self.metadata.name != 'b'"},
                        ],
                    }
                },
            }
        ),
        post(THINGS, thing(spec={"a": 1})),
        post(THINGS, thing("b", {"a": 1})),
        patch(f"{THINGS}/a/status", {"status": {"b": 2}}),
        patch(f"{THINGS}/a/status", {"status": {"b": 1}}),
    ),
)

SELECTION = (
    kind(
        "objects are selected by declared fields",
        crd(
            version(
                {"type": "object", "properties": {"a": TEXT, "n": NUMBER}},
                selectableFields=[{"jsonPath": ".spec.a"}, {"jsonPath": ".spec.n"}],
            )
        ),
        post(THINGS, thing("one", {"a": "x", "n": 1}), view="nothing"),
        post(THINGS, thing("two", {"a": "y"}), view="nothing"),
        get(THINGS, query={"fieldSelector": "spec.a=x"}),
        get(THINGS, query={"fieldSelector": "spec.n=1"}),
        get(THINGS, query={"fieldSelector": "spec.n="}),
        get(THINGS, query={"fieldSelector": "spec.a!=x"}),
        get(THINGS, query={"fieldSelector": "metadata.name=two"}),
        get(THINGS, query={"fieldSelector": "spec.b=x"}),
        watch(THINGS, 1, query={"fieldSelector": "spec.a=y", "resourceVersion": "0"}),
    ),
)

DEEP = {
    "type": "object",
    "properties": {
        "rows": {
            "type": "array",
            "items": {"type": "array", "items": {**NUMBER, "minimum": 0}, "maxItems": 2},
            "maxItems": 3,
        },
        "by": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["x"],
                "properties": {"x": {**TEXT, "pattern": "^x"}, "y": {**NUMBER, "default": 3, "enum": [3, 4]}},
            },
        },
        "maybe": {"type": "object", "nullable": True, "properties": {"z": {**TEXT, "default": "zz"}}},
        "loose": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        "quantity": {
            "x-kubernetes-int-or-string": True,
            "pattern": "^[0-9]+m?$",
            "anyOf": [{"type": "integer"}, {"type": "string"}],
        },
    },
}
ODDITIES = (
    kind(
        "mistakes deep inside",
        crd(version(DEEP)),
        *tried(
            {"rows": [[1, 2], [3]], "by": {"a": {"x": "x1"}}, "maybe": None, "quantity": "5m"},
            {"rows": [[1, -2], [3, 4, 5]]},
            {"rows": [[1], "x"]},
            {"by": {"a.b/c": {"x": "y"}}},
            {"by": {"a": {"y": 5}}},
            {"by": {"a": None}},
            {"maybe": {}, "loose": [{"a": {"b": 1}}, 1]},
            {"quantity": "m5"},
            {"quantity": 5},
            {"quantity": 5.5},
            {"rows": []},
            [],
            "text",
            None,
        ),
    ),
    kind(
        "a mistake in the second of two versions",
        crd(version(DEEP), version({"type": "object", "properties": {"q": NUMBER}}, "v2", storage=False)),
        post(
            CRDS,
            crd(version(), version({"type": "object", "properties": {"q": {}}}, "v2", storage=False)),
            query={"dryRun": "All"},
        ),
        post(
            f"/apis/{GROUP}/v2/namespaces/${{ns}}/things",
            {"apiVersion": f"{GROUP}/v2", "kind": "Thing", "metadata": {"name": "b"}, "spec": {"q": "x"}},
        ),
        post(
            f"/apis/{GROUP}/v2/namespaces/${{ns}}/things",
            {"apiVersion": f"{GROUP}/v2", "kind": "Thing", "metadata": {"name": "b"}, "spec": {"q": 1}},
        ),
        get(f"{THINGS}/b"),
        delete(f"/apis/{GROUP}/v2/namespaces/${{ns}}/things/b"),
    ),
    kind(
        "objects listed, patched and deleted together",
        crd(
            version(
                {"type": "object", "properties": {"a": {**NUMBER, "default": 1}, "l": LIST}},
                subresources={"status": {}},
            )
        ),
        *(post(THINGS, {**thing(name), "spec": {}}, view="nothing") for name in ("a", "b")),
        patch(f"{THINGS}/a", [{"op": "add", "path": "/spec/l", "value": [{"k": "x"}]}], JSON_PATCH),
        patch(f"{THINGS}/a", [{"op": "test", "path": "/spec/a", "value": 2}], JSON_PATCH),
        patch(f"{THINGS}/a", [{"op": "remove", "path": "/spec/a"}], JSON_PATCH),
        patch(f"{THINGS}/a", {"spec": {"l": None}}, STRATEGIC),
        get(THINGS),
        delete(THINGS),
        get(THINGS),
    ),
)


SCENARIOS = (*ODDITIES, *OBJECTS, *STATUS, *SELECTION)
