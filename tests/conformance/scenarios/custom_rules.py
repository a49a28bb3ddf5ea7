"""CEL rules of custom resources, and what may stay invalid because it did not change."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import patch, post

from ._custom import (
    LIST,
    MAP_LIST,
    NUMBER,
    TEXT,
    THING_CRD,
    THINGS,
    crd,
    kind,
    ruled,
    thing,
    tried,
    version,
)

RULES = (
    kind(
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
        *tried(*({"a": value, "s": "so"} for value in (1, 11, 12, 13, 14, 15, 16, 17))),
    ),
    kind(
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
        *tried(
            {"a": 4, "b": 2, "l": ["y", "x"], "m": {"k": 1}},
            {"a": 4, "b": 0, "l": ["y", "x"], "m": {"k": 1}},
            {"a": 4, "l": ["y", "x"], "m": {"k": 1}},
            {"a": 4, "b": 2, "l": ["y"], "m": {"k": 1}},
            {"a": 4, "b": 2, "l": ["y", "x"], "m": {}},
        ),
    ),
    kind(
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
        *tried(
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
    kind(
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
        *tried({"l": [{"a": 2}, {"a": 1}]}, {"m": {"k": 1}}, {"if": 1}, {"if": 2, "a-b": 2}),
    ),
    kind(
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
    kind(
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
        *tried(
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
    kind(
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


SCENARIOS = (*RULES, *RATCHETING)
