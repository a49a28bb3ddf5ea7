"""The functions and operators rules may use, with their types; and those a real server has besides."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

#: `int`, `string`, ...; `("list", T)`, `("unordered", T)` for a list that is a set or a map, `("map", K, V)`,
#: `("optional", T)`, `("object", fields)`; `A` and `B` in signatures are any.
Type = Any

_TABLE = """
_&&_(bool, bool) bool;  _||_(bool, bool) bool;  !_(bool) bool;  -_(int) int;  -_(double) double;  _?_:_(bool, A, A) A
_==_(A, A) bool;  _!=_(A, A) bool
@in(A, list(A)) bool;  @in(A, map(A, B)) bool;  _[_](list(A), int) A;  _[_](map(A, B), A) B
_+_(int, int) int;  _+_(uint, uint) uint;  _+_(double, double) double;  _+_(string, string) string
_+_(bytes, bytes) bytes;  _+_(list(A), list(A)) list(A);  _+_(timestamp, duration) timestamp
_+_(duration, timestamp) timestamp;  _+_(duration, duration) duration
_-_(int, int) int;  _-_(uint, uint) uint;  _-_(double, double) double;  _-_(timestamp, timestamp) duration
_-_(timestamp, duration) timestamp;  _-_(duration, duration) duration
_*_(int, int) int;  _*_(uint, uint) uint;  _*_(double, double) double
_/_(int, int) int;  _/_(uint, uint) uint;  _/_(double, double) double;  _%_(int, int) int;  _%_(uint, uint) uint
size(string) int;  size(bytes) int;  size(list(A)) int;  size(map(A, B)) int
string.size() int;  bytes.size() int;  list(A).size() int;  map(A, B).size() int
string.contains(string) bool;  string.startsWith(string) bool;  string.endsWith(string) bool
string.matches(string) bool;  matches(string, string) bool
int(int) int;  int(uint) int;  int(double) int;  int(string) int;  int(timestamp) int
uint(uint) uint;  uint(int) uint;  uint(double) uint;  uint(string) uint
double(double) double;  double(int) double;  double(uint) double;  double(string) double
string(string) string;  string(int) string;  string(uint) string;  string(double) string;  string(bool) string
string(bytes) string;  bool(bool) bool;  bool(string) bool;  bytes(bytes) bytes;  bytes(string) bytes;  dyn(A) dyn
timestamp(string) timestamp;  timestamp(timestamp) timestamp;  duration(string) duration;  duration(duration) duration
timestamp.getFullYear() int;  timestamp.getMonth() int;  timestamp.getDate() int;  timestamp.getDayOfMonth() int
timestamp.getDayOfWeek() int;  timestamp.getDayOfYear() int;  timestamp.getHours() int;  timestamp.getMinutes() int
timestamp.getSeconds() int
string.lowerAscii() string;  string.upperAscii() string;  string.trim() string;  string.charAt(int) string
string.split(string) list(string);  string.split(string, int) list(string);  string.replace(string, string) string
string.replace(string, string, int) string;  string.substring(int) string;  string.substring(int, int) string
string.indexOf(string) int;  string.indexOf(string, int) int;  string.lastIndexOf(string) int
list(string).join() string;  list(string).join(string) string
string.find(string) string;  string.findAll(string) list(string);  string.findAll(string, int) list(string)
list(int).isSorted() bool;  list(double).isSorted() bool;  list(string).isSorted() bool;  list(bool).isSorted() bool
list(timestamp).isSorted() bool;  list(duration).isSorted() bool;  list(int).sum() int;  list(double).sum() double
list(duration).sum() duration;  list(int).min() int;  list(double).min() double;  list(string).min() string
list(int).max() int;  list(double).max() double;  list(string).max() string
list(A).indexOf(A) int;  list(A).lastIndexOf(A) int
optional(A).hasValue() bool;  optional(A).value() A;  optional(A).orValue(A) A
"""
_ORDERED = ("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration")
_NUMBERS = ("int", "uint", "double")

#: Functions and namespaces of the server's libraries that are missing here.
ELSEWHERE = frozenset(
    {
        *(
            "quantity",
            "isQuantity",
            "url",
            "isURL",
            "ip",
            "isIP",
            "cidr",
            "isCIDR",
            "format",
            "semver",
            "isSemver",
        ),
        *(
            "type",
            "optional",
            "sets",
            "math",
            "cel",
            "reverse",
            "strings",
            "base64",
            "optMap",
            "optFlatMap",
            "or",
        ),
        *(
            "getMilliseconds",
            "getHost",
            "getPort",
            "getScheme",
            "sign",
            "isInteger",
            "asInteger",
            "asApproximateFloat",
        ),
        *(
            "isGreaterThan",
            "isLessThan",
            "compareTo",
            "containsIP",
            "containsCIDR",
            "validate",
            "dns1123Label",
        ),
        *(
            "transformList",
            "transformMap",
            "transformMapEntry",
            "existsOne",
            "range",
            "slice",
            "flatten",
            "distinct",
        ),
        *(
            "sort",
            "sortBy",
            "first",
            "last",
            "hasExtension",
            "lists",
            "all",
            "exists",
            "map",
            "filter",
            "exists_one",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Signature:
    """One form of a function; a method's first parameter is what it is called on."""

    parameters: tuple[Type, ...]
    result: Type
    method: bool


def shown(entry: Type) -> str:
    """A type as errors name it."""
    if not isinstance(entry, tuple):
        return "dyn" if entry == "any" else str(entry)
    match entry[0]:
        case "object":
            return "object"
        case "optional":
            return f"optional_type({shown(entry[1])})"
        case "unordered":
            return f"list({shown(entry[1])})"
    return f"{entry[0]}({', '.join(shown(part) for part in entry[1:])})"


def _split(text: str) -> list[str]:
    """The parts between commas that are in no brackets."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _type(text: str) -> Type:
    name, bracket, rest = text.strip().partition("(")
    return (name, *(_type(part) for part in _split(rest[:-1]))) if bracket else name


def _read(table: str) -> dict[str, list[Signature]]:
    found: dict[str, list[Signature]] = {}
    for line in re.split(r";|\n", table):
        if not line.strip():
            continue
        head, _, result = line.strip().partition(") ")
        match = re.match(r"((?:list|map|optional)\([^()]*\)|\w+)\.(\w+)\((.*)$", head)
        if match:
            parameters = (_type(match[1]), *(_type(part) for part in _split(match[3])))
            found.setdefault(match[2], []).append(Signature(parameters, _type(result), True))
        else:
            name, _, rest = head.partition("(")
            parameters = tuple(_type(part) for part in _split(rest))
            found.setdefault(name, []).append(Signature(parameters, _type(result), False))
    return found


OVERLOADS = _read(_TABLE)
for _operator in ("_<_", "_<=_", "_>_", "_>=_"):
    OVERLOADS[_operator] = [
        Signature((left, right), "bool", False)
        for left in _ORDERED
        for right in _ORDERED
        if left == right or (left in _NUMBERS and right in _NUMBERS)
    ]
