"""The grammar of label selectors in queries, with the server's words for what breaks it."""

from __future__ import annotations

from .errors import bad_request, show
from .names import label_value, qualified_name

#: key, operator (as in `metav1.LabelSelectorRequirement`, and Gt and Lt), values
Requirement = tuple[str, str, list[str]]

_SPECIAL = "=!(),<>"
_SYMBOLS = {")", ",", "!", "==", "=", ">", "<", "!=", "("}
_OPERATORS = {
    "in": "In",
    "notin": "NotIn",
    "=": "In",
    "==": "In",
    "!=": "NotIn",
    ">": "Gt",
    "<": "Lt",
}
_END = ""


class _Problem(Exception):
    """What the parser found where it expected something else."""


def parse(text: str) -> list[Requirement]:
    """The requirements of a selector; none of an empty one.

    Raises:
        ApiError: 400.
    """
    try:
        return _Parser(text).selector()
    except _Problem as problem:
        raise bad_request(str(problem)) from problem


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    place = 0
    while place < len(text):
        char = text[place]
        if char in " \t\r\n":
            place += 1
            continue
        end = place + 1
        if char in _SPECIAL:
            while end < len(text) and text[end] in _SPECIAL and text[place : end + 1] in _SYMBOLS:
                end += 1
        else:
            while end < len(text) and text[end] not in _SPECIAL and text[end] not in " \t\r\n":
                end += 1
        found.append(text[place:end])
        place = end
    return [*found, _END]


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._place = 0

    @property
    def _next(self) -> str:
        return self._tokens[min(self._place, len(self._tokens) - 1)]

    def _take(self) -> str:
        token = self._next
        self._place += 1
        return token

    def selector(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            token = self._next
            if token == _END:
                return found
            if not (_is_name(token) or token == "!"):
                raise _Problem(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except _Problem as problem:
                raise _Problem(f"unable to parse requirement: {problem}") from problem
            token = self._take()
            if token == _END:
                return found
            if token != ",":
                raise _Problem(f"found '{token}', expected: ',' or 'end of string'")
            if not (_is_name(self._next) or self._next == "!"):
                raise _Problem(f"found '{self._next}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        token = self._take()
        absent = token == "!"
        if absent:
            token = self._take()
        if not _is_name(token):
            raise _Problem(f"found '{token}', expected: identifier")
        key = token
        if texts := qualified_name(key):
            raise _Problem(f"<nil>: Invalid value: {show(key)}: {'; '.join(texts)}")
        if absent:
            return key, "DoesNotExist", []
        if self._next in (_END, ","):
            return key, "Exists", []
        token = self._take()
        operator = _OPERATORS.get(token)
        if operator is None:
            raise _Problem(f"found '{token}', expected: in, notin, =, ==, !=, gt, lt")
        values = sorted(self._values() if token in ("in", "notin") else {self._value()})
        _check_values(key, operator, values)
        return key, operator, values

    def _value(self) -> str:
        if self._next in (_END, ","):
            return ""
        token = self._take()
        if not _is_name(token):
            raise _Problem(f"found '{token}', expected: identifier")
        return token

    def _values(self) -> set[str]:
        token = self._take()
        if token != "(":
            raise _Problem(f"found '{token}' expected: '('")
        if self._next == ")":
            self._take()
            return {""}
        if not (_is_name(self._next) or self._next == ","):
            raise _Problem(f"found '{self._next}', expected: ',', ')' or identifier")
        found: set[str] = set()
        while True:
            token = self._take()
            if token == ",":
                if not found or self._next in (")", ","):
                    found.add("")
            elif _is_name(token):
                found.add(token)
                if self._next not in (",", ")"):
                    raise _Problem(f"found '{self._next}', expected: ',' or ')'")
            else:
                raise _Problem(f"found '{token}', expected: ',', or identifier")
            if self._next == ")":
                self._take()
                return found


def _is_name(token: str) -> bool:
    return token != _END and token[0] not in _SPECIAL


def _check_values(key: str, operator: str, values: list[str]) -> None:
    found: list[str] = []
    for index, value in enumerate(values):
        if operator in ("Gt", "Lt") and not value.lstrip("+-").isdecimal():
            text = "for 'Gt', 'Lt' operators, the value must be an integer"
            found.append(f"values[{index}]: Invalid value: {show(value)}: {text}")
    for index, value in enumerate(values):
        if texts := label_value(value):
            found.append(f"values[{index}][{key}]: Invalid value: {show(value)}: {'; '.join(texts)}")
    if found:
        raise _Problem(found[0] if len(found) == 1 else f"[{', '.join(found)}]")
