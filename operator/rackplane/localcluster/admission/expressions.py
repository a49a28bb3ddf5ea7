"""The CEL of admission policies, in the `common-expression-language` package.

The package has the language but neither messages (`Object{...}`) nor Kubernetes' libraries nor optional fields. An
expression is translated, token by token, where Kubernetes' dialect differs:

- `Object.spec{suspend: true}` becomes the map `{"@type": "Object.spec", "suspend": true}`;
- `variables.name` becomes the variable `variables__name`, which is evaluated before the expression that uses it;
- `size()` is one that counts the letters of a string and not its bytes, `string()` one that writes booleans, times and
  durations as cel-go does.

What the package lacks is refused with 501 when the policy is created. Types are not checked beforehand: an expression
that a real server refuses to compile for its types fails here when it is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import cel

from rackplane.localcluster import errors
from rackplane.localcluster.schemas.celsyntax import MACROS, Unreadable, tokens

from .extracts import Path, extract

#: The key that keeps the type name of a message.
TYPE = "@type"
#: What functions are called where they are evaluated: one of the package's own name would not replace that one.
_RENAMED = {"size": "size__", "string": "string__"}
#: Functions that the package has as the server has them.
_FUNCTIONS = frozenset(
    {
        *("contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "bytes"),
        *("dyn", "type", "duration", "timestamp"),
    }
)
_TYPES = frozenset({"int", "uint", "double", "string", "bool", "bytes", "list", "map", "null_type", "type"})
#: Fields of `request` that the cluster fills in.
_REQUEST_FIELDS = frozenset(
    {
        *("kind", "resource", "subResource", "requestKind", "requestResource", "requestSubResource", "name"),
        *("namespace", "operation", "userInfo", "dryRun"),
    }
)
ROOTS = frozenset({"object", "oldObject", "request", "namespaceObject"})


class EvaluationError(Exception):
    """An expression that came to no value; the text is what `resulted in error:` is followed by."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    `text` is as the policy has it. `paths` is what it names of each root (`object`, ...), `variables` the policy's
    variables it uses.
    """

    text: str
    program: Any
    paths: Mapping[str, frozenset[Path]]
    variables: tuple[str, ...]


@lru_cache(maxsize=4096)
def compile_expression(text: str, variables: frozenset[str], *, objects: bool = False) -> Expression:
    """Compile an expression that may use `variables` and, with `objects`, build `Object{...}`.

    Raises:
        ApiError: 501, it uses what the evaluator lacks, or does not parse.
    """
    translation = _Translation(text, objects=objects)
    try:
        program = cel.compile(translation.result)
    except ValueError as problem:
        found = re.search(r"ERROR: <input>:\d+:\d+: ([^\n]*)", str(problem))
        raise _lacking(text, found[1] if found else "it does not parse") from problem
    references = program.references()
    prefixed = {f"variables__{name}": name for name in translation.variables}
    unknown = sorted(translation.variables - variables)
    if unknown:
        raise _lacking(text, f"variables.{unknown[0]} is not defined before it is used")
    known = ROOTS | _TYPES | prefixed.keys() | translation.bound
    for name in references["variables"]:
        if name not in known:
            raise _lacking(text, f"{name!r} is unknown")
    for name in references["functions"]:
        if name[0].isalpha() and name not in _FUNCTIONS and name not in _RENAMED.values():
            raise _lacking(text, f"the function {name}() is missing")
    paths = {name: frozenset(found) for name, found in translation.paths.items()}
    return Expression(text, program, paths, tuple(sorted(translation.variables)))


def _lacking(text: str, why: str) -> errors.ApiError:
    return errors.not_implemented(f"the CEL expression {text.strip()!r} ({why})")


class _Translation:
    """One pass over the tokens; `result` is the translated text."""

    def __init__(self, text: str, *, objects: bool) -> None:
        self.variables: set[str] = set()
        self.bound: set[str] = set()
        self.paths: dict[str, set[Path]] = {}
        self._text = text
        self._objects = objects
        try:
            self._tokens = tokens(text)
        except Unreadable as problem:
            raise _lacking(text, str(problem)) from problem
        self._at = 0
        # Whether each open bracket is that of a message, whose fields are names and not expressions.
        self._open: list[bool] = []
        self.result = " ".join(self._translated())

    def _peek(self, ahead: int = 0) -> str:
        """The text of a token, seen from the current place; past either end there is none."""
        place = self._at + ahead
        return self._tokens[place].text if 0 <= place < len(self._tokens) else ""

    def _is_name(self, ahead: int) -> bool:
        place = self._at + ahead
        return place < len(self._tokens) and self._tokens[place].kind == "name"

    def _translated(self) -> Iterator[str]:
        while self._at < len(self._tokens):
            is_name, value, before = self._is_name(0), self._peek(), self._peek(-1)
            self._at += 1
            if is_name and value in _RENAMED and self._peek() == "(":
                yield _RENAMED[value]
                continue
            if is_name and before != ".":
                yield self._name(value, before)
                continue
            if is_name and value in MACROS and self._peek() == "(" and self._is_name(1):
                self.bound.add(self._peek(1))
            elif value in ("{", "(", "["):
                self._open.append(False)
            elif value in ("}", ")", "]") and self._open:
                self._open.pop()
            yield value

    def _name(self, name: str, before: str) -> str:
        if self._open and self._open[-1] and before in ("{", ",") and self._peek() == ":":
            return f'"{name}"'
        if name == "variables":
            return self._variable()
        if name == "request" and self._peek() == "." and self._peek(1) not in _REQUEST_FIELDS:
            raise _lacking(self._text, f"request.{self._peek(1)} is missing")
        path = [name]
        ahead = 0
        while self._peek(ahead) == "." and self._is_name(ahead + 1):
            path.append(self._peek(ahead + 1))
            ahead += 2
        if self._peek(ahead) != "{":
            if name in ROOTS:
                self._note(name, path, ahead)
            return name
        if name != "Object" or not self._objects:
            raise _lacking(self._text, f"objects of type {'.'.join(path)} are missing")
        self._at += ahead + 1
        self._open.append(True)
        comma = "" if self._peek() == "}" else ","
        return f'{{"{TYPE}": "{".".join(path)}"{comma}'

    def _note(self, root: str, path: list[str], ahead: int) -> None:
        """What is named of a root: nothing of it in `object != null`, all of it where it stands alone otherwise."""
        named = self.paths.setdefault(root, set())
        after, operand = self._peek(ahead), self._peek(ahead + 1)
        if len(path) == 1 and after in ("==", "!=") and operand == "null":
            return
        # A name before a bracket is a method, not a field.
        named.add(tuple(path[1 : len(path) - (after == "(")]))

    def _variable(self) -> str:
        if self._peek() != "." or not self._is_name(1):
            raise _lacking(self._text, "variables are reached by variables.name only")
        name = self._peek(1)
        self._at += 2
        self.variables.add(name)
        return f"variables__{name}"


def _context() -> cel.Context:
    return cel.Context(functions={"size__": len, "string__": _string})


def _string(value: Any) -> str:
    """The conversion as cel-go does it; the package's own has no booleans and writes times in another form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{_string(value.total_seconds())}s"
    if isinstance(value, bytes):
        return value.decode()
    raise TypeError(f"string() of {type(value).__name__}")


class Scope:
    """What the expressions of one policy see of one request.

    Python objects are converted for the evaluator once, when an expression names them, and only as far as `paths`, what
    all expressions of the policy together name of each.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        variables: Mapping[str, Expression],
        paths: Mapping[str, frozenset[Path]],
    ) -> None:
        self._values = values
        self._variables = variables
        self._paths = paths
        self._context = _context()
        self._added: set[str] = set()
        self._failed: dict[str, str] = {}

    def replace_object(self, obj: Any) -> None:
        """Let `object` be another from now on; variables are evaluated anew."""
        self._values = {**self._values, "object": obj}
        self._context = _context()
        self._added.clear()
        self._failed.clear()

    def evaluate(self, expression: Expression) -> Any:
        """The value of an expression.

        Raises:
            EvaluationError: it has none; the text names the expression, as Kubernetes does.
        """
        try:
            return self._value(expression)
        except EvaluationError as problem:
            raise EvaluationError(f"expression '{expression.text}' resulted in error: {problem}") from problem

    def _value(self, expression: Expression) -> Any:
        for name in expression.paths:
            if name not in self._added:
                self._context.add_variable(name, extract(self._values.get(name), self._paths[name]))
                self._added.add(name)
        for name in expression.variables:
            self._prepare(name)
        try:
            return expression.program.execute(self._context)
        except Exception as problem:  # the evaluator raises several unrelated types
            raise EvaluationError(self._reason(problem)) from problem

    def _prepare(self, name: str) -> None:
        """Evaluate a variable once. One that fails stays unknown: it matters only to expressions that reach it."""
        key = f"variables__{name}"
        if key in self._added or name in self._failed:
            return
        try:
            value = self._value(self._variables[name])
        except EvaluationError as problem:
            self._failed[name] = f'composited variable "{name}" fails to evaluate: {problem}'
        else:
            self._context.add_variable(key, value)
            self._added.add(key)

    def _reason(self, problem: Exception) -> str:
        """The words of cel-go for the same failure."""
        text = str(problem)
        found = re.match(r"Undefined variable or function: 'variables__(\w+)'", text)
        if found and found[1] in self._failed:
            return self._failed[found[1]]
        if isinstance(problem, KeyError):
            return f"no such key: {problem.args[0]}"
        if isinstance(problem, ZeroDivisionError):
            return "division by zero"
        if isinstance(problem, TypeError) or text.startswith("Undefined variable or function"):
            return "no such overload"
        return text.splitlines()[0] if text else type(problem).__name__
