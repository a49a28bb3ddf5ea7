"""A CEL expression as a tree whose nodes know their place in the text.

The evaluator checks the grammar and keeps its own tree to itself; this one is for the checker of types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(
    r"""
    (?P<space>(?:\s|//[^\n]*)+)
    |(?P<bytes>[bB][rR]?(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|[rR][bB](?:"[^"\n]*"|'[^'\n]*'))
    |(?P<string>[rR](?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n]*"|'[^'\n]*')
      |\"\"\"(?:\\.|.)*?\"\"\"|'''(?:\\.|.)*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<double>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<uint>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|[0-9]+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<mark>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_BINARY = (("||",), ("&&",), ("<", "<=", ">", ">=", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))
#: Macros called on a list or map, and how many arguments they take.
MACROS = {"all": 2, "exists": 2, "exists_one": 2, "filter": 2, "map": 2}
#: Words that are no names; a property called so is reached as `__word__`.
RESERVED = frozenset(
    {
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    }
)


class Unreadable(ValueError):
    """The text is no expression of the part of CEL that is read here."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text. `kind` is a group of the grammar above, or `end`."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression.

    `kind` is `literal` (its type in `name`), `ident`, `select`, `index`, `call`, `list` or `map`; operators are calls.
    `target` is what a method is called on or a field is selected of; `at` the offset that errors point to.
    """

    kind: str
    name: str
    at: int
    args: tuple[Node, ...] = ()
    target: Node | None = None


@lru_cache(maxsize=1024)
def tokens(text: str) -> tuple[Token, ...]:
    """The pieces of a text, without space.

    Raises:
        Unreadable: something in it is none.
    """
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Unreadable(f"{text[at]!r} at {at}")
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match[0], at))
        at = match.end()
    return (*found, Token("end", "", at))


def parse(text: str) -> Node:
    """The tree of an expression.

    Raises:
        Unreadable: it is none, or uses what is not read here.
    """
    parser = _Parser(tokens(text))
    node = parser.ternary()
    if parser.token.kind != "end":
        raise Unreadable(f"{parser.token.text!r} at {parser.token.at}")
    return node


class _Parser:
    def __init__(self, found: tuple[Token, ...]) -> None:
        self._tokens = found
        self._at = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self.token
        self._at += 1
        return token

    def _is(self, *texts: str) -> bool:
        return self.token.kind in ("mark", "name") and self.token.text in texts

    def _need(self, text: str) -> Token:
        if not self._is(text):
            raise Unreadable(f"{text!r} is missing at {self.token.at}")
        return self._take()

    def ternary(self) -> Node:
        condition = self._binary(0)
        if not self._is("?"):
            return condition
        mark = self._take()
        left = self._binary(0)
        self._need(":")
        return Node("call", "_?_:_", mark.at, (condition, left, self.ternary()))

    def _binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._unary()
        left = self._binary(level + 1)
        while self._is(*_BINARY[level]):
            mark = self._take()
            name = "@in" if mark.text == "in" else f"_{mark.text}_"
            left = Node("call", name, mark.at, (left, self._binary(level + 1)))
        return left

    def _unary(self) -> Node:
        if not self._is("!", "-"):
            return self._member()
        mark = self._take()
        if mark.text == "-" and self.token.kind in ("int", "double"):
            literal = self._take()
            return self._members(Node("literal", literal.kind, mark.at))
        return Node("call", "!_" if mark.text == "!" else "-_", mark.at, (self._unary(),))

    def _member(self) -> Node:
        return self._members(self._primary())

    def _members(self, node: Node) -> Node:
        while self._is(".", "["):
            mark = self._take()
            if mark.text == "[":
                node = Node("index", "_[_]", mark.at, (node, self.ternary()))
                self._need("]")
                continue
            name = self._take()
            if name.kind != "name":
                raise Unreadable(f"{name.text!r} at {name.at}")
            if self._is("("):
                node = Node("call", name.text, self.token.at, self._arguments(), node)
            else:
                node = Node("select", name.text, mark.at, (), node)
        return node

    def _arguments(self) -> tuple[Node, ...]:
        self._need("(")
        found = self._many(")")
        self._need(")")
        return found

    def _many(self, end: str) -> tuple[Node, ...]:
        found = []
        while not self._is(end):
            found.append(self.ternary())
            if not self._is(","):
                break
            self._take()
        return tuple(found)

    def _primary(self) -> Node:
        token = self._take()
        match token.kind, token.text:
            case (("bytes" | "string" | "double" | "uint" | "int"), _):
                return Node("literal", token.kind, token.at)
            case "name", "true" | "false":
                return Node("literal", "bool", token.at)
            case "name", "null":
                return Node("literal", "null", token.at)
            case "name", _:
                if self._is("("):
                    return Node("call", token.text, self.token.at, self._arguments())
                return Node("ident", token.text, token.at)
            case "mark", "(":
                node = self.ternary()
                self._need(")")
                return node
            case "mark", "[":
                found = self._many("]")
                self._need("]")
                return Node("list", "", token.at, found)
            case "mark", "{":
                return self._map(token)
        raise Unreadable(f"{token.text!r} at {token.at}")

    def _map(self, start: Token) -> Node:
        entries: list[Node] = []
        while not self._is("}"):
            entries.append(self.ternary())
            self._need(":")
            entries.append(self.ternary())
            if not self._is(","):
                break
            self._take()
        self._need("}")
        return Node("map", "", start.at, tuple(entries))
