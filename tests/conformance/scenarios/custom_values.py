"""Values of custom objects' fields against their schemas: types, bounds, formats, lists, combinations."""

from __future__ import annotations

from ._custom import LIST, MAP_LIST, NUMBER, TEXT, values

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
    values("values of type integer", NUMBER, 1, 1.0, 1.5, "1", True, None, [1], {"b": 1}),
    values("values of type number", {"type": "number"}, 1, 1.5, "1", False, 1e30),
    values("values of type string", TEXT, "x", 1, None, ["x"], {"b": "x"}),
    values("values of type boolean", {"type": "boolean"}, True, "true", 0),
    values("values of type array", {"type": "array", "items": NUMBER}, [], [1], ["a", 1], [None], {}, "x"),
    values(
        "values of type object",
        {"type": "object", "additionalProperties": NUMBER},
        {},
        {"b": 1},
        {"b": "x"},
        [],
        1,
    ),
    values("null where it is allowed", {**TEXT, "nullable": True}, None, "x", 1),
    values(
        "integers of 32 bits",
        {**NUMBER, "format": "int32"},
        2147483647,
        2147483648,
        -2147483649,
        "x",
        True,
        1.5,
    ),
    values(
        "integers of 64 bits", {**NUMBER, "format": "int64"}, 9223372036854775807, 1.5, "x", True, {"b": 1}
    ),
    values("numbers of 32 bits", {"type": "number", "format": "float"}, 1.5, 1e39, "x"),
    values("a minimum and a maximum", {**NUMBER, "minimum": 2, "maximum": 5}, 1, 2, 5, 6),
    values(
        "bounds that are excluded",
        {"type": "number", "minimum": 0.5, "exclusiveMinimum": True, "maximum": 2, "exclusiveMaximum": True},
        0.5,
        1,
        1.999,
        2,
        2.5,
    ),
    values("multiples", {**NUMBER, "multipleOf": 3}, 3, 4, 0, -6),
    values("multiples of a fraction", {"type": "number", "multipleOf": 0.5}, 1.5, 1.25, 2),
    values("an enumeration of strings", {**TEXT, "enum": ["a", "b"]}, "a", "c", 1, ""),
    values("an enumeration of numbers", {**NUMBER, "enum": [1, 2]}, 1, 3, "1"),
    values("a pattern", {**TEXT, "pattern": "^[a-z]+$"}, "abc", "ABC", "", "abc\n"),
    values("lengths of strings", {**TEXT, "minLength": 2, "maxLength": 3}, "a", "äö", "äöü", "abcd", ""),
    values(
        "lengths of lists",
        {"type": "array", "items": NUMBER, "minItems": 1, "maxItems": 2},
        [],
        [1],
        [1, 2, 3],
    ),
    values(
        "numbers of entries",
        {"type": "object", "additionalProperties": TEXT, "minProperties": 1, "maxProperties": 2},
        {},
        {"b": "x"},
        {"b": "x", "c": "x", "d": "x"},
    ),
    values(
        "fields that must be there",
        {"type": "object", "properties": {"b": TEXT, "c": TEXT}, "required": ["b", "c"]},
        {"b": "x", "c": "y"},
        {"b": "x"},
        {},
        {"b": None, "c": "y"},
    ),
    values(
        "fields of list items that must be there",
        {"type": "array", "items": LIST["items"]},
        [{"k": "x"}, {}],
        [{"k": 1}],
    ),
    values("a number or a string", ANY, 1, "1", 1.5, True, None, []),
    values("any of several", {**NUMBER, "anyOf": [{"minimum": 10}, {"maximum": 2}]}, 1, 5, 10),
    values("exactly one of several", {**NUMBER, "oneOf": [{"minimum": 3}, {"maximum": 5}]}, 1, 4, 6),
    values("all of several", {**NUMBER, "allOf": [{"minimum": 3}, {"maximum": 5}]}, 1, 4, 6),
    values("none of it", {**NUMBER, "not": {"minimum": 3}}, 1, 4),
    values(
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
    values(
        "a list that is a set",
        {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
        ["x", "y"],
        ["x", "x", "x"],
    ),
    values("a list that is a map", MAP_LIST, [{"k": "x"}, {"k": "y"}], [{"k": "x"}, {"k": "x"}], [{}, {}]),
    values(
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
        values(f"strings of format {form}", {**TEXT, "format": form}, *texts, 5)
        for form, texts in FORMATS.items()
    ),
    values(
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


SCENARIOS = VALUES
