"""Whether a CEL rule compiles, as cel-go's checker of types says, and whether the evaluator runs it as the server does.

What is outside is refused with 501 when the CRD is created: Kubernetes' libraries of URLs, IP addresses, quantities,
formats, versions, sets and mathematics; optional fields (`?.`); `cel.bind`; comprehensions of two variables; and
comparison of lists that are sets or maps, in which order does not count. The cost of rules is not estimated.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import cel

from rackplane.localcluster.errors import ApiError, not_implemented

from .celfunctions import ELSEWHERE, OVERLOADS, Signature, Type, shown
from .celsyntax import MACROS, Node, Unreadable, parse, tokens
from .celvalues import RENAMED, escape
from .values import Schema

_META: Schema = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
}
_CONVERSIONS = {"date-time": "timestamp", "date": "timestamp", "duration": "duration", "byte": "bytes"}
_SIMPLE = {"integer": "int", "number": "double", "boolean": "bool"}


def declared(schema: Schema, *, root: bool = False) -> Type | None:
    """The type of a value in CEL; None where the schema does not say enough for rules to see it."""
    if schema.get("x-kubernetes-int-or-string"):
        return "dyn"
    kind = schema.get("type")
    if kind == "array":
        items = declared(schema["items"], root=bool(schema["items"].get("x-kubernetes-embedded-resource")))
        unordered = schema.get("x-kubernetes-list-type") in ("set", "map")
        return None if items is None else ("unordered" if unordered else "list", items)
    if kind == "object":
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict) and not root:
            below = declared(extra, root=bool(extra.get("x-kubernetes-embedded-resource")))
            return None if below is None else ("map", "string", below)
        fields: dict[str, Type] = {}
        properties = dict(schema.get("properties") or {})
        if root:
            text = {"type": "string"}
            properties |= {"kind": text, "apiVersion": text, "metadata": _META}
        for name, part in properties.items():
            found = declared(part, root=bool(part.get("x-kubernetes-embedded-resource")))
            if found is not None:
                fields[escape(name)] = found
        return ("object", fields)
    if kind == "string":
        return _CONVERSIONS.get(schema.get("format") or "", "string")
    return _SIMPLE.get(kind or "")


@lru_cache(maxsize=1024)
def uses(text: str, name: str) -> bool:
    """Whether an expression refers to a variable."""
    return name in cel.compile(text).references()["variables"]


def translated(text: str) -> str:
    """The expression for the evaluator: functions it has otherwise than the server are renamed."""
    parts, at = [], 0
    found = tokens(text)
    for token, following in pairwise(found):
        if token.kind == "name" and token.text in RENAMED and following.text == "(":
            parts.append(text[at : token.at] + RENAMED[token.text])
            at = token.at + len(token.text)
    return "".join([*parts, text[at:]])


def check(text: str, schema: Schema, *, root: bool, optional_old: bool, wanted: str) -> str:
    """What keeps an expression from compiling, in the server's words; empty if nothing does.

    Raises:
        ApiError: 501, the evaluator could not run it as the server does.
    """
    problem = _syntax(text)
    if problem:
        return problem
    try:
        tree = parse(text)
    except Unreadable as problem_:
        raise _lacking(text, str(problem_)) from problem_
    own = declared(schema, root=root)
    if own is None:
        raise _lacking(text, "the type of self is not declared")
    checker = _Checker(text)
    old: Type = ("optional", own) if optional_old else own
    result = checker.type(tree, {"self": own, "oldSelf": old})
    if checker.problems:
        return "\n".join(checker.problems)
    if result not in (wanted, "dyn") or result == "dyn":
        return f"cel expression must evaluate to a {wanted}"
    return ""


def _lacking(text: str, why: str) -> ApiError:
    return not_implemented(f"the CEL rule {text.strip()!r} ({why})")


def _syntax(text: str) -> str:
    try:
        cel.compile(text)
    except ValueError as problem:
        said = re.sub(r"(?s)^.*?(?=ERROR: <input>)", "", str(problem))
    else:
        return ""
    parts = [part for part in re.split(r"\n(?=ERROR: )", said) if "Incomplete `" not in part]
    known = ("Syntax error: mismatched input", "Syntax error: extraneous input", "Syntax error: missing")
    if not parts or not all(
        any(word in part for word in (*known, "invalid argument to has()")) for part in parts
    ):
        raise _lacking(text, said.splitlines()[0])
    # Both parsers are made of one grammar and list what may follow a whole expression differently.
    parts = [re.sub(r"expecting \{<EOF>, [^}]*\}", "expecting <EOF>", part) for part in parts]
    return "\n".join(part.replace("\n| ", "\n | ") for part in parts)


class _Checker:
    """One expression's walk; problems are collected, and what is wrong counts as `dyn` from there on."""

    def __init__(self, text: str) -> None:
        self.problems: list[str] = []
        self._text = text

    def _error(self, node: Node, text: str) -> Type:
        before = self._text[: node.at]
        line, column = before.count("\n") + 1, node.at - (before.rfind("\n") + 1)
        source = self._text.splitlines()[line - 1]
        self.problems.append(f"ERROR: <input>:{line}:{column + 1}: {text}\n | {source}\n | {'.' * column}^")
        return "error"

    def type(self, node: Node, names: dict[str, Type]) -> Type:
        match node.kind:
            case "literal":
                return node.name
            case "ident":
                if node.name in names:
                    return names[node.name]
                return self._error(node, f"undeclared reference to '{node.name}' (in container '')")
            case "select":
                return self._select(node, names)
            case "list":
                return ("list", self._joined(node.args, names))
            case "map":
                return ("map", self._joined(node.args[::2], names), self._joined(node.args[1::2], names))
            case "index":
                return self._overload(node, [self.type(part, names) for part in node.args], method=False)
        return self._call(node, names)

    def _joined(self, parts: tuple[Node, ...], names: dict[str, Type]) -> Type:
        """The one type of several parts: literals are of one type throughout."""
        found: Type = "any"
        for part in parts:
            this = self.type(part, names)
            if found == "any":
                found = this
            elif not assignable(found, this, {}):
                self._error(part, f"expected type '{shown(found)}' but found '{shown(this)}'")
        return found

    def _select(self, node: Node, names: dict[str, Type]) -> Type:
        assert node.target is not None
        target = self.type(node.target, names)
        if isinstance(target, tuple) and target[0] == "object":
            if node.name not in target[1]:
                return self._error(node, f"undefined field '{node.name}'")
            return target[1][node.name]
        if isinstance(target, tuple) and target[0] == "map":
            return target[2]
        if isinstance(target, tuple) and target[0] == "optional":
            raise _lacking(self._text, "fields of optional values")
        if target in ("dyn", "any", "error"):
            return "dyn" if target != "error" else "error"
        return self._error(node, f"type '{shown(target)}' does not support field selection")

    def _call(self, node: Node, names: dict[str, Type]) -> Type:
        if node.target is None and node.name == "has":
            # The macro makes a node of its own of the selection, where it stands itself.
            self.type(replace(node.args[0], at=node.at), names)
            return "bool"
        if node.target is not None and node.name in MACROS:
            return self._macro(node, names)
        space = node.target.name if node.target is not None and node.target.kind == "ident" else ""
        if space in ELSEWHERE and space not in names:
            raise _lacking(self._text, f"{space}.{node.name}() is missing")
        types = [] if node.target is None else [self.type(node.target, names)]
        types += [self.type(part, names) for part in node.args]
        return self._overload(node, types, method=node.target is not None)

    def _macro(self, node: Node, names: dict[str, Type]) -> Type:
        assert node.target is not None
        count = len(node.args)
        three = node.name == "map" and count == 3
        if (count != 2 and not three) or node.args[0].kind != "ident":
            raise _lacking(self._text, f"{node.name}() with {count} arguments")
        ranged = self.type(node.target, names)
        item: Type = "dyn"
        if isinstance(ranged, tuple) and ranged[0] in ("list", "unordered", "map"):
            item = ranged[1]
        elif ranged not in ("dyn", "any", "error"):
            text = f"expression of type '{shown(ranged)}' cannot be range of a comprehension"
            item = self._error(node.target, f"{text} (must be list, map, or dynamic)")
        inner = {**names, node.args[0].name: item}
        results = [self.type(part, inner) for part in node.args[1:]]
        if node.name == "map":
            if three and results[0] not in ("bool", "dyn", "error"):
                raise _lacking(self._text, "a filter that is no bool")
            return ("list", results[-1])
        if results[0] not in ("bool", "dyn", "any", "error"):
            raise _lacking(self._text, f"{node.name}() of what is no bool")
        return ("list", item) if node.name == "filter" else "bool"

    def _overload(self, node: Node, types: list[Type], *, method: bool) -> Type:
        if "error" in types:
            return "error"
        signatures = [entry for entry in OVERLOADS.get(node.name, ()) if entry.method == method]
        if not OVERLOADS.get(node.name):
            if node.name in ELSEWHERE:
                raise _lacking(self._text, f"the function {node.name}() is missing")
            return self._error(node, f"undeclared reference to '{node.name}' (in container '')")
        if node.name in ("_==_", "_!=_", "_+_") and any(_unordered(entry) for entry in types):
            raise _lacking(self._text, "lists in which order does not count are compared or added")
        results = [found for entry in signatures if (found := _applied(entry, types)) is not None]
        if results:
            return results[0] if all(found == results[0] for found in results) else "dyn"
        listed = ", ".join(shown(entry) for entry in (types[1:] if method else types))
        applied = f"{shown(types[0])}.({listed})" if method else f"({listed})"
        return self._error(node, f"found no matching overload for '{node.name}' applied to '{applied}'")


def _unordered(entry: Type) -> bool:
    if not isinstance(entry, tuple):
        return False
    if entry[0] == "object":
        return any(_unordered(field) for field in entry[1].values())
    return entry[0] == "unordered" or any(_unordered(part) for part in entry[1:])


def _applied(signature: Signature, types: list[Type]) -> Type | None:
    """The result of a function for arguments of these types; None if it does not take them."""
    if len(types) != len(signature.parameters):
        return None
    bound: dict[str, Type] = {}
    for wanted, given in zip(signature.parameters, types, strict=True):
        if not assignable(wanted, given, bound):
            return None
    return _filled(signature.result, bound)


def _filled(entry: Type, bound: dict[str, Type]) -> Type:
    if isinstance(entry, tuple):
        return (entry[0], *(_filled(part, bound) for part in entry[1:])) if entry[0] != "object" else entry
    return bound.get(entry, "dyn") if entry in ("A", "B") else entry


def assignable(wanted: Type, given: Type, bound: dict[str, Type]) -> bool:
    """Whether a value of one type may stand where another is wanted; type variables are bound on the way."""
    if wanted in ("A", "B"):
        name = str(wanted)
        if name not in bound or bound[name] in ("dyn", "any"):
            bound[name] = given
            return True
        return assignable(bound[name], given, {})
    if "dyn" in (wanted, given) or "any" in (wanted, given):
        return True
    if given == "null" or wanted == "null":
        other = wanted if given == "null" else given
        return other in ("null", "timestamp", "duration") or (
            isinstance(other, tuple) and other[0] in ("object", "optional")
        )
    if isinstance(wanted, tuple) and isinstance(given, tuple):
        left, right = ("list" if entry[0] == "unordered" else entry[0] for entry in (wanted, given))
        if left != right:
            return False
        if left == "object":
            return wanted[1] is given[1] or wanted == given
        return all(assignable(a, b, bound) for a, b in zip(wanted[1:], given[1:], strict=True))
    return bool(wanted == given)
