"""Objects of custom resources: defaults, pruning, what their schema refuses, their rules, their status."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import (
    JSON_PATCH,
    STRATEGIC,
    Ask,
    Scenario,
    Step,
    delete,
    get,
    patch,
    post,
    put,
    watch,
)

from .crds import (
    CRDS,
    GROUP,
    LIST,
    MAP_LIST,
    NUMBER,
    TEXT,
    THING_CRD,
    THINGS,
    crd,
    established,
    field,
    ruled,
    thing,
    version,
)


def _kind(name: str, definition: dict[str, Any], *steps: Step) -> Scenario:
    return Scenario(name=name, steps=(*established(definition), *steps), leftovers=(THING_CRD,))


def _tried(*specs: Any) -> tuple[Ask, ...]:
    return tuple(
        post(THINGS, thing(spec=spec), query={"dryRun": "All"}, view="spec_or_causes") for spec in specs
    )


def _values(name: str, schema: dict[str, Any], *values: Any) -> Scenario:
    """Values of one field, tried in turn."""
    return _kind(name, field(schema), *_tried(*({"a": value} for value in values)))


def _put(spec: Any, saved: str, *, name: str = "a", **more: Any) -> Ask:
    body = thing(name, spec)
    body["metadata"]["resourceVersion"] = f"${{{saved}.metadata.resourceVersion}}"
    return put(f"{THINGS}/{name}", body, **more)


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
EMBEDDED = {
    "type": "object",
    "x-kubernetes-embedded-resource": True,
    "properties": {"spec": {"type": "object", "properties": {"a": TEXT}}},
}
FORMATS = {
    "date-time": (
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.123+01:00",
        "2026-01-02",
        "2026-13-02T03:04:05Z",
        "now",
    ),
    "date": ("2026-01-02", "2026-02-30", "2026-01-02T00:00:00Z"),
    "duration": ("1h30m", "90", "-5s", "2 days", "", "an hour"),
    "ipv4": ("10.0.0.1", "10.0.0.256", "::1"),
    "ipv6": ("::1", "10.0.0.1", "fe80::1"),
    "cidr": ("10.0.0.0/8", "10.0.0.0", "10.0.0.0/33"),
    "uuid": ("0b9c5c5e-1111-4222-8333-444455556666", "0b9c5c5e"),
    "byte": ("aGk=", "a"),
    "uri": ("https://example.com/x", "/x", "x", "http://[::1"),
    "hostname": ("example.com", "a_b", "-a"),
    "email": ("a@example.com", "a"),
    "mac": ("00:00:5e:00:53:01", "00:00:5e"),
    "k8s-short-name": ("a-b", "A", "a.b"),
    "k8s-long-name": ("a.b", "a_b"),
    "hexcolor": ("#fff", "red"),
}
ANY = {
    "x-kubernetes-int-or-string": True,
    "anyOf": [{"type": "integer"}, {"type": "string"}],
}

VALUES = (
    _values("values of type integer", NUMBER, 1, 1.0, 1.5, "1", True, None, [1], {"b": 1}),
    _values("values of type number", {"type": "number"}, 1, 1.5, "1", False, 1e30),
    _values("values of type string", TEXT, "x", 1, None, ["x"], {"b": "x"}),
    _values("values of type boolean", {"type": "boolean"}, True, "true", 0),
    _values("values of type array", {"type": "array", "items": NUMBER}, [], [1], ["a", 1], [None], {}, "x"),
    _values(
        "values of type object",
        {"type": "object", "additionalProperties": NUMBER},
        {},
        {"b": 1},
        {"b": "x"},
        [],
        1,
    ),
    _values("null where it is allowed", {**TEXT, "nullable": True}, None, "x", 1),
    _values(
        "integers of 32 bits",
        {**NUMBER, "format": "int32"},
        2147483647,
        2147483648,
        -2147483649,
        "x",
        True,
        1.5,
    ),
    _values(
        "integers of 64 bits", {**NUMBER, "format": "int64"}, 9223372036854775807, 1.5, "x", True, {"b": 1}
    ),
    _values("numbers of 32 bits", {"type": "number", "format": "float"}, 1.5, 1e39, "x"),
    _values("a minimum and a maximum", {**NUMBER, "minimum": 2, "maximum": 5}, 1, 2, 5, 6),
    _values(
        "bounds that are excluded",
        {"type": "number", "minimum": 0.5, "exclusiveMinimum": True, "maximum": 2, "exclusiveMaximum": True},
        0.5,
        1,
        1.999,
        2,
        2.5,
    ),
    _values("multiples", {**NUMBER, "multipleOf": 3}, 3, 4, 0, -6),
    _values("multiples of a fraction", {"type": "number", "multipleOf": 0.5}, 1.5, 1.25, 2),
    _values("an enumeration of strings", {**TEXT, "enum": ["a", "b"]}, "a", "c", 1, ""),
    _values("an enumeration of numbers", {**NUMBER, "enum": [1, 2]}, 1, 3, "1"),
    _values("a pattern", {**TEXT, "pattern": "^[a-z]+$"}, "abc", "ABC", "", "abc\n"),
    _values("lengths of strings", {**TEXT, "minLength": 2, "maxLength": 3}, "a", "äö", "äöü", "abcd", ""),
    _values(
        "lengths of lists",
        {"type": "array", "items": NUMBER, "minItems": 1, "maxItems": 2},
        [],
        [1],
        [1, 2, 3],
    ),
    _values(
        "numbers of entries",
        {"type": "object", "additionalProperties": TEXT, "minProperties": 1, "maxProperties": 2},
        {},
        {"b": "x"},
        {"b": "x", "c": "x", "d": "x"},
    ),
    _values(
        "fields that must be there",
        {"type": "object", "properties": {"b": TEXT, "c": TEXT}, "required": ["b", "c"]},
        {"b": "x", "c": "y"},
        {"b": "x"},
        {},
        {"b": None, "c": "y"},
    ),
    _values(
        "fields of list items that must be there",
        {"type": "array", "items": LIST["items"]},
        [{"k": "x"}, {}],
        [{"k": 1}],
    ),
    _values("a number or a string", ANY, 1, "1", 1.5, True, None, []),
    _values("any of several", {**NUMBER, "anyOf": [{"minimum": 10}, {"maximum": 2}]}, 1, 5, 10),
    _values("exactly one of several", {**NUMBER, "oneOf": [{"minimum": 3}, {"maximum": 5}]}, 1, 4, 6),
    _values("all of several", {**NUMBER, "allOf": [{"minimum": 3}, {"maximum": 5}]}, 1, 4, 6),
    _values("none of it", {**NUMBER, "not": {"minimum": 3}}, 1, 4),
    _values(
        "exactly one of two fields",
        {
            "type": "object",
            "properties": {"b": TEXT, "c": TEXT},
            "oneOf": [{"required": ["b"]}, {"required": ["c"]}],
        },
        {"b": "x"},
        {},
        {"b": "x", "c": "x"},
    ),
    _values(
        "a list that is a set",
        {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
        ["x", "y"],
        ["x", "x", "x"],
    ),
    _values("a list that is a map", MAP_LIST, [{"k": "x"}, {"k": "y"}], [{"k": "x"}, {"k": "x"}], [{}, {}]),
    _values(
        "a map of two keys",
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"k": TEXT, "n": {**NUMBER, "default": 1}},
                "required": ["k"],
            },
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k", "n"],
        },
        [{"k": "x"}, {"k": "x", "n": 2}],
        [{"k": "x"}, {"k": "x", "n": 1}],
    ),
    *(
        _values(f"strings of format {form}", {**TEXT, "format": form}, *values, 5)
        for form, values in FORMATS.items()
    ),
    _values(
        "resources inside resources",
        EMBEDDED,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": {"a": "x", "b": 1},
        },
        {"apiVersion": "v1"},
        {"apiVersion": "v1", "kind": "a pod"},
        {"apiVersion": "a/b/c", "kind": "Pod"},
        {"apiVersion": "", "kind": ""},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a/b"}},
    ),
)

OBJECTS = (
    _kind(
        "defaults come where they are declared",
        crd(version(NESTED)),
        *_tried(
            {},
            {"a": None, "p": {}, "l": [{}, {"d": 5}], "m": {"k": {}}},
            {"n": None, "q": None, "r": None, "o": None},
            {"l": [None]},
            {"o": {"b": None}},
        ),
    ),
    _kind(
        "unknown fields go, unless they are to be kept",
        crd(version(KEEP)),
        *_tried(
            {"any": {"a": {"x": 1}, "b": {"c": [{"d": 1}]}}, "unknown": 1},
            {"anything": {"x": 1}, "closed": {"a": "x", "b": 1}},
            {"map": {"k": {"a": "x", "b": 1}}, "open": {"k": {"b": 1}}},
        ),
    ),
    _kind(
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
    _kind(
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
    _kind(
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
    _kind(
        "a finalizer without a domain is warned of",
        crd(version()),
        post(THINGS, {**thing(), "metadata": {"name": "a", "finalizers": ["hold", "example.com/hold"]}}),
        patch(f"{THINGS}/a", {"metadata": {"finalizers": ["hold"]}}),
        patch(f"{THINGS}/a", {"metadata": {"finalizers": ["hold", "a.b"]}}),
    ),
    _kind(
        "what breaks the schema is told with the rules left out",
        ruled("self.a > 1", "self.s == 'x'", a=NUMBER, s={**TEXT, "maxLength": 3}),
        *_tried({"a": "x", "s": "x"}, {"a": 1, "s": "y"}, {"a": 1, "s": "long"}, {"a": 1}),
    ),
)

STATUS = (
    _kind(
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
    _kind(
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
    _kind(
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

RULES = (
    _kind(
        "rules tell value, message, reason and field",
        ruled(
            {"rule": "self.a < 10", "message": "a is too large", "fieldPath": ".a"},
            {"rule": "self.a != 11", "reason": "FieldValueForbidden", "message": "not that one"},
            {"rule": "self.a != 12", "reason": "FieldValueRequired"},
            {"rule": "self.a != 13", "reason": "FieldValueDuplicate", "message": "again"},
            {"rule": "self.a != 14", "messageExpression": "self.s + ' it is'", "message": "plain"},
            {"rule": "self.a != 15", "messageExpression": "'\\n'", "message": "plain"},
            {"rule": "self.a != 16"},
            a={**NUMBER, "x-kubernetes-validations": [{"rule": "self != 17"}]},
            s={**TEXT, "maxLength": 5},
        ),
        *_tried(*({"a": value, "s": "so"} for value in (1, 11, 12, 13, 14, 15, 16, 17))),
    ),
    _kind(
        "rules that fail to be evaluated",
        ruled(
            "self.a / self.b > 0",
            "self.l[1] == 'x'",
            "self.m['k'] == 1",
            a=NUMBER,
            b=NUMBER,
            l={"type": "array", "items": {**TEXT, "maxLength": 5}, "maxItems": 5},
            m={"type": "object", "additionalProperties": NUMBER, "maxProperties": 3},
        ),
        *_tried(
            {"a": 4, "b": 2, "l": ["y", "x"], "m": {"k": 1}},
            {"a": 4, "b": 0, "l": ["y", "x"], "m": {"k": 1}},
            {"a": 4, "l": ["y", "x"], "m": {"k": 1}},
            {"a": 4, "b": 2, "l": ["y"], "m": {"k": 1}},
            {"a": 4, "b": 2, "l": ["y", "x"], "m": {}},
        ),
    ),
    _kind(
        "what rules see",
        ruled(
            "size(self.s) < 4",
            "self.s.lowerAscii() == self.s",
            "self.s.matches('^[a-zäöü]+$')",
            "self.l.all(x, x.trim() == x)",
            "self.t > timestamp('2026-01-01T00:00:00Z')",
            "self.d < duration('1h')",
            "self.n * 2.0 < 10.0",
            "self.l.exists_one(x, x == 'a')",
            "self.x == 1 || self.x == '1'",
            s={**TEXT, "maxLength": 10},
            l={"type": "array", "items": {**TEXT, "maxLength": 5}, "maxItems": 5},
            t={**TEXT, "format": "date-time"},
            d={**TEXT, "format": "duration"},
            n={"type": "number"},
            x={"x-kubernetes-int-or-string": True, "maxLength": 5},
        ),
        *_tried(
            *(
                {"s": "äöü", "l": ["a"], "t": "2026-01-02T00:00:00Z", "d": "30m", "n": 1, "x": 1, **change}
                for change in (
                    {},
                    {"s": "abcd"},
                    {"s": "Ä"},
                    {"s": "ABC"},
                    {"l": ["a ", " b"]},
                    {"l": ["a", "a"]},
                    {"t": "2025-12-31T23:59:59Z"},
                    {"d": "1h"},
                    {"n": 5},
                    {"x": "1"},
                    {"x": "2"},
                )
            )
        ),
    ),
    _kind(
        "rules in lists and maps name their place",
        crd(
            version(
                {
                    "type": "object",
                    "properties": {
                        "l": {
                            "type": "array",
                            "maxItems": 5,
                            "items": {
                                "type": "object",
                                "properties": {"a": NUMBER},
                                "x-kubernetes-validations": [{"rule": "self.a > 1", "fieldPath": ".a"}],
                            },
                        },
                        "m": {
                            "type": "object",
                            "maxProperties": 5,
                            "additionalProperties": {
                                **NUMBER,
                                "x-kubernetes-validations": [{"rule": "self > 1"}],
                            },
                        },
                        "if": {**NUMBER, "x-kubernetes-validations": [{"rule": "self > 1"}]},
                        "a-b": NUMBER,
                    },
                    "x-kubernetes-validations": [
                        {"rule": "!has(self.a__dash__b) || self.a__dash__b != self.__if__"}
                    ],
                }
            )
        ),
        *_tried({"l": [{"a": 2}, {"a": 1}]}, {"m": {"k": 1}}, {"if": 1}, {"if": 2, "a-b": 2}),
    ),
    _kind(
        "transition rules compare with what was",
        crd(
            version(
                {
                    "type": "object",
                    "properties": {
                        "a": {
                            **NUMBER,
                            "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "no less"}],
                        },
                        "b": {
                            **TEXT,
                            "maxLength": 9,
                            "x-kubernetes-validations": [
                                {
                                    "rule": "oldSelf.hasValue() ? self == oldSelf.value() : self == 'x'",
                                    "optionalOldSelf": True,
                                }
                            ],
                        },
                        "l": {
                            **MAP_LIST,
                            "maxItems": 5,
                            "items": {
                                "type": "object",
                                "properties": {"k": {**TEXT, "maxLength": 5}, "n": NUMBER},
                                "required": ["k"],
                                "x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n"}],
                            },
                        },
                    },
                }
            )
        ),
        post(THINGS, thing(spec={"b": "y"}), view="spec_or_causes"),
        post(
            THINGS, thing(spec={"a": 5, "l": [{"k": "x", "n": 5}, {"k": "y", "n": 1}]}), view="spec_or_causes"
        ),
        patch(f"{THINGS}/a", {"spec": {"a": 4}}, view="spec_or_causes"),
        patch(f"{THINGS}/a", {"spec": {"a": 6, "b": "x"}}, view="spec_or_causes"),
        patch(f"{THINGS}/a", {"spec": {"b": "z"}}, view="spec_or_causes"),
        patch(
            f"{THINGS}/a", {"spec": {"l": [{"k": "y", "n": 1}, {"k": "x", "n": 4}]}}, view="spec_or_causes"
        ),
        patch(
            f"{THINGS}/a", {"spec": {"l": [{"k": "z", "n": 0}, {"k": "x", "n": 6}]}}, view="spec_or_causes"
        ),
        patch(f"{THINGS}/a", {"spec": {"a": None}}, view="spec_or_causes"),
        patch(f"{THINGS}/a", {"spec": {"a": 1}}, view="spec_or_causes"),
    ),
)


def _tighter() -> dict[str, Any]:
    """The CRD below, once more is demanded."""
    rule = [{"rule": "self < 3", "message": "too large"}]
    properties = {
        "a": {**NUMBER, "maximum": 2},
        "b": {**NUMBER, "x-kubernetes-validations": rule},
        "c": TEXT,
        "l": {**LIST, "maxItems": 1},
        "k": {
            **MAP_LIST,
            "items": {
                "type": "object",
                "properties": {"k": TEXT, "n": {**NUMBER, "maximum": 2}},
                "required": ["k"],
            },
        },
    }
    return {"spec": {"versions": [version({"type": "object", "properties": properties, "required": ["d"]})]}}


RATCHETING = (
    _kind(
        "what was invalid may stay as it is",
        crd(
            version(
                {
                    "type": "object",
                    "properties": {
                        "a": NUMBER,
                        "b": NUMBER,
                        "c": TEXT,
                        "l": LIST,
                        "k": {
                            **MAP_LIST,
                            "items": {
                                "type": "object",
                                "properties": {"k": TEXT, "n": NUMBER},
                                "required": ["k"],
                            },
                        },
                    },
                }
            )
        ),
        post(
            THINGS,
            thing(spec={"a": 5, "b": 5, "l": [{"k": "x"}, {"k": "y"}], "k": [{"k": "x", "n": 5}]}),
            view="spec_or_causes",
        ),
        patch(THING_CRD, _tighter(), view="nothing"),
        patch(
            f"{THINGS}/a", {"metadata": {"labels": {"p": "q"}}}, until={"code": 200}, view="spec_or_causes"
        ),
        post(
            THINGS, thing("b", {"a": 5}), until={"code": 422}, view="spec_or_causes", query={"dryRun": "All"}
        ),
        patch(f"{THINGS}/a", {"spec": {"a": 6, "d": 1}}, view="spec_or_causes"),
        patch(f"{THINGS}/a", {"spec": {"b": 6}}, view="spec_or_causes"),
        patch(f"{THINGS}/a", {"spec": {"c": "x"}}, view="spec_or_causes"),
        patch(f"{THINGS}/a", {"spec": {"l": [{"k": "x"}, {"k": "z"}]}}, view="spec_or_causes"),
        patch(
            f"{THINGS}/a", {"spec": {"k": [{"k": "x", "n": 5}, {"k": "z", "n": 1}]}}, view="spec_or_causes"
        ),
    ),
)

SELECTION = (
    _kind(
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
    _kind(
        "mistakes deep inside",
        crd(version(DEEP)),
        *_tried(
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
    _kind(
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
    _kind(
        "rules over lists of objects",
        ruled(
            "self.l.exists(e, e.k == 'main') || self.l.size() == 0",
            "self.l.filter(e, e.n > 1).size() < 2",
            "self.l.map(e, e.n).all(n, n < 10)",
            {"rule": "!self.l.exists(e, e.k == self.s)", "message": "s is taken", "fieldPath": ".s"},
            "self.t.getFullYear() > 2020 && self.t.getHours() < 12",
            "self.m.all(key, self.m[key] > 0 && key.startsWith('k'))",
            "'kx' in self.m ? self.m.kx == 1 : true",
            l={
                "type": "array",
                "maxItems": 5,
                "default": [],
                "items": {
                    "type": "object",
                    "properties": {"k": {**TEXT, "maxLength": 5}, "n": {**NUMBER, "default": 1}},
                },
            },
            s={**TEXT, "maxLength": 5, "default": "none"},
            t={**TEXT, "format": "date-time", "default": "2026-01-01T01:00:00Z"},
            m={"type": "object", "additionalProperties": NUMBER, "maxProperties": 3, "default": {}},
        ),
        *_tried(
            {},
            {"l": [{"k": "other"}]},
            {"l": [{"k": "main", "n": 2}, {"k": "b", "n": 3}]},
            {"l": [{"k": "main", "n": 10}]},
            {"l": [{"k": "main"}], "s": "main"},
            {"t": "2026-01-01T13:00:00+02:00"},
            {"t": "2026-01-01T13:00:00Z"},
            {"m": {"kx": 2}},
            {"m": {"x": 1}},
            {"m": {"ky": 0}},
            {"l": [{"n": 1}]},
        ),
    ),
    _kind(
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

SCENARIOS = (*ODDITIES, *VALUES, *OBJECTS, *STATUS, *RULES, *RATCHETING, *SELECTION)
